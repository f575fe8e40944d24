"""`siov run`: build a server from a scenario, boot it, let its guests talk, and show what happened."""

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

from siov.cli import watching
from siov.cli.guest_tables import devices, traffic
from siov.cli.limits import raise_file_limit
from siov.cli.pci_names import pci_names
from siov.errors import SiovError
from siov.host.lspci import Options, render
from siov.host.pci.probe import HostBridge
from siov.hw.pcie.tlp import Tlp
from siov.observe.counters import Snapshot, explain, table
from siov.platform import Platform, build
from siov.scenario import load
from siov.tenants import Tenants

UNITS = ((1 << 40, "T"), (1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K"))
MOST = 15.0  # seconds that guests talk, unless all of it is done before
LOOK = 0.05  # seconds between two looks whether it is


def configure(parser: argparse.ArgumentParser) -> None:
    """The scenario to run, and for how long."""
    parser.add_argument("scenario", nargs="?", type=Path, help="a TOML file (default: the built-in scenario)")
    parser.add_argument(
        "--duration",
        type=float,
        metavar="SECONDS",
        help=f"how long guests talk (default: until all traffic is done, at most {MOST:.0f})",
    )
    watching.configure(parser)


def run(args: argparse.Namespace) -> int:
    """Build, boot, talk, print; exit status 1 when a guest received what it should not have."""
    if args.duration is not None and not 0 < args.duration <= 86_400:
        raise SiovError(f"--duration {args.duration:g}: more than 0 seconds, and at most a day")
    watching.check(args)
    raise_file_limit()
    platform = build(load(args.scenario) if args.scenario else None)
    tlps: Counter[str] = Counter()
    platform.root_complex.trace = lambda _, tlp: tlps.update([_kind(tlp)])
    bridge = platform.enumerate()
    platform.root_complex.trace = None
    if not args.quiet:
        _show_machine(platform, bridge, tlps)
    with watching.terminated():
        try:
            platform.boot_host()
            return _talk(platform, args) if platform.tenants is not None else 0
        finally:
            platform.unload()


def _show_machine(platform: Platform, bridge: HostBridge, tlps: Counter[str]) -> None:
    found = list(bridge.devices())
    bridges = sum(dev.is_bridge for dev in found)
    print(f"scenario {platform.scenario.name}: {len(found)} functions, {bridges} of them bridges\n")
    print(render(platform.lspci(), Options(names=pci_names(), tree=True, detail=1)))
    print(_addresses(bridge))
    for report in bridge.reports:
        print(f"note: {report}")
    print(_counts(tlps), flush=True)


def _talk(platform: Platform, args: argparse.Namespace) -> int:
    tenants = platform.tenants
    assert tenants is not None
    if not args.quiet:
        print(f"\n{devices(tenants)}\n", flush=True)
    before = Snapshot.of(platform.inspect())
    began = time.monotonic()
    watch = watching.Watching(platform, args, MOST if args.duration is None else args.duration)
    with watch, platform:
        _wait(tenants, args.duration)
    took = time.monotonic() - began
    changes = Snapshot.of(platform.inspect()).since(before)
    results = tenants.results()
    summary = watch.finish(took, results, changes)
    print(f"after {took:.1f} s\n\n{traffic(tenants, results)}\n")
    if not args.quiet:
        print(f"{table(explain(changes))}\n")
    print(f"what limited it\n{watching.limits_text(summary)}")
    for why in (*tenants.failures, *platform.threads.failures):
        print(f"siov: {why}", file=sys.stderr)
    return int(tenants.wrong > 0 or bool(tenants.failures))


def _wait(tenants: Tenants, duration: float | None) -> None:
    """Let the guests talk until the time is over or, unless it was given, until all is sent and answered."""
    end = time.monotonic() + (MOST if duration is None else duration)
    while (left := end - time.monotonic()) > 0:
        if duration is None and tenants.done:
            return
        time.sleep(min(LOOK, left))


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
