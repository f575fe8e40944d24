"""Paging entries of the two stages. What no field covers is reserved.

In the entries of levels 5 and 4, PS is reserved. An address is in place: bits that the page size leaves
over are reserved, and so are those at and above the host address width (second stage: the same).
"""

from enum import IntEnum

from siov.spec.word import Word, bit, bits


class MemoryType(IntEnum):
    """Memory types, as in the CPU's EPT and MTRRs."""

    UC = 0
    WC = 1
    WT = 4
    WP = 5
    WB = 6


class FsEntry(Word, width=64, ref="VT-d 9.7"):
    """What all first-stage entries have in common."""

    P = bit(0, "Present")
    RW = bit(1, "Read/Write: 1 is writable")
    US = bit(2, "User/Supervisor: 1 is for user requests too")
    PWT = bit(3, "Page-level Write-Through")
    PCD = bit(4, "Page-level Cache Disable")
    A = bit(5, "Accessed")
    EA = bit(10, "Extended Accessed")
    IGN_11 = bit(11, "ignored")
    IGN_62_52 = bits(62, 52, "ignored")
    XD = bit(63, "Execute Disable, with NXE; else reserved")


class FsTableEntry(FsEntry, width=64, ref="VT-d 9.7"):
    """A first-stage entry that points to a table."""

    IGN_6 = bit(6, "ignored")
    PS = bit(7, "Page Size: 0, the entry points to a table")
    IGN_9_8 = bits(9, 8, "ignored")
    ADDR = bits(51, 12, "the table, 4 KiB aligned")


class FsPageEntry(FsEntry, width=64, ref="VT-d 9.7"):
    """What all first-stage entries of pages have in common."""

    D = bit(6, "Dirty")
    G = bit(8, "Global")
    IGN_9 = bit(9, "ignored")


class FsPage4K(FsPageEntry, width=64, ref="VT-d 9.7"):
    """FS-PTE: a first-stage page of 4 KiB."""

    PAT = bit(7, "Page Attribute")
    ADDR = bits(51, 12, "the page")


class FsPage2M(FsPageEntry, width=64, ref="VT-d 9.7"):
    """FS-PDE with PS: a first-stage page of 2 MiB."""

    PS = bit(7, "Page Size: 1, the entry is of a page")
    PAT = bit(12, "Page Attribute")
    ADDR = bits(51, 21, "the page")


class FsPage1G(FsPageEntry, width=64, ref="VT-d 9.7"):
    """FS-PDPE with PS: a first-stage page of 1 GiB."""

    PS = bit(7, "Page Size: 1, the entry is of a page")
    PAT = bit(12, "Page Attribute")
    ADDR = bits(51, 30, "the page")


class SsEntry(Word, width=64, ref="VT-d 9.8"):
    """What all second-stage entries have in common; one without R and W (and X, with SSEE) is not present."""

    R = bit(0, "Read")
    W = bit(1, "Write")
    X = bit(2, "Execute, with SSEE; else ignored")
    A = bit(8, "Accessed, with SSADE; else ignored")
    IGN_10 = bit(10, "ignored")
    IGN_61_52 = bits(61, 52, "ignored")
    IGN_63 = bit(63, "ignored")


class SsTableEntry(SsEntry, width=64, ref="VT-d 9.8"):
    """A second-stage entry that points to a table."""

    IGN_6_3 = bits(6, 3, "ignored")
    PS = bit(7, "Page Size: 0, the entry points to a table")
    IGN_9 = bit(9, "ignored")
    ADDR = bits(51, 12, "the table, 4 KiB aligned")


class SsPageEntry(SsEntry, width=64, ref="VT-d 9.8"):
    """What all second-stage entries of pages have in common."""

    EMT = bits(5, 3, "Extended Memory Type", enum=MemoryType)
    IPAT = bit(6, "Ignore PAT")
    D = bit(9, "Dirty, with SSADE; else ignored")
    SNP = bit(11, "Snoop; reserved without ECAP.SC")
    TM = bit(62, "Transient Mapping; reserved without ECAP.DT")


class SsPage4K(SsPageEntry, width=64, ref="VT-d 9.8"):
    """SS-PTE: a second-stage page of 4 KiB."""

    IGN_7 = bit(7, "ignored")
    ADDR = bits(51, 12, "the page")


class SsPage2M(SsPageEntry, width=64, ref="VT-d 9.8"):
    """SS-PDE with PS: a second-stage page of 2 MiB."""

    PS = bit(7, "Page Size: 1, the entry is of a page")
    ADDR = bits(51, 21, "the page")


class SsPage1G(SsPageEntry, width=64, ref="VT-d 9.8"):
    """SS-PDPE with PS: a second-stage page of 1 GiB."""

    PS = bit(7, "Page Size: 1, the entry is of a page")
    ADDR = bits(51, 30, "the page")
