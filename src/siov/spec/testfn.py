"""The test function: a small device that exercises the way in from a guest.

It is nobody's hardware. BAR0 is 64 KiB: an identity, a scratch register, a doorbell that raises an
interrupt, a copy engine that moves guest memory by DMA, and the MSI-X structures.
"""

from siov.spec.pcie.capability import MsixEntry
from siov.spec.word import RO, RW, RW1C, WO, RegisterBlock, Word, bit, bits, place

VENDOR_ID = 0x1234
DEVICE_ID = 0x510F
VECTORS = 16


class Bar0(RegisterBlock, size=0x10000, ref="siov test function"):
    """The registers that a guest sees in BAR0."""

    class ID(Word, width=32, at=0x00, ref="siov test function"):
        """Tells that this is the function: the letters SIOV, little endian."""

        MAGIC = bits(31, 0, "identity", RO, reset=int.from_bytes(b"SIOV", "little"))

    class SCRATCH(Word, width=32, at=0x04, ref="siov test function"):
        """Keeps what is written."""

        VALUE = bits(31, 0, "anything", RW)

    class DOORBELL(Word, width=32, at=0x08, ref="siov test function"):
        """A write raises a vector; one that does not exist is counted and raises none."""

        VECTOR = bits(31, 0, "the vector to raise", WO)

    class DOORBELL_COUNT(Word, width=32, at=0x0C, ref="siov test function"):
        """Doorbells since the reset, wrapping around."""

        COUNT = bits(31, 0, "doorbells", RO)

    class COPY_SRC(Word, width=64, at=0x10, ref="siov test function"):
        """Where the copy reads."""

        ADDR = bits(63, 0, "guest address, any alignment", RW)

    class COPY_DST(Word, width=64, at=0x18, ref="siov test function"):
        """Where the copy writes."""

        ADDR = bits(63, 0, "guest address, any alignment", RW)

    class COPY_LEN(Word, width=32, at=0x20, ref="siov test function"):
        """How much is copied."""

        BYTES = bits(31, 0, "length in bytes", RW)

    class COPY_CTL(Word, width=32, at=0x24, ref="siov test function"):
        """Starts a copy, which runs until COPY_STATUS.BUSY is clear; a start while busy is ignored."""

        START = bit(0, "begin", WO)
        IE = bit(1, "raise VECTOR at the end", RW)
        VECTOR = bits(15, 8, "the vector to raise", RW)

    class COPY_STATUS(Word, width=32, at=0x28, ref="siov test function"):
        """How the copy went."""

        BUSY = bit(0, "a copy is under way", RO)
        DONE = bit(1, "a copy ended well", RW1C)
        ERROR = bit(2, "a copy ended at COPY_FAULT; what lies behind was not copied", RW1C)

    class COPY_FAULT(Word, width=64, at=0x30, ref="siov test function"):
        """The first address that could not be read or written, valid with COPY_STATUS.ERROR."""

        ADDR = bits(63, 0, "guest address", RO)

    MSIX_TABLE = place(MsixEntry, at=0x1000, count=VECTORS)

    class MSIX_PBA(Word, width=64, at=0x2000, ref="PCIe 7.7.2.8"):
        """Pending bits of the vectors."""

        PENDING = bits(63, 0, "bit n: vector n waits for its mask to go", RO)
