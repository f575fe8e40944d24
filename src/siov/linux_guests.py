"""A scenario's guests as QEMU machines with stock kernels, on the server's virtual devices over vfio-user."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from siov.errors import ScenarioError
from siov.guests.image import Rig
from siov.guests.machine import GuestSpec as MachineSpec
from siov.guests.qemu import Guest, GuestError
from siov.host.mdev import Mdevctl
from siov.scenario_guest import GuestSpec, TrafficSpec, VdevSpec, place_of
from siov.vfio_user import VfioUserSockets

log = logging.getLogger("siov")

LEAST_MEMORY = 256 << 20  # bytes; what embedded guests get by with boots no kernel
HEADERS = 14 + 20 + 8  # of Ethernet, IPv4, and UDP or ICMP: a scenario's sizes are those of frames
FIRST_PORT = 5201  # of the servers of iperf3, one for each traffic
SIZE = 1514
SETTLE = 30.0  # seconds beside the traffic's own time that a guest's script may take


@dataclass(slots=True, frozen=True)
class Interface:
    """A virtual device in a guest: its name in the scenario, its mdev type and UUID, and its address."""

    name: str
    type: str
    spec: VdevSpec
    uuid: str
    address: str


@dataclass(slots=True, frozen=True)
class Spoken:
    """What came of one traffic: a line for people, whether all went well, and the programs' own words."""

    spec: TrafficSpec
    verdict: str
    ok: bool
    details: dict[str, Any]


def check(guests: Sequence[GuestSpec], traffic: Sequence[TrafficSpec]) -> Rig:
    """The rig that they boot from; `SiovError` for what such guests can't do, before anything is made."""
    for spec in traffic:
        if spec.kind == "replay":
            raise ScenarioError(
                f"traffic from {spec.src} is a replay, which guests of QEMU can't do; they can stream,"
                " generate and request"
            )
    if not guests:
        raise ScenarioError("there is no guest for QEMU to boot; add [[guest]] to the scenario")
    for guest in guests:
        if not guest.vdevs:
            raise ScenarioError(f"{guest.name} has no vdevs; a guest of QEMU needs one to talk by")
    return Rig.find()


