"""Row 17: kobjects and device-managed resources. When ice lets the adapter go, nothing of it is left."""

from collections import Counter

import pytest

from siov.platform import Platform

from .house import House


def holdings(platform: Platform) -> dict[str, object]:
    """All that the host may hold for a function: memory, vectors, entries, files below /sys, resources."""
    function = platform.functions["nic0"]
    [dev] = [dev for dev in platform.host_bridge.devices() if dev.rid == int(function.bdf)]
    firmware = function.device.firmware.inspect()
    nic = function.device.engine
    return {
        "memory": dict(platform.memory.in_use),
        "devres": [res.name for res in dev.devres],
        "vectors": Counter(name for name, _ in platform.irqs.interrupts()),
        "eventfds": platform.irqs.inspect()["eventfds"],
        "entries": len(platform.irqs.remapper.owners),
        "pasids": sorted(platform.pasids.taken),
        "domains": sorted(platform.iommu.dids.taken),
        "attached": sorted(map(str, platform.iommu.attached)),
        "sysfs": sorted(entry.path for entry in platform.sysfs.walk("/sys/devices")),
        "classes": [
            platform.sysfs.listdir("/sys/class/mdev_bus"),
            platform.sysfs.listdir("/sys/bus/mdev/devices"),
        ],
        "firmware": {n: firmware[n] for n in ("vsi", "rules", "resources", "txqueues", "rss")},
        "vsis": nic.inspect()["vsis"],
        "queues on": [nic.get(name) for name in ("PF_FW_ATQLEN", "PF_MBX_ARQLEN", "PFINT_OICR_ENA")],
        "enabled": dev.enabled,
    }


def bind(house: House, what: str) -> None:
    """Write the adapter's name to a file of the driver, as an operator does."""
    [name] = [dev.name for dev in house.platform.host_bridge.devices() if dev.device == 0x1592]
    house.platform.sysfs.write(f"/sys/bus/pci/drivers/ice/{what}", f"{name}\n")


@pytest.fixture
def house() -> House:
    """Enumerated, without a driver."""
    house = House.build("unbind", vm1='type = "vdcm"', vm2='type = "avf"')
    house.platform.enumerate()
    return house


def use(house: House) -> None:
    """Load the driver, and have guests use devices."""
    house.platform.boot_host()
    house.run()
    house.send("vm1", "vm2", "request", count=50)
    assert house.received("vm2") == 50


def test_unbinding_leaves_nothing_of_an_adapter_whose_devices_were_used(house):
    before = holdings(house.platform)
    assert before["devres"] == []
    use(house)
    assert holdings(house.platform) != before
    house.platform.tenants.close()
    bind(house, "unbind")
    assert holdings(house.platform) == before
    bind(house, "bind")
    assert house.platform.mdev.create("ice-vdcm").type == "ice-vdcm", "it works again"
    bind(house, "unbind")
    assert holdings(house.platform) == before, "an instance that nobody has open goes with it"


def test_unloading_the_module_leaves_nothing_although_guests_are_at_work(house):
    before = holdings(house.platform)
    use(house)
    house.platform.unload()
    assert holdings(house.platform) == before


def test_an_adapter_that_is_unbound_below_its_guests_takes_their_devices_from_them(house):
    before = holdings(house.platform)
    use(house)
    frames = house.received("vm2")
    bind(house, "unbind")
    assert house.platform.mdev.list() == []
    for _ in range(20):
        house.platform.pump()
        house.platform.tenants.step()
    assert house.tenant("vm1").vdev.read32(0x8800) == 0xFFFF_FFFF, "nothing answers"
    assert house.received("vm2") == frames
    house.platform.unload()
    assert holdings(house.platform) == before
