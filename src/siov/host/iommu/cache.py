"""What has to be invalidated, as descriptors (drivers/iommu/intel/cache.c; VT-d 6.5.2, 6.5.3)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from siov.host.iommu.ids import NO_PASID
from siov.host.iommu.queue import InvalidationQueue
from siov.host.iommu.tables import PasidTable
from siov.host.physmem import PAGE_SHIFT
from siov.spec.vtd import (
    CcGranularity,
    CcInvDsc,
    Descriptor,
    DescriptorType,
    DevTlbInvDsc,
    IotlbGranularity,
    IotlbInvDsc,
    PasidCacheGranularity,
    PasidIotlbGranularity,
    PcInvDsc,
    PDevTlbInvDsc,
    PIotlbInvDsc,
    Unit,
)

_EVERYTHING = 1 << 64
_ALL_PAGES = 64 - PAGE_SHIFT


class Stage(Enum):
    """Which tables of a domain translate, and so how its cached translations are tagged."""

    FIRST = "first"
    SECOND = "second"
    NESTED = "nested"
    PASS_THROUGH = "pass-through"

    @property
    def by_pasid(self) -> bool:
        """Whether translations are tagged by PASID too."""
        return self is not Stage.SECOND


@dataclass(slots=True)
class IommuDevice:
    """A function behind a unit: what it can do, and its PASID table (in scalable mode).

    `pfsid` is the physical function that answers invalidations, `qdep` how many it can hold (ATS).
    """

    rid: int
    ats: bool = False
    pri: bool = False
    pasid_bits: int = 0
    pfsid: int = 0
    qdep: int = 32
    table: PasidTable | None = None


class UnitFace(Protocol):
    """What invalidation needs of a unit."""

    name: str
    cap: Unit.CAP
    scalable: bool
    queue: InvalidationQueue

    def flush_write_buffer(self) -> None:
        """Have the unit see what was written to memory (CAP.RWBF)."""


@dataclass(slots=True, frozen=True)
class Attachment:
    """A domain on a device's address space: the tag of what is cached for it (cache_tag)."""

    unit: UnitFace
    device: IommuDevice
    pasid: int | None
    did: int

    @property
    def entry(self) -> int:
        """The PASID whose table entry it is."""
        return NO_PASID if self.pasid is None else self.pasid


def covering(start: int, end: int) -> tuple[int, int]:
    """The smallest aligned power of two of pages that holds a range: its address and the exponent."""
    order = ((start ^ (end - 1)) >> PAGE_SHIFT).bit_length()
    return start >> (PAGE_SHIFT + order) << (PAGE_SHIFT + order), order


def iotlb(tag: Attachment, stage: Stage, start: int, end: int, hint: bool = False) -> Descriptor:
    """Forget the translations of a range, or of all when the range is too large for one descriptor.

    `hint` says that entries that point to tables have not changed.
    """
    address, order = covering(start, min(end, _EVERYTHING))
    # Of everything, a selection by pages would say less than one by domain or PASID.
    pages = bool(tag.unit.cap.PSI) and order <= min(tag.unit.cap.MAMV, _ALL_PAGES - 1)
    where = {"AM": order, "IH": int(hint), "ADDR": address >> PAGE_SHIFT} if pages else {}
    if tag.unit.scalable and stage.by_pasid:
        granularity = PasidIotlbGranularity.PAGE if pages else PasidIotlbGranularity.PASID
        return PIotlbInvDsc.of(
            TYPE=DescriptorType.PASID_IOTLB, G=granularity, DID=tag.did, PASID=tag.entry, **where
        )
    cap = tag.unit.cap
    return IotlbInvDsc.of(
        TYPE=DescriptorType.IOTLB,
        G=IotlbGranularity.PAGE if pages else IotlbGranularity.DOMAIN,
        DW=cap.DWD,
        DR=cap.DRD,
        DID=tag.did,
        **where,
    )


def device_tlb(tag: Attachment, start: int, end: int) -> list[Descriptor]:
    """Have the device forget the translations of a range; nothing if it keeps none."""
    device = tag.device
    if not device.ats:
        return []
    address, order = covering(start, min(end, _EVERYTHING))
    size = address >> PAGE_SHIFT | ((1 << order) - 1) >> 1  # the lowest zero bit tells the size
    common = {
        "SID": device.rid,
        "PFSID_LO": device.pfsid & 0xF,
        "PFSID_HI": device.pfsid >> 4,
        "MIP": min(device.qdep, 31),
        "S": int(order > 0),
        "ADDR": size,
    }
    if tag.pasid is None:
        return [DevTlbInvDsc.of(TYPE=DescriptorType.DEVICE_TLB, **common)]
    kind = DescriptorType.PASID_DEVICE_TLB
    return [PDevTlbInvDsc.of(TYPE=kind & 0xF, TYPE_HI=kind >> 4, PASID=tag.pasid, **common)]


def everything(tag: Attachment, stage: Stage) -> list[Descriptor]:
    """Forget all translations of an attachment: the unit's first, as devices may ask it again."""
    return [iotlb(tag, stage, 0, _EVERYTHING), *device_tlb(tag, 0, _EVERYTHING)]


def context_cache(rid: int, did: int = 0) -> Descriptor:
    """Forget a function's context entry."""
    return CcInvDsc.of(TYPE=DescriptorType.CONTEXT_CACHE, G=CcGranularity.DEVICE, DID=did, SID=rid)


def pasid_cache(did: int, pasid: int) -> Descriptor:
    """Forget a PASID's table entry."""
    return PcInvDsc.of(TYPE=DescriptorType.PASID_CACHE, G=PasidCacheGranularity.PASID, DID=did, PASID=pasid)


def global_caches(scalable: bool, cap: Unit.CAP) -> list[Descriptor]:
    """Forget everything but the devices' own, in the order of VT-d 6.5.3: tables, then translations."""
    tables: list[Descriptor] = [CcInvDsc.of(TYPE=DescriptorType.CONTEXT_CACHE, G=CcGranularity.GLOBAL)]
    if scalable:
        tables.append(PcInvDsc.of(TYPE=DescriptorType.PASID_CACHE, G=PasidCacheGranularity.GLOBAL))
    all_pages = IotlbInvDsc.of(TYPE=DescriptorType.IOTLB, G=IotlbGranularity.GLOBAL, DW=cap.DWD, DR=cap.DRD)
    return [*tables, all_pages]
