"""`siov ethtool`: a running server's network interfaces, with the options and the output of ethtool."""

import argparse

from siov.cli.control import call, options, perform
from siov.errors import SiovError

# Option, long option, help, and whether words follow the device.
ACTIONS = (
    ("-i", "--driver", "the driver's name and version", False),
    ("-g", "--show-ring", "the sizes of the rings", False),
    ("-G", "--set-ring", "change them: rx N, tx N", True),
    ("-S", "--statistics", "the statistics", False),
    ("-c", "--show-coalesce", "the moderation of interrupts", False),
    ("-C", "--coalesce", "change it: rx-usecs N, adaptive-rx on|off, and so on", True),
    ("-n", "--show-nfc", "the flow rules, or with `rule N` one of them", None),
    ("-N", "--config-nfc", "add a rule: flow-type tcp4 dst-port N action QUEUE; or: delete LOCATION", True),
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Which interface, and what about it."""
    chosen = parser.add_mutually_exclusive_group(required=True)
    for short, long, text, _ in ACTIONS:
        chosen.add_argument(short, long, dest="action", action="store_const", const=short, help=text)
    parser.add_argument(
        "device", metavar="DEV", help="an adapter's name in the scenario, a virtual device's UUID, or GUEST.N"
    )
    parser.add_argument("words", nargs="*", metavar="WORD", help="of -G, -C, -n and -N")
    options(parser)


def run(args: argparse.Namespace) -> int:
    """Have the server answer as ethtool would."""
    takes = next(words for short, _, _, words in ACTIONS if short == args.action)
    if takes is not None and bool(args.words) is not takes:
        raise SiovError(
            f"ethtool {args.action} {args.device} needs what is to change, such as: rx 512"
            if takes
            else f"ethtool {args.action} {args.device} takes nothing more, not {' '.join(args.words)!r}"
        )
    return perform(args, call("netdev.ethtool", args.device, words=[args.action, *args.words]), str)
