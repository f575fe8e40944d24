"""Capabilities in the first 256 bytes: power management, MSI-X, PCI Express."""

from enum import IntEnum

from siov.spec.pcie.ids import CapabilityId
from siov.spec.word import RO, ROS, RW, RW1C, RW1CS, RWS, WO, RegisterBlock, Word, bit, bits, place


class CapabilityHeader(Word, width=16, ref="PCIe 7.5.2"):
    """The first two bytes of every capability."""

    ID = bits(7, 0, "what this capability is", enum=CapabilityId)
    NEXT = bits(15, 8, "offset of the next capability, 0 at the end")


class PowerManagement(RegisterBlock, size=8, ref="PCIe 7.5.2"):
    """PCI Power Management."""

    HEADER = place(CapabilityHeader, at=0)

    class PMC(Word, width=16, at=2, ref="PCIe 7.5.2.1"):
        """What the function can do."""

        VERSION = bits(2, 0, "version", reset=3)
        PME_CLOCK = bit(3, "zero on PCI Express")
        DSI = bit(5, "Device Specific Initialization")
        AUX = bits(8, 6, "auxiliary current")
        D1 = bit(9, "supports D1")
        D2 = bit(10, "supports D2")
        PME = bits(15, 11, "states from which PME can be sent: D0, D1, D2, D3hot, D3cold")

    class PMCSR(Word, width=16, at=4, ref="PCIe 7.5.2.2"):
        """Which state it is in."""

        PS = bits(1, 0, "power state: 0 is D0, 3 is D3hot", RW)
        NO_SOFT_RESET = bit(3, "going from D3hot to D0 keeps the context", reset=1)
        PME_EN = bit(8, "PME Enable", RWS)
        DATA_SEL = bits(12, 9, "data select")
        DATA_SCALE = bits(14, 13, "data scale")
        PME_STATUS = bit(15, "PME Status", RW1CS)

    class BSE(Word, width=8, at=6, ref="PCIe 7.5.2"):
        """Bridge extensions; zero on PCI Express."""

        B2B3 = bit(6, "B2/B3 support")
        BPCC = bit(7, "bus power and clock control")

    class DATA(Word, width=8, at=7, ref="PCIe 7.5.2.2"):
        """Data register; zero where there is none."""

        VALUE = bits(7, 0, "data")


class MsixEntry(RegisterBlock, size=16, ref="PCIe 7.7.2"):
    """One vector of an MSI-X table."""

    class ADDRESS_LO(Word, width=32, at=0x0, ref="PCIe 7.7.2.4"):
        """Where the message is written, low half; 4-byte aligned."""

        ADDR = bits(31, 2, "address bits 31:2", RW)

    class ADDRESS_HI(Word, width=32, at=0x4, ref="PCIe 7.7.2.5"):
        """Where the message is written, high half."""

        ADDR = bits(31, 0, "address bits 63:32", RW)

    class DATA(Word, width=32, at=0x8, ref="PCIe 7.7.2.6"):
        """What is written."""

        DATA = bits(31, 0, "message data", RW)

    class VECTOR_CONTROL(Word, width=32, at=0xC, ref="PCIe 7.7.2.7"):
        """Whether the vector may be sent."""

        MASK = bit(0, "masked: an interrupt stays pending", RW, reset=1)


class Msix(RegisterBlock, size=12, ref="PCIe 7.7.2"):
    """MSI-X: where the table and the pending bits lie."""

    HEADER = place(CapabilityHeader, at=0)

    class CONTROL(Word, width=16, at=2, ref="PCIe 7.7.2.1"):
        """Message Control."""

        SIZE = bits(10, 0, "table size, minus 1")
        MASK = bit(14, "Function Mask: all vectors are masked", RW)
        EN = bit(15, "MSI-X Enable", RW)

    class TABLE(Word, width=32, at=4, ref="PCIe 7.7.2.2"):
        """Where the table lies."""

        BIR = bits(2, 0, "number of the BAR")
        OFFSET = bits(31, 3, "offset in it, in 8-byte units")

    class PBA(Word, width=32, at=8, ref="PCIe 7.7.2.3"):
        """Where the pending bits lie."""

        BIR = bits(2, 0, "number of the BAR")
        OFFSET = bits(31, 3, "offset in it, in 8-byte units")


