"""The register language: a register, table entry, descriptor or message as a class, by bit position.

A `Word` names the bits of one register or entry; a `RegisterBlock` places words at byte offsets. Both
check themselves when the class is made: fields that overlap, leave the word or lie astride a 64-bit
boundary, and registers that overlap or leave the block, raise `SpecError`.

    class GSTS(Word, width=32, ref="VT-d 11.4.4.2"):
        "Global Status: what software asked for with GCMD, once it is done."
        TES = bit(31, "translation is enabled", RO)

    GSTS(0x8000_0000).TES == 1
    GSTS.of(TES=1).raw == 0x8000_0000
    GSTS.TES.mask == 0x8000_0000
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from dataclasses import field as own
from enum import Enum, IntEnum
from typing import ClassVar, Self, TypeVar, overload


class SpecError(TypeError):
    """A declaration that contradicts itself; raised when the class is made."""


class Access(Enum):
    """What software may do with a field, in PCIe's words (PCIe 7.4); the sticky kinds end in S."""

    RO = "RO"  # read-only
    RW = "RW"  # read-write
    RW1C = "RW1C"  # write 1 to clear; writing 0 changes nothing
    ROS = "ROS"  # read-only, kept through a function-level or hot reset
    RWS = "RWS"  # read-write, kept through a function-level or hot reset
    RW1CS = "RW1CS"  # write 1 to clear, kept through a function-level or hot reset
    WO = "WO"  # written for its effect; reads as zero
    RsvdP = "RsvdP"  # reserved: software preserves it, hardware reads as zero
    RsvdZ = "RsvdZ"  # reserved: software writes zero, hardware reads as zero

    @property
    def writable(self) -> bool:
        """Whether a write of software stores the value that was written."""
        return self in (Access.RW, Access.RWS)

    @property
    def write_one_clears(self) -> bool:
        """Whether a write of 1 clears the bit."""
        return self in (Access.RW1C, Access.RW1CS)

    @property
    def sticky(self) -> bool:
        """Whether the value outlives a function-level or hot reset."""
        return self in (Access.ROS, Access.RWS, Access.RW1CS)


RO, RW, RW1C = Access.RO, Access.RW, Access.RW1C
ROS, RWS, RW1CS = Access.ROS, Access.RWS, Access.RW1CS
WO, RsvdP, RsvdZ = Access.WO, Access.RsvdP, Access.RsvdZ


@dataclass(slots=True)
class Field:
    """Bits `hi` down to `lo` of a word: reads as an int of that many bits, on an instance of the word."""

    hi: int
    lo: int
    doc: str
    access: Access = RO
    reset: int = 0
    enum: type[IntEnum] | None = None
    name: str = ""
    width: int = own(init=False, repr=False)  # the number of bits
    mask: int = own(init=False, repr=False)  # the field's bits, in place

    def __post_init__(self) -> None:
        self.width = self.hi - self.lo + 1
        # A field the wrong way round is refused with the word's name, when that is made.
        self.mask = ((1 << self.width) - 1) << self.lo if self.width > 0 <= self.lo else 0

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, word: None, owner: type) -> "Field": ...
    @overload
    def __get__(self, word: "Word", owner: type) -> int: ...
    def __get__(self, word: "Word | None", owner: type) -> "Field | int":
        if word is None:
            return self
        return (word.raw & self.mask) >> self.lo

    def put(self, raw: int, value: int) -> int:
        """`raw` with this field set to `value`; `ValueError` when the value does not fit."""
        if not 0 <= value < 1 << self.width:
            raise ValueError(f"{self.name} has {self.width} bits; {value:#x} does not fit")
        return raw & ~self.mask | value << self.lo

    def meaning(self, value: int) -> str:
        """The enum's name of a value, or the number in hex."""
        if self.enum is not None and value in set(self.enum):
            return self.enum(value).name
        return str(value) if value < 10 else f"{value:#x}"


def bit(at: int, doc: str, access: Access = RO, reset: int = 0) -> Field:
    """One bit of a word."""
    return Field(at, at, doc, access, reset)


def bits(
    hi: int, lo: int, doc: str, access: Access = RO, reset: int = 0, enum: type[IntEnum] | None = None
) -> Field:
    """Bits `hi` down to `lo`, both included, as the specifications write `hi:lo`."""
    return Field(hi, lo, doc, access, reset, enum)


AnyWord = TypeVar("AnyWord", bound="Word")


