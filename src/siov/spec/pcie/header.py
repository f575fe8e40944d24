"""Configuration space headers: what type 0 and type 1 share, and what each adds."""

from enum import IntEnum

from siov.spec.word import RO, RW, RW1C, RegisterBlock, Word, bit, bits, place


class HeaderLayout(IntEnum):
    """Which layout the header's bytes from 10h on have."""

    TYPE0 = 0
    TYPE1 = 1
    CARDBUS = 2  # PC Card: no function here has it


class BarType(IntEnum):
    """How wide the addresses are that a memory BAR can hold."""

    BITS32 = 0
    BELOW_1M = 1
    BITS64 = 2


class DevselTiming(IntEnum):
    """How quickly a function of a conventional bus claims a transaction."""

    FAST = 0
    MEDIUM = 1
    SLOW = 2


class WindowType(IntEnum):
    """How wide the addresses of a bridge's I/O or prefetchable window are."""

    NARROW = 0  # I/O: 16 bits; memory: 32 bits
    WIDE = 1  # I/O: 32 bits; memory: 64 bits


class CommonHeader(RegisterBlock, size=0x40, ref="PCIe 7.5.1.1"):
    """The registers that stand at the same place in every header."""

    class VENDOR_ID(Word, width=16, at=0x00, ref="PCIe 7.5.1.1.1"):
        """Who made the function."""

        ID = bits(15, 0, "vendor, as the PCI-SIG numbers them")

    class DEVICE_ID(Word, width=16, at=0x02, ref="PCIe 7.5.1.1.2"):
        """Which of its maker's functions this is."""

        ID = bits(15, 0, "device, as the vendor numbers them")

    class COMMAND(Word, width=16, at=0x04, ref="PCIe 7.5.1.1.3"):
        """What the function may do."""

        IOSE = bit(0, "I/O Space Enable: answers I/O requests", RW)
        MSE = bit(1, "Memory Space Enable: answers memory requests", RW)
        BME = bit(2, "Bus Master Enable: issues memory and I/O requests, and so MSIs", RW)
        SCE = bit(3, "Special Cycle Enable: 0 on PCI Express")
        MWIE = bit(4, "Memory Write and Invalidate Enable: 0 on PCI Express")
        VGASE = bit(5, "VGA Palette Snoop: 0 on PCI Express")
        PERE = bit(6, "Parity Error Response Enable", RW)
        IDSEL = bit(7, "IDSEL Stepping, once wait cycle control: 0 on PCI Express")
        SERRE = bit(8, "SERR# Enable: reports errors to the root complex", RW)
        FBE = bit(9, "Fast Back-to-Back Transactions Enable: 0 on PCI Express")
        INTxD = bit(10, "Interrupt Disable: asserts no INTx", RW)

    class STATUS(Word, width=16, at=0x06, ref="PCIe 7.5.1.1.4"):
        """What happened on the primary side."""

        IRS = bit(3, "Interrupt Status: an INTx is pending")
        CAP = bit(4, "Capabilities List: CAP_PTR is valid", RO, reset=1)
        MHZ66 = bit(5, "66 MHz Capable: 0 on PCI Express")
        UDF = bit(6, "User-Definable Features: PCI 2.1 only")
        FBC = bit(7, "Fast Back-to-Back Capable: 0 on PCI Express")
        MDPE = bit(8, "Master Data Parity Error", RW1C)
        DEVSEL = bits(10, 9, "DEVSEL timing: 0 on PCI Express", enum=DevselTiming)
        STA = bit(11, "Signaled Target Abort: completed with Completer Abort", RW1C)
        RTA = bit(12, "Received Target Abort: got a Completer Abort", RW1C)
        RMA = bit(13, "Received Master Abort: got an Unsupported Request completion", RW1C)
        SSE = bit(14, "Signaled System Error: sent ERR_FATAL or ERR_NONFATAL", RW1C)
        DPE = bit(15, "Detected Parity Error: got a poisoned TLP", RW1C)

    class REVISION_ID(Word, width=8, at=0x08, ref="PCIe 7.5.1.1.5"):
        """The function's revision."""

        ID = bits(7, 0, "revision")

    class CLASS_CODE(Word, width=24, at=0x09, ref="PCIe 7.5.1.1.6"):
        """What the function is for."""

        PI = bits(7, 0, "programming interface")
        SUB = bits(15, 8, "sub-class")
        BASE = bits(23, 16, "base class")

    class CACHE_LINE_SIZE(Word, width=8, at=0x0C, ref="PCIe 7.5.1.1.7"):
        """Kept for old software; without effect."""

        SIZE = bits(7, 0, "in 4-byte units", RW)

    class LATENCY_TIMER(Word, width=8, at=0x0D, ref="PCIe 7.5.1.1.8"):
        """Zero on PCI Express."""

        TIMER = bits(7, 0, "in bus clocks")

    class HEADER_TYPE(Word, width=8, at=0x0E, ref="PCIe 7.5.1.1.9"):
        """Which layout follows, and whether the device has more functions."""

        HL = bits(6, 0, "header layout", enum=HeaderLayout)
        MFD = bit(7, "Multi-Function Device")

    class BIST(Word, width=8, at=0x0F, ref="PCIe 7.5.1.1.10"):
        """Built-in self test; zero where there is none."""

        CC = bits(3, 0, "completion code")
        START = bit(6, "Start BIST")
        CAP = bit(7, "BIST Capable")

    class CAP_PTR(Word, width=8, at=0x34, ref="PCIe 7.5.1.1.11"):
        """Where the list of capabilities starts."""

        PTR = bits(7, 0, "offset of the first capability, 0 if none")

    class INT_LINE(Word, width=8, at=0x3C, ref="PCIe 7.5.1.1.12"):
        """A note of system software to itself."""

        LINE = bits(7, 0, "interrupt line", RW)

    class INT_PIN(Word, width=8, at=0x3D, ref="PCIe 7.5.1.1.13"):
        """Which INTx the function uses: 0 none, 1 INTA to 4 INTD."""

        PIN = bits(7, 0, "interrupt pin")


