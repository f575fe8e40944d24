"""The `siov` command: finds the subcommand, runs it, and tells errors in one line."""

import argparse
import importlib
import sys
from collections.abc import Sequence

from siov import __version__
from siov.errors import SiovError

# Subcommand -> (module under siov.cli, help). A module is imported only when its command is called,
# so that `siov --help` stays quick; it offers configure(parser) and run(args) -> exit status.
COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("run", "build a server from a scenario and show what it does"),
    "explain": ("explain", "show a translation step by step"),
    "lspci": ("lspci", "list the PCI functions of a server, in the format of pciutils"),
    "serve": ("serve", "keep a server running, and serve devices to VMMs on vfio-user sockets"),
    "top": ("top", "show live what each part of a running server does"),
    "mdev": ("mdev", "list, create and remove a running server's mediated devices"),
    "ethtool": ("ethtool", "show and change a running server's network interfaces, as ethtool does"),
    "bridge": ("bridge", "show or change an adapter's bridge mode, VEB or VEPA"),
    "inspect": ("inspect", "show the state of a running server, or a part of it by path"),
    "capture": ("capture", "record frames at VSIs and ports of a running server"),
    "trace": ("trace", "record and show what a running server does, step by step"),
    "sysfs": ("sysfs", "run a program such as mdevctl that sees a running server's sysfs as /sys"),
    "vm": ("vm", "fetch the guest rig, or run a Linux guest on a served device"),
    "bench": ("bench", "measure, and print medians as JSON"),
}


def build_parser(chosen: str | None) -> argparse.ArgumentParser:
    """The parser with every subcommand's name and help, and the options of the chosen one."""
    parser = argparse.ArgumentParser(
        prog="siov",
        description="One server's worth of Scalable I/O Virtualization hardware and host software.",
    )
    parser.add_argument("--version", action="version", version=f"siov {__version__}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (module, summary) in COMMANDS.items():
        sub = subparsers.add_parser(name, help=summary, description=summary)
        sub.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        if name == chosen:
            command = importlib.import_module(f"siov.cli.{module}")
            command.configure(sub)
            sub.set_defaults(run=command.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; the exit status is 0, 1 (the command's own no), 2 (bad input) or 130 (Ctrl-C)."""
    words = list(sys.argv[1:] if argv is None else argv)
    chosen = next((word for word in words if word in COMMANDS), None)
    debug = False
    try:
        args = build_parser(chosen).parse_args(words)
        debug = args.debug
        status: int = args.run(args)
        return status
    except SiovError as error:
        if debug:
            raise
        print(f"siov: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output went away, as `siov ... | head` does
        return 141


if __name__ == "__main__":
    sys.exit(main())
