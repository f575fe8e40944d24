"""Registers of interrupts: causes, vectors, moderation, and interrupt message storage.

Vectors 0 to 2,047 are those of the MSI-X table; vector 2,048 + s is slot s of interrupt message storage.
"""

from siov.spec.e810.counts import BAR0_SIZE, IMS_SLOTS, ITRS, PAGE, RX_QUEUES, TX_QUEUES, VECTORS, VSIS
from siov.spec.word import RO, RW, WO, RegisterBlock, Word, bit, bits, place

REF = "E810 ice_hw_autogen.h"
OURS = "siov, no public specification"


class DynamicControl(Word, width=32, ref=REF):
    """Control of a vector."""

    INTENA = bit(0, "the vector may fire; hardware clears it when it has", RW)
    CLEARPBA = bit(1, "clear the pending bit", WO)
    SWINT_TRIG = bit(2, "fire by software", WO)
    ITR_INDX = bits(4, 3, "which timer INTERVAL sets; 3 is none", WO)
    INTERVAL = bits(16, 5, "new interval of that timer, in 2 µs", WO)
    SW_ITR_INDX_ENA = bit(24, "SW_ITR_INDX counts", WO)
    SW_ITR_INDX = bits(26, 25, "timer that throttles the interrupt by software; 3 is none", RW)
    WB_ON_ITR = bit(30, "write descriptors back when a timer runs out, without an interrupt", RW)
    INTENA_MSK = bit(31, "this write leaves INTENA as it is", WO)


class ThrottlingTimer(Word, width=32, ref=REF):
    """Interrupt throttling: the least time between two interrupts of a cause."""

    INTERVAL = bits(11, 0, "interval in 2 µs; 0 does not throttle", RW)


class RateLimit(Word, width=32, ref=REF):
    """Interrupt rate limit of a vector, over all its causes."""

    INTERVAL = bits(5, 0, "least time between two interrupts, in 4 µs", RW)
    INTRL_ENA = bit(6, "INTERVAL counts", RW)


class CauseControl(Word, width=32, ref=REF):
    """Which vector a cause fires."""

    MSIX_INDX = bits(10, 0, "vector in the MSI-X table", RW)
    ITR_INDX = bits(12, 11, "timer that throttles it; 3 is none", RW)
    CAUSE_ENA = bit(30, "the cause is enabled", RW)
    INTEVENT = bit(31, "the cause is there", RO)


class WideCauseControl(CauseControl, width=32, ref=OURS):
    """Which vector a cause fires, in the MSI-X table or in interrupt message storage."""

    IMS_SLOT = bits(26, 13, "slot of interrupt message storage", RW)
    IMS = bit(29, "IMS_SLOT counts instead of MSIX_INDX", RW)


class Vector(RegisterBlock, size=0x10, ref=REF):
    """What a vector's page shows."""

    class DYN_CTL(DynamicControl, width=32, at=0x0, ref=REF):
        """Control."""

    class ITR0(ThrottlingTimer, width=32, at=0x4, ref=REF):
        """Timer 0."""

    class ITR1(ThrottlingTimer, width=32, at=0x8, ref=REF):
        """Timer 1."""

    class ITR2(ThrottlingTimer, width=32, at=0xC, ref=REF):
        """Timer 2."""


class ImsSlot(RegisterBlock, size=0x10, ref=OURS):
    """A slot of interrupt message storage: where its message goes."""

    class ADDRESS_LO(Word, width=32, at=0x0, ref=OURS):
        """Where the message is written, low half; 4-byte aligned."""

        ADDR = bits(31, 2, "address bits 31:2", RW)

    class ADDRESS_HI(Word, width=32, at=0x4, ref=OURS):
        """Where the message is written, high half."""

        ADDR = bits(31, 0, "address bits 63:32", RW)

    class DATA(Word, width=32, at=0x8, ref=OURS):
        """What is written."""

        DATA = bits(31, 0, "message data", RW)

    class CONTROL(Word, width=32, at=0xC, ref=OURS):
        """Mask and pending bit."""

        MASK = bit(0, "the message is held back and stays pending", RW, reset=1)
        PENDING = bit(1, "a message is held back", RO)


