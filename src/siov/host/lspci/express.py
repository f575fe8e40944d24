"""The PCI Express capability: device, link, slot and root registers."""

from collections.abc import Iterator

from siov.host.lspci.capability import Capability
from siov.host.lspci.express2 import device2, link2
from siov.host.lspci.text import Flags, choose, sign
from siov.spec.pcie.capability import Express, ExpressType

_TYPES = {
    ExpressType.ENDPOINT: "Endpoint",
    ExpressType.LEGACY_ENDPOINT: "Legacy Endpoint",
    ExpressType.ROOT_PORT: "Root Port",
    ExpressType.UPSTREAM_PORT: "Upstream Port",
    ExpressType.DOWNSTREAM_PORT: "Downstream Port",
    ExpressType.PCIE_TO_PCI_BRIDGE: "PCI-Express to PCI/PCI-X Bridge",
    ExpressType.PCI_TO_PCIE_BRIDGE: "PCI/PCI-X to PCI-Express Bridge",
    ExpressType.RCIEP: "Root Complex Integrated Endpoint",
    ExpressType.RCEC: "Root Complex Event Collector",
}
_ENDPOINTS = {ExpressType.ENDPOINT, ExpressType.LEGACY_ENDPOINT}
_FACING_DOWN = {ExpressType.ROOT_PORT, ExpressType.DOWNSTREAM_PORT, ExpressType.PCI_TO_PCIE_BRIDGE}
_WITHOUT_LINK = {ExpressType.RCIEP, ExpressType.RCEC}
_WITH_ROOT = {ExpressType.ROOT_PORT, ExpressType.RCEC}
_WITH_RESET = {*_ENDPOINTS, ExpressType.RCIEP}
_WITH_SLOT_LIMIT = {ExpressType.ENDPOINT, ExpressType.UPSTREAM_PORT, ExpressType.PCIE_TO_PCI_BRIDGE}
_WITH_BUTTONS = {*_WITH_SLOT_LIMIT, ExpressType.LEGACY_ENDPOINT}
_WITH_RCB = {ExpressType.ROOT_PORT, ExpressType.PCIE_TO_PCI_BRIDGE, *_ENDPOINTS}

_BUTTONS = Flags(Express.DEVCAP, "ABP:AttnBtn AIP:AttnInd PIP:PwrInd")
_REPORTING = Flags(Express.DEVCTL, "CERE:CorrErr NFERE:NonFatalErr FERE:FatalErr URRE:UnsupReq")
_ORDERING = Flags(Express.DEVCTL, "ERO:RlxdOrd ETFE:ExtTag PFE:PhantFunc AUXPPME:AuxPwr ENS:NoSnoop")
_DETECTED = Flags(
    Express.DEVSTA, "CED:CorrErr NFED:NonFatalErr FED:FatalErr URD:UnsupReq AUXPD:AuxPwr TP:TransPend"
)
_LINK_CAN = Flags(Express.LNKCAP, "CPM:ClockPM SDERC:Surprise DLLLARC:LLActRep LBNC:BwNot ASPMOC:ASPMOptComp")
_LINK_CONTROL = Flags(Express.LNKCTL, "LD:LnkDisable CCC:CommClk")
_LINK_CONTROL_MORE = Flags(
    Express.LNKCTL, "ES:ExtSynch ECPM:ClockPM HAWD:AutWidDis LBMIE:BWInt LABIE:AutBWInt"
)
_LINK_STATE = Flags(Express.LNKSTA, "TE:TrErr LT:Train SCC:SlotClk DLLLA:DLActive LBMS:BWMgmt LABS:ABWMgmt")
_SLOT_CAN = Flags(
    Express.SLTCAP, "ABP:AttnBtn PCP:PwrCtrl MRLSP:MRL AIP:AttnInd PIP:PwrInd HPC:HotPlug HPS:Surprise"
)
_SLOT_LOCK = Flags(Express.SLTCAP, "EIP:Interlock NCCS:NoCompl")
_SLOT_ENABLED = Flags(
    Express.SLTCTL, "ABPE:AttnBtn PFDE:PwrFlt MRLSCE:MRL PDCE:PresDet CCIE:CmdCplt HPIE:HPIrq DLLSCE:LinkChg"
)
_SLOT_STATE = Flags(Express.SLTSTA, "ABP:AttnBtn PFD:PowerFlt MRLSS:MRL CC:CmdCplt PDS:PresDet EIS:Interlock")
_SLOT_CHANGED = Flags(Express.SLTSTA, "MRLSC:MRL PDC:PresDet DLLSC:LinkState")
_ROOT_CONTROL = Flags(
    Express.RTCTL,
    "SECEE:ErrCorrectable SENFEE:ErrNon-Fatal SEFEE:ErrFatal PMEIE:PMEIntEna CRSSVE:CRSVisible",
)
_ROOT_STATE = Flags(Express.RTSTA, "PMES:PMEStatus PMEP:PMEPending")

