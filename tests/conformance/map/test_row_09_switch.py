"""Row 9: VEB, VEPA, VSI and flow director, with the wire as the witness."""

from collections import Counter

import pytest
from scapy.layers.inet import TCP, UDP

from siov.drivers.ice.bridge import BridgeMode

from .house import BRIDGE, House

FRAMES = 120
VEB, VEPA = BridgeMode.VEB, BridgeMode.VEPA


def build(name: str, *, relay: bool) -> House:
    nic = BRIDGE % ("true" if relay else "false")
    return House.build(name, nic=nic, vm1="queues = 4", vm2="queues = 4").boot()


@pytest.fixture
def house() -> House:
    return build("switch", relay=True)


def between(house: House, frames: list[bytes]) -> list[bytes]:
    """The frames from the first guest's device to the second's."""
    pair = house.tenant("vm2").driver.mac + house.tenant("vm1").driver.mac
    return [frame for frame in frames if frame[:12] == pair]


def test_in_veb_frames_between_two_machines_never_reach_the_wire(house, tmp_path):
    assert house.platform.bridge("nic0").getlink() == VEB
    with house.captured("nic0/port0", tmp_path / "port.pcapng") as wire:
        house.send("vm1", "vm2", count=FRAMES)
    assert house.received("vm2") == FRAMES
    assert between(house, wire) == []


def test_in_vepa_each_frame_goes_out_and_comes_back_by_a_bridge_that_reflects(house, tmp_path):
    house.platform.bridge("nic0").setlink(VEPA)
    with (
        house.captured("nic0/port0", tmp_path / "port.pcapng") as wire,
        house.captured(house.tenant("vm1").uuid, tmp_path / "vm1.pcapng") as sent,
    ):
        house.send("vm1", "vm2", count=FRAMES)
    assert house.received("vm2") == FRAMES
    assert len(between(house, sent)) == FRAMES, "the sender does not hear its own frames"
    seen = between(house, wire)
    assert len(seen) == 2 * FRAMES
    assert sorted(seen) == sorted(2 * between(house, sent)), "out and back, unchanged"


def test_in_vepa_a_bridge_that_does_not_reflect_keeps_machines_apart(tmp_path):
    house = build("apart", relay=False)
    house.platform.bridge("nic0").setlink(VEPA)
    with (
        house.captured("nic0/port0", tmp_path / "port.pcapng") as wire,
        house.captured("nic0/port0", tmp_path / "drops.pcapng", drops=True) as filtered,
    ):
        house.send("vm1", "vm2", count=FRAMES)
    assert house.received("vm2") == 0
    assert (len(between(house, wire)), len(between(house, filtered))) == (0, FRAMES)


def test_the_mode_can_be_changed_under_guests_that_go_on_talking(house, tmp_path):
    for kind, mode in (("generate", VEPA), ("request", VEB), ("stream", VEPA)):
        house.platform.bridge("nic0").setlink(mode)
        before = house.received("vm2")
        with house.captured("nic0/port0", tmp_path / f"{kind}.pcapng") as wire:
            house.send("vm1", "vm2", kind, count=64 << 10 if kind == "stream" else FRAMES)
        came = house.received("vm2") - before
        assert came >= 40
        assert len(between(house, wire)) == (2 * came if mode == VEPA else 0)


def tails(house: House) -> list[int]:
    """The tails of the second guest's receive queues: its driver moves that of a queue with frames."""
    return [house.pf.hw.rd("QRX_TAIL", queue) for queue in house.vsi("vm2").rxq]


def queues_used(house: House, kind: str, **load: object) -> set[int]:
    """Which receive queues of the second guest got frames of a load."""
    house.restart("vm1", "vm2")
    house.run()
    before = tails(house)
    house.send("vm1", "vm2", kind, **load)
    return {q for q, (old, new) in enumerate(zip(before, tails(house), strict=True)) if old != new}


def test_a_flow_rule_steers_a_real_tcp_stream_to_its_queue(house, tmp_path):
    with house.captured(house.tenant("vm2").uuid, tmp_path / "flow.pcapng") as frames:
        [hashed] = queues_used(house, "stream", count=64 << 10)
    one = TCP(between(house, frames)[0][34:])
    for n, queue in enumerate((hashed + 1 & 3, hashed + 2 & 3), start=1):
        rule = f"flow-type tcp4 src-port {one.sport} dst-port {one.dport} action {queue} loc 9"
        assert house.ethtool("vm2", f"-N {rule}") == ""
        assert f"Direct to queue {queue}" in house.ethtool("vm2", "-n")
        assert queues_used(house, "stream", count=64 << 10) == {queue}, f"rule {n}"
    house.ethtool("vm2", "-N delete 9")
    assert queues_used(house, "stream", count=64 << 10) == {hashed}


def test_a_rule_takes_one_flow_out_of_those_that_are_spread_and_drops_it(house, tmp_path):
    load = {"count": 400, "flows": 64, "sizes": [64]}
    with house.captured(house.tenant("vm2").uuid, tmp_path / "flows.pcapng") as frames:
        assert queues_used(house, "generate", **load) == {0, 1, 2, 3}
    flows = Counter(UDP(frame[34:]).sport for frame in between(house, frames))
    assert sum(flows.values()) == 400
    port, count = flows.most_common(1)[0]
    house.ethtool("vm2", f"-N flow-type udp4 src-port {port} action -1")
    queues_used(house, "generate", **load)
    assert house.received("vm2") == 400 - count
