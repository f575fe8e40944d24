"""A container: what its devices reach, by nothing but the tables in memory and the unit's queue."""

import errno

import pytest

from siov.host.iommu import Ids, InvalidationError, iommu_alloc_global_pasid, pasid_allocator
from siov.host.linux import LinuxError
from siov.host.pgtable import Prot
from siov.host.vfio import VfioContainer
from siov.host.vfio import container as module
from siov.spec.vtd import (
    AW,
    PGTT,
    IotlbInvDsc,
    IqError,
    PcInvDsc,
)

from .machine import levels_of, walk

RID, OTHER = 0x3B00, 0x5E00
KIB4, MIB2 = 1 << 12, 1 << 21


@pytest.fixture
def pasids() -> Ids:
    return pasid_allocator()


@pytest.fixture
def container(iommu, pasids) -> VfioContainer:
    iommu.add_device(RID, pasid_bits=20)
    return VfioContainer(iommu, pasids)


def refused(call, *args):
    with pytest.raises(LinuxError) as caught:
        call(*args)
    return caught.value


def reach(machine, rid, pasid, address):
    """Where a request leads, as the unit would walk; None when it is refused."""
    entry = machine.pasid_entry(rid, pasid)
    if entry is None:
        return None
    assert entry.PGTT == PGTT.SECOND_STAGE
    return walk(machine, entry.SSPTPTR << 12, levels_of(AW(entry.AW)), address)


def test_a_device_s_pasid_reaches_what_is_mapped_and_its_other_requests_reach_nothing(machine, container):
    container.dma_map(0x10_0000, 0x200_0000, 4 * KIB4)
    pasid = container.attach(RID)
    page = reach(machine, RID, pasid, 0x10_3000)
    assert (page.phys, page.rights) == (0x200_3000, "rw")
    assert reach(machine, RID, pasid, 0x10_4000) is None
    assert reach(machine, RID, pasid + 1, 0x10_0000) is None
    assert reach(machine, RID, 0, 0x10_0000) is None


def test_a_mapping_gives_the_rights_that_were_asked_for(machine, container):
    container.dma_map(0, 0x200_0000, KIB4, Prot.READ)
    pasid = container.attach(RID)
    assert reach(machine, RID, pasid, 0).rights == "r"


def test_devices_of_one_container_share_its_memory_under_pasids_of_their_own(machine, iommu, container):
    iommu.add_device(OTHER, pasid_bits=20)
    first, second, third = container.attach(RID), container.attach(RID), container.attach(OTHER)
    container.dma_map(0, 0x200_0000, KIB4)
    assert len({first, second, third}) == 3
    for rid, pasid in ((RID, first), (RID, second), (OTHER, third)):
        assert reach(machine, rid, pasid, 0).phys == 0x200_0000


def test_containers_of_one_host_never_share_a_pasid_and_reach_not_each_other(
    machine, iommu, container, pasids
):
    other = VfioContainer(iommu, pasids)
    container.dma_map(0, 0x200_0000, KIB4)
    mine, theirs = container.attach(RID), other.attach(RID)
    assert mine != theirs
    assert reach(machine, RID, mine, 0).phys == 0x200_0000
    assert reach(machine, RID, theirs, 0) is None


def test_once_unmap_has_returned_the_unit_was_told_to_forget(machine, container):
    pasid = container.attach(RID)
    container.dma_map(0x4000, 0x200_0000, 2 * KIB4)
    machine.taken()
    assert container.dma_unmap(0x4000, 2 * KIB4) == 2 * KIB4
    (told,) = machine.taken()
    assert (type(told), told.ADDR, told.AM) == (IotlbInvDsc, 4, 1)
    assert reach(machine, RID, pasid, 0x4000) is None


def test_a_detached_device_s_pasid_reaches_nothing_and_the_unit_was_told(machine, container):
    container.dma_map(0, 0x200_0000, KIB4)
    pasid = container.attach(RID)
    machine.taken()
    container.detach(pasid)
    assert machine.pasid_entry(RID, pasid) is None
    assert [type(one) for one in machine.taken()] == [PcInvDsc, IotlbInvDsc]
    assert refused(container.detach, pasid).errno == errno.ENOENT


def test_a_pasid_is_given_out_again_after_its_device_was_detached(container, pasids):
    pasid = container.attach(RID)
    container.detach(pasid)
    assert pasids.taken == set()
    assert container.attach(RID) == pasid


@pytest.mark.parametrize(
    ("iova", "size"), [(0x1000, 0), (0x800, KIB4), (0x1000, 0x800), (-KIB4, KIB4), (1 << 60, KIB4)]
)
def test_what_is_not_whole_pages_within_the_address_space_is_einval(container, iova, size):
    assert refused(container.dma_map, iova, 0, size).errno == errno.EINVAL
    assert refused(container.dma_unmap, iova, size).errno == errno.EINVAL
    assert container.mappings == []


def test_memory_that_is_not_whole_pages_or_may_not_be_accessed_is_einval(container):
    assert refused(container.dma_map, 0, 0x200_0800, KIB4).errno == errno.EINVAL
    assert refused(container.dma_map, 0, 0x200_0000, KIB4, Prot(0)).errno == errno.EINVAL
    assert container.mappings == []


