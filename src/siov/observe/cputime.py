"""How long each thread of this process has run, and has waited for a processor, by what it is for."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path

TASKS = Path("/proc/self/task")
WORKER = "lan-worker-"  # how the core calls an adapter's threads


def thread_times(adapters: Sequence[str] = ()) -> dict[str, tuple[int, int]]:
    """Nanoseconds (run, waited) of each thread by its name, an adapter's workers as `nic0-worker0`.

    `adapters` are in the order in which their workers were started. Where the system does not tell of
    threads, only the whole process is there, as `process`, and its waits are 0.
    """
    found: dict[str, tuple[int, int]] = {}
    names = {thread.native_id: thread.name for thread in threading.enumerate()}
    seen: dict[str, int] = {}
    try:
        for tid in sorted(map(int, os.listdir(TASKS))):
            times = _times(tid)
            if times is not None:
                name = _name(names.get(tid) or _comm(tid), seen, adapters)
                run, waited = found.get(name, (0, 0))
                found[name] = run + times[0], waited + times[1]
    except OSError:
        found.clear()
    return found or {"process": (time.process_time_ns(), 0)}


def _name(name: str, seen: dict[str, int], adapters: Sequence[str]) -> str:
    if not name.startswith(WORKER):
        return name
    nth = seen[name] = seen.get(name, -1) + 1
    whose = adapters[nth] if nth < len(adapters) else f"nic{nth}"
    return f"{whose}-worker{name.removeprefix(WORKER)}"


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
