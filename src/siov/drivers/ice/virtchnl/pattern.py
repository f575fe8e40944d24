"""A VF's pattern of protocol headers, in the words of the device: groups of packets, and header fields.

Only the headers at one level count: the outer ones, or those inside a GTP-U tunnel when a field of them is
selected. A pattern without an L4 header is for all packets of its IP version, as in ice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from siov.drivers.ice.virtchnl.vsi_ops import FdirMatch, RssFlow
from siov.spec.e810.package import HeaderField, HeaderLevel, PacketGroup
from siov.spec.message import rows
from siov.spec.virtchnl import MAX_PROTO_HDRS, ProtoHdr, ProtoHdrField, ProtoHdrs, ProtoHdrType


@dataclass(slots=True, frozen=True)
class FieldAt:
    """Where a field lies in its header, in network byte order: bytes, a shift, and the bits that are left."""

    field: HeaderField
    at: int
    size: int
    shift: int = 0
    bits: int = 128

    def value(self, header: bytes) -> int:
        """The field as a number."""
        raw = int.from_bytes(header[self.at : self.at + self.size], "big")
        return raw >> self.shift & (1 << self.bits) - 1


T, P, F, G = ProtoHdrType, ProtoHdrField, HeaderField, PacketGroup

FIELDS: Mapping[ProtoHdrField, FieldAt] = {
    P.ETH_DST: FieldAt(F.ETH_DST, 0, 6),
    P.ETH_SRC: FieldAt(F.ETH_SRC, 6, 6),
    P.ETH_ETHERTYPE: FieldAt(F.ETH_ETHERTYPE, 12, 2),
    P.S_VLAN_ID: FieldAt(F.S_VLAN_ID, 0, 2, 0, 12),
    P.C_VLAN_ID: FieldAt(F.C_VLAN_ID, 0, 2, 0, 12),
    P.IPV4_SRC: FieldAt(F.IPV4_SRC, 12, 4),
    P.IPV4_DST: FieldAt(F.IPV4_DST, 16, 4),
    P.IPV4_DSCP: FieldAt(F.IPV4_DSCP, 1, 1, 2, 6),
    P.IPV4_TTL: FieldAt(F.IPV4_TTL, 8, 1),
    P.IPV4_PROT: FieldAt(F.IPV4_PROT, 9, 1),
    P.IPV6_SRC: FieldAt(F.IPV6_SRC, 8, 16),
    P.IPV6_DST: FieldAt(F.IPV6_DST, 24, 16),
    P.IPV6_TC: FieldAt(F.IPV6_TC, 0, 2, 4, 8),
    P.IPV6_HOP_LIMIT: FieldAt(F.IPV6_HOP_LIMIT, 7, 1),
    P.IPV6_PROT: FieldAt(F.IPV6_PROT, 6, 1),
    P.TCP_SRC_PORT: FieldAt(F.TCP_SRC_PORT, 0, 2),
    P.TCP_DST_PORT: FieldAt(F.TCP_DST_PORT, 2, 2),
    P.UDP_SRC_PORT: FieldAt(F.UDP_SRC_PORT, 0, 2),
    P.UDP_DST_PORT: FieldAt(F.UDP_DST_PORT, 2, 2),
    P.SCTP_SRC_PORT: FieldAt(F.SCTP_SRC_PORT, 0, 2),
    P.SCTP_DST_PORT: FieldAt(F.SCTP_DST_PORT, 2, 2),
    P.GTPU_IP_TEID: FieldAt(F.GTPU_TEID, 4, 4),
    P.GTPU_EH_PDU: FieldAt(F.GTPU_EH_PDU, 1, 1, 4, 4),
    P.GTPU_EH_QFI: FieldAt(F.GTPU_EH_QFI, 2, 1, 0, 6),
    P.L2TPV3_SESS_ID: FieldAt(F.L2TPV3_SESS_ID, 0, 4),
    P.ESP_SPI: FieldAt(F.ESP_SPI, 0, 4),
    P.AH_SPI: FieldAt(F.AH_SPI, 4, 4),
    P.PPPOE_SESS_ID: FieldAt(F.PPPOE_SESS_ID, 2, 2),
    P.PFCP_S_FIELD: FieldAt(F.PFCP_S_FIELD, 0, 1, 0, 1),
    P.PFCP_SEID: FieldAt(F.PFCP_SEID, 4, 8),
}
TUNNELS = frozenset({T.GTPU_IP, T.GTPU_EH, T.GTPU_EH_PDU_DWN, T.GTPU_EH_PDU_UP})
L3 = frozenset({T.IPV4, T.IPV6})
L4 = frozenset({T.TCP, T.UDP, T.SCTP, T.ESP})
GROUPS: Mapping[tuple[int, int], PacketGroup] = {
    (T.IPV4, T.TCP): G.IPV4_TCP,
    (T.IPV4, T.UDP): G.IPV4_UDP,
    (T.IPV4, T.SCTP): G.IPV4_SCTP,
    (T.IPV4, T.ESP): G.IPV4_ESP,
    (T.IPV6, T.TCP): G.IPV6_TCP,
    (T.IPV6, T.UDP): G.IPV6_UDP,
    (T.IPV6, T.SCTP): G.IPV6_SCTP,
    (T.IPV6, T.ESP): G.IPV6_ESP,
}
ALL_OF: Mapping[int, tuple[PacketGroup, ...]] = {
    T.IPV4: tuple(group for group in G if group.name.startswith("IPV4")),
    T.IPV6: tuple(group for group in G if group.name.startswith("IPV6")),
    T.NONE: (G.L2,),
}


def rss_flow(hdrs: ProtoHdrs) -> RssFlow | None:
    """What to hash; None for a pattern that the device has no words for, or that selects no field."""
    parsed = _parse(hdrs)
    if parsed is None or not parsed.fields:
        return None
    fields = frozenset(field for field, _ in parsed.fields)
    return RssFlow(parsed.groups, parsed.level, fields)


def fdir_match(hdrs: ProtoHdrs) -> FdirMatch | None:
    """What to match; None for a pattern that the device has no words for, or that selects no field."""
    parsed = _parse(hdrs)
    return parsed if parsed is not None and parsed.fields else None


def _parse(hdrs: ProtoHdrs) -> FdirMatch | None:
    if not 1 <= hdrs.count <= MAX_PROTO_HDRS or hdrs.tunnel_level > 1:
        return None  # a count of 0 is the raw form
    headers = rows(ProtoHdr, hdrs.data, ProtoHdrs.members["proto_hdr"].at, hdrs.count)
    if any(header.type not in _TYPES for header in headers):
        return None
    tunnel = max((n for n, header in enumerate(headers) if header.type in TUNNELS), default=-1)
    outer, inside = headers[: tunnel + 1], headers[tunnel + 1 :]
    if tunnel < 0:
        outer, inside = inside, outer
    level = HeaderLevel.INNER if hdrs.tunnel_level else HeaderLevel.OUTER
    chosen = outer
    if any(header.field_selector for header in inside):
        if any(header.field_selector for header in outer) or hdrs.tunnel_level:
            return None  # fields of two levels
        level, chosen = HeaderLevel.INNER, inside
    groups = _groups([header.type for header in chosen])
    fields = list(_fields(chosen))
    if groups is None or None in fields:
        return None
    found = tuple(sorted(field for field in fields if field is not None))
    if len({field for field, _ in found}) != len(found):
        return None  # a header twice at one level
    return FdirMatch(groups, level, found)


_TYPES = frozenset(int(kind) for kind in T if kind is not T.NONE)


def _groups(types: list[int]) -> tuple[PacketGroup, ...] | None:
    """The packets with these headers; None for two IP or two L4 headers, or L4 without IP."""
    ip = [kind for kind in types if kind in L3]
    l4 = [kind for kind in types if kind in L4 and not (kind == T.UDP and TUNNELS & set(types))]
    if len(ip) > 1 or len(l4) > 1 or (l4 and not ip):
        return None
    if TUNNELS & set(types):
        return (GROUPS[ip[0], T.UDP],) if ip else None
    if l4:
        return (GROUPS[ip[0], l4[0]],)
    return ALL_OF[ip[0] if ip else T.NONE]


def _fields(headers: list[ProtoHdr]) -> Iterator[tuple[HeaderField, int] | None]:
    """Each selected field with its value; None for one that the device does not know."""
    for header in headers:
        selected = header.field_selector
        while selected:
            low = selected & -selected
            selected ^= low
            known = _BY_NUMBER.get(header.type * 32 + low.bit_length() - 1)
            yield None if known is None else (known.field, known.value(header.buffer))


_BY_NUMBER = {int(field): where for field, where in FIELDS.items()}
