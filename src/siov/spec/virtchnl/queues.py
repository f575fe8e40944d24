"""Queues and vectors: configure, map, enable, disable, count."""

from enum import IntEnum
from typing import Annotated

from siov.spec.message import Message, nested, octets, s32, u8, u16, u32, u64

QUEUES_IN_BITMAP: Annotated[int, "Queue pairs that the bitmaps of the first form can name."] = 16


class TxqInfo(Message, size=24, ref="virtchnl.h, virtchnl_txq_info"):
    """A transmit queue's ring (CONFIG_TX_QUEUE, and half of QueuePairInfo)."""

    vsi_id = u16(0, "the VSI")
    queue_id = u16(2, "the queue, relative to the VSI")
    ring_len = u16(4, "descriptors")
    headwb_enabled = u16(6, "head write-back; must be 0")
    dma_ring_addr = u64(8, "address of the ring")
    dma_headwb_addr = u64(16, "address of the head write-back")


class RxqInfo(Message, size=40, ref="virtchnl.h, virtchnl_rxq_info"):
    """A receive queue's ring (CONFIG_RX_QUEUE, and half of QueuePairInfo)."""

    vsi_id = u16(0, "the VSI")
    queue_id = u16(2, "the queue, relative to the VSI")
    ring_len = u32(4, "descriptors")
    hdr_size = u16(8, "bytes of a header buffer")
    splithdr_enabled = u16(10, "header split")
    databuffer_size = u32(12, "bytes of a buffer")
    max_pkt_size = u32(16, "bytes of the longest frame")
    crc_disable = u8(20, "1: the frame's CRC stays on it")
    rxdid = u8(21, "the descriptor's format; 0: the default one")
    flags = u8(22, "bit 0: time stamps")
    pad1 = u8(23, "padding")
    dma_ring_addr = u64(24, "address of the ring")
    rx_split_pos = s32(32, "where a header is split")
    pad2 = u32(36, "padding")


class QueuePairInfo(Message, size=64, ref="virtchnl.h, virtchnl_queue_pair_info"):
    """The two queues of a pair."""

    txq = nested(TxqInfo, 0, "the transmit queue")
    rxq = nested(RxqInfo, 24, "the receive queue")


class VsiQueueConfigInfo(Message, size=8, ref="virtchnl.h, virtchnl_vsi_queue_config_info"):
    """CONFIG_VSI_QUEUES: followed by `num_queue_pairs` of QueuePairInfo, and one spare."""

    vsi_id = u16(0, "the VSI")
    num_queue_pairs = u16(2, "queue pairs that follow")
    pad = u32(4, "padding")


class VectorMap(Message, size=12, ref="virtchnl.h, virtchnl_vector_map"):
    """The queues of one vector."""

    vsi_id = u16(0, "the VSI")
    vector_id = u16(2, "the vector, relative to the VF; 0 is that of the mailbox")
    rxq_map = u16(4, "bit n: receive queue n")
    txq_map = u16(6, "bit n: transmit queue n")
    rxitr_idx = u16(8, "throttling interval of the receive queues: 0 … 2; 3: none")
    txitr_idx = u16(10, "throttling interval of the transmit queues")


class IrqMapInfo(Message, size=2, ref="virtchnl.h, virtchnl_irq_map_info"):
    """CONFIG_IRQ_MAP: followed by `num_vectors` of VectorMap, and one spare."""

    num_vectors = u16(0, "vectors that follow")


class QueueSelect(Message, size=12, ref="virtchnl.h, virtchnl_queue_select"):
    """ENABLE_QUEUES, DISABLE_QUEUES, GET_STATS: queues of a VSI."""

    vsi_id = u16(0, "the VSI")
    pad = u16(2, "padding; drivers leave what was there")
    rx_queues = u32(4, "bit n: receive queue n")
    tx_queues = u32(8, "bit n: transmit queue n")


class EthStats(Message, size=96, ref="virtchnl.h, virtchnl_eth_stats"):
    """GET_STATS, reply: the VSI's counters, in packets unless they say bytes."""

    rx_bytes = u64(0, "bytes received")
    rx_unicast = u64(8, "unicast packets received")
    rx_multicast = u64(16, "multicast packets received")
    rx_broadcast = u64(24, "broadcast packets received")
    rx_discards = u64(32, "packets for which there was no room")
    rx_unknown_protocol = u64(40, "packets of unknown protocol")
    tx_bytes = u64(48, "bytes sent")
    tx_unicast = u64(56, "unicast packets sent")
    tx_multicast = u64(64, "multicast packets sent")
    tx_broadcast = u64(72, "broadcast packets sent")
    tx_discards = u64(80, "packets to send that were dropped")
    tx_errors = u64(88, "packets that could not be sent")


class QueueType(IntEnum):
    """The direction of a queue, in the second form of the queue messages."""

    TX = 0
    RX = 1


class ItrIdx(IntEnum):
    """Which throttling interval a queue's interrupts obey."""

    ITR_0 = 0
    ITR_1 = 1
    NO_ITR = 3


class QueueChunk(Message, size=8, ref="virtchnl.h, virtchnl_queue_chunk"):
    """Queues in a row."""

    type = s32(0, "direction", QueueType)
    start_queue_id = u16(4, "the first queue")
    num_queues = u16(6, "how many")


class DelEnaDisQueues(Message, size=8, ref="virtchnl.h, virtchnl_del_ena_dis_queues"):
    """ENABLE_QUEUES_V2, DISABLE_QUEUES_V2: followed by `num_chunks` of QueueChunk."""

    vport_id = u16(0, "the VSI")
    pad = u16(2, "padding")
    num_chunks = u16(4, "chunks that follow")
    rsvd = u16(6, "reserved")


class QueueVector(Message, size=16, ref="virtchnl.h, virtchnl_queue_vector"):
    """The vector of one queue."""

    queue_id = u16(0, "the queue, relative to the VSI")
    vector_id = u16(2, "the vector, relative to the VF")
    pad = octets(4, 4, "padding")
    itr_idx = s32(8, "throttling interval", ItrIdx)
    queue_type = s32(12, "direction", QueueType)


class QueueVectorMaps(Message, size=8, ref="virtchnl.h, virtchnl_queue_vector_maps"):
    """MAP_QUEUE_VECTOR: followed by `num_qv_maps` of QueueVector."""

    vport_id = u16(0, "the VSI")
    num_qv_maps = u16(2, "queues that follow")
    pad = octets(4, 4, "padding")
