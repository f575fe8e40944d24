"""Two stock Linux guests on one wire: our virtual devices, or NICs that QEMU emulates."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from siov.guests.image import Rig
from siov.guests.machine import GuestSpec
from siov.guests.qemu import Guest, GuestError
from siov.platform import build
from siov.scenario import parse

# Kind -> the driver of its NIC in the guest, and QEMU's device; the first is ours, which QEMU has none of.
KINDS = {
    "siov": ("iavf", ""),
    "igb": ("igb", "igb"),
    "e1000e": ("e1000e", "e1000e"),
    "virtio": ("virtio_net", "virtio-net-pci"),
}
SUBNET = "10.77.0"
_BOOT, _PATIENCE = 180.0, 120.0  # seconds

_PORT = {"kind": "bridge", "to": "lan", "reflective_relay": True}
_SCENARIO = {
    "name": "vm-pair",
    "iommu": {},
    "root_port": [{"name": "rp0", "at": "01.0"}],
    "function": [
        {
            "name": "nic0",
            "behind": "rp0",
            "at": "00.0",
            "model": "e810",
            "nic": {"mac": "02:00:00:00:00:01", "ims": 64, "port": _PORT},
        }
    ],
}

_SET_UP = """
modprobe {module}
for n in $(seq 300); do [ -e /sys/class/net/eth0 ] && break; sleep 0.1; done
ip addr add {address}/24 dev eth0
ip link set eth0 up
for n in $(seq 300); do [ "$(cat /sys/class/net/eth0/carrier)" = 1 ] && exit; sleep 0.1; done
echo "eth0 has no carrier" >&2
exit 1
"""


@dataclass(slots=True, frozen=True)
class Pair:
    """Two guests that reach each other, the first at `address(0)`, and who else works for them."""

    kind: str
    guests: tuple[Guest, Guest]
    served_here: bool

    @staticmethod
    def address(number: int) -> str:
        """The IPv4 address of a guest."""
        return f"{SUBNET}.{number + 1}"

    def cpu_seconds(self) -> float:
        """Processor time that both guests, and the server of our devices, have used until now."""
        pids = [guest.pid for guest in self.guests] + ([os.getpid()] if self.served_here else [])
        return sum(map(_cpu_seconds, pids))

    def mbps(self, frm: int, seconds: int) -> float:
        """Megabits a second that one guest got of the other by TCP; `frm` is who sends."""
        sender, receiver = self.guests[frm], self.guests[1 - frm]
        receiver.check("iperf3 --server --one-off --daemon", _PATIENCE)
        target = self.address(1 - frm)
        text = sender.check(f"iperf3 --client {target} --time {seconds} --json", seconds + _PATIENCE)
        return received(text)

    def ping_ms(self, count: int) -> float:
        """The mean of so many round trips, in ms, five a second, the guests being idle."""
        self.guests[0].check(f"ping -c 2 {self.address(1)}", _PATIENCE)  # addresses are resolved
        text = self.guests[0].check(f"ping -c {count} -i 0.2 {self.address(1)}", count + _PATIENCE)
        return mean_of_ping(text)


@contextmanager
def pair(kind: str, rig: Rig | None = None) -> Iterator[Pair]:
    """Boot two guests with a NIC each: the same machine for every kind, and its driver's own defaults."""
    module, device = KINDS[kind]
    with tempfile.TemporaryDirectory(prefix="siov-pair-") as folder:
        wires = _served(Path(folder)) if kind == "siov" else nullcontext(_netdevs(Path(folder), device))
        with wires as specs:
            guests = (Guest(specs[0], rig=rig), Guest(specs[1], rig=rig))
            try:
                with ThreadPoolExecutor(2) as both:
                    list(both.map(_start, guests, [module] * 2, range(2)))
                yield Pair(kind, guests, kind == "siov")
            finally:
                for guest in guests:
                    guest.kill()


def _start(guest: Guest, module: str, number: int) -> None:
    guest.start(_BOOT)
    guest.check(_SET_UP.format(module=module, address=Pair.address(number)), _PATIENCE)


@contextmanager
def _served(folder: Path) -> Iterator[tuple[GuestSpec, GuestSpec]]:
    """A server in this process with two virtual devices of one adapter."""
    platform = build(parse(_SCENARIO, "vm-pair"))
    try:
        platform.boot()
        with platform:
            platform.serve_vfio_user(folder)
            try:
                first, second = (platform.mdev.create("ice-avf-1").uuid for _ in range(2))
                sockets = [Path(platform.vfio_user.socket(uuid)) for uuid in (first, second)]
                yield GuestSpec(sockets=(sockets[0],)), GuestSpec(sockets=(sockets[1],))
            finally:
                # While the server's threads run: what a client leaves behind is taken down with their help.
                platform.vfio_user.stop()
    finally:
        platform.unload()


def _netdevs(folder: Path, device: str) -> tuple[GuestSpec, GuestSpec]:
    """QEMU's fastest wire between two of its NICs: a stream socket, on which one listens."""
    path = folder / "wire.sock"
    ends: tuple[dict[str, object], ...] = (
        {"server": True},
        {"server": False, "reconnect-ms": 100},  # they boot at once: who listens may be there later
    )
    specs = []
    for number, end in enumerate(ends):
        netdev = {"type": "stream", "id": "net0", "addr": {"type": "unix", "path": str(path)}, **end}
        nic = {"driver": device, "netdev": "net0", "mac": f"52:54:00:00:00:0{number + 1}"}
        specs.append(GuestSpec(netdevs=(netdev,), devices=(json.dumps(nic),)))
    return specs[0], specs[1]


def received(text: str) -> float:
    """Megabits a second that iperf3's JSON says the other side received."""
    try:
        report = json.loads(text)
        return float(report["end"]["sum_received"]["bits_per_second"]) / 1e6
    except (ValueError, KeyError, TypeError) as why:
        raise GuestError(f"iperf3 in the guest did not measure: {text[:200]}") from why


def mean_of_ping(text: str) -> float:
    """The mean, in ms, that ping told last; nothing may be lost."""
    match = re.search(r"min/avg/max(?:/mdev)? = [0-9.]+/([0-9.]+)/", text)
    if match is None or not re.search(r"[ ,]0% packet loss", text):
        raise GuestError(f"ping in the guest lost something: {text[-200:]}")
    return float(match[1])


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
