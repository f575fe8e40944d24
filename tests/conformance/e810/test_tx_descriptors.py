"""Transmit descriptors: types, packets of several buffers, tails, reports of status, limits (iavf_txrx.c)."""

import itertools

import pytest

from siov.spec.e810 import DTYPE, TxDataQw0, TxDataQw1
from siov.spec.e810.flow import Flow
from siov.spec.e810.interrupts import Interrupts
from siov.spec.e810.queues import Queues

from .frames import padded, pattern, plain, udp_frame


@pytest.fixture
def pair(nic):
    return nic.vsi(1), nic.vsi(2)


def stopped(machine, queue):
    """Whether the adapter caught the queue at its descriptors, and says so where ice looks."""
    seen = Flow.GL_MDET_TX_TCLAN(machine.rd("GL_MDET_TX_TCLAN"))
    return bool(seen.VALID) and queue == seen.QNUM and bool(machine.rd("PF_MDET_TX_TCLAN") & 1)


def test_a_packet_of_one_buffer_arrives_byte_for_byte(pair):
    one, two = pair
    frame = udp_frame(pattern(1000))
    one.tx[0].send(frame)
    assert two.frames() == [frame]


@pytest.mark.parametrize("cuts", [(14,), (1, 2, 3), (60, 61), tuple(range(100, 800, 100))])
def test_a_packet_of_up_to_eight_buffers_is_their_bytes_in_order(pair, cuts):
    one, two = pair
    frame = udp_frame(pattern(800))
    edges = [0, *cuts, len(frame)]
    assert len(edges) <= 9
    one.tx[0].packet(*(frame[a:b] for a, b in itertools.pairwise(edges)))
    one.tx[0].kick()
    assert two.frames() == [frame]


def test_a_packet_of_nine_buffers_stops_the_queue(pair, machine):
    one, two = pair
    frame = udp_frame(pattern(800))
    one.tx[0].packet(*(frame[n * 100 : n * 100 + 100] for n in range(9)))
    one.tx[0].kick()
    assert two.frames() == []
    assert stopped(machine, one.tx[0].number)


def test_a_buffer_may_have_16383_bytes_but_a_frame_only_9728(pair, machine):
    one, two = pair
    at = one.space.alloc(16384)
    long = udp_frame(pattern(9000))
    one.space.write(at, long)
    one.tx[0].data(long, address=at)
    one.tx[0].kick()
    assert two.frames() == [long]
    one.tx[0].data(bytes(16383), address=at)
    one.tx[0].kick()
    assert two.frames() == []


def test_a_frame_of_seventeen_bytes_is_padded_and_sent_and_one_of_sixteen_is_not(pair):
    one, two = pair
    one.tx[0].send(plain(size=17))
    assert two.frames() == [padded(plain(size=17))]
    one.tx[0].send(plain(size=16))
    assert two.frames() == []


def test_nothing_is_done_before_the_tail_says_so(pair, machine):
    one, two = pair
    tx = one.tx[0]
    first, second = tx.data(plain(fill=1)), tx.data(plain(fill=2))
    machine.pump()
    assert two.frames() == []
    tx.kick(tail=second)
    assert two.frames() == [plain(fill=1)]
    assert tx.done(first)
    assert not tx.done(second)
    tx.kick(tail=second + 1)
    assert two.frames() == [plain(fill=2)]


def test_a_tail_that_does_not_move_does_nothing(pair):
    one, two = pair
    one.tx[0].send(plain())
    two.frames()
    one.tx[0].kick()
    one.tx[0].kick()
    assert two.frames() == []


def test_the_ring_goes_round(pair):
    one, two = pair
    sent = []
    for n in range(30):
        frames = [plain(fill=n * 7 + k) for k in range(7)]
        indices = one.tx[0].send(*frames)
        assert two.frames() == frames
        assert all(one.tx[0].done(i) for i in indices)
        sent += indices
    assert sent[:64] == list(range(64))
    assert sent[64] == 0


def test_any_tail_inside_the_ring_is_taken_and_none_outside(pair, machine):
    one, two = pair
    one.tx[0].send(plain())
    two.frames()
    one.tx[0].kick(tail=64)
    seen = Flow.GL_MDET_TX_PQM(machine.rd("GL_MDET_TX_PQM"))
    assert seen.VALID
    assert one.tx[0].number == seen.QNUM
    assert machine.rd("PF_MDET_TX_PQM") & 1
    one.tx[0].kick(tail=1)
    assert two.frames() == []


def test_the_doorbell_of_a_queue_that_is_off_does_nothing(nic, machine):
    machine.wr("QTX_COMM_DBELL", 5, 1000)
    machine.pump()
    assert machine.rd("GL_MDET_TX_PQM") == 0


def test_a_report_of_status_sets_the_low_nibble_to_exactly_0xf(pair):
    one, _ = pair
    [index] = one.tx[0].send(plain())
    assert one.tx[0].raw(index)[1] & 0xF == 0xF


def test_only_descriptors_with_rs_are_written_back(pair):
    one, two = pair
    tx = one.tx[0]
    for n in range(32):
        tx.data(plain(fill=n), RS=int(n == 31))
    before = [tx.raw(n) for n in range(31)]
    tx.kick()
    assert len(two.frames()) == 32
    assert [tx.raw(n) for n in range(31)] == before
    assert tx.raw(31)[1] & 0xF == 0xF, "DPDK asks for every 32nd"


def test_of_a_packet_of_several_buffers_only_the_last_is_written_back(pair):
    one, _ = pair
    tx = one.tx[0]
    frame = udp_frame(pattern(300))
    last = tx.packet(frame[:100], frame[100:200], frame[200:])
    before = [tx.raw(n) for n in range(last)]
    tx.kick()
    assert [tx.raw(n) for n in range(last)] == before
    assert tx.done(last)


