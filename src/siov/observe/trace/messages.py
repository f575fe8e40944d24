"""virtchnl messages in words: which structure each operation carries, as request and as reply."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from siov.spec import virtchnl as v
from siov.spec.message import Member, Message, Nested
from siov.spec.virtchnl import Op, Status, VfCaps

BRIEF = 4  # elements of a list that are told
_PADDING = ("pad", "rsvd")


@dataclass(slots=True, frozen=True)
class Shape:
    """A structure, and what follows it as often as its member `count` says."""

    head: type[Message]
    row: type[Message] | None = None
    count: str = ""


_QUEUES = Shape(v.QueueSelect)
_CHUNKS = Shape(v.DelEnaDisQueues, v.QueueChunk, "num_chunks")
_ADDRESSES = Shape(v.EtherAddrList, v.EtherAddr, "num_elements")
_FILTERS = Shape(v.VlanFilterListV2, v.VlanFilter, "num_elements")
_SETTING = Shape(v.VlanSetting)
_VSIS = Shape(v.VfResource, v.VsiResource, "num_vsis")

REQUESTS: Mapping[Op, Shape] = MappingProxyType(
    {
        Op.VERSION: Shape(v.VersionInfo),
        Op.CONFIG_TX_QUEUE: Shape(v.TxqInfo),
        Op.CONFIG_RX_QUEUE: Shape(v.RxqInfo),
        Op.CONFIG_VSI_QUEUES: Shape(v.VsiQueueConfigInfo, v.QueuePairInfo, "num_queue_pairs"),
        Op.CONFIG_IRQ_MAP: Shape(v.IrqMapInfo, v.VectorMap, "num_vectors"),
        Op.ENABLE_QUEUES: _QUEUES,
        Op.DISABLE_QUEUES: _QUEUES,
        Op.GET_STATS: _QUEUES,
        Op.ADD_ETH_ADDR: _ADDRESSES,
        Op.DEL_ETH_ADDR: _ADDRESSES,
        Op.ADD_VLAN: Shape(v.VlanFilterList),
        Op.DEL_VLAN: Shape(v.VlanFilterList),
        Op.CONFIG_PROMISCUOUS_MODE: Shape(v.PromiscInfo),
        Op.CONFIG_RSS_HFUNC: Shape(v.RssHfunc),
        Op.CONFIG_RSS_KEY: Shape(v.RssKey),
        Op.CONFIG_RSS_LUT: Shape(v.RssLut),
        Op.SET_RSS_HENA: Shape(v.RssHena),
        Op.REQUEST_QUEUES: Shape(v.VfResRequest),
        Op.ENABLE_CHANNELS: Shape(v.TcInfo, v.ChannelInfo, "num_tc"),
        Op.ADD_CLOUD_FILTER: Shape(v.CloudFilter),
        Op.DEL_CLOUD_FILTER: Shape(v.CloudFilter),
        Op.ADD_RSS_CFG: Shape(v.RssCfg),
        Op.DEL_RSS_CFG: Shape(v.RssCfg),
        Op.ADD_FDIR_FILTER: Shape(v.FdirAdd),
        Op.DEL_FDIR_FILTER: Shape(v.FdirDel),
        Op.ADD_VLAN_V2: _FILTERS,
        Op.DEL_VLAN_V2: _FILTERS,
        Op.ENABLE_VLAN_STRIPPING_V2: _SETTING,
        Op.DISABLE_VLAN_STRIPPING_V2: _SETTING,
        Op.ENABLE_VLAN_INSERTION_V2: _SETTING,
        Op.DISABLE_VLAN_INSERTION_V2: _SETTING,
        Op.ENABLE_VLAN_FILTERING_V2: _SETTING,
        Op.DISABLE_VLAN_FILTERING_V2: _SETTING,
        Op.PTP_GET_CAPS: Shape(v.PtpCaps),
        Op.PTP_GET_TIME: Shape(v.PhcTime),
        Op.CONFIG_QUEUE_TC_MAP: Shape(v.QueueTcMapping, v.QueueTcRange, "num_tc"),
        Op.ENABLE_QUEUES_V2: _CHUNKS,
        Op.DISABLE_QUEUES_V2: _CHUNKS,
        Op.MAP_QUEUE_VECTOR: Shape(v.QueueVectorMaps, v.QueueVector, "num_qv_maps"),
        Op.CONFIG_QUEUE_BW: Shape(v.QueuesBwCfg, v.QueueBw, "num_queues"),
        Op.CONFIG_QUANTA: Shape(v.QuantaCfg),
    }
)
REPLIES: Mapping[Op, Shape] = MappingProxyType(
    {
        Op.VERSION: Shape(v.VersionInfo),
        Op.GET_VF_RESOURCES: _VSIS,
        Op.GET_STATS: Shape(v.EthStats),
        Op.EVENT: Shape(v.PfEvent),
        Op.GET_RSS_HENA_CAPS: Shape(v.RssHena),
        Op.REQUEST_QUEUES: Shape(v.VfResRequest),
        Op.ADD_FDIR_FILTER: Shape(v.FdirAdd),
        Op.DEL_FDIR_FILTER: Shape(v.FdirDel),
        Op.GET_MAX_RSS_QREGION: Shape(v.MaxRssQregion),
        Op.GET_OFFLOAD_VLAN_V2_CAPS: Shape(v.VlanCaps),
        Op.PTP_GET_CAPS: Shape(v.PtpCaps),
        Op.PTP_GET_TIME: Shape(v.PhcTime),
        Op.GET_QOS_CAPS: Shape(v.QosCapList, v.QosCapElem, "num_elem"),
    }
)


def op_name(code: int) -> str:
    """The name of an operation, or its number."""
    return Op(code).name if code in set(Op) else f"operation {code:#x}"


def status_name(raw: int) -> str:
    """The name of a status, as the 32 bits of a descriptor have it, or its number."""
    signed = raw - (1 << 32) if raw >> 31 else raw
    return Status(signed).name if signed in set(Status) else str(signed)


def decode(code: int, data: bytes, *, reply: bool) -> tuple[str, dict[str, Any]]:
    """A message's data as text and as fields; whatever a guest has put there is told, never refused."""
    if not data:
        return "", {}
    if code not in set(Op):
        return _raw(data)
    op = Op(code)
    if op is Op.GET_VF_RESOURCES and not reply and len(data) == 4:
        granted = _caps(int.from_bytes(data, "little"))
        return f"wants {granted}", {"vf_cap_flags": granted}
    shape = (REPLIES if reply else REQUESTS).get(op)
    if shape is None or len(data) < shape.head.size:
        return _raw(data)
    head = shape.head.read(data)
    fields: dict[str, Any] = dict(_flat(head))
    text = _text(fields)
    if isinstance(head, v.VfResource):
        fields["vf_cap_flags"] = _caps(head.vf_cap_flags)
        text = _text(fields)
    if shape.row is None:
        rest = data[shape.head.size :]
        return text + (f" + {len(rest)} bytes" if rest.strip(b"\0") else ""), fields
    rows = _rows(shape, data, int(getattr(head, shape.count)))
    fields["rows"] = rows
    told = [f"[{n}] {_text(row)}" for n, row in enumerate(rows[:BRIEF])]
    if len(rows) > BRIEF:
        told.append(f"and {len(rows) - BRIEF} more")
    return "; ".join([text, *told]), fields


