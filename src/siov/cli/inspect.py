"""`siov inspect`: the state of a running server, or of the part that a path leads to."""

import argparse
import json

from siov.cli.control import call, options, perform


def configure(parser: argparse.ArgumentParser) -> None:
    """Which part."""
    options(parser)
    parser.add_argument("path", nargs="?", metavar="PATH", help="such as host/mdev (default: everything)")


def run(args: argparse.Namespace) -> int:
    """Print it, indented."""
    return perform(args, call("inspect", path=args.path), lambda tree: json.dumps(tree, indent=2))
