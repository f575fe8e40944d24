"""MIG_DATA_READ and MIG_DATA_WRITE: the state of a device on its way; the endpoint does not offer them."""

from errno import EINVAL, ENOTSUP

import pytest
from client import Client
from messages import Command, Raw
from served_function import Server

BOTH = pytest.mark.parametrize("command", [Command.MIG_DATA_READ, Command.MIG_DATA_WRITE])


@BOTH
@pytest.mark.parametrize("size", [0, 1, 8, 12, 4096, 1 << 20])
def test_they_are_not_supported_whatever_they_say(client: Client, command: Command, size: int) -> None:
    client.send(Raw(command, b"\xff" * size), expect=ENOTSUP)


@BOTH
def test_a_descriptor_is_refused_with_them(server: Server, client: Client, command: Command) -> None:
    client.send(Raw(command, bytes(8), (server.eventfd(),)), expect=(EINVAL, ENOTSUP))
