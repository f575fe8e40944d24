"""What a received frame's descriptor says, field by field in each form (ice_lan_tx_rx.h, libie, DPDK)."""

import pytest

from siov.spec.e810 import (
    FLTSTAT,
    RXDID,
    UMBCAST,
    Ptype,
    RxFlexNicQw1,
    RxFlexNicQw3,
    RxFlexOvsQw1,
    RxFlexOvsQw3,
    RxFlexQw0,
    RxFlexQw2,
    RxLegacyQw0,
    RxLegacyQw1,
    RxLegacyQw2,
)

from .driver import BROADCAST
from .frames import (
    ICMP,
    SCTP,
    TCP,
    TOEPLITZ_KEY,
    UDP,
    V4,
    V6,
    A,
    B,
    Ip,
    be,
    ether,
    packet,
    plain,
    sctp,
    tcp_frame,
    toeplitz,
    udp,
    udp_frame,
)

FAR = bytes([2, 0xFA, 0, 0, 0, 1])
LEGACY, NIC, OVS = RXDID.LEGACY_1, RXDID.FLEX_NIC, RXDID.COMMS_OVS_1


def receive(nic, wire, frame, rxdid, **options):
    vsi = nic.vsi(2, rxdid=rxdid, mac=B, **options)
    wire.send(nic.machine, frame)
    [got] = vsi.rx[0].take()
    assert got.data == frame
    return got


V4_HEAD = Ip(fragment=0x2000)
V4_LATER = Ip(fragment=0x0010)


def v6_fragment(payload):
    body = bytes([UDP, 0]) + be(0x0001) + be(7, 4) + payload
    return ether(B, A, V6.header(44, len(body)) + body, V6.kind)


PTYPES = [
    (plain(), Ptype.L2),
    (udp_frame(), Ptype.IPV4_UDP),
    (tcp_frame(), Ptype.IPV4_TCP),
    (packet(V4, SCTP, sctp(b"abcd")), Ptype.IPV4_SCTP),
    (packet(V4, ICMP, b"\x08\0\xf7\xff\0\0\0\0" + bytes(20)), Ptype.IPV4_ICMP),
    (packet(V4, 99, bytes(40)), Ptype.IPV4),
    (packet(V4_HEAD, UDP, bytes(40)), Ptype.IPV4_FRAG),
    (packet(V4_LATER, UDP, bytes(40)), Ptype.IPV4_FRAG),
    (udp_frame(ip=V6), Ptype.IPV6_UDP),
    (tcp_frame(ip=V6), Ptype.IPV6_TCP),
    (packet(V6, SCTP, sctp(b"abcd")), Ptype.IPV6_SCTP),
    (packet(V6, 99, bytes(40)), Ptype.IPV6),
    (v6_fragment(bytes(40)), Ptype.IPV6_FRAG),
    (packet(V4, 47, b"\0\0\x65\x58" + udp_frame()), Ptype.IPV4_GRENAT_MAC_IPV4_UDP),
    (
        packet(V4, UDP, udp(V4, b"\x08\0\0\0\0\0\x07\0" + tcp_frame(), dport=4789)),
        Ptype.IPV4_GRENAT_MAC_IPV4_TCP,
    ),
]


@pytest.mark.parametrize(("frame", "ptype"), PTYPES, ids=[p.name for _, p in PTYPES])
@pytest.mark.parametrize("rxdid", [LEGACY, NIC])
def test_the_packet_type_is_that_of_the_154_entry_table(nic, wire, frame, ptype, rxdid):
    got = receive(nic, wire, frame, rxdid)
    if rxdid == LEGACY:
        assert ptype == RxLegacyQw1(got.qword(1)).PTYPE
    else:
        assert ptype == RxFlexQw0(got.qword(0)).PTYPE


@pytest.mark.parametrize("number", [0, 1])
def test_a_legacy_write_back_says_done_end_length_and_that_checksums_were_looked_at(nic, wire, number):
    frame = udp_frame(bytes(100))
    got = receive(nic, wire, frame, number)
    word = RxLegacyQw1(got.qword(1))
    assert (word.DD, word.EOF, word.L3L4P) == (1, 1, 1)
    assert len(frame) == word.LEN_PBUF
    assert (word.LEN_HBUF, word.SPH) == (0, 0)
    assert (word.RXE, word.IPE, word.L4E, word.EIPE, word.OVERSIZE, word.HBO, word.PPRS) == (0,) * 7
    assert word.LPBK == 0


