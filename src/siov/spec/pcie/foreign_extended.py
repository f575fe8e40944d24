"""Extended capabilities that real devices have and no function here: enough to list them."""

from siov.spec.pcie.extended import ExtendedCapabilityHeader
from siov.spec.word import RW, RW1C, RegisterBlock, Word, bit, bits, place


class VendorSpecificExtended(RegisterBlock, size=8, ref="PCIe 7.9.5"):
    """Vendor-Specific Extended: the vendor says what it means."""

    HEADER = place(ExtendedCapabilityHeader, at=0)

    class VSEC(Word, width=32, at=4, ref="PCIe 7.9.5.2"):
        """Vendor-Specific Header."""

        ID = bits(15, 0, "the vendor's number for it")
        REV = bits(19, 16, "revision")
        LENGTH = bits(31, 20, "bytes, headers included")


class DesignatedVendorSpecific(RegisterBlock, size=12, ref="PCIe 7.9.6"):
    """Designated Vendor-Specific: a vendor's structure in a function of any vendor."""

    HEADER = place(ExtendedCapabilityHeader, at=0)

    class DVSEC1(Word, width=32, at=4, ref="PCIe 7.9.6.2"):
        """Header 1."""

        VENDOR = bits(15, 0, "whose structure it is")
        REV = bits(19, 16, "revision")
        LENGTH = bits(31, 20, "bytes, headers included")

    class DVSEC2(Word, width=16, at=8, ref="PCIe 7.9.6.3"):
        """Header 2."""

        ID = bits(15, 0, "the vendor's number for it")


class ProcessingHints(RegisterBlock, size=8, ref="PCIe 7.9.13"):
    """TPH Requester: the function says where its data will be used."""

    HEADER = place(ExtendedCapabilityHeader, at=0)

    class CAP(Word, width=32, at=4, ref="PCIe 7.9.13.2"):
        """TPH Requester Capability."""

        NSTMS = bit(0, "No ST Mode Supported")
        IVMS = bit(1, "Interrupt Vector Mode Supported")
        DSMS = bit(2, "Device Specific Mode Supported")
        EXT = bit(8, "Extended TPH Requester Supported")
        STLOC = bits(10, 9, "ST Table Location: 0 none, 1 here, 2 in the MSI-X table")
        STSIZE = bits(26, 16, "ST Table Size, minus 1")


class LatencyTolerance(RegisterBlock, size=8, ref="PCIe 7.8.2"):
    """Latency Tolerance Reporting: the longest latencies the function may ask for."""

    HEADER = place(ExtendedCapabilityHeader, at=0)

    class SNOOP(Word, width=16, at=4, ref="PCIe 7.8.2.2"):
        """Max Snoop Latency."""

        VALUE = bits(9, 0, "in units of the scale", RW)
        SCALE = bits(12, 10, "unit: 32 ** n ns", RW)

    class NO_SNOOP(Word, width=16, at=6, ref="PCIe 7.8.2.3"):
        """Max No-Snoop Latency."""

        VALUE = bits(9, 0, "in units of the scale", RW)
        SCALE = bits(12, 10, "unit: 32 ** n ns", RW)


class SecondaryExpress(RegisterBlock, size=16, ref="PCIe 7.7.3"):
    """Secondary PCI Express: equalization at 8 GT/s."""

    HEADER = place(ExtendedCapabilityHeader, at=0)

    class LNKCTL3(Word, width=32, at=4, ref="PCIe 7.7.3.2"):
        """Link Control 3."""

        PE = bit(0, "Perform Equalization", RW)
        LERIE = bit(1, "Link Equalization Request Interrupt Enable", RW)

    class LANE_ERROR(Word, width=32, at=8, ref="PCIe 7.7.3.3"):
        """Lane Error Status, one bit a lane."""

        LANES = bits(15, 0, "lanes 15 to 0", RW1C)
        LANES_HIGH = bits(31, 16, "lanes 31 to 16", RW1C)

    class LANE_EQUALIZATION(Word, width=32, at=12, ref="PCIe 7.7.3.4"):
        """Equalization control of the first two lanes."""

        LANE0 = bits(15, 0, "lane 0")
        LANE1 = bits(31, 16, "lane 1")


class LaneMargining(RegisterBlock, size=8, ref="PCIe 7.7.8"):
    """Lane Margining at the Receiver."""

    HEADER = place(ExtendedCapabilityHeader, at=0)

    class CAP(Word, width=16, at=4, ref="PCIe 7.7.8.2"):
        """Margining Port Capabilities."""

        DRIVER = bit(0, "Margining uses Driver Software")

    class STA(Word, width=16, at=6, ref="PCIe 7.7.8.3"):
        """Margining Port Status."""

        READY = bit(0, "Margining Ready")
        SW_READY = bit(1, "Margining Software Ready")


