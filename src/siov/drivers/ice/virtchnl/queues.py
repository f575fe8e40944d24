"""Queues and vectors (ice_vc_cfg_qs_msg, ice_vc_cfg_irq_map_msg, ice_vc_ena_qs_msg and their kin)."""

from __future__ import annotations

from collections.abc import Collection
from struct import Struct
from typing import TYPE_CHECKING

from siov.drivers.ice.rxq import RxRing
from siov.spec.e810 import RXDID
from siov.spec.message import rows
from siov.spec.virtchnl import (
    QUEUES_IN_BITMAP,
    DelEnaDisQueues,
    ItrIdx,
    MaxRssQregion,
    QueueChunk,
    QueuePairInfo,
    QueueType,
    QueueVector,
    QueueVectorMaps,
    RxqInfo,
    Status,
    TxqInfo,
    VectorMap,
    VsiQueueConfigInfo,
)

if TYPE_CHECKING:
    from siov.drivers.ice.vf import Reply, VirtchnlVf

RING_MIN, RING_MAX, RING_STEP = 64, 8160, 32  # descriptors; 0 leaves the queue as it is
BUFFER_MIN, BUFFER_MAX, BUFFER_DEFAULT = 128, 16 * 1024 - 128, 2048  # bytes; 0 is the default
FRAME_MIN = 64  # bytes
BASE_ALIGN = 128  # bytes: a queue context has no room for the bits below
TIMERS = (0, 1, 2, ItrIdx.NO_ITR)
BITS = (1 << QUEUES_IN_BITMAP) - 1
SELECT = Struct("<HHII")

Wanted = tuple[Collection[int], Collection[int]]  # receive and transmit queues of a request


def _ring_fits(length: int) -> bool:
    return length == 0 or (RING_MIN <= length <= RING_MAX and length % RING_STEP == 0)


def _tx_fits(vf: VirtchnlVf, txq: TxqInfo) -> bool:
    return (
        txq.vsi_id == vf.vsi.num
        and txq.queue_id < vf.usable_pairs
        and not txq.headwb_enabled
        and _ring_fits(txq.ring_len)
        and txq.dma_ring_addr % BASE_ALIGN == 0
    )


def _rx_fits(vf: VirtchnlVf, rxq: RxqInfo) -> bool:
    return (
        rxq.vsi_id == vf.vsi.num
        and rxq.queue_id < vf.usable_pairs
        and _ring_fits(rxq.ring_len)
        and (not rxq.ring_len or _buffers_fit(vf, rxq))
    )


def _buffers_fit(vf: VirtchnlVf, rxq: RxqInfo) -> bool:
    return (
        rxq.dma_ring_addr % BASE_ALIGN == 0
        and not rxq.splithdr_enabled
        and (rxq.databuffer_size == 0 or BUFFER_MIN <= rxq.databuffer_size <= BUFFER_MAX)
        and FRAME_MIN <= rxq.max_pkt_size <= vf.limits.max_frame
        and (not rxq.crc_disable or (bool(vf.caps.CRC) and not vf.vlan_strip))
        and (not vf.caps.RX_FLEX_DESC or rxq.rxdid in vf.limits.rxdids)
    )


def _configure_tx(vf: VirtchnlVf, txq: TxqInfo) -> None:
    q = txq.queue_id
    if txq.ring_len:
        if q in vf.tx_on:
            vf.vsi.dis_txq(q)
            vf.tx_on.discard(q)
        vf.tx_ready.discard(q)
        vf.vsi.cfg_txq(q, txq.dma_ring_addr, txq.ring_len)
        vf.tx_ready.add(q)


def _configure_rx(vf: VirtchnlVf, rxq: RxqInfo) -> None:
    q = rxq.queue_id
    if rxq.ring_len:
        if q in vf.rx_on:
            vf.vsi.dis_rxq(q)
            vf.rx_on.discard(q)
        vf.rx_ready.discard(q)
        flexible = bool(vf.caps.RX_FLEX_DESC)
        ring = RxRing(
            base=rxq.dma_ring_addr,
            length=rxq.ring_len,
            buffer=rxq.databuffer_size or BUFFER_DEFAULT,
            max_frame=rxq.max_pkt_size,
            rxdid=(flexible and rxq.rxdid) or RXDID.LEGACY_1,
            crc_strip=not rxq.crc_disable,
        )
        vf.vsi.cfg_rxq(q, ring)
        vf.rx_ready.add(q)
        (vf.crc_kept.add if rxq.crc_disable else vf.crc_kept.discard)(q)


