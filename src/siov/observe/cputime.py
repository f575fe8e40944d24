"""How long each thread of this process has run, and has waited for a processor, by what it is for."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

TASKS = Path("/proc/self/task")
WORKER = "lan-worker-"  # how the core calls an adapter's threads


@dataclass(slots=True)
class ThreadTimes:
    """The times of threads, each by a name that it keeps: an adapter's workers are `nic0-worker0` and so on.

    `adapters` are in the order in which their workers are started.
    """

    adapters: Sequence[str] = ()
    _workers: dict[int, str] = field(default_factory=dict)

    def read(self) -> dict[str, tuple[int, int]]:
        """Nanoseconds (run, waited) of each thread, of all together that share a name.

        Where the system does not tell of threads, only the whole process is there, as `process`, and its
        waits are 0.
        """
        found: dict[str, tuple[int, int]] = {}
        named = {thread.native_id: thread.name for thread in threading.enumerate()}
        try:
            living = sorted(map(int, os.listdir(TASKS)))
        except OSError:
            living = []
        self._workers = {tid: name for tid, name in self._workers.items() if tid in living}
        for tid in living:
            times = _times(tid)
            if times is not None:
                name = self._workers.get(tid) or named.get(tid) or self._name(tid, _comm(tid))
                run, waited = found.get(name, (0, 0))
                found[name] = run + times[0], waited + times[1]
        return found or {"process": (time.process_time_ns(), 0)}

    def _name(self, tid: int, comm: str) -> str:
        """A worker is of the first adapter of which this one is not there yet."""
        if not comm.startswith(WORKER):
            return comm
        names = (f"{nic}-worker{comm.removeprefix(WORKER)}" for nic in self.adapters)
        name = next((name for name in names if name not in self._workers.values()), None)
        if name is None:
            return comm
        self._workers[tid] = name
        return name


def _times(tid: int) -> tuple[int, int] | None:
    """From schedstat: its third number counts slices. None when the thread has just ended."""
    try:
        run, waited, _ = (TASKS / str(tid) / "schedstat").read_text().split()
    except (OSError, ValueError):
        return None
    return int(run), int(waited)


def _comm(tid: int) -> str:
    try:
        return (TASKS / str(tid) / "comm").read_text().strip()
    except OSError:
        return "ended"
