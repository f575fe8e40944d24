"""A function's entry up to its capabilities: the line that names it, control and status, address ranges."""

from collections.abc import Iterator

from siov.host.lspci import regions, windows
from siov.host.lspci.ids import Names
from siov.host.lspci.text import Flags
from siov.host.lspci.view import PciFunctionView
from siov.spec.pcie.header import CommonHeader, DevselTiming, HeaderLayout, Type0, Type1

WITH_CAPABILITIES = (HeaderLayout.TYPE0, HeaderLayout.TYPE1)
_BRIDGE, _PCI_BRIDGE = 0x06, 0x0604  # base class, and class with sub-class

_CONTROL = Flags(
    CommonHeader.COMMAND,
    "IOSE:I/O MSE:Mem BME:BusMaster SCE:SpecCycle MWIE:MemWINV VGASE:VGASnoop PERE:ParErr IDSEL:Stepping "
    "SERRE:SERR FBE:FastB2B INTxD:DisINTx",
)
_STATUS = Flags(CommonHeader.STATUS, "CAP:Cap MHZ66:66MHz UDF FBC:FastB2B MDPE:ParErr")
_ERRORS = Flags(CommonHeader.STATUS, "STA:>TAbort RTA:<TAbort RMA:<MAbort SSE:>SERR DPE:<PERR IRS:INTx")
_SECONDARY = Flags(Type1.SECONDARY_STATUS, "MHZ66:66MHz FBC:FastB2B MDPE:ParErr")
_SECONDARY_ERRORS = Flags(Type1.SECONDARY_STATUS, "STA:>TAbort RTA:<TAbort RMA:<MAbort RSE:<SERR DPE:<PERR")
_BRIDGE_CONTROL = Flags(
    Type1.BRIDGE_CONTROL,
    "PERE:Parity SERRE:SERR ISA:NoISA VGA VGA16 MABT:MAbort SBR:>Reset FBE:FastB2B",
)
_DISCARD_TIMERS = Flags(
    Type1.BRIDGE_CONTROL, "PDT:PriDiscTmr SDT:SecDiscTmr DTS:DiscTmrStat DTSE:DiscTmrSERREn"
)


def slot_name(view: PciFunctionView, with_domain: bool) -> str:
    """The address as the listing writes it."""
    return str(view.address) if with_domain else view.address.short


def terse(view: PciFunctionView, names: Names, detail: int, with_domain: bool, board: bool) -> Iterator[str]:
    """The line that names the function; with `board`, the subsystem's below it."""
    text = f"{slot_name(view, with_domain)} {names.class_name(view.class_id)}: "
    text += names.vendor_and_device(view.vendor, view.device)
    if view.revision:
        text += f" (rev {view.revision:02x})"
    if detail:
        name = names.prog_if(view.class_id, view.prog_if)
        if view.prog_if or name is not None:
            text += f" (prog-if {view.prog_if:02x}{'' if name is None else f' [{name}]'})"
    yield text
    subsystem = view.subsystem
    if board and subsystem and subsystem[0] not in (0, 0xFFFF):
        yield f"\tSubsystem: {names.subsystem((view.vendor, view.device), subsystem)}"


def verbose(view: PciFunctionView, detail: int, bus_view: bool) -> Iterator[str]:
    """The entry's lines between the names and the capabilities; `bus_view` as -b."""
    known = view.has_header
    if view.readable:
        yield from _complaints(view)
    if view.slot is not None:
        yield f"\tPhysical Slot: {view.slot}"
    irq = view.read(CommonHeader.INT_LINE).LINE if view.irq is None or bus_view else view.irq
    if detail > 1:
        if known:
            yield from _control_and_status(view)
        pin = view.read(CommonHeader.INT_PIN).PIN if known else 0
        if pin or irq:
            letter = _character(ord("A") + pin - 1) if pin else "?"
            yield f"\tInterrupt: pin {letter} routed to IRQ {irq}"
        if view.numa_node is not None:
            yield f"\tNUMA node: {view.numa_node}"
        if view.iommu_group is not None:
            yield f"\tIOMMU group: {view.iommu_group}"
    elif known:
        yield f"\tFlags: {', '.join(_short_flags(view, irq))}"
    if known:
        bist = view.read(CommonHeader.BIST)
        if bist.CAP:
            yield "\tBIST is running" if bist.START else f"\tBIST result: {bist.CC:02x}"
        yield from _ranges(view, detail)
    elif not bus_view:
        yield from regions.bars(view, detail)
        yield from windows.known_windows(view, detail)
        yield from regions.rom(view)


