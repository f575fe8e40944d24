"""Domains: attached in the specification's order, detached so that nothing is left to reach."""

from errno import EBUSY, EINVAL, ENODEV, ENOMEM, ENOSPC

import pytest

from siov.host.iommu import DeviceTlbTimeoutError, IntelIommu, Stage, pasid_allocator
from siov.host.linux import LinuxError
from siov.host.pgtable import Prot
from siov.host.physmem import PhysMem
from siov.spec.vtd import (
    FSPM,
    PGTT,
    TT,
    CcInvDsc,
    DevTlbInvDsc,
    InvWaitDsc,
    IotlbGranularity,
    IotlbInvDsc,
    PasidIotlbGranularity,
    PcInvDsc,
    PDevTlbInvDsc,
    PIotlbInvDsc,
)

from .machine import CAP, ECAP, FIRST, RAM_BASE, SECOND, UNIT_BASE, Machine, levels_of, unit, walk

KIB4, MIB2, GIB = 1 << 12, 1 << 21, 1 << 30
RID = 0x3BF9  # device 31: the upper half of its bus
RW = Prot.READ | Prot.WRITE


# What the tables say.


@pytest.mark.parametrize("levels", [3, 4, 5])
@pytest.mark.parametrize("rid", [0x0000, 0x007F, 0x0080, 0x00FF, RID, 0xFFFF])
def test_legacy_a_context_entry_leads_to_the_second_stage(machine, legacy, rid, levels):
    domain = legacy.alloc_domain(levels=levels)
    domain.map(0x5000, 0x9000, KIB4)
    legacy.add_device(rid)
    assert machine.context(rid) is None
    tag = legacy.attach(domain, rid)
    entry = machine.context(rid)
    assert (entry.TT, entry.DID, levels_of(entry.AW)) == (TT.UNTRANSLATED_ONLY, tag.did, levels)
    assert entry.raw & type(entry).reserved() == 0
    assert walk(machine, entry.SSPTPTR << 12, levels, 0x5000).phys == 0x9000


def test_legacy_pass_through_and_device_tlbs_have_their_types(machine, legacy):
    legacy.add_device(0x100)
    legacy.attach(legacy.identity_domain(), 0x100)
    assert machine.context(0x100).TT == TT.PASS_THROUGH
    assert levels_of(machine.context(0x100).AW) == 5  # the largest, as the address is checked against it
    legacy.add_device(0x200, ats=True)
    legacy.attach(legacy.alloc_domain(), 0x200)
    assert machine.context(0x200).TT == TT.DEVICE_TLB


@pytest.mark.parametrize("pasid", [None, 1, 63, 64, 0x12345, (1 << 20) - 1])
@pytest.mark.parametrize(
    ("stage", "levels"), [(Stage.FIRST, 4), (Stage.FIRST, 5), (Stage.SECOND, 3), (Stage.SECOND, 5)]
)
def test_scalable_an_address_space_leads_to_its_stage(machine, iommu, pasid, stage, levels):
    domain = iommu.alloc_domain(stage, levels=levels)
    domain.map(0x5000, 0x9000, KIB4)
    iommu.add_device(RID, pasid_bits=20, ats=True, pri=True)
    tag = iommu.attach(domain, RID, pasid)
    context = machine.context(RID)
    assert (context.PASIDE, context.DTE, context.PRE, context.PDTS) == (1, 1, 1, 7)
    assert context.raw & type(context).reserved() == 0
    entry = machine.pasid_entry(RID, context.RID_PASID if pasid is None else pasid)
    assert entry.raw & type(entry).reserved() == 0
    assert tag.did == entry.DID
    if stage is Stage.FIRST:
        assert entry.PGTT == PGTT.FIRST_STAGE
        assert (FSPM.LEVELS_5 if levels == 5 else FSPM.LEVELS_4) == entry.FSPM
        assert entry.NXE  # the entries use XD
        assert walk(machine, entry.FSPTPTR << 12, levels, 0x5000, FIRST).phys == 0x9000
    else:
        assert (entry.PGTT, levels_of(entry.AW)) == (PGTT.SECOND_STAGE, levels)
        assert walk(machine, entry.SSPTPTR << 12, levels, 0x5000, SECOND).phys == 0x9000


