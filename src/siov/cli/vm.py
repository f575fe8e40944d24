"""`siov vm`: build the guest rig, and run Linux guests on served devices."""

import argparse
import sys
from pathlib import Path

from siov.cli.control import call, client, control_option
from siov.errors import RigError
from siov.guests import image
from siov.guests.machine import parse_memory
from siov.guests.qemu import GuestError, GuestSpec, GuestTimeoutError, run_console, run_script


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the actions of `siov vm` and their options."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    fetch = actions.add_parser("fetch", help="build the guest rig from Debian packages, without root")
    fetch.add_argument("--force", action="store_true", help="build all of it anew, from the newest packages")
    fetch.set_defaults(action=_fetch)

    path = actions.add_parser("path", help="print the folder of the guest rig")
    path.set_defaults(action=_path)

    status = actions.add_parser("status", help="say whether the rig is there; the exit status is 1 if not")
    status.set_defaults(action=_status)

    run = actions.add_parser("run", help="boot a guest: a console here, or with --script one script in it")
    option = run.add_argument
    option("--socket", action="append", type=Path, default=[], metavar="PATH", help="a served device; repeat")
    option("--mdev", action="append", default=[], metavar="UUID", help="an mdev of a running server; repeat")
    control_option(run)
    option("--kernel", type=Path, metavar="FILE", help="another kernel than the rig's")
    option("--append", default="", metavar="STR", help="more words for the kernel's command line")
    option("--memory", default="512M", metavar="SIZE", help="memory, such as 512M (the default) or 2G")
    option("--smp", type=int, default=1, metavar="N", help="processors (default: 1)")
    option("--accel", default="tcg", metavar="NAME", help="tcg (emulation, the default) or kvm")
    option("--viommu", action="store_true", help="give the guest an IOMMU, as vfio-pci in it needs")
    option(
        "--script", metavar="FILE", help="run a shell script (- is stdin), print its output, exit as it did"
    )
    option("--timeout", type=float, default=300.0, metavar="S", help="seconds for the script (default: 300)")
    option("--trace", action="append", default=[], metavar="PATTERN", help="QEMU's events, as 'vfio_user_*'")
    run.set_defaults(action=_run)


def run(args: argparse.Namespace) -> int:
    """Run the chosen action."""
    status: int = args.action(args)
    return status


def _fetch(args: argparse.Namespace) -> int:
    image.fetch(lambda line: print(f"siov vm fetch: {line}", file=sys.stderr, flush=True), force=args.force)
    return 0


def _path(args: argparse.Namespace) -> int:
    print(image.Rig.find().path)
    return 0


def _status(args: argparse.Namespace) -> int:
    try:
        rig = image.Rig.find()
    except RigError as error:
        print(error)
        return 1
    print(f"{rig.path}: Linux {rig.kernel_release}, QEMU {rig.versions['qemu-system-x86']}")
    return 0


def _run(args: argparse.Namespace) -> int:
    spec = GuestSpec(
        sockets=(*args.socket, *_sockets_of(args)),
        memory=parse_memory(args.memory),
        smp=args.smp,
        kernel=args.kernel,
        append=args.append,
        accel=args.accel,
        viommu=args.viommu,
        trace=tuple(args.trace),
    )
    if args.script is None:
        return run_console(spec)
    script = _read_script(args.script)
    try:
        result = run_script(spec, script, args.timeout, stderr=sys.stderr if args.trace else None)
    except GuestError as error:
        if isinstance(error, GuestTimeoutError):
            _write(error.output)
        if error.console:
            print(error.console, file=sys.stderr)
        raise
    _write(result.output)
    return result.status


def _sockets_of(args: argparse.Namespace) -> list[Path]:
    """Where the server says that its mdevs can be found."""
    if not args.mdev:
        return []
    with client(args) as server:
        return [Path(server.call(call("vfio_user.socket", uuid=uuid))) for uuid in args.mdev]


def _read_script(name: str) -> str:
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise RigError(f"the script {name} can't be read: {error.strerror}") from error
    return data.decode(errors="surrogateescape")


def _write(output: bytes) -> None:
    sys.stdout.buffer.write(output)
    sys.stdout.buffer.flush()
