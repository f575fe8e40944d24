"""Address spaces of a scenario: the host maps new memory for functions, through the remapping unit."""

from __future__ import annotations

from dataclasses import dataclass

from siov.guests.paging import GuestMemory
from siov.host.iommu.cache import Stage
from siov.host.iommu.domain import Domain, PagingDomain
from siov.host.iommu.iommu import IntelIommu
from siov.host.iommu.probe import pasid_bits
from siov.host.pci.dev import PciDev
from siov.host.pgtable import PageTable, Prot
from siov.host.physmem import PAGE_SIZE, PhysMem
from siov.scenario_iommu import SpaceSpec

# Memory of a nested guest that holds its own page tables, in front of what is mapped.
GUEST_TABLES = 2 << 20


@dataclass(slots=True, frozen=True)
class Space:
    """An address space in use: whose it is, its domain, and where its memory is in the host's."""

    spec: SpaceSpec
    rid: int
    domain: Domain
    memory: int


def add_space(iommu: IntelIommu, dev: PciDev, spec: SpaceSpec) -> Space:
    """Map new memory for a function as the scenario says, and attach it; errors as `IntelIommu.attach`."""
    if dev.rid not in iommu.devices:
        iommu.add_device(dev.rid, pasid_bits=pasid_bits(dev) if iommu.scalable else 0)
    domain, memory = _domain(iommu, spec)
    iommu.attach(domain, dev.rid, spec.pasid)
    return Space(spec, dev.rid, domain, memory)


def _domain(iommu: IntelIommu, spec: SpaceSpec) -> tuple[Domain, int]:
    mem, pages = iommu.mem, spec.size // PAGE_SIZE
    if spec.stage == "pass-through":
        return iommu.identity_domain(), 0
    if spec.stage == "nested":
        return _nested(iommu, spec)
    memory = mem.alloc_pages(pages, "space")
    domain = iommu.alloc_domain(Stage(spec.stage))
    domain.map(spec.iova, memory, spec.size)
    return domain, memory


def _nested(iommu: IntelIommu, spec: SpaceSpec) -> tuple[Domain, int]:
    """A guest's own tables in its own memory, which the second stage maps from address 0 on."""
    size = GUEST_TABLES + spec.size
    base = iommu.mem.alloc_pages(size // PAGE_SIZE, "guest")
    parent = iommu.alloc_domain(Stage.SECOND)
    parent.map(0, base, size)
    guest = PhysMem(GuestMemory(iommu.mem.mmio, base), 0, GUEST_TABLES)
    table = _guest_table(iommu, guest, spec)
    return iommu.nested_domain(parent, table.root), base + GUEST_TABLES


def _guest_table(iommu: IntelIommu, guest: PhysMem, spec: SpaceSpec) -> PageTable:
    own: PagingDomain = iommu.alloc_domain(Stage.FIRST)
    table = PageTable(guest, own.table.format, own.table.levels, own.table.largest)
    own.free()
    table.map(spec.iova, GUEST_TABLES, spec.size, Prot.READ | Prot.WRITE)
    return table
