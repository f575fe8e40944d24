"""`siov run`: build a server from a scenario, boot it, let its guests talk, and show what happened."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from siov import linux_guests
from siov.cli import run_files, run_linux, scenario_args, watching
from siov.cli.conclusion import conclude
from siov.cli.guest_tables import devices, traffic
from siov.cli.interrupts import ended_by_signals
from siov.cli.limits import raise_file_limit
from siov.cli.machine_tables import enumerate_and_tell
from siov.cli.results import Results
from siov.cli.run_files import RunFiles
from siov.cli.watching import Watching
from siov.errors import SiovError
from siov.guests.image import Rig
from siov.platform import Platform, build
from siov.scenario import Scenario, parse_duration

MOST = 15.0  # seconds that a run lasts, unless all of it is done before
LONGEST = 86_400.0
LOOK = 0.05  # seconds between two looks whether it is


def configure(parser: argparse.ArgumentParser) -> None:
    """The scenario to run, for how long, how that is shown, and what to write."""
    scenario_args.configure(parser)
    parser.add_argument(
        "--duration",
        type=_duration,
        metavar="TIME",
        help="how long to run, such as 30s, 500ms or 2m "
        f"(default: until all traffic and events are done, at most {MOST:.0f}s)",
    )
    parser.add_argument(
        "--guests",
        choices=("embedded", "qemu"),
        default="embedded",
        help="what guests are: machines in this process, or stock Linux kernels in QEMU (default: embedded)",
    )
    parser.add_argument(
        "--virtual-time",
        action="store_true",
        help="seconds are the server's own: the same scenario and seed give the same numbers, bit for bit",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of what guests send (default: 0)")
    run_files.configure(parser)
    watching.configure(parser)


def run(args: argparse.Namespace) -> int:
    """Build, boot, run, print; exit status 1 when a guest received what it should not have."""
    if not 0 <= args.seed < 1 << 64:
        raise SiovError(f"--seed {args.seed}: 0 to 2^64 - 1")
    with ended_by_signals(), ExitStack() as stack:
        files = RunFiles.opened(args, stack)
        raise_file_limit()
        scenario = scenario_args.chosen(args)
        rig = _rig(args, scenario)
        platform = build(scenario, virtual_time=args.virtual_time, seed=args.seed)
        if files.trace is not None:
            files.trace.start(platform)
        told = enumerate_and_tell(platform)
        if not args.quiet:
            print(told, flush=True)
        with _unloaded(platform):
            if rig is not None:
                return run_linux.run(platform, rig, args, files)
            platform.boot_host()
            return _talk(platform, args, files)


@contextmanager
def _unloaded(platform: Platform) -> Iterator[None]:
    """A server that is unloaded afterwards, but for Ctrl-C: with the process, all of it ends."""
    try:
        yield
    except Exception:
        platform.unload()
        raise
    platform.unload()


def _rig(args: argparse.Namespace, scenario: Scenario) -> Rig | None:
    """What guests of QEMU boot from; None for embedded ones."""
    if args.guests == "embedded":
        return None
    if args.virtual_time:
        raise SiovError("--virtual-time is for embedded guests: QEMU goes by the wall's clock")
    return linux_guests.check(scenario.guest, scenario.traffic)


def _talk(platform: Platform, args: argparse.Namespace, files: RunFiles) -> int:
    """Let guests talk and events happen, then say what came of it."""
    tenants = platform.tenants
    if files.pcap is not None:
        files.pcap.start(platform)
    if tenants is not None and not args.quiet:
        print(f"\n{devices(tenants)}\n", flush=True)
    counted = Results(platform)
    watch = Watching(platform, args, MOST if args.duration is None else args.duration)
    with watch, platform:
        _wait(platform, args.duration, watch)
    found = counted.gather()
    said = traffic(tenants, found["guests"]) if tenants is not None else ""
    well = conclude(platform, found, watch, files, said)
    return int(not well or (tenants is not None and tenants.wrong > 0))


def _wait(platform: Platform, duration: float | None, watch: Watching) -> None:
    """Until the time is over or, unless it was given, until all is sent, answered and has happened."""
    end = platform.clock.now() + round((MOST if duration is None else duration) * 1e9)
    while (left := end - platform.clock.now()) > 0:
        if duration is None and platform.done:
            return
        platform.sleep(min(LOOK, left / 1e9))
        watch.look()


def _duration(text: str) -> float:
    try:
        seconds = parse_duration(_number(text))
    except ValueError as why:
        raise SiovError(f"--duration {text}: {why}") from None
    if not 0 < seconds <= LONGEST:
        raise SiovError(f"--duration {text}: more than 0 seconds, and at most a day")
    return seconds


def _number(text: str) -> object:
    """The number that a text is, else the text."""
    try:
        return float(text)
    except ValueError:
        return text
