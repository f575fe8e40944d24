"""`siov run --guests qemu`: a scenario's guests as QEMU machines with stock kernels."""

from __future__ import annotations

import argparse
import tempfile
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from siov.cli.conclusion import conclude
from siov.cli.control import columns
from siov.cli.results import Results
from siov.cli.run_files import RunFiles
from siov.cli.watching import Watching
from siov.guests.image import Rig
from siov.linux_guests import LinuxGuests, Spoken
from siov.platform import Platform

TALK = 10.0  # seconds, unless the run's duration is given


def run(platform: Platform, rig: Rig, args: argparse.Namespace, files: RunFiles) -> int:
    """Boot the guests, have them talk, print; exit status 1 when one did not get what it should have."""
    scenario = platform.scenario
    seconds: float = TALK if args.duration is None else args.duration
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
        if not args.quiet:
            print(f"\nbooting {len(scenario.guest)} guests", flush=True)
        guests.boot(scenario.guest, rig)
        stack.callback(guests.close)
        if not args.quiet:
            print(f"\n{_devices(guests)}\n", flush=True)
        if files.pcap is not None:
            files.pcap.start(platform)
        counted = Results(platform)
        watch = Watching(platform, args, seconds)
        with watch:
            platform.start()
            spoken = guests.talk(scenario.traffic, seconds)
        more = {"traffic": [_machine(one) for one in spoken]}
        well = conclude(platform, counted.gather(), watch, files, _traffic(spoken), more)
        return int(not well or not all(one.ok for one in spoken))


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
