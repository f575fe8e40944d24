"""Interrupt messages of x86: what a device writes, and where, to raise an interrupt."""

from siov.spec.word import RW, Word, bit, bits

BASE, SIZE = 0xFEE0_0000, 0x10_0000  # a write of a device in this range is an interrupt message


class MsiAddress(Word, width=32, ref="Intel SDM 3A 11.11.1"):
    """Where a message is written, in compatibility format: which CPU gets the interrupt."""

    DM = bit(2, "Destination Mode: 0 physical", RW)
    RH = bit(3, "Redirection Hint", RW)
    INTR_FMT = bit(4, "Interrupt Format: 0", RW)
    DEST = bits(19, 12, "Destination ID: the CPU", RW)
    PREFIX = bits(31, 20, "0FEEh", RW)


class MsiData(Word, width=32, ref="Intel SDM 3A 11.11.2"):
    """What is written: which vector."""

    VECTOR = bits(7, 0, "vector", RW)
    DM = bits(10, 8, "Delivery Mode: 0 fixed", RW)


class RemappableAddress(Word, width=32, ref="VT-d 5.1.2.2"):
    """Where a message is written, in remappable format: which entry of the interrupt remapping table."""

    HANDLE_15 = bit(2, "Handle bit 15", RW)
    SHV = bit(3, "Subhandle Valid: interrupt_index is the handle plus the subhandle", RW)
    INTR_FMT = bit(4, "Interrupt Format: 1", RW)
    HANDLE = bits(19, 5, "Handle bits 14:0", RW)
    PREFIX = bits(31, 20, "0FEEh", RW)


class RemappableData(Word, width=32, ref="VT-d 5.1.2.2"):
    """What is written, in remappable format."""

    SUBHANDLE = bits(15, 0, "Subhandle, with SHV", RW)
