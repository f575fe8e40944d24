"""Capabilities in the extended configuration space, from 100h on."""

from siov.spec.pcie.ids import ExtendedCapabilityId
from siov.spec.word import ROS, RW, RW1C, RW1CS, RWS, WO, RegisterBlock, Word, bit, bits, place


class ExtendedCapabilityHeader(Word, width=32, ref="PCIe 7.6.3"):
    """The first four bytes of every extended capability."""

    ID = bits(15, 0, "what this capability is", enum=ExtendedCapabilityId)
    VERSION = bits(19, 16, "version", reset=1)
    NEXT = bits(31, 20, "offset of the next one, 0 at the end")


class UncorrectableErrors(Word, width=32, ref="PCIe 7.8.4.2"):
    """Uncorrectable Error Status: what was seen since the bit was last cleared."""

    DLPE = bit(4, "Data Link Protocol Error", RW1CS)
    SDE = bit(5, "Surprise Down Error", RW1CS)
    PTLP = bit(12, "Poisoned TLP Received", RW1CS)
    FCPE = bit(13, "Flow Control Protocol Error", RW1CS)
    CTO = bit(14, "Completion Timeout", RW1CS)
    CA = bit(15, "Completer Abort", RW1CS)
    UC = bit(16, "Unexpected Completion", RW1CS)
    RXOF = bit(17, "Receiver Overflow", RW1CS)
    MTLP = bit(18, "Malformed TLP", RW1CS)
    ECRC = bit(19, "ECRC Error", RW1CS)
    UR = bit(20, "Unsupported Request Error", RW1CS)
    ACSV = bit(21, "ACS Violation", RW1CS)
    UIE = bit(22, "Uncorrectable Internal Error", RW1CS)
    MCB = bit(23, "MC Blocked TLP", RW1CS)
    AOEB = bit(24, "AtomicOp Egress Blocked", RW1CS)
    TPBE = bit(25, "TLP Prefix Blocked Error", RW1CS)
    PTEB = bit(26, "Poisoned TLP Egress Blocked", RW1CS)
    DMWREB = bit(27, "DMWr Request Egress Blocked", RW1CS)
    IDECF = bit(28, "IDE Check Failed", RW1CS)
    MIDETLP = bit(29, "Misrouted IDE TLP", RW1CS)
    PCRCCF = bit(30, "PCRC Check Failed", RW1CS)
    TLPTEB = bit(31, "TLP Translation Egress Blocked", RW1CS)


class UncorrectableMask(UncorrectableErrors, width=32, access=RWS, ref="PCIe 7.8.4.3"):
    """Uncorrectable Error Mask: a masked error is not reported."""


class UncorrectableSeverity(UncorrectableErrors, width=32, access=RWS, ref="PCIe 7.8.4.4"):
    """Uncorrectable Error Severity: 1 is fatal, 0 non-fatal."""

    DLPE = bit(4, "Data Link Protocol Error", RWS, reset=1)
    SDE = bit(5, "Surprise Down Error", RWS, reset=1)
    FCPE = bit(13, "Flow Control Protocol Error", RWS, reset=1)
    RXOF = bit(17, "Receiver Overflow", RWS, reset=1)
    MTLP = bit(18, "Malformed TLP", RWS, reset=1)


class CorrectableErrors(Word, width=32, ref="PCIe 7.8.4.5"):
    """Correctable Error Status: what was seen since the bit was last cleared."""

    RXERR = bit(0, "Receiver Error", RW1CS)
    BADTLP = bit(6, "Bad TLP", RW1CS)
    BADDLLP = bit(7, "Bad DLLP", RW1CS)
    ROLLOVER = bit(8, "REPLAY_NUM Rollover", RW1CS)
    TIMEOUT = bit(12, "Replay Timer Timeout", RW1CS)
    ADVNFERR = bit(13, "Advisory Non-Fatal Error", RW1CS)
    CIE = bit(14, "Corrected Internal Error", RW1CS)
    HLOE = bit(15, "Header Log Overflow Error", RW1CS)


class CorrectableMask(CorrectableErrors, width=32, access=RWS, ref="PCIe 7.8.4.6"):
    """Correctable Error Mask: a masked error is not reported."""

    ADVNFERR = bit(13, "Advisory Non-Fatal Error", RWS, reset=1)


