"""A core of the machine, driven by host/kvm: entries, exits, what it forgets, the page-modification log."""

import random

import pytest

from siov._core import CpuCore, HostMemory
from siov.host.kvm import MemorySlot, dirty_pages
from siov.host.physmem import PAGE_SIZE
from siov.hw.cpu import PAGING_4_LEVEL, Core
from siov.platform import Platform, build
from siov.scenario import VM_TABLES, parse
from siov.spec.ept import PML_ENTRIES, Cr3, EptPage4K, PteTable
from siov.vms import GuestVm

GVA = 0x7000_0000_0000
SIZE = 12 << 20
SCENARIO = {
    "name": "vms",
    "machine": {"memory": "64M"},
    "vm": [{"name": "a", "memory": "16M", "gva": GVA, "size": SIZE, "page": "4K"}],
}


def server(page: str = "4K") -> Platform:
    platform = build(parse({**SCENARIO, "vm": [{**SCENARIO["vm"][0], "page": page}]}, "test"))
    platform.enumerate()
    return platform


@pytest.fixture
def guest() -> GuestVm:
    return server().vms[0]


def counter(core: Core, name: str) -> int:
    return dict(core.engine.counters)[name]


def tables_for(guest: GuestVm, gva: int) -> set[int]:
    """The guest-physical pages of the guest's tables on the way to an address."""
    found, table = set(), guest.table.root
    for shift in (39, 30, 21, 12):
        found.add(table >> 12)
        raw = guest.table.mem.read(table + 8 * (gva >> shift & 0x1FF), 8)
        table = PteTable.from_bytes(raw).ADDR << 12
    return found


def lazily(guest: GuestVm) -> None:
    """Give the guest its memory anew, with EPT to be built on violations."""
    guest.vm.remove_slot(0)
    guest.vm.add_slot(MemorySlot(0, 0, guest.spec.memory, guest.memory))


# The dirty log.


