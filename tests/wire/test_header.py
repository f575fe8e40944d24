"""The 16 bytes before everything: sizes, flags, ids, and how they arrive."""

from errno import EINVAL

import pytest
from client import Client, header
from function import Driver
from messages import (
    DEVICE_GET_INFO,
    DEVICE_GET_IRQ_INFO,
    DEVICE_GET_REGION_INFO,
    DEVICE_GET_REGION_IO_FDS,
    DEVICE_RESET,
    DEVICE_SET_IRQS,
    DISABLE,
    DMA_MAP,
    DMA_UNMAP,
    HEADER,
    MAX_DATA,
    REGION_READ,
    REGION_WRITE,
    REGION_WRITE_MULTI,
    VERSION,
    Command,
    Flags,
    Message,
    Raw,
    Region,
)
from served_function import Server

LONGEST = HEADER.size + 16 + MAX_DATA
INFO = DEVICE_GET_INFO().body()


def encoded(message: Message, msg_id: int, flags: int = 0) -> bytes:
    body = message.body()
    return header(message.command, HEADER.size + len(body), msg_id=msg_id, flags=flags) + body


def test_a_message_that_arrives_byte_by_byte_is_understood(client: Client) -> None:
    for byte in encoded(DEVICE_GET_INFO(), msg_id=700):
        client.raw(bytes([byte]))
    assert client.reply(700, DEVICE_GET_INFO()).unpack("IIII")[2] == 9


def test_a_version_that_arrives_byte_by_byte_is_understood(server: Server) -> None:
    client = server.connect()
    for byte in encoded(VERSION(), msg_id=9):
        client.raw(bytes([byte]))
    client.reply(9, VERSION())


@pytest.mark.parametrize("cut", [*range(1, 48), 47])
def test_a_message_may_be_cut_anywhere_and_its_descriptor_rides_on_the_first_part(
    server: Server, client: Client, cut: int
) -> None:
    message = DMA_MAP(0, 4096, fds=(server.memory(4096).fd,))
    data = encoded(message, msg_id=5)
    client.raw(data[:cut], message.fds)
    client.raw(data[cut:])
    client.reply(5, message)
    assert [entry["shared"] for entry in server.inspect()["maps"]] == [True]


def test_many_messages_in_one_write_are_many_messages(client: Client) -> None:
    reads = [REGION_READ(Region.BAR0, 0, 1 + n % 4) for n in range(300)]
    client.raw(b"".join(encoded(read, msg_id=n) for n, read in enumerate(reads)))
    for n, read in enumerate(reads):
        assert client.reply(n, read).data == b"SIOV"[: read.count]


def test_a_write_that_ends_in_the_middle_of_a_header_is_continued(client: Client) -> None:
    data = encoded(DEVICE_GET_INFO(), msg_id=1) + encoded(DEVICE_RESET(), msg_id=2)
    client.raw(data[:40])
    client.reply(1, DEVICE_GET_INFO())
    client.raw(data[40:])
    client.reply(2, DEVICE_RESET())


@pytest.mark.parametrize("msg_id", [0, 1, 0x7FFF, 0x8000, 0xFFFF])
def test_the_reply_bears_the_id_and_the_command_of_its_request(client: Client, msg_id: int) -> None:
    client.raw(encoded(DEVICE_GET_INFO(), msg_id))
    client.reply(msg_id, DEVICE_GET_INFO())
    client.raw(encoded(Raw(777), msg_id))
    client.reply(msg_id, Raw(777), expect=EINVAL)


def test_an_id_may_be_used_twice(client: Client) -> None:
    for region in (0, 7):
        client.raw(encoded(DEVICE_GET_REGION_INFO(region), msg_id=4))
        assert client.reply(4, DEVICE_GET_REGION_INFO(region)).unpack("III")[2] == region


@pytest.mark.parametrize("size", range(HEADER.size))
def test_a_size_below_the_header_ends_the_connection(server: Server, client: Client, size: int) -> None:
    client.raw(header(Command.DEVICE_GET_INFO, size) + INFO)
    assert client.is_disconnected()
    server.until(lambda: server.counter("lost_streams") == 1, "not counted")


