"""Patterns of packets: headers and fields as virtchnl names them, as the package's groups and fields."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from errno import EINVAL, EOPNOTSUPP
from typing import TypeAlias

from siov.host.linux import LinuxError
from siov.spec.e810.package import HeaderField, HeaderLevel, PacketGroup
from siov.spec.virtchnl import ProtoHdr, ProtoHdrField, ProtoHdrType

# The fields of the package that are a virtchnl field by another name.
RENAMED = {"GTPU_IP_TEID": "GTPU_TEID"}

# Where a field is in its header: byte offset, bytes, and how far right in them.
PLACES: dict[HeaderField, tuple[int, int, int]] = {
    HeaderField.ETH_DST: (0, 6, 0),
    HeaderField.ETH_SRC: (6, 6, 0),
    HeaderField.ETH_ETHERTYPE: (12, 2, 0),
    HeaderField.S_VLAN_ID: (0, 2, 0),
    HeaderField.C_VLAN_ID: (0, 2, 0),
    HeaderField.IPV4_DSCP: (1, 1, 2),
    HeaderField.IPV4_TTL: (8, 1, 0),
    HeaderField.IPV4_PROT: (9, 1, 0),
    HeaderField.IPV4_SRC: (12, 4, 0),
    HeaderField.IPV4_DST: (16, 4, 0),
    HeaderField.IPV6_TC: (0, 2, 4),
    HeaderField.IPV6_PROT: (6, 1, 0),
    HeaderField.IPV6_HOP_LIMIT: (7, 1, 0),
    HeaderField.IPV6_SRC: (8, 16, 0),
    HeaderField.IPV6_DST: (24, 16, 0),
    HeaderField.TCP_SRC_PORT: (0, 2, 0),
    HeaderField.TCP_DST_PORT: (2, 2, 0),
    HeaderField.UDP_SRC_PORT: (0, 2, 0),
    HeaderField.UDP_DST_PORT: (2, 2, 0),
    HeaderField.SCTP_SRC_PORT: (0, 2, 0),
    HeaderField.SCTP_DST_PORT: (2, 2, 0),
    HeaderField.ESP_SPI: (0, 4, 0),
}
WIDTHS = {
    HeaderField.S_VLAN_ID: 12,
    HeaderField.C_VLAN_ID: 12,
    HeaderField.IPV6_TC: 8,
    HeaderField.IPV4_DSCP: 6,
}

# The groups of packets by their network and transport header.
GROUPS = {
    ("IPV4", None): PacketGroup.IPV4_OTHER,
    ("IPV4", "UDP"): PacketGroup.IPV4_UDP,
    ("IPV4", "TCP"): PacketGroup.IPV4_TCP,
    ("IPV4", "SCTP"): PacketGroup.IPV4_SCTP,
    ("IPV4", "ESP"): PacketGroup.IPV4_ESP,
    ("IPV6", None): PacketGroup.IPV6_OTHER,
    ("IPV6", "UDP"): PacketGroup.IPV6_UDP,
    ("IPV6", "TCP"): PacketGroup.IPV6_TCP,
    ("IPV6", "SCTP"): PacketGroup.IPV6_SCTP,
    ("IPV6", "ESP"): PacketGroup.IPV6_ESP,
    (None, None): PacketGroup.L2,
}
NETWORK = (ProtoHdrType.IPV4, ProtoHdrType.IPV6)
TRANSPORT = (ProtoHdrType.TCP, ProtoHdrType.UDP, ProtoHdrType.SCTP, ProtoHdrType.ESP)
LINK = (ProtoHdrType.ETH, ProtoHdrType.S_VLAN, ProtoHdrType.C_VLAN)


@dataclass(slots=True, frozen=True)
class Header:
    """A header of a pattern: what it is, which of its fields count (a bit each), and the header's bytes."""

    type: ProtoHdrType
    selector: int = 0
    data: bytes = b""

    @classmethod
    def of(cls, raw: ProtoHdr) -> Header:
        """Out of a virtchnl message; EINVAL for a header that virtchnl does not know."""
        if raw.type not in set(ProtoHdrType):
            raise LinuxError(EINVAL, f"protocol header {raw.type} is not known to virtchnl")
        return cls(ProtoHdrType(raw.type), raw.field_selector, raw.buffer)

    def fields(self) -> list[HeaderField]:
        """The fields that count, as the package names them; EINVAL for a bit that is no field."""
        found = []
        for n in range(32):
            if self.selector >> n & 1:
                number = self.type * 32 + n
                if number not in set(ProtoHdrField):
                    raise LinuxError(EINVAL, f"{self.type.name} has no field {n}")
                name = ProtoHdrField(number).name
                found.append(HeaderField[RENAMED.get(name, name)])
        return found

    def value(self, which: HeaderField) -> int:
        """A field's value; EOPNOTSUPP for one whose place is not fixed."""
        if which not in PLACES:
            raise LinuxError(EOPNOTSUPP, f"flows can't be told apart by {which.name} here")
        at, size, shift = PLACES[which]
        value = int.from_bytes(self.data[at : at + size].ljust(size, b"\0"), "big") >> shift
        return value & (1 << WIDTHS.get(which, 8 * size)) - 1


PatternKey: TypeAlias = tuple[PacketGroup, HeaderLevel, tuple[tuple[HeaderField, int], ...]]


@dataclass(slots=True, frozen=True)
class Pattern:
    """Packets of a group, and values of fields that tell them from others of it."""

    group: PacketGroup
    values: Mapping[HeaderField, int] = field(default_factory=dict)
    level: HeaderLevel = HeaderLevel.OUTER

    @property
    def fields(self) -> int:
        """The fields, a bit each."""
        return bits_of(self.values)

    def key(self) -> PatternKey:
        """What makes it that pattern."""
        return self.group, self.level, tuple(sorted(self.values.items()))

    @classmethod
    def of(cls, headers: Sequence[Header], tunnel_level: int = 0) -> Pattern:
        """The pattern that headers of a virtchnl filter describe, from the outside in.

        EINVAL for headers in no order that packets have, EOPNOTSUPP for those that there is no group for.
        """
        values = {which: header.value(which) for header in headers for which in header.fields()}
        return cls(group_of(headers, tunnel_level), values)


def bits_of(fields: Iterable[HeaderField]) -> int:
    """A set of fields as the package has it, bit n for field n."""
    return sum(1 << which for which in set(fields))


def group_of(headers: Sequence[Header], tunnel_level: int = 0) -> PacketGroup:
    """The group of packets with these headers, from the outside in; EINVAL, or EOPNOTSUPP for tunnels."""
    if tunnel_level:
        raise LinuxError(
            EOPNOTSUPP, f"headers inside tunnel {tunnel_level}: only the outermost are looked at"
        )
    kinds = [header.type for header in headers]
    for kind in kinds:
        if kind not in LINK + NETWORK + TRANSPORT:
            raise LinuxError(EOPNOTSUPP, f"there is no group of packets with {kind.name} headers")
    order = [LINK.index(k) if k in LINK else 3 if k in NETWORK else 4 for k in kinds]
    network = next((kind.name for kind in kinds if kind in NETWORK), None)
    transport = next((kind.name for kind in kinds if kind in TRANSPORT), None)
    if order != sorted(set(order)) or (network, transport) not in GROUPS or not kinds:
        raise LinuxError(EINVAL, f"no packet has headers {', '.join(k.name for k in kinds) or 'of no kind'}")
    return GROUPS[network, transport]
