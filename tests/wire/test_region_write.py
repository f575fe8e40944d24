"""REGION_WRITE: what a guest's store becomes."""

import os
from errno import EINVAL

import pytest
from client import Client
from messages import MAX_DATA, REGION_WRITE, Flags, Region, resized
from served_function import Server

from siov.spec.testfn import Bar0

SCRATCH = Bar0.SCRATCH.at
TOP = 1 << 64


def test_what_is_written_can_be_read(client: Client) -> None:
    client.write(Region.BAR0, SCRATCH, b"\x78\x56\x34\x12")
    assert client.read(Region.BAR0, SCRATCH, 4) == b"\x78\x56\x34\x12"


def test_a_part_of_a_register_leaves_the_rest(client: Client) -> None:
    client.write(Region.BAR0, SCRATCH, b"abcd")
    client.write(Region.BAR0, SCRATCH + 1, b"X")
    client.write(Region.BAR0, SCRATCH + 2, b"YZ")
    assert client.read(Region.BAR0, SCRATCH, 4) == b"aXYZ"


def test_one_write_reaches_all_registers_that_it_covers(client: Client) -> None:
    client.write(Region.BAR0, SCRATCH, b"abcd" + (3).to_bytes(4, "little"))
    assert client.read(Region.BAR0, SCRATCH, 4) == b"abcd"
    assert client.read(Region.BAR0, Bar0.DOORBELL_COUNT.at, 4) == b"\1\0\0\0"


def test_a_read_only_register_stays(client: Client) -> None:
    client.write(Region.BAR0, 0, b"\xff" * 4)
    assert client.read(Region.BAR0, 0, 4) == b"SIOV"


def test_the_whole_bar_can_be_written_at_once(client: Client) -> None:
    client.write(Region.BAR0, 0, b"\xff" * Bar0.size)
    assert client.read(Region.BAR0, SCRATCH, 4) == b"\xff" * 4
    assert client.read(Region.BAR0, 0, 4) == b"SIOV"


def test_all_ones_to_the_configuration_space_change_only_what_is_writable(client: Client) -> None:
    before = client.read(Region.CONFIG, 0, 64)
    client.write(Region.CONFIG, 0, b"\xff" * 64)
    after = client.read(Region.CONFIG, 0, 64)
    assert after[0:4] == before[0:4], "vendor and device"
    assert after[8:12] == before[8:12], "revision and class"
    assert after[16:24] == b"\x04\x00\xff\xff\xff\xff\xff\xff", "64 KiB at a 64-bit address"
    assert after[0x34] == before[0x34], "the first capability"


def test_nothing_can_be_written(client: Client) -> None:
    client.write(Region.BAR0, Bar0.DOORBELL.at, b"")
    client.write(Region.BAR0, Bar0.size, b"")
    assert client.read(Region.BAR0, Bar0.DOORBELL_COUNT.at, 4) == bytes(4)


@pytest.mark.parametrize(
    ("region", "offset", "length"),
    [
        (Region.CONFIG, 4093, 4),
        (Region.CONFIG, 4096, 1),
        (Region.BAR0, 0xFFFF, 2),
        (Region.BAR0, 0x10000, 4),
        (Region.BAR0, (1 << 32) + 4, 4),
        (Region.BAR0, TOP - 4, 4),
        (Region.BAR0, TOP - 4, 8),
        (Region.BAR0, 0, Bar0.size + 1),
        (Region.BAR0, 4, MAX_DATA),
    ],
)
def test_a_write_that_leaves_its_region_is_invalid_and_writes_nothing(
    client: Client, region: int, offset: int, length: int
) -> None:
    before = client.read(Region.CONFIG, 0, 4096), client.read(Region.BAR0, 0, Bar0.size)
    client.write(region, offset, b"\xff" * length, expect=EINVAL)
    assert (client.read(Region.CONFIG, 0, 4096), client.read(Region.BAR0, 0, Bar0.size)) == before


@pytest.mark.parametrize("region", [1, 5, Region.ROM, Region.VGA, 9, 0xFFFFFFFF])
def test_a_region_that_the_function_lacks_can_not_be_written(client: Client, region: int) -> None:
    client.write(region, 0, b"data", expect=EINVAL)


@pytest.mark.parametrize("count", [0, 3, 5, 8, MAX_DATA, MAX_DATA + 1, 0xFFFFFFFF])
def test_another_count_than_the_data_is_invalid(client: Client, count: int) -> None:
    client.send(REGION_WRITE(Region.BAR0, SCRATCH, b"data", count), expect=EINVAL)
    assert client.read(Region.BAR0, SCRATCH, 4) == bytes(4)


@pytest.mark.parametrize("size", [0, 8, 15])
def test_a_body_without_all_fields_is_invalid(client: Client, size: int) -> None:
    client.send(resized(REGION_WRITE(Region.BAR0, SCRATCH, b"data"), size), expect=EINVAL)


def test_a_posted_write_is_done_before_what_follows_and_not_answered(client: Client) -> None:
    for value in range(200):
        client.request(REGION_WRITE(Region.BAR0, SCRATCH, value.to_bytes(4, "little")), Flags.NO_REPLY)
        assert client.read(Region.BAR0, SCRATCH, 1) == bytes([value])
    assert client.is_silent()


def test_a_flood_of_posted_writes_is_done_to_the_last(client: Client) -> None:
    for _ in range(5000):
        client.post(REGION_WRITE(Region.BAR0, Bar0.DOORBELL.at, bytes(4)))
    assert client.read(Region.BAR0, Bar0.DOORBELL_COUNT.at, 4) == (5000).to_bytes(4, "little")


def test_a_posted_write_that_fails_is_not_answered_but_counted(server: Server, client: Client) -> None:
    client.post(REGION_WRITE(Region.VGA, 0, b"data"))
    assert client.is_silent()
    assert server.counter("errors") == 1


def test_a_descriptor_is_invalid(server: Server, client: Client) -> None:
    client.send(REGION_WRITE(Region.BAR0, SCRATCH, b"data", fds=(server.eventfd(),)), expect=EINVAL)
    assert client.read(Region.BAR0, SCRATCH, 4) == bytes(4)


def test_descriptors_of_the_next_message_do_not_go_to_a_short_one_before(
    server: Server, client: Client
) -> None:
    client.write(Region.CONFIG, 0x4A, b"\0\x80")
    for _ in range(50):
        eventfd = server.eventfd()
        write = REGION_WRITE(Region.BAR0, Bar0.DOORBELL.at, b"\0")
        client.post(write)
        client.assign(0, eventfd)
        client.write(Region.BAR0, Bar0.DOORBELL.at, bytes(4))
        assert os.eventfd_read(eventfd) >= 1