class Dpc(RegisterBlock, size=12, ref="PCIe 7.9.14"):
    """Downstream Port Containment: a port stops traffic after an uncorrectable error."""

    HEADER = place(ExtendedCapabilityHeader, at=0)

    class CAP(Word, width=16, at=4, ref="PCIe 7.9.14.2"):
        """DPC Capability."""

        IMN = bits(4, 0, "Interrupt Message Number")
        RPEXT = bit(5, "RP Extensions for DPC")
        PTEBS = bit(6, "Poisoned TLP Egress Blocking Supported")
        SWTS = bit(7, "DPC Software Triggering Supported")
        RPPLS = bits(11, 8, "RP PIO Log Size")
        DLAECS = bit(12, "DL_Active ERR_COR Signaling Supported")

    class CTL(Word, width=16, at=6, ref="PCIe 7.9.14.3"):
        """DPC Control."""

        TE = bits(1, 0, "Trigger Enable: 1 fatal, 2 also non-fatal", RW)
        CC = bit(2, "Completion Control", RW)
        IE = bit(3, "Interrupt Enable", RW)
        ECE = bit(4, "ERR_COR Enable", RW)
        PTEBE = bit(5, "Poisoned TLP Egress Blocking Enable", RW)
        SWT = bit(6, "Software Trigger", RW)
        DLAECE = bit(7, "DL_Active ERR_COR Enable", RW)

    class STA(Word, width=16, at=8, ref="PCIe 7.9.14.4"):
        """DPC Status."""

        TS = bit(0, "Trigger Status", RW1C)
        REASON = bits(2, 1, "Trigger Reason")
        IS = bit(3, "Interrupt Status", RW1C)
        RPB = bit(4, "RP Busy")
        EXT = bits(6, 5, "Trigger Reason Extension")
        FEP = bits(12, 8, "RP PIO First Error Pointer")

    class SOURCE(Word, width=16, at=10, ref="PCIe 7.9.14.5"):
        """Error Source ID."""

        RID = bits(15, 0, "requester id")


class L1Substates(RegisterBlock, size=16, ref="PCIe 7.8.3"):
    """L1 PM Substates."""

    HEADER = place(ExtendedCapabilityHeader, at=0)

    class CAP(Word, width=32, at=4, ref="PCIe 7.8.3.2"):
        """L1 PM Substates Capabilities."""

        PL12S = bit(0, "PCI-PM L1.2 Supported")
        PL11S = bit(1, "PCI-PM L1.1 Supported")
        AL12S = bit(2, "ASPM L1.2 Supported")
        AL11S = bit(3, "ASPM L1.1 Supported")
        L1PMS = bit(4, "L1 PM Substates Supported")
        CMRT = bits(15, 8, "Port Common_Mode_Restore_Time, µs")
        TPOS = bits(17, 16, "Port T_POWER_ON Scale: 2, 10 or 100 µs")
        TPOV = bits(23, 19, "Port T_POWER_ON Value")

    class CTL1(Word, width=32, at=8, ref="PCIe 7.8.3.3"):
        """L1 PM Substates Control 1."""

        PL12E = bit(0, "PCI-PM L1.2 Enable", RW)
        PL11E = bit(1, "PCI-PM L1.1 Enable", RW)
        AL12E = bit(2, "ASPM L1.2 Enable", RW)
        AL11E = bit(3, "ASPM L1.1 Enable", RW)
        CMRT = bits(15, 8, "Common_Mode_Restore_Time, µs", RW)
        LTRTV = bits(25, 16, "LTR_L1.2_THRESHOLD Value", RW)
        LTRTS = bits(31, 29, "LTR_L1.2_THRESHOLD Scale: 32 ** n ns", RW)

    class CTL2(Word, width=32, at=12, ref="PCIe 7.8.3.4"):
        """L1 PM Substates Control 2."""

        TPOS = bits(1, 0, "T_POWER_ON Scale: 2, 10 or 100 µs", RW)
        TPOV = bits(7, 3, "T_POWER_ON Value", RW)


class PrecisionTime(RegisterBlock, size=12, ref="PCIe 7.9.15"):
    """Precision Time Measurement."""

    HEADER = place(ExtendedCapabilityHeader, at=0)

    class CAP(Word, width=32, at=4, ref="PCIe 7.9.15.2"):
        """PTM Capability."""

        REQ = bit(0, "PTM Requester Capable")
        RES = bit(1, "PTM Responder Capable")
        ROOT = bit(2, "PTM Root Capable")
        LCG = bits(15, 8, "Local Clock Granularity, ns; 0 none, FFh over 254")

    class CTL(Word, width=32, at=8, ref="PCIe 7.9.15.3"):
        """PTM Control."""

        E = bit(0, "PTM Enable", RW)
        RS = bit(1, "Root Select", RW)
        EG = bits(15, 8, "Effective Granularity, ns; 0 unknown, FFh over 254", RW)


