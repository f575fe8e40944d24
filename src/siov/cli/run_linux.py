"""`siov run --guests qemu`: a scenario's guests as QEMU machines with stock kernels."""

from __future__ import annotations

import json
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from siov.cli.control import columns
from siov.cli.outputs import Output
from siov.cli.records import PcapFile, told
from siov.cli.results import Results, events
from siov.guests.image import Rig
from siov.linux_guests import LinuxGuests, Spoken
from siov.observe.counters import explain, table
from siov.platform import Platform

TALK = 10.0  # seconds, unless the run's duration is given


def run(
    platform: Platform, rig: Rig, duration: float | None, result: Output | None, pcap: PcapFile | None
) -> int:
    """Boot the guests, have them talk, print; exit status 1 when one did not get what it should have."""
    scenario = platform.scenario
    with ExitStack() as stack:
        platform.load()
        platform.threads.start()
        stack.callback(platform.stop)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="siov-run-")))
        platform.serve_vfio_user(folder)
        stack.callback(platform.vfio_user.stop)
        assert platform.ice is not None, "vfio-user sockets are only made with adapters"
        parents = {name: pf.dev.name for name, pf in platform.ice.pfs.items()}
        guests = LinuxGuests(platform.mdev, platform.vfio_user, parents)
        print(f"\nbooting {len(scenario.guest)} guests", flush=True)
        guests.boot(scenario.guest, rig)
        stack.callback(guests.close)
        print(f"\n{_devices(guests)}\n", flush=True)
        if pcap is not None:
            pcap.start(platform)
        counted = Results(platform)
        platform.start()
        spoken = guests.talk(scenario.traffic, TALK if duration is None else duration)
        found = counted.gather()
        found["traffic"] = [_machine(one) for one in spoken]
        print(f"after {found['seconds']:.1f} s\n\n{_traffic(spoken)}\n")
        if found["events"]:
            print(f"{events(found['events'])}\n")
        print(table(explain(found["changes"])))
        if pcap is not None:
            print(f"\n{told(pcap.path, pcap.stop())}")
        if result is not None:
            result.write(json.dumps(found, indent=1) + "\n")
        failures = [*platform.threads.failures, *platform.events.failures]
        for why in failures:
            print(f"siov: {why}", file=sys.stderr)
        return int(bool(failures) or not all(one.ok for one in spoken))


def _devices(guests: LinuxGuests) -> str:
    rows = [("device", "mdev type", "adapter", "UUID", "address")]
    for one in guests.interfaces.values():
        rows.append((one.name, one.type, one.spec.parent, one.uuid, one.address))
    return columns(rows)


def _traffic(spoken: list[Spoken]) -> str:
    rows = [("traffic", "from", "to", "verdict")]
    rows += [(one.spec.kind, one.spec.src, one.spec.dst, one.verdict) for one in spoken]
    return columns(rows)


def _machine(one: Spoken) -> dict[str, object]:
    spec = one.spec
    return {"kind": spec.kind, "src": spec.src, "dst": spec.dst} | {
        key: value for key, value in asdict(one).items() if key != "spec"
    }
