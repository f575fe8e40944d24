"""Frames and their checksums, made by the RFCs and by nothing of the adapter's."""

from dataclasses import dataclass
from itertools import pairwise

A, B = bytes([2, 0, 0, 0, 0, 1]), bytes([2, 0, 0, 0, 0, 2])
TCP, UDP, SCTP, ICMP, ICMP6 = 6, 17, 132, 1, 58
FIN, SYN, PSH, ACK, ECE, CWR = 1, 2, 8, 16, 64, 128
SRC4, DST4 = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])
SRC6, DST6 = (
    bytes.fromhex("20010db8000000000000000000000001"),
    bytes.fromhex("20010db8000000000000000000000002"),
)


def be(value: int, size: int = 2) -> bytes:
    return value.to_bytes(size, "big")


def fold(data: bytes, start: int = 0) -> int:
    """One's-complement sum of 16-bit words, not inverted (RFC 1071)."""
    data += b"\0" * (len(data) % 2)
    total = start + sum(int.from_bytes(data[n : n + 2], "big") for n in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def crc32c(data: bytes) -> bytes:
    """SCTP's checksum, as it stands in the packet (RFC 9260 appendix A)."""
    crc = 0xFFFF_FFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F6_3B78 if crc & 1 else 0)
    return (crc ^ 0xFFFF_FFFF).to_bytes(4, "little")


def ether(
    dst: bytes, src: bytes, payload: bytes, kind: int = 0x0800, tags: tuple[tuple[int, int], ...] = ()
) -> bytes:
    """An Ethernet frame without FCS; `tags` are (TPID, TCI), the outer one first."""
    return dst + src + b"".join(be(tpid) + be(tci) for tpid, tci in tags) + be(kind) + payload


def plain(
    dst: bytes = B, src: bytes = A, size: int = 60, fill: int = 0x5A, tags: tuple[tuple[int, int], ...] = ()
) -> bytes:
    """A frame of no known protocol (the local experimental ethertype), `size` bytes long with its tags."""
    head = ether(dst, src, b"", 0x88B5, tags)
    body = bytes((fill + n) & 0xFF for n in range(size - len(head)))
    return head + body


