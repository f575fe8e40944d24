"""REGION_READ: what a guest's load becomes."""

import random
from errno import EINVAL

import pytest
from client import Client
from messages import MAX_DATA, REGION_READ, Region, resized
from served_function import Server

from siov.hw.testfn import compose_config
from siov.spec.testfn import Bar0

TOP = 1 << 64


def test_the_whole_configuration_space_is_what_was_composed(client: Client) -> None:
    assert client.read(Region.CONFIG, 0, 4096) == compose_config().dump()


@pytest.mark.parametrize("width", [1, 2, 4, 8, 3, 16])
def test_every_part_of_the_configuration_space_is_that_part(client: Client, width: int) -> None:
    dump = compose_config().dump()
    for offset in random.Random(width).sample(range(4096 - width + 1), 200):
        assert client.read(Region.CONFIG, offset, width) == dump[offset : offset + width]


@pytest.mark.parametrize("offset", range(4))
def test_a_register_can_be_read_in_parts(client: Client, offset: int) -> None:
    for width in range(1, 5 - offset):
        assert client.read(Region.BAR0, offset, width) == b"SIOV"[offset : offset + width]


def test_all_of_the_bar_can_be_read_at_once(client: Client) -> None:
    data = client.read(Region.BAR0, 0, Bar0.size)
    assert data[:4] == b"SIOV"
    assert client.read(Region.BAR0, Bar0.size - 1, 1) == data[-1:]


@pytest.mark.parametrize("region", [Region.BAR0, Region.CONFIG])
def test_nothing_can_be_read_up_to_the_end(client: Client, region: int) -> None:
    assert client.read(region, 0, 0) == b""
    assert client.read(region, 4096, 0) == b""


@pytest.mark.parametrize(
    ("region", "offset", "count"),
    [
        (Region.CONFIG, 4093, 4),
        (Region.CONFIG, 4096, 1),
        (Region.CONFIG, 0, 4097),
        (Region.BAR0, 0xFFFF, 2),
        (Region.BAR0, 0x10000, 4),
        (Region.BAR0, 1 << 32, 4),
        (Region.BAR0, (1 << 32) - 4, 8),
        (Region.BAR0, TOP - 4, 4),
        (Region.BAR0, TOP - 4, 8),
        (Region.BAR0, TOP - 1, 1),
        (Region.BAR0, 0x10001, 0),
        (Region.BAR0, 0, MAX_DATA),
        (Region.BAR0, 0, MAX_DATA + 1),
        (Region.BAR0, 0, 0xFFFFFFFF),
    ],
)
def test_a_read_that_leaves_its_region_is_invalid(
    client: Client, region: int, offset: int, count: int
) -> None:
    client.read(region, offset, count, expect=EINVAL)


@pytest.mark.parametrize("region", [1, 2, 3, 4, 5, Region.ROM, Region.VGA, 9, 1 << 31, 0xFFFFFFFF])
def test_a_region_that_the_function_lacks_can_not_be_read(client: Client, region: int) -> None:
    client.read(region, 0, 4, expect=EINVAL)


@pytest.mark.parametrize("size", [0, 8, 15, 17, 20, 4096])
def test_a_body_of_another_size_is_invalid(client: Client, size: int) -> None:
    client.send(resized(REGION_READ(Region.BAR0, 0, 4), size), expect=EINVAL)


def test_a_descriptor_is_invalid(server: Server, client: Client) -> None:
    client.send(REGION_READ(Region.BAR0, 0, 4, fds=(server.eventfd(),)), expect=EINVAL)


def test_many_reads_in_flight_are_answered_each_with_its_own(client: Client) -> None:
    dump = compose_config().dump()
    messages = [REGION_READ(Region.CONFIG, offset, 1 + offset % 8) for offset in range(100)]
    ids = [client.request(message) for message in messages]
    for msg_id, message in reversed(list(zip(ids, messages, strict=True))):
        data = client.reply(msg_id, message).data
        assert data == dump[message.offset : message.offset + message.count]
