"""`siov run`: build a server from a scenario, have its host enumerate it, and show what it found."""

import argparse
from collections import Counter
from pathlib import Path

from siov.cli.pci_names import pci_names
from siov.host.lspci import Options, render
from siov.host.pci.probe import HostBridge
from siov.hw.pcie.tlp import Tlp
from siov.platform import build
from siov.scenario import load

UNITS = ((1 << 40, "T"), (1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K"))


def configure(parser: argparse.ArgumentParser) -> None:
    """The scenario to run."""
    parser.add_argument("scenario", nargs="?", type=Path, help="a TOML file (default: the built-in scenario)")


def run(args: argparse.Namespace) -> int:
    """Build, enumerate, print the tree."""
    platform = build(load(args.scenario) if args.scenario else None)
    tlps: Counter[str] = Counter()
    platform.root_complex.trace = lambda _, tlp: tlps.update([_kind(tlp)])
    bridge = platform.enumerate()
    platform.root_complex.trace = None
    devices = list(bridge.devices())
    bridges = sum(dev.is_bridge for dev in devices)
    print(f"scenario {platform.scenario.name}: {len(devices)} functions, {bridges} of them bridges\n")
    print(render(platform.lspci(), Options(names=pci_names(), tree=True, detail=1)))
    print(_addresses(bridge))
    for report in bridge.reports:
        print(f"note: {report}")
    print(_counts(tlps))
    return 0


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
