"""A whole listing, as `lspci` writes it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from siov.host.lspci import dump, header
from siov.host.lspci.chain import capabilities
from siov.host.lspci.ids import Names
from siov.host.lspci.select import Selector
from siov.host.lspci.tree import Drawing, Tree
from siov.host.lspci.view import PciFunctionView


@dataclass(slots=True, frozen=True)
class Options:
    """What to write: `detail` -v, `hexadecimal` -x, `machine` -m, each by its number; None selects all."""

    names: Names
    detail: int = 0
    hexadecimal: int = 0
    machine: int = 0
    tree: bool = False
    kernel: bool = False
    domains: bool = False
    bus_view: bool = False
    selector: Selector | None = None


def render(functions: Sequence[PciFunctionView], options: Options) -> str:
    """The listing of the functions, in the order of their addresses, with the last line's end.

    Byte for byte what lspci 3.13 writes, undecodable bytes of names as surrogates. Not taken apart, and so
    shorter than lspci's under -vv: CardBus headers, AGP, PCI-X, HyperTransport interfaces, Enhanced
    Allocation entries; CXL, IDE, multicast, root complex link and event collector association.
    """
    functions = sorted(functions, key=lambda view: view.address)
    if options.bus_view:
        functions = [replace(view, resources=None) for view in functions]
    if options.tree:
        drawing = Drawing(Tree(functions), options.names, options.detail, options.selector)
        return "".join(f"{line}\n" for line in drawing.lines())
    with_domain = options.domains or (not options.machine and any(view.address.domain for view in functions))
    selected = [view for view in functions if options.selector is None or options.selector.matches(view)]
    return "".join(text for view in selected for text in _entry(view, options, with_domain))


def _entry(view: PciFunctionView, options: Options, with_domain: bool) -> Iterator[str]:
    if options.machine:
        with_domain = with_domain or bool(view.address.domain)
        write = _records if options.detail else _record
        yield from _lines(write(view, options, with_domain))
    else:
        board = bool(options.detail or options.kernel)
        yield from _lines(header.terse(view, options.names, options.detail, with_domain, board))
        if options.detail:
            yield from _lines(header.verbose(view, options.detail, options.bus_view))
            if view.readable and view.layout in header.WITH_CAPABILITIES:
                yield from capabilities(view, options.detail, options.names)
        if board:
            yield from _lines(_kernel(view))
    if options.hexadecimal:
        yield from _lines(dump.hexadecimal(view, options.hexadecimal))
    if options.detail or options.hexadecimal:
        yield "\n"


def _lines(lines: Iterator[str]) -> Iterator[str]:
    return (f"{line}\n" for line in lines)


def _kernel(view: PciFunctionView) -> Iterator[str]:
    if view.driver:
        yield f"\tKernel driver in use: {view.driver}"
    if view.modules:
        yield f"\tKernel modules: {', '.join(view.modules)}"


def _ids(view: PciFunctionView, names: Names) -> tuple[str, str, str]:
    """Class, vendor and device in words."""
    device = names.device(view.vendor, view.device)
    return names.class_name(view.class_id), names.vendor(view.vendor), device


def _board(view: PciFunctionView, names: Names) -> tuple[str, str] | None:
    """The subsystem's vendor and device in words, if it has one."""
    board = view.subsystem
    if board is None or board[0] in (0, 0xFFFF):
        return None
    return names.subsystem_vendor(board[0]), names.subsystem_device((view.vendor, view.device), board)


def _records(view: PciFunctionView, options: Options, with_domain: bool) -> Iterator[str]:
    """`-vm` and `-vmm`: a line for each field."""
    yield f"{'Slot' if options.machine > 1 else 'Device'}:\t{header.slot_name(view, with_domain)}"
    for tag, text in zip(("Class", "Vendor", "Device"), _ids(view, options.names), strict=True):
        yield f"{tag}:\t{text}"
    if board := _board(view, options.names):
        yield f"SVendor:\t{board[0]}"
        yield f"SDevice:\t{board[1]}"
    if view.slot is not None:
        yield f"PhySlot:\t{view.slot}"
    if view.revision:
        yield f"Rev:\t{view.revision:02x}"
    yield f"ProgIf:\t{view.prog_if:02x}"
    if options.kernel:
        if view.driver:
            yield f"Driver:\t{view.driver}"
        yield from (f"Module:\t{module}" for module in view.modules)
    if view.numa_node is not None:
        yield f"NUMANode:\t{view.numa_node}"
    if view.iommu_group is not None:
        yield f"IOMMUGroup:\t{view.iommu_group}"


def _record(view: PciFunctionView, options: Options, with_domain: bool) -> Iterator[str]:
    """`-m` and `-mm`: a line for a function, in words a shell can read."""
    revision = [f"-r{view.revision:02x}"] if view.revision else []
    ids = [_quoted(text) for text in _ids(view, options.names)]
    board = [_quoted(text) for text in _board(view, options.names) or ("", "")]
    slot = header.slot_name(view, with_domain)
    yield " ".join([slot, *ids, *revision, f"-p{view.prog_if:02x}", *board])


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
