"""Capabilities of the first 256 bytes, PCI Express apart."""

from collections.abc import Iterator

from siov.host.lspci.capability import Capability, Decoder
from siov.host.lspci.express import express
from siov.host.lspci.text import Flags, sign, signs
from siov.spec.pcie.capability import Msix, PowerManagement
from siov.spec.pcie.foreign import (
    AdvancedFeatures,
    AgpVersion,
    DebugPort,
    EnhancedAllocation,
    EnhancedAllocationBridge,
    HyperTransportCommand,
    HyperTransportKind,
    HyperTransportMsiMapping,
    HyperTransportRevision,
    Msi,
    Msi32,
    Msi64,
    MsiAddress,
    MsiAddressHigh,
    MsiData,
    MsiMask,
    MsiPending,
    Sata,
    SlotNumbering,
    SubsystemIds,
    VendorSpecific,
    Virtio,
    VirtioStructure,
)
from siov.spec.pcie.header import HeaderLayout
from siov.spec.pcie.ids import CapabilityId

_AUX_CURRENT = (0, 55, 100, 160, 220, 270, 320, 375)  # mA
_PM_STATES = ("D0", "D1", "D2", "D3hot", "D3cold")
_PM_FLAGS = Flags(PowerManagement.PMC, "PME_CLOCK:PMEClk DSI D1 D2")
_MSI_FLAGS = Flags(Msi.CONTROL, "PVM:Maskable C64:64bit")
_RED_HAT, _VIRTIO = 0x1AF4, range(0x1000, 0x1080)
_VIRTIO_LENGTHS = range(Virtio.NOTIFY_OFF_MULTIPLIER.at, 256)
_WITH_MULTIPLIER = range(Virtio.size, 256)
_VIRTIO_NAMES = {
    VirtioStructure.COMMON: "CommonCfg",
    VirtioStructure.NOTIFY: "Notify",
    VirtioStructure.ISR: "ISR",
    VirtioStructure.DEVICE: "DeviceCfg",
}
_HT_NAMES = {
    HyperTransportKind.SWITCH: "Switch",
    HyperTransportKind.INTERRUPT_DISCOVERY: "Interrupt Discovery and Configuration",
    HyperTransportKind.UNITID_CLUMPING: "UnitID Clumping",
    HyperTransportKind.EXTENDED_CONFIG: "Extended Configuration Space Access",
    HyperTransportKind.ADDRESS_MAPPING: "Address Mapping",
    HyperTransportKind.DIRECT_ROUTE: "DirectRoute",
    HyperTransportKind.VCSET: "VCSet",
    HyperTransportKind.RETRY_MODE: "Retry Mode",
    HyperTransportKind.X86: "X86 (reserved)",
}


def power_management(cap: Capability) -> Iterator[str]:
    """PCI Power Management."""
    can = cap.read(PowerManagement.PMC)
    yield f"Power Management version {can.VERSION}"
    if cap.detail < 2:
        return
    states = ",".join(signs(_PM_STATES, can.PME))
    yield f"\t\tFlags: {_PM_FLAGS(can)} AuxCurrent={_AUX_CURRENT[can.AUX]}mA PME({states})"
    if not cap.covers(PowerManagement):
        return
    now = cap.read(PowerManagement.PMCSR)
    yield (
        f"\t\tStatus: D{now.PS} NoSoftRst{sign(now.NO_SOFT_RESET)} PME-Enable{sign(now.PME_EN)} "
        f"DSel={now.DATA_SEL} DScale={now.DATA_SCALE} PME{sign(now.PME_STATUS)}"
    )
    bridge = cap.read(PowerManagement.BSE)
    if bridge.raw:
        yield f"\t\tBridge: PM{sign(bridge.BPCC)} B3{sign(not bridge.B2B3)}"


