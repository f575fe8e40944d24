"""Flow rules as ethtool writes and prints them (rxclass.c), as far as ice takes them (ice_ethtool_fdir.c)."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from errno import EINVAL, EOPNOTSUPP

from siov.drivers.ice.fdir import FdirFilter
from siov.drivers.ice.flow import PLACES, Pattern
from siov.host.linux import LinuxError
from siov.spec.e810.package import HeaderField, PacketGroup

F, G = HeaderField, PacketGroup
DROP = -1
VLAN_MASK = 0xFFF

# Of each flow type: the group of packets, and which field a name of the command line is about.
TYPES: dict[str, tuple[PacketGroup, dict[str, HeaderField]]] = {
    "ether": (G.L2, {"src": F.ETH_SRC, "dst": F.ETH_DST, "proto": F.ETH_ETHERTYPE}),
    "ip4": (G.IPV4_OTHER, {"src-ip": F.IPV4_SRC, "dst-ip": F.IPV4_DST}),
    "ip6": (G.IPV6_OTHER, {"src-ip": F.IPV6_SRC, "dst-ip": F.IPV6_DST}),
} | {
    f"{l4.lower()}{version}": (
        G[f"IPV{version}_{l4}"],
        {
            "src-ip": F[f"IPV{version}_SRC"], "dst-ip": F[f"IPV{version}_DST"],
            "src-port": F[f"{l4}_SRC_PORT"], "dst-port": F[f"{l4}_DST_PORT"],
        },
    )
    for l4 in ("TCP", "UDP", "SCTP")
    for version in (4, 6)
}  # fmt: skip
OTHERS = ("ah4", "esp4", "ah6", "esp6")
VALUES = (*{name for _, names in TYPES.values() for name in names}, "vlan")
UNSUPPORTED = ("tos", "tclass", "l4proto", "l4data", "spi", "vlan-etype", "user-def", "dst-mac")


@dataclass(slots=True, frozen=True)
class FlowSpec:
    """A rule: flow type, values by the names of the command line, queue or drop (-1), location or None."""

    type: str
    values: dict[str, int] = field(default_factory=dict)
    action: int = 0
    location: int | None = None

    @classmethod
    def parse(cls, words: Sequence[str]) -> FlowSpec:
        """The rule of `flow-type tcp4 dst-port 80 action 2 loc 5`.

        A mask (`m 0xff`) has the bits that do not count. EINVAL for words that ethtool would not take or a
        rule about nothing, EOPNOTSUPP for what it takes and ice does not.
        """
        if len(words) < 2 or words[0] != "flow-type":
            raise LinuxError(EINVAL, f"a rule begins with flow-type and one of {', '.join(TYPES)}")
        kind = words[1]
        if kind not in TYPES:
            errno = EOPNOTSUPP if kind in OTHERS else EINVAL
            raise LinuxError(errno, f"flow type {kind} can't be filtered; have {', '.join(TYPES)}")
        values: dict[str, int] = {}
        action, location, rest = 0, None, list(words[2:])
        while rest:
            name, value, mask = _next(rest)
            if name in ("vf", "queue"):
                raise LinuxError(EOPNOTSUPP, "a rule's queue is the interface's own: use action")
            if name in UNSUPPORTED:
                raise LinuxError(EOPNOTSUPP, f"ice does not filter by {name}")
            if name == "action":
                action = _number(name, value, least=DROP)
            elif name == "loc":
                location = _number(name, value)
            elif name in (*TYPES[kind][1], "vlan"):
                if _counts(kind, name, mask):
                    values[name] = _value(kind, name, value)
            else:
                raise LinuxError(
                    EINVAL, f"{kind} rules know no {name}; they know {', '.join(TYPES[kind][1])}"
                )
        if not values:
            raise LinuxError(EINVAL, f"a {kind} rule that names no value matches everything; name one")
        return cls(kind, values, action, location)

    def filter(self) -> FdirFilter:
        """The filter that does it."""
        group, names = TYPES[self.type]
        fields = {F.C_VLAN_ID if n == "vlan" else names[n]: value for n, value in self.values.items()}
        if self.action == DROP:
            return FdirFilter(Pattern(group, fields), drop=True, count=True)
        return FdirFilter(Pattern(group, fields), queue=self.action, count=True)

    def render(self, location: int) -> str:
        """What `ethtool -n` prints of it."""
        lines = [f"Filter: {location}", *self._lines()]
        if "vlan" in self.values:
            lines += [
                "\tVLAN EtherType: 0x0 mask: 0xffff",
                f"\tVLAN: {self.values['vlan']:#x} mask: {0xFFFF & ~VLAN_MASK:#x}",
                "\tUser-defined: 0x0 mask: 0xffffffffffffffff",
            ]
        lines.append("\tAction: Drop" if self.action == DROP else f"\tAction: Direct to queue {self.action}")
        return "\n".join([*lines, "", ""])

    def _lines(self) -> list[str]:
        if self.type == "ether":
            kind, mask = self.values.get("proto", 0), 0 if "proto" in self.values else 0xFFFF
            return [
                "\tFlow Type: Raw Ethernet",
                f"\tSrc MAC addr: {self._mac('src')}",
                f"\tDest MAC addr: {self._mac('dst')}",
                f"\tEthertype: 0x{kind:X} mask: 0x{mask:X}",
            ]
        version = self.type[-1]
        over = self.type[:-1]
        name = f"Raw IPv{version}" if over == "ip" else f"{over.upper()} over IPv{version}"
        service = "TOS" if version == "4" else "Traffic Class"
        lines = [
            f"\tRule Type: {name}",
            f"\tSrc IP addr: {self._ip('src-ip', version)}",
            f"\tDest IP addr: {self._ip('dst-ip', version)}",
            f"\t{service}: 0x0 mask: 0xff",
        ]
        if over == "ip":
            return [*lines, "\tProtocol: 0 mask: 0xff", "\tL4 bytes: 0x0 mask: 0xffffffff"]
        return [*lines, f"\tSrc port: {self._port('src-port')}", f"\tDest port: {self._port('dst-port')}"]

    def _port(self, name: str) -> str:
        return f"{self.values.get(name, 0)} mask: 0x{0 if name in self.values else 0xFFFF:x}"

    def _ip(self, name: str, version: str) -> str:
        address = ipaddress.IPv4Address if version == "4" else ipaddress.IPv6Address
        ones = (1 << (32 if version == "4" else 128)) - 1
        return f"{address(self.values.get(name, 0))} mask: {address(0 if name in self.values else ones)}"

    def _mac(self, name: str) -> str:
        value = self.values.get(name, 0).to_bytes(6, "big").hex(":").upper()
        return f"{value} mask: {bytes(6).hex(':') if name in self.values else 'FF:FF:FF:FF:FF:FF'}"


def _next(rest: list[str]) -> tuple[str, str, str | None]:
    """Name, value and mask off the front."""
    if len(rest) < 2:
        raise LinuxError(EINVAL, f"{rest[0]} takes a value")
    name, value = rest.pop(0), rest.pop(0)
    mask = None
    if rest and rest[0] in ("m", f"{name}-mask"):
        if len(rest) < 2:
            raise LinuxError(EINVAL, f"the mask of {name} takes a value")
        rest.pop(0)
        mask = rest.pop(0)
    return name, value, mask


def _number(name: str, value: str, *, least: int = 0, most: int = 1 << 64) -> int:
    try:
        number = int(value, 0)
    except ValueError:
        raise LinuxError(EINVAL, f"{name} takes a number, not {value}") from None
    if not least <= number <= most:
        raise LinuxError(EINVAL, f"{name} can't be {value}; it is {least} to {most:#x}")
    return number


def _value(kind: str, name: str, value: str) -> int:
    """A value of the command line as a number."""
    try:
        if name.endswith("-ip"):
            version = ipaddress.IPv4Address if kind.endswith("4") else ipaddress.IPv6Address
            return int(version(value))
        if name in ("src", "dst"):
            parts = [int(part, 16) for part in value.split(":")]
            if len(parts) != 6 or max(parts) > 0xFF:
                raise ValueError
            return int.from_bytes(bytes(parts), "big")
    except ValueError:
        raise LinuxError(EINVAL, f"{name} {value} is no address of a {kind} rule") from None
    return _number(name, value, most=VLAN_MASK if name == "vlan" else 0xFFFF)


def _counts(kind: str, name: str, mask: str | None) -> bool:
    """Whether a value with this mask counts: all of its bits, or none; else EOPNOTSUPP."""
    if mask is None:
        return True
    which = TYPES[kind][1].get(name)
    ones = 0xFFFF if which is None else (1 << 8 * PLACES[which][1]) - 1
    ignored = _number(name, mask, most=0xFFFF) if name == "vlan" else _value(kind, name, mask)
    if name == "vlan" and ignored == 0xFFFF & ~VLAN_MASK:
        return True
    if ignored not in (0, ones):
        raise LinuxError(EOPNOTSUPP, f"ice compares all of {name} or nothing: not with mask {mask}")
    return not ignored
