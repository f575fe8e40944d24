"""What a run records while it goes on: frames into a pcapng file, the host's steps into a text file."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType

from siov.cli.outputs import Output
from siov.errors import SiovError
from siov.observe.capture import CaptureInfo
from siov.observe.trace import Step, as_json, as_text
from siov.platform import Platform

EVERYWHERE = "*"  # every port and every VSI that there is


class TraceFile:
    """The trace of a server, a line a step: text, or JSON when the file's name ends in .json or .jsonl.

    Within a `with`; at its end, however that comes, the file is in place with all steps until then.
    """

    def __init__(self, path: Path) -> None:
        self.output = Output("--trace", path)
        self._json = path.suffix in (".json", ".jsonl")
        self._since: int | None = None
        self._platform: Platform | None = None
        self._refused: SiovError | None = None

    def __enter__(self) -> TraceFile:
        self.output.__enter__()
        return self

    def start(self, platform: Platform) -> None:
        """Record from now on."""
        self._platform = platform
        platform.tracer.sink = self._take
        platform.tracer.start()

    def __exit__(
        self, kind: type[BaseException] | None, why: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._platform is not None:
                self._platform.tracer.stop()
                self._platform.tracer.sink = None
                if self._refused is None:
                    self.output.write()
                elif kind is None:
                    raise self._refused
        finally:
            self.output.__exit__(kind, why, trace)

    def _take(self, step: Step) -> None:
        # A disk that is full must not get between the host and what it does.
        if self._refused is not None:
            return
        self._since = step.time if self._since is None else self._since
        lines = as_json([step]) if self._json else as_text([step], since=self._since)
        try:
            self.output.append("".join(f"{line}\n" for line in lines))
        except SiovError as why:
            self._refused = why


class PcapFile:
    """A capture of all that passes ports and VSIs; the file is whole whenever somebody looks."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._platform: Platform | None = None

    def __enter__(self) -> PcapFile:
        """Find out whether there can be such a file; an old one stays as it is until `start`."""
        with Output("--pcap", self.path):
            if self.path.exists() and not (self.path.is_file() and os.access(self.path, os.W_OK)):
                raise SiovError(f"--pcap {self.path}: can't be written: it must be a regular file of ours")
        return self

    def start(self, platform: Platform) -> None:
        """Record from now on; `CaptureError` when there is nothing to capture at."""
        self._platform = platform
        platform.capture.start(EVERYWHERE, str(self.path))

    def __exit__(self, *what: object) -> None:
        self.stop()

    def stop(self) -> list[CaptureInfo]:
        """Record no more; what was recorded, nothing the second time."""
        platform, self._platform = self._platform, None
        return list(platform.capture.stop(path=str(self.path))) if platform is not None else []


def told(path: Path, infos: list[CaptureInfo]) -> str:
    """What a capture has recorded, in a sentence."""
    frames = sum(info.inbound + info.outbound for info in infos)
    dropped = sum(info.dropped for info in infos)
    places = f"{len(infos)} ports and VSIs"
    more = f", and had no room for {dropped:,}" if dropped else ""
    return f"{path} has {frames:,} frames of {places}{more}"
