"""Measures how soon `siov` answers: `siov --help`, and `siov run` until the first frame is sent.

`.venv/bin/python tools/start_times.py [RUNS]` prints medians in seconds, by the clock and of processor time.
"""

import resource
import statistics
import subprocess
import sys
import time

HELP = "import sys; from siov.cli.main import main; main(['--help'])"
# What `siov run` does until a frame has been sent, then no more.
RUN = """
import os, sys, threading, time
from siov.cli import run
from siov.cli.main import main
from siov.observe.sample import adapters

def first(platform, *_):
    nics = adapters(platform).values()
    while not any(vsi["tx_frames"] for nic in nics for vsi in nic.inspect()["vsis"].values()):
        time.sleep(0.001)
    os._exit(0)

run._wait = first
main(["run"])
"""


def measure(script: str) -> tuple[float, float]:
    """Seconds by the clock, and of processor time, of one process."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-c", script], stdout=subprocess.DEVNULL, check=True)
    took, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return took, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print a line for each."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 11
    for name, script in (("siov --help", HELP), ("siov run, to the first frame", RUN)):
        measure(script)  # byte code and files come into caches
        clock, processor = zip(*(measure(script) for _ in range(runs)), strict=True)
        print(
            f"{name:<30} {statistics.median(clock):.2f} s by the clock, "
            f"{statistics.median(processor):.2f} s of processor time"
        )


if __name__ == "__main__":
    main()
