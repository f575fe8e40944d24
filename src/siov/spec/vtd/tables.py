"""The tables from a requester id and a PASID to a page table. What no field covers is reserved."""

from enum import IntEnum

from siov.spec.word import Word, bit, bits


class TT(IntEnum):
    """Translation Type of a legacy context entry."""

    UNTRANSLATED_ONLY = 0
    DEVICE_TLB = 1
    PASS_THROUGH = 2


class AW(IntEnum):
    """Address Width of the second stage, by its levels."""

    LEVELS_3 = 1
    LEVELS_4 = 2
    LEVELS_5 = 3


class PGTT(IntEnum):
    """PASID Granular Translation Type."""

    FIRST_STAGE = 1
    SECOND_STAGE = 2
    NESTED = 3
    PASS_THROUGH = 4


class FSPM(IntEnum):
    """First Stage Paging Mode."""

    LEVELS_4 = 0
    LEVELS_5 = 1


class RootEntry(Word, width=128, ref="VT-d 9.1"):
    """The entry of a bus, in legacy mode."""

    P = bit(0, "Present")
    CTP = bits(63, 12, "Context Table Pointer, 4 KiB aligned")


class ScalableRootEntry(Word, width=128, ref="VT-d 9.2"):
    """The entry of a bus, in scalable mode: devices 0 to 15 below, 16 to 31 above."""

    LP = bit(0, "Lower Present")
    LCTP = bits(63, 12, "Lower Context Table Pointer, 4 KiB aligned")
    UP = bit(64, "Upper Present")
    UCTP = bits(127, 76, "Upper Context Table Pointer, 4 KiB aligned")


class ContextEntry(Word, width=128, ref="VT-d 9.3"):
    """The entry of a function, in legacy mode."""

    P = bit(0, "Present")
    FPD = bit(1, "Fault Processing Disable")
    TT = bits(3, 2, "Translation Type", enum=TT)
    SSPTPTR = bits(63, 12, "Second Stage Page Translation Pointer, 4 KiB aligned")
    AW = bits(66, 64, "Address Width", enum=AW)
    IGN = bits(70, 67, "ignored")
    DID = bits(87, 72, "Domain Identifier")


class ScalableContextEntry(Word, width=256, ref="VT-d 9.4"):
    """The entry of a function, in scalable mode."""

    P = bit(0, "Present")
    FPD = bit(1, "Fault Processing Disable")
    DTE = bit(2, "Device-TLB Enable")
    PASIDE = bit(3, "PASID Enable: requests with PASID are let in")
    PRE = bit(4, "Page Request Enable")
    PDTS = bits(11, 9, "PASID Directory Size: 2 to the power of (n + 7) entries")
    PASIDDIRPTR = bits(63, 12, "PASID Directory Pointer, 4 KiB aligned")
    RID_PASID = bits(83, 64, "the PASID of requests without one")
    RID_PRIV = bit(84, "the privilege of requests without PASID")


class PasidDirectoryEntry(Word, width=64, ref="VT-d 9.5"):
    """The entry of PASID bits 19:6."""

    P = bit(0, "Present")
    FPD = bit(1, "Fault Processing Disable")
    SMPTBLPTR = bits(63, 12, "Scalable Mode PASID Table Pointer, 4 KiB aligned")


class PasidTableEntry(Word, width=512, ref="VT-d 9.6"):
    """The entry of a PASID, 64 in a table: which stages translate, and how."""

    P = bit(0, "Present")
    FPD = bit(1, "Fault Processing Disable")
    AW = bits(4, 2, "Address Width of the second stage", enum=AW)
    SSEE = bit(5, "Second Stage Execute Enable")
    PGTT = bits(8, 6, "PASID Granular Translation Type", enum=PGTT)
    SSADE = bit(9, "Second Stage Access/Dirty Enable")
    SSPTPTR = bits(63, 12, "Second Stage Page Table Pointer, 4 KiB aligned")
    DID = bits(79, 64, "Domain Identifier")
    PWSNP = bit(87, "Page-Walk Snoop")
    PGSNP = bit(88, "Page Snoop")
    CD = bit(89, "Cache Disable")
    EMTE = bit(90, "Extended Memory Type Enable")
    EMT = bits(93, 91, "Extended Memory Type")
    PWT = bit(94, "Page-level Write-Through")
    PCD = bit(95, "Page-level Cache Disable")
    PAT = bits(127, 96, "Page Attribute Table, low half")
    SRE = bit(128, "Supervisor Request Enable")
    ERE = bit(129, "Execute Request Enable")
    FSPM = bits(131, 130, "First Stage Paging Mode", enum=FSPM)
    WPE = bit(132, "Write Protect Enable: supervisor writes need R/W too")
    NXE = bit(133, "No-Execute Enable: XD counts")
    SMEP = bit(134, "Supervisor Mode Execute Prevention")
    EAFE = bit(135, "Extended Accessed Flag Enable: EA is set")
    FSPTPTR = bits(191, 140, "First Stage Page Table Pointer, 4 KiB aligned")
