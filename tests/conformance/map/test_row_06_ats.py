"""Row 6: ATS. The device's own cache takes the load off the IOTLB, and forgets what is invalidated."""

import pytest

from .house import BRIDGE, House

OWN = 8  # look-ups for the function's own rings, which it does not cache
GUESTS = {"vm1": "queues = 1", "vm2": "queues = 1"}


def load(atc: str) -> tuple[dict[str, int], dict[str, int]]:
    """What the unit and the device's cache counted for the same traffic."""
    house = House.build("ats", nic=f"{atc}{BRIDGE % 'true'}", **GUESTS).boot()
    unit, cache = dict(house.platform.inspect("hw/vtd0/counters")), dict(house.nic.inspect()["atc"])
    house.send("vm1", "vm2", "request", count=300, depth=8)
    now = house.platform.inspect("hw/vtd0/counters")
    assert house.received("vm1") == house.received("vm2") == 300
    return (
        {name: now[name] - unit.get(name, 0) for name in ("iotlb_lookup", "iotlb_hit")},
        {name: value - cache[name] for name, value in house.nic.inspect()["atc"].items()},
    )


def test_with_its_cache_the_device_asks_the_iotlb_for_misses_only():
    (with_cache, cache), (without, none) = load(""), load('atc = "off", ')
    assert none["lookups"] == none["requests"] == 0
    assert cache["requests"] == cache["lookups"] - cache["hits"]
    assert with_cache["iotlb_lookup"] <= cache["requests"] + OWN
    assert without["iotlb_lookup"] > 300
    assert without["iotlb_lookup"] > 10 * with_cache["iotlb_lookup"]


@pytest.mark.parametrize("atc", ["", 'atc = "off", '], ids=["atc", "no atc"])
def test_after_an_unmap_nothing_lands_in_the_memory_whatever_was_cached(atc):
    house = House.build("stale", nic=f"{atc}{BRIDGE % 'true'}", **GUESTS).boot()
    house.send("vm1", "vm2", count=100)
    sender, receiver = house.tenant("vm1"), house.tenant("vm2")
    guest = receiver.vdev.guest
    load = {"count": 100, "v6": True, "sizes": [64]}
    sender.loop.send(sender.seat, "generate", receiver.driver.mac, seed=0x510F, **load)
    house.platform.tenants.step()  # frames are in the sender's ring, and the doorbell is rung
    assert guest.container.dma_unmap(0, guest.size) == guest.size
    before = house.platform.memory.read(guest.base, guest.size)
    with house.steps("ice") as steps:
        house.platform.pump()
    assert house.platform.memory.read(guest.base, guest.size) == before
    assert house.received("vm2") == 100, "none of the later ones"
    [told] = [step.detail for step in steps if step.what == "ice_handle_mdd_event"]
    assert f"RX queue {house.vsi('vm2').rxq[0]} (VSI {house.vsi('vm2').num})" in told
    # A translation request is answered without rights, which is no fault; a request that is blocked is one.
    pasids = {fault.pasid for fault in house.platform.iommu.faults.last}
    assert pasids == (set() if atc == "" else {receiver.vdev.device.pasid})
