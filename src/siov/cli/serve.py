"""`siov serve`: keep a server running, and devices served to VMMs, until SIGINT or SIGTERM."""

import argparse
import signal
import threading
from contextlib import ExitStack
from pathlib import Path

from siov._core import TestFunction
from siov.cli import scenario_args
from siov.cli.limits import raise_file_limit
from siov.control.metrics import MetricsServer, parse_address
from siov.control.server import ControlServer
from siov.control.socket import default_path, make_directory
from siov.errors import SiovError
from siov.guests.endpoint import VfioUserEndpoint
from siov.hw.testfn import compose_config
from siov.observe.cputime import ThreadTimes
from siov.observe.metrics import CONTENT_TYPE, exposition
from siov.observe.sample import adapters, sample
from siov.observe.shown import Shown
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
        "--metrics",
        metavar="[HOST:]PORT",
        help="serve metrics for Prometheus there over TCP (default: not; without HOST: on loopback only)",
    )
    parser.add_argument(
        "--doorbells",
        choices=("trapped", "direct"),
        help="how VMMs reach the queues' tails where an mdev doesn't say (default: as the scenario has it)",
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
    of_server = {
        "--control": args.control,
        "--vfio-user": args.vfio_user,
        "--metrics": args.metrics,
        "--doorbells": args.doorbells,
    }
    for option, value in of_server.items():
        if value is not None and not with_server:
            raise SiovError(f"{option} is of a server: name its scenario, or leave --socket out")
    address = parse_address(args.metrics) if args.metrics is not None else None
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with ExitStack() as stack:
        # All sockets are made before anything is served, so that one that can't be leaves nothing behind.
        endpoints = [VfioUserEndpoint(path, TestFunction(compose_config().regs)) for path in args.socket]
        if with_server:
            _serve_platform(args, stack, address)
        for endpoint in endpoints:
            stack.enter_context(endpoint)
            print(f"serving a test function on {endpoint.path}", flush=True)
        stopped.wait()
    return 0


def _serve_platform(args: argparse.Namespace, stack: ExitStack, address: tuple[str, int] | None) -> None:
    path = args.control
    if path is None:
        path = default_path()
        make_directory(path.parent)
    if args.doorbells is not None:
        args.set.append(f"ice.doorbells={args.doorbells}")
    platform = build(scenario_args.chosen(args))
    lock, threads = threading.Lock(), ThreadTimes(list(adapters(platform)))

    def metrics() -> str:
        return exposition(platform, threads)

    def alone() -> str:
        with lock:
            return metrics()

    def shown() -> dict[str, object]:
        return {**sample(platform), "shown": Shown.of(platform)}

    looks = {"/metrics": metrics, "/sample": shown}
    scraped = MetricsServer(address, alone, CONTENT_TYPE) if address is not None else None
    if scraped is not None:
        stack.callback(scraped.close)
    stack.callback(platform.unload)
    platform.boot()
    stack.enter_context(platform)
    if args.vfio_user is not None:
        # While the server's threads run: what a client leaves behind is taken down with their help.
        stack.callback(platform.vfio_user.stop)
        platform.serve_vfio_user(args.vfio_user)
    stack.enter_context(ControlServer(platform, path, lock, looks))
    if scraped is not None:
        stack.enter_context(scraped)
    print(f"scenario {platform.scenario.name} runs; its control socket is {path}", flush=True)
    if scraped is not None:
        print(f"its metrics are at {scraped.url}", flush=True)
