"""`siov top`: the live view of a running server, over its control socket, until Ctrl-C."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from siov.cli.control import client, control_option
from siov.cli.interrupts import ended_by_signals
from siov.control.client import ControlClient
from siov.errors import SiovError
from siov.observe.sample import Sampler
from siov.observe.shown import Shown


def configure(parser: argparse.ArgumentParser) -> None:
    """Which server, how often, and how it is shown."""
    control_option(parser)
    parser.add_argument(
        "--interval", type=float, default=1.0, metavar="SECONDS", help="between two looks (default: 1)"
    )
    parser.add_argument("--count", type=int, metavar="N", help="end after N looks")
    parser.add_argument("--plain", action="store_true", help="a line for each look instead of the view")


class _Remote:
    """A server's samples, one a call."""

    def __init__(self, server: ControlClient) -> None:
        self._server = server
        self.time = 0.0
        self.shown = Shown("", [], [], [], {}, [])

    def look(self) -> Mapping[str, int]:
        """Its counters; time and parts are those of the same moment."""
        told: dict[str, Any] = self._server.get("/sample")
        self.time, self.shown = told["time"], Shown.from_json(told["shown"])
        counters: dict[str, int] = told["counters"]
        return counters


def run(args: argparse.Namespace) -> int:
    """Show what comes until Ctrl-C, or so many looks."""
    if not 0.05 <= args.interval <= 3600:
        raise SiovError(f"--interval {args.interval:g}: 0.05 to 3600 seconds")
    if args.count is not None and args.count < 1:
        raise SiovError(f"--count {args.count}: at least 1")
    with client(args) as server, ended_by_signals():
        remote = _Remote(server)
        sampler = Sampler(remote.look, lambda: remote.time)
        sampler.take()
        if args.plain or not sys.stdout.isatty():
            from siov.cli.plain import PlainView

            _follow(args, sampler, PlainView(lambda: remote.shown, None, 0.0).show)
        else:
            from siov.cli.live import LiveView

            with LiveView(lambda: remote.shown, None) as view:
                _follow(args, sampler, view.show)
    return 0


def _follow(args: argparse.Namespace, sampler: Sampler, show: Callable[[Sampler], None]) -> None:
    done = 0
    while args.count is None or done < args.count:
        time.sleep(args.interval)
        sampler.take()
        show(sampler)
        done += 1
