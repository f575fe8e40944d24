"""Unmapping: nobody reaches a page once its unmap has returned, or once what was deferred is flushed."""

import pytest

from siov.host.iommu import DeviceTlbTimeoutError, Stage
from siov.host.iommu.domain import FLUSH_QUEUE
from siov.spec.vtd import (
    DevTlbInvDsc,
    IotlbGranularity,
    IotlbInvDsc,
    PasidIotlbGranularity,
    PDevTlbInvDsc,
    PIotlbInvDsc,
)

from .machine import CAP, unit

KIB4, MIB2, GIB = 1 << 12, 1 << 21, 1 << 30
RID = 0x3BF9


def test_strict_an_unmap_returns_once_everybody_has_forgotten(machine, iommu):
    domain = iommu.alloc_domain(Stage.FIRST)
    iommu.add_device(RID, pasid_bits=8, ats=True)
    tag = iommu.attach(domain, RID, 9)
    iommu.attach(domain, RID)
    domain.map(0x40000, 0, 0x10000)
    machine.taken()
    assert domain.unmap(0x42000, 0x2000) == 0x2000
    pasid, device, rid, rid_device = machine.taken()
    assert (type(pasid), pasid.G, pasid.PASID) == (PIotlbInvDsc, PasidIotlbGranularity.PAGE, 9)
    assert (0x42, 1, 1, tag.did) == (pasid.ADDR, pasid.AM, pasid.IH, pasid.DID)
    assert (type(device), device.ADDR, device.S) == (PDevTlbInvDsc, 0x42, 1)
    assert (type(rid), rid.PASID) == (PIotlbInvDsc, 0)
    assert type(rid_device) is DevTlbInvDsc
    assert domain.unmap(0x42000, 0x2000) == 0
    assert machine.taken() == []


def test_when_tables_go_the_hint_is_not_given_and_they_are_freed_after_the_invalidation(machine, iommu, mem):
    domain = iommu.alloc_domain()
    iommu.add_device(RID)
    iommu.attach(domain, RID)
    domain.map(0, 0, KIB4)
    before, machine.done[:] = mem.in_use["second-stage"], []
    seen = []
    machine.before = lambda one: seen.append(mem.in_use["second-stage"])
    domain.unmap(0, KIB4)
    (one,) = machine.taken()
    assert one.IH == 0
    assert seen[0] == before == 4
    assert mem.in_use["second-stage"] == 1


def test_a_range_too_large_for_one_descriptor_becomes_the_whole_domain():
    machine, iommu = unit(cap=CAP.replace(MAMV=9))
    domain = iommu.alloc_domain()
    iommu.add_device(RID)
    iommu.attach(domain, RID)
    domain.map(0, 0, GIB)
    machine.taken()
    domain.unmap(0, MIB2)
    domain.unmap(MIB2, 2 * MIB2)
    assert [one.G for one in machine.taken()] == [IotlbGranularity.PAGE, IotlbGranularity.DOMAIN]


def test_deferred_invalidations_are_gathered_and_tables_wait_for_them(machine, iommu, mem):
    domain = iommu.alloc_domain(deferred=True)
    iommu.add_device(RID)
    iommu.attach(domain, RID)
    domain.map(0, 0, MIB2 - KIB4)
    machine.taken()
    for n in range(511):
        domain.unmap(n * KIB4, KIB4)
        if n + 1 < FLUSH_QUEUE:
            assert machine.taken() == []
        if n + 1 == FLUSH_QUEUE:
            assert [one.G for one in machine.taken()] == [IotlbGranularity.DOMAIN]
    assert domain.pending == 511 - FLUSH_QUEUE
    assert mem.in_use["second-stage"] == 4
    domain.flush()
    assert domain.pending == 0
    assert mem.in_use["second-stage"] == 1
    machine.taken()
    domain.flush()
    assert machine.taken() == []


def test_deferred_an_address_is_not_used_again_before_it_is_forgotten(machine, iommu):
    domain = iommu.alloc_domain(deferred=True)
    iommu.add_device(RID)
    iommu.attach(domain, RID)
    domain.map(0, 0, 4 * KIB4)
    domain.unmap(0, 2 * KIB4)
    machine.taken()
    domain.map(0x10000, 0, KIB4)
    assert machine.taken() == []
    domain.map(KIB4, 0, KIB4)
    assert [type(one) for one in machine.taken()] == [IotlbInvDsc]


def test_deferred_a_table_is_not_replaced_before_the_one_unlinked_there_is_forgotten(machine, iommu):
    domain = iommu.alloc_domain(deferred=True)
    iommu.add_device(RID)
    iommu.attach(domain, RID)
    domain.map(GIB, 0, KIB4)
    domain.map(GIB + MIB2, 0, KIB4)
    domain.unmap(GIB, KIB4)  # its table goes, the one above stays
    machine.taken()
    domain.map(GIB + MIB2 + KIB4, 0, KIB4)
    assert machine.taken() == []
    domain.map(GIB + 7 * KIB4, 0, KIB4)
    assert [type(one) for one in machine.taken()] == [IotlbInvDsc]


def test_an_unmap_below_a_guest_s_tables_forgets_all_that_is_nested_upon_them(machine, iommu):
    parent = iommu.alloc_domain()
    parent.map(0, 0, MIB2)
    nested = iommu.nested_domain(parent, 0)
    iommu.add_device(RID, pasid_bits=8, ats=True)
    tag = iommu.attach(nested, RID, 5)
    machine.taken()
    parent.unmap(0, KIB4)
    iotlb, device = machine.taken()
    assert (type(iotlb), iotlb.G, iotlb.DID) == (IotlbInvDsc, IotlbGranularity.DOMAIN, tag.did)
    assert (type(device), device.ADDR) == (PDevTlbInvDsc, (1 << 51) - 1)
    nested.invalidate(0x7000, 0x8000, leaf_only=True)
    page, _ = machine.taken()
    assert (type(page), page.PASID, page.ADDR, page.AM, page.IH) == (PIotlbInvDsc, 5, 7, 0, 1)


def test_an_unmap_whose_invalidation_fails_keeps_the_tables_until_one_succeeds(machine, iommu, mem):
    domain = iommu.alloc_domain()
    iommu.add_device(RID, ats=True)
    iommu.attach(domain, RID)
    domain.map(0, 0, KIB4)
    machine.silent_device = RID
    with pytest.raises(DeviceTlbTimeoutError):
        domain.unmap(0, KIB4)
    assert (domain.pending, mem.in_use["second-stage"]) == (1, 4)
    assert domain.iova_to_phys(0) is None
    domain.flush()
    assert (domain.pending, mem.in_use["second-stage"]) == (0, 1)
