"""All that a server may hold for its virtual devices, to be compared before and after their lives."""

from __future__ import annotations

import os
import threading
from collections import Counter
from pathlib import Path

from .server import GuestServer

FIRMWARE = ("vsi", "rules", "resources", "scheduler_nodes", "txqueues", "held", "rss")


def holdings(server: GuestServer) -> dict[str, object]:
    """Memory by kind (page tables are kinds), numbers given out, vectors, entries, what firmware keeps."""
    platform, pf, iommu = server.platform, server.pf, server.iommu
    firmware = server.function.firmware.inspect()
    remapping = platform.irqs.remapper
    assert remapping is not None
    return {
        "memory": dict(server.mem.in_use),
        "pasids": sorted(platform.pasids.taken),
        "domain ids": sorted(iommu.dids.taken),
        "attached": sorted(map(str, iommu.attached)),
        "vectors": Counter(name for name, _ in platform.irqs.interrupts()),
        "eventfds connected": platform.irqs.inspect()["eventfds"],
        "remapping entries": len(remapping.owners),  # type: ignore[attr-defined]
        "msix": sorted(pf.irqs.msix),
        "ims": sorted(pf.irqs.ims),
        "vsis": sorted(pf.vsis),
        "tx queues": len(pf.avail_txq.free),
        "rx queues": len(pf.avail_rxq.free),
        "firmware": {name: firmware[name] for name in FIRMWARE},
        "mdevs": sorted(platform.sysfs.listdir("/sys/bus/mdev/devices")),
        "lines": sorted(pf.vdcm.messages.lines),  # type: ignore[union-attr]
        "guests": sorted(server.tenants.vms),
        "files": len(os.listdir("/proc/self/fd")),
        "threads": threading.active_count(),
        "kernel threads": len(os.listdir("/proc/self/task")),
    }


def difference(before: dict[str, object], after: dict[str, object]) -> dict[str, tuple[object, object]]:
    """What is not as it was: before and after, by name."""
    return {name: (before[name], after[name]) for name in before if before[name] != after[name]}


def rss() -> int:
    """Bytes of this process in memory."""
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
