"""Checksums that hardware makes on sending, compared to RFC 1071 and 9260 (iavf_txrx.c)."""

import pytest

from siov.spec.e810 import EIPT, IIPT, L4T, L4TUNT

from .frames import (
    SCTP,
    TCP,
    UDP,
    V4,
    V6,
    Ip,
    be,
    ether,
    fold,
    packet,
    padded,
    pattern,
    sctp,
    tcp,
    udp,
)


@pytest.fixture
def pair(nic):
    return nic.vsi(1), nic.vsi(2)


def offload(ip, l4t, *, csum=False, l4len=2):
    kind = (IIPT.IPV4_CSUM if csum else IIPT.IPV4) if ip.v4 else IIPT.IPV6
    return {"IIPT": kind, "L4T": l4t, "MACLEN": 7, "IPLEN": ip.size // 4, "L4LEN": l4len}


@pytest.mark.parametrize("ip", [V4, V6, Ip(options=b"\x01" * 8)], ids=["v4", "v6", "options"])
@pytest.mark.parametrize("size", [0, 1, 2, 777, 1400])
def test_a_udp_checksum_seeded_with_the_pseudo_header_is_completed(pair, ip, size):
    one, two = pair
    payload = pattern(size)
    seed = ip.pseudo(UDP, 8 + size)
    one.tx[0].send(packet(ip, UDP, udp(ip, payload, checksum=seed)), **offload(ip, L4T.UDP))
    assert two.frames() == [padded(packet(ip, UDP, udp(ip, payload)))]


@pytest.mark.parametrize("ip", [V4, V6], ids=["v4", "v6"])
@pytest.mark.parametrize("size", [0, 1, 1000])
def test_a_tcp_checksum_seeded_with_the_pseudo_header_is_completed(pair, ip, size):
    one, two = pair
    payload, options = pattern(size), b"\x01" * 12
    seed = ip.pseudo(TCP, 32 + size)
    given = packet(ip, TCP, tcp(ip, payload, options=options, checksum=seed))
    one.tx[0].send(given, **offload(ip, L4T.TCP, l4len=8))
    assert two.frames() == [padded(packet(ip, TCP, tcp(ip, payload, options=options)))]


@pytest.mark.parametrize("ip", [V4, V6], ids=["v4", "v6"])
@pytest.mark.parametrize("size", [4, 100, 1000])
def test_an_sctp_checksum_is_the_crc32c_of_the_packet(pair, ip, size):
    one, two = pair
    given = packet(ip, SCTP, sctp(pattern(size), checksum=bytes(4)))
    one.tx[0].send(given, **offload(ip, L4T.SCTP, l4len=3))
    assert two.frames() == [padded(packet(ip, SCTP, sctp(pattern(size))))]


def test_an_ipv4_header_checksum_is_made_when_asked_for(pair):
    one, two = pair
    body = udp(V4, b"data")
    given = ether(two.mac, one.mac, V4.header(UDP, len(body), checksum=False) + body)
    one.tx[0].send(given, **offload(V4, L4T.UNK, csum=True))
    assert two.frames() == [padded(packet(V4, UDP, body))]


def test_an_ipv4_header_checksum_is_left_alone_when_not(pair):
    one, two = pair
    body = udp(V4, b"data", checksum=V4.pseudo(UDP, 12))
    given = ether(two.mac, one.mac, V4.header(UDP, len(body), checksum=False) + body)
    one.tx[0].send(given, **offload(V4, L4T.UDP))
    [got] = two.frames()
    assert got[24:26] == b"\0\0"
    assert got[34:46] == udp(V4, b"data")


def test_a_packet_without_commands_is_sent_as_it_is(pair):
    one, two = pair
    given = packet(V4, UDP, udp(V4, b"data", checksum=0xBAD))
    one.tx[0].send(given)
    assert two.frames() == [padded(given)]


def test_headers_may_lie_across_buffers(pair):
    one, two = pair
    payload = pattern(500)
    given = packet(V4, UDP, udp(V4, payload, checksum=V4.pseudo(UDP, 508)))
    one.tx[0].packet(given[:20], given[20:40], given[40:41], given[41:], **offload(V4, L4T.UDP))
    one.tx[0].kick()
    assert two.frames() == [padded(packet(V4, UDP, udp(V4, payload)))]


def test_a_tag_in_the_frame_counts_to_its_mac_length(pair):
    one, two = pair
    tags = ((0x8100, 5),)
    given = packet(V4, UDP, udp(V4, b"data" * 9, checksum=V4.pseudo(UDP, 44)), tags=tags)
    one.tx[0].send(given, **{**offload(V4, L4T.UDP), "MACLEN": 9})
    assert two.frames() == [padded(packet(V4, UDP, udp(V4, b"data" * 9), tags=tags))]


def test_a_checksum_and_a_tag_go_together(pair):
    one, two = pair
    given = packet(V4, UDP, udp(V4, b"data" * 9, checksum=V4.pseudo(UDP, 44)))
    one.tx[0].send(given, IL2TAG1=1, L2TAG1=5, **offload(V4, L4T.UDP))
    assert two.frames() == [padded(packet(V4, UDP, udp(V4, b"data" * 9), tags=((0x8100, 5),)))]


def test_a_udp_checksum_of_zero_is_sent_as_ffff(pair):
    one, two = pair
    ip = V4
    # The payload that makes the sum ffff, so that its complement is zero (RFC 768).
    head = be(4000) + be(5000) + be(10)
    want = 0xFFFF - fold(head + be(0), ip.pseudo(UDP, 10))
    given = packet(ip, UDP, udp(ip, be(want), checksum=ip.pseudo(UDP, 10)))
    one.tx[0].send(given, **offload(ip, L4T.UDP))
    [got] = two.frames()
    assert got[40:42] == b"\xff\xff"


OUTER = Ip(bytes([192, 168, 0, 1]), bytes([192, 168, 0, 2]), ident=9)


def vxlan(inner, outer=OUTER, checksum=None):
    return packet(outer, UDP, udp(outer, b"\x08\0\0\0\0\0\x07\0" + inner, dport=4789, checksum=checksum))


# As ice_tx_csum has it: MACLEN is of the outer frame, NATLEN leads from the outer L4 header to the inner IP
# header: 8 + 8 + 14 bytes with VXLAN.
NATLEN = 15


@pytest.mark.parametrize("ip", [V4, V6], ids=["v4", "v6"])
def test_a_checksum_inside_a_vxlan_tunnel_is_completed(pair, ip):
    one, two = pair
    payload = pattern(300)
    inner = packet(ip, TCP, tcp(ip, payload, checksum=ip.pseudo(TCP, 320)))
    tx = one.tx[0]
    tx.ctx({"EIPT": EIPT.IPV4_NO_CSUM, "EIPLEN": 5, "L4TUNT": L4TUNT.UDP, "NATLEN": NATLEN})
    tx.send(vxlan(inner, checksum=0), **offload(ip, L4T.TCP, l4len=5))
    assert two.frames() == [vxlan(packet(ip, TCP, tcp(ip, payload)), checksum=0)]


def test_the_outer_ipv4_checksum_is_made_when_the_context_asks_for_it(pair):
    one, two = pair
    inner = packet(V4, TCP, tcp(V4, pattern(300), checksum=V4.pseudo(TCP, 320)))
    given = bytearray(vxlan(inner, checksum=0))
    given[24:26] = b"\0\0"
    tx = one.tx[0]
    tx.ctx({"EIPT": EIPT.IPV4, "EIPLEN": 5, "L4TUNT": L4TUNT.UDP, "NATLEN": NATLEN})
    tx.send(bytes(given), **offload(V4, L4T.TCP, l4len=5))
    assert two.frames() == [vxlan(packet(V4, TCP, tcp(V4, pattern(300))), checksum=0)]


def test_a_checksum_inside_a_gre_tunnel_is_completed(pair):
    one, two = pair
    inner = packet(V4, UDP, udp(V4, pattern(99), checksum=V4.pseudo(UDP, 107)))
    tx = one.tx[0]
    tx.ctx({"EIPT": EIPT.IPV4_NO_CSUM, "EIPLEN": 5, "L4TUNT": L4TUNT.GRE, "NATLEN": 9})
    tx.send(packet(OUTER, 47, b"\0\0\x65\x58" + inner), **offload(V4, L4T.UDP))
    assert two.frames() == [
        padded(packet(OUTER, 47, b"\0\0\x65\x58" + packet(V4, UDP, udp(V4, pattern(99)))))
    ]


def test_a_checksum_of_ip_in_ip_is_completed(pair):
    one, two = pair
    body = udp(V6, pattern(99), checksum=V6.pseudo(UDP, 107))
    tx = one.tx[0]
    tx.ctx({"EIPT": EIPT.IPV4_NO_CSUM, "EIPLEN": 5})
    tx.send(packet(OUTER, 41, V6.header(UDP, len(body)) + body), **offload(V6, L4T.UDP))
    assert two.frames() == [padded(packet(OUTER, 41, V6.header(UDP, 107) + udp(V6, pattern(99))))]
