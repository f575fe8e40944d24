"""Servers for the tests: the driver loaded, with and without something at the port."""

import pytest

from conformance.wire import Wire

from .server import Server


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
