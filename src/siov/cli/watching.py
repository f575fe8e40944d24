"""What a run shows while it lasts: a live view, a line a second, or nothing."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from siov.observe.sample import Sampler
from siov.observe.shown import Shown

if TYPE_CHECKING:
    from siov.platform import Platform


def configure(parser: argparse.ArgumentParser) -> None:
    """How a run is shown."""
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument(
        "--plain", action="store_true", help="a line a second instead of the live view (for logs)"
    )
    shown.add_argument("--quiet", action="store_true", help="only the result")


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
            drawn = sys.stdout.isatty() and self.platform.tenants is not None and not self.args.quiet
            if self.args.plain or (drawn and os.environ.get("TERM", "dumb") == "dumb"):
                from siov.cli.plain import PlainView

                self.sampler.on_sample = PlainView(self._about, self.until).show
            elif drawn:
                from siov.cli.live import LiveView

                view = stack.enter_context(LiveView(self._about, self.until))
                self.sampler.on_sample = view.show
            if self.platform.virtual_time is None:
                stack.enter_context(self.sampler)
            else:
                stack.callback(self.sampler.take)
                self.sampler.take()
            self._stack = stack.pop_all()
        return self

    def _about(self) -> Shown:
        return Shown.of(self.platform)

    def __exit__(self, *what: Any) -> None:
        self._stack.__exit__(*what)

    @property
    def quiet(self) -> bool:
        """Whether only the result is asked for."""
        return bool(self.args.quiet)

    def look(self) -> None:
        """Take a sample if it is time: in virtual time no thread does, for it would not be the same twice."""
        if self.platform.virtual_time is not None:
            self.sampler.look_if_due()
