"""What `siov run` tells of a machine before it runs: functions, their addresses, the enumeration."""

from __future__ import annotations

from collections import Counter

from siov.cli.pci_names import pci_names
from siov.host.lspci import Options, render
from siov.host.pci.probe import HostBridge
from siov.hw.pcie.tlp import Tlp
from siov.platform import Platform

UNITS = ((1 << 40, "T"), (1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K"))


def enumerate_and_tell(platform: Platform) -> str:
    """Have the host find every function; what it found, and what that took."""
    tlps: Counter[str] = Counter()
    platform.root_complex.trace = lambda _, tlp: tlps.update([_kind(tlp)])
    bridge = platform.enumerate()
    platform.root_complex.trace = None
    found = list(bridge.devices())
    bridges = sum(dev.is_bridge for dev in found)
    lines = [
        f"scenario {platform.scenario.name}: {len(found)} functions, {bridges} of them bridges\n",
        render(platform.lspci(), Options(names=pci_names(), tree=True, detail=1)),
        _addresses(bridge),
        *(f"note: {report}" for report in bridge.reports),
        _counts(tlps),
    ]
    return "\n".join(lines)


def size_text(size: int) -> str:
    """Bytes as lspci writes them: 64K, 1G."""
    return next((f"{size // unit}{letter}" for unit, letter in UNITS if size % unit == 0), str(size))


def _addresses(bridge: HostBridge) -> str:
    lines = [f"{'function':<14}{'resource':<15}{'size':>6}  address"]
    for dev in bridge.devices():
        for resource in (*dev.resources, *dev.windows):
            at = f"{resource.start:#x}" if resource.start is not None else "not assigned"
            lines.append(f"{dev.name:<14}{resource.name:<15}{size_text(resource.size):>6}  {at}")
    return "\n".join(lines) + "\n"


def _counts(tlps: Counter[str]) -> str:
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(tlps.items()))
    return f"enumeration took {sum(tlps.values())} TLPs at the root complex: {kinds}"


def _kind(tlp: Tlp) -> str:
    data = getattr(tlp, "data", b"")
    name = type(tlp).__name__
    return f"{name}{tlp.kind}" if hasattr(tlp, "kind") else "CplD" if name == "Cpl" and data else name
