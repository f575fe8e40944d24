"""What the commands that ask a running server have in common: options, the call, and how it is shown."""

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from siov.control.calls import Call
from siov.control.client import ControlClient
from siov.control.socket import default_path

HELP = "default: siov/control.sock below $XDG_RUNTIME_DIR, or below /tmp"


def control_option(parser: argparse.ArgumentParser) -> None:
    """Which server."""
    parser.add_argument("--control", type=Path, metavar="PATH", help=f"the server's control socket ({HELP})")


def options(parser: argparse.ArgumentParser) -> None:
    """Which server, and how to show what it says."""
    control_option(parser)
    parser.add_argument("--json", action="store_true", help="for machines")
    parser.add_argument("--python", action="store_true", help="print the call in Python instead of making it")


def client(args: argparse.Namespace) -> ControlClient:
    """The server that the options name."""
    return ControlClient(args.control or default_path())


def perform(args: argparse.Namespace, call: Call, show: Callable[[Any], str]) -> int:
    """Make a call and show its result, or print it as Python; the exit status."""
    if args.python:
        print(call.python)
        return 0
    with client(args) as server:
        result = server.call(call)
    text = json.dumps(result) if args.json else show(result)
    if text:
        print(text.rstrip("\n"))
    return 0


def call(method: str, of: str | None = None, **args: Any) -> Call:
    """A call with those arguments that are given."""
    return Call(method, of, {name: value for name, value in args.items() if value is not None})


def columns(rows: Sequence[tuple[str, ...]]) -> str:
    """Rows with their columns below each other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)
