"""ethtool on the function's own interface, as its commands print it (ice_ethtool.c)."""

import pytest

from conformance.e810.frames import plain, udp_frame
from siov.drivers.ice.ethtool import run
from siov.drivers.ice.netdev_ethtool import IceEthtool
from siov.drivers.ice.reset import ice_reset
from siov.host.linux import LinuxError

from .server import FAR
from .test_netdev import MODERATION


@pytest.fixture
def netdev(server):
    found = server.load(queues=2).netdev
    found.open()
    return found


@pytest.fixture
def tool(netdev):
    return IceEthtool(netdev)


def counters(tool) -> dict[str, int]:
    lines = run(tool, ["-S"]).splitlines()[1:]
    return {name.strip(): int(value) for name, value in (line.split(":") for line in lines)}


def test_the_driver_and_the_place_of_the_device_are_shown(tool):
    lines = run(tool, ["-i"]).splitlines()
    assert "driver: ice" in lines
    assert "bus-info: 0000:01:00.0" in lines
    assert tool.name == "enp1s0"


def test_ring_sizes_are_shown_and_changed_while_frames_go_on(server, wire, netdev, tool):
    assert "RX:\t\t2048" in run(tool, ["-g"])
    run(tool, ["-G", "rx", "500", "tx", "64"])
    assert (netdev.rx_length, netdev.tx_length) == (512, 64)
    assert netdev.pf.main.rx_rings[0].length == 512
    frame = plain(netdev.pf.mac, FAR)
    wire.send(server, frame)
    assert list(netdev.frames) == [frame]


def test_counters_are_the_hardwares_and_each_queues_own(server, wire, netdev, tool):
    netdev.xmit(plain(FAR, netdev.pf.mac, 100), 1)
    server.pump()
    wire.send(server, plain(netdev.pf.mac, FAR, 200))
    server.advance(MODERATION)
    found = counters(tool)
    assert found["tx_queue_1_packets"] == 1
    assert found["tx_queue_1_bytes"] == 100
    assert found["tx_queue_0_packets"] == 0
    assert found["rx_unicast"] == found["rx_unicast.nic"] == 1
    assert found["tx_unicast"] == 1


def test_moderation_is_50_us_at_first_and_what_is_set_is_in_the_registers(netdev, tool):
    pf = netdev.pf
    for vector in pf.main.vectors:
        assert [pf.hw.io.readl(vector.itr(timer)) * 2 for timer in (0, 1)] == [50, 50]
    run(tool, ["-C", "rx-usecs", "100", "tx-usecs", "20"])
    for vector in pf.main.vectors:
        assert [pf.hw.io.readl(vector.itr(timer)) * 2 for timer in (0, 1)] == [100, 20]
    ice_reset(pf, "CORER")
    assert pf.hw.io.readl(pf.main.vectors[0].itr(0)) * 2 == 100, "a reset changes nothing of it"


def test_moderation_holds_interrupts_back_as_long_as_it_says(server, wire, netdev, tool):
    run(tool, ["-C", "rx-usecs", "400"])
    wire.send(server, plain(netdev.pf.mac, FAR))
    server.advance(1_000_000)
    fired = netdev.pf.main.vectors[0].fired
    for n in range(100):  # 1 ms of a frame each 10 us
        wire.send(server, plain(netdev.pf.mac, FAR, fill=n))
        server.advance(10_000)
    assert 2 <= netdev.pf.main.vectors[0].fired - fired <= 4
    server.advance(400_000)
    assert len(netdev.frames) == 101


def test_a_flow_rule_steers_to_the_queue_it_names_and_its_matches_are_counted(server, wire, netdev, tool):
    said = run(tool, ["-N", "flow-type", "udp4", "dst-port", "80", "action", "1"])
    assert said.startswith("Added rule with ID")
    wire.send(server, udp_frame(dst=netdev.pf.mac, src=FAR, dport=80))
    server.advance(MODERATION)
    assert counters(tool)["rx_queue_1_packets"] == 1
    assert "Action: Direct to queue 1" in run(tool, ["-n"])
    location = said.split()[-1]
    run(tool, ["-N", "delete", location])
    with pytest.raises(LinuxError):
        run(tool, ["-n", "rule", location])