class Interrupts(RegisterBlock, size=BAR0_SIZE, ref=REF):
    """Interrupt causes, vectors and interrupt message storage."""

    class QINT_TQCTL(WideCauseControl, width=32, at=0x00140000, count=TX_QUEUES, ref=REF):
        """Interrupt cause of a transmit queue; IMS and IMS_SLOT are ours."""

    class QINT_RQCTL(WideCauseControl, width=32, at=0x00150000, count=RX_QUEUES, ref=REF):
        """Interrupt cause of a receive queue; IMS and IMS_SLOT are ours."""

    class GLINT_ITR(ThrottlingTimer, width=32, at=0x00154000, count=ITRS * VECTORS, ref=REF):
        """Interrupt throttling: timer i of vector v is element i * 2048 + v."""

    class GLINT_RATE(RateLimit, width=32, at=0x0015A000, count=VECTORS, ref=REF):
        """Interrupt rate limit of a vector."""

    class GLINT_CEQCTL(CauseControl, width=32, at=0x0015C000, count=VECTORS, ref=REF):
        """Interrupt cause of a completion event queue of the protocol engine."""

    class GLINT_DYN_CTL(DynamicControl, width=32, at=0x00160000, count=VECTORS, ref=REF):
        """Control of a vector."""

    class GLINT_VECT2FUNC(Word, width=32, at=0x00162000, count=VECTORS, ref=REF):
        """Which function a vector belongs to."""

        VF_NUM = bits(7, 0, "virtual function, without IS_PF", RW)
        PF_NUM = bits(14, 12, "physical function", RW)
        IS_PF = bit(16, "it is the physical function's own", RW)

    class VPINT_MBX_CTL(WideCauseControl, width=32, at=0x0016A000, count=VSIS, ref=REF):
        """Interrupt cause of a VSI's mailbox; IMS and IMS_SLOT are ours."""

    class PFINT_MBX_CTL(CauseControl, width=32, at=0x0016B280, ref=REF):
        """Interrupt cause of the function's mailbox."""

    class PFINT_SB_CTL(CauseControl, width=32, at=0x0016B600, ref=REF):
        """Interrupt cause of the function's sideband queue."""

    class PFINT_FW_CTL(CauseControl, width=32, at=0x0016C800, ref=REF):
        """Interrupt cause of the function's admin queue."""

    class PFINT_OICR_ENA(Word, width=32, at=0x0016C900, ref=REF):
        """Which other causes fire; the bits are those of PFINT_OICR."""

        INT_ENA = bits(31, 1, "one bit for each cause", RW)

    class PFINT_OICR(Word, width=32, at=0x0016CA00, ref=REF):
        """Other interrupt causes: reading clears them, writing 1 sets them."""

        INTEVENT = bit(0, "some enabled cause is there", RO)
        QUEUE = bit(1, "a queue", RO)
        TSYN_TX = bit(11, "a timestamp of a sent packet", RO)
        TSYN_EVNT = bit(12, "a time event", RO)
        TSYN_TGT = bit(13, "a time was reached", RO)
        HLP_RDY = bit(14, "the switch processor is ready", RO)
        CPM_RDY = bit(15, "the crypto processor is ready", RO)
        ECC_ERR = bit(16, "a memory error", RO)
        MAL_DETECT = bit(19, "a malicious driver was detected", RO)
        GRST = bit(20, "a reset of the device is coming", RO)
        PCI_EXCEPTION = bit(21, "an error on PCI Express", RO)
        GPIO = bit(22, "a pin", RO)
        STORM_DETECT = bit(24, "a storm of broadcasts", RO)
        LINK_STAT_CHANGE = bit(25, "the link went up or down", RO)
        HMC_ERR = bit(26, "an error of the protocol engine's memory", RO)
        PE_PUSH = bit(27, "the protocol engine's push", RO)
        PE_CRITERR = bit(28, "a critical error of the protocol engine", RO)
        VFLR = bit(29, "a virtual function had a function-level reset", RO)
        XLR_HW_DONE = bit(30, "hardware is done with a reset", RO)
        SWINT = bit(31, "by software", RO)

    class PFINT_OICR_CTL(CauseControl, width=32, at=0x0016CA80, ref=REF):
        """Interrupt cause of PFINT_OICR."""

    class GLINT_CTL(Word, width=32, at=0x0016CC54, ref=REF):
        """Interrupts of the whole device."""

        DIS_AUTOMASK = bit(0, "INTENA stays when a vector fires", RW)
        ITR_GRAN_200 = bits(19, 16, "unit of timers at 200 Gbit/s, in µs", RW, reset=2)
        ITR_GRAN_100 = bits(23, 20, "unit of timers at 100 Gbit/s, in µs", RW, reset=2)
        ITR_GRAN_50 = bits(27, 24, "unit of timers at 50 Gbit/s, in µs", RW, reset=2)
        ITR_GRAN_25 = bits(31, 28, "unit of timers at 25 Gbit/s, in µs", RW, reset=4)

    class PFINT_ALLOC(Word, width=32, at=0x001D2600, ref=REF):
        """The function's vectors."""

        FIRST = bits(10, 0, "first vector", RO)
        LAST = bits(22, 12, "last vector", RO, reset=VECTORS - 1)
        VALID = bit(31, "the numbers count", RO, reset=1)

    IMS_INT = place(Vector, at=0x08000000, count=IMS_SLOTS, stride=PAGE)
    IMS = place(ImsSlot, at=0x0C000000, count=IMS_SLOTS)

    class IMS_RATE(RateLimit, width=32, at=0x0C100000, count=IMS_SLOTS, ref=OURS):
        """Interrupt rate limit of a slot's vector."""
