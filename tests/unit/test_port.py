"""The ports of a NIC as Python sees them, with peers and readers that are not ours."""

import os
import resource
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import tshark

from siov._core import Clock, Port
from siov.hw import tap

FRAME = bytes.fromhex("020000000002 020000000001 88b5") + b"siov" * 12


def test_a_cable_carries_frames_and_is_cut_by_either_side():
    a, b = Port.cable(frames=2)
    assert [a.send(FRAME) for _ in range(3)] == [True, True, False]
    assert b.receive() == [FRAME, FRAME]
    assert a.counters["sent"] == 2
    assert a.counters["dropped_overflow"] == 1
    b.set_link(False)
    assert not a.link
    assert not a.send(FRAME)
    assert a.inspect()["counters"]["dropped_link_down"] == 1


def test_what_a_port_is_can_be_read_from_it():
    port = Port.sink(speed=25_000)
    state = port.inspect()
    assert (state["kind"], state["link"], state["speed"], state["plugged"]) == ("sink", True, 25_000, False)
    assert Port.loopback().kind == "loopback"


def test_a_virtual_clock_stands_still_until_it_is_advanced():
    clock = Clock(virtual=True)
    assert (clock.now(), clock.advance(5), clock.now()) == (0, 5, 5)
    with pytest.raises(ValueError, match="real time"):
        Clock().advance(1)


def test_reflective_relay_sends_a_frame_back_to_a_station_on_its_own_port():
    first, second = Port.bridge(2, Clock(virtual=True))
    first.send(FRAME[6:12] + FRAME[:6] + FRAME[12:])  # the destination is heard
    second.receive()
    assert not first.send(FRAME)
    assert first.counters["dropped_filtered"] == 1
    first.set_reflective_relay(True)
    assert first.send(FRAME)
    assert first.receive() == [FRAME]
    assert second.receive() == []
    with pytest.raises(ValueError, match="a sink has no reflective relay"):
        Port.sink().set_reflective_relay(True)


def test_qemus_stream_framing_both_ways(tmp_path):
    port = Port.stream(tmp_path / "net", listen=True)
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(8)
        peer.connect(str(tmp_path / "net"))
        peer.sendall(struct.pack("!I", len(FRAME)) + FRAME)
        assert port.receive() == [FRAME]
        assert port.link
        assert port.send(FRAME)
        assert peer.recv(1000) == struct.pack("!I", len(FRAME)) + FRAME
    assert port.receive() == []
    assert not port.link
    event = port.take_event()
    assert event is not None
    assert event.endswith("the peer is gone")


def test_two_ports_meet_over_a_stream(tmp_path):
    listening = Port.stream(tmp_path / "net", listen=True)
    connecting = Port.stream(tmp_path / "net")
    assert connecting.send(FRAME)
    assert listening.receive() == [FRAME]
    assert listening.send(FRAME)
    assert connecting.receive() == [FRAME]
    with pytest.raises(OSError, match=r"net: Address already in use"):
        Port.stream(tmp_path / "net", listen=True)


def test_qemus_datagrams_both_ways(tmp_path):
    port = Port.dgram(tmp_path / "ours", tmp_path / "theirs")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as peer:
        peer.bind(str(tmp_path / "theirs"))
        peer.sendto(FRAME, str(tmp_path / "ours"))
        assert port.receive() == [FRAME]
        assert port.send(FRAME)
        assert peer.recv(1000) == FRAME


# Captures


@tshark.needed
def test_tshark_reads_what_a_port_wrote_while_it_is_still_plugged(tmp_path):
    clock = Clock(virtual=True)
    clock.advance(1_700_000_000_123_456_789)
    port = Port.pcap(clock, write=tmp_path / "a.pcapng", name="port 0")
    frames = [FRAME, FRAME + b"x", FRAME + b"xyz"]
    for frame in frames:
        port.send(frame)
        clock.advance(1)
    rows = tshark.fields(
        tmp_path / "a.pcapng",
        "frame.time_epoch",
        "frame.len",
        "frame.interface_name",
        "frame.packet_flags_direction",
        "frame.encap_type",
        "eth.dst",
    )
    # tshark 4 tells a time in UTC, older ones in seconds
    assert [row[0].rstrip("Z")[-9:] for row in rows] == ["123456789", "123456790", "123456791"]
    assert [row[1] for row in rows] == [str(len(frame)) for frame in frames]
    assert {tuple(row[2:]) for row in rows} == {("port 0", "0x00000002", "1", "02:00:00:00:00:02")}


