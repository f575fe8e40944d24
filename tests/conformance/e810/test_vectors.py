"""MSI-X vectors, their masks and pending bits, and interrupt message storage beyond 2,048 (PCIe 7.7.2)."""

import pytest

from siov.host.linux import LinuxError
from siov.spec.e810 import AqDesc, AqFlags, AqOpcode, Interrupts
from siov.spec.pcie import CapabilityId

from .driver import E810Driver
from .frames import plain
from .interrupts import (
    CLEARPBA,
    IMS,
    IMS_CAUSE,
    IMS_INT,
    IMS_RATE,
    INTENA,
    NONE,
    SOFTWARE,
    US,
    arm,
    mask,
    message,
    pending,
    program,
    program_ims,
    remapped,
    trigger,
)
from .machine import BAR3, Machine


@pytest.fixture
def msix(machine):
    machine.enable_msix()
    return machine


@pytest.mark.parametrize("vector", [0, 1, 31, 32, 63, 64, 2047])
def test_a_vector_sends_the_message_of_its_entry(msix, vector):
    program(msix, vector, *message(7, 0x55))
    arm(msix, vector)
    trigger(msix, vector)
    assert msix.interrupts() == [(7, 0x55)]


def test_a_masked_vectors_interrupt_pends_and_is_sent_when_it_is_unmasked(msix):
    program(msix, 5, *message(1, 0x50), masked=True)
    arm(msix, 5)
    trigger(msix, 5)
    assert msix.interrupts() == []
    assert pending(msix, 5)
    mask(msix, 5, False)
    assert msix.interrupts() == [(1, 0x50)]
    assert not pending(msix, 5)


def test_while_the_function_is_masked_all_vectors_pend(machine):
    machine.enable_msix(mask=True)
    for vector in (3, 4, 2000):
        program(machine, vector, *message(1, 0x50 + vector % 16))
        arm(machine, vector)
        trigger(machine, vector)
    assert machine.interrupts() == []
    assert [v for v in (2, 3, 4, 5, 2000, 2001) if pending(machine, v)] == [3, 4, 2000]
    machine.enable_msix()
    assert sorted(machine.interrupts()) == sorted((1, 0x50 + v % 16) for v in (3, 4, 2000))
    assert not any(pending(machine, v) for v in (3, 4, 2000))


def test_an_interrupt_pends_once_however_often_it_is_raised(msix):
    program(msix, 5, *message(1, 0x50), masked=True)
    for _ in range(3):
        arm(msix, 5)
        trigger(msix, 5)
    mask(msix, 5, False)
    assert msix.interrupts() == [(1, 0x50)]


def test_clearpba_takes_the_pending_bit_away(msix):
    program(msix, 5, *message(1, 0x50), masked=True)
    arm(msix, 5)
    trigger(msix, 5)
    msix.wr("GLINT_DYN_CTL", CLEARPBA | INTENA | NONE << 3, 5)
    assert not pending(msix, 5)
    mask(msix, 5, False)
    assert msix.interrupts() == []


def test_pending_bits_are_not_softwares_to_write(msix):
    msix.write32(0x8000, 0xFFFF_FFFF, BAR3)
    assert msix.read32(0x8000, BAR3) == 0


def test_with_msix_off_nothing_is_sent(machine):
    program(machine, 5, *message(1, 0x50))
    arm(machine, 5)
    trigger(machine, 5)
    assert machine.interrupts() == []


def test_a_vector_that_is_not_enabled_does_not_fire(msix):
    program(msix, 5, *message(1, 0x50))
    trigger(msix, 5)
    assert msix.interrupts() == []


def test_entries_are_masked_after_a_reset(msix):
    assert all(msix.read32(16 * v + 12, BAR3) & 1 for v in (0, 1, 2047))


def test_there_is_no_2049th_vector_in_the_table(msix):
    """Nothing lies between the last entry and the pending bits, and the capability says 2,048."""
    assert msix.config_read(msix.capability(CapabilityId.MSIX) + 2, 2) & 0x7FF == 2047
    before = msix.read32(0x8000, BAR3)
    for offset in (0, 4, 8, 12):
        msix.write32(2048 * 16 + offset, 0xFFFF_FFFF, BAR3)
    assert msix.read32(0x8000, BAR3) == before == 0
    at = 0x0016_0000 + 4 * 2048
    msix.write32(at, SOFTWARE | INTENA)
    msix.pump()
    assert msix.interrupts() == []


def test_a_host_that_asks_for_2049_vectors_is_refused_by_name(machine):
    from siov.host.core import DriverCore
    from siov.host.irq import IrqVectors
    from siov.host.pci import PciSubsystem
    from siov.host.pci.access import Firmware, HostWindow
    from siov.host.pci.msi import pci_alloc_irq_vectors
    from siov.host.pci.probe import pci_host_probe

    from .machine import ECAM, MEM64

    bus = PciSubsystem(DriverCore(lambda event: None), "pci")
    bus.register()
    bridge = pci_host_probe(
        machine.rc, Firmware(ECAM, (HostWindow(MEM64, 1 << 32, wide=True, offset=0),)), bus
    )
    [dev] = [d for d in bridge.devices() if d.device == 0x1592]
    with pytest.raises(LinuxError, match="has 2048 MSI-X vectors; 2049 were asked for"):
        pci_alloc_irq_vectors(dev, IrqVectors(), [lambda: None] * 2049)


