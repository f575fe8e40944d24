"""A unit is found, switched on in the specification's order, and switched off with nothing left behind."""

from errno import EBUSY, EINVAL, ENODEV, ETIMEDOUT

import pytest

from siov.host.iommu import IntelIommu
from siov.host.irq import IrqVectors
from siov.host.linux import LinuxError
from siov.host.physmem import PhysMem
from siov.spec.vtd import TTM, CcInvDsc, IotlbInvDsc, PcInvDsc, Unit

from .machine import CAP, ECAP, RAM_BASE, UNIT_BASE, Machine


def on(cap=CAP, ecap=ECAP, **options) -> tuple[Machine, PhysMem, IntelIommu]:
    machine = Machine(cap=cap, ecap=ecap)
    mem = PhysMem(machine, RAM_BASE, machine.size - RAM_BASE)
    return machine, mem, IntelIommu(mem, UNIT_BASE, polls=20, **options)


def test_nobody_at_the_base_is_refused(mem):
    with pytest.raises(LinuxError, match="no remapping unit answers at 0xdead0000") as refusal:
        IntelIommu(mem, 0xDEAD_0000)
    assert refusal.value.errno == ENODEV


def test_a_unit_without_queued_invalidation_is_refused():
    with pytest.raises(LinuxError, match="no queued invalidation") as refusal:
        on(ecap=ECAP.replace(QI=0))
    assert refusal.value.errno == ENODEV


def test_scalable_mode_is_taken_where_there_is_one_and_refused_where_there_is_none():
    assert on()[2].scalable
    assert not on(scalable=False)[2].scalable
    assert not on(ecap=ECAP.replace(SMTS=0))[2].scalable
    with pytest.raises(LinuxError, match="has no scalable mode") as refusal:
        on(ecap=ECAP.replace(SMTS=0), scalable=True)
    assert refusal.value.errno == EINVAL


@pytest.mark.parametrize(("scalable", "ttm"), [(True, TTM.SCALABLE), (False, TTM.LEGACY)])
def test_queue_then_root_table_then_invalidation_then_translation(scalable, ttm):
    machine, mem, unit = on(scalable=scalable)
    unit.enable()
    assert machine.events == ["QIE=1", "SRTP", "TE=1"]
    assert ttm == machine.get(Unit.RTADDR).TTM
    assert int(scalable) == machine.get(Unit.IQA).DW
    kinds = [CcInvDsc, PcInvDsc, IotlbInvDsc] if scalable else [CcInvDsc, IotlbInvDsc]
    taken = machine.taken()
    assert [type(one) for one in taken] == kinds
    assert [one.decode()["G"] for one in taken] == ["GLOBAL"] * len(kinds)
    assert mem.in_use["root"] == 1


def test_a_unit_that_invalidates_by_itself_is_not_told_to():
    machine, _, unit = on(cap=CAP.replace(ESRTPS=1))
    unit.enable()
    assert machine.taken() == []


def test_what_firmware_left_on_is_switched_off_first():
    machine, _, unit = on()
    machine.put(Unit.GSTS.of(TES=1, QIES=1))
    unit.enable()
    assert machine.events == ["TE=0", "QIE=0", "QIE=1", "SRTP", "TE=1"]


def test_a_unit_that_needs_its_write_buffer_flushed_is_flushed():
    machine, _, unit = on(cap=CAP.replace(RWBF=1))
    unit.enable()
    assert machine.events == ["QIE=1", "WBF", "SRTP", "TE=1"]
    unit.add_device(0x100)
    assert machine.events[-1] == "WBF"


@pytest.mark.parametrize(
    ("bit", "words"),
    [("QIE", r"GSTS\.QIES = 1 after GCMD\.QIE = 1"), ("SRTP", r"GSTS\.RTPS = 1"), ("TE", r"GSTS\.TES = 1")],
)
def test_a_stuck_unit_is_given_up_and_its_tables_are_freed(bit, words):
    machine, mem, unit = on()
    machine.stuck.add(bit)
    with pytest.raises(LinuxError, match=f"dmar0 at 0xfed90000 is stuck: {words}") as refusal:
        unit.enable()
    assert refusal.value.errno == ETIMEDOUT
    assert set(mem.in_use) <= {"invalidation-queue", "invalidation-status"}
    machine.stuck.clear()
    unit.enable()
    assert machine.get(Unit.GSTS).TES


def test_disable_and_shutdown_give_everything_back(machine, mem, iommu):
    iommu.add_device(0x0100, ats=True, pri=True, pasid_bits=20)
    iommu.add_device(0x01F8)
    with pytest.raises(LinuxError, match="still translates"):
        iommu.shutdown()
    iommu.disable()
    assert not machine.get(Unit.GSTS).TES
    iommu.shutdown()
    assert not machine.get(Unit.GSTS).QIES
    assert not mem.in_use


def test_a_unit_that_is_on_is_not_switched_on_again(iommu):
    with pytest.raises(LinuxError, match="dmar0 is on already") as refusal:
        iommu.enable()
    assert refusal.value.errno == EBUSY


def test_a_device_can_t_be_added_while_the_unit_is_off():
    with pytest.raises(LinuxError, match="dmar0 is off; enable it first"):
        on()[2].add_device(0x100)


def test_events_are_compatibility_messages_unmasked_after_they_are_set_up(machine, iommu):
    irqs = IrqVectors(cpus=2)
    iommu.setup_events(irqs)
    assert [name for name, _ in irqs.interrupts()] == ["dmar0-fault", "dmar0-prq"]
    assert (machine.get(Unit.FECTL).IM, machine.get(Unit.PECTL).IM) == (0, 0)
    assert machine.get(Unit.FEADDR).raw == 0xFEE0_0000
    assert machine.get(Unit.PEADDR).raw == 0xFEE0_1000
    assert machine.get(Unit.FEDATA).IMD == 0x20
    iommu.disable()
    iommu.shutdown()
    assert (machine.get(Unit.FECTL).IM, machine.get(Unit.PECTL).IM) == (1, 1)
    assert irqs.actions == {}


def test_inspect_says_mode_capabilities_and_queue_in_the_specification_s_words(iommu):
    seen = iommu.inspect()
    assert (seen["mode"], seen["version"], seen["enabled"]) == ("scalable", "6.0", True)
    assert seen["cap"]["ND"] == "6"
    assert seen["queue"]["descriptors"]["context_cache"] == 1
