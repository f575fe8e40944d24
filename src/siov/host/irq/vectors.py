"""Vectors of the CPUs, and the messages that reach them (arch/x86/kernel/apic)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from errno import EINVAL, ENODEV, ENOSPC
from heapq import heapify, heappop, heappush, heapreplace
from typing import Protocol

from siov.host.linux import LinuxError
from siov.spec.msi import MsiAddress, MsiData, RemappableAddress, RemappableData

Handler = Callable[[], None]

FIRST_VECTOR, LAST_VECTOR = 0x20, 0xEF  # below are exceptions, above the system's own
VECTORS = LAST_VECTOR - FIRST_VECTOR + 1  # of each CPU, for devices


@dataclass(slots=True, frozen=True)
class RemapHandle:
    """What a message in remappable format names: entry `handle + subhandle` of the table."""

    handle: int
    subhandle: int = 0

    @property
    def index(self) -> int:
        """The entry."""
        return self.handle + self.subhandle


class Bypass(Protocol):
    """What takes interrupts past the host's handlers, to whoever waits on an eventfd (irqbypass)."""

    def connect(self, destination: int, vector: int, fd: int) -> None:
        """Have a vector's interrupts signal an eventfd; `ValueError` when it is none."""

    def disconnect(self, destination: int, vector: int) -> bool:
        """Have them come to the handlers again."""


class Remapper(Protocol):
    """The interrupt remapping of the unit that devices are behind."""

    def alloc_irtes(self, rid: int, targets: Sequence[tuple[int, int]]) -> int:
        """Entries in a row for a device's interrupts to (cpu, vector) each; the first one's index."""

    def free_irtes(self, first: int, count: int = 1) -> None:
        """Give entries back."""


@dataclass(slots=True, frozen=True)
class Irq:
    """An allocated vector of one CPU, and the message that raises it, straight or by a remapping entry."""

    cpu: int
    vector: int
    remap: RemapHandle | None = field(default=None, compare=False)

    @property
    def address(self) -> int:
        """Where the message is written."""
        if self.remap is None:
            return MsiAddress.of(PREFIX=0xFEE, DEST=self.cpu).raw
        handle = self.remap.handle
        return RemappableAddress.of(
            PREFIX=0xFEE, INTR_FMT=1, SHV=1, HANDLE=handle & 0x7FFF, HANDLE_15=handle >> 15
        ).raw

    @property
    def data(self) -> int:
        """What is written."""
        if self.remap is None:
            return MsiData.of(VECTOR=self.vector).raw
        return RemappableData.of(SUBHANDLE=self.remap.subhandle).raw


