"""`siov bench NAME`: measure, print a table, and with --json one JSON object on the last line.

The object has the median of each key, and under `each` the value of every repeat.
"""

import argparse
import importlib
import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path

from siov.cli.limits import raise_file_limit
from siov.errors import SiovError

# Name -> what it measures. The module siov.bench.NAME, with _ for -, has
# `measure(repeats) -> {key: [a value each repeat]}`.
BENCHES = {
    "datapath": "frames between VSIs a second: fetch, translate, switch, receive, write back",
    "endpoint": "register reads and posted writes over vfio-user, beside a bare socket exchange",
    "scale": "up to 4,096 virtual devices: seconds to make them, memory of each, frames a second among them",
    "virtchnl": "round trips of messages to the PF among 100 busy virtual devices, and beside a flood",
    "vm-mmio": "register accesses of a QEMU guest: a virtual device's, doorbells both ways, and igb's",
    "translate": "IOTLB hits, nested and legacy walks of the remapping unit a second",
    "vm-tcp": "TCP and ping between two Linux guests, over virtual devices and over NICs that QEMU emulates",
}
# Those that take long have fewer repeats.
REPEATS = {"vm-tcp": 3}


def configure(parser: argparse.ArgumentParser) -> None:
    """Which measurement, how often, and how to print it."""
    choices = "; ".join(f"{name}: {what}" for name, what in BENCHES.items())
    parser.add_argument("name", choices=list(BENCHES), metavar="NAME", help=choices)
    parser.add_argument("--json", action="store_true", help="end with one JSON object on one line")
    parser.add_argument(
        "--repeats",
        "--rounds",
        type=_positive,
        help="how often; medians are told (default: 5, vm-tcp 3)",
    )
    parser.add_argument(
        "--seconds", type=_positive, metavar="S", help="for each measurement of vm-tcp (default: 10)"
    )


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    raise_file_limit()
    repeats = args.repeats or REPEATS.get(args.name, 5)
    options = {} if args.seconds is None else {"seconds": args.seconds}
    if options and args.name != "vm-tcp":
        raise SiovError(f"--seconds is of vm-tcp; {args.name} takes as long as it takes")
    module = importlib.import_module(f"siov.bench.{args.name.replace('-', '_')}")
    values: dict[str, list[float]] = module.measure(repeats, **options)
    medians = {key: median(each) for key, each in values.items()}
    for key, value in medians.items():
        print(f"{key:28}{value:12.3f}   ({min(values[key]):.3f} to {max(values[key]):.3f})")
    if args.json:
        told = {"name": args.name, "machine": machine(), "repeats": repeats, **nested(medians)}
        print(json.dumps(told | {"each": values}))
    return 0


def nested(values: dict[str, float]) -> dict[str, object]:
    """Keys such as "at_16.create_s" as objects in an object."""
    found: dict[str, object] = {}
    for key, value in values.items():
        outer, dot, inner = key.partition(".")
        if dot:
            group = found.setdefault(outer, {})
            assert isinstance(group, dict)
            group[inner] = value
        else:
            found[key] = value
    return found


def median(values: Sequence[float]) -> float:
    """The middle value, the lower of the two middle ones where there are two."""
    return sorted(values)[(len(values) - 1) // 2]


def machine() -> dict[str, object]:
    """What was measured on: processor, cores, kernel."""
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return {
        "cpu": names[0] if names else platform.machine(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
    }


def _positive(text: str) -> int:
    value = int(text) if text.isdigit() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 on")
    return value
