"""`siov bridge`: whether an adapter's switch carries frames between VSIs (VEB) or sends them out (VEPA)."""

import argparse

from siov.cli.control import call, options, perform

MODES = ("veb", "vepa")  # by their numbers, BRIDGE_MODE_* of if_bridge.h


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the actions and their options."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    show = actions.add_parser("show", help="print the mode")
    change = actions.add_parser("set", help="change the mode")
    for each in (show, change):
        options(each)
        each.add_argument("device", metavar="DEV", help="the network interface")
    change.add_argument("mode", choices=MODES, help="veb: frames to a neighbour stay in; vepa: they go out")


def run(args: argparse.Namespace) -> int:
    """Show or change the mode."""
    if args.action == "show":
        return perform(args, call("bridge.getlink", args.device), _mode)
    return perform(args, call("bridge.setlink", args.device, mode=MODES.index(args.mode)), lambda _: "")


def _mode(mode: object) -> str:
    return MODES[mode] if isinstance(mode, int) and 0 <= mode < len(MODES) else str(mode)