@pytest.mark.parametrize("iova", [0x3000, 0x4000, 0x5000, 0x7000])
def test_a_mapping_that_overlaps_another_is_eexist_and_names_it(container, iova):
    container.dma_map(0x4000, 0x200_0000, 4 * KIB4)
    error = refused(container.dma_map, iova, 0x300_0000, 2 * KIB4)
    assert error.errno == errno.EEXIST
    assert "0x4000 at 0x4000" in str(error)
    assert len(container.mappings) == 1


def test_neighbours_do_not_overlap(machine, container):
    for iova in (0x4000, 0x2000, 0x6000):
        container.dma_map(iova, 0x200_0000 + iova, 2 * KIB4)
    assert [one.iova for one in container.mappings] == [0x2000, 0x4000, 0x6000]


@pytest.mark.parametrize(
    ("iova", "size"), [(0x5000, KIB4), (0x5000, 8 * KIB4), (0x3000, 2 * KIB4), (0x4000, KIB4)]
)
def test_an_unmap_that_cuts_a_mapping_is_einval_and_unmaps_nothing(machine, container, iova, size):
    pasid = container.attach(RID)
    container.dma_map(0x4000, 0x200_0000, 2 * KIB4)
    container.dma_map(0x8000, 0x300_0000, KIB4)
    error = refused(container.dma_unmap, iova, size)
    assert error.errno == errno.EINVAL
    assert "0x2000 at 0x4000" in str(error)
    assert len(container.mappings) == 2
    assert reach(machine, RID, pasid, 0x4000).phys == 0x200_0000


def test_an_unmap_takes_all_mappings_in_its_range_and_counts_their_bytes(container):
    for n in range(4):
        container.dma_map(n * 0x4000, 0x200_0000, KIB4)
    assert container.dma_unmap(0x4000, 0x8000) == 2 * KIB4
    assert [one.iova for one in container.mappings] == [0, 0xC000]
    assert container.dma_unmap(0x4000, 0x8000) == 0


def test_mappings_are_bounded(container, monkeypatch):
    monkeypatch.setattr(module, "DMA_ENTRY_LIMIT", 2)
    for n in range(2):
        container.dma_map(n * KIB4, 0x200_0000, KIB4)
    assert refused(container.dma_map, 2 * KIB4, 0x200_0000, KIB4).errno == errno.ENOSPC
    container.dma_unmap(0, KIB4)
    container.dma_map(2 * KIB4, 0x200_0000, KIB4)


def test_a_unit_that_refuses_to_forget_is_reported_and_the_book_stays_right(machine, container):
    container.attach(RID)
    container.dma_map(0, 0x200_0000, KIB4)
    machine.refuse = lambda one: IqError.INVALID_TYPE if isinstance(one, IotlbInvDsc) else None
    with pytest.raises(InvalidationError):
        container.dma_unmap(0, KIB4)
    machine.refuse = lambda one: None
    assert container.mappings == []
    container.dma_map(0, 0x300_0000, KIB4)


def test_a_device_that_the_unit_does_not_know_is_enodev_and_keeps_no_pasid(container, pasids):
    assert refused(container.attach, 0x1234).errno == errno.ENODEV
    assert (pasids.taken, container.attached) == (set(), {})


def test_an_attach_that_the_unit_refuses_keeps_no_pasid(iommu, container, pasids):
    iommu.attach(iommu.alloc_domain(), RID, 1)  # behind the allocator's back
    assert refused(container.attach, RID).errno == errno.EBUSY
    assert (pasids.taken, container.attached) == (set(), {})


def test_a_device_without_pasids_is_einval(iommu, container, pasids):
    iommu.add_device(OTHER)
    assert refused(container.attach, OTHER).errno == errno.EINVAL
    assert pasids.taken == set()


def test_in_legacy_mode_the_refusal_says_to_set_scalable_mode(legacy, pasids):
    legacy.add_device(RID)
    error = refused(VfioContainer(legacy, pasids).attach, RID)
    assert error.errno == errno.EINVAL
    assert "scalable" in str(error)


def test_a_closed_container_leaves_no_table_and_an_attached_one_is_busy(mem, iommu, container):
    before = VfioContainer(iommu, container.pasids)
    before.close()
    container.dma_map(0, 0x200_0000, KIB4)
    container.dma_map(1 << 30, 0x200_0000, MIB2)
    pasid = container.attach(RID)
    assert refused(container.close).errno == errno.EBUSY
    container.detach(pasid)
    container.close()
    assert mem.in_use["second-stage"] == 0


def test_a_pasid_wider_than_the_device_s_is_enospc_and_stays_free():
    pasids = pasid_allocator()
    given = [iommu_alloc_global_pasid(pasids, 2) for _ in range(3)]
    assert given == [1, 2, 3]
    assert refused(iommu_alloc_global_pasid, pasids, 2).errno == errno.ENOSPC
    assert iommu_alloc_global_pasid(pasids, 3) == 4
    assert refused(iommu_alloc_global_pasid, pasids, 0).errno == errno.EINVAL
