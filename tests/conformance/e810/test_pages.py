"""A virtual device's pages do what its registers do: rings and vectors by pages alone (siov_regs.h)."""

import pytest

from siov.spec.e810 import Queues

from .driver import E810Driver
from .frames import plain
from .interrupts import INTENA, NONE, message, program
from .machine import Machine


def test_a_frame_is_sent_and_received_by_pages_alone(nic, machine):
    """What a guest has: two tails and a vector; no other register is touched once it is set up."""
    one, two = nic.vsi(1), nic.vsi(2, rings=False)
    rx, tx = nic.rx_queue(two, two.first), one.tx[0]
    rx.enable()
    machine.enable_msix()
    program(machine, 33, *message(1, 0x70))
    rx.interrupt(33)
    tail, doorbell, vector = (
        0x03800000 + 4096 * rx.number, 0x04000000 + 4096 * tx.number, 0x03000000 + 4096 * 33,
    )  # fmt: skip
    for n in range(8):
        rx.fill(n)
    machine.write32(tail, 8)
    machine.write32(vector, INTENA | NONE << 3)
    tx.data(plain())
    machine.write32(doorbell, 1)
    machine.pump()
    assert rx.done(0)
    assert tx.done(0)
    assert machine.interrupts() == [(1, 0x70)]
    assert machine.read32(vector) & INTENA == 0


def test_a_foreign_page_moves_no_ring_of_ours(nic, machine):
    one, two = nic.vsi(1), nic.vsi(2)
    one.tx[0].data(plain())
    for queue in range(8):
        if queue != one.tx[0].number:
            machine.write32(0x04000000 + 4096 * queue, 1)
    machine.pump()
    assert two.frames() == []
    assert not one.tx[0].done(0)


@pytest.mark.parametrize("queue", [2047, 1500])
def test_the_highest_queues_work_as_the_first_do(queue):
    nic = E810Driver(Machine())
    two = nic.vsi(2, rings=False)
    nic.free_rx = nic.free_tx = queue
    one = nic.vsi(1)
    sender = nic.tx_queue(two) if queue < 2047 else one.tx[0]
    assert one.rx[0].number == queue
    if queue < 2047:
        sender.send(plain(one.mac, two.mac))
        assert one.frames() == [plain(one.mac, two.mac)]
    else:
        sender.send(plain(bytes([2, 0xFA, 0, 0, 0, 1]), one.mac))
        assert sender.done(0)


def test_all_768_vsis_can_be_there_and_no_more(nic):
    from siov.spec.e810 import AqOpcode, AqRc, AqVsi, VsiType

    for n in range(768):
        data = bytes(E810Driver.defaults(n, 1).data)
        nic.aq.send(AqOpcode.ADD_VSI, AqVsi.of(TYPE=VsiType.VMDQ2), data)
    nic.aq.send(AqOpcode.ADD_VSI, AqVsi.of(TYPE=VsiType.VMDQ2), data, expect=AqRc.ENOSPC)


def test_a_queue_is_enabled_for_one_vsi_only(nic, machine):
    """The same number once more is refused, whoever asks."""
    from siov.spec.e810 import AqRc

    one, two = nic.vsi(1), nic.vsi(2)
    nic.free_tx = one.tx[0].number
    nic.tx_queue(two, expect=AqRc.EEXIST)


def test_a_receive_queue_belongs_to_the_vsi_whose_properties_name_it(guarded):
    """Enabling a queue in nobody's map lets nobody's frames into it."""
    one, two = guarded.vsi(1, pasid=3), guarded.vsi(2, pasid=4)
    stray = guarded.rx_queue(one, 1999)
    stray.configure()
    stray.request(True)
    stray.post_all()
    one.tx[0].send(plain())
    assert two.frames() == [plain()]
    assert not stray.done(0)
    assert Queues.QRX_CTRL(guarded.machine.rd("QRX_CTRL", 1999)).CDS == 0
