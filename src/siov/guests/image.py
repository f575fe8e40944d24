"""The guest rig: QEMU, a kernel, an initramfs and `lspci`, built from Debian packages for one user.

    rig/rig.json         what it was built from
    rig/root/            the unpacked packages: QEMU and its firmware, the guest's programs, their libraries
    rig/modules/RELEASE/ the kernel's modules, all of them
    rig/vmlinuz
    rig/initramfs.cpio
    rig.packages/        beside it: apt's lists and the package files, which a rebuild uses again

`siov vm fetch` builds it; all that boots guests finds it with `Rig.find`.
"""

import fcntl
import glob
import hashlib
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from siov.errors import RigError
from siov.guests import initramfs
from siov.guests.packages import Apt, Package, Progress, without_password

QEMU = "usr/bin/qemu-system-x86_64"
_FIRMWARE = ("usr/share/qemu", "usr/share/seabios", "usr/lib/ipxe/qemu")
# The recipe is the text of the files that carry it out: a change of one builds anew what comes out of it.
_PACKAGES_RECIPE = ("packages.py",)
_INITRAMFS_RECIPE = ("initramfs.py", "cpio.py", "modules.py", "init")


def default_path() -> Path:
    """Where the rig is: $SIOV_RIG, else siov/rig in the user's cache folder ($XDG_CACHE_HOME or ~/.cache)."""
    if chosen := os.environ.get("SIOV_RIG"):
        return Path(chosen).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "siov" / "rig"


@dataclass(slots=True, frozen=True)
class Recipe:
    """Digests of what the rig's two parts are made from."""

    packages: str
    initramfs: str

    @classmethod
    def current(cls) -> "Recipe":
        """The recipe of the installed package."""
        return cls(_digest(_PACKAGES_RECIPE), _digest(_INITRAMFS_RECIPE))


