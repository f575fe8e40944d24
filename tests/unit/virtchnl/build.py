"""Requests, as drivers build them."""

from collections.abc import Sequence
from typing import Any

from siov.spec.virtchnl import (
    DelEnaDisQueues,
    EtherAddr,
    EtherAddrList,
    FdirAdd,
    FdirRule,
    FilterAction,
    FilterActionSet,
    IrqMapInfo,
    ProtoHdr,
    ProtoHdrField,
    ProtoHdrs,
    ProtoHdrType,
    QueueChunk,
    QueuePairInfo,
    QueueSelect,
    QueueVector,
    QueueVectorMaps,
    RssCfg,
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
    VsiQueueConfigInfo,
)

from .fake import VSI


def select(rx: int = 0, tx: int = 0, vsi: int = VSI) -> bytes:
    """Drivers leave what was on their stack in the padding."""
    return QueueSelect.of(vsi_id=vsi, pad=0xBEEF, rx_queues=rx, tx_queues=tx).data


def pair(q: int, vsi: int = VSI, tx: dict[str, int] | None = None, rx: dict[str, int] | None = None) -> bytes:
    txq = {"ring_len": 512, "dma_ring_addr": 0x10_0000 + q * 0x4000, "queue_id": q, "vsi_id": vsi}
    rxq = {
        "ring_len": 512, "dma_ring_addr": 0x20_0000 + q * 0x8000, "queue_id": q, "vsi_id": vsi,
        "databuffer_size": 1536, "max_pkt_size": 1522, "rxdid": 1,
    }  # fmt: skip
    return QueuePairInfo.of(txq=TxqInfo.of(**txq | (tx or {})), rxq=RxqInfo.of(**rxq | (rx or {}))).data


def pairs(*rows: bytes, vsi: int = VSI) -> bytes:
    head = VsiQueueConfigInfo.of(vsi_id=vsi, num_queue_pairs=len(rows)).data
    return head + b"".join(rows) + bytes(QueuePairInfo.size)


def irq_map(*rows: Sequence[int], vsi: int = VSI) -> bytes:
    """Rows of (vector, receive bitmap, transmit bitmap) or with both timers behind."""
    maps = b""
    for vector, rx, tx, *timers in rows:
        rx_itr, tx_itr = timers or (0, 1)
        maps += VectorMap.of(
            vsi_id=vsi, vector_id=vector, rxq_map=rx, txq_map=tx, rxitr_idx=rx_itr, txitr_idx=tx_itr
        ).data
    return IrqMapInfo.of(num_vectors=len(rows)).data + maps + bytes(VectorMap.size)


def chunks(*rows: tuple[int, int, int], vsi: int = VSI) -> bytes:
    """Rows of (direction, first queue, how many)."""
    data = DelEnaDisQueues.of(vport_id=vsi, num_chunks=len(rows)).data
    for kind, start, count in rows:
        data += QueueChunk.of(type=kind, start_queue_id=start, num_queues=count).data
    return data


def vectors(*rows: tuple[int, int, int, int], vsi: int = VSI) -> bytes:
    """Rows of (queue, vector, timer, direction)."""
    data = QueueVectorMaps.of(vport_id=vsi, num_qv_maps=len(rows)).data
    for queue, vector, timer, kind in rows:
        data += QueueVector.of(queue_id=queue, vector_id=vector, itr_idx=timer, queue_type=kind).data
    return data


def macs(*addresses: bytes, kind: int = 2, vsi: int = VSI) -> bytes:
    head = EtherAddrList.of(vsi_id=vsi, num_elements=len(addresses)).data
    return head + b"".join(EtherAddr.of(addr=mac, type=kind).data for mac in addresses) + bytes(8)


def mac(n: int) -> bytes:
    """A unicast address of its own for each number."""
    return b"\x02\x00" + n.to_bytes(4, "big")


def vlans(*ids: int, vsi: int = VSI) -> bytes:
    head = VlanFilterList.of(vsi_id=vsi, num_elements=len(ids)).data
    return head + b"".join(vid.to_bytes(2, "little") for vid in ids) + bytes(2)


def vlans_v2(*ids: int, vsi: int = VSI, outer: bool = False, **tag: int) -> bytes:
    data = VlanFilterListV2.of(vport_id=vsi, num_elements=len(ids)).data
    for vid in ids:
        vlan = Vlan.of(**{"tci": vid, "tpid": 0x8100} | tag)
        data += (VlanFilter.of(outer=vlan) if outer else VlanFilter.of(inner=vlan)).data
    return data


def setting(inner: int = 1, outer: int = 0, vsi: int = VSI) -> bytes:
    return VlanSetting.of(inner_ethertype_setting=inner, outer_ethertype_setting=outer, vport_id=vsi).data


def key(data: bytes, vsi: int = VSI) -> bytes:
    return RssKey.of(vsi_id=vsi, key_len=len(data)).data + data + b"\0"


def lut(data: bytes, vsi: int = VSI) -> bytes:
    return RssLut.of(vsi_id=vsi, lut_entries=len(data)).data + data + b"\0"


def header(kind: ProtoHdrType, *fields: ProtoHdrField, buffer: bytes = b"") -> ProtoHdr:
    selector = sum(1 << field % 32 for field in fields)
    return ProtoHdr.of(type=kind, field_selector=selector, buffer=buffer)


def pattern(*headers: ProtoHdr, **more: Any) -> ProtoHdrs:
    data = b"".join(one.data for one in headers)
    return ProtoHdrs.of(**{"count": len(headers), "proto_hdr": data} | more)


def rss_cfg(*headers: ProtoHdr, algorithm: int = 0, **more: Any) -> bytes:
    return RssCfg.of(proto_hdrs=pattern(*headers, **more), rss_algorithm=algorithm).data


def fdir(hdrs: ProtoHdrs, *actions: FilterAction, vsi: int = VSI, **more: Any) -> bytes:
    data = b"".join(one.data for one in actions)
    acts = FilterActionSet.of(count=len(actions), actions=data)
    return FdirAdd.of(vsi_id=vsi, rule_cfg=FdirRule.of(proto_hdrs=hdrs, action_set=acts), **more).data