def test_nested_and_pass_through_entries(machine, iommu):
    parent = iommu.alloc_domain(levels=4)
    iommu.add_device(RID, pasid_bits=8)
    nested = iommu.nested_domain(parent, 0x7000, levels=5)
    iommu.attach(nested, RID, 5)
    entry = machine.pasid_entry(RID, 5)
    assert (PGTT.NESTED, 7, parent.table.root >> 12) == (entry.PGTT, entry.FSPTPTR, entry.SSPTPTR)
    assert (entry.FSPM, levels_of(entry.AW)) == (FSPM.LEVELS_5, 4)
    iommu.attach(iommu.identity_domain(), RID, 6)
    assert machine.pasid_entry(RID, 6).PGTT == PGTT.PASS_THROUGH
    with pytest.raises(LinuxError, match="is below dmar0-nested2; free that first"):
        parent.free()


def test_without_execute_requests_nxe_and_xd_are_left_alone():
    machine, iommu = unit(ecap=ECAP.replace(ERS=0))
    domain = iommu.alloc_domain(Stage.FIRST)
    domain.map(0, 0, KIB4)
    iommu.add_device(RID)
    iommu.attach(domain, RID)
    entry = machine.pasid_entry(RID, 0)
    assert (entry.NXE, entry.ERE, entry.SSEE) == (0, 0, 0)
    assert walk(machine, domain.table.root, 4, 0, FIRST).rights == "rwx"


def test_dirty_bits_of_the_second_stage_are_kept_and_harvested(machine, iommu):
    domain = iommu.alloc_domain(dirty_tracking=True)
    domain.map(0, GIB, MIB2)
    iommu.add_device(RID)
    iommu.attach(domain, RID)
    assert machine.pasid_entry(RID, 0).SSADE
    ((at, *_),) = domain.table.slices(0, MIB2)
    machine.write(at, (int.from_bytes(machine.read(at, 8), "little") | 1 << 9).to_bytes(8, "little"))
    machine.taken()
    assert domain.read_and_clear_dirty(0, MIB2) == [(0, MIB2)]
    assert [type(one) for one in machine.taken()] == [IotlbInvDsc]
    assert domain.read_and_clear_dirty(0, MIB2) == []
    with pytest.raises(LinuxError, match="keeps no dirty bits"):
        iommu.alloc_domain().read_and_clear_dirty(0, MIB2)


# What is refused.


def test_refusals_of_attach_and_detach(machine, iommu):
    domain = iommu.alloc_domain()
    with pytest.raises(LinuxError, match="0x3bf9 is not behind dmar0; add it first") as e:
        iommu.attach(domain, RID)
    assert e.value.errno == ENODEV
    iommu.add_device(RID, pasid_bits=4)
    with pytest.raises(LinuxError, match="is attached to nothing") as e:
        iommu.detach(RID)
    assert e.value.errno == ENODEV
    for pasid in (0, 16, -1):
        with pytest.raises(LinuxError, match="can use PASIDs 1 to 15") as e:
            iommu.attach(domain, RID, pasid)
        assert e.value.errno == EINVAL
    iommu.attach(domain, RID, 3)
    with pytest.raises(LinuxError, match="0x3bf9 PASID 0x3 is on dmar0-domain1; detach it first") as e:
        iommu.attach(domain, RID, 3)
    assert e.value.errno == EBUSY
    with pytest.raises(LinuxError, match="is attached still") as e:
        iommu.remove_device(RID)
    assert e.value.errno == EBUSY
    with pytest.raises(LinuxError, match="is attached to 0x3bf9; detach it first") as e:
        domain.free()
    assert e.value.errno == EBUSY
    with pytest.raises(LinuxError, match="is behind dmar0 already"):
        iommu.add_device(RID)


