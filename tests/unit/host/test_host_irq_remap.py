"""Remapped interrupts: entries validate their device, messages name entries, posted ones go to memory."""

from errno import EINVAL, ENOSPC, ETIMEDOUT

import pytest

from siov.host.iommu import IntelIommu
from siov.host.irq import IrqVectors
from siov.host.irq.posted import PostedDescriptors
from siov.host.irq.remapping import InterruptRemapping
from siov.host.linux import LinuxError
from siov.host.physmem import PhysMem
from siov.spec.msi import RemappableAddress, RemappableData
from siov.spec.vtd import SVT, IecInvDsc, Irte, PostedInterruptDescriptor, PostedIrte, Unit

from .machine import CAP, ECAP, RAM_BASE, UNIT_BASE, Machine

RID = 0x3B01


def remapping(cap=CAP, ecap=ECAP, entries: int = 256) -> tuple[Machine, InterruptRemapping]:
    machine = Machine(cap=cap, ecap=ecap)
    mem = PhysMem(machine, RAM_BASE, machine.size - RAM_BASE)
    return machine, InterruptRemapping(IntelIommu(mem, UNIT_BASE, polls=20), entries)


@pytest.fixture
def on() -> tuple[Machine, InterruptRemapping]:
    machine, remap = remapping()
    remap.enable()
    machine.taken()
    return machine, remap


def entry_in_memory(machine: Machine, index: int) -> Irte | PostedIrte:
    table = machine.get(Unit.IRTA)
    assert index < 2 << table.S
    raw = machine.ram[(table.IRTA << 12) + 16 * index :][:16]
    kind = PostedIrte if Irte.from_bytes(raw).IM else Irte
    entry = kind.from_bytes(raw)
    assert entry.raw & kind.reserved() == 0
    return entry


def index_of(irq) -> int:
    address, data = RemappableAddress(irq.address), RemappableData(irq.data)
    assert (address.PREFIX, address.INTR_FMT, address.SHV) == (0xFEE, 1, 1)
    return (address.HANDLE_15 << 15 | address.HANDLE) + data.SUBHANDLE


@pytest.mark.parametrize(("entries", "s"), [(256, 7), (512, 8), (65536, 15)])
def test_the_queue_then_the_table_then_its_caches_then_remapping(entries, s):
    machine, remap = remapping(entries=entries)
    remap.enable()
    assert machine.events == ["QIE=1", "SIRTP", "IRE=1"]
    assert (s, 1) == (machine.get(Unit.IRTA).S, machine.get(Unit.IRTA).EIME)
    assert [(type(one), one.G) for one in machine.taken()] == [(IecInvDsc, 0)]
    assert remap.unit.mem.in_use["interrupt-remapping-table"] == entries * 16 // 4096
    remap.disable()
    remap.unit.shutdown()
    assert not remap.unit.mem.in_use


def test_compatibility_messages_are_blocked_unless_asked_for():
    machine, remap = remapping()
    remap.enable(compatibility=True)
    assert machine.events[-1] == "CFI=1"


def test_refusals():
    for entries in (0, 128, 300, 131072):
        with pytest.raises(LinuxError, match="a power of two from 256 to 65536") as e:
            remapping(entries=entries)[1].enable()
        assert e.value.errno == EINVAL
    with pytest.raises(LinuxError, match="has no interrupt remapping"):
        remapping(ecap=ECAP.replace(IR=0))[1].enable()
    machine, remap = remapping()
    machine.stuck.add("SIRTP")
    with pytest.raises(LinuxError, match="is stuck") as e:
        remap.enable()
    assert e.value.errno == ETIMEDOUT
    assert "interrupt-remapping-table" not in remap.unit.mem.in_use
    with pytest.raises(LinuxError, match="interrupt remapping is off"):
        remap.alloc_irtes(RID, [(0, 0x30)])


