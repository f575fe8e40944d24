"""Kernel modules: what `.modinfo` says, and the order to load them in."""

import lzma
import struct
from pathlib import Path

import pytest

from siov.errors import RigError
from siov.guests.modules import ModuleTree, canonical, modinfo


def elf(modinfo_section: bytes) -> bytes:
    """A 64-bit little-endian ELF file with a .modinfo section, and before it one with misleading content."""
    names = b"\0.decoy\0.modinfo\0.shstrtab\0"
    contents = [b"", b"\0depends=wrong\0", modinfo_section, names]
    name_offsets = [0, 1, 8, 17]
    offset = 64
    headers = b""
    for name, content in zip(name_offsets, contents, strict=True):
        headers += struct.pack("<IIQQQQIIQQ", name, 1, 0, 0, offset, len(content), 0, 0, 1, 0)
        offset += len(content)
    ident = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    header = ident + struct.pack("<HHIQQQIHHHHHH", 1, 62, 1, 0, 0, offset, 0, 64, 0, 0, 64, 4, 3)
    return header + b"".join(contents) + headers


def depends_on(*names: str) -> bytes:
    return elf(b"license=GPL\0depends=" + ",".join(names).encode() + b"\0alias=a\0alias=b\0")


@pytest.fixture
def tree(tmp_path: Path) -> ModuleTree:
    folder = tmp_path / "6.12.0"
    drivers = folder / "kernel/drivers"
    drivers.mkdir(parents=True)
    (drivers / "vfio-pci.ko.xz").write_bytes(lzma.compress(depends_on("vfio-pci-core", "vfio")))
    (drivers / "vfio-pci-core.ko").write_bytes(depends_on("irqbypass", "vfio", "pci_stub"))
    (drivers / "vfio.ko").write_bytes(depends_on())
    (drivers / "irqbypass.ko").write_bytes(depends_on())
    (drivers / "egg.ko").write_bytes(depends_on("hen"))
    (drivers / "hen.ko").write_bytes(depends_on("egg"))
    (folder / "modules.builtin").write_text("kernel/drivers/pci/pci-stub.ko\n")
    return ModuleTree(folder)


def test_modinfo_is_read_from_its_section_only() -> None:
    info = modinfo(depends_on("a", "b"))
    assert info == {"license": ["GPL"], "depends": ["a,b"], "alias": ["a", "b"]}


@pytest.mark.parametrize("image", [b"", b"\x7fELF\x01" + bytes(100), b"text"])
def test_what_is_no_64_bit_elf_file_has_no_modinfo(image: bytes) -> None:
    assert modinfo(image) == {}


def test_every_module_comes_after_all_it_depends_on_and_once(tree: ModuleTree) -> None:
    order = [module.name for module in tree.load_order(["vfio-pci", "vfio", "vfio_pci"])]
    assert sorted(order) == ["irqbypass", "vfio", "vfio_pci", "vfio_pci_core"]
    for module in map(tree.read, order):
        for other in module.depends:
            assert other == "pci_stub" or order.index(other) < order.index(module.name)


def test_a_module_is_given_uncompressed_with_its_place_in_the_tree(tree: ModuleTree) -> None:
    module = tree.read("vfio_pci")
    assert module.path == "kernel/drivers/vfio-pci.ko"
    assert module.image == depends_on("vfio-pci-core", "vfio")


def test_what_is_built_into_the_kernel_is_not_loaded(tree: ModuleTree) -> None:
    assert tree.load_order(["pci-stub"]) == []


def test_an_unknown_module_is_an_error_that_names_it_and_the_kernel(tree: ModuleTree) -> None:
    with pytest.raises(RigError, match=r"the kernel 6\.12\.0 has no module nosuch"):
        tree.load_order(["vfio", "nosuch"])


def test_modules_that_depend_on_each_other_in_a_circle_are_an_error(tree: ModuleTree) -> None:
    with pytest.raises(RigError, match="egg, hen depend on each other"):
        tree.load_order(["egg"])


def test_dashes_and_underscores_are_one() -> None:
    assert canonical("vfio-pci") == canonical("vfio_pci") == "vfio_pci"
