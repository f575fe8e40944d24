"""Follows the two lists of capabilities of a function, whatever stands in them."""

from collections.abc import Iterator

from siov.host.lspci import caps, extended, foreign
from siov.host.lspci.capability import Capability, Decoder
from siov.host.lspci.caps import named
from siov.host.lspci.ids import Names
from siov.host.lspci.view import PciFunctionView
from siov.spec.pcie.capability import CapabilityHeader, Express
from siov.spec.pcie.extended import ExtendedCapabilityHeader
from siov.spec.pcie.foreign import VendorSpecific
from siov.spec.pcie.header import CommonHeader
from siov.spec.pcie.ids import CapabilityId, ExtendedCapabilityId

_EXTENDED_START = 0x100
_ALIGNED = ~3  # the two lowest bits of an offset are reserved
_BROKEN = 0xFF
_ALL_ONES = 0xFFFF_FFFF
_WITH_EXTENDED = {CapabilityId.EXPRESS, CapabilityId.PCIX}

_Id = ExtendedCapabilityId
_EXTENDED: dict[ExtendedCapabilityId, Decoder] = {
    _Id.NULL: named("Null"),
    _Id.AER: extended.advanced_error_reporting,
    _Id.VC: foreign.virtual_channel,
    _Id.DSN: extended.device_serial_number,
    _Id.POWER_BUDGETING: named("Power Budgeting <?>"),
    _Id.RC_LINK: named("Root Complex Link"),
    _Id.RC_INTERNAL_LINK: named("Root Complex Internal Link <?>"),
    _Id.RCEC: named("Root Complex Event Collector Endpoint Association"),
    _Id.MFVC: named("Multi-Function Virtual Channel <?>"),
    _Id.VC_MFVC: foreign.virtual_channel,
    _Id.RCRB: named("Root Complex Register Block <?>"),
    _Id.VENDOR: foreign.vendor_specific,
    _Id.ACS: extended.access_control,
    _Id.ARI: extended.alternative_routing,
    _Id.ATS: extended.address_translation,
    _Id.SRIOV: extended.single_root_virtualization,
    _Id.MRIOV: named("Multi-Root I/O Virtualization <?>"),
    _Id.MULTICAST: named("Multicast"),
    _Id.PRI: extended.page_request,
    _Id.REBAR: foreign.resizable_bar("Physical"),
    _Id.DPA: named("Dynamic Power Allocation <?>"),
    _Id.TPH: foreign.processing_hints,
    _Id.LTR: foreign.latency_tolerance,
    _Id.SECONDARY: foreign.secondary_express,
    _Id.PMUX: named("Protocol Multiplexing <?>"),
    _Id.PASID: extended.process_address_space,
    _Id.LN_REQUESTER: named("LN Requester <?>"),
    _Id.DPC: foreign.downstream_port_containment,
    _Id.L1PM: foreign.l1_substates,
    _Id.PTM: foreign.precision_time,
    _Id.M_PCIE: named("PCI Express over M_PHY <?>"),
    _Id.FRS: named("FRS Queueing <?>"),
    _Id.RTR: named("Readiness Time Reporting <?>"),
    _Id.DVSEC: foreign.designated_vendor_specific,
    _Id.VF_REBAR: foreign.resizable_bar("Virtual"),
    _Id.DATA_LINK: named("Data Link Feature <?>"),
    _Id.PHY16: named("Physical Layer 16.0 GT/s <?>"),
    _Id.LANE_MARGINING: foreign.lane_margining,
    _Id.HIERARCHY_ID: named("Hierarchy ID <?>"),
    _Id.NPEM: named("Native PCIe Enclosure Management <?>"),
    _Id.PHY32: named("Physical Layer 32.0 GT/s <?>"),
    _Id.DOE: foreign.data_object_exchange,
    _Id.IDE: named("Integrity & Data Encryption"),
}


def capabilities(view: PciFunctionView, detail: int, names: Names) -> Iterator[str]:
    """All capabilities of a function, as text with its line ends."""
    port: int | None = None
    with_extended = False
    seen: set[int] = set()
    at = view.read(CommonHeader.CAP_PTR).PTR & _ALIGNED if view.read(CommonHeader.STATUS).CAP else 0
    while at:
        yield "\tCapabilities: "
        cap = Capability(view, at, detail, names)
        if not cap.covers(VendorSpecific):  # the smallest capability: header and two bytes of its own
            yield "<access denied>\n"
            break
        header = cap.read(CapabilityHeader, 0)
        yield f"[{at:02x}] "
        if at in seen or header.ID == _BROKEN:
            yield "<chain looped>\n" if at in seen else "<chain broken>\n"
            break
        seen.add(at)
        if header.ID in set(CapabilityId):
            yield from (f"{line}\n" for line in caps.DECODERS[CapabilityId(header.ID)](cap))
        else:
            flags = cap.read(VendorSpecific.INFO).raw
            yield f"Capability ID {header.ID:#x} [{flags:04x}]\n"
        if header.ID == CapabilityId.EXPRESS:
            port = cap.read(Express.PCIECAP).TYPE
        with_extended = with_extended or header.ID in _WITH_EXTENDED
        at = header.NEXT & _ALIGNED
    if with_extended:
        yield from _extended(view, detail, names, port)


def _extended(view: PciFunctionView, detail: int, names: Names, port: int | None) -> Iterator[str]:
    at = _EXTENDED_START
    seen: set[int] = set()
    while at:
        cap = Capability(view, at, detail, names, port)
        if not view.covers(at + ExtendedCapabilityHeader.width // 8):
            return
        header = cap.read(ExtendedCapabilityHeader, 0)
        if header.raw in (0, _ALL_ONES):
            return
        yield f"\tCapabilities: [{at:03x}{f' v{header.VERSION}' if detail > 1 else ''}] "
        if at in seen:
            yield "<chain looped>\n"
            return
        seen.add(at)
        if header.ID in set(ExtendedCapabilityId):
            yield from (f"{line}\n" for line in _EXTENDED[ExtendedCapabilityId(header.ID)](cap))
        else:
            yield f"Extended Capability ID {header.ID:#x}\n"
        at = header.NEXT & _ALIGNED
