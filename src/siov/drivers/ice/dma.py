"""Memory that the function reaches by DMA, and the domain of its requester id."""

from __future__ import annotations

from dataclasses import dataclass, field

from siov.host.iommu import IntelIommu
from siov.host.pci import PciDev
from siov.host.physmem import PAGE_SIZE, PhysMem


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


def iommu_dev_enable_feature(dev: PciDev, iommu: IntelIommu | None) -> bool:
    """Whether the function's DMA can have PASIDs of its own (IOMMU_DEV_FEAT_AUX)."""
    return iommu is not None and dev.rid in iommu.devices and iommu.devices[dev.rid].pasid_bits > 0