def msi(cap: Capability) -> Iterator[str]:
    """MSI."""
    control = cap.read(Msi.CONTROL)
    count = f"{1 << control.MME}/{1 << control.MMC}"
    yield f"MSI: Enable{sign(control.EN)} Count={count} {_MSI_FLAGS(control)}"
    layout = Msi64 if control.C64 else Msi32
    if cap.detail < 2 or not cap.view.covers(cap.at + layout.DATA.end):
        return
    high = f"{cap.read(MsiAddressHigh, Msi64.ADDRESS_HI.at).raw:08x}" if control.C64 else ""
    low, data = cap.read(MsiAddress, layout.ADDRESS.at), cap.read(MsiData, layout.DATA.at)
    yield f"\t\tAddress: {high}{low.raw:08x}  Data: {data.raw:04x}"
    if control.PVM and cap.covers(layout):
        mask, pending = cap.read(MsiMask, layout.MASK.at), cap.read(MsiPending, layout.PENDING.at)
        yield f"\t\tMasking: {mask.raw:08x}  Pending: {pending.raw:08x}"


def msix(cap: Capability) -> Iterator[str]:
    """MSI-X."""
    control = cap.read(Msix.CONTROL)
    yield f"MSI-X: Enable{sign(control.EN)} Count={control.SIZE + 1} Masked{sign(control.MASK)}"
    if cap.shows(Msix):
        for name, where in (("Vector table", cap.read(Msix.TABLE)), ("PBA", cap.read(Msix.PBA))):
            yield f"\t\t{name}: BAR={where.BIR} offset={where.raw - where.BIR:08x}"


def vital_product_data(cap: Capability) -> Iterator[str]:
    """Vital Product Data: the data stand elsewhere and are never read here."""
    yield "Vital Product Data"
    if cap.detail > 1:
        yield "\t\tNot readable"


def slot_numbering(cap: Capability) -> Iterator[str]:
    """Slot Identification."""
    slots = cap.read(SlotNumbering.SLOTS)
    yield f"Slot ID: {slots.NUM} slots, First{sign(slots.FIC)}, chassis {slots.CHASSIS:02x}"


def vendor_specific(cap: Capability) -> Iterator[str]:
    """Vendor-Specific; virtio's structures are told apart."""
    info = cap.read(VendorSpecific.INFO)
    virtio = cap.view.vendor == _RED_HAT and cap.view.device in _VIRTIO
    whole = info.LENGTH in _VIRTIO_LENGTHS and cap.view.covers(cap.at + info.LENGTH)
    if not (virtio and whole):
        yield f"Vendor Specific Information: Len={info.LENGTH:02x} <?>"
        return
    known = info.TYPE in set(VirtioStructure)
    name = _VIRTIO_NAMES[VirtioStructure(info.TYPE)] if known else "<unknown>"
    yield f"Vendor Specific Information: VirtIO: {name}"
    if cap.detail > 1:
        offset, length = cap.read(Virtio.OFFSET).BYTES, cap.read(Virtio.LENGTH).BYTES
        text = f"\t\tBAR={cap.read(Virtio.BAR).NUM} offset={offset:08x} size={length:08x}"
        if info.TYPE == VirtioStructure.NOTIFY and info.LENGTH in _WITH_MULTIPLIER:
            text += f" multiplier={cap.read(Virtio.NOTIFY_OFF_MULTIPLIER).BYTES:08x}"
        yield text


def debug_port(cap: Capability) -> Iterator[str]:
    """An EHCI controller's debug port."""
    port = cap.read(DebugPort.PORT)
    yield f"Debug port: BAR={port.BAR} offset={port.OFFSET:04x}"


def subsystem_ids(cap: Capability) -> Iterator[str]:
    """A bridge's subsystem; without the bytes lspci writes nothing, not even the end of the line."""
    if cap.covers(SubsystemIds):
        board = cap.read(SubsystemIds.SSVID).ID, cap.read(SubsystemIds.SSID).ID
        yield f"Subsystem: {cap.names.subsystem((cap.view.vendor, cap.view.device), board)}"


def sata(cap: Capability) -> Iterator[str]:
    """Serial ATA host bus adapter."""
    revision = cap.read(Sata.REVISION)
    text = f"SATA HBA v{revision.MAJOR}.{revision.MINOR}"
    if cap.shows(Sata):
        place = cap.read(Sata.LOCATION)
        if place.BAR in range(4, 10):
            text += f" BAR{place.BAR - 4} Offset={place.OFFSET:08x}"
        else:
            text += " InCfgSpace" if place.BAR == 15 else f" BAR??{place.BAR}"
    yield text


