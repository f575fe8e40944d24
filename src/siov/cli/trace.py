"""`siov trace`: the event trace of a running server, step by step."""

import argparse
import time
from collections.abc import Iterable
from typing import Any

from siov.cli.control import call, client, options, perform
from siov.observe.trace import Kind, Step, as_json, as_text

PAUSE = 0.2  # seconds between two looks while following
BATCH = 1000  # steps that are asked for at once


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the actions and their options."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    start = actions.add_parser("start", help="record steps from now on")
    start.add_argument("--capacity", type=int, metavar="N", help="keep the last N steps")
    start.set_defaults(action=_start)

    show = actions.add_parser("show", help="print what is recorded, one line a step")
    show.add_argument("--follow", "-f", action="store_true", help="go on with new steps, until Ctrl-C")
    show.add_argument("--after", type=int, metavar="N", help="only steps behind number N")
    show.set_defaults(action=_show)

    stop = actions.add_parser("stop", help="record no more; what is recorded stays")
    stop.set_defaults(action=_stop)

    kinds = ", ".join(kind.value for kind in Kind)
    for each in (start, show):
        each.add_argument("--kind", action="append", metavar="KIND", help=f"only {kinds}; may be repeated")
        each.add_argument(
            "--subject", action="append", metavar="PATTERN", help="only on such, as nic0/*; may be repeated"
        )
    for each in (start, show, stop):
        options(each)


def run(args: argparse.Namespace) -> int:
    """Run the chosen action."""
    status: int = args.action(args)
    return status


def _start(args: argparse.Namespace) -> int:
    begun = call("tracer.start", kinds=args.kind, subjects=args.subject, capacity=args.capacity)
    return perform(args, begun, lambda _: "")


def _stop(args: argparse.Namespace) -> int:
    return perform(args, call("tracer.stop"), lambda _: "")


def _show(args: argparse.Namespace) -> int:
    if args.python:
        print(_steps(args, args.after).python)
        return 0
    after: int = args.after or 0
    since: int | None = None
    with client(args) as server:
        while True:
            found = [_step(one) for one in server.call(_steps(args, after, BATCH))]
            if found:
                since = found[0].time if since is None else since
                after = found[-1].number
                print("\n".join(_lines(args, found, since)), flush=True)
            if len(found) < BATCH:
                if not args.follow:
                    return 0
                time.sleep(PAUSE)


def _steps(args: argparse.Namespace, after: int | None, limit: int | None = None) -> Any:
    return call("tracer.steps", after=after, limit=limit, kinds=args.kind, subjects=args.subject)


def _step(data: dict[str, Any]) -> Step:
    return Step(**{**data, "kind": Kind.named(data["kind"])})


def _lines(args: argparse.Namespace, steps: list[Step], since: int) -> Iterable[str]:
    if args.json:
        return as_json(steps)
    return as_text(steps, since=since)
