"""Captures at VSIs and ports: Wireshark reads them, and they hold what the counters count."""

import time
from collections import Counter
from itertools import pairwise

import pytest
import tshark

from siov._core import Capture
from siov.spec.e810 import IIPT, L4T, VsiProperties

from .driver import E810Driver
from .frames import TCP, V4, A, B, ether, packet, pattern, plain, segments, tcp, udp_frame
from .machine import Machine

FAR = bytes([2, 0xFA, 0, 0, 0, 1])
ANTI_SPOOF = VsiProperties.SEC_FLAGS.of(ENA_MAC_ANTI_SPOOF=1)
NAMES = ("frame.interface_name", "frame.packet_flags_direction", "frame.comment", "frame.len")
IN, OUT = "1", "2"


def rows(capture: Capture, *more: str) -> list[list[str]]:
    """Interface, direction, comment, length of each frame as tshark has them; none may be malformed."""
    capture.flush()
    assert tshark.complaints(capture.path) == []
    found = tshark.fields(capture.path, *NAMES, *more)
    return [[row[0], str(int(row[1], 0)), *row[2:]] for row in found]


def ways(capture: Capture) -> Counter[tuple[str, str]]:
    """How many frames of each interface and direction."""
    return Counter((row[0], row[1]) for row in rows(capture))


@pytest.fixture
def capture(machine, tmp_path):
    return Capture(tmp_path / "a.pcapng", machine.clock, comment="scenario: a test")


def watch(machine, capture, *vsis, port=None, **more):
    for vsi in vsis:
        about = f"PASID {vsi.space.pasid}"
        machine.nic.capture(
            ("vsi", vsi.number), capture, name=f"nic0/vsi{vsi.number}", description=about, **more
        )
    if port is not None:
        machine.nic.capture(("port", port), capture, name=f"nic0/port{port}", **more)


@tshark.needed
def test_as_many_frames_are_recorded_as_the_counters_count(nic, wire, machine, capture):
    one, two = nic.vsi(1), nic.vsi(2)
    nic.broadcast(one, two)
    watch(machine, capture, one, two, port=0)
    one.tx[0].send(*[udp_frame()] * 5, udp_frame(dst=b"\xff" * 6), *[udp_frame(dst=FAR)] * 3)
    two.tx[0].send(*[udp_frame(dst=A, src=B)] * 4)
    wire.send(machine, *[udp_frame(dst=A, src=FAR)] * 6, *[udp_frame(dst=FAR, src=FAR)] * 2)
    counted = {
        (f"nic0/vsi{vsi.number}", way): sum(vsi.counter(f"GLV_{c}P{x}C") for c in "UMB")
        for vsi in (one, two)
        for way, x in ((IN, "R"), (OUT, "T"))
    }
    counted["nic0/port0", IN] = sum(machine.rd64(f"GLPRT_{c}PRC") for c in "UMB")
    counted["nic0/port0", OUT] = sum(machine.rd64(f"GLPRT_{c}PTC") for c in "UMB")
    assert ways(capture) == counted
    assert min(counted.values()) > 0
    totals = capture.inspect()["interfaces"]
    assert {row["name"]: (row["inbound"], row["outbound"]) for row in totals.values()} == {
        name: (counted[name, IN], counted[name, OUT]) for name, _ in counted
    }


@tshark.needed
def test_a_vsi_sends_its_segments_with_their_checksums_into_the_capture(nic, wire, machine, capture):
    one, two = nic.vsi(1, size=256), nic.vsi(2, size=256)
    watch(machine, capture, one)
    payload = pattern(10_000)
    body = tcp(V4, payload, checksum=V4.pseudo(TCP, 0))
    frame = ether(B, A, V4.header(TCP, None, checksum=False) + body, V4.kind)
    one.tx[0].ctx(None, TSO=1, MSS=1448, TSO_LEN=10_000)
    pieces = [frame[n : n + 4096] for n in range(0, len(frame), 4096)]
    one.tx[0].packet(*pieces, IIPT=IIPT.IPV4_CSUM, L4T=L4T.TCP, MACLEN=7, IPLEN=5, L4LEN=5)
    one.tx[0].kick()
    expected = segments(V4, payload, 1448, flags=16)
    found = rows(capture, "tcp.payload")
    assert [int(row[3]) for row in found] == [len(one) for one in expected]
    assert "".join(row[4] for row in found) == payload.hex()
    assert two.frames() == expected


@tshark.needed
def test_a_vsi_receives_with_the_tag_that_its_queue_is_not_given(nic, wire, machine, capture):
    vsi = nic.vsi(1)
    vsi.set("VLAN_VALID", VsiProperties.INNER_VLAN_FLAGS.of(TX_MODE=3, EMODE=0))
    watch(machine, capture, vsi)
    wire.send(machine, plain(A, FAR, tags=((0x8100, 0x6123),), size=64))
    assert vsi.frames() == [plain(A, FAR, size=60)]
    assert [row[3:] for row in rows(capture, "vlan.id")] == [["64", str(0x123)]]


@tshark.needed
def test_tshark_shows_names_descriptions_comments_and_the_time_of_the_clock(guarded, wire, tmp_path):
    machine = guarded.machine
    capture = Capture(tmp_path / "a.pcapng", machine.clock, comment="scenario first.toml")
    one, _ = guarded.vsi(1, pasid=0x101), guarded.vsi(2, pasid=0x102)
    watch(machine, capture, one, comment="vdev 83b8f4f2-509f-382f-3c1e-e6bfe0fa1001")
    machine.advance(1_500_000_000)
    one.tx[0].send(udp_frame())
    machine.advance(7)
    one.tx[0].send(udp_frame())
    found = rows(capture, "frame.interface_description", "frame.time_epoch")
    name, comment = f"nic0/vsi{one.number}", "vdev 83b8f4f2-509f-382f-3c1e-e6bfe0fa1001"
    assert [[*row[:3], row[4]] for row in found] == [[name, OUT, comment, "PASID 257"]] * 2
    assert [float(row[5]) for row in found] == [1.5, 1.500000007]
    assert "scenario first.toml" in tshark.about(capture.path)