def config_vsi_queues(vf: VirtchnlVf, data: bytes) -> Reply:
    """CONFIG_VSI_QUEUES: all pairs are looked at before the first one is changed."""
    head = VsiQueueConfigInfo.read(data)
    if head.vsi_id != vf.vsi.num or head.num_queue_pairs > vf.usable_pairs:
        return Status.ERR_PARAM
    pairs = [
        (pair.txq, pair.rxq)
        for pair in rows(QueuePairInfo, data, VsiQueueConfigInfo.size, head.num_queue_pairs)
    ]
    if not all(tx.queue_id == rx.queue_id and _tx_fits(vf, tx) and _rx_fits(vf, rx) for tx, rx in pairs):
        return Status.ERR_PARAM
    for tx, rx in pairs:
        _configure_tx(vf, tx)
        _configure_rx(vf, rx)
    return Status.SUCCESS


def config_tx_queue(vf: VirtchnlVf, data: bytes) -> Reply:
    """CONFIG_TX_QUEUE: one transmit ring."""
    txq = TxqInfo(data)
    if not _tx_fits(vf, txq):
        return Status.ERR_PARAM
    _configure_tx(vf, txq)
    return Status.SUCCESS


def config_rx_queue(vf: VirtchnlVf, data: bytes) -> Reply:
    """CONFIG_RX_QUEUE: one receive ring."""
    rxq = RxqInfo(data)
    if not _rx_fits(vf, rxq):
        return Status.ERR_PARAM
    _configure_rx(vf, rxq)
    return Status.SUCCESS


def numbers(bitmap: int) -> list[int]:
    """The numbers of the bits that are set."""
    return [n for n in range(bitmap.bit_length()) if bitmap >> n & 1]


def config_irq_map(vf: VirtchnlVf, data: bytes) -> Reply:
    """CONFIG_IRQ_MAP: which queues fire which vectors; that of the mailbox has none."""
    count = int.from_bytes(data[:2], "little")
    if count > len(vf.vsi.vectors):
        return Status.ERR_PARAM
    maps = rows(VectorMap, data, 2, count)
    room = 1 << vf.usable_pairs
    for one in maps:
        if (
            one.vsi_id != vf.vsi.num
            or one.vector_id >= len(vf.vsi.vectors)
            or one.rxq_map >= room
            or one.txq_map >= room
            or (one.vector_id == 0 and (one.rxq_map or one.txq_map))
            or one.rxitr_idx not in TIMERS
            or one.txitr_idx not in TIMERS
        ):
            return Status.ERR_PARAM
    for one in maps:
        if one.vector_id:
            rx, tx = numbers(one.rxq_map), numbers(one.txq_map)
            vf.vsi.map_vector(one.vector_id, rx, tx, one.rxitr_idx, one.txitr_idx)
    return Status.SUCCESS


def _selected(vf: VirtchnlVf, data: bytes) -> Wanted | None:
    vsi, _, rx, tx = SELECT.unpack(data)
    room = min(1 << vf.usable_pairs, BITS + 1)
    if vsi != vf.vsi.num or not (rx or tx) or rx >= room or tx >= room:
        return None
    return numbers(rx), numbers(tx)


def _chunks(vf: VirtchnlVf, data: bytes) -> Wanted | None:
    head = DelEnaDisQueues.read(data)
    if head.vport_id != vf.vsi.num:
        return None
    wanted: dict[int, set[int]] = {QueueType.RX: set(), QueueType.TX: set()}
    for chunk in rows(QueueChunk, data, DelEnaDisQueues.size, head.num_chunks):
        end = chunk.start_queue_id + chunk.num_queues
        if chunk.type not in wanted or not chunk.num_queues or end > vf.usable_pairs:
            return None
        wanted[chunk.type].update(range(chunk.start_queue_id, end))
    return sorted(wanted[QueueType.RX]), sorted(wanted[QueueType.TX])