def test_with_a_remapper_devices_get_remappable_messages_and_the_host_s_own_do_not(on):
    machine, remap = on
    irqs = IrqVectors(cpus=2, remapper=remap)
    own = irqs.request_irq(lambda: None, "own")
    assert own.address == 0xFEE0_0000
    irq = irqs.request_irq(lambda: None, "dev", RID)
    entry = entry_in_memory(machine, index_of(irq))
    assert (1, irq.vector, irq.cpu) == (entry.P, entry.V, entry.DST)
    assert (entry.SID, entry.SVT, entry.SQ) == (RID, SVT.SID_SQ, 0)
    assert irqs.inspect()["remapped"] == {f"cpu{irq.cpu}/{irq.vector:#x}": index_of(irq)}


def test_without_a_remapper_they_are_compatibility_messages():
    irq = IrqVectors().request_irq(lambda: None, "dev", RID)
    assert (irq.address, irq.data) == (0xFEE0_0000, 0x20)


def test_the_handler_runs_when_the_remapped_message_arrives(on):
    machine, remap = on
    irqs, ran = IrqVectors(cpus=4, remapper=remap), []
    given = [irqs.request_irq(lambda n=n: ran.append(n), f"{n}", RID) for n in range(8)]
    for irq in given[::-1]:
        entry = entry_in_memory(machine, index_of(irq))
        irqs.deliver(0xFEE0_0000 | entry.DST << 12, entry.V)
    assert ran == [7, 6, 5, 4, 3, 2, 1, 0]
    assert irqs.spurious == 0


def test_several_messages_have_entries_in_a_row_and_one_address(on):
    machine, remap = on
    irqs = IrqVectors(cpus=3, remapper=remap)
    irqs.request_irq(lambda: None, "other", 0x100)
    given = irqs.request_irqs([(lambda: None, f"m{n}") for n in range(6)], RID)
    assert len({irq.address for irq in given}) == 1
    assert [irq.data for irq in given] == list(range(6))
    first = index_of(given[0])
    assert first % 8 == 0  # so that one descriptor can invalidate them
    assert [index_of(irq) for irq in given] == list(range(first, first + 6))
    assert [entry_in_memory(machine, index_of(i)).DST for i in given] == [i.cpu for i in given]
    for irq in given:
        irqs.free_irq(irq)
    assert list(remap.owners) == [0]


def test_several_messages_without_remapping_are_refused():
    with pytest.raises(LinuxError, match="0x3b01: several messages need interrupt remapping") as e:
        IrqVectors().request_irqs([(lambda: None, "a"), (lambda: None, "b")], RID)
    assert e.value.errno == ENOSPC


def test_entries_run_out_and_nothing_is_kept_then(on):
    _, remap = on
    irqs = IrqVectors(cpus=8, remapper=remap)
    given = [irqs.request_irq(lambda: None, f"{n}", RID) for n in range(256)]
    with pytest.raises(LinuxError, match="no 1 interrupt remapping entries in a row are left of 256") as e:
        irqs.request_irq(lambda: None, "more", RID)
    assert e.value.errno == ENOSPC
    assert len(irqs.actions) == 256
    irqs.free_irq(given[100])
    assert index_of(irqs.request_irq(lambda: None, "again", RID)) == 100


def test_an_entry_is_gone_from_memory_and_from_the_cache_when_it_is_freed(on):
    machine, remap = on
    irqs = IrqVectors(remapper=remap)
    irq = irqs.request_irq(lambda: None, "dev", RID)
    machine.taken()
    present = []
    machine.before = lambda one: present.append(entry_in_memory(machine, index_of(irq)).P)
    irqs.free_irq(irq)
    assert [(one.G, one.IIDX, one.IM) for one in machine.taken()] == [(1, index_of(irq), 0)]
    assert present[0] == 0


