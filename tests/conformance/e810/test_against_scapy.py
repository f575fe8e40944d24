"""A thousand random frames of each kind against scapy's lengths, checksums, tags; tshark reads them all."""

import random

import pytest
import tshark
from random_frames import (
    Sent,
    clear_length,
    cut,
    kind_of,
    pseudo,
    random_payload,
    simple,
    tagged,
    tags,
    tunnelled,
    wrong_checksums,
)
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether
from scapy.layers.sctp import SCTP
from scapy.packet import Raw

from siov._core import Clock, Port
from siov.spec.e810 import RXDID, AqOpcode, AqSetPortParams, Ptype, RxFlexNicQw1, RxFlexQw0, VsiProperties

from .driver import E810Driver
from .frames import A, B, padded
from .machine import Machine
from .rings import TxQueue
from .test_rx_vlan import reported

FRAMES, BATCH = 1000, 10
MACS = (A.hex(":"), B.hex(":"))


@pytest.fixture
def rng():
    return random.Random(20260728)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "port.pcapng"


@pytest.fixture
def pair(file):
    """A sender, and a receiver whose frames go out to the port as well, into a capture."""
    nic = E810Driver(Machine(port=Port.pcap(Clock(virtual=True), write=file)))
    one, two = nic.vsi(1, size=256), nic.vsi(2, size=512, rule=False, rxmax=9728)
    nic.add_mac(two, two.mac, lan=True)
    return one, two