def test_reports_come_in_ring_order(pair, machine):
    one, _ = pair
    tx = one.tx[0]
    indices = [tx.data(plain(fill=n)) for n in range(40)]
    for stop in (10, 25, 40):
        tx.kick(tail=stop)
        assert [tx.done(i) for i in indices] == [i < stop for i in indices]


def test_a_packet_marked_dummy_is_done_but_not_sent(pair, wire):
    one, two = pair
    [index] = one.tx[0].send(plain(), DUMMY=1)
    assert one.tx[0].done(index)
    assert two.frames() == []
    assert wire.take() == []
    assert one.counter("GLV_UPTC") == 0


def test_a_context_descriptor_that_asks_for_nothing_changes_nothing(pair):
    one, two = pair
    tx = one.tx[0]
    tx.ctx()
    last = tx.data(plain())
    tx.kick()
    assert two.frames() == [plain()]
    assert tx.done(last)


@pytest.mark.parametrize("dtype", [2, 3, 4, 5, 6, 7, 9, 0xA, 0xE, 0xF])
def test_a_descriptor_of_an_unknown_type_stops_the_queue_and_is_told(pair, machine, dtype):
    one, two = pair
    tx = one.tx[0]
    machine.wr("PFINT_OICR_ENA", Interrupts.PFINT_OICR.MAL_DETECT.mask)
    tx.data(plain(fill=1))
    tx.put(tx.buffer(tx.next), TxDataQw1.of(DTYPE=0, EOP=1, TX_BUF_SZ=60).raw | dtype)
    tx.data(plain(fill=2))
    tx.kick()
    assert two.frames() == [plain(fill=1)], "what came before it was good"
    assert stopped(machine, tx.number)
    assert machine.rd("PFINT_OICR") & Interrupts.PFINT_OICR.MAL_DETECT.mask
    assert machine.rd("PFINT_OICR") == 0, "reading clears it"


def test_the_first_one_who_was_caught_stays_named_until_software_clears_it(nic, machine):
    first, second = nic.vsi(1), nic.vsi(2)
    for vsi in (first, second):
        vsi.tx[0].put(0, 2)
        vsi.tx[0].kick()
    assert stopped(machine, first.tx[0].number)
    machine.wr("GL_MDET_TX_TCLAN", 0xFFFF_FFFF)
    third = nic.vsi(3)
    third.tx[0].put(0, 2)
    third.tx[0].kick()
    assert stopped(machine, third.tx[0].number)


def test_the_neighbours_of_a_stopped_queue_go_on(nic, machine):
    bad, good, sink = nic.vsi(1), nic.vsi(2), nic.vsi(3)
    bad.tx[0].put(0, 2)
    bad.tx[0].doorbell()
    good.tx[0].send(plain(sink.mac, good.mac))
    assert sink.frames() == [plain(sink.mac, good.mac)]
    bad.tx[0].send(plain(sink.mac, bad.mac))
    assert sink.frames() == []


def test_a_stopped_queue_works_again_once_it_was_disabled_and_added_anew(nic, machine):
    one, two = nic.vsi(1), nic.vsi(2)
    tx = one.tx[0]
    tx.put(0, 2)
    tx.kick()
    machine.wr("GL_MDET_TX_TCLAN", 0xFFFF_FFFF)
    machine.wr("PF_MDET_TX_TCLAN", 0xFFFF)
    assert machine.rd("GL_MDET_TX_TCLAN") == 0
    assert machine.rd("PF_MDET_TX_TCLAN") == 0
    nic.disable_tx(tx)
    tx.next = 0
    nic.enable_tx(tx)
    tx.send(plain())
    assert two.frames() == [plain()]


def test_a_doorbell_in_the_middle_of_a_packet_sends_no_part_of_it(pair, machine):
    one, two = pair
    tx = one.tx[0]
    frame = udp_frame(pattern(300))
    tx.packet(frame[:100], frame[100:])
    tx.kick(tail=1)
    assert two.frames() == []


def test_commands_of_one_packet_must_be_the_same_in_all_its_descriptors(pair, machine):
    one, two = pair
    tx = one.tx[0]
    frame = udp_frame(pattern(300))
    tx.data(frame[:100], EOP=0, RS=0, IL2TAG1=1, L2TAG1=5)
    tx.data(frame[100:])
    tx.kick()
    assert two.frames() == []


def test_an_address_is_used_whole(guarded):
    one, two = guarded.vsi(1, pasid=3), guarded.vsi(2, pasid=4)
    at = one.space.alloc(4096)
    assert at >> 32, "above 4 GiB"
    one.space.write(at + 11, plain())
    one.tx[0].put(TxDataQw0(at + 11), TxDataQw1.of(DTYPE=DTYPE.DATA, EOP=1, RS=1, TX_BUF_SZ=60))
    one.tx[0].kick()
    assert two.frames() == [plain()]


def test_a_disabled_queue_sends_nothing_more(nic, machine):
    one, two = nic.vsi(1), nic.vsi(2)
    tx = one.tx[0]
    tx.data(plain())
    nic.disable_tx(tx)
    tx.kick()
    assert two.frames() == []
    nic.enable_tx(tx)
    machine.pump()
    assert two.frames() == [], "the old doorbell is forgotten"


def test_the_head_shows_how_far_the_queue_has_come(pair, machine):
    one, _ = pair
    one.tx[0].send(plain(), plain(), plain())
    assert Queues.QTX_COMM_HEAD(machine.rd("QTX_COMM_HEAD", one.tx[0].number)).HEAD == 3
