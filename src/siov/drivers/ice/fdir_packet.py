"""The packet that shows hardware which packets a filter is about (ice_fdir_get_gen_prgm_pkt)."""

from __future__ import annotations

from collections.abc import Mapping
from errno import EINVAL, EOPNOTSUPP

from siov.drivers.ice.flow import PLACES
from siov.host.linux import LinuxError
from siov.spec.e810.package import HeaderField, HeaderLevel, PacketGroup

F = HeaderField
ETH_P_IP, ETH_P_IPV6, ETH_P_8021Q, ETH_P_8021AD = 0x0800, 0x86DD, 0x8100, 0x88A8
NO_PROTOCOL = 253  # for experiments (RFC 3692): IP with nothing that is known
NO_ETHERTYPE = 0x88B5  # the local experimental one
PROTOCOLS = {"TCP": 6, "UDP": 17, "SCTP": 132, "ESP": 50}
NOT_OTHER = frozenset({*PROTOCOLS.values(), 0, 4, 41, 43, 44, 47, 51, 60, 89})  # have groups, or tunnel
LENGTHS = {"TCP": 20, "UDP": 8, "SCTP": 12, "ESP": 8}

# Hardware sees the packet from the transmitter's side, as SWAP of the descriptor says.
SWAPPED = {
    one: other
    for first, second in (
        (F.IPV4_SRC, F.IPV4_DST), (F.IPV6_SRC, F.IPV6_DST), (F.TCP_SRC_PORT, F.TCP_DST_PORT),
        (F.UDP_SRC_PORT, F.UDP_DST_PORT), (F.SCTP_SRC_PORT, F.SCTP_DST_PORT),
    )
    for one, other in ((first, second), (second, first))
}  # fmt: skip


def training_packet(group: PacketGroup, level: HeaderLevel, values: Mapping[HeaderField, int]) -> bytes:
    """A frame of a group whose fields have these values, seen from the transmitter.

    EOPNOTSUPP for groups or fields that no filter can be about, EINVAL for a value that makes another group
    of it.
    """
    if level is not HeaderLevel.OUTER or group.name.endswith("FRAG"):
        raise LinuxError(EOPNOTSUPP, f"no filter can be about {group.name} packets at level {level.name}")
    network, _, transport = group.name.partition("_")
    fields = {SWAPPED.get(which, which): value for which, value in values.items()}
    _check_fields(network, transport, group, fields)
    payload = _transport(transport, fields)
    if network == "IPV4":
        return _ethernet(ETH_P_IP, fields, _ipv4(_protocol(F.IPV4_PROT, transport, fields), fields, payload))
    if network == "IPV6":
        return _ethernet(
            ETH_P_IPV6, fields, _ipv6(_protocol(F.IPV6_PROT, transport, fields), fields, payload)
        )
    kind = fields.get(F.ETH_ETHERTYPE, NO_ETHERTYPE)
    if kind in (ETH_P_IP, ETH_P_IPV6, ETH_P_8021Q, ETH_P_8021AD) or kind < 0x600:
        raise LinuxError(EINVAL, f"ethertype {kind:#06x} is of no {group.name} packet")
    return _ethernet(kind, fields, bytes(46))


def _check_fields(
    network: str, transport: str, group: PacketGroup, fields: Mapping[HeaderField, int]
) -> None:
    mine = ("ETH", "S_VLAN", "C_VLAN", network, transport)
    for which, value in fields.items():
        if which not in PLACES or not which.name.startswith(mine):
            raise LinuxError(EOPNOTSUPP, f"{group.name} packets can't be told apart by {which.name}")
        if value < 0 or value >> 8 * PLACES[which][1]:
            raise LinuxError(EINVAL, f"{which.name} can't be {value:#x}")


def _protocol(which: HeaderField, transport: str, fields: Mapping[HeaderField, int]) -> int:
    default = PROTOCOLS.get(transport, NO_PROTOCOL)
    value = fields.get(which, default)
    if value != default and (transport in PROTOCOLS or value in NOT_OTHER):
        raise LinuxError(EINVAL, f"protocol {value} is of another group of packets than the filter")
    return value


def _ethernet(kind: int, fields: Mapping[HeaderField, int], payload: bytes) -> bytes:
    frame = _put(bytes(12), fields, F.ETH_DST, F.ETH_SRC)
    for which, tpid in ((F.S_VLAN_ID, ETH_P_8021AD), (F.C_VLAN_ID, ETH_P_8021Q)):
        if which in fields:
            frame += tpid.to_bytes(2, "big") + _put(bytes(2), fields, which)
    return (frame + kind.to_bytes(2, "big") + payload).ljust(60, b"\0")


def _ipv4(protocol: int, fields: Mapping[HeaderField, int], payload: bytes) -> bytes:
    head = (
        bytes([0x45, 0])
        + (20 + len(payload)).to_bytes(2, "big")
        + bytes(4)
        + bytes([64, protocol])
        + bytes(10)
    )
    return _put(head, fields, F.IPV4_DSCP, F.IPV4_TTL, F.IPV4_SRC, F.IPV4_DST) + payload


def _ipv6(protocol: int, fields: Mapping[HeaderField, int], payload: bytes) -> bytes:
    head = b"\x60\0\0\0" + len(payload).to_bytes(2, "big") + bytes([protocol, 64]) + bytes(32)
    return _put(head, fields, F.IPV6_TC, F.IPV6_HOP_LIMIT, F.IPV6_SRC, F.IPV6_DST) + payload


def _transport(transport: str, fields: Mapping[HeaderField, int]) -> bytes:
    payload = bytes(LENGTHS.get(transport, 16))
    if transport == "TCP":
        payload = payload[:12] + b"\x50" + payload[13:]
    if transport == "UDP":
        payload = bytes(4) + len(payload).to_bytes(2, "big") + bytes(2)
    return _put(payload, fields, *(which for which in HeaderField if which.name.startswith(transport or "?")))


def _put(header: bytes, fields: Mapping[HeaderField, int], *which: HeaderField) -> bytes:
    """A header with the values of those of these fields that are given."""
    data = bytearray(header)
    for one in which:
        if one in fields:
            at, size, shift = PLACES[one]
            old = int.from_bytes(data[at : at + size], "big")
            data[at : at + size] = (old | fields[one] << shift).to_bytes(size, "big")
    return bytes(data)