def test_what_a_unit_lacks_is_named():
    _, iommu = unit(
        cap=CAP.replace(FS5LP=0, SAGAW=0b0100), ecap=ECAP.replace(PT=0, NEST=0, SSADS=0, DT=0, PASID=0, PRS=0)
    )
    for make, words in [
        (lambda: iommu.alloc_domain(Stage.FIRST, levels=5), "CAP.FS5LP"),
        (lambda: iommu.alloc_domain(levels=5), "second stages of .4. levels, not 5"),
        (lambda: iommu.alloc_domain(dirty_tracking=True), "ECAP.SSADS"),
        (lambda: iommu.add_device(1, ats=True), "lacks ECAP.DT"),
        (lambda: iommu.add_device(1, pasid_bits=8), "lacks ECAP.PASID"),
    ]:
        with pytest.raises(LinuxError, match=words) as e:
            make()
        assert e.value.errno == EINVAL
    iommu.add_device(1)
    for domain, words in [
        (iommu.identity_domain(), "ECAP.PT"),
        (iommu.nested_domain(iommu.alloc_domain(), 0), "ECAP.NEST"),
    ]:
        with pytest.raises(LinuxError, match=words):
            iommu.attach(domain, 1)
    assert iommu.dids.taken == set()


def test_legacy_mode_has_no_pasids_and_no_first_stage(legacy):
    with pytest.raises(LinuxError, match="lacks scalable mode"):
        legacy.add_device(1, pasid_bits=8)
    legacy.add_device(1)
    with pytest.raises(LinuxError, match="can use PASIDs 1 to 0"):
        legacy.attach(legacy.alloc_domain(), 1, 5)
    with pytest.raises(LinuxError, match="scalable mode, which a first domain needs"):
        legacy.alloc_domain(Stage.FIRST)


def test_domain_ids_end_where_the_unit_says_and_come_back():
    _, iommu = unit(cap=CAP.replace(ND=0))  # 16, of which 0 is nobody's
    iommu.add_device(RID, pasid_bits=20)
    for pasid in range(1, 16):
        iommu.attach(iommu.alloc_domain(), RID, pasid)
    with pytest.raises(LinuxError, match="no domain id is left: all 15 are taken") as e:
        iommu.attach(iommu.alloc_domain(), RID, 16)
    assert e.value.errno == ENOSPC
    iommu.detach(RID, 7)
    assert iommu.attach(iommu.alloc_domain(), RID, 16).did == 7


def test_an_attach_without_a_page_for_its_tables_leaves_nothing_behind(machine, iommu, mem):
    domain = iommu.alloc_domain()
    iommu.add_device(RID, pasid_bits=8)
    held = [mem.alloc_page("held") for _ in range(mem.free_pages)]
    with pytest.raises(LinuxError, match="no 1 pages in a row for pasid-table") as e:
        iommu.attach(domain, RID, 5)
    assert e.value.errno == ENOMEM
    assert (iommu.attached, domain.attachments, iommu.dids.taken) == ({}, [], set())
    mem.free(held[0])
    assert iommu.attach(domain, RID, 5).did == 1


def test_a_domain_has_one_id_however_often_it_is_attached(machine, iommu):
    domain = iommu.alloc_domain()
    iommu.add_device(RID, pasid_bits=8)
    assert {iommu.attach(domain, RID, pasid).did for pasid in (None, 1, 2, 3)} == {1}
    for pasid in (None, 1, 2):
        iommu.detach(RID, pasid)
    assert iommu.dids.taken == {1}
    iommu.detach(RID, 3)
    assert iommu.dids.taken == set()


def test_pasids_are_1_to_2_to_the_20_less_1_and_reserved_ones_are_not_given_out():
    ids = pasid_allocator()
    ids.reserve([1, 3])
    assert [ids.alloc() for _ in range(3)] == [2, 4, 5]
    ids.free(4)
    assert ids.alloc() == 4
    with pytest.raises(LinuxError, match="PASID 3 is taken"):
        ids.reserve([3])
    with pytest.raises(LinuxError, match="PASID 1048576 is not in"):
        ids.reserve([1 << 20])
    small = pasid_allocator(2)
    assert [small.alloc() for _ in range(3)] == [1, 2, 3]
    with pytest.raises(LinuxError, match="no PASID is left: all 3 are taken") as e:
        small.alloc()
    assert e.value.errno == ENOSPC


