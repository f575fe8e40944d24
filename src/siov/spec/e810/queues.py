"""Registers of the queues: control queues to firmware and mailbox, receive and transmit queues."""

from siov.spec.e810.counts import BAR0_SIZE, PAGE, RX_QUEUES, TX_QUEUES, VSIS
from siov.spec.word import RO, RW, RWS, WO, RegisterBlock, Word, bit, bits, place

REF = "E810 ice_hw_autogen.h"


class QueueBaseLow(Word, width=32, ref=REF):
    """Where a control queue's descriptors are, low half."""

    ADDR = bits(31, 6, "address bits 31:6", RW)


class QueueBaseHigh(Word, width=32, ref=REF):
    """Where a control queue's descriptors are, high half."""

    ADDR = bits(31, 0, "address bits 63:32", RW)


class QueueLength(Word, width=32, ref=REF):
    """How many descriptors a control queue has, and its state."""

    LEN = bits(9, 0, "descriptors", RW)
    VFE = bit(28, "an error of a virtual function; software clears it", RW)
    OVFL = bit(29, "a message found no free descriptor; software clears it", RW)
    CRIT = bit(30, "a critical error; software clears it", RW)
    ENABLE = bit(31, "the queue is enabled", RW)


class QueueHead(Word, width=32, ref=REF):
    """What a control queue's consumer takes next; hardware moves it, software clears it."""

    HEAD = bits(9, 0, "index of a descriptor", RW)


class QueueTail(Word, width=32, ref=REF):
    """What a control queue's software fills next; a write starts the queue."""

    TAIL = bits(9, 0, "index of a descriptor", RW)


class VsiMailbox(RegisterBlock, size=0x28, ref=REF):
    """A VSI's side of the mailbox: the first bytes of its page."""

    class ATQBAL(QueueBaseLow, width=32, at=0x00, ref=REF):
        """Transmit queue: base, low half."""

    class ATQBAH(QueueBaseHigh, width=32, at=0x04, ref=REF):
        """Transmit queue: base, high half."""

    class ATQLEN(QueueLength, width=32, at=0x08, ref=REF):
        """Transmit queue: length; a function's reset clears it."""

    class ATQH(QueueHead, width=32, at=0x0C, ref=REF):
        """Transmit queue: head."""

    class ATQT(QueueTail, width=32, at=0x10, ref=REF):
        """Transmit queue: tail."""

    class ARQBAL(QueueBaseLow, width=32, at=0x14, ref=REF):
        """Receive queue: base, low half."""

    class ARQBAH(QueueBaseHigh, width=32, at=0x18, ref=REF):
        """Receive queue: base, high half."""

    class ARQLEN(QueueLength, width=32, at=0x1C, ref=REF):
        """Receive queue: length; a function's reset clears it."""

    class ARQH(QueueHead, width=32, at=0x20, ref=REF):
        """Receive queue: head."""

    class ARQT(QueueTail, width=32, at=0x24, ref=REF):
        """Receive queue: tail."""


