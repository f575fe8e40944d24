"""RSS: which queue a flow goes to, with tables of each size (ice_lib.c)."""

from ipaddress import ip_address

import pytest

from siov.spec.e810 import RXDID, LutType, RssLut, RxFlexNicQw1, VsiProperties

from .frames import (
    SCTP,
    TOEPLITZ_KEY,
    V4,
    V6,
    A,
    B,
    Ip,
    be,
    packet,
    plain,
    sctp,
    tcp_frame,
    toeplitz,
    udp_frame,
)

FAR = bytes([2, 0xFA, 0, 0, 0, 1])


def queues_of(vsi, frames, send):
    """Which queue each frame came to."""
    found = {}
    send(*frames)
    for n in range(vsi.count):
        for frame in vsi.frames(n):
            found[frame] = n
    return [found.get(frame) for frame in frames]


def flows(count):
    return [udp_frame(sport=1000 + n, dport=53) for n in range(count)]


def hash_of(n):
    return toeplitz(V4.src + V4.dst + be(1000 + n) + be(53))


def table(size, queues, seed=1):
    return bytes((n * 7 + seed) % queues for n in range(size))


@pytest.mark.parametrize(
    ("kind", "choice", "size"),
    [(LutType.VSI, RssLut.VSI, 64), (LutType.GLOBAL, RssLut.GBL, 512), (LutType.PF, RssLut.PF, 2048)],
)
def test_the_low_bits_of_the_hash_choose_an_entry_of_the_table(nic, wire, machine, kind, choice, size):
    vsi = nic.vsi(2, queues=16, mac=B)
    vsi.set("Q_OPT_VALID", VsiProperties.Q_OPT_RSS.of(LUT=choice, GBL_LUT=0))
    entries = table(size, 16)
    nic.rss(vsi, entries, TOEPLITZ_KEY, kind)
    got = queues_of(vsi, flows(50), lambda *f: wire.send(machine, *f))
    assert got == [entries[hash_of(n) % size] for n in range(50)]


@pytest.mark.parametrize(
    ("frame", "data"),
    [
        (udp_frame(), V4.src + V4.dst + be(4000) + be(5000)),
        (tcp_frame(), V4.src + V4.dst + be(4000) + be(5000)),
        (udp_frame(ip=V6), V6.src + V6.dst + be(4000) + be(5000)),
        (tcp_frame(ip=V6), V6.src + V6.dst + be(4000) + be(5000)),
        (packet(V4, SCTP, sctp(b"abcd")), V4.src + V4.dst + be(4000) + be(5000)),
        (packet(V4, 99, bytes(30)), V4.src + V4.dst),
        (packet(V6, 99, bytes(30)), V6.src + V6.dst),
        (packet(Ip(fragment=0x2000), 17, bytes(30)), V4.src + V4.dst),
    ],
    ids=["udp", "tcp", "udp6", "tcp6", "sctp", "ip", "ip6", "fragment"],
)
def test_a_flow_is_hashed_over_its_addresses_and_its_ports(nic, wire, machine, frame, data):
    vsi = nic.vsi(2, queues=16, mac=B)
    entries = table(64, 16)
    nic.rss(vsi, entries, TOEPLITZ_KEY)
    wire.send(machine, frame)
    assert [n for n in range(16) if vsi.frames(n)] == [entries[toeplitz(data) % 64]]


def test_a_frame_without_a_hash_goes_to_the_first_queue(nic, wire, machine):
    vsi = nic.vsi(2, queues=4, mac=B)
    nic.rss(vsi, bytes([3] * 64), TOEPLITZ_KEY)
    wire.send(machine, plain(B, FAR))
    assert vsi.frames(0) == [plain(B, FAR)]


def test_the_key_is_the_vsis_own(nic, wire, machine):
    one, two = nic.vsi(1, queues=16, mac=A), nic.vsi(2, queues=16, mac=B)
    entries = table(64, 16)
    other = bytes(range(52))
    nic.rss(one, entries, TOEPLITZ_KEY)
    nic.rss(two, entries, other)
    data = V4.src + V4.dst + be(4000) + be(5000)
    wire.send(machine, udp_frame(dst=A, src=FAR), udp_frame(dst=B, src=FAR))
    assert one.frames(entries[toeplitz(data) % 64]) == [udp_frame(dst=A, src=FAR)]
    assert two.frames(entries[toeplitz(data, other) % 64]) == [udp_frame(dst=B, src=FAR)]


