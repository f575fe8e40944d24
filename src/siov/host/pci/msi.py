"""MSI-X on the host: the table is filled through the BAR, then switched on (drivers/pci/msi)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from errno import EBUSY, EINVAL, ENODEV, ENOSPC

from siov.host.irq import Handler, Irq, IrqVectors
from siov.host.linux import LinuxError
from siov.host.pci.dev import PciDev
from siov.spec.pcie import CapabilityId, Msix, MsixEntry
from siov.spec.word import Word


@dataclass(slots=True)
class MsixVectors:
    """The vectors of a device in use: vector n of the table raises `given[n]`."""

    dev: PciDev
    irq_vectors: IrqVectors
    table: tuple[int, int]  # BAR, offset in it
    size: int
    given: dict[int, Irq] = field(default_factory=dict)
    _hint: int = 0  # none below is free

    @property
    def irqs(self) -> list[Irq]:
        """The interrupts in use, by vector."""
        return [self.given[n] for n in sorted(self.given)]

    @property
    def available(self) -> int:
        """Vectors of the table that nobody has."""
        return self.size - len(self.given)

    def alloc_irq_at(self, vector: int | None, handler: Handler, name: str) -> int:
        """Take a vector into use, the first free one with None (pci_msix_alloc_irq_at); gives its number.

        EINVAL for a vector that the table does not have, EBUSY for one in use, ENOSPC when the table, the
        CPUs or the remapping table are full.
        """
        if vector is None:
            vector = next((n for n in range(self._hint, self.size) if n not in self.given), None)
            if vector is None:
                raise LinuxError(ENOSPC, f"{self.dev.name}: all {self.size} MSI-X vectors are taken")
        if not 0 <= vector < self.size:
            raise LinuxError(
                EINVAL,
                f"{self.dev.name} has MSI-X vectors 0 to {self.size - 1}; there is no vector {vector}",
            )
        if vector in self.given:
            raise LinuxError(EBUSY, f"{self.dev.name}: MSI-X vector {vector} is in use")
        irq = self.irq_vectors.request_irq(handler, name, self.dev.rid)
        if self._hint == vector:
            self._hint += 1
        self.given[vector] = irq
        self.program(vector, irq)
        return vector

    def free_irq(self, vector: int) -> None:
        """Mask a vector and give it back; EINVAL when it is not in use."""
        if vector not in self.given:
            raise LinuxError(EINVAL, f"{self.dev.name}: MSI-X vector {vector} is not in use")
        self.mask(vector)
        self.irq_vectors.free_irq(self.given.pop(vector))
        self._hint = min(self._hint, vector)

    def mask(self, vector: int, masked: bool = True) -> None:
        """Mask or unmask one vector in the table."""
        self._put(vector, MsixEntry.VECTOR_CONTROL.of(MASK=int(masked)))

    def program(self, vector: int, irq: Irq) -> None:
        """Point a vector at a CPU's vector and unmask it."""
        low, high = irq.address & 0xFFFF_FFFF, irq.address >> 32
        self._put(vector, MsixEntry.ADDRESS_LO(low))
        self._put(vector, MsixEntry.ADDRESS_HI(high))
        self._put(vector, MsixEntry.DATA.of(DATA=irq.data))
        self.mask(vector, masked=False)

    def restore(self) -> None:
        """Write every entry in use again, after the device has lost its table in a reset."""
        for vector, irq in self.given.items():
            self.program(vector, irq)

    def _put(self, vector: int, word: Word) -> None:
        bar, base = self.table
        self.dev.write_bar(bar, base + vector * MsixEntry.size + word.at, word.width // 8, word.raw)


def pci_msix_vec_count(dev: PciDev) -> int:
    """How many vectors the device's table has; ENODEV without MSI-X."""
    return dev.read_config(Msix.CONTROL, _at(dev) + Msix.CONTROL.at).SIZE + 1


def pci_alloc_irq_vectors(dev: PciDev, irqs: IrqVectors, handlers: Sequence[Handler]) -> MsixVectors:
    """Give vector n of the device's table to `handlers[n]` and switch MSI-X on, until the driver lets go.

    More can be taken later, with `alloc_irq_at`. ENOSPC when the table is smaller than the list, or the
    CPUs have no vector left.
    """
    at = _at(dev)
    have = pci_msix_vec_count(dev)
    if len(handlers) > have:
        raise LinuxError(ENOSPC, f"{dev.name} has {have} MSI-X vectors; {len(handlers)} were asked for")
    place = dev.read_config(Msix.TABLE, at + Msix.TABLE.at)
    if dev.bar(place.BIR).start is None:
        raise LinuxError(EINVAL, f"{dev.name}: the MSI-X table is in BAR {place.BIR}, which has no address")
    vectors = MsixVectors(dev, irqs, (place.BIR, place.OFFSET << 3), have)
    control = at + Msix.CONTROL.at
    # Enabled but masked while the table is filled, so that no half-written entry is sent.
    dev.write_config(dev.read_config(Msix.CONTROL, control).replace(EN=1, MASK=1), control)
    dev.devm_add_action(_free, vectors, control)
    for n, handler in enumerate(handlers):
        vectors.alloc_irq_at(n, handler, f"{dev.name}-{n}")
    dev.write_config(dev.read_config(Msix.CONTROL, control).replace(MASK=0), control)
    return vectors


def _free(vectors: MsixVectors, control: int) -> None:
    dev = vectors.dev
    for n in sorted(vectors.given):
        vectors.free_irq(n)
    dev.write_config(dev.read_config(Msix.CONTROL, control).replace(EN=0, MASK=0), control)


def _at(dev: PciDev) -> int:
    at = dev.find_capability(CapabilityId.MSIX)
    if at is None:
        raise LinuxError(ENODEV, f"{dev.name} has no MSI-X capability")
    return at
