"""A whole server with embedded guests, that stands still until it is asked to work."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scapy.utils import PcapNgReader

from siov.drivers.ice.pf import IcePf
from siov.drivers.ice.vsi import Vsi
from siov.observe.trace import Step
from siov.platform import Platform, build
from siov.scenario import parse
from siov.tenants import SEED, Tenant

TURNS = 20_000  # of the guests' loop; who needs more makes no progress
QUIET = 3  # turns without work after which nothing is under way

MACHINE = """
name = "{name}"

[machine]
memory = "256M"

[iommu]
{iommu}

[[root_port]]
name = "rp0"
at = "01.0"

[[function]]
name = "nic0"
behind = "rp0"
model = "e810"
nic = {{ mac = "02:00:00:00:00:01", ims = 64, {nic} }}
"""
BRIDGE = 'port = { kind = "bridge", to = "b", reflective_relay = %s }'


@dataclass
class House:
    """A booted server with one adapter, nic0; `guests` gives the devices of each guest by its name."""

    platform: Platform

    @classmethod
    def build(cls, name: str, *, nic: str = "", iommu: str = "", more: str = "", **guests: str) -> House:
        """Not yet booted. Each guest's devices are tables of TOML, without their parent, as is all else."""
        text = MACHINE.format(name=name, nic=nic or BRIDGE % "true", iommu=iommu)
        for guest, devices in guests.items():
            vdevs = ", ".join(f'{{ parent = "nic0", {one} }}' for one in devices.split(";"))
            text += f'\n[[guest]]\nname = "{guest}"\nmemory = "16M"\nvdevs = [{vdevs}]\n'
        return cls(build(parse(tomllib.loads(text + more), name)))

    def boot(self) -> House:
        """Boot it, and wait until its guests have posted their buffers."""
        self.platform.boot()
        if self.platform.tenants is not None:
            self.run()
        return self

    @property
    def pf(self) -> IcePf:
        assert self.platform.ice is not None
        return self.platform.ice.pfs["nic0"]

    @property
    def nic(self) -> Any:
        return self.platform.functions["nic0"].device.engine

    @property
    def base(self) -> int:
        """Physical address of the function's BAR 0."""
        return self.pf.dev.bar(0).start

    def tenant(self, guest: str, number: int = 0) -> Tenant:
        assert self.platform.tenants is not None
        return self.platform.tenants.all[guest, number]

    def vsi(self, guest: str, number: int = 0) -> Vsi:
        """The VSI behind a guest's device."""
        device = self.platform.mdev.core.find(self.tenant(guest, number).uuid).ops
        return device.adi.vsi

    def send(self, src: str, dst: str, kind: str = "generate", **load: Any) -> None:
        """Have traffic go from one guest's device to another's, to its end.

        Receivers know a flow by its addresses and its kind, so the same load can't be sent again before they
        are restarted.
        """
        sender, receiver = self.tenant(src), self.tenant(dst)
        if kind in ("generate", "request"):
            load.setdefault("sizes", [64, 1518])
        sender.loop.send(sender.seat, kind, receiver.driver.mac, seed=SEED, **load)
        self.run()

    def restart(self, *guests: str) -> None:
        """Unload guests' drivers and load them again: they remember no flows."""
        for guest in guests:
            self.tenant(guest).stop()
            self.tenant(guest).start()

    def run(self) -> None:
        """Work until everything is sent and answered, and nothing is under way."""
        tenants, quiet = self.platform.tenants, 0
        assert tenants is not None
        for _ in range(TURNS):
            self.platform.pump()
            quiet = 0 if tenants.step() else quiet + 1
            if tenants.done and quiet >= QUIET:
                assert (tenants.wrong, tenants.failures) == (0, []), tenants.results()
                return
        raise AssertionError(f"{TURNS} turns were not enough: {tenants.results()}")

    def received(self, guest: str, number: int = 0) -> int:
        """Frames that came to a device whole and in order."""
        assert self.platform.tenants is not None
        found = self.platform.tenants.results()[f"{guest}.{number}"]["checked"]["in_order"]
        assert isinstance(found, int)
        return found

    def exits(self, guest: str) -> int:
        """VM exits of a guest while it moved frames."""
        assert self.platform.tenants is not None
        return int(self.platform.tenants.results()[f"{guest}.0"]["exits"])

    def hpa(self, guest: str, gva: int) -> int | None:
        """Where a guest's own page tables and its EPT lead, without the host's help."""
        return self.tenant(guest).vdev.guest.core.access(gva, "r").get("hpa")

    def ethtool(self, guest: str, words: str) -> str:
        """`ethtool` on a guest's device; `words` are the option and what follows the interface."""
        return self.platform.netdev(self.tenant(guest).uuid).ethtool(words.split())

    def counters(self, guest: str) -> dict[str, int]:
        """What `ethtool -S` says of a guest's device."""
        lines = self.ethtool(guest, "-S").splitlines()[1:]
        return {name.strip(): int(value) for name, value in (line.split(": ") for line in lines if line)}

    @contextmanager
    def steps(self, *kinds: str) -> Iterator[list[Step]]:
        """The trace of what is done within, afterwards."""
        found: list[Step] = []
        tracer = self.platform.tracer
        tracer.clear()
        tracer.start(kinds)
        try:
            yield found
        finally:
            tracer.stop()
            found += tracer.steps()

    @contextmanager
    def captured(self, target: str, path: Path, *, drops: bool = False) -> Iterator[list[bytes]]:
        """The frames at a VSI or port of what is done within, afterwards, read from the file by scapy."""
        frames: list[bytes] = []
        self.platform.capture.start(target, str(path), drops=drops)
        try:
            yield frames
        finally:
            self.platform.capture.stop(path=str(path))
            with PcapNgReader(str(path)) as reader:
                frames += [bytes(frame) for frame in reader]


def follow(steps: list[Step], *names: str) -> list[Step]:
    """The first step of each name behind the one before."""
    found, at = [], 0
    for name in names:
        at = next((n for n in range(at, len(steps)) if steps[n].what == name), -1) + 1
        assert at, f"no {name} behind {found[-1].what if found else 'the start'}"
        found.append(steps[at - 1])
    return found
