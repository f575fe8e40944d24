"""The CPU's two stages: a guest's own page tables, extended page tables (EPT) and page-modification logging.

Intel SDM volume 3, chapters 4 (paging), 28 (VMX exits) and 29 (VMX support for address translation). What
no field covers is reserved; so are address bits at and above the physical address width.
"""

from enum import IntEnum

from siov.spec.vtd.paging import FsPage1G, FsPage2M, FsPage4K, FsTableEntry, MemoryType
from siov.spec.word import RegisterBlock, Word, bit, bits, place


class ExitReason(IntEnum):
    """Basic exit reasons that have to do with translation."""

    EPT_VIOLATION = 48
    EPT_MISCONFIGURATION = 49
    INVEPT = 50
    INVVPID = 53
    PML_FULL = 62


class InveptType(IntEnum):
    """What INVEPT invalidates."""

    SINGLE_CONTEXT = 1
    GLOBAL = 2


class InvvpidType(IntEnum):
    """What INVVPID invalidates."""

    INDIVIDUAL_ADDRESS = 0
    SINGLE_CONTEXT = 1
    ALL_CONTEXTS = 2
    SINGLE_CONTEXT_RETAINING_GLOBALS = 3


class InvpcidType(IntEnum):
    """What INVPCID invalidates."""

    INDIVIDUAL_ADDRESS = 0
    SINGLE_CONTEXT = 1
    ALL_INCLUDING_GLOBALS = 2
    ALL_CONTEXTS = 3


class Cr3(Word, width=64, ref="SDM 4.5.2"):
    """CR3 with CR4.PCIDE set."""

    PCID = bits(11, 0, "Process-Context Identifier")
    ADDR = bits(51, 12, "the root table, 4 KiB aligned")
    NOFLUSH = bit(63, "on a load: keep what is cached for this PCID; reads as zero")


class Cr0(Word, width=64, ref="SDM 2.5"):
    """CR0: the bits that translation looks at; the others are not reserved, but of no concern here."""

    WP = bit(16, "Write Protect: supervisor writes obey R/W too")


class Cr4(Word, width=64, ref="SDM 2.5"):
    """CR4: the bits that translation looks at; the others are not reserved, but of no concern here."""

    PGE = bit(7, "Page Global Enable")
    LA57 = bit(12, "57-bit linear addresses: paging has 5 levels")
    PCIDE = bit(17, "PCID Enable")
    SMEP = bit(20, "Supervisor-Mode Execution Prevention")
    SMAP = bit(21, "Supervisor-Mode Access Prevention")


class Efer(Word, width=64, ref="SDM 2.2.1"):
    """IA32_EFER: the bit that translation looks at; the others are not reserved, but of no concern here."""

    NXE = bit(11, "Execute Disable is enabled")


class PteTable(FsTableEntry, width=64, ref="SDM 4.5.4"):
    """A page table entry that points to a table; as in the first stage, but EA is ignored."""


class Pte4K(FsPage4K, width=64, ref="SDM 4.5.4"):
    """PTE: a page of 4 KiB; bits 62:59 are the protection key with CR4.PKE."""


class Pte2M(FsPage2M, width=64, ref="SDM 4.5.4"):
    """PDE with PS: a page of 2 MiB."""


class Pte1G(FsPage1G, width=64, ref="SDM 4.5.4"):
    """PDPTE with PS: a page of 1 GiB."""


class PageFaultError(Word, width=32, ref="SDM 4.7"):
    """The error code of a page fault."""

    P = bit(0, "a protection violation; 0: an entry is not present")
    W = bit(1, "the access was a write")
    U = bit(2, "the access was a user's")
    RSVD_BIT = bit(3, "an entry has reserved bits set")
    I = bit(4, "the access was an instruction fetch")  # noqa: E741  the mnemonic is I/D
    PK = bit(5, "a protection key violation")


class Eptp(Word, width=64, ref="SDM 25.6.11"):
    """EPT pointer."""

    MT = bits(2, 0, "Memory Type of the tables: 0 UC, 6 WB", enum=MemoryType)
    PWL = bits(5, 3, "Page-Walk Length, minus 1: 3 is 4 levels")
    AD = bit(6, "accessed and dirty flags are set")
    SSS = bit(7, "supervisor shadow-stack pages are enforced")
    ADDR = bits(51, 12, "the root table, 4 KiB aligned")


class EptEntry(Word, width=64, ref="SDM 29.3.2"):
    """What all EPT entries have in common; one without R, W and X is not present."""

    R = bit(0, "Read")
    W = bit(1, "Write")
    X = bit(2, "Execute; with mode-based execute control, for supervisor-mode addresses")
    A = bit(8, "Accessed, with EPTP.AD; else ignored")
    XU = bit(10, "Execute for User-mode addresses, with mode-based execute control; else ignored")
    IGN_11 = bit(11, "ignored")


