"""Extended capabilities that real devices have and no function here."""

from collections.abc import Iterator

from siov.host.lspci.capability import Capability, Decoder
from siov.host.lspci.text import Flags, choose, sign, signs
from siov.spec.pcie.foreign_extended import (
    BarSize,
    DataObjectExchange,
    DesignatedVendorSpecific,
    Dpc,
    L1Substates,
    LaneMargining,
    LatencyTolerance,
    PrecisionTime,
    ProcessingHints,
    ResizableBar,
    SecondaryExpress,
    VendorSpecificExtended,
    VirtualChannel,
    VirtualChannelResource,
)

_UNREADABLE = "\t\t<unreadable>"
_STEERING = (
    "No steering table available|Steering table in TPH capability structure|Steering table in MSI-X table"
)
_DPC_CAN = Flags(Dpc.CAP, "RPEXT:RPExt PTEBS:PoisonedTLP SWTS:SwTrigger")
_DPC_CONTROL = Flags(Dpc.CTL, "CC:Cmpl IE:INT ECE:ErrCor PTEBE:PoisonedTLP SWT:SwTrigger DLAECE:DL_ActiveErr")
_L1_CAN = Flags(
    L1Substates.CAP,
    "PL12S:PCI-PM_L1.2 PL11S:PCI-PM_L1.1 AL12S:ASPM_L1.2 AL11S:ASPM_L1.1 L1PMS:L1_PM_Substates",
)
_L1_CONTROL = Flags(L1Substates.CTL1, "PL12E:PCI-PM_L1.2 PL11E:PCI-PM_L1.1 AL12E:ASPM_L1.2 AL11E:ASPM_L1.1")
_POWER_ON_US = (2, 10, 100)
_PTM_CAN = Flags(PrecisionTime.CAP, "REQ:Requester RES:Responder ROOT:Root")
_PTM_CONTROL = Flags(PrecisionTime.CTL, "E:Enabled RS:RootSelected")
_DOE_STATUS = Flags(DataObjectExchange.STA, "BUSY:Busy INTS:IntSta ERROR:Error READY:ObjectReady")
_PORT_ARBITRATION = ("Fixed", "WRR32", "WRR64", "WRR128", "??4", "??5", "??6", "??7")
_CHANNEL_ARBITRATION = ("Fixed", "WRR32", "WRR64", "WRR128", "TWRR128", "WRR256", "??6", "??7")


def vendor_specific(cap: Capability) -> Iterator[str]:
    """Vendor-Specific Extended."""
    text = "<unreadable>"
    if cap.covers(VendorSpecificExtended):
        header = cap.read(VendorSpecificExtended.VSEC)
        text = f"ID={header.ID:04x} Rev={header.REV} Len={header.LENGTH:03x} <?>"
    yield f"Vendor Specific Information: {text}"


def designated_vendor_specific(cap: Capability) -> Iterator[str]:
    """Designated Vendor-Specific; CXL's are not taken apart."""
    text = "<unreadable>"
    if cap.covers(DesignatedVendorSpecific):
        header, id_ = cap.read(DesignatedVendorSpecific.DVSEC1), cap.read(DesignatedVendorSpecific.DVSEC2).ID
        text = f"Vendor={header.VENDOR:04x} ID={id_:04x} Rev={header.REV} Len={header.LENGTH} <?>"
    yield f"Designated Vendor-Specific: {text}"


def processing_hints(cap: Capability) -> Iterator[str]:
    """TPH Requester."""
    yield "Transaction Processing Hints"
    if cap.shows(ProcessingHints):
        can = cap.read(ProcessingHints.CAP)
        if can.IVMS:
            yield "\t\tInterrupt vector mode supported"
        if can.DSMS:
            yield "\t\tDevice specific mode supported"
        if can.EXT:
            yield "\t\tExtended requester support"
        yield f"\t\t{choose(_STEERING, can.STLOC, 'Reserved steering table location')}"


def latency_tolerance(cap: Capability) -> Iterator[str]:
    """Latency Tolerance Reporting."""
    yield "Latency Tolerance Reporting"
    if cap.shows(LatencyTolerance):
        snoop, no_snoop = cap.read(LatencyTolerance.SNOOP), cap.read(LatencyTolerance.NO_SNOOP)
        yield f"\t\tMax snoop latency: {snoop.VALUE * _scale(snoop.SCALE)}ns"
        yield f"\t\tMax no snoop latency: {no_snoop.VALUE * _scale(no_snoop.SCALE)}ns"


def _scale(power: int) -> int:
    """Nanoseconds of a latency's unit; 7 is reserved, and lspci's 32-bit shift by 35 makes 8 of it."""
    return 1 << power * 5 % 32


