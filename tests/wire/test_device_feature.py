"""DEVICE_FEATURE: features beyond the first version; the endpoint does not offer it."""

from errno import EINVAL, ENOTSUP

import pytest
from client import Client
from messages import Command, Raw
from served_function import Server


@pytest.mark.parametrize("size", [0, 1, 8, 24, 40, 4096])
@pytest.mark.parametrize("fill", [0x00, 0xFF])
def test_it_is_not_supported_whatever_it_says(client: Client, size: int, fill: int) -> None:
    client.send(Raw(Command.DEVICE_FEATURE, bytes([fill]) * size), expect=ENOTSUP)


def test_a_descriptor_is_refused_with_it(server: Server, client: Client) -> None:
    client.send(Raw(Command.DEVICE_FEATURE, bytes(16), (server.eventfd(),)), expect=(EINVAL, ENOTSUP))


def test_it_is_counted_by_its_name(server: Server, client: Client) -> None:
    client.send(Raw(Command.DEVICE_FEATURE, bytes(16)), expect=ENOTSUP)
    counters = server.inspect()["counters"]
    assert (counters["commands"]["DEVICE_FEATURE"], counters["errors"], counters["unknown_commands"]) == (
        1,
        1,
        0,
    )
