"""MSI-X on the host: the table is filled through the BAR, then switched on (drivers/pci/msi)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from errno import EINVAL, ENODEV, ENOSPC

from siov.host.irq import Handler, Irq, IrqVectors
from siov.host.linux import LinuxError
from siov.host.pci.dev import PciDev
from siov.spec.pcie import CapabilityId, Msix, MsixEntry
from siov.spec.word import Word


@dataclass(slots=True)
class MsixVectors:
    """The vectors of a device in use: vector n of the table raises `irqs[n]`."""

    dev: PciDev
    table: tuple[int, int]  # BAR, offset in it
    irqs: list[Irq]

    def mask(self, vector: int, masked: bool = True) -> None:
        """Mask or unmask one vector in the table."""
        self._put(vector, MsixEntry.VECTOR_CONTROL.of(MASK=int(masked)))

    def _put(self, vector: int, word: Word) -> None:
        bar, base = self.table
        self.dev.write_bar(bar, base + vector * MsixEntry.size + word.at, word.width // 8, word.raw)

    def program(self, vector: int, irq: Irq) -> None:
        """Point a vector at a CPU's vector and unmask it."""
        low, high = irq.address & 0xFFFF_FFFF, irq.address >> 32
        self._put(vector, MsixEntry.ADDRESS_LO(low))
        self._put(vector, MsixEntry.ADDRESS_HI(high))
        self._put(vector, MsixEntry.DATA.of(DATA=irq.data))
        self.mask(vector, masked=False)


def pci_msix_vec_count(dev: PciDev) -> int:
    """How many vectors the device's table has; ENODEV without MSI-X."""
    return dev.read_config(Msix.CONTROL, _at(dev) + Msix.CONTROL.at).SIZE + 1


def pci_alloc_irq_vectors(dev: PciDev, irqs: IrqVectors, handlers: Sequence[Handler]) -> MsixVectors:
    """Give vector n of the device's table to `handlers[n]` and switch MSI-X on, until the driver lets go.

    ENOSPC when the table is smaller than the list, or the CPUs have no vector left.
    """
    at = _at(dev)
    have = pci_msix_vec_count(dev)
    if len(handlers) > have:
        raise LinuxError(ENOSPC, f"{dev.name} has {have} MSI-X vectors; {len(handlers)} were asked for")
    place = dev.read_config(Msix.TABLE, at + Msix.TABLE.at)
    if dev.bar(place.BIR).start is None:
        raise LinuxError(EINVAL, f"{dev.name}: the MSI-X table is in BAR {place.BIR}, which has no address")
    vectors = MsixVectors(dev, (place.BIR, place.OFFSET << 3), [])
    control = at + Msix.CONTROL.at
    # Enabled but masked while the table is filled, so that no half-written entry is sent.
    dev.write_config(dev.read_config(Msix.CONTROL, control).replace(EN=1, MASK=1), control)
    dev.devm_add_action(_free, vectors, irqs, control)
    for n, handler in enumerate(handlers):
        irq = irqs.request_irq(handler, f"{dev.name}-{n}", dev.rid)
        vectors.irqs.append(irq)
        vectors.program(n, irq)
    dev.write_config(dev.read_config(Msix.CONTROL, control).replace(MASK=0), control)
    return vectors


def _free(vectors: MsixVectors, irqs: IrqVectors, control: int) -> None:
    dev = vectors.dev
    for n in range(len(vectors.irqs)):
        vectors.mask(n)
    dev.write_config(dev.read_config(Msix.CONTROL, control).replace(EN=0, MASK=0), control)
    for irq in vectors.irqs:
        irqs.free_irq(irq)


def _at(dev: PciDev) -> int:
    at = dev.find_capability(CapabilityId.MSIX)
    if at is None:
        raise LinuxError(ENODEV, f"{dev.name} has no MSI-X capability")
    return at
