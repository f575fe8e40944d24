"""What no specification knows: other commands, other types, replies that nobody asked for."""

import random
from errno import EINVAL

import pytest
from client import Client, header
from messages import DEVICE_GET_INFO, HEADER, Command, Flags, Raw
from served_function import Server


def test_every_other_number_is_invalid_and_counted(server: Server, client: Client) -> None:
    numbers = [0, 19, 20, 255, 256, 0x7FFF, 0x8000, 0xFFFF, *random.Random(1).sample(range(19, 65536), 200)]
    for number in numbers:
        client.send(Raw(number), expect=EINVAL)
    assert server.counter("unknown_commands") == len(numbers)


@pytest.mark.parametrize("size", [1, 16, 4096, 1 << 20])
def test_the_body_of_an_unknown_command_is_passed_over(client: Client, size: int) -> None:
    client.send(Raw(999, b"\xff" * size), expect=EINVAL)
    client.send(DEVICE_GET_INFO())


def test_descriptors_of_an_unknown_command_are_closed(server: Server, client: Client) -> None:
    client.send(Raw(999, bytes(32), server.eventfds(16)), expect=EINVAL)


@pytest.mark.parametrize("command", [Command.DMA_READ, Command.DMA_WRITE])
@pytest.mark.parametrize("size", [0, 16, 20])
def test_commands_of_the_server_are_invalid_from_the_client(
    client: Client, command: Command, size: int
) -> None:
    client.send(Raw(command, bytes(size)), expect=EINVAL)


@pytest.mark.parametrize("kind", range(2, 16))
def test_a_type_that_is_neither_command_nor_reply_is_invalid(client: Client, kind: int) -> None:
    message = DEVICE_GET_INFO()
    client.reply(client.request(message, kind), message, expect=EINVAL)
    client.send(message)


@pytest.mark.parametrize("flags", [Flags.REPLY, Flags.REPLY | Flags.ERROR, Flags.REPLY | Flags.NO_REPLY])
@pytest.mark.parametrize("command", [0, 4, Command.DMA_READ, Command.DMA_WRITE, 999])
def test_a_reply_that_nobody_asked_for_is_counted_and_not_answered(
    server: Server, client: Client, command: int, flags: int
) -> None:
    for msg_id in (0, 1, 0xFFFF):
        client.raw(header(command, HEADER.size + 32, msg_id=msg_id, flags=flags, error=5) + bytes(32))
    client.send(DEVICE_GET_INFO())
    assert client.is_silent()
    assert server.counter("stray_replies") == 3


def test_a_reply_before_the_version_is_counted(server: Server) -> None:
    client = server.connect()
    client.raw(header(Command.DMA_READ, 16, flags=Flags.REPLY))
    client.negotiate()
    assert server.counter("stray_replies") == 1


def test_descriptors_of_a_stray_reply_are_closed(server: Server, client: Client) -> None:
    for _ in range(20):
        client.raw(header(Command.DMA_READ, 16, flags=Flags.REPLY), server.eventfds(4))
    client.send(DEVICE_GET_INFO())


def test_ten_thousand_stray_replies_are_only_that(server: Server, client: Client) -> None:
    client.raw(header(Command.DMA_WRITE, 16, flags=Flags.REPLY) * 10_000)
    client.send(DEVICE_GET_INFO())
    assert server.counter("stray_replies") == 10_000
