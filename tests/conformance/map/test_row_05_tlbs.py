"""Row 5: CPUs have TLBs of their own, the remapping unit's is shared: tenants push each other out of it."""

import pytest

from .house import BRIDGE, House

SMALL = "iotlb = { sets = 1, ways = 3 }"
TWO, FOUR = {"vm1": "queues = 1", "vm2": "queues = 1"}, {"vm3": "queues = 1", "vm4": "queues = 1"}
NIC = f'atc = "off", {BRIDGE % "true"}'


def hit_rate(house: House) -> float:
    """Hits of the IOTLB for each look-up, while all guests there are talk at once."""
    counts = house.platform.inspect("hw/vtd0/counters")
    before = dict(counts)
    guests = list(house.platform.tenants.vms)
    for src, dst in zip(guests[::2], guests[1::2], strict=True):
        sender, receiver = house.tenant(src), house.tenant(dst)
        sender.loop.send(
            sender.seat, "request", receiver.driver.mac, seed=0x510F, sizes=[64, 1518], count=200, depth=32
        )
    house.run()
    now = house.platform.inspect("hw/vtd0/counters")
    return (now["iotlb_hit"] - before["iotlb_hit"]) / (now["iotlb_lookup"] - before["iotlb_lookup"])


def test_tenants_contend_for_a_small_iotlb_and_not_for_one_with_room():
    alone, crowd = (hit_rate(House.build("few", nic=NIC, iommu=SMALL, **g).boot()) for g in (TWO, TWO | FOUR))
    assert 1 - crowd > 3 * (1 - alone)
    roomy = hit_rate(House.build("roomy", nic=NIC, **TWO, **FOUR).boot())
    assert roomy == pytest.approx(alone, abs=0.005)


def test_a_core_that_changes_processes_walks_again_and_its_neighbour_does_not():
    house = House.build("cores", vm1="queues = 1", vm2="queues = 1").boot()
    one, two = (house.tenant(guest).vdev.guest for guest in ("vm1", "vm2"))
    for guest in (one, two):
        guest.read(0x1000, 4)
        guest.read(0x1000, 4)
    gva = 1 << 46 | 0x1000
    assert one.core.access(gva)["reads"] == two.core.access(gva)["reads"] == 0
    one.core.invvpid()
    assert one.core.access(gva)["reads"] > 0
    assert two.core.access(gva)["reads"] == 0
