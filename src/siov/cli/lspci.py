"""`siov lspci`: list PCI functions in the format of pciutils."""

import argparse
import sys
from pathlib import Path

from siov.cli import scenario_args
from siov.cli.pci_names import pci_names
from siov.errors import SiovError
from siov.host.lspci import Options, PciFunctionView, Selector, parse, render


def configure(parser: argparse.ArgumentParser) -> None:
    """The options, named as lspci's are."""
    scenario_args.configure(parser)
    parser.add_argument("-F", dest="file", type=Path, help="read the functions from a dump of lspci -x")
    parser.add_argument("-v", dest="detail", action="count", default=0, help="more detail; up to -vvv")
    parser.add_argument(
        "-x", dest="hexadecimal", action="count", default=0, help="configuration bytes; -xxx 256, -xxxx 4096"
    )
    parser.add_argument("-n", dest="numeric", action="count", default=0, help="numbers; -nn names too")
    parser.add_argument("-m", dest="machine", action="count", default=0, help="for programs; -mm newer form")
    parser.add_argument("-t", dest="tree", action="store_true", help="draw the tree of buses")
    parser.add_argument("-s", dest="slot", help="only these: [[[domain]:]bus]:][device][.[function]]")
    parser.add_argument("-d", dest="ids", help="only these: [vendor]:[device][:class[:prog-if]]")
    parser.add_argument("-D", dest="domains", action="store_true", help="always write the domain")
    parser.add_argument("-k", dest="kernel", action="store_true", help="drivers and modules")
    parser.add_argument("-b", dest="bus_view", action="store_true", help="addresses as in the registers")
    parser.add_argument("-i", dest="names", type=Path, help="the pci.ids file to take names from")


def run(args: argparse.Namespace) -> int:
    """Write the listing."""
    selector = Selector.of(args.slot, args.ids) if args.slot is not None or args.ids is not None else None
    options = Options(
        names=pci_names(args.names, args.numeric),
        detail=args.detail,
        hexadecimal=args.hexadecimal,
        machine=args.machine,
        tree=args.tree,
        kernel=args.kernel,
        domains=args.domains,
        bus_view=args.bus_view,
        selector=selector,
    )
    text = render(load_functions(args), options)
    sys.stdout.write(text.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))
    return 0


def load_functions(args: argparse.Namespace) -> list[PciFunctionView]:
    """The functions to list: those of the dump that -F names, else those of the server that is built."""
    if args.file is not None:
        try:
            return parse(args.file.read_text("utf-8", "replace"), str(args.file))
        except OSError as error:
            raise SiovError(f"-F {args.file}: {error.strerror}") from None
    from siov.platform import build

    platform = build(scenario_args.chosen(args))
    platform.enumerate()
    return platform.lspci()