def secondary_express(cap: Capability) -> Iterator[str]:
    """Secondary PCI Express."""
    yield "Secondary PCI Express"
    if cap.shows(SecondaryExpress):
        control = cap.read(SecondaryExpress.LNKCTL3)
        yield f"\t\tLnkCtl3: LnkEquIntrruptEn{sign(control.LERIE)} PerformEqu{sign(control.PE)}"
        vector = cap.read(SecondaryExpress.LANE_ERROR).LANES
        lanes = " ".join(str(n) for n in range(vector.bit_length()) if vector >> n & 1)
        yield f"\t\tLaneErrStat: {f'LaneErr at lane: {lanes}' if vector else 0}"


def lane_margining(cap: Capability) -> Iterator[str]:
    """Lane Margining at the Receiver."""
    yield "Lane Margining at the Receiver"
    if cap.shows(LaneMargining):
        state = cap.read(LaneMargining.STA)
        yield f"\t\tPortCap: Uses Driver{sign(cap.read(LaneMargining.CAP).DRIVER)}"
        yield f"\t\tPortSta: MargReady{sign(state.READY)} MargSoftReady{sign(state.SW_READY)}"


def downstream_port_containment(cap: Capability) -> Iterator[str]:
    """Downstream Port Containment."""
    yield "Downstream Port Containment"
    if cap.shows(Dpc):
        can, control, state = cap.read(Dpc.CAP), cap.read(Dpc.CTL), cap.read(Dpc.STA)
        yield (
            f"\t\tDpcCap:\tIntMsgNum {can.IMN}, {_DPC_CAN(can)} RP PIO Log {can.RPPLS}, "
            f"DL_ActiveErr{sign(can.DLAECS)}"
        )
        yield f"\t\tDpcCtl:\tTrigger:{control.TE:x} {_DPC_CONTROL(control)}"
        yield (
            f"\t\tDpcSta:\tTrigger{sign(state.TS)} Reason:{state.REASON:02x} INT{sign(state.IS)} "
            f"RPBusy{sign(state.RPB)} TriggerExt:{state.EXT:02x} RP PIO ErrPtr:{state.FEP:02x}"
        )
        yield f"\t\tSource:\t{cap.read(Dpc.SOURCE).RID:04x}"


def l1_substates(cap: Capability) -> Iterator[str]:
    """L1 PM Substates."""
    yield "L1 PM Substates"
    if cap.detail < 2:
        return
    if not cap.covers(L1Substates):
        yield _UNREADABLE
        return
    can, control = cap.read(L1Substates.CAP), cap.read(L1Substates.CTL1)
    timed = can.PL12S or can.AL12S
    yield f"\t\tL1SubCap: {_L1_CAN(can)}"
    if timed:
        on = _power_on(can.TPOS, can.TPOV)
        yield f"\t\t\t  PortCommonModeRestoreTime={can.CMRT}us PortTPowerOnTime={on}"
    yield f"\t\tL1SubCtl1: {_L1_CONTROL(control)}"
    if timed:
        text = f"\t\t\t   T_CommonMode={control.CMRT}us"
        if can.AL12S:
            threshold = f"{control.LTRTV * _scale(control.LTRTS)}ns" if control.LTRTS < 6 else "<error>"
            text += f" LTR1.2_Threshold={threshold}"
        yield text
    more = cap.read(L1Substates.CTL2)
    yield "\t\tL1SubCtl2:" + (f" T_PwrOn={_power_on(more.TPOS, more.TPOV)}" if timed else "")


def _power_on(scale: int, value: int) -> str:
    return f"{_POWER_ON_US[scale] * value}us" if scale < len(_POWER_ON_US) else "<error>"


def precision_time(cap: Capability) -> Iterator[str]:
    """Precision Time Measurement."""
    yield "Precision Time Measurement"
    if cap.detail < 2:
        return
    if not cap.covers(PrecisionTime):
        yield _UNREADABLE
        return
    can, control = cap.read(PrecisionTime.CAP), cap.read(PrecisionTime.CTL)
    yield f"\t\tPTMCap: {_PTM_CAN(can)}"
    yield f"\t\tPTMClockGranularity: {_granularity(can.LCG, 'Unimplemented')}"
    yield f"\t\tPTMControl: {_PTM_CONTROL(control)}"
    yield f"\t\tPTMEffectiveGranularity: {_granularity(control.EG, 'Unknown')}"


def _granularity(value: int, none: str) -> str:
    return {0: none, 0xFF: "Greater than 254ns"}.get(value, f"{value}ns")


