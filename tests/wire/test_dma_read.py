"""DMA_READ: the server asks the client for memory that it does not share."""

import struct
from errno import EFAULT, EIO

import pytest
from client import Incoming
from function import Driver
from messages import DEVICE_GET_INFO, DMA_MAP, DMA_UNMAP, Command
from served_function import Server, serving

from siov.spec.testfn import Bar0

PAGE = 4096
HIDDEN = 0x10_0000
SHARED = 0x20_0000


def body(addr: int, data: bytes, count: int | None = None) -> bytes:
    return struct.pack("=QQ", addr, len(data) if count is None else count) + data


def asked(command: Incoming) -> tuple[int, int]:
    """Address and count of a well-formed DMA_READ."""
    assert command.command == Command.DMA_READ
    assert len(command.body) == 16
    addr, count = command.unpack("QQ")
    return addr, count


class Target:
    """A megabyte that is reached by messages, and a shared one to copy into."""

    def __init__(self, server: Server, driver: Driver) -> None:
        self.driver, self.client = driver, driver.client
        self.memory = server.memory(1 << 20)
        self.client.send(DMA_MAP(HIDDEN, 1 << 20))
        self.client.map(self.memory, SHARED)
        self.memory[0] = b"." * PAGE

    def start(self, length: int, at: int = 0) -> Incoming:
        self.driver.start(HIDDEN + at, SHARED, length)
        return self.client.command()

    def __getitem__(self, span: slice) -> bytes:
        return self.memory[span]


@pytest.fixture
def target(server: Server, driver: Driver) -> Target:
    return Target(server, driver)


def test_it_names_address_and_count_and_its_reply_brings_the_bytes(target: Target) -> None:
    command = target.start(100, at=3)
    assert asked(command) == (HIDDEN + 3, 100)
    target.client.answer(command, body(HIDDEN + 3, bytes(range(100))))
    assert target.driver.wait().DONE
    assert target[slice(0, 101)] == bytes(range(100)) + b"."


@pytest.mark.parametrize(("limit", "length"), [(1, 3), (100, 250), (4096, 10_000), (65536, 200_000)])
def test_no_more_is_asked_for_than_the_client_gives_in_one_message(
    server: Server, limit: int, length: int
) -> None:
    driver = Driver(server.client(max_data_xfer_size=limit))
    driver.bus_master()
    target = Target(server, driver)
    content = bytes(n % 251 for n in range(length))
    command, done = target.start(length), 0
    while True:
        addr, count = asked(command)
        assert (addr, count <= limit) == (HIDDEN + done, True)
        part = content[done : done + count]
        target.client.answer(command, body(addr, part))
        done += len(part)
        if done == length:
            break
        command = target.client.command()
    assert driver.wait().DONE
    assert target[slice(0, length)] == content


def test_other_requests_are_answered_while_it_waits(target: Target) -> None:
    command = target.start(8)
    for _ in range(20):
        assert target.driver.get(Bar0.COPY_STATUS).BUSY
        target.client.send(DEVICE_GET_INFO())
    target.client.send(DMA_MAP(0, PAGE))
    target.client.send(DMA_UNMAP(0, PAGE))
    target.client.answer(command, body(HIDDEN, b"in time!"))
    assert target.driver.wait().DONE
    assert target[slice(0, 8)] == b"in time!"


@pytest.mark.parametrize("error", [1, EFAULT, EIO, 4095])
def test_an_errno_is_a_fault_of_the_copy(target: Target, error: int) -> None:
    command = target.start(64)
    target.client.answer(command, error=error)
    assert target.driver.wait().ERROR
    assert target.driver.fault() == HIDDEN
    assert target[slice(0, 64)] == b"." * 64


@pytest.mark.parametrize("error", [0, 4096, 1 << 31, 0xFFFFFFFF])
def test_an_error_without_a_proper_errno_is_a_fault_too(target: Target, error: int) -> None:
    command = target.start(64)
    target.client.raw(struct.pack("=HHIII", command.id, command.command, 16, 0x21, error))
    assert target.driver.wait().ERROR
    assert target[slice(0, 64)] == b"." * 64


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"\0" * 8,
        body(HIDDEN, b""),
        body(HIDDEN, b"x" * 63),
        body(HIDDEN, b"x" * 65),
        body(HIDDEN, b"x" * 64, 63),
        body(HIDDEN, b"x" * 63, 64),
        body(HIDDEN, b"x" * 65, 64),
        body(HIDDEN, b"x" * 64, 1 << 63),
        body(HIDDEN + 1, b"x" * 64),
        body(0, b"x" * 64),
        body(HIDDEN, b"x" * (1 << 20)),
    ],
    ids=lambda reply: str(len(reply)),
)
def test_a_reply_that_does_not_fit_is_a_fault_and_brings_nothing(target: Target, reply: bytes) -> None:
    command = target.start(64)
    target.client.answer(command, reply)
    assert target.driver.wait().ERROR
    assert target.driver.fault() == HIDDEN
    assert target[slice(0, 64)] == b"." * 64


