"""The files that a run writes: each found out before it begins whether it can be."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from siov.cli.outputs import Output
from siov.cli.records import PcapFile, TraceFile
from siov.errors import SiovError

OPTIONS = {
    "json": "write what was counted, for machines",
    "report": "write a report with plots, as one HTML file",
    "pcap": "record the frames of all ports and VSIs, as pcapng",
    "trace": "record what the host does, step by step; JSON if the name ends in .json",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """An option for each."""
    for name, what in OPTIONS.items():
        parser.add_argument(f"--{name}", type=Path, metavar="FILE", help=what)


@dataclass(slots=True, frozen=True)
class RunFiles:
    """Those that were asked for."""

    json: Output | None = None
    report: Output | None = None
    pcap: PcapFile | None = None
    trace: TraceFile | None = None

    @classmethod
    def opened(cls, args: argparse.Namespace, stack: ExitStack) -> RunFiles:
        """All of them, until the stack is left; `SiovError` for one that can't be written, or two in one."""
        taken: dict[Path, str] = {}
        for name in OPTIONS:
            path: Path | None = getattr(args, name)
            special = path is not None and path.exists() and not path.is_file()
            if path is not None and not special and (other := taken.setdefault(path.resolve(), name)) != name:
                raise SiovError(f"--{name} {path}: --{other} writes there, too; name two files")
        enter = stack.enter_context
        return cls(
            enter(Output("--json", args.json)) if args.json else None,
            enter(Output("--report", args.report)) if args.report else None,
            enter(PcapFile(args.pcap)) if args.pcap else None,
            enter(TraceFile(args.trace)) if args.trace else None,
        )
