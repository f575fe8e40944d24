"""Interrupt remapping and posting: table entries and posted-interrupt descriptors."""

from enum import IntEnum

from siov.spec.word import Word, bit, bits


class DLM(IntEnum):
    """Delivery Mode."""

    FIXED = 0
    LOWEST_PRIORITY = 1
    SMI = 2
    NMI = 4
    INIT = 5
    EXTINT = 7


class SVT(IntEnum):
    """Source Validation Type."""

    NONE = 0
    SID_SQ = 1
    BUS_RANGE = 2


class SQ(IntEnum):
    """Source-id Qualifier: which bits of the function number do not count."""

    ALL = 0
    IGNORE_BIT_2 = 1
    IGNORE_BITS_2_1 = 2
    IGNORE_BITS_2_0 = 3


class IrteEntry(Word, width=128, ref="VT-d 9.10"):
    """What the two kinds of interrupt remapping table entries have in common."""

    P = bit(0, "Present")
    FPD = bit(1, "Fault Processing Disable")
    AVAIL = bits(11, 8, "for software")
    IM = bit(15, "IRTE Mode: 1 is posted")
    V = bits(23, 16, "Vector: the host's, or with IM the guest's")
    SID = bits(79, 64, "Source Identifier; BUS_RANGE: first bus above, last bus below")
    SQ = bits(81, 80, "Source-id Qualifier", enum=SQ)
    SVT = bits(83, 82, "Source Validation Type", enum=SVT)


class Irte(IrteEntry, width=128, ref="VT-d 9.10"):
    """Interrupt remapping table entry of a remapped interrupt (IM = 0)."""

    DM = bit(2, "Destination Mode: 1 is logical")
    RH = bit(3, "Redirection Hint")
    TM = bit(4, "Trigger Mode: 1 is level")
    DLM = bits(7, 5, "Delivery Mode", enum=DLM)
    DST = bits(63, 32, "Destination ID; without EIME its bits 15:8, the others reserved")


class PostedIrte(IrteEntry, width=128, ref="VT-d 9.11"):
    """Interrupt remapping table entry of a posted interrupt (IM = 1)."""

    URG = bit(14, "Urgent: notify even with SN")
    PDAL = bits(63, 38, "Posted Descriptor Address bits 31:6")
    PDAH = bits(127, 96, "Posted Descriptor Address bits 63:32")


class PostedInterruptDescriptor(Word, width=512, ref="VT-d 9.12"):
    """Where interrupts of a virtual CPU are posted, 64-byte aligned."""

    PIR_0 = bits(63, 0, "Posted Interrupt Requests: vectors 63:0")
    PIR_1 = bits(127, 64, "Posted Interrupt Requests: vectors 127:64")
    PIR_2 = bits(191, 128, "Posted Interrupt Requests: vectors 191:128")
    PIR_3 = bits(255, 192, "Posted Interrupt Requests: vectors 255:192")
    ON = bit(256, "Outstanding Notification: one is on its way")
    SN = bit(257, "Suppress Notification of what is not urgent")
    NV = bits(279, 272, "Notification Vector")
    NDST = bits(319, 288, "Notification Destination; without EIME its bits 15:8")
