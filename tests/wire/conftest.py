"""A server for each test, which has to be whole and clean when the test is over."""

from collections.abc import Iterator

import pytest
from client import Client
from function import Driver
from served_function import Server, serving


@pytest.fixture
def server() -> Iterator[Server]:
    """A server for a test, with the claims of `serving`."""
    with serving() as server:
        yield server


@pytest.fixture
def client(server: Server) -> Client:
    """A client that has agreed on a version."""
    return server.client()


@pytest.fixture
def driver(client: Client) -> Driver:
    """The driver of the function, with DMA and MSI-X allowed."""
    driver = Driver(client)
    driver.bus_master()
    driver.msix()
    return driver
