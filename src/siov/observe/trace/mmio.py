"""The host's accesses to physical addresses, and the windows in which somebody looks at them."""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections.abc import Collection
from types import FrameType
from typing import ClassVar, Protocol

from siov.host.pci.access import Mmio
from siov.observe.trace.step import Kind
from siov.observe.trace.tracer import Emit


class _Read(Protocol):
    def __call__(self, address: int, size: int) -> bytes: ...


class _Write(Protocol):
    def __call__(self, address: int, data: bytes) -> None: ...


class Window(Protocol):
    """A range of physical addresses that means something."""

    name: str
    base: int
    size: int

    def before_write(self, emit: Emit, at: int, data: bytes, caller: FrameType) -> None:
        """Bytes are about to be written at an offset."""

    def after_read(self, emit: Emit, at: int, data: bytes, caller: FrameType) -> None:
        """Bytes were read from an offset."""

    def begin(self) -> None:
        """Somebody starts to look."""


class MmioTap:
    """Stands between host and hardware. While nobody listens, `read` and `write` are the hardware's own.

    What looking at an access breaks is counted in `errors`, and does not reach who made it.
    """

    __slots__ = ("_emit", "_inner", "_map", "errors", "read", "write")

    read: _Read
    write: _Write
    kinds: ClassVar[Collection[Kind]] = frozenset(
        {Kind.CONFIG, Kind.REGISTER, Kind.ADMINQ, Kind.MAILBOX, Kind.IOMMU, Kind.FAULT}
    )

    def __init__(self, inner: Mmio) -> None:
        self._inner = inner
        self.read, self.write = inner.read, inner.write
        # Windows and where they begin, in order; replaced as a whole, for other threads look at it.
        self._map: tuple[list[int], list[Window]] = ([], [])
        self._emit: Emit | None = None
        self.errors = 0

    @property
    def inner(self) -> Mmio:
        """The hardware, for looks that are no accesses of the host's."""
        return self._inner

    def add(self, window: Window) -> None:
        """Look at a range of addresses; of two that overlap, the one that begins later counts."""
        self._set([*self._map[1], window])
        if self._emit is not None:
            window.begin()

    def remove(self, name: str) -> None:
        """Look no more at windows of that name."""
        self._set([window for window in self._map[1] if window.name != name])

    def _set(self, windows: list[Window]) -> None:
        windows.sort(key=lambda window: window.base)
        self._map = ([window.base for window in windows], windows)

    def listen(self, emit: Emit) -> None:
        """Tell what is read and written in the windows."""
        self._emit = emit
        for window in self._map[1]:
            window.begin()
        self.read, self.write = self._read, self._write

    def quiet(self) -> None:
        """Be as if it were not there."""
        self.read, self.write = self._inner.read, self._inner.write
        self._emit = None

    def _window(self, address: int) -> Window | None:
        starts, windows = self._map
        for n in range(bisect_right(starts, address) - 1, -1, -1):
            if address < windows[n].base + windows[n].size:
                return windows[n]
        return None

    def _read(self, address: int, size: int) -> bytes:
        data = self._inner.read(address, size)
        window, emit = self._window(address), self._emit
        if window is not None and emit is not None:
            try:
                window.after_read(emit, address - window.base, data, sys._getframe(1))
            except Exception:
                self.errors += 1
        return data

    def _write(self, address: int, data: bytes) -> None:
        window, emit = self._window(address), self._emit
        if window is not None and emit is not None:
            try:
                window.before_write(emit, address - window.base, data, sys._getframe(1))
            except Exception:
                self.errors += 1
        self._inner.write(address, data)
