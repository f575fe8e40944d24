"""Memory that the function reaches by DMA, and the domain of its requester id."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field

from siov.host.iommu import IntelIommu
from siov.host.pci import PciDev
from siov.host.physmem import PAGE_SIZE, PhysMem
from siov.spec.pcie import Ats, ExtendedCapabilityId, Pasid


@dataclass(slots=True, frozen=True)
class DmaBuffer:
    """Memory in one piece: `address` is what the device is told."""

    mem: PhysMem
    address: int
    size: int

    def read(self, at: int, size: int) -> bytes:
        """`size` bytes from an offset."""
        return self.mem.read(self.address + at, size)

    def write(self, at: int, data: bytes) -> None:
        """Bytes to an offset."""
        self.mem.write(self.address + at, data)


@dataclass(slots=True)
class DmaMemory:
    """Memory for the device (dma_alloc_coherent). The function's requester id is passed through.

    So an address on the bus is the host's; what is still in use is in `buffers`.
    """

    mem: PhysMem
    buffers: dict[int, DmaBuffer] = field(default_factory=dict)

    def alloc(self, size: int, kind: str) -> DmaBuffer:
        """Zeroed memory on pages of its own; ENOMEM."""
        address = self.mem.alloc_pages(-(-size // PAGE_SIZE), kind)
        buffer = self.buffers[address] = DmaBuffer(self.mem, address, size)
        return buffer

    def free(self, buffer: DmaBuffer) -> None:
        """Give memory back that no queue uses any more."""
        del self.buffers[buffer.address]
        self.mem.free(buffer.address)

    def inspect(self) -> dict[str, int]:
        """Buffers and bytes in use."""
        return {"buffers": len(self.buffers), "bytes": sum(b.size for b in self.buffers.values())}


def pci_dma_configure(dev: PciDev, iommu: IntelIommu | None, undo: ExitStack, *, ats: bool = False) -> None:
    """Put the function behind the unit, passed through, with PASIDs and, when wanted, ATS.

    What is set up already stays, and stays when `undo` runs.
    """
    if iommu is None:
        return
    if dev.rid not in iommu.devices:
        bits = pasid_width(dev) if iommu.scalable else 0
        iommu.add_device(dev.rid, ats=ats, pasid_bits=bits)
        undo.callback(iommu.remove_device, dev.rid)
        # PASID before ATS: it may not change while ATS is enabled (PCIe 10.5.1.3).
        if bits:
            _control(dev, ExtendedCapabilityId.PASID, Pasid.CTL.of(E=1))
            undo.callback(_control, dev, ExtendedCapabilityId.PASID, Pasid.CTL.of())
        if ats:
            _control(dev, ExtendedCapabilityId.ATS, Ats.CTL.of(E=1))
            undo.callback(_control, dev, ExtendedCapabilityId.ATS, Ats.CTL.of())
    if (dev.rid, None) not in iommu.attached:
        iommu.attach(iommu.identity_domain(f"{dev.name}-identity"), dev.rid)
        undo.callback(iommu.detach, dev.rid)


def pasid_width(dev: PciDev) -> int:
    """Width of the function's PASIDs in bits, 0 without the capability."""
    at = dev.find_capability(ExtendedCapabilityId.PASID)
    return 0 if at is None else dev.read_config(Pasid.CAP, at + Pasid.CAP.at).WIDTH


def iommu_dev_enable_feature(dev: PciDev, iommu: IntelIommu | None) -> bool:
    """Whether the function's DMA can have PASIDs of its own (IOMMU_DEV_FEAT_AUX)."""
    return iommu is not None and iommu.scalable and iommu.devices[dev.rid].pasid_bits > 0


def _control(dev: PciDev, which: ExtendedCapabilityId, value: Ats.CTL | Pasid.CTL) -> None:
    at = dev.find_capability(which)
    if at is not None:
        dev.write_config(value, at + value.at)