class HeaderLog(Word, width=32, ref="PCIe 7.8.4.8"):
    """One double word of the header of the TLP behind the first error, first byte highest."""

    DW = bits(31, 0, "header bytes", ROS)


class Aer(RegisterBlock, size=0x2C, ref="PCIe 7.8.4"):
    """Advanced Error Reporting."""

    HEADER = place(ExtendedCapabilityHeader, at=0x00)
    UESTA = place(UncorrectableErrors, at=0x04)
    UEMSK = place(UncorrectableMask, at=0x08)
    UESVRT = place(UncorrectableSeverity, at=0x0C)

    CESTA = place(CorrectableErrors, at=0x10)
    CEMSK = place(CorrectableMask, at=0x14)

    class CAP(Word, width=32, at=0x18, ref="PCIe 7.8.4.7"):
        """Advanced Error Capabilities and Control."""

        FEP = bits(4, 0, "First Error Pointer: the bit in UESTA that came first", ROS)
        EGC = bit(5, "ECRC Generation Capable")
        EGE = bit(6, "ECRC Generation Enable")
        ECC = bit(7, "ECRC Check Capable")
        ECE = bit(8, "ECRC Check Enable")
        MHRC = bit(9, "Multiple Header Recording Capable")
        MHRE = bit(10, "Multiple Header Recording Enable")
        TLPPLP = bit(11, "TLP Prefix Log Present", ROS)
        CTPHLC = bit(12, "Completion Timeout Prefix/Header Log Capable")

    HDRLOG = place(HeaderLog, at=0x1C, count=4)


class AerRoot(Aer, size=0x38, ref="PCIe 7.8.4"):
    """Advanced Error Reporting of a root port: it also receives the error messages from below."""

    class RECMD(Word, width=32, at=0x2C, ref="PCIe 7.8.4.9"):
        """Root Error Command."""

        CERE = bit(0, "Correctable Error Reporting Enable", RW)
        NFERE = bit(1, "Non-Fatal Error Reporting Enable", RW)
        FERE = bit(2, "Fatal Error Reporting Enable", RW)

    class RESTA(Word, width=32, at=0x30, ref="PCIe 7.8.4.10"):
        """Root Error Status."""

        CER = bit(0, "ERR_COR Received", RW1CS)
        MCER = bit(1, "Multiple ERR_COR Received", RW1CS)
        UER = bit(2, "ERR_FATAL/NONFATAL Received", RW1CS)
        MUER = bit(3, "Multiple ERR_FATAL/NONFATAL Received", RW1CS)
        FUF = bit(4, "First Uncorrectable Fatal", RW1CS)
        NFEMR = bit(5, "Non-Fatal Error Messages Received", RW1CS)
        FEMR = bit(6, "Fatal Error Messages Received", RW1CS)
        AEIMN = bits(31, 27, "Advanced Error Interrupt Message Number")

    class ERRSRC(Word, width=32, at=0x34, ref="PCIe 7.8.4.11"):
        """Error Source Identification: who sent the first message of each kind."""

        CSRC = bits(15, 0, "requester id of ERR_COR", ROS)
        UCSRC = bits(31, 16, "requester id of ERR_FATAL/NONFATAL", ROS)


class Ari(RegisterBlock, size=8, ref="PCIe 7.8.8"):
    """Alternative Routing-ID Interpretation: 256 functions in one device."""

    HEADER = place(ExtendedCapabilityHeader, at=0)

    class CAP(Word, width=16, at=4, ref="PCIe 7.8.8.2"):
        """ARI Capability."""

        MFVC = bit(0, "MFVC Function Groups Capability")
        ACS = bit(1, "ACS Function Groups Capability")
        NFN = bits(15, 8, "Next Function Number, 0 at the end")

    class CTL(Word, width=16, at=6, ref="PCIe 7.8.8.3"):
        """ARI Control."""

        MFVC = bit(0, "MFVC Function Groups Enable")
        ACS = bit(1, "ACS Function Groups Enable")
        FG = bits(6, 4, "Function Group")


