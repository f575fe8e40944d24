"""The registers of a remapping unit."""

from enum import IntEnum

from siov.spec.vtd.faults import FaultRecording
from siov.spec.vtd.perfmon import PerformanceMonitoring
from siov.spec.vtd.queue import CcGranularity, IotlbGranularity, IqError
from siov.spec.word import RO, ROS, RW, RW1CS, WO, Word, bit, bits, place

IOTLB_AT, FRCD_AT, FRCD_COUNT = 0x500, 0x600, 8  # what CAP.FRO, CAP.NFR and ECAP.IRO report


class TTM(IntEnum):
    """Translation Table Mode: which tables RTADDR points to."""

    LEGACY = 0
    SCALABLE = 1
    ABORT_DMA = 3


class EventControl(Word, width=32, ref="VT-d 11.4.7.2"):
    """Whether an event raises its interrupt."""

    IP = bit(30, "Interrupt Pending: held back by IM", RO)
    IM = bit(31, "Interrupt Mask", RW, reset=1)


class EventData(Word, width=32, ref="VT-d 11.4.7.3"):
    """The data of an event's interrupt message."""

    IMD = bits(15, 0, "Interrupt Message Data", RW)
    EIMD = bits(31, 16, "Extended Interrupt Message Data", RW)


class EventAddress(Word, width=32, ref="VT-d 11.4.7.4"):
    """Where an event's interrupt message is written, low half."""

    MA = bits(31, 2, "Message Address bits 31:2", RW)


class EventUpperAddress(Word, width=32, ref="VT-d 11.4.7.5"):
    """Where an event's interrupt message is written, high half."""

    MUA = bits(31, 0, "Message Upper Address: bits 63:32", RW)