def test_frames_of_another_vsi_are_spread_as_those_of_the_port(nic):
    one, two = nic.vsi(1), nic.vsi(2, queues=4)
    entries = table(64, 4)
    nic.rss(two, entries, TOEPLITZ_KEY)
    got = queues_of(two, flows(20), one.tx[0].send)
    assert got == [entries[hash_of(n) % 64] for n in range(20)]


def test_a_table_may_be_changed_while_frames_flow(nic, wire, machine):
    vsi = nic.vsi(2, queues=4, mac=B)
    for queue in (0, 3, 1):
        nic.rss(vsi, bytes([queue] * 64), TOEPLITZ_KEY)
        wire.send(machine, udp_frame())
        assert vsi.frames(queue) == [udp_frame()]


def test_an_entry_past_the_vsis_queues_reaches_no_other_vsis_queue(nic, wire, machine):
    one, two = nic.vsi(1, queues=2, mac=A), nic.vsi(2, queues=2, mac=B)
    nic.rss(one, bytes([3] * 64), TOEPLITZ_KEY)
    wire.send(machine, udp_frame(dst=A, src=FAR))
    assert two.frames(0) + two.frames(1) == []


def test_symmetric_toeplitz_sends_both_directions_to_one_queue(nic, wire, machine):
    vsi = nic.vsi(2, queues=16, mac=B)
    vsi.set("Q_OPT_VALID", VsiProperties.Q_OPT_RSS.of(LUT=RssLut.VSI, HASH=1))
    nic.rss(vsi, table(64, 16), TOEPLITZ_KEY)
    back = Ip(V4.dst, V4.src)
    for n in range(10):
        there = udp_frame(sport=1000 + n, dport=53)
        again = packet_back(back, 53, 1000 + n)
        wire.send(machine, there)
        [first] = [q for q in range(16) if vsi.frames(q)]
        wire.send(machine, again)
        [second] = [q for q in range(16) if vsi.frames(q)]
        assert first == second


def packet_back(ip, sport, dport):
    return udp_frame(ip=ip, sport=sport, dport=dport)


# Microsoft's "Verifying the RSS Hash Calculation": source, destination, with their ports; the hash over the
# addresses, and over the ports as well.
PUBLISHED = [
    ("66.9.149.187", 2794, "161.142.100.80", 1766, 0x323E8FC2, 0x51CCC178),
    ("199.92.111.2", 14230, "65.69.140.83", 4739, 0xD718262A, 0xC626B0EA),
    ("24.19.198.95", 12898, "12.22.207.184", 38024, 0xD2D0A5DE, 0x5C2B394A),
    ("38.27.205.30", 48228, "209.142.163.6", 2217, 0x82989176, 0xAFC7327F),
    ("153.39.163.191", 44251, "202.188.127.2", 1303, 0x5D1809C5, 0x10E828A2),
    ("3ffe:2501:200:1fff::7", 2794, "3ffe:2501:200:3::1", 1766, 0x2CC18CD5, 0x40207D3D),
    ("3ffe:501:8::260:97ff:fe40:efab", 14230, "ff02::1", 4739, 0x0F0C461C, 0xDDE51BBF),
    (
        "3ffe:1900:4545:3:200:f8ff:fe21:67cf", 44251, "fe80::200:f8ff:fe21:67cf", 38024,
        0x4B61E985, 0x02D1FEEF,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("src", "sport", "dst", "dport", "addresses", "ports"), PUBLISHED)
def test_the_published_verification_vectors_come_out(
    nic, wire, machine, src, sport, dst, dport, addresses, ports
):
    """A TCP segment is hashed with its ports, a packet of another protocol (here: 253) without."""
    vsi = nic.vsi(2, rxdid=RXDID.FLEX_NIC)
    nic.rss(vsi, bytes(64), TOEPLITZ_KEY)
    ip = Ip(ip_address(src).packed, ip_address(dst).packed)
    wire.send(machine, tcp_frame(ip=ip, sport=sport, dport=dport), packet(ip, 253, b"x" * 40))
    found = [RxFlexNicQw1(got.qword(1)) for got in vsi.rx[0].take()]
    assert [(word.RSS_VALID, word.RSS_HASH) for word in found] == [(1, ports), (1, addresses)]
    assert toeplitz(ip.src + ip.dst + be(sport) + be(dport)) == ports