@dataclass(eq=False, repr=False)
class LinuxGuests:
    """Boots them on the sockets of `sockets`, which must be serving, and has them talk.

    A `stream` is TCP by iperf3, `generate` is UDP by iperf3 at the rate given (of 10,000 frames a second
    without one), and `request` is ping. Traffic with a count ends with it, else with the run.
    """

    mdev: Mdevctl
    sockets: VfioUserSockets
    parents: dict[str, str]  # the PCI name of each adapter, by its name in the scenario
    machines: dict[str, Guest] = field(default_factory=dict)
    interfaces: dict[tuple[str, int], Interface] = field(default_factory=dict)
    _undo: ExitStack = field(default_factory=ExitStack)

    def boot(self, guests: Sequence[GuestSpec], rig: Rig) -> None:
        """Make their devices, boot all at once, and bring interfaces up; nothing is left of a failure.

        The mdev type is that of a stock driver, ice-avf, in the size that the scenario says.
        """
        with ExitStack() as undo:
            undo.callback(self.machines.clear)
            undo.callback(self.interfaces.clear)
            for number, guest in enumerate(guests, start=1):
                for which, spec in enumerate(guest.vdevs):
                    interface = self._make(guest, which, spec, number)
                    undo.callback(self._remove, interface)
                sockets = tuple(Path(self.sockets.socket(one.uuid)) for one in self._of(guest.name))
                queues = max(vdev.queues or 1 for vdev in guest.vdevs)
                memory = max(guest.memory, LEAST_MEMORY) >> 20
                machine = Guest(MachineSpec(sockets=sockets, memory=memory, smp=min(queues, 4)), rig=rig)
                self.machines[guest.name] = machine
                undo.callback(machine.kill)
            self._all(lambda name: self._start(name))
            self._undo = undo.pop_all()

    def talk(self, traffic: Sequence[TrafficSpec], seconds: float) -> list[Spoken]:
        """Have them talk for so long at most; what came of each traffic, in the scenario's order."""
        self._all(lambda name: self._listen(name, traffic))
        by_sender = self._all(lambda name: self._speak(name, traffic, seconds))
        return [by_sender[place_of(spec.src)[0]][number] for number, spec in enumerate(traffic)]

    def close(self) -> None:
        """Power them off and remove their devices."""
        for name, machine in self.machines.items():
            try:
                machine.shutdown()
            except GuestError as why:
                log.warning("%s: %s", name, why)
        self._undo.close()

    def _make(self, guest: GuestSpec, which: int, spec: VdevSpec, number: int) -> Interface:
        if spec.parent not in self.parents:
            raise ScenarioError(f"{guest.name} has a device on {spec.parent}, which ice could not probe")
        kind = f"ice-{spec.type.replace('vdcm', 'avf')}"
        info = self.mdev.create(kind, spec.uuid, self.parents[spec.parent])
        interface = Interface(f"{guest.name}.{which}", kind, spec, info.uuid, f"10.{100 + which}.0.{number}")
        self.interfaces[guest.name, which] = interface
        return interface

    def _remove(self, interface: Interface) -> None:
        self.mdev.remove(interface.uuid, force=True)

    def _of(self, guest: str) -> list[Interface]:
        return [one for (name, _), one in self.interfaces.items() if name == guest]

    def _all(self, do: Any) -> dict[str, Any]:
        """Something for every guest, side by side; the first error after all have ended."""
        with ThreadPoolExecutor(max(1, len(self.machines)), "guest") as pool:
            jobs = {name: pool.submit(do, name) for name in self.machines}
        return {name: job.result() for name, job in jobs.items()}

    def _start(self, name: str) -> None:
        machine = self.machines[name]
        machine.start()
        machine.check("modprobe iavf", timeout=SETTLE)
        for which, interface in enumerate(self._of(name)):
            machine.check(_bring_up(which, interface), timeout=SETTLE)

    def _listen(self, name: str, traffic: Sequence[TrafficSpec]) -> None:
        ports = [
            FIRST_PORT + number
            for number, spec in enumerate(traffic)
            if place_of(spec.dst)[0] == name and spec.kind != "request"
        ]
        self.machines[name].check("\n".join(["true", *(f"iperf3 -s -D -p {port}" for port in ports)]))

    def _speak(self, name: str, traffic: Sequence[TrafficSpec], seconds: float) -> dict[int, Spoken]:
        mine = {n: spec for n, spec in enumerate(traffic) if place_of(spec.src)[0] == name}
        if not mine:
            return {}
        lines = [
            f"{self._program(n, spec, seconds)} >/tmp/traffic{n} 2>&1 & p{n}=$!" for n, spec in mine.items()
        ]
        lines += [f"wait $p{n}; echo $? >/tmp/status{n}" for n in mine]
        lines += [f"echo ==== {n} $(cat /tmp/status{n}); cat /tmp/traffic{n}" for n in mine]
        said = self.machines[name].check("\n".join(lines), timeout=seconds + SETTLE)
        parts = re.split(r"^==== (\d+) (\d+)\n", said, flags=re.MULTILINE)[1:]
        return {
            int(number): _spoken(traffic[int(number)], int(status), text)
            for number, status, text in zip(parts[::3], parts[1::3], parts[2::3], strict=True)
        }

    def _program(self, number: int, spec: TrafficSpec, seconds: float) -> str:
        place = place_of(spec.dst)
        if place not in self.interfaces:
            raise ScenarioError(f"traffic goes to {spec.dst}; there is {', '.join(_names(self.interfaces))}")
        to = self.interfaces[place].address
        size = max(spec.sizes or (SIZE,))
        within = max(1, round(seconds))
        if spec.kind == "request":
            count = f"-c {spec.count}" if spec.count else ""
            return f"ping -A -q -w {within} {count} -s {max(size - HEADERS, 16)} {to}"
        end = f"-n {spec.count * spec.flows}" if spec.count and spec.kind == "stream" else f"-t {within}"
        words = f"iperf3 -J -c {to} -p {FIRST_PORT + number} -P {min(spec.flows, 32)}"
        if spec.kind == "stream":
            return f"{words} {end}"
        payload = max(size - HEADERS, 16)
        if spec.count:
            end = f"-k {spec.count}"
        return f"{words} -u -l {payload} -b {(spec.rate or 10_000) * payload * 8} {end}"

    def inspect(self) -> dict[str, object]:
        """Each interface with its mdev and address."""
        return {one.name: {"mdev": one.uuid, "address": one.address} for one in self.interfaces.values()}


