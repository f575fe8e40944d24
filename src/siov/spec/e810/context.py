"""Contexts of receive and transmit queues."""

from enum import IntEnum
from typing import Annotated

from siov.spec.word import Word, bit, bits

RX_CONTEXT_BYTES: Annotated[int, "Bytes of a receive queue's context"] = 32
TX_CONTEXT_BYTES: Annotated[int, "Bytes of a transmit queue's context in the command that adds it"] = 22


class VmvfType(IntEnum):
    """Whom a transmit queue belongs to."""

    VF = 0
    VMQ = 1
    PF = 2


class RxQueueContext(Word, width=256, ref="E810 ice_common.c ice_rlan_ctx_info"):
    """Context of a receive queue, as eight QRX_CONTEXT registers hold it."""

    HEAD = bits(12, 0, "index of the descriptor used next")
    CPUID = bits(20, 13, "CPU, for processing hints")
    BASE_LO = bits(63, 32, "where the descriptors are, in 128 bytes: bits 31:0")
    BASE_HI = bits(88, 64, "where the descriptors are, in 128 bytes: bits 56:32")
    QLEN = bits(101, 89, "descriptors")
    DBUF = bits(108, 102, "size of a packet buffer, in 128 bytes")
    HBUF = bits(113, 109, "size of a header buffer, in 64 bytes")
    DTYPE = bits(115, 114, "0 without header split")
    DSIZE = bit(116, "descriptors of 32 bytes")
    CRCSTRIP = bit(117, "the CRC is stripped")
    L2TSEL = bit(119, "a tag taken out goes to L2TAG1; 0: to L2TAG2_2ND")
    HSPLIT_0 = bits(123, 120, "header split: at L2, IP, TCP or UDP, SCTP")
    HSPLIT_1 = bits(125, 124, "header split: at L2, or always")
    SHOWIV = bit(127, "a tag stays in the packet too")
    RXMAX = bits(187, 174, "greatest packet, in bytes")
    TPHRDESC_ENA = bit(193, "processing hints: descriptor reads")
    TPHWDESC_ENA = bit(194, "processing hints: descriptor writes")
    TPHDATA_ENA = bit(195, "processing hints: data")
    TPHHEAD_ENA = bit(196, "processing hints: headers")
    LRXQTHRESH = bits(200, 198, "low threshold of descriptors, in 64")
    PREFENA = bit(201, "descriptors are fetched ahead")


class TxQueueContext(Word, width=192, ref="E810 ice_common.c ice_tlan_ctx_info"):
    """Context of a transmit queue; the command that adds a queue carries its first 22 bytes."""

    BASE = bits(56, 0, "where the descriptors are, in 128 bytes")
    PORT_NUM = bits(59, 57, "port")
    CGD_NUM_LO = bits(63, 60, "congestion domain, bits 3:0")
    CGD_NUM_HI = bit(64, "congestion domain, bit 4")
    PF_NUM = bits(67, 65, "physical function")
    VMVF_NUM = bits(77, 68, "virtual function, or VSI of a VMQ")
    VMVF_TYPE = bits(79, 78, "whom the queue belongs to", enum=VmvfType)
    SRC_VSI = bits(89, 80, "VSI")
    TSYN_ENA = bit(90, "packets may ask for timestamps")
    INTERNAL_USAGE_FLAG = bit(91, "hardware's own")
    ALT_VLAN = bit(92, "the tag is inserted as the second kind")
    CPUID = bits(100, 93, "CPU, for processing hints")
    WB_MODE = bit(101, "write the head back instead of descriptors")
    TPHRD_DESC = bit(102, "processing hints: descriptor reads")
    TPHRD = bit(103, "processing hints: data reads")
    TPHWR_DESC = bit(104, "processing hints: descriptor writes")
    CMPQ_ID = bits(113, 105, "completion queue")
    QNUM_IN_FUNC = bits(127, 114, "number of the queue in its function")
    ITR_NOTIFICATION_MODE = bit(128, "interrupt when the timer runs out")
    ADJUST_PROF_ID = bits(134, 129, "adjustment of packet lengths")
    QLEN = bits(147, 135, "descriptors")
    QUANTA_PROF_IDX = bits(151, 148, "quanta")
    TSO_ENA = bit(152, "segmentation is allowed")
    TSO_QNUM = bits(163, 153, "state of segmentation")
    LEGACY_INT = bit(164, "descriptors are reported by write-back; 0: in a completion queue")
    DROP_ENA = bit(165, "drop when congested")
    CACHE_PROF_IDX = bits(167, 166, "descriptor cache")
    PKT_SHAPER_PROF_IDX = bits(170, 168, "packet shaper")
    INT_Q_STATE = bits(175, 171, "hardware's own: zero")
