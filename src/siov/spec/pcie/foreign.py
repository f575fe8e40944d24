"""Capabilities of the first 256 bytes that real devices have and no function here: enough to list them."""

from enum import IntEnum

from siov.spec.pcie.capability import CapabilityHeader
from siov.spec.word import RW, RegisterBlock, Word, bit, bits, place


class MsiAddress(Word, width=32, ref="PCIe 7.7.1.3"):
    """Where the message is written, low half."""

    ADDR = bits(31, 2, "address bits 31:2", RW)


class MsiAddressHigh(Word, width=32, ref="PCIe 7.7.1.4"):
    """Where the message is written, high half."""

    ADDR = bits(31, 0, "address bits 63:32", RW)


class MsiData(Word, width=16, ref="PCIe 7.7.1.5"):
    """What is written."""

    DATA = bits(15, 0, "message data; its low bits tell the vectors apart", RW)


class MsiMask(Word, width=32, ref="PCIe 7.7.1.7"):
    """Which vectors may not be sent."""

    VECTORS = bits(31, 0, "one bit a vector", RW)


class MsiPending(Word, width=32, ref="PCIe 7.7.1.8"):
    """Which masked vectors wait."""

    VECTORS = bits(31, 0, "one bit a vector")


class Msi(RegisterBlock, size=4, ref="PCIe 7.7.1"):
    """MSI: up to 32 vectors; what follows depends on the control word."""

    HEADER = place(CapabilityHeader, at=0)

    class CONTROL(Word, width=16, at=2, ref="PCIe 7.7.1.2"):
        """Message Control."""

        EN = bit(0, "MSI Enable", RW)
        MMC = bits(3, 1, "Multiple Message Capable: 1 << n vectors")
        MME = bits(6, 4, "Multiple Message Enable: 1 << n vectors", RW)
        C64 = bit(7, "64-bit Address Capable")
        PVM = bit(8, "Per-Vector Masking Capable")


class Msi32(Msi, size=0x14, ref="PCIe 7.7.1"):
    """MSI with 32-bit addresses."""

    ADDRESS = place(MsiAddress, at=0x04)
    DATA = place(MsiData, at=0x08)
    MASK = place(MsiMask, at=0x0C)
    PENDING = place(MsiPending, at=0x10)


class Msi64(Msi, size=0x18, ref="PCIe 7.7.1"):
    """MSI with 64-bit addresses."""

    ADDRESS = place(MsiAddress, at=0x04)
    ADDRESS_HI = place(MsiAddressHigh, at=0x08)
    DATA = place(MsiData, at=0x0C)
    MASK = place(MsiMask, at=0x10)
    PENDING = place(MsiPending, at=0x14)


class SubsystemIds(RegisterBlock, size=8, ref="PCIe 7.9.23"):
    """Subsystem ID and Subsystem Vendor ID: what a bridge has instead of the header's."""

    HEADER = place(CapabilityHeader, at=0)

    class SSVID(Word, width=16, at=4, ref="PCIe 7.9.23"):
        """Who made the board."""

        ID = bits(15, 0, "vendor")

    class SSID(Word, width=16, at=6, ref="PCIe 7.9.23"):
        """Which of its maker's boards this is."""

        ID = bits(15, 0, "device")


class VendorSpecific(RegisterBlock, size=4, ref="PCIe 7.9.4"):
    """Vendor-Specific: the vendor says what it means."""

    HEADER = place(CapabilityHeader, at=0)

    class INFO(Word, width=16, at=2, ref="PCIe 7.9.4"):
        """Its length; the second byte is the vendor's."""

        LENGTH = bits(7, 0, "bytes, header included")
        TYPE = bits(15, 8, "the vendor's; a structure's type where the vendor is Red Hat")


class VirtioStructure(IntEnum):
    """What a virtio vendor-specific capability points to."""

    COMMON = 1
    NOTIFY = 2
    ISR = 3
    DEVICE = 4


class Virtio(VendorSpecific, size=20, ref="VIRTIO 4.1.4"):
    """A virtio device's pointer into one of its BARs."""

    class BAR(Word, width=8, at=4, ref="VIRTIO 4.1.4"):
        """Which BAR."""

        NUM = bits(7, 0, "number of the BAR")

    class OFFSET(Word, width=32, at=8, ref="VIRTIO 4.1.4"):
        """Where in the BAR."""

        BYTES = bits(31, 0, "offset")

    class LENGTH(Word, width=32, at=12, ref="VIRTIO 4.1.4"):
        """How long."""

        BYTES = bits(31, 0, "length")

    class NOTIFY_OFF_MULTIPLIER(Word, width=32, at=16, ref="VIRTIO 4.1.4.4"):
        """How far the queues' notification addresses lie apart; with the notification structure only."""

        BYTES = bits(31, 0, "distance")


class SlotNumbering(RegisterBlock, size=4, ref="PCI-to-PCI Bridge 1.2, 13"):
    """Slot Identification: an expansion chassis."""

    HEADER = place(CapabilityHeader, at=0)

    class SLOTS(Word, width=16, at=2, ref="PCI-to-PCI Bridge 1.2, 13.2"):
        """Expansion Slot register and Chassis Number."""

        NUM = bits(4, 0, "expansion slots")
        FIC = bit(5, "First In Chassis")
        CHASSIS = bits(15, 8, "chassis number")


