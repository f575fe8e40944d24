"""The memory that a user lets its devices reach: one domain for all of them (vfio_iommu_type1.c)."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from errno import EBUSY, EEXIST, EINVAL, ENODEV, ENOENT, ENOSPC

from siov.host.iommu import (
    Ids,
    IntelIommu,
    PagingDomain,
    Stage,
    iommu_alloc_global_pasid,
    iommu_free_global_pasid,
)
from siov.host.linux import LinuxError
from siov.host.pgtable import Prot
from siov.host.physmem import PAGE_SIZE

DMA_ENTRY_LIMIT = 65535  # mappings that a container can have (vfio_iommu_type1's dma_entry_limit)


@dataclass(slots=True, frozen=True)
class DmaMapping:
    """What one dma_map made: `size` bytes of device addresses from `iova` lead to `phys`."""

    iova: int
    phys: int
    size: int
    prot: Prot


class VfioContainer:
    """A second stage in which device addresses are a user's, such as a VM's guest-physical ones.

    Each device that is attached gets a PASID out of `pasids`, which all of a host's containers share. Pages
    are as large as the unit can have them, or up to level `largest`.
    """

    def __init__(
        self, iommu: IntelIommu, pasids: Ids, *, name: str | None = None, largest: int | None = None
    ) -> None:
        self.iommu = iommu
        self.pasids = pasids
        self.domain: PagingDomain = iommu.alloc_domain(Stage.SECOND, name=name, largest=largest)
        self.attached: dict[int, int] = {}  # PASID: requester id
        self._mappings: dict[int, DmaMapping] = {}
        self._order: list[int] = []  # where mappings begin, ascending

    @property
    def mappings(self) -> list[DmaMapping]:
        """What is mapped, by address."""
        return [self._mappings[iova] for iova in self._order]

    def dma_map(self, iova: int, phys: int, size: int, prot: Prot = Prot.READ | Prot.WRITE) -> None:
        """Let devices reach `size` bytes at `phys` under `iova` (VFIO_IOMMU_MAP_DMA); all or nothing.

        EINVAL for what is not whole pages, gives no access or leaves the address space; EEXIST for a range
        of which a part is mapped; ENOSPC beyond 65,535 mappings; ENOMEM.
        """
        self._check_range(iova, size)
        if phys % PAGE_SIZE or phys < 0:
            raise LinuxError(EINVAL, f"{self.domain.name}: memory at {phys:#x} is not whole pages")
        at = bisect_left(self._order, iova + size)
        if at and (other := self._mappings[self._order[at - 1]]).iova + other.size > iova:
            raise LinuxError(
                EEXIST,
                f"{self.domain.name}: {size:#x} bytes at {iova:#x} overlap the mapping of"
                f" {other.size:#x} at {other.iova:#x}; unmap it first",
            )
        if len(self._order) >= DMA_ENTRY_LIMIT:
            raise LinuxError(
                ENOSPC, f"{self.domain.name} has all {DMA_ENTRY_LIMIT} mappings; map larger pieces"
            )
        self.domain.map(iova, phys, size, prot)
        self._order.insert(at, iova)
        self._mappings[iova] = DmaMapping(iova, phys, size, prot)

    def dma_unmap(self, iova: int, size: int) -> int:
        """Take every mapping within a range away (VFIO_IOMMU_UNMAP_DMA); how many bytes that were.

        No device can reach them once it returns. EINVAL for a range that cuts a mapping, of which nothing is
        unmapped then.
        """
        self._check_range(iova, size)
        end = iova + size
        first, last = bisect_left(self._order, iova), bisect_left(self._order, end)
        for at in {max(first - 1, 0), last - 1} if last else ():
            one = self._mappings[self._order[at]]
            for cut in (iova, end):
                if one.iova < cut < one.iova + one.size:
                    raise LinuxError(
                        EINVAL,
                        f"{self.domain.name}: unmapping {size:#x} bytes at {iova:#x} would cut the mapping"
                        f" of {one.size:#x} at {one.iova:#x}; unmap all of it",
                    )
        gone = [self._mappings.pop(start) for start in self._order[first:last]]
        del self._order[first:last]
        if gone:
            start = gone[0].iova
            self.domain.unmap(start, gone[-1].iova + gone[-1].size - start)
        return sum(one.size for one in gone)

    def attach(self, rid: int) -> int:
        """Let a device's requests with a new PASID reach the memory; the PASID.

        ENODEV for a device that the unit does not know, EINVAL where unit or device can't do PASIDs, ENOSPC
        without a free PASID; nothing has changed then.
        """
        if not self.iommu.scalable:
            raise LinuxError(
                EINVAL,
                f"{self.iommu.name} is in legacy mode, which has no PASIDs; set the scenario's iommu"
                ' mode to "scalable"',
            )
        device = self.iommu.devices.get(rid)
        if device is None:
            raise LinuxError(ENODEV, f"{rid:#06x} is not behind {self.iommu.name}; add it first")
        with self.iommu.lock:
            pasid = iommu_alloc_global_pasid(self.pasids, device.pasid_bits)
            try:
                self.iommu.attach(self.domain, rid, pasid)
            except BaseException:
                iommu_free_global_pasid(self.pasids, pasid)
                raise
        self.attached[pasid] = rid
        return pasid

    def detach(self, pasid: int) -> None:
        """Refuse a device's requests again, and give the PASID back; ENOENT when it is none of these."""
        if pasid not in self.attached:
            raise LinuxError(ENOENT, f"{self.domain.name} has no device with PASID {pasid}")
        with self.iommu.lock:
            try:
                self.iommu.detach(self.attached.pop(pasid), pasid)
            finally:
                iommu_free_global_pasid(self.pasids, pasid)

    def close(self) -> None:
        """Unmap all and free the tables; EBUSY while a device is attached."""
        if self.attached:
            have = ", ".join(f"{pasid:#x}" for pasid in list(self.attached)[:4])
            raise LinuxError(EBUSY, f"{self.domain.name} has devices with PASID {have}; close them first")
        for one in self.mappings:
            self.dma_unmap(one.iova, one.size)
        self.domain.free()

    def _check_range(self, iova: int, size: int) -> None:
        if size <= 0 or iova < 0 or (iova | size) % PAGE_SIZE:
            raise LinuxError(EINVAL, f"{self.domain.name}: {size:#x} bytes at {iova:#x} are not whole pages")
        if iova + size > self.domain.limit:
            raise LinuxError(
                EINVAL,
                f"{self.domain.name} ends at {self.domain.limit:#x}; {size:#x} bytes at {iova:#x} leave it",
            )

    def inspect(self) -> dict[str, object]:
        """The PASIDs of its devices, how much is mapped in bytes, and the domain."""
        return {
            "attached": {f"{pasid:#x}": f"{rid:#06x}" for pasid, rid in self.attached.items()},
            "mapped": sum(one.size for one in self._mappings.values()),
            "mappings": len(self._order),
            "domain": self.domain.inspect(),
        }