def _names(interfaces: dict[tuple[str, int], Interface]) -> Iterator[str]:
    return (one.name for one in interfaces.values())


def _bring_up(which: int, interface: Interface) -> str:
    """The script that sets the n-th interface up as the scenario says, and waits for its link."""
    spec, dev = interface.spec, f"eth{which}"
    lines = [
        f"for i in $(seq 200); do [ -e /sys/class/net/{dev} ] && break; usleep 50000; done",
        f"ethtool -G {dev} rx {spec.entries} tx {spec.entries} || true",
        f"ethtool -L {dev} combined {spec.queues} || true" if spec.queues else "",
        f"ip addr add {interface.address}/24 dev {dev}",
        f"ip link set {dev} up",
        f"ethtool -C {dev} rx-usecs {spec.itr} tx-usecs {spec.itr} || true",
        f'for i in $(seq 200); do [ "$(cat /sys/class/net/{dev}/carrier)" = 1 ] && break; usleep 50000; done',
        f"cat /sys/class/net/{dev}/carrier | grep -q 1",
    ]
    return "\n".join(filter(None, lines))


def _spoken(spec: TrafficSpec, status: int, text: str) -> Spoken:
    if spec.kind == "request":
        return _pinged(spec, status, text)
    try:
        said = json.loads(text[text.find("{") :])  # warnings may come before
    except ValueError:
        return Spoken(
            spec, text.strip().splitlines()[-1] if text.strip() else "iperf3 said nothing", False, {}
        )
    if "error" in said or status:
        return Spoken(spec, str(said.get("error", f"iperf3 ended with status {status}")), False, {})
    end = said["end"]
    if spec.kind == "stream":
        got = end["sum_received"]
        rate, again = got["bits_per_second"] / 1e6, end["sum_sent"].get("retransmits", 0)
        details = {"bytes": got["bytes"], "mbps": rate, "retransmits": again}
        return Spoken(spec, f"{rate:,.0f} Mbit/s, {again:,} segments sent again", got["bytes"] > 0, details)
    got = end["sum"]
    late = sum(stream["udp"].get("out_of_order", 0) for stream in end["streams"])
    details = {
        "frames": got["packets"],
        "lost": got["lost_packets"],
        "out_of_order": late,
        "mbps": got["bits_per_second"] / 1e6,
    }
    verdict = f"{got['packets']:,} datagrams, {got['lost_packets']:,} lost, {late:,} out of order"
    return Spoken(spec, verdict, not late, details)


def _pinged(spec: TrafficSpec, status: int, text: str) -> Spoken:
    counts = re.search(r"(\d+) packets transmitted, (\d+) packets received", text)
    times = re.search(r"= ([\d.]+)/([\d.]+)/([\d.]+) ms", text)
    if counts is None or times is None:
        return Spoken(spec, f"no answer (ping ended with status {status})", False, {})
    sent, answered = int(counts[1]), int(counts[2])
    least, mean, most = (float(time) for time in times.groups())
    details = {"sent": sent, "answered": answered, "min_ms": least, "avg_ms": mean, "max_ms": most}
    # The last may be under way when the time is over.
    verdict = f"{answered:,} of {sent:,} answered, in {mean:g} ms on average"
    return Spoken(spec, verdict, sent - answered <= 1, details)
