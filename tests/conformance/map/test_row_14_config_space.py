"""Row 14: the configuration space that VDCM composes, as a guest's lspci sees it, and the VSI behind it."""

import pytest

from siov.host.lspci import Address, Names, Options, PciFunctionView, load, parse, render
from siov.host.mdev import MdevCore
from unit.lspci.oracle import PCI_IDS, Lspci, find_lspci, same, write_dump

from .house import House

AT = Address(0, 0, 4, 0)
# Every byte that is not zero, as the facts on ice's VDCM list them: offset, bytes.
SIOV = {0x00: "8680d50d", 0x06: "1000", 0x0B: "02", 0x10: "0c", 0x1C: "0c", 0x2C: "8680", 0x34: "40"}
SIOV |= {0x40: "11000400", 0x44: "03000000", 0x48: "03200000", 0x50: "10009200", 0x74: "10007000"}


@pytest.fixture
def house() -> House:
    return House.build("space", vm1='type = "vdcm"', vm2='type = "avf"').boot()


def space(house: House, guest: str) -> bytes:
    """What the guest reads, a double word at a time."""
    vdev = house.tenant(guest).vdev
    size = vdev.device.region(7).size
    return b"".join(vdev.config_read(at, 4) for at in range(0, size, 4))


@pytest.fixture
def names(tmp_path) -> Names:
    path = tmp_path / "pci.ids"
    path.write_text(PCI_IDS)
    return Names(load(path))


def test_before_a_guest_touches_it_each_byte_is_that_of_the_facts(house):
    info = house.platform.mdev.create("ice-vdcm")
    core: MdevCore = house.platform.mdev.core
    ops = core.find(info.uuid).ops
    expected = bytearray(256)
    for at, data in SIOV.items():
        expected[at : at + len(data) // 2] = bytes.fromhex(data)
    assert ops.read(7, 0, 256) == bytes(expected)


def test_what_the_guest_has_written_stands_in_it_and_nothing_else_has_changed(house):
    found, vdev = space(house, "vm1"), house.tenant("vm1").vdev
    expected = bytearray(256)
    for at, data in SIOV.items():
        expected[at : at + len(data) // 2] = bytes.fromhex(data)
    expected[0x04:0x06] = b"\x06\x00"  # memory and bus mastering
    expected[0x10:0x18] = (vdev.gpa | 0xC).to_bytes(8, "little")
    expected[0x42:0x44] = b"\x04\x80"  # MSI-X is on
    assert found == bytes(expected)


@pytest.mark.parametrize("guest", ["vm1", "vm2"])
def test_lspci_prints_the_composed_bytes_and_they_read_back_the_same(house, names, guest):
    config = space(house, guest)
    text = render([PciFunctionView(AT, config)], Options(names, detail=3, hexadecimal=4))
    [again] = parse(text, "lspci")
    assert again.config == config


@pytest.mark.parametrize("guest", ["vm1", "vm2"])
def test_pciutils_lspci_says_of_them_what_ours_says(house, names, tmp_path, guest):
    found = find_lspci()
    if isinstance(found, str):
        pytest.skip(found)
    lspci, view = Lspci(found, tmp_path / "pci.ids"), PciFunctionView(AT, space(house, guest))
    dump = write_dump(tmp_path / "dump", [view])
    same(render([view], Options(Names(lspci.names), detail=3)), lspci.of_dump(dump, "-vvv"))


def test_the_adaptive_function_has_its_express_capability_linked_and_the_other_has_not(house, names):
    shown = {
        guest: render([PciFunctionView(AT, space(house, guest))], Options(names, detail=3))
        for guest in ("vm1", "vm2")
    }
    assert "[40] MSI-X: Enable+ Count=5 Masked-" in shown["vm1"]
    assert "Express" not in shown["vm1"]
    assert "[50] Express (v2) Endpoint" in shown["vm2"]
    assert "FLReset+" in shown["vm2"]


def test_sizing_the_bars_gives_64_mib_and_16_kib(house):
    vdev = house.tenant("vm1").vdev
    for register, size in ((0x10, 64 << 20), (0x1C, 16 << 10)):
        before = vdev.config_read(register, 8)
        for at in (register, register + 4):
            vdev.config_write(at, b"\xff" * 4)
        mask = int.from_bytes(vdev.config_read(register, 4), "little") & ~0xF
        assert (1 << 32) - mask == size
        vdev.config_write(register, before[:4])
        vdev.config_write(register + 4, before[4:])


def test_an_adi_has_the_next_free_vsi_and_rings_of_256_and_2048_descriptors_unless_the_guest_says(house):
    def vsi(uuid: str):
        return house.platform.mdev.core.find(uuid).ops.adi.vsi

    made = [house.platform.mdev.create("ice-vdcm-1").uuid for _ in range(3)]
    numbers = [vsi(uuid).num for uuid in made]
    assert numbers == list(range(numbers[0], numbers[0] + 3))
    assert [vsi(uuid).ring_lengths() for uuid in made] == [(256, 2048)] * 3
    house.platform.mdev.remove(made[1])
    again = house.platform.mdev.create("ice-vdcm").uuid
    assert vsi(again).num == numbers[1]
    assert (len(vsi(again).txq), len(vsi(again).rxq), len(vsi(again).vectors)) == (4, 4, 5)
    assert house.vsi("vm1").ring_lengths() == (256, 256), "the guest's own"


def test_the_pasid_is_bound_from_open_to_close(house):
    device, iommu = house.tenant("vm1").vdev.device, house.platform.iommu
    pasid, rid = device.pasid, house.pf.dev.rid
    assert house.vsi("vm1").pasid == pasid != house.vsi("vm2").pasid
    assert (rid, pasid) in iommu.attached
    vsi = house.vsi("vm1")
    house.tenant("vm1").stop()
    house.tenant("vm1").vdev.close()
    assert vsi.pasid is None
    assert (rid, pasid) not in iommu.attached
