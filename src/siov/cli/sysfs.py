"""`siov sysfs`: run a program that sees a running server's sysfs as /sys, such as mdevctl or ls."""

import argparse

from siov.cli.control import client, control_option
from siov.control import fuse
from siov.control.calls import Call
from siov.control.client import RemoteSysfs


def configure(parser: argparse.ArgumentParser) -> None:
    """Which server, and which program."""
    control_option(parser)
    parser.add_argument("program", metavar="PROGRAM", help="what to run")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="ARGUMENT", help="its arguments")


def run(args: argparse.Namespace) -> int:
    """Run it; its exit status, or 128 and the number of the signal that ended it."""
    with client(args) as server:
        server.call(Call("sysfs.lstat", None, {"path": "/sys"}))  # when there is no server, say so before
        status = fuse.run(RemoteSysfs(server), [args.program, *args.arguments])
    return status if status >= 0 else 128 - status