def _character(code: int) -> str:
    """A byte as it goes to the terminal; a pin may be any number where the bytes are no real header."""
    return bytes([code & 0xFF]).decode("utf-8", "surrogateescape")


def _complaints(view: PciFunctionView) -> Iterator[str]:
    wrong = f"\t!!! Invalid class {view.class_id:04x} for header type {view.layout:02x}"
    match view.layout:
        case HeaderLayout.TYPE0:
            if view.class_id == _PCI_BRIDGE:
                yield wrong
        case HeaderLayout.TYPE1 | HeaderLayout.CARDBUS:
            if view.base_class != _BRIDGE:
                yield wrong
        case _:
            yield f"\t!!! Unknown header type {view.layout:02x}"


def _devsel(timing: int) -> str:
    return DevselTiming(timing).name.lower() if timing in set(DevselTiming) else "??"


def _control_and_status(view: PciFunctionView) -> Iterator[str]:
    command, status = view.read(CommonHeader.COMMAND), view.read(CommonHeader.STATUS)
    yield f"\tControl: {_CONTROL(command)}"
    yield f"\tStatus: {_STATUS(status)} DEVSEL={_devsel(status.DEVSEL)} {_ERRORS(status)}"
    if command.BME:
        text = f"\tLatency: {view.read(CommonHeader.LATENCY_TIMER).TIMER}"
        if view.layout == HeaderLayout.TYPE0:
            times = (view.read(Type0.MIN_GNT).TIME, "min"), (view.read(Type0.MAX_LAT).TIME, "max")
            if told := ", ".join(f"{time * 250}ns {which}" for time, which in times if time):
                text += f" ({told})"
        if size := view.read(CommonHeader.CACHE_LINE_SIZE).SIZE:
            text += f", Cache Line Size: {size * 4} bytes"
        yield text


def _short_flags(view: PciFunctionView, irq: int) -> Iterator[str]:
    command, status = view.read(CommonHeader.COMMAND), view.read(CommonHeader.STATUS)
    told = (
        (command.BME, "bus master"),
        (command.VGASE, "VGA palette snoop"),
        (command.IDSEL, "stepping"),
        (command.FBE, "fast Back2Back"),
        (status.MHZ66, "66MHz"),
        (status.UDF, "user-definable features"),
    )
    yield from (text for value, text in told if value)
    yield f"{_devsel(status.DEVSEL)} devsel"
    if command.BME:
        yield f"latency {view.read(CommonHeader.LATENCY_TIMER).TIMER}"
    if irq:
        yield f"IRQ {irq}"
    if view.numa_node is not None:
        yield f"NUMA node {view.numa_node}"
    if view.iommu_group is not None:
        yield f"IOMMU group {view.iommu_group}"


def _ranges(view: PciFunctionView, detail: int) -> Iterator[str]:
    yield from regions.bars(view, detail)
    if view.layout == HeaderLayout.TYPE0:
        yield from regions.rom(view)
    if view.layout != HeaderLayout.TYPE1:
        return
    buses = (view.read(Type1.PRIMARY_BUS), view.read(Type1.SECONDARY_BUS), view.read(Type1.SUBORDINATE_BUS))
    primary, secondary, subordinate = (bus.NUM for bus in buses)
    latency = view.read(Type1.SECONDARY_LATENCY).TIMER
    yield (
        f"\tBus: primary={primary:02x}, secondary={secondary:02x}, subordinate={subordinate:02x}, "
        f"sec-latency={latency}"
    )
    yield from windows.windows(view, detail)
    if detail > 1:
        status = view.read(Type1.SECONDARY_STATUS)
        timing = _devsel(status.DEVSEL)
        yield f"\tSecondary status: {_SECONDARY(status)} DEVSEL={timing} {_SECONDARY_ERRORS(status)}"
    yield from regions.rom(view)
    if detail > 1:
        control = view.read(Type1.BRIDGE_CONTROL)
        yield f"\tBridgeCtl: {_BRIDGE_CONTROL(control)}"
        yield f"\t\t{_DISCARD_TIMERS(control)}"