def put(
    rng: random.Random, queue: TxQueue, raw: bytes | bytearray, fields: dict[str, int], most: int = 8
) -> None:
    """A packet in one to `most` buffers, cut anywhere; each has a byte at least and 4 KiB at most."""
    raw = bytes(raw)
    least = -(-len(raw) // queue.BUFFER)
    pieces = rng.randint(least, max(least, min(most, len(raw))))
    at = sorted(rng.sample(range(1, len(raw)), pieces - 1))
    chunks = [raw[a:b] for a, b in zip([0, *at], [*at, len(raw)], strict=True)]
    if max(map(len, chunks)) > queue.BUFFER:
        chunks = [raw[n : n + queue.BUFFER] for n in range(0, len(raw), queue.BUFFER)]
    queue.packet(*chunks, **fields)


def check(two, expected: list[bytes]) -> None:
    found = two.frames()
    assert len(found) == len(expected)
    for got, want in zip(found, map(padded, expected), strict=True):
        assert got == want, f"{Ether(got)!r}\nshould be\n{Ether(want)!r}"


def clean(file, frames: int) -> None:
    """The capture has all frames, and tshark nothing to say against any."""
    if tshark.command() is not None:
        assert len(tshark.fields(file, "frame.len")) == frames
        assert tshark.complaints(file) == []


def test_checksums_of_random_packets_are_scapys(pair, rng, file):
    one, two = pair
    for _ in range(FRAMES // BATCH):
        expected = []
        for _ in range(BATCH):
            sent, in_device = simple(rng, MACS), rng.random() < 0.5
            raw = sent.template(length=True, ipv4_checksum=in_device)
            put(rng, one.tx[0], raw, sent.fields(ipv4_checksum=in_device))
            one.tx[0].kick()
            expected.append(sent.expected)
        check(two, expected)
    clean(file, FRAMES)


def test_checksums_of_random_tunnels_are_scapys(pair, rng, file):
    one, two = pair
    for _ in range(FRAMES // BATCH):
        expected = []
        for _ in range(BATCH):
            sent = tunnelled(rng, MACS)
            raw = sent.template(length=True, ipv4_checksum=True)
            outer_for_the_device(sent, raw, length=True)
            one.tx[0].ctx(sent.context)
            put(rng, one.tx[0], raw, sent.fields(ipv4_checksum=True), most=7)
            one.tx[0].kick()
            expected.append(sent.expected)
        check(two, expected)
    clean(file, FRAMES)


def outer_for_the_device(sent: Sent, raw: bytearray, *, length: bool) -> None:
    """The outer headers of a tunnel as drivers hand them down (ice_tso, ice_tx_csum)."""
    at = sent.offset(sent.outer)
    if not length:
        clear_length(raw, at)
    elif raw[at] >> 4 == 4:
        raw[at + 10 : at + 12] = bytes(2)
    if sent.context["L4TUNT"] == 1:
        l4 = at + 4 * sent.context["EIPLEN"]
        if sent.context["L4T_CS"]:
            raw[l4 + 6 : l4 + 8] = pseudo(raw, at, 17, len(raw) - l4 if length else 0)
        if not length:
            raw[l4 + 4 : l4 + 6] = bytes(2)


@pytest.mark.parametrize("kind", [simple, tunnelled])
def test_segments_of_random_large_sends_are_scapys(pair, rng, file, kind):
    """A thousand large sends: whole packets and packets in tunnels, TCP and UDP."""
    one, two = pair
    frames = 0
    for _ in range(FRAMES):
        sent, mss = (
            kind(rng, MACS, kinds="tu", most=6000),
            rng.choice([64, 536, 1220, rng.randrange(64, 1400)]),
        )
        payload = bytes(sent.transport.payload)
        if not payload:
            continue
        mss = max(mss, len(payload) // 60 + 1)
        expected = cut(sent, mss)
        raw = sent.template(length=False, ipv4_checksum=True)
        if sent.context:
            outer_for_the_device(sent, raw, length=False)
        one.tx[0].ctx(sent.context, TSO=1, MSS=mss, TSO_LEN=len(payload))
        put(rng, one.tx[0], raw, sent.fields(ipv4_checksum=True), most=2)
        one.tx[0].kick()
        check(two, expected)
        frames += len(expected)
    clean(file, frames)


@pytest.mark.parametrize("double", [False, True], ids=["single", "double"])
def test_tags_of_random_frames_are_scapys(pair, rng, file, double):
    """Put in at the sender, in front of what scapy made; left alone at a receiver."""
    one, two = pair
    if double:
        one.driver.aq.send(AqOpcode.SET_PORT_PARAMS, AqSetPortParams.of(DOUBLE_VLAN_ENA=1))
        one.set("OUTER_TAG_VALID", VsiProperties.OUTER_VLAN_FLAGS.of(EMODE=3, TAG_TYPE=1, TX_MODE=3))
    for _ in range(FRAMES // BATCH):
        expected = []
        for _ in range(BATCH):
            plain = simple(rng, MACS, tag=False)
            found = tags(rng, double=double)
            fields = plain.fields(ipv4_checksum=True)
            tci = found[-1][1]
            if double:
                one.tx[0].ctx({"L2TAG2": found[0][1]}, IL2TAG2=1)
            raw = plain.template(length=True, ipv4_checksum=True)
            put(rng, one.tx[0], raw, {**fields, "IL2TAG1": 1, "L2TAG1": tci}, most=7)
            one.tx[0].kick()
            expected.append(tagged(plain.expected, *found))
        check(two, expected)
    clean(file, FRAMES)


def test_tags_that_are_taken_out_of_random_frames_are_scapys(nic, wire, machine, rng):
    """From the port: the frame without its tag, and the tag in the descriptor."""
    vsi = nic.vsi(2, size=256)
    vsi.set("VLAN_VALID", VsiProperties.INNER_VLAN_FLAGS.of(TX_MODE=3, EMODE=0))
    for _ in range(FRAMES // BATCH):
        sent = []
        for _ in range(BATCH):
            [(kind, tci)] = tags(rng, double=False)
            assert kind is Dot1Q
            plain = bytes(Ether(src=MACS[0], dst=MACS[1], type=0x88B5) / Raw(random_payload(rng, 1400)))
            sent.append((padded(plain), tci))
        wire.send(machine, *(tagged(plain, (Dot1Q, tci)) for plain, tci in sent))
        got = vsi.rx[0].take()
        assert [(one.data, reported(vsi, one)[0]) for one in got] == sent


def test_scapys_double_tags_are_what_the_test_takes_them_for():
    frame = tagged(bytes(Ether(type=0x88B5) / Raw(b"x")), (Dot1AD, 0x2064), (Dot1Q, 0x3065))
    assert frame[12:22].hex() == "88a820648100306588b5"


def spoiled(rng: random.Random, sent: Sent) -> bytes:
    """The frame, often with a checksum or the payload changed."""
    raw = bytearray(sent.expected)
    places = [sent.offset(sent.transport) + {TCP: 17, UDP: 7, SCTP: 11}[type(sent.transport)]]
    places += [sent.offset(ip) + 11 for ip in (sent.inner, sent.outer) if isinstance(ip, IP)]
    if sent.context.get("L4T_CS"):
        places.append(sent.offset(sent.outer) + 4 * sent.context["EIPLEN"] + 7)
    if bytes(sent.transport.payload):
        places.append(len(raw) - 1)
    for place in places:
        if rng.random() < 0.2:
            raw[place] ^= 1 << rng.randrange(8)
    return bytes(raw)


@pytest.mark.parametrize("kind", [simple, tunnelled])
def test_packet_types_and_checks_of_random_received_frames_are_scapys(nic, wire, machine, rng, kind):
    """The packet type by name, and each of the four error bits of a flex descriptor."""
    vsi = nic.vsi(2, size=256, rxdid=RXDID.FLEX_NIC)
    kinds, errors = set(), set()
    for _ in range(FRAMES // BATCH):
        frames = [spoiled(rng, kind(rng, MACS)) for _ in range(BATCH)]
        wire.send(machine, *frames)
        got = vsi.rx[0].take()
        assert [one.data for one in got] == frames
        for one in got:
            word = RxFlexNicQw1(one.qword(1))
            found = {name: bool(getattr(word, name)) for name in ("IPE", "EIPE", "L4E", "EUDPE")}
            wrong = wrong_checksums(one.data)
            assert found == wrong, repr(Ether(one.data))
            name = Ptype(RxFlexQw0(one.qword(0)).PTYPE).name
            assert name == kind_of(Ether(one.data))
            kinds.add(name)
            errors |= {bit for bit, is_wrong in wrong.items() if is_wrong}
    assert (len(kinds), len(errors)) == {simple: (6, 2), tunnelled: (36, 4)}[kind]


@tshark.needed
@pytest.mark.parametrize("kinds", ["t", "u", "s"])
def test_tshark_finds_a_wrong_checksum(file, rng, kinds):
    port = Port.pcap(Clock(virtual=True), write=file)
    sent = simple(rng, MACS, kinds=kinds)
    port.send(sent.expected)
    port.send(sent.expected[:-1] + bytes([sent.expected[-1] ^ 1]))
    assert len(tshark.complaints(file)) == 1
