"""The same two guests in a VEPA: each frame goes out of the port, where it is seen, and comes back."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import tshark
from served_vdevs import Pair

from .tools import grown, iperf

VEB, VEPA = 0, 1
OUT, IN = "2", "1"  # of a capture's frames, as pcapng counts directions


@pytest.fixture
def vepa(pair: Pair) -> Iterator[None]:
    """`siov bridge set nic0 vepa`, and a bridge outside that does its part."""
    pair.server.platform.bridge("nic0").setlink(VEPA)
    pair.server.port.set_reflective_relay(True)
    yield
    pair.server.platform.bridge("nic0").setlink(VEB)
    pair.server.port.set_reflective_relay(False)


def captured(pair: Pair, path: Path, script: str) -> list[list[str]]:
    """Direction, kind and number of the frames at the port while `a` does something."""
    capture = pair.server.platform.capture
    capture.start("nic0/port0", str(path))
    try:
        pair.a.check(script)
    finally:
        [done] = capture.stop(path=str(path))
    assert done.dropped == 0
    return tshark.fields(path, "frame.packet_flags_direction", "icmp.type", "icmp.seq", "ip.src", "frame.len")


@pytest.mark.usefixtures("vepa")
def test_every_frame_between_neighbours_is_seen_at_the_port_and_comes_back(
    pair: Pair, tmp_path: Path
) -> None:
    before = pair.vdev_a.stats(), pair.vdev_b.stats()
    frames = captured(pair, tmp_path / "port.pcapng", "ping -c 50 -i 0.02 -q 10.0.0.2")
    after = pair.vdev_a.stats(), pair.vdev_b.stats()
    pings = [tuple(frame[1:]) for frame in frames if frame[1] and int(frame[0], 0) == int(OUT)]
    back = [tuple(frame[1:]) for frame in frames if frame[1] and int(frame[0], 0) == int(IN)]
    assert Counter(kind for kind, *_ in pings) == {"8": 50, "0": 50}
    assert pings == back
    assert len(set(pings)) == 100
    a, b = (grown(was, now) for was, now in zip(before, after, strict=True))
    assert 50 <= a["tx_unicast"] == b["rx_unicast"] <= 55
    assert 50 <= b["tx_unicast"] == a["rx_unicast"] <= 55


@pytest.mark.usefixtures("vepa")
def test_a_tcp_stream_goes_out_and_comes_back_whole(pair: Pair, tmp_path: Path) -> None:
    path = tmp_path / "port.pcapng"
    before = pair.vdev_a.stats()
    pair.server.platform.capture.start("nic0/port0", str(path))
    run = iperf(pair.a, "-n", "2M")
    [done] = pair.server.platform.capture.stop(path=str(path))
    assert run["end"]["sum_received"]["bytes"] >= 2 << 20
    assert done.dropped == 0
    assert done.outbound == done.inbound
    assert done.outbound >= grown(before, pair.vdev_a.stats())["tx_unicast"]
    assert tshark.complaints(path) == []


def test_back_in_a_veb_nothing_between_neighbours_leaves(pair: Pair, tmp_path: Path) -> None:
    bridge = pair.server.platform.bridge("nic0")
    bridge.setlink(VEPA)
    bridge.setlink(VEB)
    frames = captured(pair, tmp_path / "port.pcapng", "ping -c 20 -i 0.02 -q 10.0.0.2")
    assert [frame for frame in frames if frame[3]] == []  # a broadcast may go out
