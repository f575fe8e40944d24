"""The real lspci, found and run."""

import difflib
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from hypothesis import HealthCheck, Phase, settings

from siov.errors import RigError
from siov.guests.image import Rig
from siov.host.lspci import PciFunctionView, load

VERSION = "3.13."
PCI_IDS = """\
1af4  Red Hat, Inc.
\t1041  Virtio 1.0 network device
\t1000  Virtio network device
\t\t1af4 0001  The "quoted" \\ board
8086  Intel Corporation
\t1889  Ethernet Adaptive Virtual Function
\t1592  Ethernet Controller E810-C for QSFP
\t\t8086 0001  Ethernet Network Adapter E810-C-Q1
C 01  Mass storage controller
\t01  IDE interface
\t08  Non-Volatile memory controller
\t\t02  NVM Express
C 02  Network controller
\t00  Ethernet controller
C 06  Bridge
\t04  PCI bridge
\t\t00  Normal decode
"""

once = settings(
    max_examples=20,
    deadline=None,
    phases=[phase for phase in Phase if phase is not Phase.explain],
    report_multiple_bugs=False,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)


class Lspci:
    """The real lspci and the names it is given."""

    def __init__(self, argv: Sequence[str], names: Path) -> None:
        self.names = load(names)
        self._argv = [*argv, "-i", str(names)]
        if "hwdb.disable" in self._run("-O", "help"):
            self._argv += ["-O", "hwdb.disable=1"]

    def _run(self, *options: str) -> str:
        done = subprocess.run([*self._argv, *options], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode("utf-8", "surrogateescape")

    def of_dump(self, dump: Path, *options: str) -> str:
        return self._run("-F", str(dump), *options)

    def of_sysfs(self, root: Path, *options: str) -> str:
        return self._run("-A", "linux-sysfs", "-O", f"sysfs.path={root}", *options)


def find_lspci() -> list[str] | str:
    """The command of lspci 3.13, out of the guest rig or installed; a sentence when there is none."""
    try:
        rig = Rig.find()
        told = rig.versions.get("pciutils", "missing").partition(":")[2]
        if told.startswith(VERSION):
            return rig.lspci_argv()
        reason = f"the guest rig's is {told}"
    except RigError as error:
        reason = str(error)
    if installed := shutil.which("lspci", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"):
        told = subprocess.run([installed, "--version"], capture_output=True, text=True, check=False).stdout
        if told.startswith(f"lspci version {VERSION}"):
            return [installed]
        reason += f"; {installed} is {told.strip() or 'broken'}"
    return f"there is no lspci {VERSION}x to compare with: {reason}"


def same(ours: str, theirs: str) -> None:
    """Fail with the lines that differ."""
    if ours != theirs:
        lines = difflib.unified_diff(
            theirs.split("\n"), ours.split("\n"), "lspci", "siov lspci", n=3, lineterm=""
        )
        raise AssertionError("\n".join([*lines][:40]))


def write_dump(path: Path, views: Sequence[PciFunctionView]) -> Path:
    with path.open("w") as file:
        for view in views:
            file.write(f"{view.address} \n")
            for at in range(0, len(view.config), 16):
                file.write(f"{at:02x}: {view.config[at : at + 16].hex(' ')}\n")
            file.write("\n")
    return path