@tshark.needed
@pytest.mark.parametrize("kind", ["pcapng", "pcap", "nsecpcap"])
def test_what_editcap_wrote_is_played(tmp_path, kind):
    written = Port.pcap(Clock(), write=tmp_path / "a.pcapng")
    frames = [FRAME + bytes([n]) * n for n in range(5)]
    assert all(written.send(frame) for frame in frames)
    tshark.run("-r", str(tmp_path / "a.pcapng"), "-F", kind, "-w", str(tmp_path / "b"))
    assert Port.pcap(Clock(), read=tmp_path / "b").receive() == frames


def test_a_paced_file_keeps_its_distances_by_the_clock(tmp_path):
    clock = Clock(virtual=True)
    written = Port.pcap(clock, write=tmp_path / "a.pcapng")
    for distance in (0, 1000, 500):
        clock.advance(distance)
        written.send(FRAME)
    clock = Clock(virtual=True)
    port = Port.pcap(clock, read=tmp_path / "a.pcapng", paced=True)
    came = []
    for _ in range(4):
        came.append(len(port.receive()))
        clock.advance(500)
    assert came == [1, 0, 1, 1]


def test_a_file_that_is_no_capture_is_named_with_the_place(tmp_path):
    (tmp_path / "a").write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match=r"/a, byte 0: this is neither a pcapng nor a pcap file"):
        Port.pcap(Clock(), read=tmp_path / "a")
    with pytest.raises(OSError, match=r"/b: No such file"):
        Port.pcap(Clock(), read=tmp_path / "b")


FULL_DISK = """
import resource, sys
from siov._core import Clock, Port
frame = bytes(1000)
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, resource.RLIM_INFINITY))  # as a disk that is full
port = Port.pcap(Clock(), write=sys.argv[1])
for _ in range(10): port.send(frame)
event, counters = port.take_event(), port.counters
assert "frames are lost until it works again: File too large" in event, event
assert port.take_event() is None
assert (counters["sent"], counters["dropped_os"]) == (4, 6), counters
assert Port.pcap(Clock(), read=sys.argv[1]).receive() == [frame] * 4
again = Port.pcap(Clock(), read=sys.argv[1])
assert (len(again.receive()), again.receive(), again.take_event()) == (4, [], None)  # no half block
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert port.send(frame)
assert port.counters["sent"] == 5
"""


def test_a_full_disk_costs_frames_and_leaves_a_whole_file(tmp_path):
    path = tmp_path / "a.pcapng"
    run = [sys.executable, "-c", FULL_DISK, str(path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run(run, check=True, timeout=60, env=environment)
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    assert Port.pcap(Clock(), read=path).receive() == [bytes(1000)] * 5


# TAPs


@pytest.mark.parametrize("name", ["", "sixteen-letters-", "a/b", "a b"])
def test_a_tap_needs_the_name_of_an_interface(name):
    with pytest.raises(tap.TapError, match="is no name of an interface"):
        tap.open_tap(name)


def test_a_host_without_taps_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(tap, "DEVICE", tmp_path / "tun")
    with pytest.raises(tap.TapError, match=r"no TAP siov0: .*/tun: No such file.*modprobe tun"):
        tap.open_tap("siov0")


def test_a_file_that_is_no_tap_device_is_refused_in_a_sentence(monkeypatch, tmp_path):
    (tmp_path / "tun").touch()
    monkeypatch.setattr(tap, "DEVICE", tmp_path / "tun")
    with pytest.raises(tap.TapError, match=r"no TAP siov0: Inappropriate ioctl"):
        tap.open_tap("siov0")


def test_a_number_that_is_no_descriptor_is_refused():
    with pytest.raises(OSError, match="Bad file descriptor"):
        Port.tap(12345, "tap9")


def test_frames_go_to_and_come_from_a_tap_of_the_host():
    try:
        port = tap.open_tap("siov-test0")
    except tap.TapError as error:
        pytest.skip(str(error))
    Path("/proc/sys/net/ipv6/conf/siov-test0/disable_ipv6").write_text("1")
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x88B5)) as host:
        request = bytearray(struct.pack("16sH22x", b"siov-test0", 0x1))  # IFF_UP
        import fcntl

        fcntl.ioctl(host, 0x8914, request)  # SIOCSIFFLAGS
        host.bind(("siov-test0", 0x88B5))
        host.settimeout(8)
        assert port.send(FRAME)
        assert host.recv(2000) == FRAME
        host.send(FRAME)
        assert FRAME in port.receive()
