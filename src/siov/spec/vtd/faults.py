"""Faults: the reasons, and the registers that record them."""

from enum import IntEnum
from typing import Self

from siov.spec.word import ROS, RW1CS, RegisterBlock, Word, bit, bits, place


class AddressType(IntEnum):
    """AT of a request."""

    UNTRANSLATED = 0
    TRANSLATION_REQUEST = 1
    TRANSLATED = 2


class FaultReason(IntEnum):
    """Why a request was refused: the condition's name in the specification, its code and what it is."""

    _value_: int

    def __new__(cls, code: int, doc: str) -> Self:
        """A member of this code, whose docstring says what happened."""
        reason = int.__new__(cls, code)
        reason._value_, reason.__doc__ = code, doc
        return reason

    LRT_1 = 0x08, "legacy: the root entry cannot be read"
    LRT_2 = 0x01, "legacy: the root entry is not present"
    LRT_3 = 0x0A, "legacy: the root entry has reserved bits set"
    LCT_1 = 0x09, "legacy: the context entry cannot be read"
    LCT_2 = 0x02, "legacy: the context entry is not present"
    LCT_3 = 0x0B, "legacy: the context entry has reserved bits set"
    LCT_4 = 0x03, "legacy: the context entry is invalid: its AW, TT or SSPTPTR"
    LCT_5 = 0x0D, "legacy: TT forbids translation requests and translated requests"
    LSS_1 = 0x07, "legacy: a second-stage entry cannot be read"
    LSS_2 = 0x0C, "legacy: a second-stage entry has reserved bits set"
    LGN_1 = 0x04, "legacy: the address is beyond MGAW, the width of AW or, in pass-through, HAW"
    LGN_2 = 0x05, "legacy: a write, and the page is not writable"
    LGN_3 = 0x06, "legacy: a read, and the page is not readable"
    LGN_4 = 0x0E, "legacy: the address or the translation is in the interrupt range"

    INTR_RSVD = 0x20, "a remappable request has reserved bits set"
    INTR_INDEX = 0x21, "the interrupt_index is beyond the table"
    INTR_IRTE_P = 0x22, "the IRTE is not present"
    INTR_IRTE_READ = 0x23, "the IRTE cannot be read"
    INTR_IRTE_RSVD = 0x24, "the IRTE has reserved bits set"
    INTR_COMPATIBILITY = 0x25, "a compatibility format request is blocked"
    INTR_SID = 0x26, "the source-id is not the one the IRTE asks for"
    INTR_PID_READ = 0x27, "the posted-interrupt descriptor cannot be read or written"
    INTR_PID_RSVD = 0x28, "the posted-interrupt descriptor has reserved bits set"
    INTR_REQUEST = 0x29, "an interrupt request that is not an untranslated one without PASID"

    RTA_1 = 0x30, "the root table address or TTM in RTADDR is invalid"
    RTA_2 = 0x31, "legacy mode: a request with PASID"
    RTA_3 = 0x32, "legacy mode: a page group request"
    RTA_4 = 0x33, "abort-DMA mode: the request is blocked"
    SRT_1 = 0x38, "the scalable-mode root entry cannot be read"
    SRT_2 = 0x39, "the half of the scalable-mode root entry that is needed is not present"
    SRT_3 = 0x3A, "the half of the scalable-mode root entry that is needed has reserved bits set"
    SCT_1 = 0x40, "the scalable-mode context entry cannot be read"
    SCT_2 = 0x41, "the scalable-mode context entry is not present"
    SCT_3 = 0x42, "the scalable-mode context entry has reserved bits set"
    SCT_4 = 0x43, "the scalable-mode context entry is invalid"
    SCT_5 = 0x44, "DTE is clear: no translation requests, no translated requests"
    SCT_6 = 0x45, "PASIDE is clear: no requests with PASID"
    SCT_7 = 0x46, "the PASID is beyond the directory that PDTS tells"
    SCT_8 = 0x47, "PRE is clear: no page requests"
    SCT_9 = 0x48, "RID_PASID is beyond the directory that PDTS tells"
    SPD_1 = 0x50, "the PASID directory entry cannot be read"
    SPD_2 = 0x51, "the PASID directory entry is not present"
    SPD_3 = 0x52, "the PASID directory entry has reserved bits set"
    SPT_1 = 0x58, "the PASID table entry cannot be read"
    SPT_2 = 0x59, "the PASID table entry is not present"
    SPT_3 = 0x5A, "the PASID table entry has reserved bits set"
    SPT_4 = 0x5B, "the PASID table entry is invalid: its PGTT, AW, FSPM, ... are not supported"
    SPT_5 = 0x5C, "ERE is clear: no requests for execute permission"
    SPT_6 = 0x5D, "SRE is clear: no requests with supervisor privilege"
    SFS_1 = 0x70, "a first-stage entry cannot be read"
    SFS_2 = 0x71, "a first-stage entry is not present"
    SFS_3 = 0x72, "a first-stage entry has reserved bits set"
    SFS_4 = 0x73, "the first-stage table that FSPTPTR points to cannot be read"
    SFS_5 = 0x74, "nested: the address of a first-stage entry is beyond the second stage's width"
    SFS_6 = 0x75, "nested: the page of the first-stage root table is not readable in the second stage"
    SFS_7 = 0x76, "nested: the page of a first-stage entry is not readable in the second stage"
    SFS_8 = 0x77, "nested: the page of a first-stage entry is not writable, and A or D must be set"
    SFS_9 = 0x90, "A or D of a first-stage entry must be set, and walks do not snoop"
    SFS_10 = 0x91, "setting A or D of a first-stage entry failed"
    SSS_1 = 0x78, "a second-stage entry cannot be read"
    SSS_2 = 0x79, "a second-stage entry gives neither read nor write"
    SSS_3 = 0x7A, "a second-stage entry has reserved bits set"
    SSS_4 = 0x7B, "the second-stage table that SSPTPTR points to cannot be read"
    SSS_5 = 0x7C, "A or D of a second-stage entry must be set, and walks do not snoop"
    SSS_6 = 0x7D, "setting A or D of a second-stage entry failed"
    SGN_1 = 0x80, "first stage: the address is not canonical"
    SGN_2 = 0x81, "first stage: a user request to a supervisor page"
    SGN_3 = 0x82, "a request for execute permission, and the page is not executable"
    SGN_4 = 0x83, "the address is beyond MGAW, the width of AW or, in pass-through, HAW"
    SGN_5 = 0x84, "nested: the first stage's output is beyond the second stage's width"
    SGN_6 = 0x85, "a write or AtomicOp, and the page is not writable"
    SGN_7 = 0x86, "a read or AtomicOp, and the page is not readable"
    SGN_8 = 0x87, "the address or the translation is in the interrupt range"
    SGN_9 = 0x88, "a kind of request that scalable mode does not take"
    SGN_10 = 0x89, "a translated request that the host permission table does not allow"

    @property
    def is_interrupt(self) -> bool:
        """Whether it is about an interrupt request, so that FRCD.FI holds an interrupt_index."""
        return 0x20 <= self <= 0x2F

    @property
    def is_qualified(self) -> bool:
        """Whether FPD of an entry on the way keeps it from being recorded."""
        return self.name.split("_")[0] not in ("LRT", "RTA", "SRT") and self not in UNQUALIFIED


