"""Registers of the flow director, and of what a malicious driver was caught at."""

from siov.spec.e810.counts import BAR0_SIZE, VFS, VSIS
from siov.spec.word import RO, RW, RW1CS, RegisterBlock, Word, bit, bits

REF = "E810 ice_hw_autogen.h"


class FilterCount(Word, width=32, ref=REF):
    """Flow director filters, of the device or a function."""

    GUARANTEED = bits(14, 0, "out of guaranteed space", RO)
    BEST_EFFORT = bits(30, 16, "out of shared space", RO)


class VsiFilterCount(Word, width=32, ref=REF):
    """Flow director filters of a VSI."""

    GUARANTEED = bits(13, 0, "out of guaranteed space", RO)
    BEST_EFFORT = bits(29, 16, "out of shared space", RO)


class MaliciousReceive(Word, width=32, ref=REF):
    """A malicious driver's queue; software writes all ones to clear it."""

    QNUM = bits(14, 0, "queue", RW1CS)
    VF_NUM = bits(22, 15, "virtual function", RW1CS)
    PF_NUM = bits(25, 23, "physical function", RW1CS)
    MAL_TYPE = bits(30, 26, "what it was caught at", RW1CS)
    VALID = bit(31, "there was one", RW1CS)


class Malicious(Word, width=32, ref=REF):
    """Whether a function or VSI was caught; software writes all ones to clear it."""

    VALID = bit(0, "it was", RW1CS)


class Flow(RegisterBlock, size=BAR0_SIZE, ref=REF):
    """The flow director, and malicious drivers."""

    class VP_MDET_TX_TDPU(Malicious, width=32, at=0x00040000, count=VFS, ref=REF):
        """A virtual function was caught in the transmit data path."""

    class PF_MDET_TX_TDPU(Malicious, width=32, at=0x00040800, ref=REF):
        """The function was caught in the transmit data path."""

    class GL_MDET_TX_TDPU(MaliciousReceive, width=32, at=0x00049350, ref=REF):
        """Who was caught in the transmit data path."""

    class VP_MDET_TX_TCLAN(Malicious, width=32, at=0x000FB800, count=VFS, ref=REF):
        """A virtual function was caught at its transmit descriptors."""

    class PF_MDET_TX_TCLAN(Malicious, width=32, at=0x000FC000, ref=REF):
        """The function was caught at its transmit descriptors."""

    class GL_MDET_TX_TCLAN(MaliciousReceive, width=32, at=0x000FC068, ref=REF):
        """Who was caught at transmit descriptors."""

    class PF_MDET_RX(Malicious, width=32, at=0x00294280, ref=REF):
        """The function was caught at its receive queues."""

    class VP_MDET_RX(Malicious, width=32, at=0x00294400, count=VFS, ref=REF):
        """A virtual function was caught at its receive queues."""

    class GL_MDET_RX(MaliciousReceive, width=32, at=0x00294C00, ref=REF):
        """Who was caught at receive queues."""

    class VP_MDET_TX_PQM(Malicious, width=32, at=0x002D2000, count=VFS, ref=REF):
        """A virtual function was caught at its doorbells."""

    class PF_MDET_TX_PQM(Malicious, width=32, at=0x002D2C80, ref=REF):
        """The function was caught at its doorbells."""

    class GL_MDET_TX_PQM(Word, width=32, at=0x002D2E00, ref=REF):
        """Who was caught at doorbells; software writes all ones to clear it."""

        PF_NUM = bits(2, 0, "physical function", RW1CS)
        VF_NUM = bits(11, 4, "virtual function", RW1CS)
        QNUM = bits(25, 12, "queue", RW1CS)
        MAL_TYPE = bits(30, 26, "what it was caught at", RW1CS)
        VALID = bit(31, "there was one", RW1CS)

    class PFQF_FD_ENA(Word, width=32, at=0x0043A000, ref=REF):
        """Enables the function's flow director."""

        FD_ENA = bit(0, "it is enabled", RW)

    class GLQF_FD_SIZE(FilterCount, width=32, at=0x00460010, ref=REF):
        """How many flow director filters the device has room for."""

    class GLQF_FD_CNT(FilterCount, width=32, at=0x00460018, ref=REF):
        """How many flow director filters the device holds."""

    class PFQF_FD_SIZE(FilterCount, width=32, at=0x00460100, ref=REF):
        """How many flow director filters the function may have."""

    class PFQF_FD_CNT(FilterCount, width=32, at=0x00460180, ref=REF):
        """How many flow director filters the function has."""

    class VSIQF_FD_SIZE(VsiFilterCount, width=32, at=0x00462000, count=VSIS, ref=REF):
        """How many flow director filters a VSI may have."""

    class VSIQF_FD_CNT(VsiFilterCount, width=32, at=0x00464000, count=VSIS, ref=REF):
        """How many flow director filters a VSI has."""