class Word:
    """A value of `width` bits whose fields are class attributes; immutable and comparable by its raw value.

    Class keywords: `width` in bits (a multiple of 8; over 64, a multiple of 64), `at` the usual byte
    offset in its block (a block may place it elsewhere), `count` and `stride` (bytes) for a row of them
    from there, `ref` the section of the specification, and `access` another access kind for the fields of
    the word that this one inherits from.
    """

    __slots__ = ("raw",)

    raw: int
    width: ClassVar[int]
    at: ClassVar[int]
    count: ClassVar[int]
    stride: ClassVar[int]
    ref: ClassVar[str]
    fields: ClassVar[Mapping[str, Field]]

    def __init_subclass__(
        cls,
        *,
        width: int,
        ref: str,
        at: int | None = None,
        count: int = 1,
        stride: int | None = None,
        access: Access | None = None,
    ) -> None:
        _check_names(cls)  # before a field called `width` is overwritten here
        cls.width, cls.ref = width, ref
        cls.count, cls.stride = count, width // 8 if stride is None else stride
        if at is not None:
            cls.at = at
        for name, field in getattr(cls, "fields", {}).items():
            if access and name not in vars(cls):
                setattr(cls, name, replace(field, access=access))
        declared = {
            n: f for base in reversed(cls.__mro__) for n, f in vars(base).items() if isinstance(f, Field)
        }
        cls.fields = dict(sorted(declared.items(), key=lambda item: item[1].lo))
        _check_word(cls)

    def __init__(self, raw: int = 0) -> None:
        if not 0 <= raw < 1 << self.width:
            raise ValueError(f"{type(self).__name__} has {self.width} bits; {raw:#x} does not fit")
        object.__setattr__(self, "raw", raw)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable; use replace({name}=...)")

    @classmethod
    def of(cls, **values: int) -> Self:
        """The word with the named fields set and all other bits zero."""
        return _made(cls, cls._put(0, values))

    @classmethod
    def initial(cls) -> Self:
        """The word as it is after a cold reset."""
        return cls.of(**{name: field.reset for name, field in cls.fields.items()})

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The word out of `width / 8` little-endian bytes."""
        if len(data) != cls.width // 8:
            raise ValueError(f"{cls.__name__} is {cls.width // 8} bytes; got {len(data)}")
        return _made(cls, int.from_bytes(data, "little"))

    def replace(self, **values: int) -> Self:
        """The word with the named fields changed."""
        return _made(type(self), self._put(self.raw, values))

    @classmethod
    def _put(cls, raw: int, values: Mapping[str, int]) -> int:
        for name, value in values.items():
            field = cls.fields.get(name)
            if field is None:
                raise AttributeError(f"{cls.__name__} has no field {name}; has {', '.join(cls.fields)}")
            raw = field.put(raw, value)
        return raw

    def to_bytes(self) -> bytes:
        """The word as `width / 8` little-endian bytes."""
        return self.raw.to_bytes(self.width // 8, "little")

    @classmethod
    def mask(cls, *kinds: Access) -> int:
        """The bits whose field has one of these access kinds."""
        return sum(field.mask for field in cls.fields.values() if field.access in kinds)

    @classmethod
    def reserved(cls) -> int:
        """The bits that no field covers, or a field of kind RsvdP or RsvdZ."""
        used = sum(f.mask for f in cls.fields.values() if f.access not in (RsvdP, RsvdZ))
        return (1 << cls.width) - 1 & ~used

    def __iter__(self) -> Iterator[tuple[Field, int]]:
        """Each field with its value, lowest bit first."""
        for field in self.fields.values():
            yield field, (self.raw & field.mask) >> field.lo

    def decode(self) -> dict[str, str]:
        """Each field's name with its value in words."""
        return {field.name: field.meaning(value) for field, value in self}

    def __int__(self) -> int:
        return self.raw

    __index__ = __int__

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Word):
            return type(self) is type(other) and self.raw == other.raw
        return NotImplemented

    def __hash__(self) -> int:
        return hash((type(self), self.raw))

    def __repr__(self) -> str:
        inside = " ".join(f"{name}={text}" for name, text in self.decode().items())
        return f"{type(self).__name__}({self.raw:#0{self.width // 4 + 2}x}: {inside})"


def _made(cls: type[AnyWord], raw: int) -> AnyWord:
    """A word of a raw value that is known to fit: they are made by the thousand for each command."""
    word = cls.__new__(cls)
    _set_raw(word, raw)
    return word


_set_raw = Word.__dict__["raw"].__set__


def _check_names(cls: type[Word]) -> None:
    for name, value in vars(cls).items():
        if isinstance(value, Field) and (hasattr(Word, name) or name in Word.__annotations__):
            raise SpecError(f"{cls.__name__}.{name}: the name is taken by Word itself")