@pytest.mark.parametrize(
    "rxdid", [NIC, RXDID.FLEX_NIC_2, RXDID.COMMS_GENERIC, RXDID.COMMS_OVS_1, RXDID.COMMS_OVS_2]
)
def test_a_flex_write_back_begins_with_its_profile(nic, wire, rxdid):
    frame = udp_frame(bytes(100))
    got = receive(nic, wire, frame, rxdid)
    head, status = RxFlexQw0(got.qword(0)), RxFlexNicQw1(got.qword(1))
    assert rxdid == head.RXDID
    assert len(frame) == head.PKT_LEN
    assert (head.HDR_LEN, head.SPH) == (0, 0)
    assert (status.DD, status.EOF, status.L3L4P) == (1, 1, 1)
    assert (status.RXE, status.IPE, status.L4E, status.EIPE, status.EUDPE, status.HBO) == (0,) * 6


@pytest.mark.parametrize(
    ("mac", "kind"),
    [(B, UMBCAST.UNICAST), (b"\1\0\x5e\0\0\1", UMBCAST.MULTICAST), (BROADCAST, UMBCAST.BROADCAST)],
)
@pytest.mark.parametrize("rxdid", [LEGACY, NIC])
def test_the_kind_of_address_is_reported(nic, wire, machine, mac, kind, rxdid):
    vsi = nic.vsi(2, rxdid=rxdid, mac=mac)
    wire.send(machine, plain(mac, FAR))
    [got] = vsi.rx[0].take()
    word = RxLegacyQw1(got.qword(1)) if rxdid == LEGACY else RxFlexQw0(got.qword(0))
    assert kind == word.UMBCAST


@pytest.mark.parametrize("rxdid", [LEGACY, NIC])
def test_a_frame_of_another_vsi_is_marked_as_looped_back(nic, rxdid):
    one, two = nic.vsi(1), nic.vsi(2, rxdid=rxdid)
    one.tx[0].send(plain())
    [got] = two.rx[0].take()
    word = RxLegacyQw1(got.qword(1)) if rxdid == LEGACY else RxFlexNicQw1(got.qword(1))
    assert word.LPBK == 1


def spoil(frame, at):
    return frame[:at] + bytes([frame[at] ^ 0xFF]) + frame[at + 1 :]


BAD = [
    ("IPE", spoil(udp_frame(), 24), ("IPE",)),
    ("udp", spoil(udp_frame(), 50), ("L4E",)),
    ("tcp", spoil(tcp_frame(), 60), ("L4E",)),
    ("sctp", spoil(packet(V4, SCTP, sctp(b"abcdefgh")), 50), ("L4E",)),
    ("udp6", spoil(udp_frame(ip=V6), 70), ("L4E",)),
    ("tcp6", spoil(tcp_frame(ip=V6), 80), ("L4E",)),
    ("both", spoil(spoil(udp_frame(), 24), 50), ("IPE", "L4E")),
]


@pytest.mark.parametrize(("frame", "errors"), [(f, e) for _, f, e in BAD], ids=[n for n, _, _ in BAD])
@pytest.mark.parametrize("rxdid", [LEGACY, NIC])
def test_wrong_checksums_are_reported_and_the_frame_arrives(nic, wire, frame, errors, rxdid):
    got = receive(nic, wire, frame, rxdid)
    word = RxLegacyQw1(got.qword(1)) if rxdid == LEGACY else RxFlexNicQw1(got.qword(1))
    assert {name for name in ("IPE", "L4E", "EIPE") if getattr(word, name)} == set(errors)
    assert word.L3L4P
    assert not word.RXE, "drivers drop frames with RXE"


def test_a_udp_datagram_without_a_checksum_is_no_error(nic, wire):
    frame = packet(V4, UDP, udp(V4, b"abcd" * 10, checksum=0))
    word = RxLegacyQw1(receive(nic, wire, frame, LEGACY).qword(1))
    assert word.L4E == 0


def test_an_address_that_an_extension_header_changes_is_reported(nic, wire):
    """IPV6EXADD: Linux then takes no account of the checksums."""
    routing = bytes([UDP, 2, 2, 1, 0, 0, 0, 0]) + V6.dst
    body = routing + udp(V6, b"x" * 20)
    frame = ether(B, A, V6.header(43, len(body)) + body, V6.kind)
    assert RxLegacyQw1(receive(nic, wire, frame, LEGACY).qword(1)).IPV6EXADD
    assert RxFlexNicQw1(receive_again(nic, wire, frame).qword(1)).IPV6EXADD