class BarSize(RegisterBlock, size=8, ref="PCIe 7.8.6"):
    """One BAR's pair of registers in a Resizable BAR capability."""

    class CAP(Word, width=32, at=0, ref="PCIe 7.8.6.2"):
        """Resizable BAR Capability: bit n of SIZES is 1 MiB << n."""

        SIZES = bits(31, 4, "sizes from 1 MiB to 128 TiB")

    class CTL(Word, width=32, at=4, ref="PCIe 7.8.6.3"):
        """Resizable BAR Control."""

        BAR = bits(2, 0, "number of the BAR")
        COUNT = bits(7, 5, "resizable BARs; in the first pair only")
        SIZE = bits(13, 8, "1 MiB << n", RW)
        SIZES_HIGH = bits(31, 16, "sizes from 256 TiB on")


class ResizableBar(RegisterBlock, size=52, ref="PCIe 7.8.6"):
    """Resizable BAR: software may choose how much of the memory a BAR maps."""

    HEADER = place(ExtendedCapabilityHeader, at=0)
    BARS = place(BarSize, at=4, count=6)


class DataObjectExchange(RegisterBlock, size=0x18, ref="PCIe 7.9.24"):
    """Data Object Exchange: a mailbox."""

    HEADER = place(ExtendedCapabilityHeader, at=0)

    class CAP(Word, width=32, at=4, ref="PCIe 7.9.24.2"):
        """DOE Capabilities."""

        INTS = bit(0, "Interrupt Support")
        IMN = bits(11, 1, "Interrupt Message Number")

    class CTL(Word, width=32, at=8, ref="PCIe 7.9.24.3"):
        """DOE Control."""

        ABORT = bit(0, "Abort", RW)
        INTE = bit(1, "Interrupt Enable", RW)
        GO = bit(31, "Go", RW)

    class STA(Word, width=32, at=0xC, ref="PCIe 7.9.24.4"):
        """DOE Status."""

        BUSY = bit(0, "Busy")
        INTS = bit(1, "Interrupt Status", RW1C)
        ERROR = bit(2, "Error")
        READY = bit(31, "Data Object Ready")

    class WRITE(Word, width=32, at=0x10, ref="PCIe 7.9.24.5"):
        """Write Data Mailbox."""

        DW = bits(31, 0, "data", RW)

    class READ(Word, width=32, at=0x14, ref="PCIe 7.9.24.6"):
        """Read Data Mailbox."""

        DW = bits(31, 0, "data", RW)


class VirtualChannelResource(RegisterBlock, size=12, ref="PCIe 7.9.1"):
    """One virtual channel."""

    class CAP(Word, width=32, at=0, ref="PCIe 7.9.1.7"):
        """VC Resource Capability."""

        PAC = bits(7, 0, "Port Arbitration Capability, one bit a scheme")
        RST = bit(15, "Reject Snoop Transactions")
        MTS = bits(22, 16, "Maximum Time Slots, minus 1")
        PATO = bits(31, 24, "Port Arbitration Table Offset, in 16-byte units")

    class CTL(Word, width=32, at=4, ref="PCIe 7.9.1.8"):
        """VC Resource Control."""

        TCVC = bits(7, 0, "TC/VC map, one bit a traffic class", RW)
        PAS = bits(19, 17, "Port Arbitration Select", RW)
        ID = bits(26, 24, "VC ID", RW)
        EN = bit(31, "VC Enable", RW)

    class STA(Word, width=16, at=10, ref="PCIe 7.9.1.9"):
        """VC Resource Status."""

        PATS = bit(0, "Port Arbitration Table Status")
        NP = bit(1, "VC Negotiation Pending")


class VirtualChannel(RegisterBlock, size=0x1C, ref="PCIe 7.9.1"):
    """Virtual Channel: the port's registers and the first channel's."""

    HEADER = place(ExtendedCapabilityHeader, at=0)

    class CAP1(Word, width=32, at=4, ref="PCIe 7.9.1.2"):
        """Port VC Capability 1."""

        EVCC = bits(2, 0, "Extended VC Count")
        LPEVCC = bits(6, 4, "Low Priority Extended VC Count")
        CLK = bits(9, 8, "Reference Clock: 0 is 100 ns")
        PATES = bits(11, 10, "Port Arbitration Table Entry Size: 1 << n bits")

    class CAP2(Word, width=32, at=8, ref="PCIe 7.9.1.3"):
        """Port VC Capability 2."""

        ARB = bits(7, 0, "VC Arbitration Capability, one bit a scheme")
        TABLE = bits(31, 24, "VC Arbitration Table Offset, in 16-byte units")

    class CTL(Word, width=16, at=0xC, ref="PCIe 7.9.1.4"):
        """Port VC Control."""

        LOAD = bit(0, "Load VC Arbitration Table", RW)
        ARB = bits(3, 1, "VC Arbitration Select", RW)

    class STA(Word, width=16, at=0xE, ref="PCIe 7.9.1.5"):
        """Port VC Status."""

        TABLE = bit(0, "VC Arbitration Table Status")

    VC0 = place(VirtualChannelResource, at=0x10)