@pytest.mark.parametrize("size", [LONGEST + 1, 1 << 24, 1 << 31, 0xFFFFFFFF])
@pytest.mark.parametrize("command", [Command.VERSION, Command.REGION_WRITE, 999])
def test_a_size_above_the_longest_message_ends_the_connection(
    server: Server, client: Client, command: int, size: int
) -> None:
    client.raw(header(command, size) + INFO)
    assert client.is_disconnected()
    server.until(lambda: server.counter("lost_streams") == 1, "not counted")


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF])
def test_a_size_that_can_not_be_ends_a_connection_without_version(server: Server, size: int) -> None:
    client = server.connect()
    client.raw(header(Command.VERSION, size))
    assert client.is_disconnected()


def test_a_size_that_can_not_be_ends_the_connection_though_no_reply_is_wanted(client: Client) -> None:
    client.raw(header(Command.REGION_WRITE, 3, flags=Flags.NO_REPLY))
    assert client.is_disconnected()


def test_the_longest_message_is_taken(client: Client) -> None:
    client.send(REGION_WRITE(Region.BAR0, 0, bytes(MAX_DATA)), expect=EINVAL)
    client.send(DEVICE_GET_INFO())


def test_bits_of_the_flags_that_mean_nothing_are_passed_over(client: Client) -> None:
    for bit in range(6, 32):
        client.reply(client.request(DEVICE_GET_INFO(), 1 << bit), DEVICE_GET_INFO())


def test_a_command_with_the_error_bit_and_an_errno_is_a_command(client: Client) -> None:
    client.raw(header(Command.DEVICE_GET_INFO, 32, msg_id=8, flags=Flags.ERROR, error=0xFFFFFFFF) + INFO)
    client.reply(8, DEVICE_GET_INFO())


@pytest.mark.parametrize(
    "message",
    [
        DMA_MAP(0, 4096),
        DMA_UNMAP(0, 4096),
        DEVICE_GET_INFO(),
        DEVICE_GET_REGION_INFO(0),
        DEVICE_GET_REGION_IO_FDS(0),
        DEVICE_GET_IRQ_INFO(2),
        DEVICE_SET_IRQS(2, 0, 0, DISABLE),
        REGION_READ(7, 0, 4096),
        REGION_WRITE(0, 4, b"data"),
        REGION_WRITE_MULTI((REGION_WRITE(0, 4, b"data"),)),
        DEVICE_RESET(),
        *(Raw(command, bytes(16)) for command in range(14, 20) if command != 15),
        Raw(Command.DMA_READ, bytes(16)),
        Raw(0),
        Raw(0xFFFF, bytes(100)),
    ],
    ids=lambda message: f"{type(message).__name__}{message.command}",
)
def test_no_command_is_answered_that_wants_no_reply(client: Client, message: Message) -> None:
    client.post(message)
    client.post(Raw(message.command, b"\xff" * 3))
    client.send(DEVICE_GET_INFO())
    assert client.is_silent()


def test_no_reply_is_honoured_on_a_message_of_no_type(client: Client) -> None:
    client.request(DEVICE_GET_INFO(), 7 | Flags.NO_REPLY)
    assert client.is_silent()


@pytest.mark.parametrize("cut", [1, 8, 15, 16, 20, 31])
def test_a_message_cut_off_by_the_end_is_dropped(server: Server, driver: Driver, cut: int) -> None:
    driver.client.raw(encoded(DEVICE_GET_INFO(), msg_id=1)[:cut])
    driver.client.close()
    server.until(lambda: not server.inspect()["connected"], "still there")
    assert server.counter("lost_streams") == 1


def test_random_bytes_are_an_errno_or_the_end(server: Server) -> None:
    for seed in range(50):
        client = server.client()
        client.raw(bytes((seed * 31 + n * n) & 0xFF for n in range(400)))
        client.close()