class Acs(RegisterBlock, size=8, ref="PCIe 7.7.11"):
    """Access Control Services: what may be routed between peers."""

    HEADER = place(ExtendedCapabilityHeader, at=0)

    class CAP(Word, width=16, at=4, ref="PCIe 7.7.11.2"):
        """ACS Capability."""

        V = bit(0, "ACS Source Validation")
        B = bit(1, "ACS Translation Blocking")
        R = bit(2, "ACS P2P Request Redirect")
        C = bit(3, "ACS P2P Completion Redirect")
        U = bit(4, "ACS Upstream Forwarding")
        E = bit(5, "ACS P2P Egress Control")
        T = bit(6, "ACS Direct Translated P2P")
        ECVS = bits(15, 8, "Egress Control Vector Size")

    class CTL(Word, width=16, at=6, ref="PCIe 7.7.11.3"):
        """ACS Control; an enable is writable where its capability is there."""

        V = bit(0, "ACS Source Validation Enable")
        B = bit(1, "ACS Translation Blocking Enable")
        R = bit(2, "ACS P2P Request Redirect Enable")
        C = bit(3, "ACS P2P Completion Redirect Enable")
        U = bit(4, "ACS Upstream Forwarding Enable")
        E = bit(5, "ACS P2P Egress Control Enable")
        T = bit(6, "ACS Direct Translated P2P Enable")


class Ats(RegisterBlock, size=8, ref="PCIe 10.5.1"):
    """Address Translation Services: the function may keep translations itself."""

    HEADER = place(ExtendedCapabilityHeader, at=0)

    class CAP(Word, width=16, at=4, ref="PCIe 10.5.1.2"):
        """ATS Capability."""

        IQD = bits(4, 0, "Invalidate Queue Depth, 0 means 32")
        PAR = bit(5, "Page Aligned Request: addresses are 4 KiB aligned", reset=1)
        GI = bit(6, "Global Invalidate Supported")
        RO = bit(7, "Relaxed Ordering Supported")

    class CTL(Word, width=16, at=6, ref="PCIe 10.5.1.3"):
        """ATS Control."""

        STU = bits(4, 0, "Smallest Translation Unit: 4096 << n bytes", RW)
        E = bit(15, "Enable", RW)


class Pri(RegisterBlock, size=0x10, ref="PCIe 10.5.2"):
    """Page Request Interface: the function may ask for pages that are not there."""

    HEADER = place(ExtendedCapabilityHeader, at=0)

    class CTL(Word, width=16, at=4, ref="PCIe 10.5.2.2"):
        """Page Request Control."""

        E = bit(0, "Enable", RW)
        R = bit(1, "Reset", WO)

    class STA(Word, width=16, at=6, ref="PCIe 10.5.2.3"):
        """Page Request Status."""

        RF = bit(0, "Response Failure", RW1C)
        UPRGI = bit(1, "Unexpected Page Request Group Index", RW1C)
        S = bit(8, "Stopped: all requests before the disable are done", reset=1)
        PRPR = bit(15, "PRG Response PASID Required")

    class CAPACITY(Word, width=32, at=8, ref="PCIe 10.5.2.4"):
        """Outstanding Page Request Capacity."""

        NUM = bits(31, 0, "requests the function can have under way")

    class ALLOCATION(Word, width=32, at=0xC, ref="PCIe 10.5.2.5"):
        """Outstanding Page Request Allocation."""

        NUM = bits(31, 0, "requests it may have under way", RW)


class Pasid(RegisterBlock, size=8, ref="PCIe 7.8.9"):
    """Process Address Space ID: requests may name one of several address spaces."""

    HEADER = place(ExtendedCapabilityHeader, at=0)

    class CAP(Word, width=16, at=4, ref="PCIe 7.8.9.2"):
        """PASID Capability."""

        EXEC = bit(1, "Execute Permission Supported")
        PRIV = bit(2, "Privileged Mode Supported")
        WIDTH = bits(12, 8, "Max PASID Width, in bits")

    class CTL(Word, width=16, at=6, ref="PCIe 7.8.9.3"):
        """PASID Control."""

        E = bit(0, "PASID Enable", RW)
        EXEC = bit(1, "Execute Permission Enable")
        PRIV = bit(2, "Privileged Mode Enable")


class VfBar(Word, width=32, ref="PCIe 9.3.3.14"):
    """A base address register for one of the VFs' BARs, all VFs side by side."""

    IO = bit(0, "always 0: memory")
    TYPE = bits(2, 1, "width of the address")
    PREFETCH = bit(3, "reads have no side effect")
    BASE = bits(31, 4, "address bits 31:4", RW)


