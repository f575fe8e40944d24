"""What ethtool says in a guest is what the adapter has, and what it changes the adapter gets."""

import re
from collections.abc import Iterator

import pytest
from served_vdevs import Pair, eventually

from .tools import QUEUES, itrs, rx_packets, settled, told

KEY = bytes(range(1, 53))


def asked(pair: Pair, option: str) -> str:
    return pair.a.check(f"ethtool {option} eth0")


def current(pair: Pair, option: str) -> dict[str, str]:
    """The values that ethtool shows as those of now."""
    text = asked(pair, option).partition("Current hardware settings:")[2]
    return dict(re.findall(r"^(.+?):\s+(.+)$", text, re.MULTILINE))


def test_the_driver_and_its_place(pair: Pair) -> None:
    told = asked(pair, "-i")
    assert "driver: iavf\n" in told
    assert "bus-info: 0000:01:00.0\n" in told
    assert "supports-statistics: yes\n" in told
    assert pair.a.check("cat /sys/class/net/eth0/address").strip() == pair.vdev_a.mac


def test_the_features_are_those_that_were_granted(pair: Pair) -> None:
    granted = told(pair.vdev_a)["caps"]
    features = dict(re.findall(r"^\s*([a-z0-9-]+): (on|off)", asked(pair, "-k"), re.MULTILINE))
    for name in (
        *("rx-checksumming", "tx-checksumming", "scatter-gather", "tcp-segmentation-offload"),
        *("tx-tcp6-segmentation", "receive-hashing", "ntuple-filters", "rx-vlan-offload", "tx-vlan-offload"),
    ):
        assert features[name] == "on", name
    assert {"FDIR_PF", "VLAN_V2", "RSS_PF"} <= set(granted)
    assert (features["tx-udp-segmentation"] == "on") == ("USO" in granted)
    assert (features["tx-gre-segmentation"] == "on") == ("ENCAP" in granted)


def test_stripping_of_vlan_tags_is_switched_in_the_adapter(pair: Pair) -> None:
    def strips() -> bool:
        with pair.server.pf.lock:
            return bool(told(pair.vdev_a)["vlan_strip"])

    for state in ("off", "on"):
        pair.a.check(f"ethtool -K eth0 rx-vlan-offload {state}")
        assert eventually(lambda: strips() == (state == "on"))  # noqa: B023


@pytest.fixture
def rings(pair: Pair) -> Iterator[None]:
    pair.a.check("ethtool -G eth0 rx 1024 tx 256")
    settled(pair.a, "10.0.0.2")
    yield
    pair.a.check("ethtool -G eth0 rx 512 tx 512")
    settled(pair.a, "10.0.0.2")


@pytest.mark.usefixtures("rings")
def test_rings_are_as_long_in_the_queues_contexts_as_ethtool_made_them(pair: Pair) -> None:
    now = current(pair, "-g")
    assert (now["RX"], now["TX"]) == ("1024", "256")
    vsi = pair.vdev_a.vsi
    assert [vsi.rx_rings[q].length for q in QUEUES] == [1024] * 4
    assert [vsi.tx_rings[q].length for q in QUEUES] == [256] * 4
    hosts = pair.server.ethtool(pair.vdev_a, "-g").partition("Current")[2].split()
    assert (hosts[hosts.index("RX:") + 1], hosts[hosts.index("TX:") + 1]) == ("1024", "256")
    assert " 0% packet loss" in pair.a.check("ping -c 3 -i 0.2 10.0.0.2")


@pytest.fixture
def two_channels(pair: Pair) -> Iterator[None]:
    pair.a.check("ethtool -L eth0 combined 2")
    settled(pair.a, "10.0.0.2")
    yield
    pair.a.check("ethtool -L eth0 combined 4")
    settled(pair.a, "10.0.0.2")


@pytest.mark.usefixtures("two_channels")
def test_only_so_many_queues_are_on_as_there_are_channels(pair: Pair) -> None:
    assert current(pair, "-l")["Combined"] == "2"
    assert pair.vdev_a.vsi.rx_on == pair.vdev_a.vsi.tx_on == {0, 1}
    assert "with 2 RX ring(s)" in asked(pair, "-x")
    with pair.server.pf.lock:
        assert set(pair.vdev_a.vsi.rss.get_lut()) == {0, 1}


def test_more_channels_than_it_has_queue_pairs_are_refused(pair: Pair) -> None:
    assert current(pair, "-l")["Combined"] == "4"
    assert pair.a.run("ethtool -L eth0 combined 5").status != 0
    assert pair.vdev_a.vsi.rx_on == set(QUEUES)


@pytest.fixture
def moderation(pair: Pair) -> Iterator[None]:
    yield
    pair.a.check("ethtool -C eth0 rx-usecs 50 tx-usecs 50")
    pair.a.check("ethtool -C eth0 adaptive-rx on adaptive-tx on")


