"""Receive rings: write-back in order, several buffers, tails, want of buffers (ice_txrx.c)."""

import pytest

from siov.spec.e810 import RXDID, Queues, RxLegacyQw1

from .frames import pattern, plain, udp_frame


def frame_of(size):
    return udp_frame(pattern(size - 42))


FORMS = [RXDID.LEGACY_1, RXDID.FLEX_NIC, RXDID.COMMS_OVS_1]


@pytest.mark.parametrize("rxdid", FORMS)
def test_a_frame_over_three_buffers_is_done_in_order_and_only_its_last_descriptor_says_eof(nic, rxdid):
    one = nic.vsi(1)
    two = nic.vsi(2, size=72, dbuf=1024, rxdid=rxdid)
    sent = frame_of(2500)
    one.tx[0].send(sent)
    raws = [two.rx[0].raw(n) for n in range(4)]
    assert [raw[8] & 1 for raw in raws] == [1, 1, 1, 0]
    assert [raw[8] >> 1 & 1 for raw in raws] == [0, 0, 1, 0]
    [got] = two.rx[0].take()
    assert got.data == sent
    lengths = [two.rx[0]._length(raw)[0] for raw in got.descriptors]
    assert lengths == [1024, 1024, 2500 - 2048]


@pytest.mark.parametrize("rxdid", FORMS)
@pytest.mark.parametrize("junk", [0x00, 0xFE])
def test_all_32_bytes_of_a_descriptor_are_rewritten(nic, rxdid, junk):
    """What was posted as header address lies where the status will be; the rest is old."""
    one, two = nic.vsi(1), nic.vsi(2, rxdid=rxdid, rings=False)
    rx = nic.rx_queue(two, two.first, rxdid=rxdid)
    rx.enable()
    clean = nic.vsi(3, rxdid=rxdid)
    for n in range(8):
        rx.space.write(rx.ring + 32 * n, rx.buffer(n).to_bytes(8, "little") + bytes([junk]) * 24)
    rx.tail(8)
    one.tx[0].send(plain(), plain(clean.mac))
    assert rx.raw(0)[:24] == clean.rx[0].raw(0)[:24]
    assert rx.raw(0)[24:] == clean.rx[0].raw(0)[24:]
    assert rx.buffer(0).to_bytes(8, "little") != rx.raw(0)[:8]


def test_descriptors_are_filled_in_ring_order_and_the_ring_goes_round(nic):
    one, two = nic.vsi(1), nic.vsi(2)
    for n in range(20):
        frames = [plain(fill=n * 9 + k) for k in range(9)]
        one.tx[0].send(*frames)
        assert two.frames() == frames
    assert two.rx[0].next == 180 % 64


def test_the_low_three_bits_of_a_tail_do_not_count(nic):
    one, two = nic.vsi(1), nic.vsi(2, rings=False)
    rx = nic.rx_queue(two, two.first)
    rx.enable()
    for n in range(16):
        rx.fill(n)
    rx.tail(15)
    one.tx[0].send(*[plain(fill=n) for n in range(12)])
    assert [rx.done(n) for n in range(12)] == [True] * 8 + [False] * 4
    assert two.counter("GLV_RDPC") == 4


def test_a_tail_below_eight_gives_nothing(nic):
    one, two = nic.vsi(1), nic.vsi(2, rings=False)
    rx = nic.rx_queue(two, two.first)
    rx.enable()
    for n in range(8):
        rx.fill(n)
    rx.tail(7)
    one.tx[0].send(plain())
    assert not rx.done(0)
    assert two.counter("GLV_RDPC") == 1


def test_frames_without_a_buffer_are_dropped_and_counted_and_later_ones_arrive(nic):
    one, two = nic.vsi(1), nic.vsi(2)
    one.tx[0].send(*[plain(fill=n) for n in range(60)])
    assert two.counter("GLV_RDPC") == 60 - 56
    assert two.frames() == [plain(fill=n) for n in range(56)]
    one.tx[0].send(plain(fill=99))
    assert two.frames() == [plain(fill=99)]
    assert two.counter("GLV_RDPC") == 4


def test_a_frame_that_finds_too_few_buffers_is_dropped_whole(nic):
    one, two = nic.vsi(1), nic.vsi(2, size=64, dbuf=1024)
    rx = two.rx[0]
    one.tx[0].send(*[plain(fill=n) for n in range(54)])
    one.tx[0].send(frame_of(2500))
    assert [rx.done(n) for n in range(54, 57)] == [False] * 3, "two are left, it needs three"
    assert two.counter("GLV_RDPC") == 1
    one.tx[0].send(plain(fill=77), plain(fill=78))
    assert rx.done(54)
    assert rx.done(55)


def test_a_frame_of_five_buffers_fits_and_one_of_six_does_not(nic):
    one, two = nic.vsi(1), nic.vsi(2, dbuf=1024, rxmax=9728)
    one.tx[0].send(*[frame_of(5 * 1024)])
    [got] = two.rx[0].take()
    assert got.data == frame_of(5120)
    assert len(got.descriptors) == 5
    big = frame_of(5 * 1024 + 1)
    one.tx[0].packet(big[:4000], big[4000:])
    one.tx[0].kick()
    assert two.frames() == []
    one.tx[0].send(plain())
    assert two.frames() == [plain()]


@pytest.fixture
def narrow(nic):
    return nic.vsi(1), nic.vsi(2, rxmax=1000)