def _check_word(cls: type[Word]) -> None:
    name = cls.__name__
    if cls.width <= 0 or cls.width % (64 if cls.width > 64 else 8):
        raise SpecError(f"{name}: a width of {cls.width} bits is not a multiple of 8 (over 64: of 64)")
    taken = 0
    for field in cls.fields.values():
        where = f"{name}.{field.name} [{field.hi}:{field.lo}]"
        if not 0 <= field.lo <= field.hi < cls.width:
            raise SpecError(f"{where} is not inside a word of {cls.width} bits")
        if field.lo // 64 != field.hi // 64:
            raise SpecError(f"{where} lies astride a 64-bit boundary")
        if taken & field.mask:
            raise SpecError(f"{where} overlaps a field before it")
        if not 0 <= field.reset < 1 << field.width:
            raise SpecError(f"{where}: the reset value {field.reset:#x} does not fit")
        if field.reset and field.access in (WO, RsvdP, RsvdZ):
            raise SpecError(f"{where}: {field.access.value} reads as zero, so it has no reset value")
        taken |= field.mask


class RegisterBlock:
    """Registers at byte offsets: words nested in the class body with `at=`, or put there with `place`.

    Class keywords: `size` in bytes, `ref` the section of the specification. A block may be placed in
    another one, also as a row. `spans` maps each name to where it lies, by offset.
    """

    size: ClassVar[int]
    ref: ClassVar[str]
    spans: ClassVar[Mapping[str, "Span"]]

    def __init_subclass__(cls, *, size: int, ref: str) -> None:
        cls.size, cls.ref = size, ref
        inherited = {n: s for base in cls.__mro__[1:] for n, s in getattr(base, "spans", {}).items()}
        found = inherited | {span.name: span for span in _declared(cls)}
        cls.spans = dict(sorted(found.items(), key=lambda item: item[1].at))
        _check_block(cls)

    @classmethod
    def image(cls) -> bytes:
        """The block's bytes after a cold reset."""
        data = bytearray(cls.size)
        for span in cls.spans.values():
            what = span.what
            element = what.initial().to_bytes() if issubclass(what, Word) else what.image()
            for at in span.offsets():
                data[at : at + len(element)] = element
        return bytes(data)


@dataclass(slots=True)
class Span:
    """A word or block, or a row of `count` of them `stride` bytes apart, at byte offset `at` of a block."""

    what: type[Word] | type[RegisterBlock]
    at: int
    count: int
    stride: int
    name: str = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @property
    def size(self) -> int:
        """The bytes of one element."""
        return _size(self.what)

    @property
    def end(self) -> int:
        """The byte offset behind the last element."""
        return self.at + self.stride * (self.count - 1) + self.size

    def offsets(self) -> range:
        """The byte offset of each element."""
        return range(self.at, self.at + self.stride * self.count, self.stride)


def place(what: type[Word] | type[RegisterBlock], at: int, count: int = 1, stride: int | None = None) -> Span:
    """Put a word or block (or a row of them) at a byte offset of the block in whose body this stands."""
    return Span(what, at, count, _size(what) if stride is None else stride)


def _size(what: type[Word] | type[RegisterBlock]) -> int:
    return what.width // 8 if issubclass(what, Word) else what.size


def _declared(cls: type[RegisterBlock]) -> Iterator[Span]:
    for name, value in vars(cls).items():
        if isinstance(value, Span):
            yield value
        elif isinstance(value, type) and issubclass(value, Word):
            if not hasattr(value, "at"):
                raise SpecError(
                    f"{cls.__name__}.{name}: a word in a block's body needs at=OFFSET, or place()"
                )
            yield Span(value, value.at, value.count, value.stride, name)


def _check_block(cls: type[RegisterBlock]) -> None:
    free_from, before = 0, "the start"
    for span in cls.spans.values():
        where = f"{cls.__name__}.{span.name} at {span.at:#x}"
        if span.count < 1 or span.stride < span.size:
            raise SpecError(
                f"{where}: {span.count} elements {span.stride} bytes apart, of {span.size} bytes each"
            )
        if issubclass(span.what, Word) and span.size in (2, 4, 8) and span.at % min(span.size, 4):
            raise SpecError(f"{where} is not aligned")
        if span.at < free_from:
            raise SpecError(f"{where} overlaps {before}")
        if span.end > cls.size:
            raise SpecError(f"{where} ends at {span.end:#x}, past the block's {cls.size:#x} bytes")
        free_from, before = span.end, span.name
