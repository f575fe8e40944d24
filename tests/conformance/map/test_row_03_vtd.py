"""Row 3: VT-d's tables in memory, read here bit by bit, beside what the unit makes of them; both modes."""

from .house import House

GUEST_PAGES = (0, 0x1000, 0x20_0000, 0xF_F000)


def word(house: House, at: int, size: int = 8) -> int:
    return int.from_bytes(house.platform.memory.read(at, size), "little")


def address(entry: int) -> int:
    return entry & 0x000F_FFFF_FFFF_F000


def scalable_entry(house: House, rid: int, pasid: int) -> list[int]:
    """The eight quadwords of a PASID-table entry, from the root table on (VT-d 3.4.3)."""
    root = int(str(house.platform.inspect("hw/vtd0/registers/RTADDR")), 16)
    assert root >> 10 & 3 == 1, "TTM: scalable mode"
    # The upper half of a root entry is for functions from 16:0 on.
    half = word(house, address(root) + (rid >> 8) * 16 + (rid >> 7 & 1) * 8)
    assert half & 1
    context = word(house, address(half) + (rid & 0x7F) * 32)
    assert context & 1
    directory = word(house, address(context) + (pasid >> 6) * 8)
    assert directory & 1
    at = address(directory) + (pasid & 0x3F) * 64
    return [word(house, at + 8 * n) for n in range(8)]


def walk(house: House, table: int, levels: int, iova: int) -> int:
    """A second stage's translation."""
    for level in range(levels, 0, -1):
        entry = word(house, address(table) + (iova >> 12 + 9 * (level - 1) & 0x1FF) * 8)
        assert entry & 3 == 3, "readable and writable"
        if level == 1 or entry >> 7 & 1:
            below = (1 << 12 + 9 * (level - 1)) - 1
            return address(entry) & ~below | iova & below
        table = entry
    raise AssertionError


def test_a_virtual_devices_pasid_leads_bit_for_bit_to_its_guests_memory():
    house = House.build("scalable", vm1='type = "vdcm"', vm2='type = "vdcm"').boot()
    rid = house.pf.dev.rid
    domains = set()
    for guest in ("vm1", "vm2"):
        vdev = house.tenant(guest).vdev
        entry = scalable_entry(house, rid, vdev.device.pasid)
        assert entry[0] & 1
        assert entry[0] >> 6 & 7 == 2, "PGTT: second stage only"
        domains.add(entry[1] & 0xFFFF)
        levels = (entry[0] >> 2 & 7) + 2
        for gpa in GUEST_PAGES:
            assert walk(house, entry[0], levels, gpa) == vdev.guest.base + gpa
    assert len(domains) == 2, "each guest is a domain of its own"


def test_in_legacy_mode_the_same_server_runs_without_virtual_devices():
    house = House.build("legacy", iommu='mode = "legacy"')
    house.platform.enumerate()
    with house.steps("ice") as steps:
        house.platform.boot_host()
    [capable] = [step for step in steps if step.what == "ice_is_siov_capable"]
    assert "PASID" in capable.detail
    assert house.platform.mdev.types() == []
    root = int(str(house.platform.inspect("hw/vtd0/registers/RTADDR")), 16)
    assert root >> 10 & 3 == 0, "TTM: legacy mode"
    rid = house.pf.dev.rid
    entry = word(house, address(root) + (rid >> 8) * 16)
    context = word(house, address(entry) + (rid & 0xFF) * 16)
    assert entry & context & 1
    assert "driver: ice\n" in house.platform.netdev("nic0").ethtool(["-i"])
