"""The windows of an adapter: its registers, and the rings that they lead to."""

from __future__ import annotations

from types import FrameType

from siov.observe.trace.mmio import MmioTap
from siov.observe.trace.names import find
from siov.observe.trace.rings import ControlQueues, Read
from siov.observe.trace.tracer import Emit
from siov.observe.trace.windows import RegisterWindow
from siov.spec.e810 import Bar0
from siov.spec.e810.registers import Bar3, Pages


class NicWindow(RegisterWindow):
    """BAR 0 of an adapter's function."""

    def __init__(self, name: str, base: int, size: int, read: Read) -> None:
        super().__init__(name, base, size, (Bar0, Pages))
        self._queues = [ControlQueues(read, base, name, prefix) for prefix in ("PF_FW", "PF_MBX")]

    def begin(self) -> None:
        """Find out where the host is in its rings."""
        for queues in self._queues:
            queues.begin()

    def before_write(self, emit: Emit, at: int, data: bytes, caller: FrameType) -> None:
        """Tell of a write, and of what it hands to hardware."""
        super().before_write(emit, at, data, caller)
        found = find(Bar0, at)
        if found is not None:
            for queues in self._queues:
                queues.before_write(emit, found.name, int.from_bytes(data, "little"), caller)

    def after_read(self, emit: Emit, at: int, data: bytes, caller: FrameType) -> None:
        """Tell of a read, and of what hardware has handed over."""
        super().after_read(emit, at, data, caller)
        found = find(Bar0, at)
        if found is not None:
            for queues in self._queues:
                queues.after_read(emit, found.name, int.from_bytes(data, "little"), caller)


def nic_windows(tap: MmioTap, name: str, bar0: tuple[int, int], bar3: tuple[int, int] | None = None) -> None:
    """Look at an adapter called `name`, whose BARs are given as physical address and size in bytes."""
    tap.add(NicWindow(name, *bar0, tap.inner.read))
    if bar3 is not None:
        tap.add(RegisterWindow(name, *bar3, (Bar3,)))
