"""Random frames with scapy's lengths and checksums, and what a driver would hand down of each."""

import random
from dataclasses import dataclass, field
from typing import Any

from scapy.contrib.geneve import GENEVE
from scapy.layers.inet import IP, TCP, UDP, IPOption_NOP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrHopByHop, PadN
from scapy.layers.l2 import GRE, Dot1AD, Dot1Q, Ether
from scapy.layers.sctp import SCTP, SCTPChunkData
from scapy.layers.vxlan import VXLAN
from scapy.packet import Packet, Raw

TCP_CHECKSUM, UDP_CHECKSUM, SCTP_CHECKSUM = 16, 6, 8
FIN, PSH, CWR = 1, 8, 128


def random_mac(rng: random.Random) -> str:
    return "02:" + ":".join(f"{rng.randrange(256):02x}" for _ in range(5))


def random_ip(rng: random.Random, *, extensions: bool = True) -> Packet:
    """An IP header of either version, sometimes with options or extension headers."""
    if rng.random() < 0.5:
        options = [IPOption_NOP()] * (4 * rng.choice([0, 0, 1, 3]))
        return IP(
            src=".".join(str(rng.randrange(1, 255)) for _ in range(4)),
            dst=".".join(str(rng.randrange(1, 255)) for _ in range(4)),
            id=rng.randrange(1 << 16), ttl=rng.randrange(1, 256), tos=rng.randrange(256),
            flags=rng.choice([0, 2]), options=options,
        )  # fmt: skip
    word = [f"{rng.randrange(1 << 16):x}" for _ in range(16)]
    ip = IPv6(
        src=":".join(["2001", *word[1:8]]), dst=":".join(["2001", *word[9:16]]),
        fl=rng.randrange(1 << 20), tc=rng.randrange(256), hlim=rng.randrange(1, 256),
    )  # fmt: skip
    if extensions and rng.random() < 0.2:
        ip /= IPv6ExtHdrHopByHop(options=[PadN(optdata=bytes(4))])
    if extensions and rng.random() < 0.2:
        ip /= IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(4))])
    return ip


def random_transport(rng: random.Random, kinds: str = "tus") -> Packet:
    """A TCP, UDP or SCTP header, of the kinds whose letters are given."""
    # Ports that no dissector of tshark takes for a protocol: the payload is none.
    ports = {"sport": rng.randrange(52_000, 52_100), "dport": rng.randrange(52_000, 52_100)}
    match rng.choice(kinds):
        case "t":
            options = rng.choice(
                [[], [("NOP", None)] * 4, [("Timestamp", (1, 2)), ("NOP", None), ("NOP", None)]]
            )
            numbers = {"seq": rng.randrange(1 << 32), "ack": rng.randrange(1 << 32)}
            return TCP(
                flags=rng.randrange(256), window=rng.randrange(1 << 16), options=options, **ports, **numbers
            )
        case "u":
            return UDP(**ports)
    return SCTP(tag=rng.randrange(1 << 32), **ports)


def random_payload(rng: random.Random, most: int) -> bytes:
    """Letters, so that no heuristic of tshark takes them for a protocol."""
    size = rng.choice([0, 1, rng.randrange(most), rng.randrange(most), most])
    return bytes(rng.choices(range(ord("a"), ord("z") + 1), k=size))


def tunnel(rng: random.Random, inner_mac: tuple[str, str]) -> tuple[Packet, int, bool, str]:
    """Headers of a tunnel, its L4TUNT, whether it has UDP, and what kind of frame goes inside."""
    ether = Ether(src=inner_mac[0], dst=inner_mac[1])
    port = rng.randrange(49152, 65536)
    match rng.choice(["vxlan", "geneve", "gre", "nvgre", "ipip"]):
        case "vxlan":
            return (
                UDP(sport=port, dport=4789) / VXLAN(vni=rng.randrange(1 << 24), flags=8) / ether,
                1,
                True,
                "e",
            )
        case "geneve":
            return UDP(sport=port, dport=6081) / GENEVE(vni=rng.randrange(1 << 24)) / ether, 1, True, "e"
        case "gre":
            return GRE(), 2, False, "i"
        case "nvgre":
            head = GRE(key_present=1, key=rng.randrange(1 << 32), proto=0x6558)
            return head / ether, 2, False, "e"
    return Raw(b""), 0, False, "i"


