"""Servers for the tests: the driver loaded, with and without something at the port."""

import pytest

from siov._core import Port

from .server import Server


class Wire:
    """The far end of the cable that the adapter's port is plugged into."""

    def __init__(self) -> None:
        self.near, self.far = Port.cable()

    def send(self, server: Server, *frames: bytes) -> None:
        for frame in frames:
            assert self.far.send(frame)
        server.pump()

    def take(self) -> list[bytes]:
        return self.far.receive(1024)


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def server(wire: Wire) -> Server:
    return Server(port=wire.near)


@pytest.fixture
def pf(server: Server):
    """The function, probed, without a netdev of its own."""
    return server.load()