def test_an_interrupt_moves_to_another_cpu_by_its_entry_alone(on):
    machine, remap = on
    index = remap.alloc_irtes(RID, [(0, 0x30)])
    machine.taken()
    remap.set_affinity(index, 3, 0x44)
    entry = entry_in_memory(machine, index)
    assert (entry.DST, entry.V, entry.SID) == (3, 0x44, RID)
    assert [one.IIDX for one in machine.taken()] == [index]
    with pytest.raises(LinuxError, match="entry 99 is not in use"):
        remap.set_affinity(99, 0, 0x30)


def test_without_extended_mode_the_destination_is_in_bits_15_to_8():
    machine, remap = remapping(ecap=ECAP.replace(EIM=0))
    remap.enable()
    assert entry_in_memory(machine, remap.alloc_irtes(RID, [(5, 0x30)])).DST == 5 << 8
    assert machine.get(Unit.IRTA).EIME == 0


def test_what_can_t_be_masked_at_once_is_invalidated_one_by_one():
    machine, remap = remapping(ecap=ECAP.replace(MHMV=1))
    remap.enable()
    machine.taken()
    remap.alloc_irtes(RID, [(0, 0x30 + n) for n in range(4)])
    assert [(one.IIDX, one.IM) for one in machine.taken()] == [(n, 0) for n in range(4)]
    remap.alloc_irtes(RID, [(0, 0x40), (0, 0x41)])
    assert [(one.IIDX, one.IM) for one in machine.taken()] == [(4, 1)]


# Posted.


def test_a_posted_entry_names_the_descriptor_and_the_guest_s_vector(on):
    machine, remap = on
    descriptors = PostedDescriptors(remap.unit.mem)
    pid = descriptors.alloc()
    index = remap.alloc_irtes(RID, [(1, 0x30)])
    machine.taken()
    remap.set_vcpu_affinity(index, pid, 0x51, urgent=True)
    assert [(one.G, one.IIDX) for one in machine.taken()] == [(1, index)]
    entry = entry_in_memory(machine, index)
    assert (entry.P, entry.IM, entry.URG, entry.V, entry.SID) == (1, 1, 1, 0x51, RID)
    assert pid.address == entry.PDAH << 32 | entry.PDAL << 6
    remap.set_affinity(index, 2, 0x31)  # kept for later
    assert entry_in_memory(machine, index) == entry
    remap.set_vcpu_affinity(index, None)
    assert [(one.G, one.IIDX) for one in machine.taken()] == [(1, index)]
    entry = entry_in_memory(machine, index)
    assert (entry.IM, entry.DST, entry.V) == (0, 2, 0x31)


def test_without_posting_it_is_refused():
    _, remap = remapping(cap=CAP.replace(PI=0))
    remap.enable()
    index = remap.alloc_irtes(RID, [(1, 0x30)])
    with pytest.raises(LinuxError, match="can't post interrupts"):
        remap.set_vcpu_affinity(index, PostedDescriptors(remap.unit.mem).alloc(), 0x51)


def test_posted_vectors_are_taken_once_and_on_is_cleared(machine, mem):
    pid = PostedDescriptors(mem).alloc()
    pid.notify(5, 0xF2)
    assert (pid.read().NDST, pid.read().NV, pid.read().SN) == (5, 0xF2, 0)
    assert pid.take() == []
    posted = pid.read().replace(PIR_0=1 << 33, PIR_3=1 << 63 | 1, ON=1)
    machine.write(pid.address, posted.to_bytes())
    assert pid.take() == [33, 192, 255]
    assert pid.take() == []
    assert pid.read() == PostedInterruptDescriptor.of(NDST=5, NV=0xF2)
    pid.suppress(True)
    assert pid.read().SN == 1


def test_descriptors_are_64_to_a_page_aligned_and_come_back(mem):
    descriptors = PostedDescriptors(mem)
    given = [descriptors.alloc() for _ in range(65)]
    assert len({one.address for one in given}) == 65
    assert all(one.address % 64 == 0 for one in given)
    assert mem.in_use["posted-interrupts"] == 2
    for one in given:
        descriptors.free(one)
    assert not mem.in_use
