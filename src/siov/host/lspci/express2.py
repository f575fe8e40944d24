"""The second set of registers of the PCI Express capability, from version 2 on."""

from collections.abc import Iterator

from siov.host.lspci.capability import Capability
from siov.host.lspci.regions import has_memory
from siov.host.lspci.text import Flags, choose, sign
from siov.spec.pcie.capability import Express, ExpressType

_SWITCH = {ExpressType.UPSTREAM_PORT, ExpressType.DOWNSTREAM_PORT}
_ROUTING = {ExpressType.ROOT_PORT, *_SWITCH}
_REQUESTERS = {
    ExpressType.ROOT_PORT,
    ExpressType.ENDPOINT,
    ExpressType.LEGACY_ENDPOINT,
    ExpressType.RCIEP,
}
_WITH_ARI = {ExpressType.ROOT_PORT, ExpressType.DOWNSTREAM_PORT}
_WITH_TPH = {ExpressType.ROOT_PORT, ExpressType.ENDPOINT}
_ENDPOINTS = {ExpressType.ENDPOINT, ExpressType.LEGACY_ENDPOINT}

_DEVICE_CAN = Flags(Express.DEVCAP2, "CTDS:TimeoutDis NROEPRP:NROPrPrP LTRMS:LTR")
_TAGS_CAN = Flags(Express.DEVCAP2, "TAG10C:10BitTagComp TAG10R:10BitTagReq")
_PREFIXES_CAN = Flags(Express.DEVCAP2, "EFFS:ExtFmt EETPS:EETLPPrefix")
_ATOMICS_CAN = Flags(Express.DEVCAP2, "AOC32:32bit AOC64:64bit CASC128:128bitCAS")
_DEVICE_CONTROL = Flags(
    Express.DEVCTL2, "IDORE:IDOReq IDOCE:IDOCompl LTRME:LTR EPRR:EmergencyPowerReductionReq"
)
_LINK_CAN = Flags(Express.LNKCAP2, "CLS:Crosslink RPDS:Retimer TRPDS:2Retimers DRSS:DRS")
_LINK_CONTROL = Flags(Express.LNKCTL2, "EC:EnterCompliance HASD:SpeedDis")
_EQUALIZATION = Flags(
    Express.LNKSTA2, "EQP2:EqualizationPhase2 EQP3:EqualizationPhase3 LER:LinkEqualizationRequest"
)

_RANGES = "Not Supported|Range A|Range B|Range AB|||Range BC|Range ABC|||||||Range BCD|Range ABCD"
_TIMEOUTS = (
    "50us to 50ms|50us to 100us|1ms to 10ms|||16ms to 55ms|65ms to 210ms|||260ms to 900ms|1s to 3.5s|||"
    "4s to 13s|17s to 64s"
)
_OBFF_SUPPORT = "Not Supported|Via message|Via WAKE#|Via message/WAKE#"
_OBFF_CONTROL = "Disabled|Via message A|Via message B|Via WAKE#"
_POWER_REDUCTION = "Not Supported|Dev Specific|Form Factor Dev Specific|Reserved"
_LN_CACHELINE = "Not Supported|64byte cachelines|128byte cachelines|Reserved"
_TPH_COMPLETER = "TPHComp- ExtTPHComp-|TPHComp+ ExtTPHComp-||TPHComp+ ExtTPHComp+"
_SPEED_VECTORS = "Unknown|2.5GT/s|2.5-5GT/s|2.5-8GT/s|2.5-16GT/s|2.5-32GT/s|2.5-64GT/s|RsvdP"
_TARGET_SPEED = "2.5GT/s|2.5GT/s|5GT/s|8GT/s|16GT/s|32GT/s|64GT/s"
_DE_EMPHASIS = "-6dB|-3.5dB"
_LOW_MARGIN = "200-400mV(full-swing)/100-200mV(half-swing)"
_MARGIN = "|".join(
    ["Normal Operating Range", "800-1200mV(full-swing)/400-700mV(half-swing)", *[_LOW_MARGIN] * 4]
)
_PRESETS = "|".join(
    f"{de_emphasis}dB de-emphasis, {preshoot}dB preshoot"
    for de_emphasis, preshoot in (
        ("-6", "0"),
        ("-3.5", "0"),
        ("-4.4", "0"),
        ("-2.5", "0"),
        ("0", "0"),
        ("0", "1.9"),
        ("0", "2.5"),
        ("-6.0", "3.5"),
        ("-3.5", "3.5"),
        ("0", "3.5"),
    )
)
_CROSSLINK = "unsupported|Upstream Port|Downstream Port|incomplete"
_PRESENCE = (
    "Link Down - Not Determined|Link Down - Not Present|Link Down - Present||Link Up - Present|"
    "Link Up - Present and DRS Received"
)
_UNKNOWN = "Unknown"


