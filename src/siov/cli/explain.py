"""`siov explain`: a translation step by step, in the specification's words."""

import argparse
import json
import re

from siov._core import RemappingUnit
from siov.cli import scenario_args
from siov.errors import SiovError
from siov.hw.cpu import Core
from siov.observe import explain_cpu
from siov.observe.explain import as_json, as_text
from siov.platform import Platform, build
from siov.vms import GuestVm

ACCESSES = {"r": "read", "w": "write", "x": "fetch"}


def configure(parser: argparse.ArgumentParser) -> None:
    """What to explain, and on which server."""
    kinds = parser.add_subparsers(dest="kind", metavar="KIND", required=True)
    summary = "a device's request through the remapping unit"
    dma = kinds.add_parser("dma", help=summary, description=summary)
    scenario_args.configure(dma)
    dma.add_argument("--rid", required=True, type=_rid, help="the requester id, as in 3b:00.0")
    dma.add_argument("--pasid", type=_number, help="the PASID; without it, a request without PASID")
    dma.add_argument("--iova", required=True, type=_number, help="the address that the device uses")
    dma.add_argument("--access", default="r", help="made of r, w, x (execute), p (privileged); default r")
    dma.add_argument("--warm", action="store_true", help="translate once before, so that caches know it")
    dma.add_argument("--json", action="store_true", help="for machines")
    dma.set_defaults(explain=_dma)
    summary = "an access of a guest through its own tables and EPT"
    cpu = kinds.add_parser("cpu", help=summary, description=f"Explain {summary}; by default without caches.")
    scenario_args.configure(cpu)
    cpu.add_argument("--vm", metavar="NAME", help="which virtual machine; default the first")
    cpu.add_argument("--gva", required=True, type=_number, help="the guest-virtual address")
    cpu.add_argument("--access", choices=ACCESSES, default="r", help="r, w or x (fetch); default r")
    cpu.add_argument("--supervisor", action="store_true", help="the guest's kernel, not its user, does it")
    cpu.add_argument("--caches", action="store_true", help="with TLBs and paging-structure caches, empty")
    cpu.add_argument("--warm", action="store_true", help="with caches that know it: it is done once before")
    cpu.add_argument("--json", action="store_true", help="for machines")
    cpu.set_defaults(explain=_cpu)


def run(args: argparse.Namespace) -> int:
    """Build the server, and explain."""
    platform = build(scenario_args.chosen(args))
    platform.enumerate()
    status: int = args.explain(platform, args)
    return status


def _dma(platform: Platform, args: argparse.Namespace) -> int:
    engine = _unit(platform)
    try:
        if args.warm:
            engine.translate(args.rid, args.pasid, args.iova, args.access)
        result, steps = engine.explain(args.rid, args.pasid, args.iova, args.access)
    except ValueError as error:
        raise SiovError(str(error)) from None
    if args.json:
        print(json.dumps(as_json(result, steps)))
        return 0
    pasid = "without PASID" if args.pasid is None else f"with PASID {args.pasid}"
    rid = f"{args.rid >> 8:02x}:{args.rid >> 3 & 0x1F:02x}.{args.rid & 7}"
    print(as_text(f"request of {rid} {pasid} at {args.iova:#x}, access {args.access}", result, steps))
    return 0


def _cpu(platform: Platform, args: argparse.Namespace) -> int:
    guest = _vm(platform, args.vm)
    core, user = guest.core, not args.supervisor
    if not args.caches and not args.warm:
        core = Core(f"{guest.spec.name}-cpu1", platform.dram.core, caches=False)
        guest.add_core(core)
    if args.warm:
        core.access(args.gva, args.access, user=user)
    result, steps = core.explain(args.gva, args.access, user=user)
    if args.json:
        print(json.dumps(explain_cpu.as_json(result, steps)))
        return 0
    who = "user" if user else "supervisor"
    registers = f"CR3 {guest.cr3.raw:#x}, EPTP {guest.vm.eptp:#x}"
    heading = f"{guest.spec.name}: {who} {ACCESSES[args.access]} at {args.gva:#x}, {registers}"
    print(explain_cpu.as_text(heading, result, steps))
    return 0


def _vm(platform: Platform, name: str | None) -> GuestVm:
    have = ", ".join(guest.spec.name for guest in platform.vms)
    if not have:
        scenario = platform.scenario.name
        raise SiovError(f"scenario {scenario} has no virtual machine: add [[vm]], or leave the scenario out")
    for guest in platform.vms:
        if name in (None, guest.spec.name):
            return guest
    raise SiovError(f"there is no virtual machine {name}; have {have}")


def _unit(platform: Platform) -> RemappingUnit:
    if not platform.root_complex.units:
        name = platform.scenario.name
        raise SiovError(f"scenario {name} has no remapping unit: add [iommu], or leave the scenario out")
    return platform.root_complex.units[0].engine


def _rid(text: str) -> int:
    match = re.fullmatch(r"(?:0000:)?([0-9a-fA-F]{1,2}):([0-9a-fA-F]{1,2})\.([0-7])", text)
    if match is None or int(match[2], 16) > 0x1F:
        raise argparse.ArgumentTypeError(f"{text!r} is no requester id: write it as 3b:00.0")
    return int(match[1], 16) << 8 | int(match[2], 16) << 3 | int(match[3])


def _number(text: str) -> int:
    try:
        value = int(text, 0)
    except ValueError:
        value = -1
    if not 0 <= value < 1 << 64:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of 64 bits; write 17 or 0x40000000")
    return value