class MemoryBar(Word, width=32, ref="PCIe 7.5.1.2.1"):
    """A base address register of memory, or the low half of a 64-bit one.

    Which bits of BASE can be written is decided by the size of what it maps; the function's
    configuration space sets that when it is composed.
    """

    IO = bit(0, "0: memory; 1: I/O")
    TYPE = bits(2, 1, "width of the address", enum=BarType)
    PREFETCH = bit(3, "reads have no side effect")
    BASE = bits(31, 4, "address bits 31:4", RW)


class IoBar(Word, width=32, ref="PCIe 7.5.1.2.1"):
    """A base address register of I/O ports."""

    IO = bit(0, "0: memory; 1: I/O", reset=1)
    BASE = bits(31, 2, "port bits 31:2", RW)


class BarHigh(Word, width=32, ref="PCIe 7.5.1.2.1"):
    """The high half of a 64-bit base address register."""

    BASE = bits(31, 0, "address bits 63:32", RW)


class RomBar(Word, width=32, ref="PCIe 7.5.1.2.4"):
    """The expansion ROM's base address register."""

    EN = bit(0, "Expansion ROM Enable: answers, if COMMAND.MSE is set too", RW)
    BASE = bits(31, 11, "address bits 31:11", RW)


class Type0(CommonHeader, size=0x40, ref="PCIe 7.5.1.2"):
    """The header of a function that is no bridge."""

    BAR = place(MemoryBar, at=0x10, count=6)

    class CARDBUS_CIS(Word, width=32, at=0x28, ref="PCIe 7.5.1.2.2"):
        """Zero on PCI Express."""

        PTR = bits(31, 0, "pointer")

    class SUBSYSTEM_VENDOR_ID(Word, width=16, at=0x2C, ref="PCIe 7.5.1.2.3"):
        """Who made the board."""

        ID = bits(15, 0, "vendor")

    class SUBSYSTEM_ID(Word, width=16, at=0x2E, ref="PCIe 7.5.1.2.3"):
        """Which of its maker's boards this is."""

        ID = bits(15, 0, "device")

    ROM = place(RomBar, at=0x30)

    class MIN_GNT(Word, width=8, at=0x3E, ref="PCIe 7.5.1.2.5"):
        """Zero on PCI Express."""

        TIME = bits(7, 0, "in quarter microseconds")

    class MAX_LAT(Word, width=8, at=0x3F, ref="PCIe 7.5.1.2.5"):
        """Zero on PCI Express."""

        TIME = bits(7, 0, "in quarter microseconds")