def resizable_bar(which: str) -> Decoder:
    """The decoder of Resizable BAR, `which` being Physical, or Virtual for VFs."""

    def decoder(cap: Capability) -> Iterator[str]:
        yield f"{which} Resizable BAR"
        count, index = 1, 0
        while cap.detail > 1 and index < count:
            at = ResizableBar.BARS.at + BarSize.size * index
            if not cap.view.covers(cap.at + at + BarSize.size):
                yield _UNREADABLE
                return
            can, control = cap.read(BarSize.CAP, at), cap.read(BarSize.CTL, at + BarSize.CTL.at)
            if index == 0:
                count = control.COUNT
                if count not in range(1, ResizableBar.BARS.count + 1):
                    yield f"\t\t<error in resizable BAR: num_bars={count} is out of specification>"
                    return
            sizes = can.SIZES | control.SIZES_HIGH << BarSize.CAP.SIZES.width
            told = "".join(_bar_size(n) for n in range(sizes.bit_length()) if sizes >> n & 1)
            text = f"\t\tBAR {control.BAR}: current size:{_bar_size(control.SIZE)}"
            yield text + (f", supported:{told}" if told else "")
            index += 1

    return decoder


def _bar_size(power: int) -> str:
    if power > 43:
        return " <unknown>"
    return f" {1 << power % 10}{('MB', 'GB', 'TB', 'PB', 'EB')[power // 10]}"


def data_object_exchange(cap: Capability) -> Iterator[str]:
    """Data Object Exchange."""
    yield "Data Object Exchange"
    if cap.detail < 2:
        return
    if not cap.covers(DataObjectExchange):
        yield _UNREADABLE
        return
    can = cap.read(DataObjectExchange.CAP)
    yield f"\t\tDOECap: IntSup{sign(can.INTS)}"
    if can.INTS:
        yield f"\t\t\tIntMsgNum {can.IMN}"
    yield f"\t\tDOECtl: IntEn{sign(cap.read(DataObjectExchange.CTL).INTE)}"
    yield f"\t\tDOESta: {_DOE_STATUS(cap.read(DataObjectExchange.STA))}"


def virtual_channel(cap: Capability) -> Iterator[str]:
    """Virtual Channel."""
    yield "Virtual Channel"
    if not cap.shows(VirtualChannel):
        return
    one, two = cap.read(VirtualChannel.CAP1), cap.read(VirtualChannel.CAP2)
    clock = choose("100ns", one.CLK, f"??{one.CLK}")
    yield f"\t\tCaps:\tLPEVC={one.LPEVCC} RefClk={clock} PATEntryBits={1 << one.PATES}"
    yield f"\t\tArb:\t{_schemes(_PORT_ARBITRATION, two.ARB)}"
    yield f"\t\tCtrl:\tArbSelect={_PORT_ARBITRATION[cap.read(VirtualChannel.CTL).ARB]}"
    yield f"\t\tStatus:\tInProgress{sign(cap.read(VirtualChannel.STA).TABLE)}"
    if two.TABLE:
        yield f"\t\tPort Arbitration Table [{cap.at + 16 * two.TABLE:x}] <?>"
    for channel in range(one.EVCC + 1):
        yield from _channel(cap, channel, VirtualChannel.VC0.at + VirtualChannelResource.size * channel)


def _channel(cap: Capability, channel: int, at: int) -> Iterator[str]:
    resource = VirtualChannelResource
    if not cap.view.covers(cap.at + at + resource.size):
        yield f"\t\tVC{channel}:\t<unreadable>"
        return
    can, control = cap.read(resource.CAP, at), cap.read(resource.CTL, at + resource.CTL.at)
    state = cap.read(resource.STA, at + resource.STA.at)
    yield (
        f"\t\tVC{channel}:\tCaps:\tPATOffset={can.PATO:02x} MaxTimeSlots={can.MTS + 1} "
        f"RejSnoopTrans{sign(can.RST)}"
    )
    yield f"\t\t\tArb:\t{_schemes(_CHANNEL_ARBITRATION, can.PAC)}"
    selected = _CHANNEL_ARBITRATION[control.PAS]
    enabled = sign(control.EN)
    yield f"\t\t\tCtrl:\tEnable{enabled} ID={control.ID} ArbSelect={selected} TC/VC={control.TCVC:02x}"
    yield f"\t\t\tStatus:\tNegoPending{sign(state.NP)} InProgress{sign(state.PATS)}"
    if can.PATO:
        yield "\t\t\tPort Arbitration Table <?>"


def _schemes(names: tuple[str, ...], vector: int) -> str:
    """Every named scheme with its sign; a nameless one only where its bit is set."""
    return " ".join(text for text in signs(names, vector) if not (text[0] == "?" and text[-1] == "-"))