@dataclass
class Sent:
    """A frame as it should leave, and what a driver gives the adapter for it."""

    frame: Packet
    outer: Packet  # the first IP header
    inner: Packet  # the IP header next to the transport header
    transport: Packet
    context: dict[str, int] = field(default_factory=dict)

    @property
    def expected(self) -> bytes:
        return bytes(self.frame)

    def offset(self, layer: Packet) -> int:
        """Where a header begins in the frame."""
        return len(self.expected) - len(layer)

    def fields(self, *, ipv4_checksum: bool) -> dict[str, int]:
        """What the data descriptors say (iavf_tx_csum, ice_tx_csum)."""
        at, l4 = self.offset(self.inner), self.offset(self.transport)
        kind = (3 if ipv4_checksum else 2) if isinstance(self.inner, IP) else 1
        header = len(self.transport) - len(self.transport.payload)
        return {
            "MACLEN": self.offset(self.outer) // 2, "IPLEN": (l4 - at) // 4, "L4LEN": header // 4,
            "IIPT": kind, "L4T": {TCP: 1, SCTP: 2, UDP: 3}[type(self.transport)],
        }  # fmt: skip

    def template(self, *, length: bool, ipv4_checksum: bool) -> bytearray:
        """The frame as a driver hands it down: sums of pseudo headers in place of checksums.

        Without `length` as for segmentation: no lengths, and sums that leave them out.
        """
        raw = bytearray(self.expected)
        at, l4 = self.offset(self.inner), self.offset(self.transport)
        if isinstance(self.inner, IP) and ipv4_checksum:
            raw[at + 10 : at + 12] = bytes(2)
        where = {TCP: TCP_CHECKSUM, UDP: UDP_CHECKSUM, SCTP: SCTP_CHECKSUM}[type(self.transport)]
        if isinstance(self.transport, SCTP):
            raw[l4 + where : l4 + where + 4] = bytes(4)
        else:
            protocol = 6 if isinstance(self.transport, TCP) else 17
            size = len(raw) - l4 if length else 0
            raw[l4 + where : l4 + where + 2] = pseudo(raw, at, protocol, size)
        if not length:
            clear_length(raw, at)
            if isinstance(self.transport, UDP):
                raw[l4 + 4 : l4 + 6] = bytes(2)
        return raw


