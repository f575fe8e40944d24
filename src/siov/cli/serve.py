"""`siov serve`: keep a server running, and devices served to VMMs, until SIGINT or SIGTERM."""

import argparse
import signal
import threading
from contextlib import ExitStack
from pathlib import Path

from siov._core import TestFunction
from siov.cli import scenario_args
from siov.cli.limits import raise_file_limit
from siov.control.server import ControlServer
from siov.control.socket import default_path, make_directory
from siov.errors import SiovError
from siov.guests.endpoint import VfioUserEndpoint
from siov.hw.testfn import compose_config
from siov.platform import build


def configure(parser: argparse.ArgumentParser) -> None:
    """What to serve, and where."""
    scenario_args.configure(
        parser, "run the server of this TOML file (default, without --socket: the built-in scenario)"
    )
    parser.add_argument(
        "--control",
        type=Path,
        metavar="PATH",
        help="the server's control socket (default: siov/control.sock below $XDG_RUNTIME_DIR, or /tmp)",
    )
    parser.add_argument(
        "--vfio-user",
        type=Path,
        metavar="DIR",
        help="make a socket DIR/UUID.sock for each mdev, on which QEMU finds it",
    )
    parser.add_argument(
        "--socket",
        type=Path,
        action="append",
        default=[],
        help="serve a test function on this vfio-user socket; may be given several times",
    )


def run(args: argparse.Namespace) -> int:
    """Serve until a signal comes; every socket is gone afterwards."""
    raise_file_limit()
    with_server = args.scenario is not None or bool(args.set) or not args.socket
    for option, value in (("--control", args.control), ("--vfio-user", args.vfio_user)):
        if value is not None and not with_server:
            raise SiovError(f"{option} is of a server: name its scenario, or leave --socket out")
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with ExitStack() as stack:
        # All sockets are made before anything is served, so that one that can't be leaves nothing behind.
        endpoints = [VfioUserEndpoint(path, TestFunction(compose_config().regs)) for path in args.socket]
        if with_server:
            _serve_platform(args, stack)
        for endpoint in endpoints:
            stack.enter_context(endpoint)
            print(f"serving a test function on {endpoint.path}", flush=True)
        stopped.wait()
    return 0


def _serve_platform(args: argparse.Namespace, stack: ExitStack) -> None:
    path = args.control
    if path is None:
        path = default_path()
        make_directory(path.parent)
    platform = build(scenario_args.chosen(args))
    stack.callback(platform.unload)
    platform.boot()
    stack.enter_context(platform)
    if args.vfio_user is not None:
        # While the server's threads run: what a client leaves behind is taken down with their help.
        stack.callback(platform.vfio_user.stop)
        platform.serve_vfio_user(args.vfio_user)
    stack.enter_context(ControlServer(platform, path))
    print(f"scenario {platform.scenario.name} runs; its control socket is {path}", flush=True)
