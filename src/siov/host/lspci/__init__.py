"""Lists PCI functions in the format of pciutils' lspci 3.13, out of configuration bytes and addresses."""

from siov.host.lspci.dump import DumpError, parse
from siov.host.lspci.ids import Names, NamesError, find, load
from siov.host.lspci.listing import Options, render
from siov.host.lspci.select import Selector, SelectorError
from siov.host.lspci.view import Address, PciFunctionView, Resource, ResourceFlag

__all__ = [
    "Address",
    "DumpError",
    "Names",
    "NamesError",
    "Options",
    "PciFunctionView",
    "Resource",
    "ResourceFlag",
    "Selector",
    "SelectorError",
    "find",
    "load",
    "parse",
    "render",
]
