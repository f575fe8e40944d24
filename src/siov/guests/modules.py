"""Kernel modules: what each depends on, by its own word, and an order to load them in.

Source: Linux, scripts/mod/modpost.c (the `.modinfo` section) and include/linux/moduleparam.h.
"""

import lzma
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from siov.errors import RigError

_EHDR = struct.Struct("<40xQ10xHHH")  # e_shoff; e_shentsize, e_shnum, e_shstrndx of Elf64_Ehdr
_SHDR = struct.Struct("<II8x8xQQ")  # sh_name, sh_type, sh_offset, sh_size of Elf64_Shdr


@dataclass(slots=True, frozen=True)
class Module:
    """A loadable module: name as `lsmod` shows it, path below the modules' folder, uncompressed image."""

    name: str
    path: str
    image: bytes
    depends: tuple[str, ...]


def canonical(name: str) -> str:
    """A module's name as the kernel has it: `vfio-pci` and `vfio_pci` are one."""
    return name.replace("-", "_")


def modinfo(image: bytes) -> dict[str, list[str]]:
    """The `key=value` strings of a module's `.modinfo` section; {} for what is no 64-bit ELF file."""
    if image[:5] != b"\x7fELF\x02" or len(image) < 64:
        return {}
    shoff, shentsize, shnum, shstrndx = _EHDR.unpack_from(image)

    def section(index: int) -> tuple[int, int, int]:
        name, _, offset, size = _SHDR.unpack_from(image, shoff + index * shentsize)
        return name, offset, size

    _, names, _ = section(shstrndx)
    info: dict[str, list[str]] = {}
    for name, offset, size in map(section, range(shnum)):
        if image[names + name : names + name + 9] == b".modinfo\0":
            for entry in filter(None, image[offset : offset + size].split(b"\0")):
                key, _, value = entry.decode(errors="replace").partition("=")
                info.setdefault(key, []).append(value)
    return info


class ModuleTree:
    """The modules of one kernel, as a distribution lays them out: lib/modules/RELEASE."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files = {
            canonical(path.name.split(".ko")[0]): path
            for path in sorted(folder.rglob("*.ko*"))
            if path.name.endswith((".ko", ".ko.xz"))
        }
        builtin = folder / "modules.builtin"
        lines = builtin.read_text().split() if builtin.exists() else []
        self._builtin = {canonical(Path(line).name.removesuffix(".ko")) for line in lines}

    def read(self, name: str) -> Module:
        """Read one module; an unknown name is a RigError."""
        path = self._files.get(canonical(name))
        if path is None:
            raise RigError(f"the kernel {self.folder.name} has no module {name}")
        image = path.read_bytes()
        if path.suffix == ".xz":
            image = lzma.decompress(image)
        depends = ",".join(modinfo(image).get("depends", ())).split(",")
        where = path.relative_to(self.folder).as_posix().removesuffix(".xz")
        return Module(canonical(name), where, image, tuple(canonical(other) for other in depends if other))

    def load_order(self, names: Iterable[str]) -> list[Module]:
        """The named modules and all they depend on, each after what it needs; none that is built in."""
        order: dict[str, Module] = {}
        open_: list[str] = []

        def visit(name: str) -> Iterator[Module]:
            if name in order or name in self._builtin:
                return
            if name in open_:
                raise RigError(f"the modules {', '.join(open_)} depend on each other in a circle")
            open_.append(name)
            module = self.read(name)
            for other in module.depends:
                yield from visit(other)
            open_.pop()
            order[name] = module
            yield module

        return [module for name in names for module in visit(canonical(name))]