def pseudo(raw: bytes, at: int, protocol: int, size: int) -> bytes:
    """The ones'-complement sum of a pseudo header (RFC 793, RFC 8200 8.1), of the IP header at an offset."""
    addresses = raw[at + 12 : at + 20] if raw[at] >> 4 == 4 else raw[at + 8 : at + 40]
    data = bytes(addresses) + size.to_bytes(4, "big") + protocol.to_bytes(4, "big")
    total = sum(int.from_bytes(data[n : n + 2], "big") for n in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total.to_bytes(2, "big")


def clear_length(raw: bytearray, at: int) -> None:
    """No length in the IP header at an offset, and no checksum of IPv4."""
    if raw[at] >> 4 == 4:
        raw[at + 2 : at + 4] = raw[at + 10 : at + 12] = bytes(2)
    else:
        raw[at + 4 : at + 6] = bytes(2)


def simple(
    rng: random.Random, macs: tuple[str, str], *, kinds: str = "tus", most: int = 1300, tag: bool = True
) -> Sent:
    """One IP packet, sometimes with a tag in front."""
    head = Ether(src=macs[0], dst=macs[1])
    if tag and rng.random() < 0.2:
        head /= Dot1Q(vlan=rng.randrange(1, 4095), prio=rng.randrange(8))
    transport = random_transport(rng, kinds)
    payload = random_payload(rng, most)
    data = SCTPChunkData(data=payload) if isinstance(transport, SCTP) else Raw(payload)
    return taken_apart(head / random_ip(rng) / transport / data)


def tunnelled(rng: random.Random, macs: tuple[str, str], *, kinds: str = "tus", most: int = 1100) -> Sent:
    """A packet in a tunnel, with the outer UDP checksum or without."""
    inside, kind, has_udp, what = tunnel(rng, (random_mac(rng), random_mac(rng)))
    outer, inner = random_ip(rng, extensions=False), random_ip(rng)
    checksum = has_udp and rng.random() < 0.5
    if has_udp and not checksum:
        inside[UDP].chksum = 0
    transport = random_transport(rng, kinds)
    payload = random_payload(rng, most)
    data = SCTPChunkData(data=payload) if isinstance(transport, SCTP) else Raw(payload)
    head = Ether(src=macs[0], dst=macs[1]) / outer
    frame = head / inner if what == "i" and not kind else head / inside / inner
    sent = taken_apart(frame / transport / data)
    outer, inner = sent.outer, sent.inner
    outer_size = len(outer) - len(outer.payload)
    sent.context = {
        "EIPT": 3 if isinstance(outer, IP) else 1, "EIPLEN": outer_size // 4, "L4TUNT": kind,
        "NATLEN": (sent.offset(inner) - sent.offset(outer) - outer_size) // 2, "L4T_CS": int(checksum),
        "EIP_NOINC": rng.randrange(2),
    }  # fmt: skip
    return sent


def taken_apart(built: Packet) -> Sent:
    """What scapy finds again in the bytes that it makes: so that all its automatic fields are there."""
    frame = Ether(bytes(built))
    headers = [layer for layer in layers(frame) if isinstance(layer, (IP, IPv6))]
    transports = [layer for layer in layers(frame) if isinstance(layer, (TCP, UDP, SCTP))]
    return Sent(frame, headers[0], headers[-1], transports[-1])


def layers(packet: Packet) -> list[Packet]:
    found: list[Packet] = []
    while packet:
        found.append(packet)
        packet = packet.payload
    return found


def cut(sent: Sent, mss: int) -> list[bytes]:
    """The segments that a frame should become: what differs is set, the rest is scapy's to compute."""
    payload = bytes(sent.transport.payload)
    pieces = [payload[n : n + mss] for n in range(0, len(payload), mss)]
    found = []
    for n, piece in enumerate(pieces):
        frame = Ether(sent.expected)
        headers = [layer for layer in layers(frame) if isinstance(layer, (IP, IPv6))]
        transports = [layer for layer in layers(frame) if isinstance(layer, (TCP, UDP))]
        transport = transports[-1]
        transport.remove_payload()
        transport.add_payload(Raw(piece))
        transport.chksum = None
        if isinstance(transport, TCP):
            transport.seq = (sent.transport.seq + n * mss) % (1 << 32)
            flags = int(sent.transport.flags)
            flags &= ~(FIN | PSH) if n + 1 < len(pieces) else 0xFF
            transport.flags = flags & (0xFF if n == 0 else ~CWR)
        for header in headers:
            constant = header is headers[0] and sent.context.get("EIP_NOINC", 0)
            renew(header, 0 if constant else n)
        for header in transports:
            if isinstance(header, UDP):
                header.len = None
                if header is transport or sent.context.get("L4T_CS"):
                    header.chksum = None
        found.append(bytes(frame))
    return found


def renew(header: Any, n: int) -> None:
    """Has scapy compute an IP header's lengths and checksum; the identification counts."""
    if isinstance(header, IP):
        header.len = header.chksum = None
        header.id = (header.id + n) % (1 << 16)
    else:
        header.plen = None


def tags(rng: random.Random, *, double: bool) -> list[tuple[type[Packet], int]]:
    """Kinds of tags with their TCI, the outer one first."""
    tci = rng.randrange(1 << 16)
    return [(Dot1AD, rng.randrange(1 << 16)), (Dot1Q, tci)] if double else [(Dot1Q, tci)]


def tagged(frame: bytes, *found: tuple[type[Packet], int]) -> bytes:
    """A frame with tags put in by scapy."""
    whole = Ether(frame)
    inside = whole.payload
    kind = whole.type
    whole.remove_payload()
    for tag, tci in found:
        whole /= tag(prio=tci >> 13, dei=tci >> 12 & 1, vlan=tci & 0xFFF)
    whole.type = 0x88A8 if found[0][0] is Dot1AD else 0x8100
    last = whole.lastlayer()
    last.type = kind
    for layer in layers(whole)[1:-1]:
        layer.type = 0x8100
    return bytes(whole) + bytes(inside)


def kind_of(frame: Packet) -> str:
    """The name that the table of packet types has for a frame, by the headers that scapy finds in it."""
    name, tunnelled, inside = "", False, ""
    for layer in layers(frame)[1:]:
        match layer:
            case IP() | IPv6():
                between = "_GRENAT" if tunnelled else "_IP"
                name += (between + inside if name else "") + "_" * bool(name)
                name += "IPV4" if isinstance(layer, IP) else "IPV6"
                last = layer
                tunnelled, inside = False, ""
            case GRE() | VXLAN() | GENEVE():
                tunnelled = True
            case Ether():
                inside = "_MAC"
            case Dot1Q() if inside:
                inside = "_MAC_VLAN"
    [transport] = [type(layer) for layer in layers(last) if isinstance(layer, (TCP, UDP, SCTP))]
    return name + "_" + transport.__name__


def wrong_checksums(raw: bytes) -> dict[str, bool]:
    """Which checksums of a frame are not scapy's, by the names of a receive descriptor's bits."""
    frame = Ether(raw)
    headers = [layer for layer in layers(frame) if isinstance(layer, (IP, IPv6))]
    transports = [layer for layer in layers(frame) if isinstance(layer, (TCP, UDP, SCTP))]
    wrong = {"IPE": differs(headers[-1]), "EIPE": len(headers) > 1 and differs(headers[0])}
    below = [layer for layer in transports if layer in layers(headers[-1])]
    wrong["L4E"] = bool(below) and differs(below[-1])
    outer = [layer for layer in transports if layer not in layers(headers[-1])]
    wrong["EUDPE"] = bool(outer) and outer[0].chksum != 0 and differs(outer[0])
    return wrong


def differs(layer: Any) -> bool:
    """Whether the checksum of a header is another than scapy computes; IPv6 has none."""
    if isinstance(layer, IPv6):
        return False
    told, layer.chksum = layer.chksum, None
    whole = layer
    while whole.underlayer is not None:
        whole = whole.underlayer
    at = len(whole) - len(layer)
    again = type(layer)(bytes(whole)[at:])
    layer.chksum = told
    return bool(again.chksum != told)
