"""What a register access costs a guest's program: a virtual device's, doorbells both ways, and igb's."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from siov.bench.endpoint import percentile
from siov.errors import SiovError
from siov.guests.image import Rig
from siov.guests.qemu import Guest, GuestSpec
from siov.platform import Platform, build
from siov.scenario import parse
from siov.spec.vdev import AvfBar0

WAYS = ("trapped", "direct")
COUNT = 4000  # samples of each kind in each repeat
TOGETHER = 16  # accesses in a sample of what is quicker than a look at the clock
IGB = "0x8086:0x10c9"  # what QEMU's igb says it is
IGB_STATUS = 0x8  # its register that says whether there is a link
SCENARIO = {
    "name": "vm-mmio",
    "root_port": [{"name": "rp0", "at": "01.0"}],
    "function": [
        {"name": "nic0", "behind": "rp0", "model": "e810", "nic": {"mac": "02:00:00:00:00:01", "ims": 64}}
    ],
    "iommu": {},
}


@dataclass(slots=True, frozen=True)
class Access:
    """One kind: what is timed, of which device in the guest, where in its BAR 0, and how many at a time."""

    key: str
    slot: str
    kind: str
    offset: int
    together: int = 1


def measure(repeats: int) -> dict[str, list[float]]:
    """Microseconds as a program in a guest under emulation sees them, medians and 99th percentiles.

    `read` and `posted_write` are of a virtual device whose doorbells are trapped: VFGEN_RSTAT, and a tail.
    `direct_` are the same of one whose doorbells are direct; `direct_trapped_write` is a register of it that
    is trapped, and QEMU posts no writes of a device of which anything can be mapped. `igb_read` is the
    register STATUS of QEMU's own igb in the same guest, by the same program.
    """
    program = _compile()
    found: dict[str, list[float]] = {}
    with _server() as sockets, tempfile.TemporaryFile() as log:
        spec = GuestSpec(sockets=tuple(sockets), devices=("igb",))
        with Guest(spec, files={"/root/vm_mmio": program}, rig=Rig.find(), stderr=log) as guest:
            igb = _find(guest, IGB)
            accesses = _accesses("0000:01:00.0", "0000:02:00.0", igb)
            for slot in dict.fromkeys(access.slot for access in accesses):
                guest.check(f"echo 1 > /sys/bus/pci/devices/{slot}/enable")
            for _ in range(repeats):
                for access in accesses:
                    _keep(found, access.key, _time(guest, access))
    return found


def _accesses(trapped: str, direct: str, igb: str) -> list[Access]:
    bar0 = AvfBar0
    return [
        Access("read", trapped, "r", bar0.VFGEN_RSTAT.at),
        Access("posted_write", trapped, "w", bar0.QTX_TAIL1.at),
        Access("direct_read", direct, "r", bar0.VFGEN_RSTAT.at),
        Access("direct_write", direct, "w", bar0.QTX_TAIL1.at, TOGETHER),
        Access("direct_trapped_write", direct, "w", bar0.VFINT_ITR01.at),
        Access("igb_read", igb, "r", IGB_STATUS, TOGETHER),
    ]


def _time(guest: Guest, access: Access) -> list[float]:
    path = f"/sys/bus/pci/devices/{access.slot}/resource0"
    arrive = f" {AvfBar0.VFGEN_RSTAT.at:#x}" if access.kind == "w" else ""
    command = f"/root/vm_mmio {path} {access.kind} {access.offset:#x} {COUNT} {access.together}{arrive}"
    return [float(line) for line in guest.check(command, timeout=300).split()]


def _keep(found: dict[str, list[float]], name: str, times: list[float]) -> None:
    for percent in (50, 99):
        found.setdefault(f"{name}_us_p{percent}", []).append(percentile(times, percent) / 1000)


def _find(guest: Guest, name: str) -> str:
    """The place of the guest's device with this vendor and device id."""
    script = 'for d in /sys/bus/pci/devices/*; do echo "${d##*/} $(cat $d/vendor):$(cat $d/device)"; done'
    slots = [line.split()[0] for line in guest.check(script).splitlines() if line.endswith(f" {name}")]
    if not slots:
        raise SiovError(f"the guest has no device {name}; this QEMU has no igb")
    return slots[0]


def _compile() -> bytes:
    """The program for the guest, which has no libraries for it."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise SiovError("siov bench vm-mmio needs a C compiler, cc, for its program in the guest")
    with (
        tempfile.TemporaryDirectory() as folder,
        resources.as_file(resources.files("siov.bench").joinpath("vm_mmio.c")) as source,
    ):
        program = Path(folder) / "vm_mmio"
        done = subprocess.run(
            [compiler, "-static", "-O2", "-o", program, source], capture_output=True, text=True, check=False
        )
        if done.returncode:
            why = (done.stderr.strip().splitlines() or ["it does not say why"])[-1]
            raise SiovError(f"siov bench vm-mmio needs a C compiler that can link statically: {why}")
        return program.read_bytes()


@contextmanager
def _server() -> Iterator[list[Path]]:
    """A server with two virtual devices: doorbells trapped, and direct."""
    platform: Platform = build(parse(SCENARIO, "bench"))
    with tempfile.TemporaryDirectory(prefix="siov-") as folder:
        try:
            platform.boot()
            with platform:
                platform.serve_vfio_user(Path(folder))
                made = [platform.mdev.create("ice-avf-1", attrs=[f"doorbells={way}"]) for way in WAYS]
                try:
                    yield [Path(platform.vfio_user.socket(mdev.uuid)) for mdev in made]
                finally:
                    platform.vfio_user.stop()
        finally:
            platform.unload()