class EptTableEntry(EptEntry, width=64, ref="SDM 29.3.2"):
    """An EPT entry that points to a table."""

    PS = bit(7, "Page Size: 0, the entry points to a table; reserved at levels 5 and 4")
    IGN_9 = bit(9, "ignored")
    ADDR = bits(51, 12, "the table, 4 KiB aligned")
    IGN_62_52 = bits(62, 52, "ignored")
    IGN_63 = bit(63, "ignored")


class EptPageEntry(EptEntry, width=64, ref="SDM 29.3.2"):
    """What all EPT entries of pages have in common."""

    MT = bits(5, 3, "Memory Type; 2, 3 and 7 are misconfigurations", enum=MemoryType)
    IPAT = bit(6, "Ignore PAT")
    D = bit(9, "Dirty, with EPTP.AD; else ignored")
    IGN_56_52 = bits(56, 52, "ignored")
    VGP = bit(57, "Verify Guest Paging, where supported; else ignored")
    PWR = bit(58, "Paging-Write access, where supported; else ignored")
    IGN_59 = bit(59, "ignored")
    SSS = bit(60, "Supervisor Shadow Stack, with EPTP.SSS; else ignored")
    SPP = bit(61, "Sub-Page write Permissions, where supported; else ignored")
    IGN_62 = bit(62, "ignored")
    SVE = bit(63, "Suppress #VE, where supported; else ignored")


class EptPage4K(EptPageEntry, width=64, ref="SDM 29.3.2"):
    """EPT PTE: a page of 4 KiB."""

    IGN_7 = bit(7, "ignored")
    ADDR = bits(51, 12, "the page")


class EptPage2M(EptPageEntry, width=64, ref="SDM 29.3.2"):
    """EPT PDE with PS: a page of 2 MiB."""

    PS = bit(7, "Page Size: 1, the entry is of a page")
    ADDR = bits(51, 21, "the page")


class EptPage1G(EptPageEntry, width=64, ref="SDM 29.3.2"):
    """EPT PDPTE with PS: a page of 1 GiB."""

    PS = bit(7, "Page Size: 1, the entry is of a page")
    ADDR = bits(51, 30, "the page")


class EptViolation(Word, width=64, ref="SDM 28.2.1"):
    """Exit qualification of an EPT violation."""

    READ = bit(0, "the access was a data read; with EPTP.AD, walks of guest tables are writes too")
    WRITE = bit(1, "the access was a data write")
    FETCH = bit(2, "the access was an instruction fetch")
    R = bit(3, "all EPT entries used gave Read")
    W = bit(4, "all EPT entries used gave Write")
    X = bit(5, "all EPT entries used gave Execute")
    XU = bit(6, "all EPT entries used gave Execute for User-mode addresses")
    GLA_VALID = bit(7, "the guest-linear address is valid")
    TRANSLATED = bit(8, "the access was to the translation; 0: to a guest's paging entry")
    USER = bit(9, "the guest-linear address is a user-mode address")
    WRITABLE = bit(10, "the guest-linear address is writable in the guest's tables")
    XD = bit(11, "the guest-linear address is execute-disabled in the guest's tables")
    NMI_UNBLOCKING = bit(12, "NMI unblocking due to IRET")


class InveptDescriptor(Word, width=128, ref="SDM 31.3 INVEPT"):
    """Operand of INVEPT."""

    EPTP = bits(63, 0, "EPT pointer")


class InvvpidDescriptor(Word, width=128, ref="SDM 31.3 INVVPID"):
    """Operand of INVVPID."""

    VPID = bits(15, 0, "Virtual-Processor Identifier")
    GLA = bits(127, 64, "guest-linear address")


class InvpcidDescriptor(Word, width=128, ref="SDM 2 INVPCID"):
    """Operand of INVPCID."""

    PCID = bits(11, 0, "Process-Context Identifier")
    LA = bits(127, 64, "linear address")


class PmlIndex(Word, width=16, ref="SDM 29.3.6"):
    """The PML index of the VMCS: the next entry, counting down; above 511 the log is full."""

    INDEX = bits(15, 0, "index of the next entry", reset=511)


class PmlEntry(Word, width=64, ref="SDM 29.3.6"):
    """What is logged when a dirty flag goes from 0 to 1."""

    GPA = bits(63, 12, "guest-physical address, 4 KiB aligned")


class PmlLog(RegisterBlock, size=4096, ref="SDM 29.3.6"):
    """The page-modification log: 512 entries."""

    ENTRY = place(PmlEntry, at=0, count=512)


PML_ENTRIES = PmlLog.spans["ENTRY"].count
PML_FIRST_INDEX = PmlIndex.initial().INDEX