class Unit(PerformanceMonitoring, size=0x1000, ref="VT-d 11.4"):
    """A remapping unit's page of registers; the MTRR registers are left out (ECAP.MTS is 0)."""

    class VER(Word, width=32, at=0x00, ref="VT-d 11.4.1"):
        """Version of the architecture."""

        MIN = bits(3, 0, "minor version")
        MAX = bits(7, 4, "major version")

    class CAP(Word, width=64, at=0x08, ref="VT-d 11.4.2"):
        """Capability: what the unit can do."""

        ND = bits(2, 0, "Number of Domains: 2 to the power of (4 + 2n)")
        AFL = bit(3, "Advanced Fault Logging")
        RWBF = bit(4, "Required Write-Buffer Flushing")
        PLMR = bit(5, "Protected Low-Memory Region")
        PHMR = bit(6, "Protected High-Memory Region")
        CM = bit(7, "Caching Mode: entries that are not present may be cached")
        SAGAW = bits(12, 8, "Supported Adjusted Guest Address Widths: bit n is n + 2 levels")
        MGAW = bits(21, 16, "Maximum Guest Address Width, minus 1")
        ZLR = bit(22, "Zero Length Read of write-only pages is allowed")
        FRO = bits(33, 24, "Fault-recording Register Offset in 16-byte units", reset=FRCD_AT // 16)
        SSLPS = bits(37, 34, "Second Stage Large Page Support: 2 MiB, 1 GiB")
        PSI = bit(39, "Page Selective Invalidation")
        NFR = bits(47, 40, "Number of Fault-recording Registers, minus 1", reset=FRCD_COUNT - 1)
        MAMV = bits(53, 48, "Maximum Address Mask Value")
        DWD = bit(54, "Drain Writes")
        DRD = bit(55, "Drain Reads")
        FS1GP = bit(56, "First Stage 1-GiB Page Support")
        PI = bit(59, "Posted Interrupts Support")
        FS5LP = bit(60, "First Stage 5-level Paging Support")
        ECMDS = bit(61, "Enhanced Command Support")
        ESIRTPS = bit(62, "Enhanced Set Interrupt Remap Table Pointer Support: invalidates by itself")
        ESRTPS = bit(63, "Enhanced Set Root Table Pointer Support: invalidates by itself")

    class ECAP(Word, width=64, at=0x10, ref="VT-d 11.4.3"):
        """Extended Capability: what else the unit can do."""

        C = bit(0, "Page-walk Coherency")
        QI = bit(1, "Queued Invalidation support")
        DT = bit(2, "Device-TLB support")
        IR = bit(3, "Interrupt Remapping support")
        EIM = bit(4, "Extended Interrupt Mode: 32-bit APIC ids")
        PT = bit(6, "Pass Through")
        SC = bit(7, "Snoop Control")
        IRO = bits(17, 8, "IOTLB Register Offset in 16-byte units", reset=IOTLB_AT // 16)
        MHMV = bits(23, 20, "Maximum Handle Mask Value")
        MTS = bit(25, "Memory Type Support")
        NEST = bit(26, "Nested Translation Support")
        PRS = bit(29, "Page Request Support")
        ERS = bit(30, "Execute Request Support")
        SRS = bit(31, "Supervisor Request Support")
        NWFS = bit(33, "No Write Flag Support")
        EAFS = bit(34, "Extended Accessed Flag Support")
        PSS = bits(39, 35, "PASID Size Supported, minus 1")
        PASID = bit(40, "Process Address Space ID Support")
        DIT = bit(41, "Device-TLB Invalidation Throttle")
        PDS = bit(42, "Page-request Drain Support")
        SMTS = bit(43, "Scalable Mode Translation Support")
        VCS = bit(44, "Virtual Command Support")
        SSADS = bit(45, "Second-Stage Accessed and Dirty Support")
        SSTS = bit(46, "Second-Stage Translation Support")
        FSTS = bit(47, "First-Stage Translation Support")
        SMPWCS = bit(48, "Scalable-Mode Page-walk Coherency Support")
        RPS = bit(49, "RID_PASID Support")
        PMS = bit(51, "Performance Monitoring Support")
        ADMS = bit(52, "Abort DMA Mode Support")
        RPRIVS = bit(53, "RID_PRIV Support")

    class GCMD(Word, width=32, at=0x18, ref="VT-d 11.4.4.1"):
        """Global Command: one change at a time; GSTS tells when it is done."""

        CFI = bit(23, "let Compatibility Format Interrupts through", WO)
        SIRTP = bit(24, "Set Interrupt Remap Table Pointer out of IRTA", WO)
        IRE = bit(25, "Interrupt Remapping Enable", WO)
        QIE = bit(26, "Queued Invalidation Enable", WO)
        WBF = bit(27, "Write Buffer Flush", WO)
        EAFL = bit(28, "Enable Advanced Fault Logging", WO)
        SFL = bit(29, "Set Fault Log", WO)
        SRTP = bit(30, "Set Root Table Pointer out of RTADDR", WO)
        TE = bit(31, "Translation Enable", WO)

    class GSTS(Word, width=32, at=0x1C, ref="VT-d 11.4.4.2"):
        """Global Status: what software asked for with GCMD, once it is done."""

        CFIS = bit(23, "compatibility format interrupts go through", RO)
        IRTPS = bit(24, "interrupt remapping table pointer is set", RO)
        IRES = bit(25, "interrupt remapping is enabled", RO)
        QIES = bit(26, "queued invalidation is enabled", RO)
        WBFS = bit(27, "write buffer is being flushed", RO)
        AFLS = bit(28, "advanced fault logging is enabled", RO)
        FLS = bit(29, "fault log pointer is set", RO)
        RTPS = bit(30, "root table pointer is set", RO)
        TES = bit(31, "translation is enabled", RO)

    class RTADDR(Word, width=64, at=0x20, ref="VT-d 11.4.5"):
        """Root Table Address: takes effect with GCMD.SRTP."""

        TTM = bits(11, 10, "Translation Table Mode", RW, enum=TTM)
        RTA = bits(63, 12, "Root Table Address, 4 KiB aligned", RW)

    class CCMD(Word, width=64, at=0x28, ref="VT-d 11.4.6.1"):
        """Context Command: register-based invalidation of the context-cache, in legacy mode."""

        DID = bits(15, 0, "Domain-ID", RW)
        SID = bits(31, 16, "Source-ID", RW)
        FM = bits(33, 32, "Function Mask: how many low bits of the function number do not count", RW)
        CAIG = bits(60, 59, "Context Actual Invalidation Granularity", RO, enum=CcGranularity)
        CIRG = bits(62, 61, "Context Invalidation Request Granularity", RW, enum=CcGranularity)
        ICC = bit(63, "Invalidate Context-Cache; cleared when done", RW)

    class FSTS(Word, width=32, at=0x34, ref="VT-d 11.4.7.1"):
        """Fault Status."""

        PFO = bit(0, "Primary Fault Overflow: a fault found no free fault recording register", RW1CS)
        PPF = bit(1, "Primary Pending Fault: some FRCD.F is set", ROS)
        AFO = bit(2, "Advanced Fault Overflow", RO)
        APF = bit(3, "Advanced Pending Fault", RO)
        IQE = bit(4, "Invalidation Queue Error: the queue stands still at IQH", RW1CS)
        ICE = bit(5, "Invalidation Completion Error: an unexpected or invalid completion", RW1CS)
        ITE = bit(6, "Invalidation Time-out Error: a device did not answer", RW1CS)
        FRI = bits(15, 8, "Fault Record Index: the first one, valid with PPF", ROS)

    class FECTL(EventControl, width=32, at=0x38, ref="VT-d 11.4.7.2"):
        """Fault Event Control."""

    class FEDATA(EventData, width=32, at=0x3C, ref="VT-d 11.4.7.3"):
        """Fault Event Data."""

    class FEADDR(EventAddress, width=32, at=0x40, ref="VT-d 11.4.7.4"):
        """Fault Event Address."""

    class FEUADDR(EventUpperAddress, width=32, at=0x44, ref="VT-d 11.4.7.5"):
        """Fault Event Upper Address."""

    class AFLOG(Word, width=64, at=0x58, ref="VT-d 11.4.7.7"):
        """Advanced Fault Log; read-only without CAP.AFL."""

        FLS = bits(11, 9, "Fault Log Size")
        FLA = bits(63, 12, "Fault Log Address")

    class PMEN(Word, width=32, at=0x64, ref="VT-d 11.4.8.1"):
        """Protected Memory Enable; zero without CAP.PLMR and CAP.PHMR."""

        PRS = bit(0, "Protected Region Status", RO)
        EPM = bit(31, "Enable Protected Memory", RW)

    class PLMBASE(Word, width=32, at=0x68, ref="VT-d 11.4.8.2"):
        """Protected Low-Memory Base."""

        PLMB = bits(31, 20, "base, 1 MiB aligned", RW)

    class PLMLIMIT(Word, width=32, at=0x6C, ref="VT-d 11.4.8.3"):
        """Protected Low-Memory Limit."""

        PLML = bits(31, 20, "last megabyte", RW)

    class PHMBASE(Word, width=64, at=0x70, ref="VT-d 11.4.8.4"):
        """Protected High-Memory Base."""

        PHMB = bits(63, 20, "base, 1 MiB aligned", RW)

    class PHMLIMIT(Word, width=64, at=0x78, ref="VT-d 11.4.8.5"):
        """Protected High-Memory Limit."""

        PHML = bits(63, 20, "last megabyte", RW)

    class IQH(Word, width=64, at=0x80, ref="VT-d 11.4.9.1"):
        """Invalidation Queue Head: what hardware fetches next."""

        QH = bits(18, 4, "Queue Head: offset in 16-byte units", RO)

    class IQT(Word, width=64, at=0x88, ref="VT-d 11.4.9.2"):
        """Invalidation Queue Tail: what software writes next; a write starts the queue."""

        QT = bits(18, 4, "Queue Tail: offset in 16-byte units", RW)

    class IQA(Word, width=64, at=0x90, ref="VT-d 11.4.9.3"):
        """Invalidation Queue Address."""

        QS = bits(2, 0, "Queue Size: 4 KiB << n", RW)
        DW = bit(11, "Descriptor Width: 1 is 256 bits, 0 is 128 bits", RW)
        IQA = bits(63, 12, "Invalidation Queue Address, 4 KiB aligned", RW)

    class ICS(Word, width=32, at=0x9C, ref="VT-d 11.4.9.4"):
        """Invalidation Completion Status."""

        IWC = bit(0, "Invalidation Wait descriptor Complete", RW1CS)

    class IECTL(EventControl, width=32, at=0xA0, ref="VT-d 11.4.9.5"):
        """Invalidation Event Control."""

    class IEDATA(EventData, width=32, at=0xA4, ref="VT-d 11.4.9.6"):
        """Invalidation Event Data."""

    class IEADDR(EventAddress, width=32, at=0xA8, ref="VT-d 11.4.9.7"):
        """Invalidation Event Address."""

    class IEUADDR(EventUpperAddress, width=32, at=0xAC, ref="VT-d 11.4.9.8"):
        """Invalidation Event Upper Address."""

    class IQERCD(Word, width=64, at=0xB0, ref="VT-d 11.4.9.9"):
        """Invalidation Queue Error Record: why IQE, ITE or ICE is set in FSTS."""

        IQEI = bits(3, 0, "Invalidation Queue Error Info, valid with IQE", ROS, enum=IqError)
        ITESID = bits(47, 32, "Invalidation Time-out Error Source Identifier, valid with ITE", ROS)
        ICESID = bits(63, 48, "Invalidation Completion Error Source Identifier, valid with ICE", ROS)

    class IRTA(Word, width=64, at=0xB8, ref="VT-d 11.4.10"):
        """Interrupt Remapping Table Address: takes effect with GCMD.SIRTP."""

        S = bits(3, 0, "Size: 2 to the power of (n + 1) entries", RW)
        EIME = bit(11, "Extended Interrupt Mode Enable: 32-bit APIC ids", RW)
        IRTA = bits(63, 12, "Interrupt Remapping Table Address, 4 KiB aligned", RW)

    class PQH(Word, width=64, at=0xC0, ref="VT-d 11.4.11.1"):
        """Page Request Queue Head: what software takes next."""

        PQH = bits(18, 5, "Page Queue Head: offset in 32-byte units", RW)

    class PQT(Word, width=64, at=0xC8, ref="VT-d 11.4.11.2"):
        """Page Request Queue Tail: what hardware writes next."""

        PQT = bits(18, 5, "Page Queue Tail: offset in 32-byte units", RW)

    class PQA(Word, width=64, at=0xD0, ref="VT-d 11.4.11.3"):
        """Page Request Queue Address."""

        PQS = bits(2, 0, "Page Queue Size: 4 KiB << n", RW)
        PQA = bits(63, 12, "Page Request Queue Address, 4 KiB aligned", RW)

    class PRS(Word, width=32, at=0xDC, ref="VT-d 11.4.11.4"):
        """Page Request Status."""

        PPR = bit(0, "Pending Page Request", RW1CS)
        PRO = bit(1, "Page Request Overflow: requests get a response without the queue", RW1CS)

    class PECTL(EventControl, width=32, at=0xE0, ref="VT-d 11.4.11.5"):
        """Page Request Event Control."""

    class PEDATA(EventData, width=32, at=0xE4, ref="VT-d 11.4.11.6"):
        """Page Request Event Data."""

    class PEADDR(EventAddress, width=32, at=0xE8, ref="VT-d 11.4.11.7"):
        """Page Request Event Address."""

    class PEUADDR(EventUpperAddress, width=32, at=0xEC, ref="VT-d 11.4.11.8"):
        """Page Request Event Upper Address."""

    class PERFINTRCTL(EventControl, width=32, at=0x328, ref="VT-d 11.4.13.7"):
        """Performance Monitoring Interrupt Control."""

    class PERFINTRDATA(EventData, width=32, at=0x32C, ref="VT-d 11.4.13.8"):
        """Performance Monitoring Interrupt Data."""

    class PERFINTRADDR(EventAddress, width=32, at=0x330, ref="VT-d 11.4.13.9"):
        """Performance Monitoring Interrupt Address."""

    class PERFINTRUADDR(EventUpperAddress, width=32, at=0x334, ref="VT-d 11.4.13.10"):
        """Performance Monitoring Interrupt Upper Address."""

    class IVA(Word, width=64, at=IOTLB_AT, ref="VT-d 11.4.6.2.2"):
        """Invalidate Address: what a page-selective invalidation by IOTLB is about."""

        AM = bits(5, 0, "Address Mask: 2 to the power of n pages", RW)
        IH = bit(6, "Invalidation Hint: only leaf entries have changed", RW)
        ADDR = bits(63, 12, "address, bits 63:12", RW)

    class IOTLB(Word, width=64, at=IOTLB_AT + 8, ref="VT-d 11.4.6.2.1"):
        """IOTLB Invalidate: register-based invalidation of the IOTLB, in legacy mode."""

        DID = bits(47, 32, "Domain-ID", RW)
        DW = bit(48, "Drain Writes", RW)
        DR = bit(49, "Drain Reads", RW)
        IAIG = bits(58, 57, "IOTLB Actual Invalidation Granularity", RO, enum=IotlbGranularity)
        IIRG = bits(61, 60, "IOTLB Invalidation Request Granularity", RW, enum=IotlbGranularity)
        IVT = bit(63, "Invalidate IOTLB; cleared when done", RW)

    FRCD = place(FaultRecording, at=FRCD_AT, count=FRCD_COUNT)
