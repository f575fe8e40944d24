"""Configuration space: composed of a header and capabilities, linked and masked as the specification says."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from siov._core import RegFile
from siov.spec.pcie import CapabilityId, CommonHeader, ExtendedCapabilityHeader, ExtendedCapabilityId, Type0
from siov.spec.pcie.capability import CapabilityHeader
from siov.spec.pcie.header import BarType, MemoryBar, RomBar
from siov.spec.word import Access, RegisterBlock, Word

LEGACY_SIZE = 0x100
SIZE = 0x1000

W = TypeVar("W", bound=Word)


@dataclass(slots=True, frozen=True)
class Bar:
    """A memory BAR: `size` bytes (a power of two, 16 or more) at a 32- or 64-bit address.

    Raises `ValueError` naming the BAR and what is allowed.
    """

    index: int
    size: int
    wide: bool = True
    prefetchable: bool = False

    def __post_init__(self) -> None:
        if self.size < 16 or self.size & (self.size - 1):
            raise ValueError(
                f"BAR {self.index} of {self.size} bytes: a BAR's size is a power of two, 16 or more"
            )
        if not self.wide and self.size > 1 << 31:
            raise ValueError(f"BAR {self.index} of {self.size} bytes: a 32-bit BAR is 2 GiB at most")
        if self.size > 1 << 63:
            raise ValueError(f"BAR {self.index} of {self.size} bytes: a 64-bit BAR is 8 EiB at most")


@dataclass(slots=True, frozen=True)
class Capability:
    """A capability to put into a configuration space.

    `values` are the words that differ from their reset value, by register name; `rw` are masks of bits
    that are writable in this function though the specification's class says read-only, or the reverse.
    """

    id: CapabilityId | ExtendedCapabilityId
    block: type[RegisterBlock]
    values: Mapping[str, Word] = field(default_factory=dict)
    rw: Mapping[str, int] = field(default_factory=dict)
    version: int = 1  # of an extended capability
    at: int | None = None  # None: behind the one before

    @property
    def extended(self) -> bool:
        """Whether it stands in the extended configuration space."""
        return isinstance(self.id, ExtendedCapabilityId)


class ConfigSpace:
    """A function's configuration space: a register file, with the place of each word known.

    A word is read and set by its class: `config[Type0.COMMAND].MSE`. `regs` is the register file itself,
    whose names are those of the header (`COMMAND`, `BAR0`) and, for capabilities, with the block in front
    (`Express.DEVCTL`).
    """

    def __init__(
        self,
        header: type[CommonHeader],
        values: Mapping[str, Word | int],
        capabilities: Sequence[Capability] = (),
        bars: Sequence[Bar] = (),
        rom: int = 0,
    ) -> None:
        self._names: dict[type[Word], str] = {}
        self._values = values
        self._bar_masks = dict(_bar_registers(bars))
        self._offsets: dict[tuple[bool, int], int] = {}
        places = _places([c for c in capabilities if not c.extended], 0x40, LEGACY_SIZE)
        extended = _places([c for c in capabilities if c.extended], LEGACY_SIZE, SIZE)
        if extended and extended[0][1] != LEGACY_SIZE:
            name = extended[0][0].block.__name__
            raise ValueError(f"the {name} capability is the first extended one: it stands at 0x100")
        rows = list(self._header(header, rom, places[0][1] if places else 0))
        rows += self._chain(places)
        rows += self._chain(extended)
        self.regs = RegFile(SIZE, rows)

    def __getitem__(self, word: type[W]) -> W:
        return word(self.regs.get(self._names[word]))

    def __setitem__(self, word: type[W], value: W) -> None:
        self.regs.set(self._names[word], value.raw)

    def __contains__(self, word: type[Word]) -> bool:
        return word in self._names

    def update(self, word: type[Word], **fields: int) -> None:
        """Change some fields of a word, as hardware does."""
        self[word] = self[word].replace(**fields)

    def dump(self) -> bytes:
        """All 4,096 bytes, as software reads them."""
        return self.regs.read(0, SIZE)

    def name_of(self, word: type[Word]) -> str:
        """The register file's name of a word."""
        return self._names[word]

    def find_capability(self, which: CapabilityId | ExtendedCapabilityId) -> int | None:
        """The offset of a capability, None without it."""
        return self._offsets.get(_key(which))

    def _header(self, block: type[CommonHeader], rom: int, first: int) -> Iterator["Row"]:
        rom_mask = RomBar.BASE.mask & ~(rom - 1) | RomBar.EN.mask if rom else 0
        for name, word, at in _words(block):
            value = self._values.get(name, word.initial())
            reset, masks = int(value), _Masks.of(word)
            if word is MemoryBar:
                reset, writable = self._bar_masks.get(name, (0, 0))
                masks = _Masks(writable, 0, 0)
            elif word is RomBar:
                masks = _Masks(rom_mask, 0, 0)
            elif word is CommonHeader.CAP_PTR:
                reset = first
            elif word is CommonHeader.STATUS and not first:
                reset = 0
            yield self._row(name, word, at, reset, masks)

    def _chain(self, places: Sequence[tuple[Capability, int]]) -> Iterator["Row"]:
        for n, (capability, base) in enumerate(places):
            following = places[n + 1][1] if n + 1 < len(places) else 0
            self._offsets.setdefault(_key(capability.id), base)
            for name, word, at in _words(capability.block):
                reset = int(capability.values.get(name, word.initial()))
                masks = _Masks.of(word)
                if name == "HEADER" and word is ExtendedCapabilityHeader:
                    reset = word.of(ID=capability.id, VERSION=capability.version, NEXT=following).raw
                elif name == "HEADER" and word is CapabilityHeader:
                    reset = word.of(ID=capability.id, NEXT=following).raw
                elif name in capability.rw:
                    masks = _Masks(capability.rw[name], masks.rw1c, masks.sticky)
                yield self._row(f"{capability.block.__name__}.{name}", word, base + at, reset, masks)

    def _row(self, name: str, word: type[Word], at: int, reset: int, masks: "_Masks") -> "Row":
        self._names.setdefault(word, name)
        return name, at, word.width // 8, reset, masks.rw, masks.rw1c, masks.sticky