class ExpressType(IntEnum):
    """Device/Port Type."""

    ENDPOINT = 0x0
    LEGACY_ENDPOINT = 0x1
    ROOT_PORT = 0x4
    UPSTREAM_PORT = 0x5
    DOWNSTREAM_PORT = 0x6
    PCIE_TO_PCI_BRIDGE = 0x7
    PCI_TO_PCIE_BRIDGE = 0x8
    RCIEP = 0x9
    RCEC = 0xA


class Express(RegisterBlock, size=0x3C, ref="PCIe 7.5.3"):
    """PCI Express: device, link, slot and root registers, with the second set of each."""

    HEADER = place(CapabilityHeader, at=0x00)

    class PCIECAP(Word, width=16, at=0x02, ref="PCIe 7.5.3.2"):
        """What kind of device or port this is."""

        VERSION = bits(3, 0, "capability version", reset=2)
        TYPE = bits(7, 4, "device or port type", enum=ExpressType)
        SLOT = bit(8, "Slot Implemented")
        IMN = bits(13, 9, "Interrupt Message Number")

    class DEVCAP(Word, width=32, at=0x04, ref="PCIe 7.5.3.3"):
        """Device Capabilities."""

        MPSS = bits(2, 0, "Max_Payload_Size Supported: 128 << n bytes", reset=1)
        PFS = bits(4, 3, "Phantom Functions Supported")
        ETFS = bit(5, "Extended Tag Field Supported", reset=1)
        L0SL = bits(8, 6, "acceptable L0s latency")
        L1L = bits(11, 9, "acceptable L1 latency")
        ABP = bit(12, "Attention Button Present: before revision 1.1")
        AIP = bit(13, "Attention Indicator Present: before revision 1.1")
        PIP = bit(14, "Power Indicator Present: before revision 1.1")
        RBER = bit(15, "Role-Based Error Reporting", reset=1)
        CSPLV = bits(25, 18, "Captured Slot Power Limit Value")
        CSPLS = bits(27, 26, "Captured Slot Power Limit Scale")
        FLRC = bit(28, "Function Level Reset Capable")
        TEEIO = bit(30, "TEE-IO Supported")

    class DEVCTL(Word, width=16, at=0x08, ref="PCIe 7.5.3.4"):
        """Device Control."""

        CERE = bit(0, "Correctable Error Reporting Enable", RW)
        NFERE = bit(1, "Non-Fatal Error Reporting Enable", RW)
        FERE = bit(2, "Fatal Error Reporting Enable", RW)
        URRE = bit(3, "Unsupported Request Reporting Enable", RW)
        ERO = bit(4, "Enable Relaxed Ordering", RW, reset=1)
        MPS = bits(7, 5, "Max_Payload_Size: 128 << n bytes", RW)
        ETFE = bit(8, "Extended Tag Field Enable", RW, reset=1)
        PFE = bit(9, "Phantom Functions Enable")
        AUXPPME = bit(10, "Aux Power PM Enable")
        ENS = bit(11, "Enable No Snoop", RW, reset=1)
        MRRS = bits(14, 12, "Max_Read_Request_Size: 128 << n bytes", RW, reset=2)
        IFLR = bit(15, "Initiate Function Level Reset; a bridge: retry enable", WO)

    class DEVSTA(Word, width=16, at=0x0A, ref="PCIe 7.5.3.5"):
        """Device Status."""

        CED = bit(0, "Correctable Error Detected", RW1C)
        NFED = bit(1, "Non-Fatal Error Detected", RW1C)
        FED = bit(2, "Fatal Error Detected", RW1C)
        URD = bit(3, "Unsupported Request Detected", RW1C)
        AUXPD = bit(4, "AUX Power Detected")
        TP = bit(5, "Transactions Pending")

    class LNKCAP(Word, width=32, at=0x0C, ref="PCIe 7.5.3.6"):
        """Link Capabilities; zero on a root complex integrated endpoint."""

        MLS = bits(3, 0, "Max Link Speed: 1 is 2.5 GT/s, 4 is 16 GT/s")
        MLW = bits(9, 4, "Maximum Link Width")
        ASPMS = bits(11, 10, "ASPM Support")
        L0SEL = bits(14, 12, "L0s Exit Latency")
        L1EL = bits(17, 15, "L1 Exit Latency")
        CPM = bit(18, "Clock Power Management")
        SDERC = bit(19, "Surprise Down Error Reporting Capable")
        DLLLARC = bit(20, "Data Link Layer Link Active Reporting Capable")
        LBNC = bit(21, "Link Bandwidth Notification Capability")
        ASPMOC = bit(22, "ASPM Optionality Compliance")
        PN = bits(31, 24, "Port Number")

    class LNKCTL(Word, width=16, at=0x10, ref="PCIe 7.5.3.7"):
        """Link Control."""

        ASPMC = bits(1, 0, "ASPM Control", RW)
        RCB = bit(3, "Read Completion Boundary: 0 is 64 bytes", RO)
        LD = bit(4, "Link Disable; ports that face down only", RO)
        RL = bit(5, "Retrain Link; ports that face down only", RO)
        CCC = bit(6, "Common Clock Configuration", RW)
        ES = bit(7, "Extended Synch", RW)
        ECPM = bit(8, "Enable Clock Power Management", RO)
        HAWD = bit(9, "Hardware Autonomous Width Disable", RO)
        LBMIE = bit(10, "Link Bandwidth Management Interrupt Enable", RO)
        LABIE = bit(11, "Link Autonomous Bandwidth Interrupt Enable", RO)

    class LNKSTA(Word, width=16, at=0x12, ref="PCIe 7.5.3.8"):
        """Link Status."""

        CLS = bits(3, 0, "Current Link Speed")
        NLW = bits(9, 4, "Negotiated Link Width")
        TE = bit(10, "Training Error: before revision 1.1")
        LT = bit(11, "Link Training")
        SCC = bit(12, "Slot Clock Configuration")
        DLLLA = bit(13, "Data Link Layer Link Active")
        LBMS = bit(14, "Link Bandwidth Management Status", RO)
        LABS = bit(15, "Link Autonomous Bandwidth Status", RO)

    class SLTCAP(Word, width=32, at=0x14, ref="PCIe 7.5.3.9"):
        """Slot Capabilities; only with PCIECAP.SLOT."""

        ABP = bit(0, "Attention Button Present")
        PCP = bit(1, "Power Controller Present")
        MRLSP = bit(2, "MRL Sensor Present")
        AIP = bit(3, "Attention Indicator Present")
        PIP = bit(4, "Power Indicator Present")
        HPS = bit(5, "Hot-Plug Surprise")
        HPC = bit(6, "Hot-Plug Capable")
        SPLV = bits(14, 7, "Slot Power Limit Value")
        SPLS = bits(16, 15, "Slot Power Limit Scale")
        EIP = bit(17, "Electromechanical Interlock Present")
        NCCS = bit(18, "No Command Completed Support")
        PSN = bits(31, 19, "Physical Slot Number")

    class SLTCTL(Word, width=16, at=0x18, ref="PCIe 7.5.3.10"):
        """Slot Control."""

        ABPE = bit(0, "Attention Button Pressed Enable", RW)
        PFDE = bit(1, "Power Fault Detected Enable", RW)
        MRLSCE = bit(2, "MRL Sensor Changed Enable", RW)
        PDCE = bit(3, "Presence Detect Changed Enable", RW)
        CCIE = bit(4, "Command Completed Interrupt Enable", RW)
        HPIE = bit(5, "Hot-Plug Interrupt Enable", RW)
        AIC = bits(7, 6, "Attention Indicator Control", RW)
        PIC = bits(9, 8, "Power Indicator Control", RW)
        PCC = bit(10, "Power Controller Control: 1 is off", RW)
        EIC = bit(11, "Electromechanical Interlock Control", RO)
        DLLSCE = bit(12, "Data Link Layer State Changed Enable", RW)

    class SLTSTA(Word, width=16, at=0x1A, ref="PCIe 7.5.3.11"):
        """Slot Status."""

        ABP = bit(0, "Attention Button Pressed", RW1C)
        PFD = bit(1, "Power Fault Detected", RW1C)
        MRLSC = bit(2, "MRL Sensor Changed", RW1C)
        PDC = bit(3, "Presence Detect Changed", RW1C)
        CC = bit(4, "Command Completed", RW1C)
        MRLSS = bit(5, "MRL Sensor State")
        PDS = bit(6, "Presence Detect State: 1 is a card in the slot")
        EIS = bit(7, "Electromechanical Interlock Status")
        DLLSC = bit(8, "Data Link Layer State Changed", RW1C)

    class RTCTL(Word, width=16, at=0x1C, ref="PCIe 7.5.3.12"):
        """Root Control; root ports and event collectors only."""

        SECEE = bit(0, "System Error on Correctable Error Enable", RW)
        SENFEE = bit(1, "System Error on Non-Fatal Error Enable", RW)
        SEFEE = bit(2, "System Error on Fatal Error Enable", RW)
        PMEIE = bit(3, "PME Interrupt Enable", RW)
        CRSSVE = bit(4, "CRS Software Visibility Enable", RO)

    class RTCAP(Word, width=16, at=0x1E, ref="PCIe 7.5.3.13"):
        """Root Capabilities."""

        CRSSV = bit(0, "CRS Software Visibility")

    class RTSTA(Word, width=32, at=0x20, ref="PCIe 7.5.3.14"):
        """Root Status."""

        PMERID = bits(15, 0, "PME Requester ID")
        PMES = bit(16, "PME Status", RW1C)
        PMEP = bit(17, "PME Pending")

    class DEVCAP2(Word, width=32, at=0x24, ref="PCIe 7.5.3.15"):
        """Device Capabilities 2."""

        CTRS = bits(3, 0, "Completion Timeout Ranges Supported: A, B, C, D")
        CTDS = bit(4, "Completion Timeout Disable Supported")
        ARIFS = bit(5, "ARI Forwarding Supported; ports that face down only")
        AORS = bit(6, "AtomicOp Routing Supported")
        AOC32 = bit(7, "32-bit AtomicOp Completer Supported")
        AOC64 = bit(8, "64-bit AtomicOp Completer Supported")
        CASC128 = bit(9, "128-bit CAS Completer Supported")
        NROEPRP = bit(10, "No RO-enabled PR-PR Passing")
        LTRMS = bit(11, "LTR Mechanism Supported")
        TPHCS = bits(13, 12, "TPH Completer Supported: 1 TPH, 3 also extended")
        LNCLS = bits(15, 14, "LN System CLS: cacheline of 64 (1) or 128 bytes (2)")
        TAG10C = bit(16, "10-Bit Tag Completer Supported")
        TAG10R = bit(17, "10-Bit Tag Requester Supported")
        OBFFS = bits(19, 18, "OBFF Supported")
        EFFS = bit(20, "Extended Fmt Field Supported")
        EETPS = bit(21, "End-End TLP Prefix Supported: PASID needs it")
        MEETP = bits(23, 22, "Max End-End TLP Prefixes: 0 means 4")
        EPRS = bits(25, 24, "Emergency Power Reduction Supported")
        EPRIR = bit(26, "Emergency Power Reduction Initialization Required")
        FRSS = bit(31, "FRS Supported")

    class DEVCTL2(Word, width=16, at=0x28, ref="PCIe 7.5.3.16"):
        """Device Control 2."""

        CTV = bits(3, 0, "Completion Timeout Value", RW)
        CTD = bit(4, "Completion Timeout Disable", RW)
        ARIFE = bit(5, "ARI Forwarding Enable", RO)
        AORE = bit(6, "AtomicOp Requester Enable", RO)
        AOEB = bit(7, "AtomicOp Egress Blocking", RO)
        IDORE = bit(8, "IDO Request Enable", RO)
        IDOCE = bit(9, "IDO Completion Enable", RO)
        LTRME = bit(10, "LTR Mechanism Enable", RO)
        EPRR = bit(11, "Emergency Power Reduction Request")
        TAG10E = bit(12, "10-Bit Tag Requester Enable")
        OBFFE = bits(14, 13, "OBFF Enable", RO)
        EETPB = bit(15, "End-End TLP Prefix Blocking", RO)

    class DEVSTA2(Word, width=16, at=0x2A, ref="PCIe 7.5.3.17"):
        """Device Status 2: reserved."""

    class LNKCAP2(Word, width=32, at=0x2C, ref="PCIe 7.5.3.18"):
        """Link Capabilities 2."""

        SLSV = bits(7, 1, "Supported Link Speeds Vector: 2.5, 5, 8, 16, 32, 64 GT/s")
        CLS = bit(8, "Crosslink Supported")
        RPDS = bit(23, "Retimer Presence Detect Supported")
        TRPDS = bit(24, "Two Retimers Presence Detect Supported")
        DRSS = bit(31, "DRS Supported")

    class LNKCTL2(Word, width=16, at=0x30, ref="PCIe 7.5.3.19"):
        """Link Control 2."""

        TLS = bits(3, 0, "Target Link Speed", RWS)
        EC = bit(4, "Enter Compliance", RWS)
        HASD = bit(5, "Hardware Autonomous Speed Disable", RO)
        SDE = bit(6, "Selectable De-emphasis", RO)
        TM = bits(9, 7, "Transmit Margin", RWS)
        EMC = bit(10, "Enter Modified Compliance", RWS)
        CSOS = bit(11, "Compliance SOS", RWS)
        CPD = bits(15, 12, "Compliance Preset/De-emphasis", RWS)

    class LNKSTA2(Word, width=16, at=0x32, ref="PCIe 7.5.3.20"):
        """Link Status 2."""

        CDL = bit(0, "Current De-emphasis Level")
        EQC = bit(1, "Equalization Complete", ROS)
        EQP1 = bit(2, "Equalization Phase 1 Successful", ROS)
        EQP2 = bit(3, "Equalization Phase 2 Successful", ROS)
        EQP3 = bit(4, "Equalization Phase 3 Successful", ROS)
        LER = bit(5, "Link Equalization Request", RW1CS)
        RP = bit(6, "Retimer Presence Detected")
        RP2 = bit(7, "Two Retimers Presence Detected")
        CLR = bits(9, 8, "Crosslink Resolution")
        DCP = bits(14, 12, "Downstream Component Presence")
        DRSMR = bit(15, "DRS Message Received", RW1C)

    class SLTCAP2(Word, width=32, at=0x34, ref="PCIe 7.5.3.21"):
        """Slot Capabilities 2."""

        IBPDD = bit(0, "In-Band PD Disable Supported")

    class SLTCTL2(Word, width=16, at=0x38, ref="PCIe 7.5.3.22"):
        """Slot Control 2."""

        IBPDDE = bit(0, "In-Band PD Disable", RO)

    class SLTSTA2(Word, width=16, at=0x3A, ref="PCIe 7.5.3.23"):
        """Slot Status 2: reserved."""
