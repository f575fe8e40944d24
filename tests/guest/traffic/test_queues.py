"""Four queue pairs: flows are spread by their hash, and steered by rules; each queue fires its own vector."""

from collections import Counter

from served_vdevs import Pair, eventually

from .tools import QUEUES, interrupts, iperf, rx_packets, told


def toeplitz(data: bytes, key: bytes) -> int:
    """The hash of Microsoft's RSS specification."""
    window, width, found = int.from_bytes(key, "big"), 8 * len(key), 0
    for n in range(8 * len(data)):
        if data[n // 8] >> (7 - n % 8) & 1:
            found ^= window >> (width - 32 - n) & 0xFFFF_FFFF
    return found


def pick(key: bytes, table: list[int], sport: int, dport: int) -> int:
    """The queue for a flow between 10.0.0.1 and 10.0.0.2."""
    flow = bytes([10, 0, 0, 1, 10, 0, 0, 2]) + sport.to_bytes(2, "big") + dport.to_bytes(2, "big")
    return table[toeplitz(flow, key) % len(table)]


def rss(pair: Pair) -> tuple[bytes, list[int]]:
    """Key and table that b's driver shows."""
    shown = pair.b.check("ethtool -x eth0").splitlines()
    table = [int(q) for line in shown if ":  " in line for q in line.split(":")[1].split()]
    return bytes.fromhex(shown[shown.index("RSS hash key:") + 1].replace(":", "")), table


def grown_rx(pair: Pair, before: list[int]) -> list[int]:
    return [now - was for now, was in zip(rx_packets(pair.b), before, strict=True)]


def test_each_flow_comes_to_the_queue_that_key_and_table_say(pair: Pair) -> None:
    key, table = rss(pair)
    with pair.server.pf.lock:
        assert pair.vdev_b.vsi.rss.get_key() == key
        assert list(pair.vdev_b.vsi.rss.get_lut()) == table
    expected = Counter(pick(key, table, sport, 9) for sport in range(20000, 20256))
    before = rx_packets(pair.b)
    pair.a.check("net_probe flows 10.0.0.2 9 20000 256")
    assert eventually(lambda: sum(grown_rx(pair, before)) >= 256)
    # What is no IP, as the answers to who has an address, comes to the first queue of the table.
    assert grown_rx(pair, before)[1:] == [expected[q] for q in QUEUES][1:]
    assert expected[0] <= grown_rx(pair, before)[0] <= expected[0] + 10


def test_streams_side_by_side_are_spread_over_queues_that_each_fire_their_vector(pair: Pair) -> None:
    key, table = rss(pair)
    packets, fired, counted = rx_packets(pair.b), interrupts(pair.b), pair.vdev_b.stats().rx_unicast
    run = iperf(pair.a, "-P", "8", "-t", "1")
    flows = [pick(key, table, one["local_port"], 5201) for one in run["start"]["connected"]]
    grown = grown_rx(pair, packets)
    rang = [now - was for now, was in zip(interrupts(pair.b), fired, strict=True)]
    for q in QUEUES:
        assert (grown[q] > 100) == (q in flows), f"queue {q} of {flows}"
        assert rang[q] > 0 or q not in flows
    assert sum(grown) >= pair.vdev_b.stats().rx_unicast - counted > 100


def test_a_rule_steers_tcp_streams_to_its_queue(pair: Pair) -> None:
    pair.b.check("ethtool -N eth0 flow-type tcp4 dst-ip 10.0.0.2 dst-port 5201 action 2 loc 5")
    try:
        assert "Action: Direct to queue 2" in pair.b.check("ethtool -n eth0 rule 5")
        assert eventually(lambda: told(pair.vdev_b)["fdir"] == 1)
        before = rx_packets(pair.b)
        iperf(pair.a, "-P", "4", "-t", "1")
        grown = grown_rx(pair, before)
        assert grown[2] > 100
        assert sum(grown) - grown[2] < 20  # ARP and the like
    finally:
        pair.b.check("ethtool -N eth0 delete 5")
    assert eventually(lambda: told(pair.vdev_b)["fdir"] == 0)
    assert "Total 0 rules" in pair.b.check("ethtool -n eth0")
    assert pair.server.nic.inspect()["filters"] == 0
