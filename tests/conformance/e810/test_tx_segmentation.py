"""Segmentation: what each frame of a large send must be, and what may not be asked for (iavf_txrx.c)."""

import pytest

from siov.spec.e810 import EIPT, IIPT, L4T, L4TUNT
from siov.spec.e810.flow import Flow

from .frames import (
    ACK,
    CWR,
    FIN,
    PSH,
    TCP,
    UDP,
    V4,
    V6,
    A,
    B,
    Ip,
    ether,
    fold,
    packet,
    padded,
    pattern,
    segments,
    tcp,
    udp,
)


@pytest.fixture
def pair(nic):
    return nic.vsi(1, size=256), nic.vsi(2, size=256)


def seed(ip, protocol):
    """The pseudo-header's sum without a length, as drivers leave it in the template."""
    return ip.pseudo(protocol, 0)


def template(ip, flags, payload, options=b""):
    """A TCP frame as drivers give it: no IP length, no IP checksum, a seeded L4 checksum."""
    body = tcp(ip, payload, flags=flags, options=options, checksum=seed(ip, TCP))
    return ether(B, A, ip.header(TCP, None, checksum=False) + body, ip.kind)


def send(queue, frame, ip, mss, length, *, l4len=5, l4t=L4T.TCP, ctx=None, pieces=0, **fields):
    """A context descriptor with TSO, and the frame in one or more buffers."""
    queue.ctx(ctx, TSO=1, MSS=mss, TSO_LEN=length)
    kind = IIPT.IPV4_CSUM if ip.v4 else IIPT.IPV6
    given = {"IIPT": kind, "L4T": l4t, "MACLEN": 7, "IPLEN": ip.size // 4, "L4LEN": l4len, **fields}
    step = pieces or len(frame)
    chunks = [frame[n : n + step] for n in range(0, len(frame), step)]
    last = queue.packet(*chunks, **given)
    queue.kick()
    return last


@pytest.mark.parametrize("ip", [V4, V6], ids=["v4", "v6"])
def test_ten_kilobytes_at_1448_follow_the_rules_of_flags_numbers_and_checksums(pair, ip):
    one, two = pair
    payload, flags, options = pattern(10_000), FIN | PSH | CWR | ACK, b"\x01\x01\x08\x0a" + bytes(8)
    frame = template(ip, flags, payload, options)
    last = send(one.tx[0], frame, ip, 1448, 10_000, l4len=8, pieces=4096)
    assert two.frames() == segments(ip, payload, 1448, flags=flags, options=options)
    assert one.tx[0].done(last)


@pytest.mark.parametrize("size", [64, 128, 129, 1000, 1001])
def test_the_last_segment_holds_what_is_left(pair, size):
    one, two = pair
    payload = pattern(size)
    send(one.tx[0], template(V4, ACK | PSH, payload), V4, 64, size)
    assert two.frames() == [padded(s) for s in segments(V4, payload, 64, flags=ACK | PSH)]


def test_a_payload_of_one_segment_is_one_frame_with_all_flags(pair):
    one, two = pair
    payload, flags = pattern(500), ACK | PSH | FIN | CWR
    send(one.tx[0], template(V4, flags, payload), V4, 1448, 500)
    assert two.frames() == segments(V4, payload, 1448, flags=flags)


def test_identification_and_sequence_go_round(pair):
    one, two = pair
    ip, payload = Ip(ident=0xFFFF), pattern(600)
    body = tcp(ip, payload, seq=0xFFFF_FF00, checksum=seed(ip, TCP))
    frame = ether(B, A, ip.header(TCP, None, checksum=False) + body)
    send(one.tx[0], frame, ip, 200, 600)
    assert two.frames() == segments(ip, payload, 200, flags=ACK, seq=0xFFFF_FF00)


def test_a_tag_is_inserted_into_every_segment(pair):
    one, two = pair
    payload = pattern(500)
    send(one.tx[0], template(V4, ACK, payload), V4, 200, 500, IL2TAG1=1, L2TAG1=77)
    expected = [f[:12] + b"\x81\x00\x00\x4d" + f[12:] for f in segments(V4, payload, 200, flags=ACK)]
    assert two.frames() == expected


@pytest.mark.parametrize("ip", [V4, V6], ids=["v4", "v6"])
def test_datagrams_of_uso_have_lengths_and_checksums_of_their_own(pair, ip):
    one, two = pair
    payload = pattern(2500)
    body = udp(ip, payload, checksum=seed(ip, UDP))
    frame = ether(B, A, ip.header(UDP, None, checksum=False) + body, ip.kind)
    send(one.tx[0], frame, ip, 1000, 2500, l4len=2, l4t=L4T.UDP)
    expected = []
    for n in range(3):
        part = udp(ip, payload[1000 * n : 1000 * n + 1000])
        expected.append(ether(B, A, ip.header(UDP, len(part), ident=ip.ident + n) + part, ip.kind))
    assert two.frames() == expected


def tunnelled(mss, noinc, checksum):
    outer = Ip(bytes([192, 168, 0, 1]), bytes([192, 168, 0, 2]), ident=50)
    payload = pattern(1000)
    head = b"\x08\0\0\0\0\0\x07\0"
    inner = template(V4, ACK | PSH, payload)
    length = 8 + len(head) + len(inner)
    start = fold(outer.pseudo(UDP, 0).to_bytes(2, "big")) if checksum else 0
    body = udp(outer, head + inner, dport=4789, checksum=start)
    body = body[:4] + (bytes(2) if checksum else length.to_bytes(2, "big")) + body[6:]
    frame = ether(B, A, outer.header(UDP, None, checksum=False) + body)
    expected = []
    for n, segment in enumerate(segments(V4, payload, mss, flags=ACK | PSH)):
        part = udp(outer, head + segment, dport=4789, **({} if checksum else {"checksum": 0}))
        ident = outer.ident + (0 if noinc else n)
        expected.append(ether(B, A, outer.header(UDP, len(part), ident=ident) + part))
    return frame, expected


@pytest.mark.parametrize("noinc", [False, True])
@pytest.mark.parametrize("checksum", [False, True], ids=["no-outer-udp-checksum", "outer-udp-checksum"])
def test_segments_in_a_vxlan_tunnel_have_outer_headers_of_their_own(pair, noinc, checksum):
    one, two = pair
    frame, expected = tunnelled(400, noinc, checksum)
    ctx = {
        "EIPT": EIPT.IPV4, "EIPLEN": 5, "L4TUNT": L4TUNT.UDP, "NATLEN": 15,
        "EIP_NOINC": int(noinc), "L4T_CS": int(checksum),
    }  # fmt: skip
    send(one.tx[0], frame, V4, 400, 1000, ctx=ctx)
    assert two.frames() == expected


def test_each_segment_counts_as_a_packet(pair):
    one, two = pair
    send(one.tx[0], template(V4, ACK, pattern(1000)), V4, 250, 1000)
    assert one.counter("GLV_UPTC") == 4
    assert two.counter("GLV_UPRC") == 4


def test_segments_may_be_spread_over_more_than_eight_buffers_when_none_of_them_is(pair):
    one, two = pair
    payload = pattern(10_000)
    send(one.tx[0], template(V4, ACK, payload), V4, 1448, 10_000, pieces=700)
    assert two.frames() == segments(V4, payload, 1448, flags=ACK)


def caught(machine, queue):
    seen = Flow.GL_MDET_TX_TCLAN(machine.rd("GL_MDET_TX_TCLAN"))
    return bool(seen.VALID) and queue.number == seen.QNUM


def test_a_segment_over_more_than_eight_buffers_stops_the_queue(pair, machine):
    one, two = pair
    send(one.tx[0], template(V4, ACK, pattern(2000)), V4, 1448, 2000, pieces=100)
    assert two.frames() == []
    assert caught(machine, one.tx[0])


@pytest.mark.parametrize("mss", [0, 1, 63, 9669, 0x3FFF])
def test_an_mss_below_64_or_above_9668_stops_the_queue(pair, machine, mss):
    one, two = pair
    send(one.tx[0], template(V4, ACK, pattern(500)), V4, mss, 500)
    assert two.frames() == []
    assert caught(machine, one.tx[0])


@pytest.mark.parametrize("length", [0, 499, 501, 0x3FFFF])
def test_a_length_that_is_not_the_payloads_stops_the_queue(pair, machine, length):
    one, two = pair
    send(one.tx[0], template(V4, ACK, pattern(500)), V4, 100, length)
    assert two.frames() == []
    assert caught(machine, one.tx[0])


def test_segmentation_on_a_queue_whose_context_forbids_it_stops_the_queue(nic, machine):
    one, two = nic.vsi(1), nic.vsi(2)
    queue = nic.tx_queue(one, TSO_ENA=0)
    send(queue, template(V4, ACK, pattern(500)), V4, 100, 500)
    assert two.frames() == []
    assert caught(machine, queue)


def test_a_context_without_data_behind_it_sends_nothing(pair, machine):
    one, two = pair
    one.tx[0].ctx(TSO=1, MSS=100, TSO_LEN=500)
    one.tx[0].ctx(TSO=1, MSS=100, TSO_LEN=500)
    one.tx[0].send(packet(V4, TCP, tcp(V4, b"")))
    assert two.frames() == []


def test_header_lengths_past_the_packet_stop_the_queue(pair, machine):
    one, two = pair
    send(one.tx[0], template(V4, ACK, b"")[:40], V4, 100, 500, l4len=15)
    assert two.frames() == []
    assert caught(machine, one.tx[0])
