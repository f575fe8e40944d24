"""The test function on a socket, which has to be whole and clean when its clients have gone."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from client import Client, Memory
from function import Driver
from messages import Region

from siov._core import TestFunction
from siov.guests.endpoint import VfioUserEndpoint
from siov.hw.testfn import compose_config
from siov.spec.testfn import Bar0

SETTLE = 8.0
"""Seconds for a dead client to be noticed; a stalled one takes 5."""


def holdings() -> dict[str, int]:
    """What this process holds: descriptors, threads, mappings of clients' memory."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    return {
        "fds": len(os.listdir("/proc/self/fd")),
        "threads": len(os.listdir("/proc/self/task")),
        "mappings": sum("memfd:wire" in line or "wire-file" in line for line in lines),
    }


class Server:
    """The test function on a socket, and the clients that a test has made."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = compose_config()
        self.endpoint = VfioUserEndpoint(path, TestFunction(self.config.regs))
        self._close: list[Callable[[], None]] = []

    def connect(self) -> Client:
        """A client that has not said anything."""
        client = Client(self.path)
        self._close.append(client.close)
        return client

    def client(self, **capabilities: object) -> Client:
        """A client that has agreed on a version."""
        client = self.connect()
        client.negotiate(**capabilities)
        return client

    def memory(self, size: int, flags: int = os.MFD_CLOEXEC) -> Memory:
        """Memory that a client can share."""
        memory = Memory(size, flags)
        self._close.append(memory.close)
        return memory

    def own(self, fd: int) -> int:
        """A descriptor that is to be closed at the end."""
        self._close.append(lambda: os.close(fd))
        return fd

    def eventfd(self, value: int = 0, flags: int = os.EFD_CLOEXEC | os.EFD_NONBLOCK) -> int:
        """An eventfd that a client can give to a vector."""
        return self.own(os.eventfd(value, flags))

    def eventfds(self, count: int) -> tuple[int, ...]:
        """Several."""
        return tuple(self.eventfd() for _ in range(count))

    def inspect(self) -> dict[str, Any]:
        """The endpoint, looked at."""
        return self.endpoint.inspect()

    def counter(self, name: str) -> int:
        """One of the endpoint's counters."""
        return int(self.inspect()["counters"][name])

    def close(self) -> None:
        """Everything of the test goes."""
        while self._close:
            self._close.pop()()

    def until(self, holds: Callable[[], bool], what: str, timeout: float = SETTLE) -> None:
        """Wait until something holds."""
        until = time.monotonic() + timeout
        while not holds():
            assert time.monotonic() < until, what
            time.sleep(0.001)

    def check_next_client(self) -> None:
        """Claim that the next client is served, and finds nothing of the last."""
        client = Client(self.path)
        try:
            client.negotiate()
            driver = Driver(client)
            state = self.inspect()
            assert (state["connected"], state["maps"], state["irqs"]) == (True, [], [])
            assert driver.get(Bar0.ID).raw == int.from_bytes(b"SIOV", "little")
            for register in (Bar0.SCRATCH, Bar0.DOORBELL_COUNT, Bar0.COPY_STATUS, Bar0.MSIX_PBA):
                assert driver.get(register).raw == 0, register.__name__
            assert client.read(Region.CONFIG, 0, 4096) == compose_config().dump()
        finally:
            client.close()
        self.until(lambda: not self.inspect()["connected"], "the last client was not let go")


@contextmanager
def serving() -> Iterator[Server]:
    """A server; in the end it must serve the next client, and hold what it held before."""
    with tempfile.TemporaryDirectory(prefix="wire-") as folder:
        server = Server(Path(folder) / "function.sock")
        with server.endpoint:
            server.check_next_client()
            before = holdings()
            try:
                yield server
            finally:
                server.close()
            server.until(lambda: not server.inspect()["connected"], "the clients were not let go")
            server.check_next_client()
            until = time.monotonic() + SETTLE
            # Less is no leak: what an earlier test left behind may go at any time.
            while any((now := holdings())[what] > count for what, count in before.items()):
                assert time.monotonic() < until, f"leaked: {before} became {now}"
                time.sleep(0.001)
        assert not server.path.exists()
