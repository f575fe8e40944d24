"""`siov ethtool`: a running server's network interfaces, with the options and the output of ethtool."""

import argparse
from collections.abc import Callable, Sequence
from typing import Any

from siov.cli.control import call, options, perform
from siov.cli.ethtool_words import flow_rule, pairs
from siov.control.calls import Call
from siov.errors import SiovError

RING = {"rx": "rx_pending", "tx": "tx_pending"}

# Option, long option, help, and whether words follow the device.
ACTIONS = (
    ("-i", "--driver", "the driver's name and version", False),
    ("-g", "--show-ring", "the sizes of the rings", False),
    ("-G", "--set-ring", "change them: rx N, tx N", True),
    ("-S", "--statistics", "the statistics", False),
    ("-c", "--show-coalesce", "the moderation of interrupts", False),
    ("-C", "--coalesce", "change it: rx-usecs N, adaptive-rx on|off, and so on", True),
    ("-n", "--show-nfc", "the flow rules", False),
    ("-N", "--config-nfc", "add a rule: flow-type tcp4 dst-port N action QUEUE; or: delete LOCATION", True),
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Which interface, and what about it."""
    chosen = parser.add_mutually_exclusive_group(required=True)
    for short, long, text, _ in ACTIONS:
        chosen.add_argument(short, long, dest="action", action="store_const", const=short, help=text)
    parser.add_argument("device", metavar="DEV", help="the network interface")
    parser.add_argument("words", nargs="*", metavar="WORD", help="of -G, -C and -N")
    options(parser)


def run(args: argparse.Namespace) -> int:
    """Make the call for the option, and show its result as ethtool does."""
    takes_words = any(words for short, _, _, words in ACTIONS if short == args.action)
    if bool(args.words) is not takes_words:
        raise SiovError(
            f"ethtool {args.action} {args.device} needs what is to change, such as: rx 512"
            if takes_words
            else f"ethtool {args.action} {args.device} takes nothing more, not {' '.join(args.words)!r}"
        )
    return perform(args, _call(args.action, args.device, args.words), _show(args.action, args.device))


def _call(action: str, device: str, words: Sequence[str]) -> Call:
    match action:
        case "-i":
            return call("netdev.get_drvinfo", device)
        case "-g":
            return call("netdev.get_ringparam", device)
        case "-G":
            return call("netdev.set_ringparam", device, **pairs(words, RING))
        case "-S":
            return call("netdev.get_ethtool_stats", device)
        case "-c":
            return call("netdev.get_coalesce", device)
        case "-C":
            return call("netdev.set_coalesce", device, **pairs(words))
        case "-n":
            return call("netdev.get_rxnfc", device)
        case _:
            method, fields = flow_rule(words)
            return call(f"netdev.{method}", device, **fields)


def _show(action: str, device: str) -> Callable[[Any], str]:
    shown: dict[str, Callable[[str, Any], str]] = {
        "-i": _drvinfo,
        "-g": _ring,
        "-S": _stats,
        "-c": _coalesce,
        "-n": _rules,
    }
    if action in shown:
        return lambda result: shown[action](device, result)
    if action == "-N":
        return lambda location: f"Added rule with ID {location}" if isinstance(location, int) else ""
    return lambda _: ""


_DRVINFO = {
    "driver": "driver",
    "version": "version",
    "fw_version": "firmware-version",
    "bus_info": "bus-info",
}


def _drvinfo(device: str, info: dict[str, Any]) -> str:
    return "\n".join(f"{_DRVINFO.get(name, name)}: {value}" for name, value in info.items())


def _ring(device: str, ring: dict[str, int]) -> str:
    def block(field: str) -> list[str]:
        rx, tx = ring[f"rx{field}"], ring[f"tx{field}"]
        return [f"RX:\t\t\t{rx}", "RX Mini:\t\tn/a", "RX Jumbo:\t\tn/a", f"TX:\t\t\t{tx}"]

    return "\n".join(
        [
            f"Ring parameters for {device}:",
            "Pre-set maximums:",
            *block("_max_pending"),
            "Current hardware settings:",
            *block("_pending"),
        ]
    )


def _stats(device: str, stats: dict[str, int]) -> str:
    return "\n".join(["NIC statistics:", *(f"     {name}: {value}" for name, value in stats.items())])


def _coalesce(device: str, params: dict[str, Any]) -> str:
    words = {True: "on", False: "off", None: "n/a"}
    adaptive = [words[params.get(name)] for name in ("adaptive_rx", "adaptive_tx")]
    lines = [f"Coalesce parameters for {device}:", f"Adaptive RX: {adaptive[0]}  TX: {adaptive[1]}"]
    rest = {name: value for name, value in params.items() if not name.startswith("adaptive_")}
    return "\n".join([*lines, *(f"{name.replace('_', '-')}: {value}" for name, value in rest.items())])


def _rules(device: str, rules: list[dict[str, Any]]) -> str:
    lines = [f"Total {len(rules)} rules"]
    for rule in rules:
        rest = {name: value for name, value in rule.items() if name != "location"}
        lines += ["", f"Filter: {rule['location']}"]
        lines += [f"\t{name.replace('_', '-')}: {value}" for name, value in rest.items()]
    return "\n".join(lines)
