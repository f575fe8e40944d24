"""BAR 0 and BAR 3 of the adapter, and the pages in which BAR 0 shows some of its registers again."""

from siov.spec.e810.control import Control
from siov.spec.e810.counts import BAR0_SIZE, BAR3_SIZE, PAGE, RX_QUEUES, TX_QUEUES, VECTORS
from siov.spec.e810.flow import Flow
from siov.spec.e810.interrupts import Interrupts, Vector
from siov.spec.e810.queues import Queues
from siov.spec.e810.statistics import Statistics
from siov.spec.pcie.capability import MsixEntry
from siov.spec.word import RO, RegisterBlock, Word, bits, place

REF = "E810 ice_hw_autogen.h"


class Bar0(Control, Queues, Interrupts, Statistics, Flow, size=BAR0_SIZE, ref=REF):
    """BAR 0: each register once. What Pages shows is another sight of these; the last half is ours."""


class Pages(RegisterBlock, size=BAR0_SIZE, ref=REF):
    """Registers of BAR 0 shown again, each queue's or vector's in a page of its own.

    INT of vector v is GLINT_DYN_CTL(v) and GLINT_ITR(0..2, v). A VSI's mailbox and the vectors of interrupt
    message storage are in Bar0 itself, for they are nowhere else.
    """

    INT = place(Vector, at=0x03000000, count=VECTORS, stride=PAGE)

    class QRX_TAIL_PAGE(Queues.QRX_TAIL, width=32, at=0x03800000, count=RX_QUEUES, stride=PAGE, ref=REF):
        """QRX_TAIL of a receive queue."""

    class QTX_COMM_DBELL_PAGE(
        Queues.QTX_COMM_DBELL, width=32, at=0x04000000, count=TX_QUEUES, stride=PAGE, ref=REF
    ):
        """QTX_COMM_DBELL of a transmit queue."""


class Bar3(RegisterBlock, size=BAR3_SIZE, ref="PCIe 7.7.2"):
    """BAR 3: the MSI-X table and its pending bits."""

    MSIX = place(MsixEntry, at=0x0000, count=VECTORS)

    class PBA(Word, width=64, at=0x8000, count=VECTORS // 64, ref="PCIe 7.7.2.7"):
        """Pending bits of 64 vectors."""

        PENDING = bits(63, 0, "one bit for each vector, lowest first", RO)