def _rows(shape: Shape, data: bytes, count: int) -> list[dict[str, str]]:
    assert shape.row is not None
    size = shape.row.size
    there = min(count, (len(data) - shape.head.size) // size)
    starts = (shape.head.size + n * size for n in range(there))
    return [dict(_flat(shape.row.read(data, at))) for at in starts]


def _flat(message: Message, prefix: str = "") -> list[tuple[str, str]]:
    """The members of a message and of those in it, in words; padding and what is zero left away."""
    found: list[tuple[str, str]] = []
    member: Member
    for member, value in message:
        name = prefix + member.name
        if member.name.startswith(_PADDING) or not (
            value.data.strip(b"\0") if isinstance(value, Message) else _says(value)
        ):
            continue
        if isinstance(member, Nested):
            found += _flat(value, f"{name}.")
        else:
            found.append((name, member.meaning(value)))
    return found


def _says(value: object) -> bool:
    return bool(value.strip(b"\0")) if isinstance(value, bytes) else bool(value)


def _text(fields: Mapping[str, Any]) -> str:
    return " ".join(f"{name}={value}" for name, value in fields.items()) or "all zero"


def _caps(raw: int) -> str:
    return "|".join(field.name for field, value in VfCaps(raw) if value) or "nothing"


def _raw(data: bytes) -> tuple[str, dict[str, Any]]:
    shown = data[:16].hex() + ("…" if len(data) > 16 else "")
    return f"{len(data)} bytes {shown}", {"bytes": len(data), "data": data[:64].hex()}
