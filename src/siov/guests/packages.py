"""Debian packages without root: apt with a state folder of its own downloads and verifies, dpkg-deb unpacks.

Nothing of the host's package system is changed. From the host's apt this takes the mirror, and the settings
under `Acquire` (proxies, time-outs), so that what works for `apt update` works here.
"""

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from siov.errors import RigError

Progress = Callable[[str], None]

ARCHITECTURE = "amd64"
SUITE = "trixie"
BACKPORTS = "trixie-backports"
# QEMU 10.0 of the suite itself has no vfio-user client. All of these come with what they depend on.
PROGRAMS = (
    "qemu-system-x86", "busybox-static", "iperf3", "ethtool", "pciutils", "kmod", "tshark", "mdevctl",
)  # fmt: skip
# The full kernel: the cloud kernel has none of the drivers that the guest tests are about.
KERNEL = "linux-image-amd64"

_KEYRINGS = tuple(
    Path("/usr/share/keyrings") / f"debian-archive-keyring.{suffix}" for suffix in ("gpg", "pgp")
)
_URI_LINE = re.compile(
    r"^'(?P<uri>[^']+)' (?P<file>\S+) (?P<size>\d+) (?P<algorithm>\w+):(?P<digest>[0-9a-f]+)$"
)


@dataclass(slots=True, frozen=True)
class Package:
    """One package file as the signed index describes it: file name, size in bytes, digest in hexadecimal."""

    file: str
    size: int
    algorithm: str
    digest: str

    def is_in(self, folder: Path) -> bool:
        """Whether the folder holds this very file, by its size and digest."""
        path = folder / self.file
        if not path.is_file() or path.stat().st_size != self.size:
            return False
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, self.algorithm.lower()).hexdigest() == self.digest


def parse_uris(output: str) -> list[Package]:
    """The packages in the output of `apt-get --print-uris`; other lines are passed over."""
    found = filter(None, map(_URI_LINE.match, output.splitlines()))
    return [Package(m["file"], int(m["size"]), m["algorithm"], m["digest"]) for m in found]


def find_mirror(index_targets: str) -> str:
    """The Debian mirror among the repository URIs that the host's apt uses, one a line; "" if none is one.

    The archive proper ends with `/debian` by convention (`/debian-security` is another one); cloud images
    name a list of mirrors, `mirror+file:/…/debian.list`.
    """
    for uri in index_targets.splitlines():
        if re.search(r"/debian(\.list)?/*$", uri.strip()):
            return uri.strip().rstrip("/")
    return ""


def without_password(address: str) -> str:
    """The address as it may be shown: without the user name and password that it may carry."""
    return re.sub(r"//[^/]*@", "//", address)