def receive_again(nic, wire, frame):
    mac = bytes([2, 0, 0, 0, 0, 9])
    vsi = nic.vsi(9, rxdid=NIC, mac=mac)
    wire.send(nic.machine, mac + frame[6:])
    [got] = vsi.rx[0].take()
    return got


def hashed(nic, wire, rxdid):
    vsi = nic.vsi(2, rxdid=rxdid, mac=B)
    nic.rss(vsi, bytes(64), TOEPLITZ_KEY)
    wire.send(nic.machine, tcp_frame())
    [got] = vsi.rx[0].take()
    return got


# DPDK's ice and iavf take any other flow id for that of a filter.
NO_FLOW = 0xFFFF_FFFF
EXPECTED = toeplitz(V4.src + V4.dst + be(4000) + be(5000))


def test_the_references_toeplitz_is_microsofts():
    """The verification suite's first line: 66.9.149.187:2794 to 161.142.100.80:1766."""
    data = bytes([66, 9, 149, 187, 161, 142, 100, 80]) + be(2794) + be(1766)
    assert toeplitz(data) == 0x51CCC178


def test_a_legacy_write_back_has_the_hash_in_qword_0(nic, wire):
    got = hashed(nic, wire, LEGACY)
    assert RxLegacyQw1(got.qword(1)).FLTSTAT == FLTSTAT.RSS_HASH
    assert RxLegacyQw0(got.qword(0)).RSS == EXPECTED


def test_a_nic_write_back_has_the_hash_in_qword_1(nic, wire):
    got = hashed(nic, wire, NIC)
    assert RxFlexNicQw1(got.qword(1)).RSS_VALID
    assert RxFlexNicQw1(got.qword(1)).RSS_HASH == EXPECTED


def test_an_ovs_write_back_has_the_hash_in_qword_3(nic, wire):
    got = hashed(nic, wire, OVS)
    assert RxFlexOvsQw1(got.qword(1)).RSS_VALID
    assert RxFlexOvsQw3(got.qword(3)).RSS_HASH == EXPECTED


def test_without_a_hash_the_write_back_says_so(nic, wire):
    got = receive(nic, wire, plain(), LEGACY)
    assert RxLegacyQw1(got.qword(1)).FLTSTAT == FLTSTAT.NO_DATA
    assert not RxFlexNicQw1(receive_again(nic, wire, plain()).qword(1)).RSS_VALID


def test_what_has_no_meaning_is_zero(nic, wire):
    legacy = receive(nic, wire, plain(), LEGACY)
    assert RxLegacyQw2(legacy.qword(2)).raw == 0
    assert legacy.qword(3) == 0
    flex = receive_again(nic, wire, plain())
    assert RxFlexQw2(flex.qword(2)).L2TAG2P == 0
    assert RxFlexNicQw3(flex.qword(3)).FLOW_ID == NO_FLOW


def test_an_inner_checksum_is_looked_at_and_the_outer_one_too(nic, wire):
    inner = spoil(tcp_frame(), 60)
    frame = packet(V4, UDP, udp(V4, b"\x08\0\0\0\0\0\x07\0" + inner, dport=4789))
    word = RxLegacyQw1(receive(nic, wire, frame, LEGACY).qword(1))
    assert (word.L4E, word.IPE, word.EIPE) == (1, 0, 0)
    good = packet(V4, UDP, udp(V4, b"\x08\0\0\0\0\0\x07\0" + tcp_frame(), dport=4789))
    flex = RxFlexNicQw1(receive_again(nic, wire, spoil(good, 24)).qword(1))
    assert (flex.L4E, flex.IPE, flex.EIPE) == (0, 0, 1)


@pytest.mark.parametrize("length", [20, 33])
def test_a_packet_whose_headers_are_cut_off_is_no_trouble(nic, wire, length):
    """Short garbage with an IP ethertype: it arrives, and is no checked TCP packet."""
    frame = tcp_frame()[:length].ljust(60, b"\0")
    got = receive(nic, wire, frame, LEGACY)
    assert RxLegacyQw1(got.qword(1)).DD


assert TCP == 6
