"""The mailbox of VSIs and function: messages, interrupts, full and broken rings (ice_controlq.c)."""

import pytest

from siov.spec.e810 import AqDesc, AqFlags, AqOpcode, AqRc, QueueLength
from siov.spec.e810.queues import Queues

from .adminq import ENTRIES, AdminQueue
from .driver import E810Driver
from .interrupts import NONE, arm, message, program
from .machine import Machine

PASID_MODE = Queues.GL_MBX_PASID.of(PASID_MODE=1)


@pytest.fixture
def boxes(nic):
    """The function's mailbox, two VSIs and theirs."""
    return opened(nic)


def opened(nic, **pasids):
    nic.machine.wr("GL_MBX_PASID", PASID_MODE if pasids else 0)
    pf = AdminQueue(nic.space, "PF_MBX")
    found = []
    for n in (1, 2):
        vsi = nic.vsi(n, rings=False, pasid=pasids.get(f"vsi{n}"))
        found.append((vsi, AdminQueue(vsi.space, "VSI_MBX", vsi.number)))
    return pf, *found


def to_pf(box, data=b"hello", opcode=3, **fields):
    """A message of a VSI, as iavf sends it."""
    flags = AqFlags.of(SI=1, BUF=bool(data), RD=bool(data), LB=len(data) > 512)
    desc = AqDesc.of(
        FLAGS=flags.raw, OPCODE=AqOpcode.SEND_MSG_TO_PF, DATALEN=len(data), COOKIE_HIGH=opcode, **fields
    )
    return box.put(desc, data)


def to_vsi(pf, vsi, data=b"reply", opcode=3, status=0):
    """An answer of the function, as ice sends it (ice_aq_send_msg_to_vf)."""
    flags = AqFlags.of(SI=1, BUF=bool(data), RD=bool(data), LB=len(data) > 512)
    desc = AqDesc.of(
        FLAGS=flags.raw, OPCODE=AqOpcode.SEND_MSG_TO_VF, DATALEN=len(data), COOKIE_HIGH=opcode,
        COOKIE_LOW=status & 0xFFFF_FFFF, PARAM0=vsi,
    )  # fmt: skip
    return pf.put(desc, data)


def test_a_vsis_message_reaches_the_function_with_the_vsis_number(boxes):
    pf, (one, _), (two, box) = boxes
    index = to_pf(box, b"x" * 100, opcode=17)
    [got] = pf.received()
    assert got.data == b"x" * 100
    assert got.descriptor.OPCODE == AqOpcode.SEND_MSG_TO_PF
    assert got.descriptor.RETVAL == two.number != one.number
    assert got.descriptor.COOKIE_HIGH == 17
    flags = AqFlags(got.descriptor.FLAGS)
    assert (flags.DD, flags.CMP, flags.ERR) == (1, 1, 0)
    done = box.answer(index).descriptor
    assert AqFlags(done.FLAGS).DD
    assert done.RETVAL & 0xFF == AqRc.OK


def test_the_functions_message_reaches_the_vsi_it_names_and_no_other(boxes):
    pf, (_, first), (two, box) = boxes
    index = to_vsi(pf, two.number, b"y" * 36, opcode=3, status=-5)
    [got] = box.received()
    assert got.data == b"y" * 36
    assert got.descriptor.OPCODE == AqOpcode.SEND_MSG_TO_VF
    assert (got.descriptor.COOKIE_HIGH, got.descriptor.COOKIE_LOW) == (3, 0xFFFF_FFFB)
    flags = AqFlags(got.descriptor.FLAGS)
    assert (flags.DD, flags.CMP, flags.ERR) == (1, 1, 0)
    assert first.received() == []
    assert pf.answer(index).descriptor.RETVAL & 0xFF == AqRc.OK


def test_messages_keep_their_order_and_the_rings_go_round(boxes):
    pf, (_, box), _ = boxes
    for n in range(3 * ENTRIES):
        to_pf(box, bytes([n, n]), opcode=n + 1)
        to_pf(box, b"", opcode=n + 2)
        got = pf.received()
        assert [(g.descriptor.COOKIE_HIGH, g.data) for g in got] == [(n + 1, bytes([n, n])), (n + 2, b"")]


def test_a_buffer_of_4096_bytes_goes_both_ways(boxes):
    pf, (one, box), _ = boxes
    data = bytes(n * 3 & 0xFF for n in range(4096))
    to_pf(box, data)
    assert [g.data for g in pf.received()] == [data]
    to_vsi(pf, one.number, data)
    [got] = box.received()
    assert got.data == data
    assert AqFlags(got.descriptor.FLAGS).LB


def test_length_enabled_before_the_base_is_written_harms_nothing(nic):
    """iavf writes LEN first, then BAL and BAH: nothing may be fetched before a tail moves."""
    machine, vsi = nic.machine, nic.vsi(1, rings=False)
    before = machine.read(0, 0x10000)
    for which in ("ATQ", "ARQ"):
        machine.wr(f"VSI_MBX_{which}LEN", QueueLength.of(LEN=32, ENABLE=1), vsi.number)
        assert QueueLength(machine.rd(f"VSI_MBX_{which}LEN", vsi.number)).ENABLE
        machine.wr(f"VSI_MBX_{which}BAL", 0x1234_5640, vsi.number)
        assert machine.rd(f"VSI_MBX_{which}BAL", vsi.number) == 0x1234_5640
    machine.pump()
    assert machine.read(0, 0x10000) == before
    assert not QueueLength(machine.rd("VSI_MBX_ATQLEN", vsi.number)).CRIT


