"""Steps of the driver core by their Linux function names, and interrupts by the names of their handlers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from types import FrameType
from typing import Protocol

from siov.host.irq import Handler, Irq
from siov.host.linux import TraceEvent, TraceHook
from siov.observe.trace.step import Kind
from siov.observe.trace.tracer import Emit

# The first whose words a function's name begins with, or has in it.
_BEGIN = (("ice_", Kind.ICE), ("vfio", Kind.VFIO), ("kernfs", Kind.SYSFS), ("sysfs_kf", Kind.SYSFS))
_HAVE = (("mdev", Kind.MDEV), ("_store", Kind.SYSFS), ("_show", Kind.SYSFS), ("pci", Kind.PCI))
_OF_HOST = frozenset(kind for _, kind in (*_BEGIN, *_HAVE)) | {Kind.CORE}


def kind_of(function: str) -> Kind:
    """The kind of a step, by the name of its function."""
    begins = next((kind for word, kind in _BEGIN if function.startswith(word)), None)
    return begins or next((kind for word, kind in _HAVE if word in function), Kind.CORE)


class Hooked(Protocol):
    """What owns the hook that steps are told to: `DriverCore.root`."""

    hook: TraceHook | None


class HostSource:
    """The driver core. Who had the hook before still hears of each step; `watchers` do while it listens."""

    kinds: Collection[Kind] = _OF_HOST

    def __init__(self, root: Hooked) -> None:
        self._root = root
        self._before: TraceHook | None = None
        self._emit: Emit | None = None
        self.watchers: list[Callable[[TraceEvent], None]] = []

    def listen(self, emit: Emit) -> None:
        """Take the hook."""
        self._before, self._emit = self._root.hook, emit
        self._root.hook = self._hook

    def quiet(self) -> None:
        """Give the hook back."""
        self._root.hook, self._before, self._emit = self._before, None, None

    def _hook(self, event: TraceEvent) -> None:
        if self._before is not None:
            self._before(event)
        for watcher in self.watchers:
            watcher(event)
        if self._emit is not None:
            subject = event.subject.removeprefix("/")
            kind = kind_of(event.function)
            self._emit(kind, subject, event.function, event.detail, caller=_teller(), opens=True)


def _teller() -> FrameType:
    """The call that told the event: it did so by the hook, or by `KObject.trace`, which did."""
    frame = sys._getframe(2)
    above = frame.f_back
    return above if frame.f_code.co_name == "trace" and above is not None else frame


class Interrupts(Protocol):
    """What runs handlers: `IrqVectors`."""

    around: Callable[[Irq, str, Handler], None] | None


class InterruptSource:
    """The vectors of the CPUs: a step for each that the host handles; what its handler does is part of it.

    Interrupts that go to eventfds never reach the host, and are not seen.
    """

    kinds: Collection[Kind] = frozenset({Kind.INTERRUPT})

    def __init__(self, irqs: Interrupts) -> None:
        self._irqs = irqs
        self._emit: Emit | None = None

    def listen(self, emit: Emit) -> None:
        """Stand around handlers."""
        self._emit = emit
        self._irqs.around = self._around

    def quiet(self) -> None:
        """Stand aside."""
        self._irqs.around, self._emit = None, None

    def _around(self, irq: Irq, name: str, handler: Handler) -> None:
        if self._emit is not None:
            where = f"cpu{irq.cpu} vector {irq.vector:#x}"
            fields = {"cpu": irq.cpu, "vector": irq.vector}
            self._emit(Kind.INTERRUPT, name, "interrupt", where, fields, caller=sys._getframe(0), opens=True)
        handler()