class DebugPort(RegisterBlock, size=4, ref="EHCI 1.0, C.2"):
    """Where an EHCI controller's debug port lies."""

    HEADER = place(CapabilityHeader, at=0)

    class PORT(Word, width=16, at=2, ref="EHCI 1.0, C.2"):
        """BAR and offset."""

        OFFSET = bits(12, 0, "offset in it")
        BAR = bits(15, 13, "number of the BAR, from 1")


class AdvancedFeatures(RegisterBlock, size=6, ref="PCI Advanced Capabilities ECN"):
    """Advanced Features: function-level reset for conventional functions."""

    HEADER = place(CapabilityHeader, at=0)

    class LENGTH(Word, width=8, at=2, ref="PCI Advanced Capabilities ECN"):
        """Bytes of the capability: 6."""

        BYTES = bits(7, 0, "length", reset=6)

    class CAP(Word, width=8, at=3, ref="PCI Advanced Capabilities ECN"):
        """AF Capabilities."""

        TP = bit(0, "Transactions Pending supported")
        FLR = bit(1, "Function Level Reset supported")

    class CTL(Word, width=8, at=4, ref="PCI Advanced Capabilities ECN"):
        """AF Control."""

        FLR = bit(0, "Initiate FLR; reads as zero", RW)

    class STA(Word, width=8, at=5, ref="PCI Advanced Capabilities ECN"):
        """AF Status."""

        TP = bit(0, "Transactions Pending")


class Sata(RegisterBlock, size=8, ref="AHCI 1.3.1, 2.4"):
    """Serial ATA: where the index and data registers lie."""

    HEADER = place(CapabilityHeader, at=0)

    class REVISION(Word, width=16, at=2, ref="AHCI 1.3.1, 2.4.2"):
        """Revision of the capability."""

        MINOR = bits(3, 0, "minor")
        MAJOR = bits(7, 4, "major")

    class LOCATION(Word, width=32, at=4, ref="AHCI 1.3.1, 2.4.3"):
        """BAR and offset of the registers."""

        BAR = bits(3, 0, "4 to 9: BAR 0 to 5; 15: right behind this, in configuration space")
        OFFSET = bits(23, 4, "offset, in 4-byte units")


class AgpVersion(Word, width=16, at=2, ref="AGP 3.0, 5.4.2"):
    """An AGP capability's version."""

    MINOR = bits(3, 0, "minor")
    MAJOR = bits(7, 4, "major")


class HyperTransportKind(IntEnum):
    """What a HyperTransport capability is; an interface block's lower two bits are its own."""

    PRIMARY = 0x00
    SECONDARY = 0x04
    SWITCH = 0x08
    INTERRUPT_DISCOVERY = 0x10
    REVISION_ID = 0x11
    UNITID_CLUMPING = 0x12
    EXTENDED_CONFIG = 0x13
    ADDRESS_MAPPING = 0x14
    MSI_MAPPING = 0x15
    DIRECT_ROUTE = 0x16
    VCSET = 0x17
    RETRY_MODE = 0x18
    X86 = 0x19


class HyperTransportCommand(Word, width=16, at=2, ref="HyperTransport 3.10, 7.3"):
    """What kind of HyperTransport capability this is."""

    EN = bit(0, "MSI mapping: enabled")
    FIXED = bit(1, "MSI mapping: at the fixed address FEE0_0000h")
    TYPE = bits(15, 11, "capability type", enum=HyperTransportKind)


class HyperTransportRevision(Word, width=16, at=2, ref="HyperTransport 3.10, 7.10"):
    """A Revision ID capability's command register."""

    MINOR = bits(4, 0, "minor")
    MAJOR = bits(7, 5, "major")


class HyperTransportMsiMapping(RegisterBlock, size=12, ref="HyperTransport 3.10, 7.12"):
    """Which writes a HyperTransport bridge takes for MSIs."""

    HEADER = place(CapabilityHeader, at=0)
    COMMAND = place(HyperTransportCommand, at=2)

    class ADDRESS_LO(Word, width=32, at=4, ref="HyperTransport 3.10, 7.12.2"):
        """The address's low half."""

        BASE = bits(31, 20, "address bits 31:20")

    class ADDRESS_HI(Word, width=32, at=8, ref="HyperTransport 3.10, 7.12.3"):
        """The address's high half."""

        BASE = bits(31, 0, "address bits 63:32")


class EnhancedAllocation(RegisterBlock, size=4, ref="PCIe 7.8.5"):
    """Enhanced Allocation: resources at fixed addresses; a row of entries follows."""

    HEADER = place(CapabilityHeader, at=0)

    class ENTRIES(Word, width=16, at=2, ref="PCIe 7.8.5.1"):
        """How many entries there are."""

        NUM = bits(5, 0, "entries")


class EnhancedAllocationBridge(EnhancedAllocation, size=8, ref="PCIe 7.8.5"):
    """Enhanced Allocation of a bridge: its bus numbers are fixed too."""

    class BUSES(Word, width=16, at=4, ref="PCIe 7.8.5.2"):
        """The fixed bus numbers."""

        SECONDARY = bits(7, 0, "secondary bus")
        SUBORDINATE = bits(15, 8, "subordinate bus")