_L0S = "<64ns|<128ns|<256ns|<512ns|<1us|<2us|<4us|unlimited"
_L1 = "<1us|<2us|<4us|<8us|<16us|<32us|<64us|unlimited"
_SPEEDS = "|2.5GT/s|5GT/s|8GT/s|16GT/s|32GT/s|64GT/s"
_ASPM_SUPPORT = "not supported|L0s|L1|L0s L1"
_ASPM_CONTROL = "Disabled|L0s Enabled|L1 Enabled|L0s L1 Enabled"
_INDICATOR = "Unknown|On|Blink|Off"
_OVER_250_W = range(0xF0, 0xFF)  # slot power limits in steps of 25 W


def express(cap: Capability) -> Iterator[str]:
    """PCI Express."""
    what = cap.read(Express.PCIECAP)
    version = f"(v{what.VERSION}) " if cap.detail > 1 else ""
    known = what.TYPE in set(ExpressType)
    name = _TYPES[ExpressType(what.TYPE)] if known else f"Unknown type {what.TYPE}"
    if what.TYPE in _FACING_DOWN:
        name += f" (Slot{sign(what.SLOT)})"
    yield f"Express {version}{name}, IntMsgNum {what.IMN}"

    slot, link, root = (
        what.TYPE in _FACING_DOWN and what.SLOT,
        what.TYPE not in _WITHOUT_LINK,
        what.TYPE in _WITH_ROOT,
    )
    if not cap.shows(Express.RTSTA if root else Express.SLTSTA if slot else Express.LNKSTA):
        return
    yield from _device(cap, what.TYPE)
    if link:
        yield from _link(cap, what.TYPE)
    if slot:
        yield from _slot(cap)
    if root:
        yield from _root(cap)
    if what.VERSION < 2 or not cap.covers(Express.SLTSTA2 if slot else Express.LNKSTA2):
        return
    yield from device2(cap, what.TYPE)
    if link:
        yield from link2(cap, what.TYPE, what.TYPE in _FACING_DOWN)


def _device(cap: Capability, port: int) -> Iterator[str]:
    can = cap.read(Express.DEVCAP)
    text = f"\t\tDevCap:\tMaxPayload {128 << can.MPSS} bytes, PhantFunc {(1 << can.PFS) - 1}"
    if port in _ENDPOINTS:
        text += f", Latency L0s {choose(_L0S, can.L0SL, '')}, L1 {choose(_L1, can.L1L, '')}"
    yield text
    text = f"\t\t\tExtTag{sign(can.ETFS)}"
    if port in _WITH_BUTTONS:
        text += f" {_BUTTONS(can)}"
    text += f" RBE{sign(can.RBER)}"
    if port in _WITH_RESET:
        text += f" FLReset{sign(can.FLRC)}"
    if port in _WITH_SLOT_LIMIT:
        text += f" SlotPowerLimit {_power(can.CSPLV, can.CSPLS)}"
    yield f"{text} TEE-IO{sign(can.TEEIO)}"

    control = cap.read(Express.DEVCTL)
    yield f"\t\tDevCtl:\t{_REPORTING(control)}"
    text = f"\t\t\t{_ORDERING(control)}"
    if port == ExpressType.PCIE_TO_PCI_BRIDGE:
        text += f" BrConfRtry{sign(control.IFLR)}"
    if port in _WITH_RESET and can.FLRC:
        text += f" FLReset{sign(control.IFLR)}"
    yield text
    yield f"\t\t\tMaxPayload {128 << control.MPS} bytes, MaxReadReq {128 << control.MRRS} bytes"
    yield f"\t\tDevSta:\t{_DETECTED(cap.read(Express.DEVSTA))}"


