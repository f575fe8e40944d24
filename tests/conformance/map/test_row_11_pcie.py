"""Row 11: PCI Express. Enumeration gives what lspci shows, and BARs are sized, placed and written back."""

from itertools import pairwise

import pytest

from siov.host.lspci import Names, Options, load, render
from siov.hw.pcie.root_complex import ECAM_SIZE
from siov.platform import ECAM_BASE, build
from unit.lspci.oracle import PCI_IDS, Lspci, find_lspci, same, write_dump

from .house import House


@pytest.fixture(scope="module")
def house() -> House:
    """The built-in server: root ports, a switch, adapters, endpoints."""
    house = House(build())
    house.platform.enumerate()
    return house


def test_configuration_space_is_256_mib_of_which_each_function_has_4_kib(house):
    assert ECAM_SIZE == 256 * 32 * 8 * 4096 == 256 << 20
    for dev in house.platform.host_bridge.devices():
        told = house.platform.root_complex.read(ECAM_BASE + (dev.rid << 12), 4)
        assert told == dev.vendor.to_bytes(2, "little") + dev.device.to_bytes(2, "little")


def test_bars_are_sized_placed_apart_and_written_back(house):
    taken: list[tuple[int, int]] = []
    for dev in house.platform.host_bridge.devices():
        for bar in (bar for bar in dev.resources if bar.start and bar.name.startswith("BAR")):
            if dev.is_bridge:
                continue
            at = ECAM_BASE + (dev.rid << 12) + bar.register
            words = [house.platform.root_complex.read(at + 4 * n, 4) for n in range(1 + bar.wide)]
            assert int.from_bytes(b"".join(words), "little") & ~0xF == bar.start
            assert bar.start % bar.size == 0
            taken.append((bar.start, bar.start + bar.size))
    taken.sort()
    assert len(taken) > 5
    assert all(one[1] <= two[0] for one, two in pairwise(taken))


@pytest.mark.parametrize("options", ["-vvv", "-n", "-xxxx"])
def test_lspci_shows_each_function_as_ours_does(house, tmp_path, options):
    found = find_lspci()
    if isinstance(found, str):
        pytest.skip(found)
    (tmp_path / "pci.ids").write_text(PCI_IDS)
    lspci, views = Lspci(found, tmp_path / "pci.ids"), house.platform.lspci()
    dump = write_dump(tmp_path / "dump", views)
    bare = [type(view)(view.address, view.config) for view in views]
    names = Names(load(tmp_path / "pci.ids"), numeric=options.count("n"))
    ours = render(bare, Options(names, detail=options.count("v"), hexadecimal=options.count("x")))
    same(ours, lspci.of_dump(dump, options))