def test_4096_vectors_of_message_storage_each_reach_their_own_receiver():
    """More than an MSI-X table could name, through the interrupt remapping table."""
    machine = Machine(iommu=True, ims=4096)
    remapping = machine.remap_interrupts()
    targets = [(slot // 128, 0x30 + slot % 128) for slot in range(4096)]
    first = remapping.alloc_irtes(0x100, targets)
    from siov.host.irq.vectors import Irq, RemapHandle

    for slot, target in enumerate(targets):
        irq = Irq(*target, RemapHandle(first + slot))
        program_ims(machine, slot, irq.address, irq.data)
        machine.write32(IMS_INT + 4096 * slot, INTENA | NONE << 3)
    assert machine.interrupts() == []
    for slot, target in enumerate(targets):
        machine.write32(IMS_INT + 4096 * slot, 1 << 31 | SOFTWARE | NONE << 3)
        assert machine.interrupts() == [target]


def test_a_receive_queue_interrupts_by_a_slot(wire):
    machine = Machine(iommu=True, ims=4096, port=wire.near)
    nic = E810Driver(machine)
    remapping = machine.remap_interrupts()
    one, two = nic.vsi(1, pasid=3), nic.vsi(2, pasid=4)
    program_ims(machine, 4000, *remapped(remapping, 3, 0x99))
    machine.wr("QINT_RQCTL", 1 << 30 | IMS_CAUSE | 4000 << 13 | NONE << 11, two.rx[0].number)
    machine.write32(IMS_INT + 4096 * 4000, INTENA | NONE << 3)
    one.tx[0].send(plain())
    assert machine.interrupts() == [(3, 0x99)]
    assert machine.read32(IMS_INT + 4096 * 4000) & 1 == 0


def test_a_masked_slot_pends_and_is_sent_when_it_is_unmasked():
    machine = Machine(ims=16)
    machine.enable_msix()
    program_ims(machine, 3, *message(2, 0x60), masked=True)
    machine.write32(IMS_INT + 4096 * 3, INTENA | NONE << 3)
    machine.write32(IMS_INT + 4096 * 3, 1 << 31 | SOFTWARE | NONE << 3)
    assert machine.interrupts() == []
    assert machine.read32(IMS + 16 * 3 + 12) == 3
    machine.write32(IMS + 16 * 3 + 12, 0)
    assert machine.interrupts() == [(2, 0x60)]
    assert machine.read32(IMS + 16 * 3 + 12) == 0


def test_a_slots_rate_is_limited_by_its_own_register():
    machine = Machine(ims=16)
    machine.enable_msix()
    program_ims(machine, 3, *message(2, 0x60))
    machine.write32(IMS_RATE + 4 * 3, Interrupts.GLINT_RATE.of(INTERVAL=25, INTRL_ENA=1).raw)
    found = 0
    for _ in range(100):
        machine.write32(IMS_INT + 4096 * 3, INTENA | NONE << 3)
        machine.write32(IMS_INT + 4096 * 3, 1 << 31 | SOFTWARE | NONE << 3)
        machine.advance(10 * US)
        found += len(machine.interrupts())
    assert found == pytest.approx(10, abs=1)


def test_a_message_that_its_remapping_entry_forbids_is_not_delivered_and_is_recorded():
    machine = Machine(iommu=True, ims=16)
    remapping = machine.remap_interrupts()
    program_ims(machine, 0, *remapped(remapping, 1, 0x40))
    foreign = remapping.alloc_irtes(0x0208, [(1, 0x41)])
    from siov.host.irq.vectors import Irq, RemapHandle

    irq = Irq(1, 0x41, RemapHandle(foreign))
    program_ims(machine, 1, irq.address, irq.data)
    for slot in (1, 0):
        machine.write32(IMS_INT + 4096 * slot, INTENA | NONE << 3)
        machine.write32(IMS_INT + 4096 * slot, 1 << 31 | SOFTWARE | NONE << 3)
    assert machine.interrupts() == [(1, 0x40)]
    [fault] = machine.iommu.faults.drain()
    assert (fault.rid, fault.index) == (0x100, foreign)


def test_the_admin_queue_interrupts_when_a_command_asks_for_it(nic, msix):
    program(msix, 0, *message(1, 0x31))
    msix.wr("PFINT_FW_CTL", 1 << 30 | NONE << 11)
    arm(msix, 0)
    nic.aq.send(AqOpcode.GET_VER)
    assert msix.interrupts() == [], "SI: the driver polls"
    nic.aq.put(AqDesc.of(FLAGS=AqFlags.of().raw, OPCODE=AqOpcode.GET_VER))
    assert msix.interrupts() == [(1, 0x31)]


def test_other_causes_interrupt_when_enabled_and_reading_clears_them(nic, msix):
    program(msix, 0, *message(1, 0x31))
    msix.wr("PFINT_OICR_CTL", 1 << 30 | NONE << 11)
    msix.wr("PFINT_OICR_ENA", 1 << 31)
    arm(msix, 0)
    msix.wr("PFINT_OICR", 1 << 31)
    assert msix.interrupts() == [(1, 0x31)]
    assert msix.rd("PFINT_OICR") >> 31
    assert msix.rd("PFINT_OICR") == 0


def test_other_causes_that_are_not_enabled_are_shown_only(nic, msix):
    program(msix, 0, *message(1, 0x31))
    msix.wr("PFINT_OICR_CTL", 1 << 30 | NONE << 11)
    arm(msix, 0)
    msix.wr("PFINT_OICR", 1 << 31)
    assert msix.interrupts() == []
    assert msix.rd("PFINT_OICR") >> 31