def device2(cap: Capability, port: int) -> Iterator[str]:
    """Device Capabilities 2 and Device Control 2."""
    can = cap.read(Express.DEVCAP2)
    memory = has_memory(cap.view)
    yield f"\t\tDevCap2: Completion Timeout: {choose(_RANGES, can.CTRS, _UNKNOWN)}, {_DEVICE_CAN(can)}"
    prefixes = f", MaxEETLPPrefixes {can.MEETP or 4}" if can.EETPS else ""
    obff = choose(_OBFF_SUPPORT, can.OBFFS, "")
    yield f"\t\t\t {_TAGS_CAN(can)} OBFF {obff}, {_PREFIXES_CAN(can)}{prefixes}"
    reduction = choose(_POWER_REDUCTION, can.EPRS, "")
    yield f"\t\t\t EmergencyPowerReduction {reduction}, EmergencyPowerReductionInit{sign(can.EPRIR)}"
    text = f"\t\t\t FRS{sign(can.FRSS)}"
    if port == ExpressType.ROOT_PORT:
        text += f" LN System CLS {choose(_LN_CACHELINE, can.LNCLS, '')},"
    if port in _WITH_TPH:
        text += f" {choose(_TPH_COMPLETER, can.TPHCS, '')}"
    yield text + (f" ARIFwd{sign(can.ARIFS)}" if port in _WITH_ARI else "")
    if port in _ROUTING or memory:
        text = f" Routing{sign(can.AORS)}" if port in _ROUTING else ""
        text += f" {_ATOMICS_CAN(can)}" if port == ExpressType.ROOT_PORT or memory else ""
        yield f"\t\t\t AtomicOpsCap:{text}"

    control = cap.read(Express.DEVCTL2)
    text = f"\t\tDevCtl2: Completion Timeout: {choose(_TIMEOUTS, control.CTV, _UNKNOWN)}"
    text += f", TimeoutDis{sign(control.CTD)}"
    yield text + (f" ARIFwd{sign(control.ARIFE)}" if port in _WITH_ARI else "")
    if port in _ROUTING or port in _REQUESTERS:
        text = f" ReqEn{sign(control.AORE)}" if port in _REQUESTERS else ""
        text += f" EgressBlck{sign(control.AOEB)}" if port in _ROUTING else ""
        yield f"\t\t\t AtomicOpsCtl:{text}"
    yield f"\t\t\t {_DEVICE_CONTROL(control)}"
    obff = choose(_OBFF_CONTROL, control.OBFFE, "")
    yield f"\t\t\t 10BitTagReq{sign(control.TAG10E)} OBFF {obff}, EETLPPrefixBlk{sign(control.EETPB)}"


def link2(cap: Capability, port: int, faces_down: bool) -> Iterator[str]:
    """Link Capabilities 2, Link Control 2 and Link Status 2."""
    can = cap.read(Express.LNKCAP2)
    address = cap.view.address
    first = address.device == 0 and address.function == 0
    if port in _ENDPOINTS and not first:
        can = Express.LNKCAP2(0)  # the link's registers are those of the device's first function
    else:
        if can.raw:
            speeds = choose(_SPEED_VECTORS, can.SLSV.bit_length(), "")
            yield f"\t\tLnkCap2: Supported Link Speeds: {speeds}, {_LINK_CAN(can)}"
        yield from _link_control2(cap, port)

    state = cap.read(Express.LNKSTA2)
    level = choose(_DE_EMPHASIS, state.CDL, _UNKNOWN)
    yield (
        f"\t\tLnkSta2: Current De-emphasis Level: {level}, "
        f"EqualizationComplete{sign(state.EQC)} EqualizationPhase1{sign(state.EQP1)}"
    )
    yield f"\t\t\t {_EQUALIZATION(state)}"
    crosslink = choose(_CROSSLINK, state.CLR, "")
    text = f"\t\t\t Retimer{sign(state.RP)} 2Retimers{sign(state.RP2)} CrosslinkRes: {crosslink}"
    if faces_down and can.DRSS:
        yield f"{text}, DRS{sign(state.DRSMR)}"
        yield f"\t\t\t DownstreamComp: {choose(_PRESENCE, state.DCP, 'Reserved')}"
    else:
        yield text


def _link_control2(cap: Capability, port: int) -> Iterator[str]:
    control = cap.read(Express.LNKCTL2)
    speed = choose(_TARGET_SPEED, control.TLS, _UNKNOWN)
    text = f"\t\tLnkCtl2: Target Link Speed: {speed}, {_LINK_CONTROL(control)}"
    if port == ExpressType.DOWNSTREAM_PORT:
        text += f", Selectable De-emphasis: {choose(_DE_EMPHASIS, control.SDE, _UNKNOWN)}"
    yield text
    yield (
        f"\t\t\t Transmit Margin: {choose(_MARGIN, control.TM, _UNKNOWN)}, "
        f"EnterModifiedCompliance{sign(control.EMC)} ComplianceSOS{sign(control.CSOS)}"
    )
    yield f"\t\t\t Compliance Preset/De-emphasis: {choose(_PRESETS, control.CPD, _UNKNOWN)}"