@dataclass(frozen=True)
class Ip:
    """Addresses and fields of an IP header; the version is that of the addresses."""

    src: bytes = SRC4
    dst: bytes = DST4
    ident: int = 0x1234
    ttl: int = 64
    options: bytes = b""
    fragment: int = 0

    @property
    def v4(self) -> bool:
        return len(self.src) == 4

    @property
    def kind(self) -> int:
        return 0x0800 if self.v4 else 0x86DD

    @property
    def size(self) -> int:
        return 20 + len(self.options) if self.v4 else 40

    def pseudo(self, protocol: int, length: int) -> int:
        """The pseudo-header's sum, not inverted."""
        return fold(self.src + self.dst + be(length, 4) + be(protocol, 4))

    def header(
        self, protocol: int, length: int | None, *, checksum: bool = True, ident: int | None = None
    ) -> bytes:
        """The header for `length` bytes of payload; None leaves the length zero, as for segmentation."""
        if not self.v4:
            return b"\x60\0\0\0" + be(length or 0) + bytes([protocol, self.ttl]) + self.src + self.dst
        total = 0 if length is None else self.size + length
        head = bytes([0x40 | self.size // 4, 0]) + be(total) + be(self.ident if ident is None else ident)
        head += be(self.fragment) + bytes([self.ttl, protocol])
        tail = self.src + self.dst + self.options
        value = 0xFFFF ^ fold(head + tail) if checksum else 0
        return head + be(value) + tail


V4, V6 = Ip(), Ip(SRC6, DST6)


def udp(
    ip: Ip, payload: bytes, *, sport: int = 4000, dport: int = 5000, checksum: int | None = None
) -> bytes:
    """A datagram with its right checksum, or the one that is given."""
    length = 8 + len(payload)
    head = be(sport) + be(dport) + be(length)
    value = (0xFFFF ^ fold(head + b"\0\0" + payload, ip.pseudo(UDP, length))) or 0xFFFF
    return head + be(value if checksum is None else checksum) + payload


def tcp(
    ip: Ip, payload: bytes, *, flags: int = ACK, seq: int = 1000, options: bytes = b"", sport: int = 4000,
    dport: int = 5000, checksum: int | None = None,
) -> bytes:  # fmt: skip
    """A segment with its right checksum, or the one that is given."""
    head = (
        be(sport)
        + be(dport)
        + be(seq, 4)
        + be(77, 4)
        + bytes([(20 + len(options)) // 4 << 4, flags])
        + be(512)
    )
    tail = b"\0\0" + options + payload
    value = 0xFFFF ^ fold(head + b"\0\0" + tail, ip.pseudo(TCP, len(head) + 2 + len(tail)))
    return head + be(value if checksum is None else checksum) + tail


def sctp(payload: bytes, *, checksum: bytes | None = None, sport: int = 4000, dport: int = 5000) -> bytes:
    """A packet with its right CRC-32c, or the one that is given."""
    head = be(sport) + be(dport) + be(99, 4)
    return head + (crc32c(head + bytes(4) + payload) if checksum is None else checksum) + payload


def packet(
    ip: Ip,
    protocol: int,
    payload: bytes,
    *,
    dst: bytes = B,
    src: bytes = A,
    tags: tuple[tuple[int, int], ...] = (),
) -> bytes:
    """A frame of an IP packet."""
    return ether(dst, src, ip.header(protocol, len(payload)) + payload, ip.kind, tags)


def udp_frame(
    payload: bytes = b"hello, world" * 3, ip: Ip = V4, dst: bytes = B, src: bytes = A, **ports: int
) -> bytes:
    return packet(ip, UDP, udp(ip, payload, **ports), dst=dst, src=src)


def tcp_frame(
    payload: bytes = b"hello, world" * 3, ip: Ip = V4, dst: bytes = B, src: bytes = A, **fields: int
) -> bytes:
    return packet(ip, TCP, tcp(ip, payload, **fields), dst=dst, src=src)


def padded(frame: bytes) -> bytes:
    """A frame as it is sent: at least 60 bytes long without its FCS."""
    return frame.ljust(60, b"\0")


def pattern(size: int) -> bytes:
    """Bytes that differ from place to place."""
    return bytes((n * 7 + (n >> 8)) & 0xFF for n in range(size))


def segments(
    ip: Ip,
    payload: bytes,
    mss: int,
    *,
    flags: int,
    seq: int = 1000,
    options: bytes = b"",
    noinc: bool = False,
    **ends: bytes,
) -> list[bytes]:
    """What segmentation must give: FIN and PSH on the last frame, CWR on the first, all else right."""
    cuts = [*range(0, len(payload), mss), len(payload)]
    found = []
    for n, (start, stop) in enumerate(pairwise(cuts)):
        kept = flags & ~(0 if n == 0 else CWR) & ~(0 if stop == len(payload) else FIN | PSH)
        body = tcp(ip, payload[start:stop], flags=kept, seq=seq + start & 0xFFFF_FFFF, options=options)
        head = ip.header(TCP, len(body), ident=ip.ident + (0 if noinc else n) & 0xFFFF)
        found.append(ether(ends.get("dst", B), ends.get("src", A), head + body, ip.kind))
    return found


TOEPLITZ_KEY = bytes.fromhex(
    "6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa"
).ljust(52, b"\0")


def toeplitz(data: bytes, key: bytes = TOEPLITZ_KEY) -> int:
    """The Toeplitz hash (Microsoft's RSS specification)."""
    window, result = int.from_bytes(key, "big"), 0
    width = 8 * len(key)
    for n in range(8 * len(data)):
        if data[n // 8] >> (7 - n % 8) & 1:
            result ^= window >> (width - 32 - n) & 0xFFFF_FFFF
    return result