def test_a_reply_with_another_id_or_command_is_stray_and_the_right_one_still_counts(
    server: Server, target: Target
) -> None:
    command = target.start(4)
    for msg_id in (command.id + 1 & 0xFFFF, command.id ^ 0x8000):
        target.client.answer(Incoming(msg_id, command.command, 0, 0, b""), body(HIDDEN, b"evil"))
    target.client.answer(Incoming(command.id, Command.DMA_WRITE, 0, 0, b""), body(HIDDEN, b"evil"))
    assert target.driver.get(Bar0.COPY_STATUS).BUSY
    assert server.counter("stray_replies") == 3
    target.client.answer(command, body(HIDDEN, b"good"))
    assert target.driver.wait().DONE
    assert target[slice(0, 4)] == b"good"


def test_a_second_reply_is_stray(server: Server, target: Target) -> None:
    command = target.start(4)
    target.client.answer(command, body(HIDDEN, b"good"))
    target.client.answer(command, body(HIDDEN, b"evil"))
    assert target.driver.wait().DONE
    assert target[slice(0, 4)] == b"good"
    assert server.counter("stray_replies") == 1


def test_an_unmap_does_not_wait_for_it_and_its_bytes_are_still_taken(target: Target) -> None:
    command = target.start(8)
    target.client.send(DMA_UNMAP(HIDDEN, 1 << 20))
    target.client.answer(command, body(HIDDEN, b"in-fligh"))
    assert target.driver.wait().DONE
    assert target.driver.copy(HIDDEN, SHARED, 8).ERROR
    assert target.driver.fault() == HIDDEN


def test_a_range_of_shared_and_hidden_memory_is_read_from_both(target: Target) -> None:
    target.memory[(1 << 20) - 4] = b"tail"
    target.client.send(DMA_MAP(SHARED + (1 << 20), PAGE, flags=1))
    target.driver.start(SHARED + (1 << 20) - 4, SHARED, 8)
    command = target.client.command()
    assert asked(command) == (SHARED + (1 << 20), 4)
    target.client.answer(command, body(SHARED + (1 << 20), b"head"))
    assert target.driver.wait().DONE
    assert target[slice(0, 8)] == b"tailhead"


def test_what_may_only_be_written_is_not_asked_for(target: Target) -> None:
    target.client.send(DMA_MAP(0, PAGE, flags=2))
    assert target.driver.copy(0x10, SHARED, 8).ERROR
    assert target.driver.fault() == 0x10
    assert target.client.is_silent()


def test_a_client_that_dies_before_it_replies_leaves_nothing(server: Server, target: Target) -> None:
    target.start(1 << 19)
    target.client.close()


def test_a_request_that_is_never_answered_is_a_fault_and_an_answer_after_that_is_stray(
    server: Server, target: Target
) -> None:
    with serving() as other:
        # Two waits of ten seconds at once: one for a read, one for a write.
        writer = Driver(other.client())
        writer.bus_master()
        writer.client.map(other.memory(PAGE), 0)
        writer.client.send(DMA_MAP(HIDDEN, PAGE))
        writer.start(0, HIDDEN, 8)
        assert writer.client.command().command == Command.DMA_WRITE
        command = target.start(8)
        assert target.driver.wait(timeout=15).ERROR
        assert writer.wait(timeout=5).ERROR
        assert (target.driver.fault(), writer.fault()) == (HIDDEN, HIDDEN)
    target.client.answer(command, body(HIDDEN, b"too late"))
    target.client.send(DEVICE_GET_INFO())
    assert server.counter("stray_replies") == 1
    assert target[slice(0, 8)] == b"." * 8


def test_its_ids_and_those_of_the_client_do_not_mix(target: Target) -> None:
    command = target.start(4)
    target.client._next_id = command.id
    assert target.driver.get(Bar0.COPY_STATUS).BUSY
    target.client.answer(command, body(HIDDEN, b"good"))
    assert target.driver.wait().DONE


def test_the_client_may_send_descriptors_with_its_reply_and_they_are_closed(
    server: Server, target: Target
) -> None:
    command = target.start(4)
    data = body(HIDDEN, b"good")
    head = struct.pack("=HHIII", command.id, command.command, 16 + len(data), 1, 0)
    target.client.raw(head + data, server.eventfds(3))
    assert target.driver.wait().DONE
