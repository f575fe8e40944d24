"""A queue or mailbox that points outside its PASID's memory moves no byte, is stopped, and harms nobody."""

import pytest

from siov.host.iommu import RequestKind
from siov.host.pgtable import Prot
from siov.spec.e810 import AqDesc, AqFlags, AqOpcode, Interrupts, QueueLength
from siov.spec.e810.flow import Flow
from siov.spec.e810.queues import Queues
from siov.spec.vtd import FaultReason

from .adminq import AdminQueue
from .driver import E810Driver
from .frames import ACK, TCP, V4, B, ether, pattern, plain, segments, tcp, udp_frame
from .machine import RID, Machine
from .space import PAGE

BAD, NEIGHBOUR, SINK = 1, 2, 3
READ, WRITE = RequestKind.READ, RequestKind.WRITE
MAL_DETECT = Interrupts.PFINT_OICR.MAL_DETECT.mask


class Scene:
    """A VSI that does wrong, a neighbour that sends to a third all the time; each has a PASID of its own."""

    def __init__(self, wire, ats: bool) -> None:
        self.ats = ats
        self.nic = E810Driver(Machine(iommu=True, ats=ats, port=wire.near))
        self.machine = self.nic.machine
        self.machine.wr("PFINT_OICR_ENA", MAL_DETECT)
        self.bad = self.nic.vsi(BAD, pasid=0x101)
        self.neighbour = self.nic.vsi(NEIGHBOUR, pasid=0x102, size=128)
        self.sink = self.nic.vsi(SINK, pasid=0x103, size=256)
        self.sent: list[bytes] = []

    def traffic(self) -> None:
        """Some frames of the neighbour, in the same round as whatever the other one has rung for."""
        for _ in range(10):
            frame = plain(self.sink.mac, self.neighbour.mac, fill=len(self.sent) * 3)
            self.neighbour.tx[0].data(frame)
            self.sent.append(frame)
        self.neighbour.tx[0].doorbell()

    def memory(self, *parts: tuple[int, int]) -> list[bytes]:
        return [self.bad.space.read(at, size) for at, size in parts]

    def fault(self, address: int, kind: RequestKind, reason: FaultReason = FaultReason.SFS_2) -> None:
        """The unit has recorded this and nothing else; a refused translation request is no fault."""
        found = self.machine.iommu.faults.drain()
        if self.ats:
            assert found == []
            return
        have = [(f.rid, f.pasid, f.addr, f.kind, f.reason) for f in found]
        assert have == [(RID, 0x101, address & -PAGE, kind, reason)]

    def neighbours_lost_nothing(self) -> None:
        self.traffic()
        self.machine.pump()
        assert self.sink.frames() == self.sent
        assert self.sink.counter("GLV_RDPC") == 0

    def caught_sending(self, queue: int) -> None:
        seen = Flow.GL_MDET_TX_TCLAN(self.machine.rd("GL_MDET_TX_TCLAN"))
        assert (1, queue) == (seen.VALID, seen.QNUM)
        assert self.machine.rd("PF_MDET_TX_TCLAN") & 1
        assert self.machine.rd("PFINT_OICR") & MAL_DETECT

    def caught_receiving(self, queue: int) -> None:
        seen = Flow.GL_MDET_RX(self.machine.rd("GL_MDET_RX"))
        assert (1, queue) == (seen.VALID, seen.QNUM)
        assert self.machine.rd("PF_MDET_RX") & 1
        assert self.machine.rd("PFINT_OICR") & MAL_DETECT


@pytest.fixture(params=[False, True], ids=["untranslated", "ats"])
def scene(request, wire):
    return Scene(wire, request.param)


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


def mailbox(scene):
    scene.machine.wr("GL_MBX_PASID", Queues.GL_MBX_PASID.of(PASID_MODE=1))
    pf = AdminQueue(scene.nic.space, "PF_MBX")
    bad = AdminQueue(scene.bad.space, "VSI_MBX", scene.bad.number)
    good = AdminQueue(scene.neighbour.space, "VSI_MBX", scene.neighbour.number)
    return pf, bad, good


def message(box, address=None, size=0):
    flags = AqFlags.of(SI=1, BUF=bool(size), RD=bool(size))
    desc = AqDesc.of(FLAGS=flags.raw, OPCODE=AqOpcode.SEND_MSG_TO_PF, DATALEN=size, COOKIE_HIGH=3)
    if address is None:
        return box.put(desc, bytes(size))
    raw = desc.replace(ADDR_HIGH=address >> 32, ADDR_LOW=address & 0xFFFF_FFFF)
    box.space.write(box.ring["ATQ"] + 32 * box.tail, raw.to_bytes())
    box.tail += 1
    box._set("ATQT", box.tail)
    return box.tail - 1


def crit(scene, which, vsi):
    return bool(QueueLength(scene.machine.rd(f"VSI_MBX_{which}LEN", vsi.number)).CRIT)


def goes_on(scene, pf, good):
    message(good)
    assert [g.descriptor.RETVAL for g in pf.received()] == [scene.neighbour.number]
    assert not crit(scene, "ATQ", scene.neighbour)
    scene.neighbours_lost_nothing()


@pytest.mark.parametrize("which", ["ring", "buffer"])
def test_a_mailboxs_transmit_ring_or_buffer_outside(scene, which):
    pf, bad, good = mailbox(scene)
    hole = scene.bad.space.hole()
    if which == "ring":
        bad._set("ATQBAL", hole & 0xFFFF_FFFF)
        bad._set("ATQBAH", hole >> 32)
        message(bad)
    else:
        message(bad, hole, 64)
    assert pf.received() == []
    scene.machine.pump()
    scene.fault(hole, READ)
    assert crit(scene, "ATQ", scene.bad)
    message(bad)
    assert pf.received() == [], "it has stopped"
    goes_on(scene, pf, good)


@pytest.mark.parametrize("which", ["ring", "buffer"])
def test_a_mailboxs_receive_ring_or_buffer_outside(scene, which):
    pf, bad, good = mailbox(scene)
    hole = scene.bad.space.hole()
    if which == "ring":
        bad._set("ARQBAL", hole & 0xFFFF_FFFF)
        bad._set("ARQBAH", hole >> 32)
    else:
        at = bad.ring["ARQ"]
        raw = AqDesc.from_bytes(bad.space.read(at, 32))
        bad.space.write(at, raw.replace(ADDR_HIGH=hole >> 32, ADDR_LOW=hole & 0xFFFF_FFFF).to_bytes())
    before = bad.space.read(bad.ring["ARQ"], 1024)
    flags = AqFlags.of(SI=1, BUF=1, RD=1)
    desc = AqDesc.of(FLAGS=flags.raw, OPCODE=AqOpcode.SEND_MSG_TO_VF, DATALEN=64, PARAM0=scene.bad.number)
    pf.put(desc, bytes(64))
    scene.machine.pump()
    scene.fault(hole, READ if which == "ring" else WRITE)
    assert crit(scene, "ARQ", scene.bad)
    assert bad.space.read(bad.ring["ARQ"], 1024) == before
    goes_on(scene, pf, good)


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
