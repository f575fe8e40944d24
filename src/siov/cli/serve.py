"""`siov serve`: serve devices to VMMs until SIGINT or SIGTERM."""

import argparse
import resource
import signal
import threading
from contextlib import ExitStack
from pathlib import Path

from siov._core import TestFunction
from siov.guests.endpoint import VfioUserEndpoint
from siov.hw.testfn import compose_config


def configure(parser: argparse.ArgumentParser) -> None:
    """Where to serve."""
    parser.add_argument(
        "--socket",
        type=Path,
        action="append",
        required=True,
        help="serve a test function on this vfio-user socket; may be given several times",
    )


def run(args: argparse.Namespace) -> int:
    """Serve until a signal comes; every socket is gone afterwards."""
    # A client brings a descriptor for each vector, and the usual limit is 1,024.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with ExitStack() as stack:
        # All sockets are made before anything is served, so that one that can't be leaves nothing behind.
        endpoints = [VfioUserEndpoint(path, TestFunction(compose_config().regs)) for path in args.socket]
        for endpoint in endpoints:
            stack.enter_context(endpoint)
            print(f"serving a test function on {endpoint.path}", flush=True)
        stopped.wait()
    return 0