def register_row(name: str, word: type[Word], at: int) -> "Row":
    """A word at a byte offset as RegFile takes it, with the reset value and access kinds of its class."""
    masks = _Masks.of(word)
    return name, at, word.width // 8, word.initial().raw, masks.rw, masks.rw1c, masks.sticky


# A register as RegFile takes it: name, offset, size, reset value, RW, RW1C and sticky masks.
Row = tuple[str, int, int, int, int, int, int]


@dataclass(slots=True, frozen=True)
class _Masks:
    rw: int
    rw1c: int
    sticky: int

    @classmethod
    def of(cls, word: type[Word]) -> "_Masks":
        sticky = (kind for kind in Access if kind.sticky)
        return cls(word.mask(Access.RW, Access.RWS), word.mask(Access.RW1C, Access.RW1CS), word.mask(*sticky))


def _key(which: CapabilityId | ExtendedCapabilityId) -> tuple[bool, int]:
    # As numbers the two kinds overlap: PM and AER are both 1.
    return isinstance(which, ExtendedCapabilityId), int(which)


def _words(block: type[RegisterBlock]) -> Iterator[tuple[str, type[Word], int]]:
    for name, span in block.spans.items():
        assert issubclass(span.what, Word), f"{block.__name__}.{name}: no blocks inside capabilities"
        for n, at in enumerate(span.offsets()):
            yield f"{name}{n}" if span.count > 1 else name, span.what, at


def _bar_registers(bars: Iterable[Bar]) -> Iterator[tuple[str, tuple[int, int]]]:
    """Reset value and writable bits of each BAR register."""
    for bar in bars:
        kind = BarType.BITS64 if bar.wide else BarType.BITS32
        writable = ~(bar.size - 1)
        yield (
            f"BAR{bar.index}",
            (MemoryBar.of(TYPE=kind, PREFETCH=bar.prefetchable).raw, writable & MemoryBar.BASE.mask),
        )
        if bar.wide:
            yield f"BAR{bar.index + 1}", (0, writable >> 32 & 0xFFFF_FFFF)


def _places(capabilities: Sequence[Capability], start: int, end: int) -> list[tuple[Capability, int]]:
    """Give each capability its offset; `ValueError` when they do not fit or overlap."""
    places, free = [], start
    for capability in capabilities:
        base = free if capability.at is None else capability.at
        if base < free or base % 4 or base + capability.block.size > end:
            name = capability.block.__name__
            raise ValueError(
                f"the {name} capability does not fit at {base:#x}: free are {free:#x} to {end - 1:#x}"
            )
        places.append((capability, base))
        free = base + capability.block.size + 3 & ~3
    return places


def check_bars(bars: Sequence[Bar], header: type[CommonHeader] = Type0) -> None:
    """Raise `ValueError` when BARs share a register or leave the header."""
    last = 5 if header is Type0 else 1
    taken: dict[int, int] = {}
    for bar in bars:
        for register in (bar.index, bar.index + 1) if bar.wide else (bar.index,):
            if not 0 <= register <= last:
                kind = "64-bit " if bar.wide else ""
                raise ValueError(f"{kind}BAR {bar.index} leaves the header: its registers are 0 to {last}")
            if register in taken:
                raise ValueError(f"BARs {taken[register]} and {bar.index} both need register {register}")
            taken[register] = bar.index