@dataclass(slots=True)
class IrqVectors:
    """The vectors of `cpus` CPUs, each with its handler and a count, as /proc/interrupts has them.

    With a `remapper`, the interrupts of devices are given messages in remappable format. With a `bypass`,
    interrupts can go to eventfds; these are not counted here, for the host does not see them.
    """

    cpus: int = 1
    actions: dict[Irq, tuple[str, Handler]] = field(default_factory=dict)
    counts: dict[Irq, int] = field(default_factory=dict)
    spurious: int = 0
    remapper: Remapper | None = None
    bypass: Bypass | None = None
    around: Callable[[Irq, str, Handler], None] | None = None  # runs the handler instead, and sees it
    _connected: set[Irq] = field(default_factory=set)
    _free: list[list[int]] = field(init=False)  # vectors by CPU, each a heap
    _most: list[tuple[int, int]] = field(init=False)  # heap of (vectors in use, CPU), some of before

    def __post_init__(self) -> None:
        self._free = [list(range(FIRST_VECTOR, LAST_VECTOR + 1)) for _ in range(self.cpus)]
        self._most = [(0, cpu) for cpu in range(self.cpus)]

    def request_irq(self, handler: Handler, name: str, rid: int | None = None) -> Irq:
        """Allocate a free vector, on the CPU that has most; ENOSPC when there is none.

        `rid` is the device that will send the message; without one (the host's own, such as a remapping
        unit's events) the message is in compatibility format always.
        """
        if rid is None or self.remapper is None:
            return self._claim(handler, name)
        return self.request_irqs([(handler, name)], rid)[0]

    def request_irqs(self, actions: Sequence[tuple[Handler, str]], rid: int) -> list[Irq]:
        """Vectors for a device whose messages share an address and differ in data only (multiple MSI).

        ENOSPC when vectors or entries run out, or without remapping: there, the vectors would have to be
        in a row.
        """
        if self.remapper is None:
            raise LinuxError(ENOSPC, f"{rid:#06x}: several messages need interrupt remapping, which is off")
        taken: list[Irq] = []
        try:
            for handler, name in actions:
                taken.append(self._claim(handler, name))
            first = self.remapper.alloc_irtes(rid, [(irq.cpu, irq.vector) for irq in taken])
        except LinuxError:
            for irq in taken:
                self._drop(irq)
            raise
        given = [Irq(irq.cpu, irq.vector, RemapHandle(first, n)) for n, irq in enumerate(taken)]
        for irq in given:
            self.actions[irq] = self.actions.pop(irq)  # the key now says how it is remapped
            self.counts[irq] = self.counts.pop(irq)
        return given

    def connect(self, irq: Irq, fd: int | None) -> None:
        """Have an interrupt signal an eventfd, or with None run its handler again.

        ENODEV without a bypass, EINVAL when `fd` is no eventfd; the eventfd of before stays then.
        """
        if fd is None:
            if irq in self._connected and self.bypass is not None:
                self.bypass.disconnect(irq.cpu, irq.vector)
                self._connected.discard(irq)
            return
        if self.bypass is None:
            raise LinuxError(ENODEV, f"cpu {irq.cpu} vector {irq.vector:#x}: nothing here signals eventfds")
        try:
            self.bypass.connect(irq.cpu, irq.vector, fd)
        except (OSError, ValueError) as why:
            raise LinuxError(EINVAL, f"file {fd} can't take interrupts: {why}") from None
        self._connected.add(irq)

    def free_irq(self, irq: Irq) -> None:
        """Give a vector back."""
        self.connect(irq, None)
        self._drop(irq)
        if irq.remap is not None and self.remapper is not None:
            self.remapper.free_irtes(irq.remap.index)

    def deliver(self, address: int, data: int) -> None:
        """A message in compatibility format has arrived."""
        self.interrupt(MsiAddress(address & 0xFFFF_FFFF).DEST, MsiData(data).VECTOR)

    def interrupt(self, cpu: int, vector: int) -> None:
        """A vector of a CPU was raised: run its handler; one without is counted as spurious."""
        irq = Irq(cpu, vector)
        if irq not in self.actions:
            self.spurious += 1
            return
        self.counts[irq] += 1
        name, handler = self.actions[irq]
        if self.around is None:
            handler()
        else:
            self.around(irq, name, handler)

    def interrupts(self) -> Iterator[tuple[str, int]]:
        """Name and count of each vector in use."""
        return ((name, self.counts[irq]) for irq, (name, _) in self.actions.items())

    def _claim(self, handler: Handler, name: str) -> Irq:
        cpu = self._least_loaded()
        if not self._free[cpu]:
            total = self.cpus * VECTORS
            raise LinuxError(ENOSPC, f"no interrupt vector is left for {name}: all {total} are taken")
        irq = Irq(cpu, heappop(self._free[cpu]))
        self.actions[irq] = (name, handler)
        self.counts[irq] = 0
        heapreplace(self._most, (self._load(cpu), cpu))
        return irq

    def _drop(self, irq: Irq) -> None:
        del self.actions[irq], self.counts[irq]
        heappush(self._free[irq.cpu], irq.vector)
        heappush(self._most, (self._load(irq.cpu), irq.cpu))
        if len(self._most) > 4 * self.cpus:
            self._most = [(self._load(cpu), cpu) for cpu in range(self.cpus)]
            heapify(self._most)

    def _load(self, cpu: int) -> int:
        return VECTORS - len(self._free[cpu])

    def _least_loaded(self) -> int:
        """The first of the CPUs with the fewest vectors in use, which is then on top of the heap."""
        while (top := self._most[0])[0] != self._load(top[1]):
            heappop(self._most)  # of before: there is another one of this CPU
        return top[1]

    def inspect(self) -> dict[str, object]:
        """Name and count by CPU and vector, and which of them are remapped by which entry."""
        rows = {f"cpu{irq.cpu}/{irq.vector:#x}": name for irq, (name, _) in self.actions.items()}
        remapped = {f"cpu{i.cpu}/{i.vector:#x}": i.remap.index for i in self.actions if i.remap}
        return {
            "vectors": rows,
            "counts": dict(self.interrupts()),
            "spurious": self.spurious,
            "eventfds": len(self._connected),
            "remapped": remapped,
        }
