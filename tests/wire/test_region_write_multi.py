"""REGION_WRITE_MULTI: many small writes in one message."""

from errno import EINVAL

import pytest
from client import Client
from messages import REGION_WRITE, REGION_WRITE_MULTI, Command, Flags, Raw, Region, resized
from served_function import Server

from siov.spec.testfn import Bar0

SCRATCH = Bar0.SCRATCH.at
BELL = REGION_WRITE(Region.BAR0, Bar0.DOORBELL.at, bytes(4))
BAD = REGION_WRITE(Region.BAR0, Bar0.size, bytes(4))


def scratch(data: bytes, at: int = 0) -> REGION_WRITE:
    return REGION_WRITE(Region.BAR0, SCRATCH + at, data)


def bells(client: Client) -> int:
    return int.from_bytes(client.read(Region.BAR0, Bar0.DOORBELL_COUNT.at, 4), "little")


def test_writes_are_done_in_order_and_their_number_is_answered(client: Client) -> None:
    reply = client.send(REGION_WRITE_MULTI((scratch(b"abcd"), scratch(b"X", 2), scratch(b"Y", 2))))
    assert reply.body == (3).to_bytes(8, "little")
    assert client.read(Region.BAR0, SCRATCH, 4) == b"abYd"


@pytest.mark.parametrize("length", range(1, 9))
def test_every_length_up_to_eight_bytes_is_written(client: Client, length: int) -> None:
    at = Bar0.COPY_SRC.at
    client.send(REGION_WRITE_MULTI((REGION_WRITE(Region.BAR0, at, b"12345678"[:length]),)))
    assert client.read(Region.BAR0, at, 8) == b"12345678"[:length].ljust(8, b"\0")


def test_two_hundred_posted_writes_are_done(client: Client) -> None:
    client.request(REGION_WRITE_MULTI((BELL,) * 200), Flags.NO_REPLY)
    assert bells(client) == 200
    assert client.is_silent()


def test_as_many_writes_as_a_message_holds_are_done(client: Client) -> None:
    count = ((1 << 20) + 16 - 8) // 24
    assert client.send(REGION_WRITE_MULTI((BELL,) * count)).unpack("Q") == (count,)
    assert bells(client) == count


def test_no_writes_at_all_are_done(client: Client) -> None:
    assert client.send(REGION_WRITE_MULTI(())).unpack("Q") == (0,)


def test_writes_may_go_to_several_regions(client: Client) -> None:
    command = REGION_WRITE(Region.CONFIG, 4, b"\6\0")
    assert client.send(REGION_WRITE_MULTI((scratch(b"a"), command, scratch(b"b", 1)))).unpack("Q") == (3,)
    assert client.read(Region.CONFIG, 4, 2) == b"\6\0"
    assert client.read(Region.BAR0, SCRATCH, 2) == b"ab"


def test_the_first_that_fails_is_the_end_and_the_number_before_it_is_answered(
    server: Server, client: Client
) -> None:
    assert client.send(REGION_WRITE_MULTI((BELL, BELL, BAD, BELL))).unpack("Q") == (2,)
    assert bells(client) == 2
    assert server.counter("errors") == 1


def test_a_failure_of_the_very_first_is_an_error(client: Client) -> None:
    client.send(REGION_WRITE_MULTI((BAD, BELL)), expect=EINVAL)
    assert bells(client) == 0


@pytest.mark.parametrize("count", [0, 1, 3, 1 << 32, 1 << 61, (1 << 64) // 24 + 1, (1 << 64) - 1])
def test_another_count_than_the_writes_is_invalid_and_nothing_is_written(client: Client, count: int) -> None:
    client.send(REGION_WRITE_MULTI((BELL, BELL), count), expect=EINVAL)
    assert bells(client) == 0


@pytest.mark.parametrize("count", [9, 16, 1 << 20, 0xFFFFFFFF])
def test_a_write_longer_than_its_room_is_invalid_and_nothing_is_written(client: Client, count: int) -> None:
    long = REGION_WRITE(Region.BAR0, SCRATCH, b"12345678", count)
    client.send(REGION_WRITE_MULTI((BELL, long, BELL)), expect=EINVAL)
    assert bells(client) == 0


@pytest.mark.parametrize("size", [0, 7, 31, 33, 55])
def test_a_body_of_another_size_is_invalid(client: Client, size: int) -> None:
    client.send(resized(REGION_WRITE_MULTI((BELL,)), size), expect=EINVAL)
    assert bells(client) == 0


def test_a_write_of_no_bytes_writes_none(client: Client) -> None:
    entry = REGION_WRITE(Region.BAR0, Bar0.DOORBELL.at, b"\1\0\0\0\0\0\0\0", 0)
    assert client.send(REGION_WRITE_MULTI((entry,))).unpack("Q") == (1,)
    assert bells(client) == 0


def test_a_descriptor_is_invalid(server: Server, client: Client) -> None:
    message = REGION_WRITE_MULTI((BELL,), fds=(server.eventfd(),))
    client.send(message, expect=EINVAL)
    assert bells(client) == 0


def test_a_body_of_ones_is_invalid(client: Client) -> None:
    client.send(Raw(Command.REGION_WRITE_MULTI, b"\xff" * 4096), expect=EINVAL)