# Besides the faults of root tables and RTADDR: no entry that has FPD was read.
UNQUALIFIED = (
    FaultReason.LCT_1,
    FaultReason.SCT_1,
    FaultReason.SPD_1,
    FaultReason.SPT_1,
    FaultReason.INTR_RSVD,
    FaultReason.INTR_INDEX,
    FaultReason.INTR_IRTE_READ,
    FaultReason.INTR_COMPATIBILITY,
    FaultReason.INTR_REQUEST,
)


class FaultRecordLo(Word, width=64, ref="VT-d 11.4.7.6"):
    """Where a fault happened: the lower half of a fault recording register."""

    FI = bits(63, 12, "Fault Info: page of the address; bits 63:48 the interrupt_index", ROS)


class FaultRecordHi(Word, width=64, ref="VT-d 11.4.7.6"):
    """Who asked for what, and why it was refused: the upper half of a fault recording register."""

    SID = bits(15, 0, "Source Identifier: the requester id", ROS)
    T2 = bit(28, "Type bit 2: with T1, 0 write, 1 page request, 2 read, 3 AtomicOp", ROS)
    PRIV = bit(29, "Privilege Mode Requested", ROS)
    EXE = bit(30, "Execute Permission Requested", ROS)
    PP = bit(31, "PASID Present", ROS)
    FR = bits(39, 32, "Fault Reason", ROS, enum=FaultReason)
    PV = bits(59, 40, "PASID Value, valid with PP", ROS)
    AT = bits(61, 60, "Address Type of the request", ROS, enum=AddressType)
    T1 = bit(62, "Type bit 1: 0 write or page request, 1 read or AtomicOp", ROS)
    F = bit(63, "Fault: the record is in use", RW1CS)


class FaultRecording(RegisterBlock, size=16, ref="VT-d 11.4.7.6"):
    """One fault recording register (FRCD); a row of them lies at CAP.FRO."""

    LO = place(FaultRecordLo, at=0)
    HI = place(FaultRecordHi, at=8)