def advanced_features(cap: Capability) -> Iterator[str]:
    """Advanced Features."""
    yield "PCI Advanced Features"
    if cap.shows(AdvancedFeatures):
        can = cap.read(AdvancedFeatures.CAP)
        yield f"\t\tAFCap: TP{sign(can.TP)} FLR{sign(can.FLR)}"
        yield f"\t\tAFCtrl: FLR{sign(cap.read(AdvancedFeatures.CTL).FLR)}"
        yield f"\t\tAFStatus: TP{sign(cap.read(AdvancedFeatures.STA).TP)}"


def agp(cap: Capability) -> Iterator[str]:
    """AGP: its version only."""
    version = cap.read(AgpVersion)
    yield f"AGP version {version.MAJOR:x}.{version.MINOR:x}"


def pci_x(cap: Capability) -> Iterator[str]:
    """PCI-X: its name only."""
    if cap.view.layout == HeaderLayout.TYPE0:
        yield "PCI-X non-bridge device"
    elif cap.view.layout == HeaderLayout.TYPE1:
        yield "PCI-X bridge device"


def hyper_transport(cap: Capability) -> Iterator[str]:
    """HyperTransport: what it is, and the MSI mapping."""
    command = cap.read(HyperTransportCommand)
    if command.TYPE < HyperTransportKind.SWITCH:
        secondary = command.TYPE >= HyperTransportKind.SECONDARY
        yield f"HyperTransport: {'Host or Secondary' if secondary else 'Slave or Primary'} Interface"
    elif command.TYPE == HyperTransportKind.REVISION_ID:
        revision = cap.read(HyperTransportRevision)
        yield f"HyperTransport: Revision ID: {revision.MAJOR}.{revision.MINOR:02}"
    elif command.TYPE == HyperTransportKind.MSI_MAPPING:
        yield f"HyperTransport: MSI Mapping Enable{sign(command.EN)} Fixed{sign(command.FIXED)}"
        mapping = HyperTransportMsiMapping
        if not command.FIXED and cap.shows(mapping):
            address = cap.read(mapping.ADDRESS_HI).BASE << 32 | cap.read(mapping.ADDRESS_LO).BASE << 20
            yield f"\t\tMapping Address Base: {address:016x}"
    else:
        known = command.TYPE in set(HyperTransportKind)
        name = _HT_NAMES[HyperTransportKind(command.TYPE)] if known else f"#{command.TYPE:02x}"
        yield f"HyperTransport: {name}"


def enhanced_allocation(cap: Capability) -> Iterator[str]:
    """Enhanced Allocation: how many entries; a bridge's bus numbers."""
    text = f"Enhanced Allocation (EA): NumEntries={cap.read(EnhancedAllocation.ENTRIES).NUM}"
    if cap.view.layout == HeaderLayout.TYPE1 and cap.covers(EnhancedAllocationBridge.BUSES):
        buses = cap.read(EnhancedAllocationBridge.BUSES)
        text += f", secondary={buses.SECONDARY}, subordinate={buses.SUBORDINATE}"
    yield text


def named(name: str) -> Decoder:
    """The decoder of a capability that is only named."""

    def decoder(cap: Capability) -> Iterator[str]:
        yield name

    return decoder


DECODERS: dict[CapabilityId, Decoder] = {
    CapabilityId.NULL: named("Null"),
    CapabilityId.PM: power_management,
    CapabilityId.AGP: agp,
    CapabilityId.VPD: vital_product_data,
    CapabilityId.SLOT_ID: slot_numbering,
    CapabilityId.MSI: msi,
    CapabilityId.CHSWP: named("CompactPCI hot-swap <?>"),
    CapabilityId.PCIX: pci_x,
    CapabilityId.HT: hyper_transport,
    CapabilityId.VENDOR: vendor_specific,
    CapabilityId.DEBUG_PORT: debug_port,
    CapabilityId.CCRC: named("CompactPCI central resource control <?>"),
    CapabilityId.HOTPLUG: named("Hot-plug capable"),
    CapabilityId.SSVID: subsystem_ids,
    CapabilityId.AGP3: named("AGP3 <?>"),
    CapabilityId.SECURE: named("Secure device <?>"),
    CapabilityId.EXPRESS: express,
    CapabilityId.MSIX: msix,
    CapabilityId.SATA: sata,
    CapabilityId.AF: advanced_features,
    CapabilityId.EA: enhanced_allocation,
}