@tshark.needed
def test_what_was_dropped_is_recorded_with_the_reason_if_that_is_asked_for(nic, wire, machine, capture):
    one, two = nic.vsi(1), nic.vsi(2, rings=False)
    empty = nic.rx_queue(two, two.first)
    empty.enable()
    one.set("SECURITY_VALID", ANTI_SPOOF)
    watch(machine, capture, one, two, drops=True)
    one.tx[0].send(udp_frame(), udp_frame(src=B))
    comments = [(row[0], row[1], row[2]) for row in rows(capture)]
    assert comments == [
        (f"nic0/vsi{one.number}", OUT, ""),
        (f"nic0/vsi{two.number}", IN, "there is no receive buffer"),
        (f"nic0/vsi{one.number}", OUT, "anti_spoof"),
    ]
    assert (one.counter("GLV_UPTC"), one.counter("GLV_TEPC"), two.counter("GLV_RDPC")) == (1, 1, 1)


@tshark.needed
def test_a_frame_that_nobody_takes_says_so(nic, wire, machine, capture):
    vsi = nic.vsi(1)
    watch(machine, capture, port=0)
    wire.send(machine, udp_frame(dst=A, src=FAR), udp_frame(dst=B, src=FAR))
    assert [row[2] for row in rows(capture)] == ["", "no_destination"]
    assert len(vsi.frames()) == 1


@tshark.needed
def test_threads_record_into_one_file_in_the_order_of_time(wire, tmp_path):
    machine = Machine(port=wire.near, workers=3)
    nic = E810Driver(machine)
    vsis = [nic.vsi(n, size=256) for n in range(1, 7)]
    capture = Capture(tmp_path / "a.pcapng", machine.clock)
    watch(machine, capture, *vsis)
    machine.nic.start()
    try:
        for one, other in pairwise(vsis):
            for _ in range(50):
                one.tx[0].data(udp_frame(dst=other.mac, src=one.mac))
            one.tx[0].doorbell()
        end = time.monotonic() + 60
        while sum(vsi.counter("GLV_UPRC") for vsi in vsis) < 250:
            assert time.monotonic() < end
            time.sleep(0.001)
    finally:
        machine.nic.stop()
    expected = Counter({(f"nic0/vsi{vsi.number}", OUT): 50 for vsi in vsis[:-1]})
    expected += Counter({(f"nic0/vsi{vsi.number}", IN): 50 for vsi in vsis[1:]})
    assert ways(capture) == expected


def test_a_full_file_drops_and_counts_and_the_traffic_goes_on(nic, wire, machine, tmp_path):
    small = Capture(tmp_path / "small.pcapng", machine.clock, limit=1000)
    one, two = nic.vsi(1), nic.vsi(2)
    watch(machine, small, one)
    one.tx[0].send(*[plain()] * 20)
    [row] = small.inspect()["interfaces"].values()
    assert row["outbound"] + row["dropped"] == 20
    assert 0 < row["outbound"] < 20
    assert "full at 1000 bytes" in small.inspect()["trouble"]
    assert len(two.frames()) == 20


def test_a_stopped_capture_gets_no_frame_and_can_begin_again(nic, wire, machine, capture):
    one, _ = nic.vsi(1), nic.vsi(2)
    target = ("vsi", one.number)
    sent = lambda: [row["outbound"] for row in capture.inspect()["interfaces"].values()]  # noqa: E731
    watch(machine, capture, one)
    one.tx[0].send(plain())
    assert machine.nic.capture_stop(target, capture) == 1
    one.tx[0].send(plain())
    assert sent() == [1]
    assert machine.nic.capture_stop(target) == 0
    watch(machine, capture, one)
    one.tx[0].send(plain())
    assert sent() == [1, 1]


def test_a_capture_outlives_a_reset_and_the_vsi(nic, wire, machine, capture):
    one, _ = nic.vsi(1), nic.vsi(2)
    watch(machine, capture, one)
    nic.core_reset()
    nic.reopen()
    again, _ = nic.vsi(1), nic.vsi(2)
    assert again.number == one.number
    again.tx[0].send(plain())
    assert capture.inspect()["interfaces"][0]["outbound"] == 1


@pytest.mark.parametrize("target", [("vsi", 768), ("port", 8), ("queue", 0)])
def test_a_target_that_no_adapter_has_is_refused_and_leaves_no_interface(machine, capture, target):
    with pytest.raises(ValueError, match=target[0]):
        machine.nic.capture(target, capture)
    assert capture.inspect()["interfaces"] == {}


def test_a_packet_of_a_vsi_that_may_not_tag_is_no_frame_of_it(nic, wire, machine, capture):
    vsi = nic.vsi(1)
    flags = VsiProperties.INNER_VLAN_FLAGS.of(TX_MODE=3, EMODE=3, BLOCK_TX_DESC=1)
    vsi.set("VLAN_VALID", flags)
    watch(machine, capture, vsi)
    vsi.tx[0].send(packet(V4, 17, b"\0" * 20, dst=FAR), IL2TAG1=1, L2TAG1=5)
    assert vsi.counter("GLV_TEPC") == 1
    assert capture.inspect()["interfaces"][0]["outbound"] == 0
