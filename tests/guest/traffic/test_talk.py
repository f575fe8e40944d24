"""Two stock guests in a VEB talk: nothing is lost, changed or turned around, and all of it is counted."""

from collections.abc import Iterator

import pytest
from served_vdevs import Pair, eventually

from siov.guests.qemu import Guest
from siov.spec.virtchnl import EthStats

from .tools import LONG, ethtool_stats, grown, iperf, settled


def test_of_a_thousand_pings_none_is_lost(pair: Pair) -> None:
    told = pair.a.check("ping -A -c 1000 -q 10.0.0.2", timeout=LONG)
    assert "1000 packets transmitted, 1000 packets received, 0% packet loss" in told


def test_of_a_thousand_pings_that_do_not_wait_each_is_answered(pair: Pair) -> None:
    before = pair.vdev_a.stats(), pair.vdev_b.stats()
    sent, came = icmp(pair.a)
    # The socket of busybox's ping holds a dozen answers only: what it says of losses may be its own.
    pair.a.check("ping -c 1000 -i 0.002 -q 10.0.0.2", timeout=LONG)
    assert [now - was for now, was in zip(icmp(pair.a), (sent, came), strict=True)] == [1000, 1000]
    for vdev, was in zip((pair.vdev_a, pair.vdev_b), before, strict=True):
        counted = grown(was, vdev.stats())
        assert 1000 <= counted["rx_unicast"] <= 1050
        assert 1000 <= counted["tx_unicast"] <= 1050
        assert counted["rx_discards"] == counted["tx_errors"] == 0


def icmp(guest: Guest) -> list[int]:
    """Echo requests that a guest's kernel has sent, and answers that it has received."""
    names, values = (line.split()[1:] for line in guest.check("grep Icmp: /proc/net/snmp").splitlines())
    counters = dict(zip(names, map(int, values), strict=True))
    return [counters["OutEchos"], counters["InEchoReps"]]


@pytest.mark.parametrize("way", ["out", "back"])
def test_a_tcp_stream_comes_whole_and_each_frame_of_it_is_counted(pair: Pair, way: str) -> None:
    vdevs = pair.vdev_a, pair.vdev_b
    before = [vdev.stats() for vdev in vdevs]
    run = iperf(pair.a, "-t", "1", *(["-R"] if way == "back" else []))
    counted = [grown(was, vdev.stats()) for was, vdev in zip(before, vdevs, strict=True)]
    sender, receiver = counted if way == "out" else reversed(counted)
    got = run["end"]["sum_received"]["bytes"]
    assert got > 1_000_000
    assert got < receiver["rx_bytes"] < 1.2 * got + 1_000_000  # with headers, and what came a second time
    for one, other in ((sender, receiver), (receiver, sender)):
        # What the one sent the other has received, or had no descriptor for: a guest that is slow.
        assert one["tx_unicast"] == other["rx_unicast"] + other["rx_discards"]
        assert one["tx_errors"] == one["tx_discards"] == 0


def test_datagrams_at_a_rate_are_neither_lost_nor_turned_around(pair: Pair) -> None:
    run = iperf(pair.a, "-u", "-b", "5M", "-l", "1400", "-t", "2", "-w", "4M", "-A", "1,2")
    [stream] = run["end"]["streams"]
    assert stream["udp"]["packets"] > 500
    assert (stream["udp"]["lost_packets"], stream["udp"]["out_of_order"]) == (0, 0)


def test_datagrams_faster_than_the_guests_can_are_not_turned_around(pair: Pair) -> None:
    run = iperf(pair.a, "-u", "-b", "200M", "-l", "1400", "-t", "1", "-w", "4M", "-A", "1,2")
    [stream] = run["end"]["streams"]
    assert stream["udp"]["packets"] > 500
    assert stream["udp"]["out_of_order"] == 0


def test_ipv6_finds_its_neighbour_by_multicast_and_talks_tcp(pair: Pair) -> None:
    pair.a.check("ip -6 neigh flush dev eth0")
    before = pair.vdev_b.stats()
    assert " 0% packet loss" in pair.a.check("ping -6 -c 3 -i 0.2 fd00::2")
    assert grown(before, pair.vdev_b.stats())["rx_multicast"] >= 1  # the solicitation
    assert iperf(pair.a, "-6", "-t", "1", server="fd00::2")["end"]["sum_received"]["bytes"] > 1_000_000


def test_the_driver_and_the_model_count_alike(pair: Pair) -> None:
    for guest, vdev in ((pair.a, pair.vdev_a), (pair.b, pair.vdev_b)):
        # At each queue the driver counts itself, from when the queue was made; the rest it asks for each 2 s.
        rings, was = at_queues(guest), vdev.stats()
        pair.a.check("ping -c 20 -i 0.01 10.0.0.2")

        def alike() -> bool:
            theirs, ours = ethtool_stats(guest), vdev.stats()  # noqa: B023
            mine = {name: getattr(ours, name) for name in EthStats.members}
            more = grown(was, ours)  # noqa: B023
            here = [now - before for now, before in zip(at_queues(guest), rings, strict=True)]  # noqa: B023
            return mine.items() <= theirs.items() and here == [
                sum(more[f"{way}_{kind}"] for kind in ("unicast", "multicast", "broadcast"))
                for way in ("rx", "tx")
            ]

        assert eventually(alike)


def at_queues(guest: Guest) -> list[int]:
    """Packets that the driver has counted at its receive and its transmit queues."""
    stats = ethtool_stats(guest)
    return [sum(stats[f"{way}-{q}.packets"] for q in range(4)) for way in ("rx", "tx")]


@pytest.fixture
def jumbo(pair: Pair) -> Iterator[None]:
    for mtu in (9000, 1500):
        for guest in (pair.a, pair.b):
            guest.check(f"ip link set eth0 mtu {mtu}")
        settled(pair.a, "10.0.0.2")
        if mtu == 9000:
            yield


@pytest.mark.usefixtures("jumbo")
def test_with_an_mtu_of_9000_frames_are_that_long(pair: Pair) -> None:
    before = pair.vdev_b.stats()
    assert " 0% packet loss" in pair.a.check("ping -c 5 -i 0.2 -s 8972 10.0.0.2")
    counted = grown(before, pair.vdev_b.stats())
    assert counted["rx_bytes"] >= 5 * 9014
    assert counted["rx_unicast"] < 10  # nothing was cut into pieces
    before = pair.vdev_b.stats()
    run = iperf(pair.a, "-t", "1")
    counted = grown(before, pair.vdev_b.stats())
    assert run["end"]["sum_received"]["bytes"] > 1_000_000
    assert counted["rx_bytes"] / counted["rx_unicast"] > 6000
