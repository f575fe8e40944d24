"""A queue that points outside its PASID's memory moves no byte, is stopped, and harms nobody."""

import pytest

from siov.host.iommu import RequestKind
from siov.host.pgtable import Prot
from siov.spec.vtd import FaultReason

from .driver import E810Driver
from .frames import ACK, TCP, V4, B, ether, pattern, plain, segments, tcp, udp_frame
from .machine import Machine
from .scene import Scene
from .space import PAGE

READ, WRITE = RequestKind.READ, RequestKind.WRITE


def test_a_transmit_ring_outside(scene, wire):
    tx = scene.bad.tx[0]
    other = scene.nic.tx_queue(scene.bad, BASE=(hole := scene.bad.space.hole()) // 128)
    scene.traffic()
    other.data(plain(scene.sink.mac))
    other.kick()
    scene.fault(hole, READ)
    scene.caught_sending(other.number)
    scene.neighbours_lost_nothing()
    assert wire.take() == []
    tx.send(plain(B, scene.bad.mac))
    assert scene.neighbour.frames() == [plain(B, scene.bad.mac)], "the VSI's other queue goes on"


def test_a_transmit_buffer_outside(scene, wire):
    tx, hole = scene.bad.tx[0], scene.bad.space.hole()
    scene.traffic()
    tx.data(plain(scene.sink.mac), address=hole)
    tx.data(plain(scene.sink.mac))
    tx.kick()
    scene.fault(hole, READ)
    scene.caught_sending(tx.number)
    scene.neighbours_lost_nothing()
    assert not tx.done(0)
    assert not tx.done(1)
    assert wire.take() == []
    assert scene.bad.counter("GLV_UPTC") == 0


def test_a_second_transmit_buffer_that_runs_out_of_a_page(scene, wire):
    """The first buffer is good: no part of the packet is sent."""
    tx = scene.bad.tx[0]
    page = scene.bad.space.alloc(PAGE)
    frame = udp_frame(pattern(200), dst=scene.sink.mac)
    scene.bad.space.write(page + PAGE - 100, frame[100:200])
    scene.traffic()
    tx.data(frame[:100], EOP=0, RS=0)
    tx.data(frame[100:], address=page + PAGE - 100)
    tx.kick()
    scene.fault(page + PAGE, READ)
    scene.caught_sending(tx.number)
    scene.neighbours_lost_nothing()
    assert wire.take() == []


@pytest.mark.parametrize("which", ["header", "payload"])
def test_a_large_sends_header_or_payload_outside(scene, wire, which):
    tx, hole = scene.bad.tx[0], scene.bad.space.hole()
    payload = pattern(3000)
    body = tcp(V4, payload, checksum=V4.pseudo(TCP, 0))
    frame = ether(scene.sink.mac, scene.bad.mac, V4.header(TCP, None, checksum=False) + body)
    commands = {"IIPT": 3, "L4T": 1, "MACLEN": 7, "IPLEN": 5, "L4LEN": 5}
    scene.traffic()
    tx.ctx(TSO=1, MSS=1000, TSO_LEN=3000)
    head, rest = frame[:54], frame[54:]
    tx.data(head, EOP=0, RS=0, **commands, **({"address": hole} if which == "header" else {}))
    tx.data(rest, **commands, **({"address": hole} if which == "payload" else {}))
    tx.kick()
    scene.fault(hole, READ)
    scene.caught_sending(tx.number)
    scene.neighbours_lost_nothing()
    assert wire.take() == []
    assert segments(V4, payload, 1000, flags=ACK)


def test_a_report_of_status_into_a_page_that_may_only_be_read(scene):
    space = scene.bad.space
    ring = space.alloc(64 * 16, prot=Prot.READ)
    tx = scene.nic.tx_queue(scene.bad, BASE=ring // 128)
    tx.ring = ring
    index = tx.data(plain(B, scene.bad.mac))
    before = space.read(ring, 64 * 16)
    scene.traffic()
    tx.kick()
    assert space.read(ring, 64 * 16) == before
    assert not tx.done(index)
    scene.fault(ring, WRITE, FaultReason.SGN_6)
    scene.caught_sending(tx.number)
    scene.neighbours_lost_nothing()


def receive_with(scene, **options):
    """The bad VSI's receive queue again, set up otherwise."""
    rx = scene.bad.rx[0]
    rx.request(False)
    rx.fields.update(options)
    rx.enable()
    rx.post_all()
    return rx


def send_to_bad(scene, count=1, size=60):
    scene.traffic()
    for n in range(count):
        scene.neighbour.tx[0].data(plain(scene.bad.mac, scene.neighbour.mac, size, fill=n))
    scene.neighbour.tx[0].kick()


def test_a_receive_ring_outside(scene):
    hole = scene.bad.space.hole()
    rx = receive_with(scene, BASE_LO=hole // 128 & 0xFFFF_FFFF, BASE_HI=hole // 128 >> 32)
    before = scene.memory((rx.ring, 2048), (rx.buffers, 64 * 2048))
    send_to_bad(scene)
    scene.fault(hole, READ)
    scene.caught_receiving(rx.number)
    assert scene.memory((rx.ring, 2048), (rx.buffers, 64 * 2048)) == before
    scene.neighbours_lost_nothing()


def test_a_receive_queue_that_was_stopped_works_again_once_it_is_disabled_and_enabled(scene):
    rx, hole = scene.bad.rx[0], scene.bad.space.hole()
    rx.fill(0, hole)
    send_to_bad(scene)
    scene.caught_receiving(rx.number)
    rx.space.write(rx.ring, bytes(2048))
    receive_with(scene)
    send_to_bad(scene)
    assert len(scene.bad.frames()) == 1


def test_a_receive_queue_that_was_stopped_says_that_it_is_off(scene):
    """ice skips a queue whose status is what it wants: one that says "on" could never be revived."""
    rx, hole = scene.bad.rx[0], scene.bad.space.hole()
    rx.fill(0, hole)
    send_to_bad(scene)
    assert not rx.enabled


def test_a_receive_buffer_outside(scene):
    rx, hole = scene.bad.rx[0], scene.bad.space.hole()
    rx.fill(1, hole)
    before = scene.memory((rx.ring + 32, 2048 - 32), (rx.buffer(1), 60 * 2048))
    send_to_bad(scene, 3)
    scene.fault(hole, WRITE)
    scene.caught_receiving(rx.number)
    assert rx.done(0), "the frame before it was good"
    assert scene.memory((rx.ring + 32, 2048 - 32), (rx.buffer(1), 60 * 2048)) == before
    scene.neighbours_lost_nothing()


def test_a_receive_buffer_that_runs_out_of_a_page(scene):
    """Checked before a byte moves: the part that is inside stays as it was, too."""
    rx, page = scene.bad.rx[0], scene.bad.space.alloc(PAGE)
    at = page + PAGE - 64
    rx.fill(0, at)
    scene.bad.space.write(at, b"\xee" * 64)
    send_to_bad(scene, size=200)
    scene.fault(page + PAGE, WRITE)
    scene.caught_receiving(rx.number)
    assert scene.bad.space.read(at, 64) == b"\xee" * 64
    assert not rx.done(0)
    scene.neighbours_lost_nothing()


def test_a_receive_buffer_that_may_only_be_read(scene):
    rx, page = scene.bad.rx[0], scene.bad.space.alloc(PAGE, prot=Prot.READ)
    rx.fill(0, page)
    send_to_bad(scene)
    scene.fault(page, WRITE, FaultReason.SGN_6)
    scene.caught_receiving(rx.number)
    assert scene.bad.space.read(page, PAGE) == bytes(PAGE)
    scene.neighbours_lost_nothing()


def test_a_write_back_into_a_ring_that_may_only_be_read(scene):
    space = scene.bad.space
    ring = space.alloc(64 * 32, prot=Prot.READ)
    rx = scene.bad.rx[0]
    rx.ring = ring
    receive_with(scene)
    before = space.read(ring, 2048)
    send_to_bad(scene)
    assert space.read(ring, 2048) == before
    scene.fault(ring, WRITE, FaultReason.SGN_6)
    scene.caught_receiving(rx.number)
    scene.neighbours_lost_nothing()


def test_memory_that_was_unmapped_is_gone_at_once(scene):
    """The device TLB, too, has forgotten it when the host's unmap returns."""
    rx = scene.bad.rx[0]
    send_to_bad(scene)
    assert len(rx.take(refill=False)) == 1
    page = rx.buffer(2) & -PAGE
    kept = scene.memory((page, PAGE))
    scene.bad.space.unmap(page)
    rx.next = 1
    send_to_bad(scene, 2)
    scene.fault(page, WRITE)
    scene.caught_receiving(rx.number)
    assert scene.memory((page, PAGE)) == kept
    scene.neighbours_lost_nothing()


def test_a_neighbours_address_is_nobody_elses(scene):
    """What is mapped for one PASID at an address leads to other memory, or nowhere, for another."""
    secret = scene.neighbour.space.alloc(PAGE)
    scene.neighbour.space.write(secret, plain(scene.sink.mac, fill=0x77))
    while scene.bad.space.next <= secret:
        scene.bad.space.hole()
    tx = scene.bad.tx[0]
    tx.data(plain(scene.sink.mac), address=secret)
    tx.kick()
    scene.fault(secret, READ)
    assert scene.sink.frames() == []
    scene.caught_sending(tx.number)


@pytest.mark.parametrize("shift", [0, 1])
def test_a_frame_on_its_way_to_a_queue_never_reaches_the_queues_next_owner(wire, shift):
    """With two workers a frame waits between them: the first batch sends it, then the queue changes hands."""
    nic = E810Driver(Machine(iommu=True, port=wire.near, workers=2))
    nic.free_rx = nic.free_tx = shift
    one, two = nic.vsi(1, pasid=3), nic.vsi(2, pasid=4)
    nic.free_tx += 1
    odd = nic.tx_queue(one)
    for queue in (one.tx[0], odd):
        queue.data(plain(two.mac, one.mac))
        queue.doorbell()
    nic.machine.nic.pump()
    number = two.rx[0].number
    two.rx[0].request(False)
    nic.disable_tx(two.tx[0])
    nic.free_vsi(two)
    nic.free_rx = number
    after = nic.vsi(5, pasid=5)
    assert after.rx[0].number == number
    nic.machine.pump()
    assert after.frames() == []


def test_the_functions_own_dma_needs_no_pasid_and_a_vsi_without_one_uses_the_functions(guarded):
    one, two = guarded.vsi(1), guarded.vsi(2)
    one.tx[0].send(plain())
    assert two.frames() == [plain()]


def test_with_pasids_disabled_in_configuration_a_vsi_with_one_reaches_nothing(wire):
    from siov.spec.pcie import ExtendedCapabilityId

    scene = Scene(wire, False)
    at = scene.machine.extended(ExtendedCapabilityId.PASID) + 6
    scene.machine.config_write(at, 2, 0)
    tx = scene.bad.tx[0]
    tx.send(plain(scene.sink.mac))
    assert scene.sink.frames() == []
    assert not tx.done(0)
    assert scene.machine.iommu.faults.drain() == [], "the request never left the device"


def test_without_bus_mastering_no_byte_moves(guarded):
    one, two = guarded.vsi(1, pasid=3), guarded.vsi(2, pasid=4)
    guarded.machine.config_write(4, 2, 2)
    before = two.space.read(two.rx[0].buffers, 64 * 2048)
    one.tx[0].send(plain())
    assert two.space.read(two.rx[0].buffers, 64 * 2048) == before
    assert not one.tx[0].done(0)
