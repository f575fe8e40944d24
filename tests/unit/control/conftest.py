"""A server's control socket over a platform that only records, and a client of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from siov.control.client import ControlClient
from siov.control.server import ControlServer

from .fake import Platform


@pytest.fixture
def platform() -> Platform:
    return Platform()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "control.sock"


@pytest.fixture
def server(platform: Platform, path: Path) -> Iterator[ControlServer]:
    with ControlServer(platform, path) as running:
        yield running


@pytest.fixture
def client(server: ControlServer) -> Iterator[ControlClient]:
    with ControlClient(server.path) as one:
        yield one
