"""`siov capture`: record frames at VSIs and ports of a running server."""

import argparse
from pathlib import Path
from typing import Any

from siov.cli.control import call, columns, options, perform


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the actions and their options."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    start = actions.add_parser("start", help="record into a pcapng file, and print what is recorded")
    start.add_argument("target", metavar="TARGET", help="nic0/vsi5, nic0/port0, a vdev's UUID; * for any")
    start.add_argument("path", metavar="FILE", type=Path, help="several targets may share one")
    start.add_argument(
        "--drops", action="store_true", help="also frames that did not pass, with the reason as a comment"
    )
    start.add_argument("--limit", type=int, metavar="BYTES", help="the file's greatest size (default: 1 GiB)")
    start.set_defaults(action=_start)

    found = actions.add_parser("list", help="list the captures that run")
    found.set_defaults(action=_list)

    stop = actions.add_parser("stop", help="end captures, and print what they have recorded")
    stop.add_argument("target", nargs="?", metavar="TARGET", help="as for start (default: all)")
    stop.add_argument("--file", type=Path, metavar="FILE", help="in this file only")
    stop.set_defaults(action=_stop)

    for each in (start, found, stop):
        options(each)


def run(args: argparse.Namespace) -> int:
    """Run the chosen action."""
    status: int = args.action(args)
    return status


def _start(args: argparse.Namespace) -> int:
    # The server has a working directory of its own.
    path = str(args.path.absolute())
    begun = call("capture.start", target=args.target, path=path, drops=args.drops or None, limit=args.limit)
    return perform(args, begun, _text)


def _list(args: argparse.Namespace) -> int:
    return perform(args, call("capture.list"), _text)


def _stop(args: argparse.Namespace) -> int:
    path = str(args.file.absolute()) if args.file else None
    return perform(args, call("capture.stop", target=args.target, path=path), _text)


def _text(infos: list[dict[str, Any]]) -> str:
    if not infos:
        return "no capture runs"
    head = ("target", "inbound", "outbound", "dropped", "file")
    names = ("target", "inbound", "outbound", "dropped", "path")
    return columns([head, *(tuple(str(info[name]) for name in names) for info in infos)])