def test_a_first_stage_ends_below_the_half_of_its_addresses_and_a_second_at_mgaw(iommu):
    iommu.alloc_domain(Stage.FIRST).map((1 << 47) - KIB4, 0, KIB4)
    with pytest.raises(LinuxError, match="ends at 0x800000000000"):
        iommu.alloc_domain(Stage.FIRST).map(1 << 47, 0, KIB4)
    _, narrow = unit(cap=CAP.replace(MGAW=38))
    with pytest.raises(LinuxError, match="ends at 0x8000000000"):
        narrow.alloc_domain().map(1 << 39, 0, KIB4)
    with pytest.raises(LinuxError, match="must allow to read or to write"):
        iommu.alloc_domain().map(0, 0, KIB4, Prot.EXEC)


# Order.


def present_when(machine, what, seen) -> None:
    """Note, at each invalidation, whether the entry is present."""
    machine.before = lambda one: (
        None if isinstance(one, InvWaitDsc) else seen.append((type(one), what() is not None))
    )


def test_detach_clears_present_then_forgets_tables_then_translations_then_the_device_s(machine, iommu):
    domain = iommu.alloc_domain()
    iommu.add_device(RID, pasid_bits=8, ats=True)
    tag = iommu.attach(domain, RID, 9)
    seen: list = []
    present_when(machine, lambda: machine.pasid_entry(RID, 9), seen)
    machine.taken()
    iommu.detach(RID, 9)
    assert seen == [(PcInvDsc, False), (IotlbInvDsc, False), (PDevTlbInvDsc, False)]
    pc, iotlb, device = machine.taken()
    assert (tag.did, 9) == (pc.DID, pc.PASID)
    assert (IotlbGranularity.DOMAIN, tag.did) == (iotlb.G, iotlb.DID)
    assert (device.SID, device.PASID, device.S, device.ADDR) == (RID, 9, 1, (1 << 51) - 1)
    assert iommu.devices[RID].table.read(9).raw == 0


def test_legacy_detach_forgets_the_context_then_the_domain_then_the_device_s(machine, legacy):
    legacy.add_device(RID, ats=True, pfsid=0x3BC0)
    tag = legacy.attach(legacy.alloc_domain(), RID)
    seen: list = []
    present_when(machine, lambda: machine.context(RID), seen)
    machine.taken()
    legacy.detach(RID)
    assert seen == [(CcInvDsc, False), (IotlbInvDsc, False), (DevTlbInvDsc, False)]
    context, iotlb, device = machine.taken()
    assert (tag.did, RID) == (context.DID, context.SID)
    assert iotlb.G == IotlbGranularity.DOMAIN
    assert device.PFSID_LO | device.PFSID_HI << 4 == 0x3BC0


@pytest.mark.parametrize(
    ("make", "kind", "granularity"),
    [
        (lambda u: u.alloc_domain(Stage.FIRST), PIotlbInvDsc, PasidIotlbGranularity.PASID),
        (lambda u: u.alloc_domain(), IotlbInvDsc, IotlbGranularity.DOMAIN),
        (lambda u: u.nested_domain(u.alloc_domain(), 0), IotlbInvDsc, IotlbGranularity.DOMAIN),
        (lambda u: u.identity_domain(), PIotlbInvDsc, PasidIotlbGranularity.PASID),
    ],
)
@pytest.mark.parametrize("mamv", [0, 18, 63])
def test_each_stage_is_forgotten_whole_by_the_tag_it_is_cached_under(make, kind, granularity, mamv):
    machine, iommu = unit(cap=CAP.replace(MAMV=mamv))
    iommu.add_device(RID, pasid_bits=8)
    iommu.attach(make(iommu), RID, 5)
    assert machine.taken() == []  # what was not present is not cached
    iommu.detach(RID, 5)
    _, translations = machine.taken()
    assert (type(translations), translations.G) == (kind, granularity)


def test_an_entry_is_whole_when_it_becomes_present(machine, iommu):
    iommu.add_device(RID, pasid_bits=8)
    halves = []
    original = machine.write

    def write(address, data):
        original(address, data)
        entry = machine.pasid_entry(RID, 9)
        halves.append(entry)

    machine.write = write
    iommu.attach(iommu.alloc_domain(Stage.FIRST), RID, 9)
    seen = [one for one in halves if one is not None]
    assert len({one.raw for one in seen}) == 1
    assert seen[0].FSPTPTR


