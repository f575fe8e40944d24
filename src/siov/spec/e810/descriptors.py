"""Descriptors of transmit and receive queues and of the flow director, 64 bits at a time.

Qword n of a form is its bytes 8n to 8n + 7.
"""

from enum import IntEnum
from typing import Annotated

from siov.spec.word import Word, bit, bits

REF = "E810 ice_lan_tx_rx.h"

TX_DESC_BYTES: Annotated[int, "Bytes of a transmit descriptor"] = 16
RX_DESC_BYTES: Annotated[int, "Bytes of a receive descriptor"] = 32
TXD_MAX_BUFFERS: Annotated[int, "Data descriptors of a packet, or of a segment of one"] = 8
TXD_MIN_MSS: Annotated[int, "Least payload of a segment, in bytes"] = 64
TXD_MAX_MSS: Annotated[int, "Greatest payload of a segment, in bytes"] = 9668
RXQ_MAX_BUFFERS: Annotated[int, "Receive buffers that a packet may be spread over"] = 5
MAX_FRAME: Annotated[int, "Greatest frame, in bytes with its CRC"] = 9728


class DTYPE(IntEnum):
    """Type of a transmit descriptor."""

    DATA = 0x0
    CTX = 0x1
    FLTR_PROG = 0x8
    FLEX_DATA = 0xB
    FLEX_TSO_CTX = 0xC
    FLEX_CTX = 0xD
    DESC_DONE = 0xF


class IIPT(IntEnum):
    """What the (inner) network header of a packet is."""

    NONIP = 0
    IPV6 = 1
    IPV4 = 2
    IPV4_CSUM = 3


class L4T(IntEnum):
    """What the (inner) transport header of a packet is; its checksum is made unless UNK."""

    UNK = 0
    TCP = 1
    SCTP = 2
    UDP = 3


class EIPT(IntEnum):
    """What the outer network header of a tunnelled packet is."""

    NONE = 0
    IPV6 = 1
    IPV4_NO_CSUM = 2
    IPV4 = 3


class L4TUNT(IntEnum):
    """What a packet is tunnelled in."""

    NONE = 0
    UDP = 1
    GRE = 2


class SWTCH(IntEnum):
    """Where a packet goes instead of where the switch's rules send it."""

    NOTAG = 0
    UPLINK = 1
    LOCAL = 2
    VSI = 3


class RXDID(IntEnum):
    """Profile of a receive descriptor's write-back."""

    LEGACY_0 = 0
    LEGACY_1 = 1
    FLEX_NIC = 2
    FLEX_NIC_2 = 6
    HW = 7
    COMMS_GENERIC = 16
    COMMS_AUX_VLAN = 17
    COMMS_AUX_IPV4 = 18
    COMMS_AUX_IPV6 = 19
    COMMS_AUX_IPV6_FLOW = 20
    COMMS_AUX_TCP = 21
    COMMS_OVS_1 = 22
    COMMS_OVS_2 = 23
    COMMS_IPSEC = 24
    COMMS_AUX_IP_OFFSET = 25


class FLTSTAT(IntEnum):
    """What the hash field of a legacy write-back holds."""

    NO_DATA = 0
    FD_ID = 1
    RSS_HASH = 3


class UMBCAST(IntEnum):
    """What a packet's destination address is."""

    UNICAST = 0
    MULTICAST = 1
    BROADCAST = 2
    MIRRORED = 3


class TxDataQw0(Word, width=64, ref=REF):
    """Transmit data descriptor, qword 0."""

    ADDR = bits(63, 0, "address of the buffer")


class TxDataQw1(Word, width=64, ref=REF):
    """Transmit data descriptor, qword 1."""

    DTYPE = bits(3, 0, "type", enum=DTYPE)
    EOP = bit(4, "End Of Packet")
    RS = bit(5, "Report Status: write the descriptor back when the packet is done")
    ICRC = bit(6, "Insert CRC; hardware always does")
    IL2TAG1 = bit(7, "Insert L2TAG1")
    DUMMY = bit(8, "the packet isn't sent")
    IIPT = bits(10, 9, "network header", enum=IIPT)
    L4T = bits(13, 12, "transport header", enum=L4T)
    RE = bit(14, "Report Event")
    MACLEN = bits(
        22, 16, "bytes before the (inner) network header, in 2 bytes; with a tunnel, of the inner frame"
    )
    IPLEN = bits(29, 23, "length of the network header, in 4 bytes")
    L4LEN = bits(33, 30, "length of the transport header, in 4 bytes")
    TX_BUF_SZ = bits(47, 34, "bytes in the buffer")
    L2TAG1 = bits(63, 48, "tag to insert")