@pytest.mark.usefixtures("moderation")
def test_moderation_is_in_the_timers_of_each_queues_vector(pair: Pair) -> None:
    pair.a.check("ethtool -C eth0 adaptive-rx off adaptive-tx off rx-usecs 100 tx-usecs 20")
    assert re.search(r"^rx-usecs:\s+100$", asked(pair, "-c"), re.MULTILINE)

    def there() -> bool:
        # The driver writes a timer when its vector fires, one of the two at a time.
        pair.b.check("net_probe flows 10.0.0.1 9 30000 64")
        pair.a.check("for cpu in 0 1 2 3; do taskset -c $cpu net_probe flows 10.0.0.2 9 30000 4; done")
        return itrs(pair.vdev_a) == [(100, 20)] * 4

    assert eventually(there, 60)
    hosts = pair.server.ethtool(pair.vdev_a, "-c")
    assert "rx-usecs: 100\n" in hosts
    assert "tx-usecs: 20\n" in hosts


@pytest.fixture
def table(pair: Pair) -> Iterator[None]:
    yield
    pair.a.check("ethtool -X eth0 default")


@pytest.mark.usefixtures("table")
def test_key_and_table_of_the_hash_are_the_adapters(pair: Pair) -> None:
    pair.a.check(f"ethtool -X eth0 hkey {KEY.hex(':')} weight 0 1 0 3")
    rss = pair.vdev_a.vsi.rss

    def there() -> bool:
        with pair.server.pf.lock:
            return rss.get_key() == KEY and set(rss.get_lut()) == {1, 3}

    assert eventually(there)
    with pair.server.pf.lock:
        assert rss.get_lut().count(3) == 48
    # ethtool 6.14 says "as it is" by a bit that iavf of 6.12 takes for the symmetric hash.
    kind = "SYM_TPLZ" if "symmetric-xor: on" in asked(pair, "-x") else "TPLZ"

    def hashes() -> bool:
        with pair.server.pf.lock:
            return rss.inspect()["hash"] == kind

    assert eventually(hashes)
    before = rx_packets(pair.a)
    pair.b.check("net_probe flows 10.0.0.1 9 20000 64")
    assert eventually(lambda: sum(rx_packets(pair.a)) - sum(before) >= 64)
    grown = [now - was for now, was in zip(rx_packets(pair.a), before, strict=True)]
    assert grown[1] > 0
    assert grown[3] > grown[1]
    assert grown[0] + grown[2] == 0


@pytest.fixture
def hash_fields(pair: Pair) -> Iterator[None]:
    yield
    pair.a.check("ethtool -N eth0 rx-flow-hash udp4 sdfn")


@pytest.mark.usefixtures("hash_fields")
def test_the_fields_of_the_hash_are_chosen_for_each_kind_of_flow(pair: Pair) -> None:
    pair.a.check("ethtool -N eth0 rx-flow-hash udp4 sd")
    shown = pair.a.check("ethtool -n eth0 rx-flow-hash udp4")
    assert "IP SA\nIP DA\n" in shown
    assert "L4 bytes" not in shown

    def fields() -> object:
        with pair.server.pf.lock:
            found: object = pair.vdev_a.vsi.rss.inspect()["fields"]
        assert isinstance(found, dict)
        return found["IPV4_UDP"]

    assert eventually(lambda: fields() == ["IPV4_SRC", "IPV4_DST"])
    before = rx_packets(pair.a)
    pair.b.check("net_probe flows 10.0.0.1 9 20000 64")
    assert eventually(lambda: sum(rx_packets(pair.a)) - sum(before) >= 64)
    grown = sorted(now - was for now, was in zip(rx_packets(pair.a), before, strict=True))
    assert grown[-1] >= 64  # all flows of the two addresses are one to the hash


def test_a_rule_comes_and_goes_and_one_that_can_not_be_is_refused(pair: Pair) -> None:
    pair.a.check("ethtool -N eth0 flow-type udp4 src-ip 10.0.0.2 dst-port 9 action 3 loc 1")
    try:
        assert "Action: Direct to queue 3" in asked(pair, "-n")
        before = rx_packets(pair.a)
        pair.b.check("net_probe flows 10.0.0.1 9 20000 64")
        assert eventually(lambda: sum(rx_packets(pair.a)) - sum(before) >= 64)
        assert rx_packets(pair.a)[3] - before[3] == 64
        assert pair.a.run("ethtool -N eth0 flow-type udp4 dst-port 10 action 4").status != 0
        assert told(pair.vdev_a)["fdir"] == 1
    finally:
        pair.a.check("ethtool -N eth0 delete 1")
    assert eventually(lambda: told(pair.vdev_a)["fdir"] == 0)
