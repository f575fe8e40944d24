"""Row 1: the assignable device interface. Its pages map straight to the adapter, and to nobody else's."""

import pytest

from siov.guests.embedded import DEAD, MMIO_MAP
from siov.host.linux import LinuxError
from siov.host.pgtable import Prot
from siov.spec.vdev import SIOV_BAR0, VdevBar0

from .house import House

PAGE = 4096
FREE = MMIO_MAP + (1 << 43)  # where the guest's kernel has nothing
RX, TX, CONTROL = VdevBar0.VDEV_QRX_TAIL, VdevBar0.VDEV_QTX_TAIL, VdevBar0.spans["VDEV_INT_CTL"]


@pytest.fixture(scope="module")
def house() -> House:
    return House.build("adi", vm1='type = "vdcm"', vm2='type = "vdcm"').boot()


def own_pages(house: House, guest: str) -> dict[int, int]:
    """Offsets in BAR 0 and physical addresses of every page that a device may have."""
    vsi, base = house.vsi(guest), house.base
    found = {VdevBar0.spans["VDEV_MBX"].at: base + 0x200_0000 + PAGE * vsi.num}
    found |= {RX.at + PAGE * q: base + 0x380_0000 + PAGE * queue for q, queue in enumerate(vsi.rxq)}
    found |= {TX.at + PAGE * q: base + 0x400_0000 + PAGE * queue for q, queue in enumerate(vsi.txq)}
    found[VdevBar0.spans["VDEV_INT_CTL01"].at] = base + 0x300_0000 + PAGE * vsi.vectors[0].index
    found |= {
        CONTROL.at + PAGE * n: base + 0x300_0000 + PAGE * vector.index
        for n, vector in enumerate(vsi.vectors[1:])
    }
    return found


def test_the_guests_own_tables_lead_from_each_queue_page_to_the_adapters_bar(house):
    house.send("vm1", "vm2", "request", flows=16, count=200)
    for guest in ("vm1", "vm2"):
        vdev = house.tenant(guest).vdev
        for at, hpa in own_pages(house, guest).items():
            vdev.read32(at)
            assert house.hpa(guest, vdev.address(at)) == hpa, f"{guest}: page {at:#x} of BAR 0"


def test_a_doorbell_makes_no_exit_after_the_first_touch(house):
    house.send("vm1", "vm2", count=100, flows=16)
    before = house.exits("vm1"), house.exits("vm2")
    doorbells = house.platform.tenants.results()["vm1.0"]["rings"]["doorbells"]
    house.send("vm1", "vm2", count=2000, flows=16, v6=True)
    assert house.platform.tenants.results()["vm1.0"]["rings"]["doorbells"] > doorbells + 4
    assert (house.exits("vm1"), house.exits("vm2")) == before


def test_a_write_through_the_page_is_a_write_of_the_adapters_register(house):
    vdev, queue = house.tenant("vm1").vdev, house.vsi("vm1").rxq[3]
    tail = house.pf.hw.rd("QRX_TAIL", queue)
    with house.steps("vfio") as steps:
        vdev.write32(RX.at + PAGE * 3, tail)
        assert vdev.read32(RX.at + PAGE * 3) == tail
    assert steps == [], "VFIO saw nothing of it"


def test_two_devices_share_no_page_and_no_other_offset_leads_anywhere(house):
    seen: dict[int, str] = {}
    for guest in ("vm1", "vm2"):
        device, own = house.tenant(guest).vdev.device, own_pages(house, guest)
        reached = {}
        for at in range(0, SIOV_BAR0, PAGE):
            try:
                reached[at] = device.mmap(0, at)
            except LinuxError:
                continue
        assert reached == own
        assert not set(seen) & set(reached.values())
        seen |= dict.fromkeys(reached.values(), guest)


@pytest.mark.parametrize("what", ["rx tail", "tx doorbell", "mailbox"])
def test_a_guest_that_maps_the_address_of_anothers_page_finds_nothing_there(house, what):
    vsi = house.vsi("vm2")
    at, name, index = {
        "rx tail": (0x380_0000 + PAGE * vsi.rxq[0], "QRX_TAIL", vsi.rxq[0]),
        "tx doorbell": (0x400_0000 + PAGE * vsi.txq[0], "QTX_COMM_DBELL", vsi.txq[0]),
        "mailbox": (0x200_0000 + PAGE * vsi.num, "VSI_MBX_ATQBAL", vsi.num),
    }[what]
    guest, before = house.tenant("vm1").vdev.guest, house.pf.hw.rd(name, index)
    gva = FREE + at
    guest.table.map(gva, house.base + at, PAGE, Prot.READ | Prot.WRITE)
    assert guest.read32(gva) == DEAD
    guest.write32(gva, before ^ 0x20)
    assert house.pf.hw.rd(name, index) == before
    assert house.hpa("vm1", gva) is None
