"""BAR 0 of a virtual device, as a guest's driver sees it, and what its configuration space says.

There are two personalities. 8086:0DD5 is the S-IOV device of Intel's out-of-tree ice driver (siov_regs.h):
a page for each queue, vector and mailbox, that can be mapped into a guest, and a few registers of the
adaptive virtual function. 8086:1889 is the adaptive virtual function itself (iavf_register.h).
"""

from enum import IntEnum
from typing import Annotated

from siov.spec.e810.counts import PAGE
from siov.spec.e810.interrupts import DynamicControl, ThrottlingTimer, Vector
from siov.spec.e810.queues import (
    QueueBaseHigh,
    QueueBaseLow,
    QueueHead,
    QueueLength,
    QueueTail,
    VsiMailbox,
)
from siov.spec.word import RO, RW, WO, RegisterBlock, Word, bit, bits, place

REF = "iavf iavf_register.h"
PAGES = "ice siov_regs.h"

VENDOR: Annotated[int, "Vendor id of both personalities"] = 0x8086
SIOV_DEVICE: Annotated[int, "Device id with the page-split BAR 0"] = 0x0DD5
AVF_DEVICE: Annotated[int, "Device id of the adaptive virtual function"] = 0x1889
CLASS: Annotated[int, "Class code: Ethernet controller"] = 0x020000

SIOV_BAR0: Annotated[int, "Bytes of the page-split BAR 0"] = 64 << 20
AVF_BAR0: Annotated[int, "Bytes of the adaptive virtual function's BAR 0"] = 64 << 10
MSIX_BAR: Annotated[int, "The BAR with the MSI-X table and its pending bits"] = 3
MSIX_BAR_SIZE: Annotated[int, "Bytes of that BAR"] = 16 << 10
MSIX_TABLE: Annotated[int, "Offset of the MSI-X table in its BAR"] = 0x0000
MSIX_PBA: Annotated[int, "Offset of the pending bits in the same BAR"] = 0x2000
MSIX_CAPABILITY: Annotated[int, "Offset of the MSI-X capability"] = 0x40
EXPRESS_CAPABILITY: Annotated[int, "Offset of the PCI Express capability"] = 0x50

DEAD: Annotated[int, "What a read gives where nothing answers"] = 0xDEADBEEF
QUEUES: Annotated[int, "Tails in a row, of queues that a virtual device may have or not"] = 256
QUEUE_VECTORS: Annotated[int, "Control registers in a row, of vectors behind the mailbox's"] = 64
TIMED_VECTORS: Annotated[int, "Vectors behind the mailbox's that have timers in VFINT_ITRN1"] = 16
SPLIT_PAGES: Annotated[int, "Pages in a row for each kind of queue, and for vectors"] = 2048


class ResetState(IntEnum):
    """How far a reset of the virtual device is."""

    INPROGRESS = 0
    COMPLETED = 1
    VFACTIVE = 2


class Trapped(RegisterBlock, size=AVF_BAR0, ref=REF):
    """Registers that both personalities have; none of them is in a page of its own."""

    class QTX_TAIL1(Word, width=32, at=0x0000, count=QUEUES, ref=REF):
        """Tail of a transmit queue."""

        TAIL = bits(12, 0, "index behind the last valid descriptor", WO)

    class QRX_TAIL1(Word, width=32, at=0x2000, count=QUEUES, ref=REF):
        """Tail of a receive queue."""

        TAIL = bits(12, 0, "index of a descriptor", WO)

    class VFINT_DYN_CTLN1(DynamicControl, width=32, at=0x3800, count=QUEUE_VECTORS, ref=REF):
        """Control of vector n + 1."""

    class VFINT_ITR01(ThrottlingTimer, width=32, at=0x4C00, count=3, ref=REF):
        """The timers of vector 0."""

    class VFINT_DYN_CTL01(DynamicControl, width=32, at=0x5C00, ref=REF):
        """Control of vector 0, the mailbox's."""

    class VF_ARQBAH1(QueueBaseHigh, width=32, at=0x6000, ref=REF):
        """Mailbox receive queue: base, high half."""

    class VF_ATQH1(QueueHead, width=32, at=0x6400, ref=REF):
        """Mailbox transmit queue: head."""

    class VF_ATQLEN1(QueueLength, width=32, at=0x6800, ref=REF):
        """Mailbox transmit queue: length; a reset clears it."""

    class VF_ARQBAL1(QueueBaseLow, width=32, at=0x6C00, ref=REF):
        """Mailbox receive queue: base, low half."""

    class VF_ARQT1(QueueTail, width=32, at=0x7000, ref=REF):
        """Mailbox receive queue: tail."""

    class VF_ARQH1(QueueHead, width=32, at=0x7400, ref=REF):
        """Mailbox receive queue: head."""

    class VF_ATQBAH1(QueueBaseHigh, width=32, at=0x7800, ref=REF):
        """Mailbox transmit queue: base, high half."""

    class VF_ATQBAL1(QueueBaseLow, width=32, at=0x7C00, ref=REF):
        """Mailbox transmit queue: base, low half."""

    class VF_ARQLEN1(QueueLength, width=32, at=0x8000, ref=REF):
        """Mailbox receive queue: length; a reset clears it, which is how a driver sees one."""

    class VF_ATQT1(QueueTail, width=32, at=0x8400, ref=REF):
        """Mailbox transmit queue: tail."""

    class VFGEN_RSTAT(Word, width=32, at=0x8800, ref=REF):
        """How far a reset is; also read to have the writes before it arrive."""

        VFR_STATE = bits(1, 0, "0 while it lasts, 1 done, 2 active", RO, enum=ResetState)


