"""What a run shows while it lasts (a live view, a line a second, nothing), and writes at its end."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from siov.cli.files import check_writable, write_whole
from siov.control.calls import plain
from siov.errors import SiovError
from siov.observe.sample import Sampler
from siov.observe.summary import Summary

if TYPE_CHECKING:
    from siov.platform import Platform


def configure(parser: argparse.ArgumentParser) -> None:
    """How a run is shown, and the files that it leaves."""
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was counted, for machines")
    parser.add_argument(
        "--report", type=Path, metavar="FILE", help="write a report with plots, as one HTML file"
    )
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument(
        "--plain", action="store_true", help="a line a second instead of the live view (for logs)"
    )
    shown.add_argument("--quiet", action="store_true", help="only the result")


def check(args: argparse.Namespace) -> None:
    """`SiovError` for a file that can't be written, before anything has begun."""
    files: dict[Path, str] = {}
    for option, path in (("--json", args.json), ("--report", args.report)):
        if path is None:
            continue
        check_writable(option, path)
        if (other := files.setdefault(path.resolve(), option)) != option:
            raise SiovError(f"{option} {path}: {other} writes there, too; name two files")


class Watching:
    """The sampler of a run and what shows its samples; a context around the run.

    `until` is when the run ends at the latest, in seconds.
    """

    def __init__(self, platform: Platform, args: argparse.Namespace, until: float) -> None:
        self.platform, self.args, self.until = platform, args, until
        self.sampler = Sampler.of(platform)
        self._stack = ExitStack()

    def __enter__(self) -> Watching:
        with ExitStack() as stack:
            if self.args.plain:
                from siov.cli.plain import PlainView

                self.sampler.on_sample = PlainView(self.platform, self.until).show
            elif not self.args.quiet and sys.stdout.isatty() and self.platform.tenants is not None:
                from siov.cli.live import LiveView

                view = stack.enter_context(LiveView(self.platform, self.until))
                self.sampler.on_sample = view.show
            stack.enter_context(self.sampler)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *what: Any) -> None:
        self._stack.__exit__(*what)

    def finish(
        self,
        seconds: float,
        results: Mapping[str, Mapping[str, Any]],
        changes: Mapping[str, int],
        events: Sequence[Mapping[str, Any]] = (),
    ) -> Summary:
        """Sum up a run that is over, and write what is to be written; each event has `seconds` and `what`."""
        summary = Summary.of(self.platform, self.sampler.series, results, changes, seconds, events)
        if self.args.json is not None:
            write_whole("--json", self.args.json, json.dumps(plain(summary.to_json()), indent=1) + "\n")
        if self.args.report is not None:
            from siov.observe.report import html

            write_whole("--report", self.args.report, html(summary))
        return summary


def limits_text(summary: Summary) -> str:
    """What limited the run, a line each."""
    return "\n".join(f"{one.what}: {one.why}" for one in summary.limits)


@contextmanager
def terminated() -> Iterator[None]:
    """SIGTERM ends the command as an exception does (status 143), so that nothing is left behind."""

    def end(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: Callable[..., Any] | int | None = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