def _enable(vf: VirtchnlVf, wanted: Wanted | None) -> Reply:
    """A queue without a ring can't be enabled; one that is enabled stays so."""
    if wanted is None or not vf.rx_ready.issuperset(wanted[0]) or not vf.tx_ready.issuperset(wanted[1]):
        return Status.ERR_PARAM
    for q in wanted[0]:
        if q not in vf.rx_on:
            vf.vsi.ena_rxq(q)
            vf.rx_on.add(q)
    for q in wanted[1]:
        if q not in vf.tx_on:
            vf.vsi.ena_txq(q)
            vf.tx_on.add(q)
    return Status.SUCCESS


def _disable(vf: VirtchnlVf, wanted: Wanted | None) -> Reply:
    """A queue that is not enabled is passed over: a driver disables all it knows."""
    if wanted is None:
        return Status.ERR_PARAM
    for q in wanted[1]:
        if q in vf.tx_on:
            vf.vsi.dis_txq(q)
            vf.tx_on.discard(q)
    for q in wanted[0]:
        if q in vf.rx_on:
            vf.vsi.dis_rxq(q)
            vf.rx_on.discard(q)
    return Status.SUCCESS


def enable_queues(vf: VirtchnlVf, data: bytes) -> Reply:
    """ENABLE_QUEUES: the link's state is told after the reply."""
    return _enable(vf, _selected(vf, data))


def disable_queues(vf: VirtchnlVf, data: bytes) -> Reply:
    """DISABLE_QUEUES: none of their DMA is under way once it is answered."""
    return _disable(vf, _selected(vf, data))


def enable_queues_v2(vf: VirtchnlVf, data: bytes) -> Reply:
    """ENABLE_QUEUES_V2."""
    return _enable(vf, _chunks(vf, data))


def disable_queues_v2(vf: VirtchnlVf, data: bytes) -> Reply:
    """DISABLE_QUEUES_V2."""
    return _disable(vf, _chunks(vf, data))


def map_queue_vector(vf: VirtchnlVf, data: bytes) -> Reply:
    """MAP_QUEUE_VECTOR: the vector of each queue in a list."""
    head = QueueVectorMaps.read(data)
    maps = rows(QueueVector, data, QueueVectorMaps.size, head.num_qv_maps)
    if head.vport_id != vf.vsi.num or not all(_vector_fits(vf, one) for one in maps):
        return Status.ERR_PARAM
    for one in maps:
        queue, timer = [one.queue_id], one.itr_idx
        if one.queue_type == QueueType.RX:
            vf.vsi.map_vector(one.vector_id, queue, (), timer, timer)
        else:
            vf.vsi.map_vector(one.vector_id, (), queue, timer, timer)
    return Status.SUCCESS


def _vector_fits(vf: VirtchnlVf, one: QueueVector) -> bool:
    return (
        one.queue_id < vf.usable_pairs
        and 1 <= one.vector_id < len(vf.vsi.vectors)
        and one.itr_idx in TIMERS
        and one.queue_type in (QueueType.RX, QueueType.TX)
    )


def get_stats(vf: VirtchnlVf, data: bytes) -> Reply:
    """GET_STATS: the VSI's counters; which queues are selected means nothing."""
    if SELECT.unpack(data)[0] != vf.vsi.num:
        return Status.ERR_PARAM
    return vf.vsi.stats().data


def get_max_rss_qregion(vf: VirtchnlVf, data: bytes) -> Reply:
    """GET_MAX_RSS_QREGION: over how many queues a hash may spread, as a logarithm."""
    width = vf.usable_pairs.bit_length() - 1
    return MaxRssQregion.of(vport_id=vf.vsi.num, qregion_width=width).data


def get_supported_rxdids(vf: VirtchnlVf, data: bytes) -> Reply:
    """GET_SUPPORTED_RXDIDS: bit n is set for descriptor format n."""
    return sum(1 << rxdid for rxdid in vf.limits.rxdids).to_bytes(8, "little")
