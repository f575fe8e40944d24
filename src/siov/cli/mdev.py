"""`siov mdev`: the mediated devices of a running server."""

import argparse
from typing import Any

from siov.cli.control import call, columns, options, perform


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the actions and their options."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    types = actions.add_parser("types", help="list what can be made, and how many of it")
    types.add_argument("--parent", metavar="DEVICE", help="of one parent, such as 0000:3b:00.0")
    types.set_defaults(action=_types)

    create = actions.add_parser("create", help="make an instance, and print its UUID")
    create.add_argument("--type", required=True, metavar="TYPE", help="its type, such as ice-vdcm")
    create.add_argument("--uuid", metavar="UUID", help="its UUID (default: a new one)")
    create.add_argument("--parent", metavar="DEVICE", help="where (default: the first that has one left)")
    create.add_argument(
        "--attr",
        action="append",
        metavar="NAME=VALUE",
        help="set a file of its directory, such as doorbells=direct; repeat",
    )
    create.set_defaults(action=_create)

    found = actions.add_parser("list", help="list the instances")
    found.add_argument("--parent", metavar="DEVICE", help="of one parent")
    found.set_defaults(action=_list)

    show = actions.add_parser("show", help="show an instance with its attributes")
    show.add_argument("uuid", metavar="UUID")
    show.set_defaults(action=_show)

    remove = actions.add_parser("remove", help="remove an instance")
    remove.add_argument("uuid", metavar="UUID")
    remove.add_argument("--force", action="store_true", help="also when it is open: its user loses it")
    remove.set_defaults(action=_remove)

    reset = actions.add_parser("reset", help="reset an instance, as its guest sees it too")
    reset.add_argument("uuid", metavar="UUID")
    reset.set_defaults(action=_reset)

    for each in (types, create, found, show, remove, reset):
        options(each)


def run(args: argparse.Namespace) -> int:
    """Run the chosen action."""
    status: int = args.action(args)
    return status


def _types(args: argparse.Namespace) -> int:
    return perform(args, call("mdev.types", parent=args.parent), _types_text)


def _create(args: argparse.Namespace) -> int:
    made = call("mdev.create", type=args.type, uuid=args.uuid, parent=args.parent, attrs=args.attr)
    return perform(args, made, lambda info: str(info["uuid"]))


def _list(args: argparse.Namespace) -> int:
    return perform(args, call("mdev.list", parent=args.parent), _list_text)


def _show(args: argparse.Namespace) -> int:
    return perform(args, call("mdev.show", uuid=args.uuid), _show_text)


def _remove(args: argparse.Namespace) -> int:
    return perform(args, call("mdev.remove", uuid=args.uuid, force=args.force or None), lambda _: "")


def _reset(args: argparse.Namespace) -> int:
    return perform(args, call("mdev.reset", uuid=args.uuid), lambda _: "")


def _types_text(types: list[dict[str, Any]]) -> str:
    if not types:
        return "no device offers mdev types"
    head = ("parent", "type", "left", "api", "what it is")
    rows = [
        (t["parent"], t["id"], str(t["available_instances"]), t["device_api"], t["description"] or t["name"])
        for t in types
    ]
    return columns([head, *rows])


def _list_text(infos: list[dict[str, Any]]) -> str:
    return columns([_row(info) for info in infos]) if infos else "there is no mdev"


def _row(info: dict[str, Any]) -> tuple[str, ...]:
    return info["uuid"], info["parent"], info["type"], "open" if info["open"] else ""


def _show_text(info: dict[str, Any]) -> str:
    facts = [("uuid", info["uuid"]), ("parent", info["parent"]), ("type", info["type"])]
    facts.append(("open", "yes" if info["open"] else "no"))
    return columns([*facts, *info["attributes"].items()])
