"""Row 4: two-stage translation. Each address of a guest's table is itself translated; TLBs cut that short."""

from siov.hw.cpu import Core
from siov.observe.explain_cpu import memory_reads

from .house import House

GVA = 0x7000_0000_0000
VM = '\n[[vm]]\nname = "vm0"\nmemory = "16M"\ngva = 0x7000_0000_0000\nsize = "4M"\npage = "4K"\n'


def test_a_cold_walk_reads_24_entries_and_a_warm_one_none_beside_a_guest_with_traffic():
    house = House.build("walk", more=VM, vm1='type = "vdcm"', vm2='type = "vdcm"').boot()
    [vm] = house.platform.vms
    first = vm.access(GVA)["hpa"]
    bare = Core("bare", house.platform.dram.core, caches=False)
    vm.add_core(bare)
    result, steps = bare.explain(GVA, "r", user=True)
    assert (result["hpa"], result["reads"], memory_reads(steps)) == (first, 24, 24)
    vm.access(GVA)
    house.send("vm1", "vm2", count=200)
    assert vm.core.access(GVA, user=True)["reads"] == 0, "other machines' cores have TLBs of their own"


def test_a_guest_at_work_is_served_by_its_tlb():
    house = House.build("tlb", vm1='type = "vdcm"', vm2='type = "vdcm"').boot()
    counters = house.tenant("vm1").vdev.guest.core.inspect
    house.send("vm1", "vm2", "request", count=100)
    warm = dict(counters()["counters"])
    house.send("vm1", "vm2", "request", count=500, v6=True)
    now = counters()["counters"]
    lookups = now["dtlb_lookups"] - warm["dtlb_lookups"]
    assert lookups > 1000
    assert now["dtlb_hits"] - warm["dtlb_hits"] > 0.9 * lookups
