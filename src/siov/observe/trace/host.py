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

# The first that a function's name begins with; else the first that its module's does.
_NAMES = (
    ("vfio", Kind.VFIO),
    ("mdev", Kind.MDEV),
    ("kernfs", Kind.SYSFS),
    ("sysfs", Kind.SYSFS),
    ("ice_", Kind.ICE),
    ("pci_", Kind.PCI),
)
_MODULES = (
    ("siov.drivers.ice", Kind.ICE),
    ("siov.host.mdev", Kind.MDEV),
    ("siov.host.vfio", Kind.VFIO),
    ("siov.host.pci", Kind.PCI),
)
_OF_HOST = frozenset(kind for _, kind in (*_NAMES, *_MODULES)) | {Kind.CORE}


def kind_of(function: str, module: str = "") -> Kind:
    """The kind of a step, by the name of its function and of the module that told it."""
    named = next((kind for word, kind in _NAMES if function.startswith(word)), None)
    return named or next((kind for word, kind in _MODULES if module.startswith(word)), Kind.CORE)


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
        emit = self._emit  # another thread may be about to end it
        if emit is not None:
            teller = _teller()
            kind = kind_of(event.function, str(teller.f_globals.get("__name__")))
            subject = event.subject.removeprefix("/")
            emit(kind, subject, event.function, event.detail, caller=teller, opens=True)


def _teller() -> FrameType:
    """The call that told the event: it did so by the hook, or by a `trace` that did."""
    frame = sys._getframe(2)
    while frame.f_code.co_name == "trace" and frame.f_back is not None:
        frame = frame.f_back
    return frame


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
        emit = self._emit
        if emit is not None:
            where = f"cpu{irq.cpu} vector {irq.vector:#x}"
            fields = {"cpu": irq.cpu, "vector": irq.vector}
            emit(Kind.INTERRUPT, name, "interrupt", where, fields, caller=sys._getframe(0), opens=True)
        handler()
