"""`siov run`: build a server from a scenario, boot it, let its guests talk, and show what happened."""

import argparse
import json
import sys
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from siov import linux_guests
from siov.cli import run_linux, scenario_args
from siov.cli.guest_tables import devices, traffic
from siov.cli.limits import raise_file_limit
from siov.cli.outputs import Output
from siov.cli.pci_names import pci_names
from siov.cli.records import PcapFile, TraceFile, told
from siov.cli.results import Results, events
from siov.errors import SiovError
from siov.guests.image import Rig
from siov.host.lspci import Options, render
from siov.host.pci.probe import HostBridge
from siov.hw.pcie.tlp import Tlp
from siov.observe.counters import explain, table
from siov.platform import Platform, build
from siov.scenario import Scenario, parse_duration

UNITS = ((1 << 40, "T"), (1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K"))
MOST = 15.0  # seconds that a run lasts, unless all of it is done before
LONGEST = 86_400.0
LOOK = 0.05  # seconds between two looks whether it is


def configure(parser: argparse.ArgumentParser) -> None:
    """The scenario to run, for how long, and what to write."""
    scenario_args.configure(parser)
    parser.add_argument(
        "--duration",
        type=_duration,
        metavar="TIME",
        help="how long to run, such as 30s, 500ms or 2m "
        f"(default: until all traffic and events are done, at most {MOST:.0f}s)",
    )
    for option, what in (
        ("--json", "write what was counted, for machines"),
        ("--pcap", "record the frames of all ports and VSIs, as pcapng"),
        ("--trace", "record what the host does, step by step; JSON if the name ends in .json"),
    ):
        parser.add_argument(option, type=Path, metavar="FILE", help=what)
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


def run(args: argparse.Namespace) -> int:
    """Build, boot, run, print; exit status 1 when a guest received what it should not have."""
    if not 0 <= args.seed < 1 << 64:
        raise SiovError(f"--seed {args.seed}: 0 to 2^64 - 1")
    with ExitStack() as files:
        # Whatever can't be written is told before anything is built.
        result = files.enter_context(Output("--json", args.json)) if args.json else None
        pcap = files.enter_context(PcapFile(args.pcap)) if args.pcap else None
        trace = files.enter_context(TraceFile(args.trace)) if args.trace else None
        raise_file_limit()
        scenario = scenario_args.chosen(args)
        rig = _rig(args, scenario)
        platform = build(scenario, virtual_time=args.virtual_time, seed=args.seed)
        if trace is not None:
            trace.start(platform)
        tlps: Counter[str] = Counter()
        platform.root_complex.trace = lambda _, tlp: tlps.update([_kind(tlp)])
        bridge = platform.enumerate()
        platform.root_complex.trace = None
        _show_machine(platform, bridge, tlps)
        try:
            if rig is not None:
                return run_linux.run(platform, rig, args.duration, result, pcap)
            platform.boot_host()
            if pcap is not None:
                pcap.start(platform)
            return _talk(platform, args.duration, result, pcap)
        finally:
            platform.unload()


def _rig(args: argparse.Namespace, scenario: Scenario) -> Rig | None:
    """What guests of QEMU boot from; None for embedded ones."""
    if args.guests == "embedded":
        return None
    if args.virtual_time:
        raise SiovError("--virtual-time is for embedded guests: QEMU goes by the wall's clock")
    return linux_guests.check(scenario.guest, scenario.traffic)


def _show_machine(platform: Platform, bridge: HostBridge, tlps: Counter[str]) -> None:
    found = list(bridge.devices())
    bridges = sum(dev.is_bridge for dev in found)
    print(f"scenario {platform.scenario.name}: {len(found)} functions, {bridges} of them bridges\n")
    print(render(platform.lspci(), Options(names=pci_names(), tree=True, detail=1)))
    print(_addresses(bridge))
    for report in bridge.reports:
        print(f"note: {report}")
    print(_counts(tlps), flush=True)


def _talk(platform: Platform, duration: float | None, result: Output | None, pcap: PcapFile | None) -> int:
    """Let guests talk and events happen, then say what came of it."""
    tenants = platform.tenants
    if tenants is not None:
        print(f"\n{devices(tenants)}\n", flush=True)
    counted = Results(platform)
    with platform:
        _wait(platform, duration)
    found = counted.gather()
    if tenants is not None:
        print(f"after {found['seconds']:.1f} s\n\n{traffic(tenants, found['guests'])}\n")
    if found["events"]:
        print(f"{events(found['events'])}\n")
    if tenants is not None or found["events"]:
        print(table(explain(found["changes"])))
    if pcap is not None:
        print(f"\n{told(pcap.path, pcap.stop())}")
    if result is not None:
        result.write(json.dumps(found, indent=1) + "\n")
    failures = [*platform.threads.failures, *platform.events.failures]
    if tenants is not None:
        failures += tenants.failures
    for why in failures:
        print(f"siov: {why}", file=sys.stderr)
    return int(bool(failures) or (tenants is not None and tenants.wrong > 0))


def _wait(platform: Platform, duration: float | None) -> None:
    """Until the time is over or, unless it was given, until all is sent, answered and has happened."""
    end = platform.clock.now() + round((MOST if duration is None else duration) * 1e9)
    while (left := end - platform.clock.now()) > 0:
        if duration is None and platform.done:
            return
        platform.sleep(min(LOOK, left / 1e9))


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


def _addresses(bridge: HostBridge) -> str:
    lines = [f"{'function':<14}{'resource':<15}{'size':>6}  address"]
    for dev in bridge.devices():
        for resource in (*dev.resources, *dev.windows):
            at = f"{resource.start:#x}" if resource.start is not None else "not assigned"
            lines.append(f"{dev.name:<14}{resource.name:<15}{size_text(resource.size):>6}  {at}")
    return "\n".join(lines) + "\n"


def size_text(size: int) -> str:
    """Bytes as lspci writes them: 64K, 1G."""
    return next((f"{size // unit}{letter}" for unit, letter in UNITS if size % unit == 0), str(size))


def _counts(tlps: Counter[str]) -> str:
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(tlps.items()))
    return f"enumeration took {sum(tlps.values())} TLPs at the root complex: {kinds}"


def _kind(tlp: Tlp) -> str:
    data = getattr(tlp, "data", b"")
    name = type(tlp).__name__
    return f"{name}{tlp.kind}" if hasattr(tlp, "kind") else "CplD" if name == "Cpl" and data else name
