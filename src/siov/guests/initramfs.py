"""The guest's whole user land in one initramfs: busybox, a few real programs, kernel modules, `init`."""

import shutil
import tempfile
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from siov.guests.cpio import Cpio
from siov.guests.modules import ModuleTree
from siov.guests.packages import run_tool

# Drivers of the devices that the tests serve or compare with, what hands a device to user space, and VLANs.
MODULES = (
    *("iavf", "igb", "igbvf", "e1000e", "virtio_net"),
    *("vfio_pci", "vfio_iommu_type1", "uio_pci_generic"),
    "8021q",
)
PROGRAMS = ("usr/bin/lspci", "usr/bin/setpci", "usr/sbin/ethtool", "usr/bin/iperf3")
PCI_IDS = "usr/share/misc/pci.ids"
# glibc opens it by name when a thread is cancelled, as iperf3 does; no program says so in its headers.
LATE_LIBRARIES = ("libgcc_s.so.1",)

LIBRARIES = "usr/lib/x86_64-linux-gnu"
LOADER = "usr/lib64/ld-linux-x86-64.so.2"
# Links at the top into usr/, as Debian has it.
_LINKS = ("bin", "lib", "lib64", "sbin")
_FOLDERS = ("dev", "mnt", "proc", "root", "run", "sys", "tmp", "etc")


def loader_argv(root: Path, program: str, *arguments: str) -> list[str]:
    """The command that runs a program of the unpacked packages with their own libraries, not the host's.

    `program` is its path in the packages, with `:NAME` behind it where it goes by another name.
    """
    path, _, name = program.partition(":")
    library_path = ["--library-path", str(root / LIBRARIES), "--argv0", name or Path(path).name]
    return [str(root / LOADER), *library_path, str(root / path), *arguments]


def build(root: Path, modules: Path) -> bytes:
    """The initramfs, uncompressed, which boots quickest, of the unpacked packages and a kernel's modules."""
    cpio = Cpio()
    for folder in _FOLDERS:
        cpio.folder(folder)
    cpio.character_device("dev/console", 5, 1)
    cpio.file("init", resources.files("siov.guests").joinpath("init").read_bytes(), 0o755)
    _add_programs(cpio, root)
    _add_modules(cpio, root, modules)
    return cpio.finish()


def segment(files: Mapping[str, bytes]) -> bytes:
    """An archive to put behind the initramfs: files by their absolute path in the guest, executable."""
    cpio = Cpio()
    for path in sorted(files):
        # A folder in place of such a link would hide all that is behind the link.
        merged = f"usr{path}" if path.split("/")[1] in _LINKS else path
        cpio.file(merged, files[path], 0o755)
    return cpio.finish()


def _add_programs(cpio: Cpio, root: Path) -> None:
    cpio.file("usr/bin/busybox", (root / "usr/bin/busybox").read_bytes(), 0o755)
    for link in _LINKS:
        cpio.symlink(link, f"usr/{link}")
    for applet in run_tool([str(root / "usr/bin/busybox"), "--list"]).stdout.split():
        if applet != "busybox":
            cpio.symlink(f"usr/bin/{applet}", "busybox")
    for program in PROGRAMS:
        cpio.file(program, (root / program).read_bytes(), 0o755)
    cpio.file(PCI_IDS, (root / PCI_IDS).read_bytes())
    cpio.file(LOADER, (root / LOADER).read_bytes(), 0o755)
    for library in sorted(_libraries(root)):
        cpio.file(f"{LIBRARIES}/{library}", (root / LIBRARIES / library).read_bytes(), 0o755)


def _libraries(root: Path) -> set[str]:
    """The shared libraries that the programs load, as the loader itself finds them."""
    found = set(LATE_LIBRARIES)
    for program in PROGRAMS:
        argv = [str(root / LOADER), "--library-path", str(root / LIBRARIES), "--list", str(root / program)]
        lines = run_tool(argv).stdout.splitlines()
        found |= {line.split()[0] for line in lines if f"=> {root / LIBRARIES}/" in line}
    return found


def _add_modules(cpio: Cpio, root: Path, folder: Path) -> None:
    """Add the modules, uncompressed, with the indexes that `depmod` makes for `modprobe` and `lspci`."""
    with tempfile.TemporaryDirectory(prefix="siov-modules-") as temporary:
        staged = Path(temporary) / "lib/modules" / folder.name
        staged.mkdir(parents=True)
        for module in ModuleTree(folder).load_order(MODULES):
            (staged / module.path).parent.mkdir(parents=True, exist_ok=True)
            (staged / module.path).write_bytes(module.image)
        for index in folder.glob("modules.*"):
            shutil.copyfile(index, staged / index.name)
        run_tool(loader_argv(root, "usr/bin/kmod:depmod", "--basedir", temporary, folder.name))
        for path in sorted(staged.rglob("*")):
            if path.is_file():
                where = path.relative_to(staged).as_posix()
                cpio.file(f"usr/lib/modules/{folder.name}/{where}", path.read_bytes())
