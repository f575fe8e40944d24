"""What the driver says to the PF: the bytes of each request (iavf_virtchnl.c)."""

from __future__ import annotations

from collections.abc import Sequence

from siov.drivers.iavf.access import QueuePair
from siov.spec.message import Message
from siov.spec.virtchnl import (
    LENGTHS,
    DelEnaDisQueues,
    EtherAddr,
    EtherAddrList,
    EtherAddrType,
    IrqMapInfo,
    ItrIdx,
    Op,
    QueueChunk,
    QueuePairInfo,
    QueueSelect,
    QueueType,
    QueueVector,
    QueueVectorMaps,
    RssKey,
    RssLut,
    RxqInfo,
    TxqInfo,
    VectorMap,
    Vlan,
    VlanFilter,
    VlanFilterList,
    VlanFilterListV2,
    VlanSetting,
    VlanSupport,
    VlanSupportedCaps,
    VsiQueueConfigInfo,
)

ETH_P_8021Q = 0x8100


def with_rows(op: Op, head: Message, rows: Sequence[Message]) -> bytes:
    """A structure with its elements behind it, and the spare one that the operation's length asks for."""
    data = head.to_bytes() + b"".join(row.to_bytes() for row in rows)
    return data.ljust(LENGTHS[op].of(len(rows)), b"\0")


def irq_map(vsi: int, pairs: Sequence[tuple[int, int]]) -> bytes:
    """CONFIG_IRQ_MAP of (queue, vector): the vectors of queues first, then that of the mailbox."""
    vectors: dict[int, int] = {}
    for queue, vector in pairs:
        vectors[vector] = vectors.get(vector, 0) | 1 << queue
    maps = [
        VectorMap.of(
            vsi_id=vsi,
            vector_id=vector,
            rxq_map=queues,
            txq_map=queues,
            rxitr_idx=ItrIdx.ITR_0,
            txitr_idx=ItrIdx.ITR_1,
        )
        for vector, queues in sorted(vectors.items())
    ]
    maps.append(VectorMap.of(vsi_id=vsi, vector_id=0))
    return with_rows(Op.CONFIG_IRQ_MAP, IrqMapInfo.of(num_vectors=len(maps)), maps)


def rss_key(vsi: int, key: bytes) -> bytes:
    """CONFIG_RSS_KEY."""
    data = RssKey.of(vsi_id=vsi, key_len=len(key)).to_bytes() + key
    return data.ljust(LENGTHS[Op.CONFIG_RSS_KEY].of(len(key)), b"\0")


def rss_lut(vsi: int, lut: bytes) -> bytes:
    """CONFIG_RSS_LUT: a queue for each entry."""
    data = RssLut.of(vsi_id=vsi, lut_entries=len(lut)).to_bytes() + lut
    return data.ljust(LENGTHS[Op.CONFIG_RSS_LUT].of(len(lut)), b"\0")


def ether_addresses(op: Op, vsi: int, addresses: Sequence[tuple[bytes, EtherAddrType]]) -> bytes:
    """ADD_ETH_ADDR or DEL_ETH_ADDR."""
    rows = [EtherAddr.of(addr=address, type=kind) for address, kind in addresses]
    return with_rows(op, EtherAddrList.of(vsi_id=vsi, num_elements=len(rows)), rows)


def vlans(op: Op, vsi: int, ids: Sequence[int]) -> bytes:
    """ADD_VLAN or DEL_VLAN, first form."""
    head = VlanFilterList.of(vsi_id=vsi, num_elements=len(ids)).to_bytes()
    data = head + b"".join(vid.to_bytes(2, "little") for vid in ids)
    return data.ljust(LENGTHS[op].of(len(ids)), b"\0")


def vlans_v2(op: Op, vsi: int, ids: Sequence[int], *, outer: bool) -> bytes:
    """ADD_VLAN_V2 or DEL_VLAN_V2 of C-tags, the outer ones or the inner or only ones."""
    tags = (Vlan.of(tci=vid, tpid=ETH_P_8021Q) for vid in ids)
    rows = [VlanFilter.of(outer=tag) if outer else VlanFilter.of(inner=tag) for tag in tags]
    return with_rows(op, VlanFilterListV2.of(vport_id=vsi, num_elements=len(ids)), rows)


def queue_config(
    vsi: int, pairs: Sequence[QueuePair], max_frame: int, *, flex: bool, keep_crc: bool = False
) -> bytes:
    """CONFIG_VSI_QUEUES; the descriptor's format is told only when formats were agreed on."""
    rows = [
        QueuePairInfo.of(
            txq=TxqInfo.of(
                vsi_id=vsi, queue_id=pair.number, ring_len=pair.tx_entries, dma_ring_addr=pair.tx_ring
            ),
            rxq=RxqInfo.of(
                vsi_id=vsi,
                queue_id=pair.number,
                ring_len=pair.rx_entries,
                databuffer_size=pair.buffer,
                max_pkt_size=max_frame,
                crc_disable=int(keep_crc),
                rxdid=pair.rxdid if flex else 0,
                dma_ring_addr=pair.rx_ring,
            ),
        )
        for pair in pairs
    ]
    head = VsiQueueConfigInfo.of(vsi_id=vsi, num_queue_pairs=len(rows))
    return with_rows(Op.CONFIG_VSI_QUEUES, head, rows)


def queue_select(vsi: int, queues: int) -> bytes:
    """ENABLE_QUEUES, DISABLE_QUEUES, GET_STATS: the first `queues` pairs."""
    every = (1 << queues) - 1
    return QueueSelect.of(vsi_id=vsi, rx_queues=every, tx_queues=every).to_bytes()


def queue_chunks(op: Op, vsi: int, queues: int) -> bytes:
    """ENABLE_QUEUES_V2, DISABLE_QUEUES_V2: the first `queues` pairs, for VFs with more than 16."""
    rows = [QueueChunk.of(type=kind, start_queue_id=0, num_queues=queues) for kind in QueueType]
    return with_rows(op, DelEnaDisQueues.of(vport_id=vsi, num_chunks=len(rows)), rows)


def queue_vectors(vsi: int, pairs: Sequence[tuple[int, int]]) -> bytes:
    """MAP_QUEUE_VECTOR of (queue, vector), for VFs with more than 16 pairs."""
    rows = [
        QueueVector.of(queue_id=queue, vector_id=vector, itr_idx=itr, queue_type=kind)
        for queue, vector in pairs
        for kind, itr in ((QueueType.RX, ItrIdx.ITR_0), (QueueType.TX, ItrIdx.ITR_1))
    ]
    head = QueueVectorMaps.of(vport_id=vsi, num_qv_maps=len(rows))
    return with_rows(Op.MAP_QUEUE_VECTOR, head, rows)


def vlan_setting(vsi: int, supported: VlanSupportedCaps) -> bytes | None:
    """Stripping or insertion of 802.1Q tags, outer ones first; None where it can't be switched."""
    tag = VlanSupport.of(ETHERTYPE_8100=1).raw
    outer, inner = VlanSupport(supported.outer), VlanSupport(supported.inner)
    if outer.ETHERTYPE_8100 and outer.TOGGLE:
        return VlanSetting.of(vport_id=vsi, outer_ethertype_setting=tag).to_bytes()
    if inner.ETHERTYPE_8100 and inner.TOGGLE:
        return VlanSetting.of(vport_id=vsi, inner_ethertype_setting=tag).to_bytes()
    return None
