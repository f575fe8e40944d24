"""Which frames a guest gets: its VLANs, its groups, and all of them when it is trusted."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import tshark
from served_vdevs import Pair, Served, eventually

from siov.guests.qemu import Guest
from siov.spec.e810 import RecipeId

from .tools import grown, iperf, told

FOREIGN = "02:00:00:00:ff:77"
ALL = "ff:ff:ff:ff:ff:ff"


def tagged(guest: Guest, vdev: Served, vid: int, address: str) -> None:
    """Put a guest into a VLAN, and wait until its driver has said so."""
    guest.check(f"""
        set -e
        ip link add link eth0 name eth0.{vid} type vlan id {vid}
        ip addr add {address}/24 dev eth0.{vid}
        ip link set eth0.{vid} up
    """)
    assert eventually(lambda: vid in told(vdev)["vlans"])


def untagged(guest: Guest, vdev: Served, vid: int) -> None:
    guest.check(f"ip link del eth0.{vid}")
    assert eventually(lambda: vid not in told(vdev)["vlans"])


@pytest.fixture
def vlan7(pair: Pair) -> Iterator[None]:
    tagged(pair.a, pair.vdev_a, 7, "10.7.0.1")
    yield
    untagged(pair.a, pair.vdev_a, 7)


@pytest.mark.usefixtures("vlan7")
def test_guests_of_one_vlan_talk_in_it_with_its_tag(pair: Pair, tmp_path: Path) -> None:
    capture = tmp_path / "b.pcapng"
    tagged(pair.b, pair.vdev_b, 7, "10.7.0.2")
    try:
        pair.server.platform.capture.start(pair.vdev_b.uuid, str(capture))
        assert " 0% packet loss" in pair.a.check("ping -c 5 -i 0.2 10.7.0.2")
        pair.server.platform.capture.stop(path=str(capture))
        assert iperf(pair.a, "-t", "1", server="10.7.0.2")["end"]["sum_received"]["bytes"] > 1_000_000
    finally:
        untagged(pair.b, pair.vdev_b, 7)
    pings = [row[0] for row in tshark.fields(capture, "vlan.id", "icmp.type") if row[1] in ("0", "8")]
    assert pings == ["7"] * 10


@pytest.mark.usefixtures("vlan7")
def test_a_guest_of_another_vlan_sees_nothing_of_it(pair: Pair) -> None:
    tagged(pair.b, pair.vdev_b, 8, "10.7.0.2")
    try:
        before = pair.vdev_b.stats()
        to_b, to_all = (f"{who} {pair.vdev_a.mac} 81000007 0800" for who in (pair.vdev_b.mac, ALL))
        assert pair.vdev_a.mac not in "".join(seen(pair.b, pair.a, pair.vdev_a, to_b, to_all))
        counted = grown(before, pair.vdev_b.stats())
        assert (counted["rx_unicast"], counted["rx_broadcast"]) == (0, 1)  # that of the end
        assert " 0% packet loss" in pair.a.check("ping -c 3 -i 0.2 10.0.0.2")  # without a tag they talk
    finally:
        untagged(pair.b, pair.vdev_b, 8)


def hex_frame(header: str) -> str:
    """A frame of 60 bytes with this header, as hexadecimal digits."""
    return header.replace(":", "").replace(" ", "").ljust(120, "0")


def seen(listener: Guest, sender: Guest, vdev: Served, *headers: str) -> list[str]:
    """What a guest's kernel sees when the guest of `vdev` sends five frames of each header, and an end."""
    ready, end = (f"until grep -q {word} /tmp/frames; do usleep 20000; done" for word in ("ready", "end"))
    listener.check(f": >/tmp/frames; net_probe frames eth0 >/tmp/frames & {ready}")
    sends = [f"net_probe send eth0 {hex_frame(header)} 5" for header in headers]
    sender.check("; ".join([*sends, f"net_probe send eth0 {hex_frame(f'{ALL} {vdev.mac} 88b6')} 1"]))
    return listener.check(f"{end}; cat /tmp/frames").splitlines()[1:-2]


def foreign(listener: Guest, sender: Guest, vdev: Served) -> int:
    """How many of five frames to a foreign address it sees."""
    header = f"{FOREIGN} {vdev.mac} 88b5"
    return sum(frame.startswith(header) for frame in seen(listener, sender, vdev, header))


def rules(vdev: Served) -> int:
    """Promiscuous rules of a virtual device in the switch."""
    with vdev.server.pf.lock:
        found = vdev.server.pf.switch.of(vdev.vsi.num)
    return sum(lookup.recipe is RecipeId.PROMISC for lookup in found)


@pytest.fixture
def promiscuous(pair: Pair) -> Iterator[None]:
    """`b` is promiscuous, as far as it knows."""
    refused = told(pair.vdev_b)["not_trusted"]
    pair.b.check("ip link set eth0 promisc on")
    assert eventually(lambda: told(pair.vdev_b)["not_trusted"] > refused)
    yield
    pair.b.check("ip link set eth0 promisc off")


@pytest.fixture
def trusted(pair: Pair) -> Iterator[None]:
    """`b` is trusted, by its operator."""
    file = f"/sys/bus/mdev/devices/{pair.vdev_b.uuid}/trusted"
    pair.server.platform.sysfs.write(file, b"1")
    assert eventually(lambda: pair.b.run("ping -c 1 -W 1 10.0.0.1").status == 0)
    yield
    pair.server.platform.sysfs.write(file, b"0")
    assert eventually(lambda: pair.b.run("ping -c 1 -W 1 10.0.0.1").status == 0)


@pytest.mark.usefixtures("promiscuous")
def test_a_guest_that_is_not_trusted_gets_no_foreign_frame_though_it_asks_for_all(pair: Pair) -> None:
    assert foreign(pair.b, pair.a, pair.vdev_a) == 0
    assert rules(pair.vdev_b) == 0


@pytest.mark.usefixtures("trusted")
def test_a_frame_to_a_foreign_address_reaches_only_the_guest_that_is_promiscuous(pair: Pair) -> None:
    assert foreign(pair.b, pair.a, pair.vdev_a) == 0
    pair.b.check("ip link set eth0 promisc on")
    try:
        assert eventually(lambda: rules(pair.vdev_b) > 0)
        assert foreign(pair.b, pair.a, pair.vdev_a) == 5
        assert foreign(pair.a, pair.b, pair.vdev_b) == 0
    finally:
        pair.b.check("ip link set eth0 promisc off")
    assert eventually(lambda: rules(pair.vdev_b) == 0)


def test_a_group_is_heard_by_who_has_joined_it_and_no_other(pair: Pair) -> None:
    group, other = "01:00:5e:01:02:03", "01:00:5e:01:02:04"
    pair.b.check("net_probe join 239.1.2.3 7777 20 60 >/tmp/joined 2>&1 &")
    assert eventually(lambda: group in told(pair.vdev_b)["macs"])
    assert other not in told(pair.vdev_b)["macs"]
    before = pair.vdev_a.stats(), pair.vdev_b.stats()
    pair.a.check("net_probe group 239.1.2.3 7777 20; net_probe group 239.1.2.4 7777 20")
    assert eventually(lambda: pair.b.check("cat /tmp/joined") == "20\n")
    assert grown(before[0], pair.vdev_a.stats())["rx_multicast"] == 0
    assert grown(before[1], pair.vdev_b.stats())["rx_multicast"] == 20
    assert eventually(lambda: group not in told(pair.vdev_b)["macs"])
