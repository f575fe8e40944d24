"""What context and PASID table entries say for a domain, and whether the unit can do it."""

from __future__ import annotations

from errno import EINVAL

from siov.host.iommu.cache import IommuDevice, Stage
from siov.host.iommu.domain import Domain, IdentityDomain, NestedDomain, PagingDomain
from siov.host.iommu.ids import NO_PASID
from siov.host.iommu.unit import RemappingUnit
from siov.host.linux import LinuxError
from siov.spec.vtd import FSPM, PGTT, TT, ContextEntry, PasidTableEntry, ScalableContextEntry


def levels_of_second_stage(unit: RemappingUnit) -> list[int]:
    """The levels that the unit's second stage can have, most first (CAP.SAGAW)."""
    return [levels for levels in (5, 4, 3) if unit.cap.SAGAW >> (levels - 2) & 1]


def largest_page(unit: RemappingUnit, stage: Stage) -> int:
    """The level of the largest page of a stage: 1 (4 KiB), 2 (2 MiB) or 3 (1 GiB)."""
    if stage is Stage.FIRST:
        return 3 if unit.cap.FS1GP else 2
    return {0: 1, 1: 2, 3: 3}.get(unit.cap.SSLPS & 3, 1)


def check_domain(unit: RemappingUnit, domain: Domain) -> None:
    """EINVAL when the unit can't translate what the domain is."""
    lacks = _lacks(unit, domain)
    if lacks:
        raise LinuxError(EINVAL, f"{unit.name} can't serve {domain.name}: it lacks {lacks}")


def _lacks(unit: RemappingUnit, domain: Domain) -> str:
    cap, ecap = unit.cap, unit.ecap
    if not unit.scalable and domain.stage in (Stage.FIRST, Stage.NESTED):
        return f"scalable mode, which a {domain.stage.value} domain needs"
    if isinstance(domain, IdentityDomain):
        return "" if ecap.PT else "pass-through (ECAP.PT)"
    if isinstance(domain, NestedDomain):
        if not ecap.NEST:
            return "nested translation (ECAP.NEST)"
        if domain.levels == 5 and not cap.FS5LP:
            return "5 levels in the first stage (CAP.FS5LP)"
        domain = domain.parent
    assert isinstance(domain, PagingDomain)
    table = domain.table
    if table.largest > largest_page(unit, domain.stage):
        return "pages as large as it uses"
    if domain.stage is Stage.FIRST:
        if not ecap.FSTS:
            return "first-stage translation (ECAP.FSTS)"
        return "5 levels in the first stage (CAP.FS5LP)" if table.levels == 5 and not cap.FS5LP else ""
    if unit.scalable and not ecap.SSTS:
        return "second-stage translation (ECAP.SSTS)"
    if domain.dirty_tracking and not (ecap.SSADS and unit.scalable):
        return "dirty bits of the second stage (ECAP.SSADS)"
    return "" if table.levels in levels_of_second_stage(unit) else f"{table.levels} levels (CAP.SAGAW)"


def context_entry(unit: RemappingUnit, device: IommuDevice, domain: Domain, did: int) -> ContextEntry:
    """The legacy context entry of a device on a domain."""
    if isinstance(domain, PagingDomain):
        kind = TT.DEVICE_TLB if device.ats else TT.UNTRANSLATED_ONLY
        return ContextEntry.of(
            P=1, TT=kind, SSPTPTR=domain.table.root >> 12, AW=domain.table.levels - 2, DID=did
        )
    # The width is checked in pass-through too: the largest there is.
    return ContextEntry.of(P=1, TT=TT.PASS_THROUGH, AW=levels_of_second_stage(unit)[0] - 2, DID=did)


def scalable_context(device: IommuDevice) -> ScalableContextEntry:
    """The scalable-mode context entry of a device: where its PASID table is."""
    table = device.table
    assert table is not None
    return ScalableContextEntry.of(
        P=1,
        DTE=int(device.ats),
        PASIDE=int(device.pasid_bits > 0),
        PRE=int(device.pri),
        PDTS=table.pdts,
        PASIDDIRPTR=table.directory >> 12,
        RID_PASID=NO_PASID,
    )


def pasid_entry(unit: RemappingUnit, domain: Domain, did: int) -> PasidTableEntry:
    """The PASID table entry of an address space on a domain."""
    entry = PasidTableEntry.of(P=1, DID=did, PWSNP=unit.ecap.SMPWCS)
    execute = unit.ecap.ERS
    if isinstance(domain, IdentityDomain):
        return entry.replace(PGTT=PGTT.PASS_THROUGH, AW=(levels_of_second_stage(unit) or [4])[0] - 2)
    if isinstance(domain, NestedDomain):
        entry = _second_stage(entry, domain.parent, execute)
        return entry.replace(
            PGTT=PGTT.NESTED,
            FSPTPTR=domain.fsptptr >> 12,
            FSPM=FSPM.LEVELS_5 if domain.levels == 5 else FSPM.LEVELS_4,
            WPE=int(domain.wpe),
            NXE=int(domain.nxe and execute),
            SMEP=int(domain.smep and execute and domain.sre),
            SRE=int(domain.sre and unit.ecap.SRS),
            ERE=int(domain.ere and execute),
        )
    assert isinstance(domain, PagingDomain)
    if domain.stage is Stage.SECOND:
        return _second_stage(entry, domain, execute).replace(PGTT=PGTT.SECOND_STAGE, ERE=execute)
    return entry.replace(
        PGTT=PGTT.FIRST_STAGE,
        FSPTPTR=domain.table.root >> 12,
        FSPM=FSPM.LEVELS_5 if domain.table.levels == 5 else FSPM.LEVELS_4,
        NXE=execute,
        ERE=execute,
    )


def _second_stage(entry: PasidTableEntry, domain: PagingDomain, execute: int) -> PasidTableEntry:
    return entry.replace(
        SSPTPTR=domain.table.root >> 12,
        AW=domain.table.levels - 2,
        SSADE=int(domain.dirty_tracking),
        SSEE=execute,
    )