def test_a_frame_of_rxmax_bytes_arrives_and_a_longer_one_does_not(narrow):
    """RXMAX counts the CRC or not by source; the frames here keep clear of the four bytes between."""
    one, two = narrow
    one.tx[0].send(frame_of(996))
    assert two.frames() == [frame_of(996)]
    one.tx[0].send(frame_of(1001))
    assert two.frames() == []
    one.tx[0].send(plain())
    assert two.frames() == [plain()]


@pytest.mark.parametrize("dbuf", [128, 1024, 1536, 2048, 3712])
def test_buffers_of_any_multiple_of_128_bytes_are_filled_to_their_end_and_not_past_it(nic, dbuf):
    one, two = nic.vsi(1), nic.vsi(2, dbuf=dbuf, size=64)
    rx = two.rx[0]
    rx.space.write(rx.buffer(0), b"\xee" * (6 * dbuf))
    size = min(dbuf * 3 // 2, 3000)
    one.tx[0].send(frame_of(size))
    memory = rx.space.read(rx.buffer(0), 3 * dbuf)
    assert memory[:size] == frame_of(size)
    assert memory[size:] == b"\xee" * (3 * dbuf - size)
    assert two.frames() == [frame_of(size)]


def test_a_buffer_of_3712_bytes_takes_a_jumbo_in_three(nic):
    one, two = nic.vsi(1), nic.vsi(2, dbuf=3712)
    big = frame_of(9000)
    one.tx[0].packet(big[:4096], big[4096:8192], big[8192:])
    one.tx[0].kick()
    [got] = two.rx[0].take()
    assert got.data == big
    assert len(got.descriptors) == 3


def test_enabling_is_seen_in_qena_stat_and_disabling_too(nic, machine):
    vsi = nic.vsi(1, rings=False)
    rx = nic.rx_queue(vsi, vsi.first)
    assert not rx.enabled
    rx.configure()
    rx.request(True)
    assert rx.enabled
    rx.request(False)
    assert not rx.enabled
    assert not Queues.QRX_CTRL(machine.rd("QRX_CTRL", rx.number)).QENA_REQ


def test_qena_stat_is_not_softwares_to_write(nic, machine):
    machine.wr("QRX_CTRL", Queues.QRX_CTRL.of(QENA_STAT=1), 9)
    assert Queues.QRX_CTRL(machine.rd("QRX_CTRL", 9)).QENA_STAT == 0


def test_a_disabled_queue_takes_no_frame_and_touches_no_memory(nic):
    one, two = nic.vsi(1), nic.vsi(2)
    rx = two.rx[0]
    rx.request(False)
    before = rx.space.read(rx.ring, 64 * 32), rx.space.read(rx.buffers, 64 * 2048)
    one.tx[0].send(plain())
    assert (rx.space.read(rx.ring, 64 * 32), rx.space.read(rx.buffers, 64 * 2048)) == before


def test_a_queue_that_is_enabled_anew_begins_at_its_first_descriptor(nic):
    one, two = nic.vsi(1), nic.vsi(2)
    one.tx[0].send(plain(), plain())
    rx = two.rx[0]
    rx.request(False)
    rx.space.write(rx.ring, bytes(64 * 32))
    rx.enable()
    rx.post_all()
    one.tx[0].send(plain(fill=3))
    assert two.frames() == [plain(fill=3)]
    assert rx.next == 1


@pytest.mark.parametrize("fields", [{"QLEN": 0}, {"DBUF": 0}, {"RXMAX": 0}, {"BASE_LO": 0, "BASE_HI": 0}])
def test_a_context_that_makes_no_sense_does_no_harm(nic, fields):
    one, two = nic.vsi(1), nic.vsi(2, rings=False)
    rx = nic.rx_queue(two, two.first, **fields)
    rx.configure()
    rx.request(True)
    rx.post_all()
    before = rx.space.read(rx.buffers, 64 * 2048)
    if "BASE_LO" not in fields:
        one.tx[0].send(plain())
    assert rx.space.read(rx.buffers, 64 * 2048) == before


def test_the_crc_is_kept_with_crcstrip_off_and_counts_to_the_length(nic):
    import zlib

    one, two = nic.vsi(1), nic.vsi(2, CRCSTRIP=0)
    frame = frame_of(200)
    one.tx[0].send(frame)
    [got] = two.rx[0].take()
    assert got.data == frame + zlib.crc32(frame).to_bytes(4, "little")
    assert RxLegacyQw1(got.qword(1)).CRCP


def test_the_crc_is_stripped_otherwise(nic):
    one, two = nic.vsi(1), nic.vsi(2)
    one.tx[0].send(frame_of(200))
    [got] = two.rx[0].take()
    assert got.data == frame_of(200)
    assert not RxLegacyQw1(got.qword(1)).CRCP


def test_the_next_owner_of_a_queue_begins_without_buffers(nic, machine):
    """The tail of the one before is no tail of the next one."""
    first = nic.vsi(1)
    number = first.rx[0].number
    first.rx[0].request(False)
    nic.disable_tx(first.tx[0])
    nic.free_vsi(first)
    nic.free_rx = number
    second = nic.vsi(2, rings=False)
    sender = nic.vsi(3, rings=False, rule=False)
    assert second.first == number
    rx = nic.rx_queue(second, number)
    raw = rx.context().to_bytes()
    for n in range(8):
        machine.wr("QRX_CONTEXT", int.from_bytes(raw[4 * n : 4 * n + 4], "little"), n * 2048 + number)
    rx.request(True)
    before = machine.read(0, 0x10000)
    nic.tx_queue(sender).send(plain())
    assert machine.read(0, 0x10000) == before
    assert second.counter("GLV_RDPC") == 1
    assert machine.rd("GL_MDET_RX") == 0
