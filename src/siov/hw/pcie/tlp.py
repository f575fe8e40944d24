"""Transaction layer packets as values: what travels between the root complex, ports and functions."""

from dataclasses import dataclass, replace

from siov.spec.pcie.tlp import (
    CompletionStatus,
    MessageCode,
    TlpCompleter,
    TlpCompletionRequester,
    TlpConfigTarget,
    TlpFirst,
    TlpMessage,
    TlpRequester,
    TlpType,
)


@dataclass(slots=True, frozen=True, order=True)
class Bdf:
    """Bus, device and function; its number is a routing id, as in a Requester ID (PCIe 2.2.4.2)."""

    bus: int
    device: int
    function: int

    @classmethod
    def of(cls, rid: int) -> "Bdf":
        """Out of a 16-bit routing id."""
        return cls(rid >> 8, rid >> 3 & 0x1F, rid & 7)

    def __int__(self) -> int:
        return self.bus << 8 | self.device << 3 | self.function

    def __str__(self) -> str:
        return f"{self.bus:02x}:{self.device:02x}.{self.function:x}"


def byte_enables(address: int, size: int) -> tuple[int, int, int]:
    """Length in double words, first and last byte enables of `size` bytes at an address (PCIe 2.2.5)."""
    first, last = address & 3, (address + size - 1) & 3
    words = (first + size + 3) // 4
    head = 0xF << first & 0xF
    tail = 0xF >> 3 - last
    return (1, head & tail, 0) if words == 1 else (words, head, tail)


@dataclass(slots=True, frozen=True)
class MRd:
    """Memory Read Request of `size` bytes."""

    requester: Bdf
    address: int
    size: int
    tag: int = 0

    def header(self) -> tuple[int, ...]:
        """The header's double words."""
        return _memory_header(self, (TlpType.MRd32, TlpType.MRd64), self.size)


@dataclass(slots=True, frozen=True)
class MWr:
    """Memory Write Request; posted, and so without a completion."""

    requester: Bdf
    address: int
    data: bytes
    tag: int = 0

    def header(self) -> tuple[int, ...]:
        """The header's double words."""
        return _memory_header(self, (TlpType.MWr32, TlpType.MWr64), len(self.data))


@dataclass(slots=True, frozen=True)
class CfgRd:
    """Configuration Read Request of `size` bytes inside one double word: type 0 at its bus, 1 on the way."""

    requester: Bdf
    target: Bdf
    register: int  # byte offset
    size: int
    kind: int
    tag: int = 0

    def header(self) -> tuple[int, ...]:
        """The header's double words."""
        return _config_header(self, (TlpType.CfgRd0, TlpType.CfgRd1), self.size)


@dataclass(slots=True, frozen=True)
class CfgWr:
    """Configuration Write Request inside one double word."""

    requester: Bdf
    target: Bdf
    register: int
    data: bytes
    kind: int
    tag: int = 0

    def header(self) -> tuple[int, ...]:
        """The header's double words."""
        return _config_header(self, (TlpType.CfgWr0, TlpType.CfgWr1), len(self.data))


@dataclass(slots=True, frozen=True)
class Msg:
    """An error message, routed to the root complex."""

    requester: Bdf
    code: MessageCode

    def header(self) -> tuple[int, ...]:
        """The header's double words."""
        first = TlpFirst.of(TYPE=TlpType.Msg)
        return first.raw, TlpMessage.of(CODE=self.code, RID=int(self.requester)).raw, 0, 0


@dataclass(slots=True, frozen=True)
class Cpl:
    """Completion of a non-posted request; with data it is a CplD."""

    completer: Bdf
    requester: Bdf
    status: CompletionStatus = CompletionStatus.SC
    data: bytes = b""
    tag: int = 0
    address: int = 0  # of the first byte

    def header(self) -> tuple[int, ...]:
        """The header's double words."""
        words = byte_enables(self.address, len(self.data))[0] if self.data else 0
        kind = TlpType.CplD if self.data else TlpType.Cpl
        completer = TlpCompleter.of(
            CID=int(self.completer), STATUS=self.status, BYTE_COUNT=len(self.data) & 0xFFF if self.data else 4
        )
        requester = TlpCompletionRequester.of(
            RID=int(self.requester), TAG=self.tag, LOWER_ADDRESS=self.address & 0x7F
        )
        return TlpFirst.of(TYPE=kind, LENGTH=words & 0x3FF).raw, completer.raw, requester.raw


Config = CfgRd | CfgWr
Memory = MRd | MWr
Request = MRd | MWr | CfgRd | CfgWr
Tlp = MRd | MWr | CfgRd | CfgWr | Msg | Cpl


def complete(
    request: Request, completer: Bdf, data: bytes = b"", status: CompletionStatus = CompletionStatus.SC
) -> Cpl | None:
    """The completion of a request, or `None` for a posted one."""
    match request:
        case MWr():
            return None
        case MRd():
            return Cpl(completer, request.requester, status, data, request.tag, request.address)
        case _:
            return Cpl(completer, request.requester, status, data, request.tag)


def as_type0(request: Config) -> Config:
    """A configuration request that has reached its bus."""
    return replace(request, kind=0)


def _memory_header(request: Memory, kinds: tuple[TlpType, TlpType], size: int) -> tuple[int, ...]:
    words, first_be, last_be = byte_enables(request.address, size)
    wide = request.address >> 32 != 0
    first = TlpFirst.of(TYPE=kinds[wide], LENGTH=words & 0x3FF)
    second = TlpRequester.of(RID=int(request.requester), TAG=request.tag, FIRST_BE=first_be, LAST_BE=last_be)
    low = request.address & 0xFFFF_FFFC
    return (first.raw, second.raw, request.address >> 32, low) if wide else (first.raw, second.raw, low)


def _config_header(request: Config, kinds: tuple[TlpType, TlpType], size: int) -> tuple[int, ...]:
    _, first_be, _ = byte_enables(request.register, size)
    first = TlpFirst.of(TYPE=kinds[request.kind], LENGTH=1)
    second = TlpRequester.of(RID=int(request.requester), TAG=request.tag, FIRST_BE=first_be)
    target = TlpConfigTarget.of(BDF=int(request.target), REGISTER=request.register >> 2)
    return first.raw, second.raw, target.raw