class Queues(RegisterBlock, size=BAR0_SIZE, ref=REF):
    """Control queues, receive queues and transmit queues."""

    class PF_FW_ATQBAL(QueueBaseLow, width=32, at=0x00080000, ref=REF):
        """Admin transmit queue (driver to firmware): base, low half."""

    class PF_FW_ARQBAL(QueueBaseLow, width=32, at=0x00080080, ref=REF):
        """Admin receive queue (firmware to driver): base, low half."""

    class PF_FW_ATQBAH(QueueBaseHigh, width=32, at=0x00080100, ref=REF):
        """Admin transmit queue: base, high half."""

    class PF_FW_ARQBAH(QueueBaseHigh, width=32, at=0x00080180, ref=REF):
        """Admin receive queue: base, high half."""

    class PF_FW_ATQLEN(QueueLength, width=32, at=0x00080200, ref=REF):
        """Admin transmit queue: length."""

    class PF_FW_ARQLEN(QueueLength, width=32, at=0x00080280, ref=REF):
        """Admin receive queue: length."""

    class PF_FW_ATQH(QueueHead, width=32, at=0x00080300, ref=REF):
        """Admin transmit queue: head."""

    class PF_FW_ARQH(QueueHead, width=32, at=0x00080380, ref=REF):
        """Admin receive queue: head."""

    class PF_FW_ATQT(QueueTail, width=32, at=0x00080400, ref=REF):
        """Admin transmit queue: tail."""

    class PF_FW_ARQT(QueueTail, width=32, at=0x00080480, ref=REF):
        """Admin receive queue: tail."""

    class PF_MBX_ATQBAL(QueueBaseLow, width=32, at=0x0022E100, ref=REF):
        """Mailbox transmit queue (function to VSI): base, low half."""

    class PF_MBX_ATQBAH(QueueBaseHigh, width=32, at=0x0022E180, ref=REF):
        """Mailbox transmit queue: base, high half."""

    class PF_MBX_ATQLEN(QueueLength, width=32, at=0x0022E200, ref=REF):
        """Mailbox transmit queue: length."""

    class PF_MBX_ATQH(QueueHead, width=32, at=0x0022E280, ref=REF):
        """Mailbox transmit queue: head."""

    class PF_MBX_ATQT(QueueTail, width=32, at=0x0022E300, ref=REF):
        """Mailbox transmit queue: tail."""

    class PF_MBX_ARQBAL(QueueBaseLow, width=32, at=0x0022E380, ref=REF):
        """Mailbox receive queue (VSI to function): base, low half."""

    class PF_MBX_ARQBAH(QueueBaseHigh, width=32, at=0x0022E400, ref=REF):
        """Mailbox receive queue: base, high half."""

    class PF_MBX_ARQLEN(QueueLength, width=32, at=0x0022E480, ref=REF):
        """Mailbox receive queue: length."""

    class PF_MBX_ARQH(QueueHead, width=32, at=0x0022E500, ref=REF):
        """Mailbox receive queue: head."""

    class PF_MBX_ARQT(QueueTail, width=32, at=0x0022E580, ref=REF):
        """Mailbox receive queue: tail."""

    class GL_MBX_PASID(Word, width=32, at=0x00231EC0, ref=REF):
        """Whether a VSI's mailbox is reached through its PASID."""

        PASID_MODE = bit(0, "mailbox DMA carries the VSI's PASID", RWS)
        PASID_MODE_VALID = bit(1, "PASID_MODE counts", RWS)

    VSI_MBX = place(VsiMailbox, at=0x02000000, count=VSIS, stride=PAGE)

    class QTX_COMM_HEAD(Word, width=32, at=0x000E0000, count=TX_QUEUES, ref=REF):
        """How far a transmit queue has come."""

        HEAD = bits(12, 0, "index of the descriptor fetched next", RO)
        RS_PENDING = bit(16, "a report of status is outstanding", RO)

    class QRX_CTRL(Word, width=32, at=0x00120000, count=RX_QUEUES, ref=REF):
        """Enables a receive queue; a function's reset clears it."""

        QENA_REQ = bit(0, "software wants it enabled", RW)
        FAST_QDIS = bit(1, "disable without draining", RW)
        QENA_STAT = bit(2, "it is enabled", RO)
        CDE = bit(3, "drop instead of wait when no descriptor is free", RW)
        CDS = bit(4, "it dropped for that", RO)

    class PFLAN_RX_QALLOC(Word, width=32, at=0x001D2500, ref=REF):
        """The function's receive queues."""

        FIRSTQ = bits(10, 0, "first queue", RO)
        LASTQ = bits(26, 16, "last queue", RO, reset=RX_QUEUES - 1)
        VALID = bit(31, "the numbers count", RO, reset=1)

    class PFLAN_TX_QALLOC(Word, width=32, at=0x001D2580, ref=REF):
        """The function's transmit queues."""

        FIRSTQ = bits(13, 0, "first queue", RO)
        LASTQ = bits(29, 16, "last queue", RO, reset=TX_QUEUES - 1)
        VALID = bit(31, "the numbers count", RO, reset=1)

    class QRX_CONTEXT(Word, width=32, at=0x00280000, count=8 * RX_QUEUES, ref=REF):
        """RxQueueContext of a receive queue: 32-bit word i of queue q is element i * 2048 + q."""

        RXQ_CONTEXT = bits(31, 0, "32 bits of the context", RW)

    class QRX_TAIL(Word, width=32, at=0x00290000, count=RX_QUEUES, ref=REF):
        """Tail of a receive queue: descriptors up to here are hardware's."""

        TAIL = bits(12, 0, "index of a descriptor; hardware takes no account of the low three bits", RW)

    class QRX_ITR(Word, width=32, at=0x00292000, count=RX_QUEUES, ref=REF):
        """How a receive queue takes part in interrupt throttling."""

        NO_EXPR = bit(0, "write descriptors back without waiting for a timer", RW)

    class GLLAN_RCTL_0(Word, width=32, at=0x002941F8, ref=REF):
        """Receive control of the device."""

        PXE_MODE = bit(0, "as boot code left it: 16-byte descriptors, one queue", RWS, reset=1)

    class QTX_COMM_DBELL(Word, width=32, at=0x002C0000, count=TX_QUEUES, ref=REF):
        """Doorbell of a transmit queue: its new tail."""

        TAIL = bits(12, 0, "index behind the last valid descriptor", RW)

    class GLCOMM_QTX_CNTX_DATA(Word, width=32, at=0x002D2D40, count=10, ref=REF):
        """Context of the transmit queue that GLCOMM_QTX_CNTX_CTL names."""

        DATA = bits(31, 0, "32 bits of the context", RW)

    class GLCOMM_QTX_CNTX_CTL(Word, width=32, at=0x002D2DC8, ref=REF):
        """Reads or writes the context of a transmit queue."""

        QUEUE_ID = bits(13, 0, "transmit queue", RW)
        CMD = bits(18, 16, "0 read, 1 write, 3 reset, 4 write without state", RW)
        CMD_EXEC = bit(19, "do it; hardware clears it", WO)

    class QRXFLXP_CNTXT(Word, width=32, at=0x00480000, count=RX_QUEUES, ref=REF):
        """Which form a receive queue's write-back has."""

        RXDID_IDX = bits(5, 0, "profile of the descriptor (see RXDID)", RW)
        RXDID_PRIO = bits(10, 8, "its priority over what a flow's profile asks for; 3 forces it", RW)
        TS = bit(11, "put a timestamp into the descriptor", RW)