@dataclass(slots=True, frozen=True)
class Rig:
    """A rig that is there; `versions` maps each Debian package it has to its version."""

    path: Path
    recipe: Recipe
    kernel_release: str
    versions: dict[str, str]

    @classmethod
    def find(cls, path: Path | None = None) -> "Rig":
        """The rig at the path (default: `default_path`); a missing or outdated one is a RigError."""
        path = path or default_path()
        rig = cls._read(path)
        if rig is None:
            raise RigError(f"there is no guest rig at {path}; build it with 'siov vm fetch'")
        if rig.recipe != Recipe.current():
            raise RigError(f"the guest rig at {path} is of another recipe; rebuild it with 'siov vm fetch'")
        return rig

    @classmethod
    def _read(cls, path: Path) -> "Rig | None":
        """The rig at the path, of whatever recipe; None if there is none to be understood."""
        try:
            data = json.loads((path / "rig.json").read_text())
            return cls(path, Recipe(**data["recipe"]), data["kernel_release"], data["versions"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    @property
    def root(self) -> Path:
        """The folder with the unpacked packages."""
        return self.path / "root"

    @property
    def modules(self) -> Path:
        """The folder with the kernel's modules, as lib/modules/RELEASE has them."""
        return self.path / "modules" / self.kernel_release

    @property
    def vmlinuz(self) -> Path:
        """The guest's kernel."""
        return self.path / "vmlinuz"

    @property
    def initramfs(self) -> Path:
        """The guest's initramfs, uncompressed; archives with more files may be put behind it."""
        return self.path / "initramfs.cpio"

    def qemu_argv(self) -> list[str]:
        """The command that starts QEMU, with its firmware; run it with `qemu_environment`."""
        if not (self.root / QEMU).is_file():
            raise RigError(f"QEMU is missing from the guest rig at {self.path}; run 'siov vm fetch --force'")
        firmware = [word for folder in _FIRMWARE for word in ("-L", str(self.root / folder))]
        return initramfs.loader_argv(self.root, QEMU, *firmware)

    def qemu_environment(self) -> dict[str, str]:
        """The environment for QEMU: this process's, with the rig's QEMU modules."""
        modules = str(self.root / initramfs.LIBRARIES / "qemu")
        return {**os.environ, "QEMU_MODULE_DIR": modules}

    def lspci_argv(self, *arguments: str) -> list[str]:
        """The command that runs the guest's `lspci`, with its pci.ids, on this machine (as for `-F FILE`)."""
        ids = str(self.root / initramfs.PCI_IDS)
        return initramfs.loader_argv(self.root, "usr/bin/lspci", "-i", ids, *arguments)


def fetch(progress: Progress, path: Path | None = None, force: bool = False) -> Rig:
    """Have the rig at the path, built or rebuilt as far as its recipe has changed (with `force`, all of it).

    Needs apt's tools and, unless the packages are there from before, the network. Progress gets one line a
    step. Safe to call from several processes; interrupted, it leaves the former state. Errors are RigErrors.
    """
    path = path or default_path()
    with _lock(path):
        for leftover in path.parent.glob(f"{glob.escape(path.name)}.*-building"):
            shutil.rmtree(leftover, ignore_errors=True)
        recipe = Recipe.current()
        rig = Rig._read(path)
        if rig is None or force or rig.recipe.packages != recipe.packages:
            return _build(path, recipe, progress)
        if rig.recipe.initramfs != recipe.initramfs:
            progress("building the initramfs")
            rig = Rig(path, recipe, rig.kernel_release, rig.versions)
            _replace(rig.initramfs, initramfs.build(rig.root, rig.modules))
            _replace(path / "rig.json", _manifest(rig))
        progress(f"the guest rig is at {path}")
        return rig


def _build(path: Path, recipe: Recipe, progress: Progress) -> Rig:
    if platform.machine() != "x86_64":
        raise RigError(f"the guest rig's programs are for x86_64 and this machine is {platform.machine()}")
    apt = Apt(path.parent / f"{path.name}.packages")
    progress(f"reading the package lists of {without_password(apt.mirror)}")
    apt.update()
    plan = apt.plan()
    missing = sum(package.size for package in plan if not package.is_in(apt.archives))
    progress(f"downloading {missing / 1e6:.0f} MB of {len(plan)} packages")
    apt.download(plan)
    with tempfile.TemporaryDirectory(
        prefix=f"{path.name}.", suffix="-building", dir=path.parent, ignore_cleanup_errors=True
    ) as temporary:
        new = Path(temporary) / "rig"
        progress("unpacking")
        apt.unpack(plan[:-1], new / "root")
        apt.unpack(plan[-1:], new / "kernel")
        release = _take_kernel(new)
        rig = Rig(new, recipe, release, _versions(plan))
        progress("building the initramfs")
        rig.initramfs.write_bytes(initramfs.build(rig.root, rig.modules))
        (new / "rig.json").write_bytes(_manifest(rig))
        if path.exists():
            path.rename(Path(temporary) / "former")
        new.rename(path)
    apt.keep_only(plan)
    progress(f"the guest rig is at {path}: Linux {release}, QEMU {rig.versions['qemu-system-x86']}")
    return Rig(path, recipe, release, rig.versions)


def _take_kernel(new: Path) -> str:
    """Move what is needed out of the unpacked kernel package; the kernel's release."""
    (tree,) = (new / "kernel/usr/lib/modules").iterdir()
    (new / "modules").mkdir()
    tree.rename(new / "modules" / tree.name)
    (new / f"kernel/boot/vmlinuz-{tree.name}").rename(new / "vmlinuz")
    shutil.rmtree(new / "kernel")
    return tree.name


def _versions(plan: list[Package]) -> dict[str, str]:
    """Package to version, from the file names NAME_VERSION_ARCHITECTURE.deb (a colon is written %3a)."""
    names = (package.file.split("_") for package in plan)
    return {parts[0]: parts[1].replace("%3a", ":") for parts in names}


def _manifest(rig: Rig) -> bytes:
    data = {
        "recipe": {"packages": rig.recipe.packages, "initramfs": rig.recipe.initramfs},
        "kernel_release": rig.kernel_release,
        "versions": rig.versions,
    }
    return json.dumps(data, indent=1).encode()


def _replace(path: Path, data: bytes) -> None:
    """Replace a file at once: a reader finds the former content or the new one."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_bytes(data)
    temporary.replace(path)


def _digest(names: tuple[str, ...]) -> str:
    folder = resources.files("siov.guests")
    return hashlib.sha256(b"\0".join(folder.joinpath(name).read_bytes() for name in names)).hexdigest()


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Hold the rig's lock; what the system refuses meanwhile (a full disk, say) is a RigError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.with_name(f"{path.name}.lock").open("w") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield
    except OSError as error:
        raise RigError(f"the guest rig can't be made at {path}: {error}") from error