def test_with_caching_mode_new_entries_and_new_mappings_are_invalidated():
    machine, iommu = unit(cap=CAP.replace(CM=1))
    iommu.add_device(RID, pasid_bits=8)
    assert [type(one) for one in machine.taken()] == [CcInvDsc]
    domain = iommu.alloc_domain()
    tag = iommu.attach(domain, RID, 9)
    taken = machine.taken()
    assert [(type(one), one.DID) for one in taken] == [
        (PcInvDsc, 0),
        (PcInvDsc, tag.did),
        (IotlbInvDsc, tag.did),
    ]
    domain.map(0x10000, 0, 0x4000)
    (one,) = machine.taken()
    assert (type(one), one.ADDR, one.AM, one.IH) == (IotlbInvDsc, 0x10, 2, 0)


def test_page_requests_are_drained_before_an_address_space_goes(machine, iommu):
    iommu.add_device(RID, pasid_bits=8, ats=True, pri=True)
    iommu.attach(iommu.alloc_domain(Stage.FIRST), RID, 9)
    machine.done.clear()
    iommu.detach(RID, 9)
    assert isinstance(machine.done[-1], InvWaitDsc)
    assert machine.done[-1].PD


def test_a_silent_device_is_told_and_the_address_space_is_gone_all_the_same(machine, iommu, mem):
    iommu.add_device(RID, ats=True)
    domain = iommu.alloc_domain()
    iommu.attach(domain, RID)
    machine.silent_device = RID
    with pytest.raises(DeviceTlbTimeoutError):
        iommu.detach(RID)
    assert machine.pasid_entry(RID, 0) is None
    assert iommu.attached == {}
    domain.free()


# Accounts.


def test_after_detach_and_free_every_page_has_come_back(machine, iommu, mem):
    before = dict(mem.in_use)
    iommu.add_device(RID, pasid_bits=20, ats=True, pri=True)
    parent = iommu.alloc_domain()
    parent.map(0, 0, GIB + KIB4)
    domains = [iommu.alloc_domain(Stage.FIRST), iommu.alloc_domain(deferred=True), parent]
    domains += [iommu.nested_domain(parent, 0), iommu.identity_domain()]
    for pasid, domain in enumerate(domains, 1):
        iommu.attach(domain, RID, pasid * 100)
    for domain in domains[:2]:
        domain.map(0x1234000, 0x4000, 0x777000)
        domain.unmap(0x1300000, 0x10000)
    for pasid in range(1, 6):
        iommu.detach(RID, pasid * 100)
    for domain in domains[3::-1]:
        domain.free()
    iommu.remove_device(RID)
    assert machine.context(RID) is None
    # Context tables stay, as Linux keeps them, until the unit is disabled.
    assert dict(mem.in_use) == before | {"context": 1}
    assert iommu.dids.taken == set()


def test_four_thousand_pasids_with_8_gib_each_take_ten_tables_each():
    machine = Machine(size=256 << 20)
    mem = PhysMem(machine, RAM_BASE, machine.size - RAM_BASE)
    iommu = IntelIommu(mem, UNIT_BASE)
    iommu.enable()
    iommu.add_device(RID, pasid_bits=20)
    count = 4096
    for _ in range(count):
        domain = iommu.alloc_domain(levels=4)
        if domain.table.largest == 3:
            domain.table.largest = 2  # 2 MiB, as a host with fragmented memory has
        domain.map(0, 4 * GIB, 8 * GIB)
        iommu.attach(domain, RID, iommu.pasids.alloc())
    assert mem.in_use["second-stage"] == 10 * count
    assert mem.in_use["pasid-table"] == count // 64 + 1
    assert mem.in_use.total() * KIB4 < GIB
    entry = machine.pasid_entry(RID, count)
    page = walk(machine, entry.SSPTPTR << 12, 4, 8 * GIB - 1)
    assert (page.phys, page.size) == (12 * GIB - MIB2, MIB2)
