"""The scenario that a command is about: a file, or the one that comes along, with keys set by `--set`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from siov.scenario import Scenario


def configure(
    parser: argparse.ArgumentParser, summary: str = "a TOML file (default: the built-in scenario)"
) -> None:
    """Add the file and `--set`."""
    parser.add_argument("scenario", nargs="?", type=Path, help=summary)
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="set a key of the scenario, such as iommu.iotlb.sets=8 or nic0.nic.atc=off; may be repeated",
    )


def chosen(args: argparse.Namespace) -> Scenario:
    """The scenario as it is to be; `ScenarioError` names the file or setting, the key, what is allowed."""
    # Not before it is needed, so that help is quick.
    from siov.platform import BUILT_IN
    from siov.scenario import parse, read
    from siov.scenario_set import apply

    path: Path = args.scenario or BUILT_IN
    source = str(args.scenario or "the built-in scenario")
    if args.set:
        source += " with --set"
    return parse(apply(read(path), args.set), source)
