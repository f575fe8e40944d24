"""The test function on a socket, and what the server process holds, for tests that boot guests on it."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from siov._core import TestFunction
from siov.guests.endpoint import VfioUserEndpoint
from siov.host.lspci import Address, Names, Options, PciFunctionView, Resource, ResourceFlag, load, render
from siov.hw import testfn
from siov.hw.pcie.config import ConfigSpace
from siov.spec.testfn import Bar0

SLOT = "0000:01:00.0"  # where a guest finds its first device


@dataclass(slots=True, frozen=True)
class Served:
    """A served function: its socket, its configuration space, its endpoint."""

    socket: Path
    config: ConfigSpace
    endpoint: VfioUserEndpoint

    def lspci(self, pci_ids: Path, **options: int) -> list[str]:
        """The function's lines as `siov lspci` writes them, from the server's side."""
        unplaced = Resource(0, Bar0.size, ResourceFlag.MEM | ResourceFlag.MEM_64 | 0x4)
        view = PciFunctionView(
            Address(0, 1, 0, 0), self.config.dump(), [unplaced] + [Resource()] * 6, irq=0, slot="0"
        )
        return render([view], Options(names=Names(load(pci_ids)), **options)).splitlines()


@contextmanager
def serve(socket: Path) -> Iterator[Served]:
    """Serve the function on a socket."""
    config = testfn.compose_config()
    with VfioUserEndpoint(socket, TestFunction(config.regs)) as endpoint:
        yield Served(socket, config, endpoint)


def holdings() -> dict[str, int]:
    """What this process holds: descriptors, threads, and mappings of memory that a guest shares."""
    maps = Path("/proc/self/maps").read_text().splitlines()
    return {
        "fds": len(os.listdir("/proc/self/fd")),
        "threads": len(os.listdir("/proc/self/task")),
        "python threads": threading.active_count(),
        "memfds": sum("memfd:" in line for line in maps),
    }
