"""Transaction layer packets: the double words of their headers (PCI Express Base Specification, chapter 2).

Bits are numbered as in a 32-bit number whose highest byte is the first on the wire.
"""

from enum import IntEnum

from siov.spec.word import Word, bit, bits


class TlpType(IntEnum):
    """Fmt and Type together, as they stand in bits 31:24 of the first double word."""

    MRd32 = 0x00
    MRd64 = 0x20
    MWr32 = 0x40
    MWr64 = 0x60
    CfgRd0 = 0x04
    CfgWr0 = 0x44
    CfgRd1 = 0x05
    CfgWr1 = 0x45
    Msg = 0x30
    Cpl = 0x0A
    CplD = 0x4A


class CompletionStatus(IntEnum):
    """How a non-posted request ended."""

    SC = 0  # Successful Completion
    UR = 1  # Unsupported Request
    CRS = 2  # Configuration Request Retry Status
    CA = 4  # Completer Abort


class MessageCode(IntEnum):
    """Messages that report errors."""

    ERR_COR = 0x30
    ERR_NONFATAL = 0x31
    ERR_FATAL = 0x33


class TlpFirst(Word, width=32, ref="PCIe 2.2.1"):
    """First double word of every header."""

    LENGTH = bits(9, 0, "data length in double words, 0 means 1,024")
    ATTR = bits(13, 12, "relaxed ordering, no snoop")
    EP = bit(14, "poisoned data")
    TD = bit(15, "a digest follows")
    TC = bits(22, 20, "traffic class")
    TYPE = bits(31, 24, "format and type", enum=TlpType)


class TlpRequester(Word, width=32, ref="PCIe 2.2.7"):
    """Second double word of a memory or configuration request."""

    FIRST_BE = bits(3, 0, "byte enables of the first double word")
    LAST_BE = bits(7, 4, "byte enables of the last double word, 0 if there is one only")
    TAG = bits(15, 8, "tag")
    RID = bits(31, 16, "Requester ID")


class TlpConfigTarget(Word, width=32, ref="PCIe 2.2.7.1"):
    """Third double word of a configuration request."""

    REGISTER = bits(11, 2, "offset in double words")
    BDF = bits(31, 16, "bus, device and function asked")


class TlpMessage(Word, width=32, ref="PCIe 2.2.8"):
    """Second double word of a message."""

    CODE = bits(7, 0, "message code", enum=MessageCode)
    TAG = bits(15, 8, "tag")
    RID = bits(31, 16, "Requester ID")


class TlpCompleter(Word, width=32, ref="PCIe 2.2.9"):
    """Second double word of a completion."""

    BYTE_COUNT = bits(11, 0, "bytes still to come, this packet's included; 0 means 4,096")
    BCM = bit(12, "set by PCI-X completers only")
    STATUS = bits(15, 13, "completion status", enum=CompletionStatus)
    CID = bits(31, 16, "Completer ID")


class TlpCompletionRequester(Word, width=32, ref="PCIe 2.2.9"):
    """Third double word of a completion."""

    LOWER_ADDRESS = bits(6, 0, "address bits 6:0 of the first byte")
    TAG = bits(15, 8, "tag of the request")
    RID = bits(31, 16, "Requester ID")
