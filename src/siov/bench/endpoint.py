"""What a guest's register access costs on the way from the VMM to the device and back."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from siov._core import bench_endpoint

ROUNDS, EXCHANGES = 10, 2000


def measure(repeats: int) -> dict[str, list[float]]:
    """Microseconds of each repeat, by key.

    All threads share one processor, so that the endpoint and the raw exchange pay the same for waking each
    other. The keys ending in `_free` leave the choice to the scheduler, which may wake threads on an idle
    processor for one of the two kinds and not for the other.
    """
    found: dict[str, list[float]] = {}
    for _ in range(repeats):
        for suffix, one_cpu in (("", True), ("_free", False)):
            with tempfile.TemporaryDirectory() as folder:
                read, posted, raw = bench_endpoint(Path(folder) / "bench.sock", ROUNDS, EXCHANGES, one_cpu)
            for name, samples, percent in (
                ("read_us_p50", read, 50),
                ("read_us_p99", read, 99),
                ("posted_write_us_p50", posted, 50),
                ("raw_us_p50", raw, 50),
            ):
                found.setdefault(name + suffix, []).append(percentile(samples, percent) / 1000)
    return found


def percentile(samples: Sequence[float], percent: int) -> float:
    """The sample below which `percent` of them lie."""
    ordered = sorted(samples)
    return ordered[min(len(ordered) * percent // 100, len(ordered) - 1)]