@pytest.mark.parametrize("page", ["4K", "2M"])
@pytest.mark.parametrize("writes", [1, 700, 5000])
def test_the_harvested_set_is_the_pages_written_and_the_tables_walked_exactly(page, writes):
    guest = server(page).vms[0]
    guest.vm.start_dirty_log(0)
    some = random.Random(writes)
    for _ in range(2):  # the second time after a harvest, with everything clean again
        gvas = [GVA + some.randrange(SIZE) for _ in range(writes)]
        exits, logged = guest.core.exits["PML_FULL"], guest.vm.counts["pml_entries"]
        assert guest.access_many(gvas, "w") is None
        expected = {(gva - GVA + VM_TABLES) >> 12 for gva in gvas}
        expected = expected.union(*(tables_for(guest, gva) for gva in gvas))
        full = guest.core.exits["PML_FULL"] - exits
        assert full == guest.vm.counts["pml_full"]
        guest.vm.handle_pml_full(guest.core)  # what is logged by now, before the harvest looks at dirty bits
        guest.vm.counts["pml_full"] = 0
        assert set(dirty_pages(bytes(guest.vm.logs[0].bitmap))) == expected
        assert guest.vm.counts["pml_entries"] - logged == len(expected)
        assert set(dirty_pages(guest.vm.get_dirty_log(0))) == expected
        assert full == -(-len(expected) // PML_ENTRIES) - 1  # and the harvest drains the last


def test_reads_are_not_logged(guest):
    guest.vm.start_dirty_log(0)
    assert guest.access_many([GVA + n * PAGE_SIZE for n in range(600)]) is None
    assert set(dirty_pages(guest.vm.get_dirty_log(0))) == tables_for(guest, GVA) | tables_for(
        guest, GVA + 599 * PAGE_SIZE
    )


def test_a_page_that_the_tlb_knows_as_written_is_logged_again_after_a_harvest(guest):
    guest.vm.start_dirty_log(0)
    for _ in range(3):
        assert "fault" not in guest.access(GVA, "w")
        assert VM_TABLES >> 12 in set(dirty_pages(guest.vm.get_dirty_log(0)))
    assert not any(guest.vm.get_dirty_log(0))


def test_what_is_written_before_and_after_the_log_is_not_in_it(guest):
    guest.access(GVA, "w")
    guest.vm.start_dirty_log(0)
    guest.access(GVA + PAGE_SIZE, "w")
    pages = set(dirty_pages(guest.vm.stop_dirty_log(0)))
    logged = counter(guest.core, "pml_entries")
    guest.access(GVA + 2 * PAGE_SIZE, "w")
    assert {(VM_TABLES >> 12) + n for n in range(3)} & pages == {(VM_TABLES >> 12) + 1}
    assert counter(guest.core, "pml_entries") == logged


# EPT violations.


@pytest.mark.parametrize(("page", "violations"), [("4K", 5), ("2M", 2)])
@pytest.mark.parametrize("access", ["r", "w", "x"])
def test_a_violation_is_handled_by_the_host_and_the_access_done_again(page, violations, access):
    platform = server(page)
    guest = platform.vms[0]
    lazily(guest)
    at = guest.access(GVA + 0x1234, access)
    assert at["hpa"] == guest.memory + VM_TABLES + 0x1234
    assert guest.core.exits["EPT_VIOLATION"] == violations == guest.vm.counts["ept_violation"]
    assert guest.access(GVA + 0x1234, access)["reads"] == 0
    assert guest.core.exits["EPT_VIOLATION"] == violations


def test_a_batch_goes_on_behind_the_exits_in_it(guest):
    lazily(guest)
    assert guest.access_many([GVA + n * PAGE_SIZE for n in range(100)], "w") is None
    assert guest.core.exits["EPT_VIOLATION"] == 104


def test_nothing_reaches_memory_that_was_taken_away(guest):
    guest.access(GVA, "w")
    guest.vm.remove_slot(0)
    result = guest.access(GVA, "w")
    assert (result["fault"], result["exit_reason"]) == ("ept-violation", 48)
    assert guest.vm.counts["mmio"] == 1


def test_a_read_only_slot_takes_no_guest_table_while_accessed_flags_are_in_use(guest):
    guest.vm.remove_slot(0)
    guest.vm.add_slot(MemorySlot(0, 0, guest.spec.memory, guest.memory, readonly=True))
    result = guest.access(GVA)
    assert (result["fault"], result["gpa"] >> 12) == ("ept-violation", guest.table.root >> 12)


def test_an_entry_that_is_written_only_is_a_misconfiguration_that_ends_the_access(guest):
    mem = guest.vm.mem
    for at, _, base, _, picked in guest.vm.table.slices(VM_TABLES, VM_TABLES + PAGE_SIZE):
        n = picked[0]
        assert base + n * PAGE_SIZE == VM_TABLES
        mem.write(at + 8 * n, EptPage4K.of(W=1).to_bytes())
    result = guest.access(GVA)
    assert (result["fault"], result["gpa"]) == ("ept-misconfiguration", VM_TABLES)


# What a core keeps and forgets.


def test_a_vpid_lets_translations_outlive_an_exit():
    platform = server()
    guest = platform.vms[0]
    plain = Core("plain", platform.dram.core)
    guest.add_core(plain)
    for core, cold in ((guest.core, False), (plain, True)):
        core.access(GVA, user=True)
        core.vm_exit("HLT")
        assert (core.access(GVA, user=True)["reads"] > 0) is cold
        assert core.exits["HLT"] == 1


def test_a_process_switch_forgets_and_one_with_noflush_does_not(guest):
    guest.access(GVA)
    guest.core.mov_to_cr3(guest.cr3.replace(NOFLUSH=1))
    assert guest.access(GVA)["reads"] == 0
    guest.core.mov_to_cr3(guest.cr3)
    assert guest.access(GVA)["reads"] > 0
    guest.core.mov_to_cr3(guest.cr3.replace(PCID=2))
    assert guest.access(GVA)["reads"] > 0
    guest.core.vm_exit("HLT")  # saves CR3 in the VMCS
    guest.access(GVA)
    assert Cr3(guest.core.engine.inspect()["cr3"]).PCID == 2


def test_invlpg_and_invvpid_forget(guest):
    for forget in (lambda: guest.core.invlpg(GVA), guest.core.invvpid):
        guest.access(GVA)
        forget()
        assert guest.access(GVA)["reads"] > 0


def test_without_caches_every_walk_reads_24_entries():
    platform = server()
    core = Core("bare", platform.dram.core, caches=False)
    platform.vms[0].add_core(core)
    assert [core.access(GVA + n * 0x1000, "w", user=True)["reads"] for n in (0, 0, 7)] == [24] * 3


def test_the_supervisor_may_not_touch_a_users_page_with_smap_nor_run_it_with_smep(guest):
    for access, code in (("r", 1), ("w", 3), ("x", 17)):
        result = guest.core.access(GVA, access)
        assert (result["fault"], result["error_code"], result["exit_reason"]) == ("page-fault", code, None)
    guest.core.set_guest(guest.cr3, PAGING_4_LEVEL.replace(SMAP=0, SMEP=0))
    assert {guest.core.access(GVA, access)["hpa"] for access in "rwx"} == {guest.memory + VM_TABLES}


def test_inspect_tells_the_vmcs_and_the_counts():
    platform = server()
    platform.vms[0].access(GVA)
    seen = platform.inspect("hw/a-cpu0")
    assert isinstance(seen, dict)
    assert (seen["guest"], seen["vpid"], seen["eptp"]["PWL"]) == (True, 1, "3")
    assert seen["counters"]["walks"] == 1
    assert platform.inspect("host/kvm/a/vcpus") == 1


# A caller's errors.


def test_what_a_core_can_not_do_is_refused_in_a_sentence():
    memory = HostMemory(2 << 20)
    core = CpuCore(memory)
    for refused, sentence in (
        (lambda: core.access(0, "rw"), "one of r, w and x"),
        (lambda: core.vm_entry(vpid=0), "VPID 0"),
        (lambda: core.vm_entry(eptp=1), "VM entry failed"),
        (lambda: core.vm_entry(pml=0x1000), "VM entry failed"),
        (lambda: core.invept(1), "INVEPT"),
        (lambda: core.invvpid(0), "INVVPID"),
        (lambda: core.mov_to_cr3(1 << 63), "CR3"),
        (lambda: CpuCore(memory, maxphyaddr=60), "MAXPHYADDR"),
    ):
        with pytest.raises(ValueError, match=sentence):
            refused()
    assert core.vm_exit() is None
    core.vm_entry()
    with pytest.raises(ValueError, match="after a VM exit"):
        core.set_guest(cr3=0)
    with pytest.raises(ValueError, match="NonRoot"):
        core.vm_entry()