class Apt:
    """An apt of our own: lists, archives and configuration live in one folder, the host's are not touched."""

    def __init__(self, folder: Path, mirror: str | None = None) -> None:
        self.folder = folder
        self.archives = folder / "archives"
        for tool in ("apt-get", "apt-cache", "apt-config", "dpkg-deb"):
            if shutil.which(tool) is None:
                raise RigError(
                    f"the guest rig is made of Debian packages and {tool} is not on this machine; "
                    f"build the rig on a Debian system and point SIOV_RIG to a copy of it"
                )
        self.mirror = mirror or os.environ.get("SIOV_DEBIAN_MIRROR", "").rstrip("/") or self._host_mirror()
        self._configure()

    def update(self) -> None:
        """Read the mirror's package lists, checked against Debian's signatures."""
        self._run("apt-get", "-qq", "update")

    def plan(self) -> list[Package]:
        """Every package of the rig, the kernel last, at the versions that the lists have now."""
        programs = parse_uris(self._run(*self._install, "--print-uris", *self._everything_anew).stdout)
        kernel = parse_uris(self._run("apt-get", "download", "--print-uris", self._kernel()).stdout)
        if not programs or len(kernel) != 1:
            raise RigError(f"apt found nothing to download for {', '.join(PROGRAMS)} and {KERNEL}")
        return [*programs, *kernel]

    def download(self, packages: Iterable[Package]) -> None:
        """Have all of the packages in `archives`, verified; what is there already is not fetched again."""
        wanted = list(packages)
        missing = [package for package in wanted if not package.is_in(self.archives)]
        for package in missing:
            (self.archives / package.file).unlink(missing_ok=True)
        kernel = wanted[-1]
        if any(package is not kernel for package in missing):
            self._run(*self._install, "--download-only")
        if kernel in missing:
            self._run("apt-get", "-qq", "download", self._kernel(), cwd=self.archives)
        for package in missing:
            if not package.is_in(self.archives):
                raise RigError(f"apt did not bring the {package.file} that the mirror's index describes")

    def keep_only(self, packages: Iterable[Package]) -> None:
        """Remove packages of earlier versions from `archives`."""
        names = {package.file for package in packages}
        for path in self.archives.glob("*.deb"):
            if path.name not in names:
                path.unlink()

    def unpack(self, packages: Iterable[Package], into: Path) -> None:
        """Unpack the files of the packages; no script of theirs is run."""
        into.mkdir(parents=True, exist_ok=True)
        for package in packages:
            self._run("dpkg-deb", "--extract", str(self.archives / package.file), str(into))

    @property
    def _install(self) -> list[str]:
        return ["apt-get", "-qq", "--yes", "--target-release", BACKPORTS, "install", *PROGRAMS]

    @property
    def _everything_anew(self) -> list[str]:
        """An empty archive folder: apt leaves out of its list what it has downloaded already."""
        empty = self.folder / "empty"
        (empty / "partial").mkdir(parents=True, exist_ok=True)
        return ["-o", f"Dir::Cache::archives={empty}"]

    def _kernel(self) -> str:
        """The package with the kernel itself: the one that the suite's meta-package depends on."""
        release = f"APT::Default-Release={SUITE}"
        shown = self._run("apt-cache", "-o", release, "--no-all-versions", "show", KERNEL)
        depends = re.search(r"^Depends: (linux-image-\S+)", shown.stdout, re.MULTILINE)
        if depends is None:
            raise RigError(f"{KERNEL} of {SUITE} names no kernel package in its dependencies")
        return depends[1]

    def _host_mirror(self) -> str:
        targets = subprocess.run(
            ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        mirror = find_mirror(targets.stdout)
        if not mirror:
            raise RigError(
                "this machine's apt names no Debian mirror; set SIOV_DEBIAN_MIRROR to the address of one"
            )
        return mirror

    def _configure(self) -> None:
        keyring = next((path for path in _KEYRINGS if path.exists()), None)
        if keyring is None:
            raise RigError(
                f"{_KEYRINGS[0]}, which the downloads are verified with, is not on this machine; "
                f"install the package debian-archive-keyring"
            )
        for part in ("lists/partial", "archives/partial"):
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        (self.folder / "status").write_text("")  # dpkg's: nothing is installed
        (self.folder / "sources.list").write_text(
            "".join(f"deb [signed-by={keyring}] {self.mirror} {suite} main\n" for suite in (SUITE, BACKPORTS))
        )
        host = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=False).stdout
        acquire = [line for line in host.splitlines() if line.startswith("Acquire::")]
        ours = {
            "Dir::State": self.folder,
            "Dir::State::lists": self.folder / "lists",
            "Dir::State::status": self.folder / "status",
            "Dir::Cache": self.folder,
            "Dir::Cache::archives": self.archives,
            "Dir::Etc::sourcelist": self.folder / "sources.list",
            # The host's hooks and preferences are meant for the host.
            **{f"Dir::Etc::{part}": "/dev/null" for part in ("main", "parts", "sourceparts")},
            **{f"Dir::Etc::{part}": "/dev/null" for part in ("preferences", "preferencesparts")},
            "APT::Architecture": ARCHITECTURE,
            "APT::Install-Recommends": 0,
            "APT::Sandbox::User": "root",  # apt's own user can't write into a user's folder
            "APT::Update::Error-Mode": "any",
            "Acquire::AllowInsecureRepositories": 0,
            "Acquire::ForceHash": "sha256",  # else --print-uris gives MD5 sums
            "Acquire::Languages": "none",
            "Debug::NoLocking": 1,  # the lock of the whole fetch covers it
        }
        settings = [f'{name} "{value}";' for name, value in ours.items()]
        lines = ["#clear APT::Architectures;", *acquire, *settings]
        (self.folder / "apt.conf").write_text("".join(f"{line}\n" for line in lines))

    def _run(self, *argv: str, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
        ours = {"LC_ALL": "C", "APT_CONFIG": str(self.folder / "apt.conf")}
        return run_tool(argv, env={**os.environ, **ours}, cwd=cwd)


def run_tool(
    argv: Sequence[str], env: dict[str, str] | None = None, cwd: Path | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run a tool to its end; one that fails is a RigError with the tool's first complaint."""
    done = subprocess.run(
        argv, env=env, cwd=cwd, capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode != 0:
        lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        told = next((line for line in lines if line.startswith("E: ")), lines[0] if lines else "no message")
        tool = Path(argv[0]).name
        raise RigError(f"{tool} ended with status {done.returncode}: {told.removeprefix('E: ')}")
    return done
