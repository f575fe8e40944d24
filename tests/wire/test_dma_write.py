"""DMA_WRITE: the server gives the client bytes for memory that it does not share."""

import struct
from errno import EFAULT, EIO

import pytest
from client import Incoming
from function import Driver
from messages import DEVICE_GET_INFO, DMA_MAP, Command
from served_function import Server

from siov.spec.testfn import Bar0

PAGE = 4096
HIDDEN = 0x10_0000
SHARED = 0x20_0000


class Source:
    """A shared megabyte to copy from, and one that is reached by messages."""

    def __init__(self, server: Server, driver: Driver) -> None:
        self.driver, self.client = driver, driver.client
        self.memory = server.memory(1 << 20)
        self.content = bytes(n * 7 % 251 for n in range(1 << 18))
        self.memory[0] = self.content
        self.client.map(self.memory, SHARED)
        self.client.send(DMA_MAP(HIDDEN, 1 << 20))

    def start(self, length: int, at: int = 0) -> Incoming:
        self.driver.start(SHARED, HIDDEN + at, length)
        return self.client.command()


@pytest.fixture
def source(server: Server, driver: Driver) -> Source:
    return Source(server, driver)


def given(command: Incoming) -> tuple[int, bytes]:
    """Address and bytes of a well-formed DMA_WRITE."""
    assert command.command == Command.DMA_WRITE
    addr, count = command.unpack("QQ")
    assert count == len(command.data)
    return addr, command.data


def agree(source: Source, command: Incoming) -> None:
    source.client.answer(command, command.body[:16])


def test_it_brings_address_count_and_bytes(source: Source) -> None:
    command = source.start(1000, at=5)
    assert given(command) == (HIDDEN + 5, source.content[:1000])
    agree(source, command)
    assert source.driver.wait().DONE


@pytest.mark.parametrize(("limit", "length"), [(1, 3), (100, 250), (4096, 10_000), (65536, 200_000)])
def test_no_more_is_given_than_the_client_takes_in_one_message(
    server: Server, limit: int, length: int
) -> None:
    driver = Driver(server.client(max_data_xfer_size=limit))
    driver.bus_master()
    source = Source(server, driver)
    command, got = source.start(length), b""
    while True:
        addr, data = given(command)
        assert (addr, len(data) <= limit) == (HIDDEN + len(got), True)
        got += data
        agree(source, command)
        if len(got) >= length:
            break
        command = source.client.command()
    assert driver.wait().DONE
    assert got == source.content[:length]


def test_the_copy_is_not_done_before_the_reply(source: Source) -> None:
    command = source.start(8)
    for _ in range(20):
        assert source.driver.get(Bar0.COPY_STATUS).BUSY
    agree(source, command)
    assert source.driver.wait().DONE


@pytest.mark.parametrize("error", [1, EFAULT, EIO])
def test_an_errno_is_a_fault_of_the_copy(source: Source, error: int) -> None:
    source.client.answer(source.start(64), error=error)
    assert source.driver.wait().ERROR
    assert source.driver.fault() == HIDDEN


def test_an_errno_in_the_middle_is_a_fault_at_its_address(server: Server) -> None:
    driver = Driver(server.client(max_data_xfer_size=PAGE))
    driver.bus_master()
    source = Source(server, driver)
    agree(source, source.start(3 * PAGE))
    source.client.answer(source.client.command(), error=EFAULT)
    assert driver.wait().ERROR
    assert driver.fault() == HIDDEN + PAGE
    assert source.client.is_silent(), "what lies behind is not written"


@pytest.mark.parametrize("reply", [b"", bytes(8), bytes(16), bytes(4096)], ids=len)
def test_the_body_of_the_reply_does_not_matter(source: Source, reply: bytes) -> None:
    source.client.answer(source.start(64), reply)
    assert source.driver.wait().DONE


def test_a_reply_with_another_id_or_command_is_stray_and_the_right_one_still_counts(
    server: Server, source: Source
) -> None:
    command = source.start(4)
    source.client.answer(Incoming(command.id ^ 1, command.command, 0, 0, b""))
    source.client.answer(Incoming(command.id, Command.DMA_READ, 0, 0, b""))
    assert source.driver.get(Bar0.COPY_STATUS).BUSY
    assert server.counter("stray_replies") == 2
    agree(source, command)
    assert source.driver.wait().DONE


def test_what_may_only_be_read_is_not_written(source: Source) -> None:
    source.client.send(DMA_MAP(0xF000_0000, PAGE, flags=1))
    assert source.driver.copy(SHARED, 0xF000_0008, 8).ERROR
    assert source.driver.fault() == 0xF000_0008
    assert source.client.is_silent()


def test_a_copy_within_hidden_memory_reads_and_then_writes(source: Source) -> None:
    source.driver.start(HIDDEN, HIDDEN + PAGE, 4)
    read = source.client.command()
    assert read.command == Command.DMA_READ
    source.client.answer(read, struct.pack("=QQ", HIDDEN, 4) + b"data")
    write = source.client.command()
    assert given(write) == (HIDDEN + PAGE, b"data")
    agree(source, write)
    assert source.driver.wait().DONE


def test_a_client_that_dies_before_it_replies_leaves_nothing(source: Source) -> None:
    source.start(1 << 18)
    source.client.close()


def test_an_interrupt_comes_after_the_last_write(server: Server, source: Source) -> None:
    source.driver.start(SHARED, HIDDEN, 8, vector=1)
    command = source.client.command()
    source.client.send(DEVICE_GET_INFO())
    assert server.inspect()["irqs"] == []
    agree(source, command)
    source.driver.wait()
    assert [irq["vector"] for irq in server.inspect()["irqs"]] == [1]