def test_both_sides_are_interrupted_by_what_they_receive(boxes, machine):
    pf, (_, box), (two, _) = boxes
    machine.enable_msix()
    program(machine, 10, *message(1, 0x40))
    program(machine, 11, *message(1, 0x41))
    machine.wr("PFINT_MBX_CTL", 1 << 30 | NONE << 11 | 10)
    machine.wr("VPINT_MBX_CTL", 1 << 30 | NONE << 11 | 11, two.number)
    arm(machine, 10)
    arm(machine, 11)
    to_pf(box)
    assert machine.interrupts() == [(1, 0x40)]
    to_vsi(pf, two.number)
    assert (1, 0x41) in machine.interrupts()


def test_a_message_that_came_while_masked_interrupts_when_the_vector_is_enabled(boxes, machine):
    pf, _, (two, _) = boxes
    machine.enable_msix()
    program(machine, 11, *message(1, 0x41))
    machine.wr("VPINT_MBX_CTL", 1 << 30 | NONE << 11 | 11, two.number)
    to_vsi(pf, two.number)
    assert machine.interrupts() == []
    arm(machine, 11)
    machine.pump()
    assert machine.interrupts() == [(1, 0x41)]


def test_a_full_receive_ring_refuses_and_says_overflow(boxes, machine):
    pf, (one, box), _ = boxes
    for _ in range(ENTRIES - 1):
        to_vsi(pf, one.number)
    index = to_vsi(pf, one.number)
    assert pf.answer(index).descriptor.RETVAL & 0xFF == AqRc.EBUSY
    assert QueueLength(machine.rd("VSI_MBX_ARQLEN", one.number)).OVFL
    assert len(box.received()) == ENTRIES - 1


def test_a_full_ring_of_the_function_lets_a_message_wait_and_lose_nothing(boxes, machine):
    pf, (_, box), (_, other) = boxes
    for n in range(20):
        to_pf(box, opcode=n + 1)
    for n in range(20):
        to_pf(other, opcode=100 + n)
    got = pf.received()
    machine.pump()
    got += pf.received()
    found = [g.descriptor.COOKIE_HIGH for g in got]
    assert [c for c in found if c < 100] == list(range(1, 21))
    assert [c for c in found if c >= 100] == list(range(100, 120))


def test_a_message_to_a_vsi_whose_box_is_shut_is_refused(boxes, machine):
    pf, (one, _), _ = boxes
    machine.wr("VSI_MBX_ARQLEN", 0, one.number)
    assert pf.answer(to_vsi(pf, one.number)).descriptor.RETVAL & 0xFF != AqRc.OK
    assert pf.answer(to_vsi(pf, 767)).descriptor.RETVAL & 0xFF != AqRc.OK


@pytest.mark.parametrize("register", ["ATQT", "ARQT"])
@pytest.mark.parametrize("value", [32, 500, 1023])
def test_a_tail_outside_the_ring_is_a_critical_error_of_that_vsi_alone(boxes, machine, register, value):
    pf, (one, _), (_, box) = boxes
    machine.wr(f"VSI_MBX_{register}", value, one.number)
    if register == "ARQT":
        to_vsi(pf, one.number)
    assert QueueLength(machine.rd(f"VSI_MBX_{register[:3]}LEN", one.number)).CRIT
    to_pf(box)
    assert len(pf.received()) == 1


def test_shutdown_of_a_mailbox_is_done_at_once(boxes):
    """iavf waits for the head to reach the tail after Q_SHUTDOWN (0x0003)."""
    pf, (_, box), _ = boxes
    index = box.put(AqDesc.of(FLAGS=AqFlags.of(SI=1).raw, OPCODE=AqOpcode.Q_SHUTDOWN, PARAM0=1))
    assert AqFlags(box.answer(index).descriptor.FLAGS).DD
    assert pf.received() == []


def test_boxes_are_reached_by_their_vsis_pasids(wire):
    nic = E810Driver(Machine(iommu=True, port=wire.near))
    pf, (one, first), (two, second) = opened(nic, vsi1=11, vsi2=12)
    assert first.ring == second.ring, "same addresses, other memory"
    to_pf(second, b"second")
    to_pf(first, b"first")
    got = pf.received()
    assert [(g.descriptor.RETVAL, g.data) for g in got] == [(two.number, b"second"), (one.number, b"first")]
    to_vsi(pf, one.number, b"to one")
    assert [g.data for g in first.received()] == [b"to one"]
    assert second.received() == []
    assert nic.machine.iommu.faults.drain() == []


def test_with_pasid_mode_a_vsi_without_a_pasid_reaches_nothing(wire):
    nic = E810Driver(Machine(iommu=True, port=wire.near))
    pf, (one, first), _ = opened(nic, vsi2=12)
    box = AdminQueue(nic.space, "VSI_MBX", one.number)
    flags = AqFlags.of(SI=1)
    box.put(AqDesc.of(FLAGS=flags.raw, OPCODE=AqOpcode.SEND_MSG_TO_PF, COOKIE_HIGH=5))
    assert pf.received() == []
    assert QueueLength(nic.machine.rd("VSI_MBX_ATQLEN", one.number)).CRIT
    assert first is not box