class TxCtxQw0(Word, width=64, ref=REF):
    """Transmit context descriptor, qword 0: tunnel and second tag."""

    EIPT = bits(1, 0, "outer network header", enum=EIPT)
    EIPLEN = bits(8, 2, "length of the outer network header, in 4 bytes")
    L4TUNT = bits(10, 9, "tunnel", enum=L4TUNT)
    EIP_NOINC = bit(11, "segments keep the outer IPv4 identification")
    NATLEN = bits(18, 12, "bytes from the outer network header to the inner frame, in 2 bytes")
    DECTTL = bits(22, 19, "how much the inner time to live goes down")
    L4T_CS = bit(23, "make the outer UDP checksum")
    L2TAG2 = bits(47, 32, "tag to insert")
    GCS_START = bits(55, 48, "generic checksum: where it starts, in 2 bytes")
    GCS_OFFSET = bits(59, 56, "generic checksum: where it goes, in 2 bytes")
    GCS_TYPE = bits(62, 60, "generic checksum: type")


class TxCtxQw1(Word, width=64, ref=REF):
    """Transmit context descriptor, qword 1: segmentation and switching."""

    DTYPE = bits(3, 0, "type", enum=DTYPE)
    TSO = bit(4, "cut the packet into segments")
    TSYN = bit(5, "take a timestamp; TSO_LEN is then its index")
    IL2TAG2 = bit(6, "Insert L2TAG2")
    IL2TAG2_IL2H = bit(7, "L2TAG2 goes into the inner frame")
    SWTCH = bits(9, 8, "override of the switch", enum=SWTCH)
    SWPE = bit(10, "switch of the protocol engine")
    IPSEC = bits(17, 11, "security association")
    TSO_LEN = bits(47, 30, "bytes of payload, without headers")
    MSS = bits(63, 50, "bytes of payload in a segment; with SWTCH VSI, bits 9:0 are the VSI")


class TxDoneQw1(Word, width=64, ref=REF):
    """Transmit descriptor as hardware writes it back, qword 1; the rest is zero."""

    DTYPE = bits(3, 0, "type: DESC_DONE", enum=DTYPE)


class CompReport(IntEnum):
    """When a filter-program descriptor's result is reported in a receive queue."""

    NONE = 0
    SW_FAIL = 1
    SW = 2


class FdSpace(IntEnum):
    """Which space a flow director filter takes."""

    GUAR = 0
    BEST_EFFORT = 1
    GUAR_BEST = 2
    BEST_GUAR = 3


class StatEna(IntEnum):
    """What a flow director filter's counter counts."""

    NONE = 0
    PKTS = 1
    BYTES = 2
    PKTS_BYTES = 3


class PCMD(IntEnum):
    """What a filter-program descriptor does."""

    ADD = 0
    REMOVE = 1


class FltrProgQw0(Word, width=64, ref=REF):
    """Filter-program descriptor, qword 0; the data descriptor behind it holds a packet to match."""

    QINDEX = bits(10, 0, "receive queue, or first of a region")
    COMP_Q = bit(11, "the result goes to queue QINDEX instead of queue 0")
    COMP_REPORT = bits(13, 12, "when the result is reported", enum=CompReport)
    FD_SPACE = bits(15, 14, "space", enum=FdSpace)
    STAT_CNT = bits(28, 16, "counter")
    STAT_ENA = bits(30, 29, "what it counts", enum=StatEna)
    EVICT_ENA = bit(31, "the filter goes away when its connection ends")
    TO_Q = bits(34, 32, "0 is queue QINDEX, n a region of 2^n queues from there")
    TO_Q_PRI = bits(37, 35, "priority of the queue over other rules'; 0 means no queue")
    DPU_RECIPE = bits(39, 38, "recipe of the data path")
    DROP = bit(40, "the packet is dropped")
    FLEX_PRI = bits(43, 41, "priority of FLEX_VAL")
    FLEX_MDID = bits(47, 44, "metadata that FLEX_VAL goes to")
    FLEX_VAL = bits(63, 48, "value")


class FltrProgQw1(Word, width=64, ref=REF):
    """Filter-program descriptor, qword 1."""

    DTYPE = bits(3, 0, "type: FLTR_PROG", enum=DTYPE)
    PCMD = bit(4, "0 adds, 1 removes")
    PROF_PRI = bits(7, 5, "priority of PROF")
    PROF = bits(13, 8, "write-back profile that the packet asks for (see RXDID)")
    FD_VSI = bits(23, 14, "VSI")
    SWAP = bit(24, "source and destination are swapped in the packet")
    FDID_PRI = bits(27, 25, "priority of FDID; 0 reports none")
    FDID_MDID = bits(31, 28, "metadata that FDID goes to: 5")
    FDID = bits(63, 32, "filter id, reported with each packet that matches")


class FltrWbQw0(Word, width=64, ref=REF):
    """Result of a filter-program descriptor as written back, qword 0."""

    BUKT_LEN = bits(31, 28, "how many filters share its bucket")
    FLTR_STAT = bits(63, 32, "status")


class FltrWbQw1(Word, width=64, ref=REF):
    """Result of a filter-program descriptor as written back, qword 1."""

    DD = bit(0, "Descriptor Done")
    PROG_ID = bits(2, 1, "what was done", enum=PCMD)
    FAIL = bit(4, "there was no room to add it, or none to remove")
    FAIL_PROF = bit(5, "the packet has no profile")
    FLT_ADDR = bits(21, 8, "where the filter is")
    PKT_PROF = bits(34, 28, "profile of the packet")
    BUKT_HASH = bits(63, 38, "hash of its bucket")