def _link(cap: Capability, port: int) -> Iterator[str]:
    can = cap.read(Express.LNKCAP)
    text = f"\t\tLnkCap:\tPort #{can.PN}, Speed {choose(_SPEEDS, can.MLS, 'unknown')}, Width x{can.MLW}"
    text += f", ASPM {choose(_ASPM_SUPPORT, can.ASPMS, '')}"
    exits = []
    if can.ASPMS & 1:
        exits.append(f"L0s {choose(_L0S, can.L0SEL, '')}")
    if can.ASPMS & 2:
        exits.append(f"L1 {choose(_L1, can.L1EL, '')}")
    yield text + (f", Exit Latency {', '.join(exits)}" if exits else "")
    yield f"\t\t\t{_LINK_CAN(can)}"

    control = cap.read(Express.LNKCTL)
    text = f"\t\tLnkCtl:\tASPM {choose(_ASPM_CONTROL, control.ASPMC, '')};"
    if port in _WITH_RCB:
        text += f" RCB {128 if control.RCB else 64} bytes,"
    yield f"{text} {_LINK_CONTROL(control)}"
    yield f"\t\t\t{_LINK_CONTROL_MORE(control)}"

    state = cap.read(Express.LNKSTA)
    speed = choose(_SPEEDS, state.CLS, "unknown") + _compared(port, state.CLS, can.MLS)
    yield f"\t\tLnkSta:\tSpeed {speed}, Width x{state.NLW}{_compared(port, state.NLW, can.MLW)}"
    yield f"\t\t\t{_LINK_STATE(state)}"


def _slot(cap: Capability) -> Iterator[str]:
    can, control, state = cap.read(Express.SLTCAP), cap.read(Express.SLTCTL), cap.read(Express.SLTSTA)
    yield f"\t\tSltCap:\t{_SLOT_CAN(can)}"
    limit = _power(can.SPLV, can.SPLS)
    yield f"\t\t\tSlot #{can.PSN}, PowerLimit {limit}; {_SLOT_LOCK(can)}"
    yield f"\t\tSltCtl:\tEnable: {_SLOT_ENABLED(control)}"
    attention, power = choose(_INDICATOR, control.AIC, ""), choose(_INDICATOR, control.PIC, "")
    yield (
        f"\t\t\tControl: AttnInd {attention}, PwrInd {power}, "
        f"Power{sign(control.PCC)} Interlock{sign(control.EIC)}"
    )
    yield f"\t\tSltSta:\tStatus: {_SLOT_STATE(state)}"
    yield f"\t\t\tChanged: {_SLOT_CHANGED(state)}"


def _root(cap: Capability) -> Iterator[str]:
    yield f"\t\tRootCap: CRSVisible{sign(cap.read(Express.RTCAP).CRSSV)}"
    yield f"\t\tRootCtl: {_ROOT_CONTROL(cap.read(Express.RTCTL))}"
    state = cap.read(Express.RTSTA)
    yield f"\t\tRootSta: PME ReqID {state.PMERID:04x}, {_ROOT_STATE(state)}"


def _power(value: int, scale: int) -> str:
    """A slot power limit in watts: PCIe 7.5.3.9."""
    if scale == 0 and value == 0xFF:
        return ">600W"
    if scale == 0 and value in _OVER_250_W:
        value = 250 + 25 * (value - _OVER_250_W.start)
    return f"{value / 10**scale:g}W"


def _compared(port: int, now: int, most: int) -> str:
    if now > most:
        return " (overdriven)"
    return "" if now == most or port in _FACING_DOWN else " (downgraded)"
