"""Two stock guests on virtual devices of one adapter: the first words."""

from served_vdevs import Pair


def test_two_guests_reach_each_other(pair: Pair) -> None:
    for guest, other in ((pair.a, "10.0.0.2"), (pair.b, "fd00::1")):
        assert " 0% packet loss" in guest.check(f"ping -c 3 -i 0.2 {other}")


def test_the_driver_is_mainlines_and_the_address_is_the_virtual_devices(pair: Pair) -> None:
    for guest, vdev in ((pair.a, pair.vdev_a), (pair.b, pair.vdev_b)):
        assert "driver: iavf" in guest.check("ethtool -i eth0")
        assert guest.check("cat /sys/class/net/eth0/address").strip() == vdev.mac
        assert vdev.stats().rx_unicast > 0