class VdevBar0(Trapped, size=SIOV_BAR0, ref=PAGES):
    """BAR 0 of 8086:0DD5: what is trapped, then the pages that are the adapter's own."""

    VDEV_MBX = place(VsiMailbox, at=0x0002_0000)

    class VDEV_QRX_TAIL(Word, width=32, at=0x0010_0000, count=SPLIT_PAGES, stride=PAGE, ref=PAGES):
        """Tail of a receive queue, a page each."""

        TAIL = bits(12, 0, "index of a descriptor", RW)

    class VDEV_QTX_TAIL(Word, width=32, at=0x0110_0000, count=SPLIT_PAGES, stride=PAGE, ref=PAGES):
        """Doorbell of a transmit queue, a page each."""

        TAIL = bits(12, 0, "index behind the last valid descriptor", RW)

    VDEV_INT_CTL01 = place(Vector, at=0x0210_0000)
    VDEV_INT_CTL = place(Vector, at=0x0210_1000, count=SPLIT_PAGES, stride=PAGE)


class AvfBar0(Trapped, size=AVF_BAR0, ref=REF):
    """BAR 0 of 8086:1889, all of it trapped."""

    class VFINT_ITRN1(ThrottlingTimer, width=32, at=0x2800, count=3 * TIMED_VECTORS, ref=REF):
        """Timer i of vector v + 1 is element 16 i + v."""

    class VFINT_ICR01(Word, width=32, at=0x4800, ref=REF):
        """Causes of vector 0: reading clears them."""

        INTEVENT = bit(0, "some enabled cause is there", RO)
        QUEUE_0 = bit(1, "a queue", RO)
        LINK_STAT_CHANGE = bit(25, "the link went up or down", RO)
        ADMINQ = bit(30, "the mailbox has a message", RO)
        SWINT = bit(31, "by software", RO)

    class VFINT_ICR0_ENA1(Word, width=32, at=0x5000, ref=REF):
        """Which causes fire vector 0."""

        LINK_STAT_CHANGE = bit(25, "the link went up or down", RW)
        ADMINQ = bit(30, "the mailbox has a message", RW)
        RSVD_31 = bit(31, "has a name and no effect", RW)

    class VFINT_STAT_CTL01(Word, width=32, at=0x5400, ref=REF):
        """How vector 0's causes are throttled; drivers leave it alone."""

        OTHER_ITR_INDX = bits(3, 2, "timer of the other causes", RW)

    class VFQF_HENA(Word, width=32, at=0xC400, count=2, ref=REF):
        """Which packet types are hashed: 64 bits, low half first."""

        PTYPE_ENA = bits(31, 0, "one bit for each packet classifier type", RW)

    class VFQF_HKEY(Word, width=32, at=0xCC00, count=13, ref=REF):
        """The hash key: 52 bytes."""

        KEY = bits(31, 0, "four bytes, lowest first", RW)

    class VFQF_HLUT(Word, width=32, at=0xD000, count=16, ref=REF):
        """The table of queues that a hash chooses from: 64 entries."""

        LUT0 = bits(3, 0, "queue of entry 4 n", RW)
        LUT1 = bits(11, 8, "queue of entry 4 n + 1", RW)
        LUT2 = bits(19, 16, "queue of entry 4 n + 2", RW)
        LUT3 = bits(27, 24, "queue of entry 4 n + 3", RW)