class SrIov(RegisterBlock, size=0x40, ref="PCIe 9.3.3"):
    """Single Root I/O Virtualization: a physical function's virtual functions."""

    HEADER = place(ExtendedCapabilityHeader, at=0x00)

    class CAP(Word, width=32, at=0x04, ref="PCIe 9.3.3.2"):
        """SR-IOV Capabilities."""

        VFMC = bit(0, "VF Migration Capable")
        ACHP = bit(1, "ARI Capable Hierarchy Preserved")
        TAG10 = bit(2, "VF 10-Bit Tag Requester Supported")
        VFMIMN = bits(31, 21, "VF Migration Interrupt Message Number")

    class CTL(Word, width=16, at=0x08, ref="PCIe 9.3.3.3"):
        """SR-IOV Control."""

        VFE = bit(0, "VF Enable", RW)
        VFME = bit(1, "VF Migration Enable")
        VFMIE = bit(2, "VF Migration Interrupt Enable")
        VFMSE = bit(3, "VF Memory Space Enable", RW)
        ARICH = bit(4, "ARI Capable Hierarchy", RW)
        TAG10E = bit(5, "VF 10-Bit Tag Requester Enable")

    class STA(Word, width=16, at=0x0A, ref="PCIe 9.3.3.4"):
        """SR-IOV Status."""

        VFMS = bit(0, "VF Migration Status")

    class INITIAL_VFS(Word, width=16, at=0x0C, ref="PCIe 9.3.3.5"):
        """VFs the function starts with."""

        NUM = bits(15, 0, "number of VFs")

    class TOTAL_VFS(Word, width=16, at=0x0E, ref="PCIe 9.3.3.6"):
        """VFs the function can have."""

        NUM = bits(15, 0, "number of VFs")

    class NUM_VFS(Word, width=16, at=0x10, ref="PCIe 9.3.3.7"):
        """VFs that VF Enable makes visible; read-only while it is set."""

        NUM = bits(15, 0, "number of VFs", RW)

    class FUNC_DEP_LINK(Word, width=8, at=0x12, ref="PCIe 9.3.3.8"):
        """Function Dependency Link: which functions must go together."""

        FN = bits(7, 0, "function number")

    class FIRST_VF_OFFSET(Word, width=16, at=0x14, ref="PCIe 9.3.3.9"):
        """How far the first VF's requester id lies behind the PF's."""

        NUM = bits(15, 0, "requester ids")

    class VF_STRIDE(Word, width=16, at=0x16, ref="PCIe 9.3.3.10"):
        """How far VFs lie apart."""

        NUM = bits(15, 0, "requester ids")

    class VF_DEVICE_ID(Word, width=16, at=0x1A, ref="PCIe 9.3.3.11"):
        """The VFs' device id."""

        ID = bits(15, 0, "device")

    class SUPPORTED_PAGE_SIZES(Word, width=32, at=0x1C, ref="PCIe 9.3.3.12"):
        """Bit n: pages of 4096 << n bytes."""

        SIZES = bits(31, 0, "one bit a size", reset=0x553)

    class SYSTEM_PAGE_SIZE(Word, width=32, at=0x20, ref="PCIe 9.3.3.13"):
        """The size in use; one bit set."""

        SIZE = bits(31, 0, "one bit", RW, reset=1)

    VF_BAR = place(VfBar, at=0x24, count=6)

    class MIGRATION_STATE(Word, width=32, at=0x3C, ref="PCIe 9.3.3.15"):
        """VF Migration State Array Offset."""

        BIR = bits(2, 0, "number of the BAR")
        OFFSET = bits(31, 3, "offset in it, in 8-byte units")


class DeviceSerialNumber(RegisterBlock, size=0x0C, ref="PCIe 7.9.3"):
    """Device Serial Number: an EUI-64."""

    HEADER = place(ExtendedCapabilityHeader, at=0)

    class LOW(Word, width=32, at=4, ref="PCIe 7.9.3.2"):
        """The EUI-64's low double word."""

        DW = bits(31, 0, "bits 31:0")

    class HIGH(Word, width=32, at=8, ref="PCIe 7.9.3.2"):
        """The EUI-64's high double word."""

        DW = bits(31, 0, "bits 63:32")
