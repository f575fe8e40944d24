"""Interrupts on the host: vectors of the CPU, and the messages that reach them (arch/x86/kernel/apic)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from errno import ENOSPC

from siov.host.linux import LinuxError
from siov.spec.msi import MsiAddress, MsiData

Handler = Callable[[], None]

FIRST_VECTOR, LAST_VECTOR = 0x20, 0xEF  # below are exceptions, above the system's own


@dataclass(slots=True, frozen=True)
class Irq:
    """An allocated vector of one CPU, and the message that raises it."""

    cpu: int
    vector: int

    @property
    def address(self) -> int:
        """Where the message is written."""
        return MsiAddress.of(PREFIX=0xFEE, DEST=self.cpu).raw

    @property
    def data(self) -> int:
        """What is written."""
        return MsiData.of(VECTOR=self.vector).raw


@dataclass(slots=True)
class IrqVectors:
    """The vectors of `cpus` CPUs, each with its handler and a count, as /proc/interrupts has them."""

    cpus: int = 1
    actions: dict[Irq, tuple[str, Handler]] = field(default_factory=dict)
    counts: dict[Irq, int] = field(default_factory=dict)
    spurious: int = 0

    def request_irq(self, handler: Handler, name: str) -> Irq:
        """Allocate a free vector, on the CPU that has most; ENOSPC when there is none."""
        used = [sum(irq.cpu == cpu for irq in self.actions) for cpu in range(self.cpus)]
        cpu = used.index(min(used))
        for vector in range(FIRST_VECTOR, LAST_VECTOR + 1):
            irq = Irq(cpu, vector)
            if irq not in self.actions:
                self.actions[irq] = (name, handler)
                self.counts[irq] = 0
                return irq
        total = self.cpus * (LAST_VECTOR - FIRST_VECTOR + 1)
        raise LinuxError(ENOSPC, f"no interrupt vector is left for {name}: all {total} are taken")

    def free_irq(self, irq: Irq) -> None:
        """Give a vector back."""
        del self.actions[irq], self.counts[irq]

    def deliver(self, address: int, data: int) -> None:
        """A message has arrived: run its handler; one without is counted as spurious."""
        irq = Irq(MsiAddress(address & 0xFFFF_FFFF).DEST, MsiData(data).VECTOR)
        if irq not in self.actions:
            self.spurious += 1
            return
        self.counts[irq] += 1
        self.actions[irq][1]()

    def interrupts(self) -> Iterator[tuple[str, int]]:
        """Name and count of each vector in use."""
        return ((name, self.counts[irq]) for irq, (name, _) in self.actions.items())

    def inspect(self) -> dict[str, object]:
        """Name and count by CPU and vector."""
        rows = {f"cpu{irq.cpu}/{irq.vector:#x}": name for irq, (name, _) in self.actions.items()}
        return {"vectors": rows, "counts": dict(self.interrupts()), "spurious": self.spurious}