class Type1(CommonHeader, size=0x40, ref="PCIe 7.5.1.3"):
    """The header of a bridge: a root port, or a switch's upstream or downstream port."""

    BAR = place(MemoryBar, at=0x10, count=2)

    class PRIMARY_BUS(Word, width=8, at=0x18, ref="PCIe 7.5.1.3.2"):
        """The bus above; a note of software on PCI Express."""

        NUM = bits(7, 0, "bus number", RW)

    class SECONDARY_BUS(Word, width=8, at=0x19, ref="PCIe 7.5.1.3.3"):
        """The bus right below: configuration requests to it arrive there as type 0."""

        NUM = bits(7, 0, "bus number", RW)

    class SUBORDINATE_BUS(Word, width=8, at=0x1A, ref="PCIe 7.5.1.3.4"):
        """The highest bus number below."""

        NUM = bits(7, 0, "bus number", RW)

    class SECONDARY_LATENCY(Word, width=8, at=0x1B, ref="PCIe 7.5.1.3.5"):
        """Zero on PCI Express."""

        TIMER = bits(7, 0, "in bus clocks")

    class IO_BASE(Word, width=8, at=0x1C, ref="PCIe 7.5.1.3.6"):
        """Start of the I/O window; zero and read-only on a bridge that forwards no I/O."""

        TYPE = bits(3, 0, "0: 16-bit, 1: 32-bit addresses", enum=WindowType)
        BASE = bits(7, 4, "address bits 15:12")

    class IO_LIMIT(Word, width=8, at=0x1D, ref="PCIe 7.5.1.3.6"):
        """End of the I/O window."""

        TYPE = bits(3, 0, "0: 16-bit, 1: 32-bit addresses", enum=WindowType)
        LIMIT = bits(7, 4, "address bits 15:12")

    class SECONDARY_STATUS(Word, width=16, at=0x1E, ref="PCIe 7.5.1.3.7"):
        """What happened on the secondary side."""

        MHZ66 = bit(5, "66 MHz Capable: 0 on PCI Express")
        FBC = bit(7, "Fast Back-to-Back Capable: 0 on PCI Express")
        MDPE = bit(8, "Master Data Parity Error", RW1C)
        DEVSEL = bits(10, 9, "DEVSEL timing: 0 on PCI Express", enum=DevselTiming)
        STA = bit(11, "Signaled Target Abort", RW1C)
        RTA = bit(12, "Received Target Abort", RW1C)
        RMA = bit(13, "Received Master Abort", RW1C)
        RSE = bit(14, "Received System Error: an error message came up from below", RW1C)
        DPE = bit(15, "Detected Parity Error", RW1C)

    class MEMORY_BASE(Word, width=16, at=0x20, ref="PCIe 7.5.1.3.8"):
        """Start of the 32-bit memory window, in MiB."""

        TYPE = bits(3, 0, "reserved, 0")
        BASE = bits(15, 4, "address bits 31:20", RW)

    class MEMORY_LIMIT(Word, width=16, at=0x22, ref="PCIe 7.5.1.3.8"):
        """The last MiB of the 32-bit memory window; below BASE the window is closed."""

        TYPE = bits(3, 0, "reserved, 0")
        LIMIT = bits(15, 4, "address bits 31:20", RW)

    class PREF_BASE(Word, width=16, at=0x24, ref="PCIe 7.5.1.3.9"):
        """Start of the prefetchable memory window."""

        TYPE = bits(3, 0, "0: 32-bit, 1: 64-bit addresses", reset=1, enum=WindowType)
        BASE = bits(15, 4, "address bits 31:20", RW)

    class PREF_LIMIT(Word, width=16, at=0x26, ref="PCIe 7.5.1.3.9"):
        """The last MiB of the prefetchable memory window."""

        TYPE = bits(3, 0, "0: 32-bit, 1: 64-bit addresses", reset=1, enum=WindowType)
        LIMIT = bits(15, 4, "address bits 31:20", RW)

    class PREF_BASE_HIGH(Word, width=32, at=0x28, ref="PCIe 7.5.1.3.10"):
        """Start of the prefetchable memory window, high half."""

        BASE = bits(31, 0, "address bits 63:32", RW)

    class PREF_LIMIT_HIGH(Word, width=32, at=0x2C, ref="PCIe 7.5.1.3.10"):
        """The last MiB of the prefetchable memory window, high half."""

        LIMIT = bits(31, 0, "address bits 63:32", RW)

    class IO_BASE_HIGH(Word, width=16, at=0x30, ref="PCIe 7.5.1.3.11"):
        """Start of the I/O window, high half."""

        BASE = bits(15, 0, "address bits 31:16")

    class IO_LIMIT_HIGH(Word, width=16, at=0x32, ref="PCIe 7.5.1.3.11"):
        """End of the I/O window, high half."""

        LIMIT = bits(15, 0, "address bits 31:16")

    ROM = place(RomBar, at=0x38)

    class BRIDGE_CONTROL(Word, width=16, at=0x3E, ref="PCIe 7.5.1.3.13"):
        """How the bridge treats its secondary side."""

        PERE = bit(0, "Parity Error Response Enable", RW)
        SERRE = bit(1, "SERR# Enable: passes error messages up", RW)
        ISA = bit(2, "ISA Enable")
        VGA = bit(3, "VGA Enable")
        VGA16 = bit(4, "VGA 16-bit Decode")
        MABT = bit(5, "Master Abort Mode")
        SBR = bit(6, "Secondary Bus Reset: a hot reset of everything below", RW)
        FBE = bit(7, "Fast Back-to-Back Transactions Enable: 0 on PCI Express")
        PDT = bit(8, "Primary Discard Timer: 0 on PCI Express")
        SDT = bit(9, "Secondary Discard Timer: 0 on PCI Express")
        DTS = bit(10, "Discard Timer Status: 0 on PCI Express")
        DTSE = bit(11, "Discard Timer SERR# Enable: 0 on PCI Express")
