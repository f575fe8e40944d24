"""The message language: a C structure of a mailbox or socket as a class, by byte offset, little-endian.

A `Word` is for registers and what hardware reads, down to the bit; a `Message` for what two drivers send
each other, whose C structures have members of whole bytes, of any size and with flexible arrays behind
them. It checks itself when the class is made: members that overlap (unless one says `union=True`) or leave
the structure raise `SpecError`.

    class VsiResource(Message, size=16, ref="virtchnl.h, virtchnl_vsi_resource"):
        "One VSI of the VF."
        vsi_id = u16(0, "the VSI's number")
        default_mac_addr = octets(10, 6, "the VF's MAC address")

    VsiResource.of(vsi_id=7).to_bytes()
    VsiResource.from_bytes(data).vsi_id == 7
    [r.vsi_id for r in rows(VsiResource, data, at=20, count=1)]

The Rust side does not get these classes: only the slow path, which is Python, reads them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from typing import Any, ClassVar, Generic, Self, TypeVar, overload

from siov.spec.word import SpecError


@dataclass(slots=True)
class Member:
    """Bytes `at` up to `at + size` of a message; `union` when they are those of a member before it, too."""

    at: int
    size: int
    doc: str
    union: bool = False
    name: str = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def put(self, data: bytearray, value: Any) -> None:
        """Write a value into the message's bytes; `ValueError` when it does not fit."""
        raise NotImplementedError

    def meaning(self, value: Any) -> str:
        """A value in words."""
        return str(value)


class Number(Member):
    """A little-endian number; reads as an int on an instance of the message."""

    __slots__ = ("_code", "_unpack", "enum")

    def __init__(self, at: int, code: str, doc: str, enum: type[IntEnum] | None, union: bool) -> None:
        self._code, self.enum = Struct("<" + code), enum
        self._unpack = self._code.unpack_from
        super().__init__(at, self._code.size, doc, union)

    @overload
    def __get__(self, message: None, owner: type) -> Self: ...
    @overload
    def __get__(self, message: "Message", owner: type) -> int: ...
    def __get__(self, message: "Message | None", owner: type) -> "Self | int":
        if message is None:
            return self
        value: int = self._unpack(message.data, self.at)[0]
        return value

    def put(self, data: bytearray, value: int) -> None:
        """Write the number at its place."""
        try:
            self._code.pack_into(data, self.at, value)
        except Exception as error:
            raise ValueError(f"{self.name} has {self.size} bytes; {value!r} does not fit") from error

    def meaning(self, value: int) -> str:
        """The enum's name of a value, or the number in hex."""
        if self.enum is not None and value in set(self.enum):
            return self.enum(value).name
        return str(value) if value < 10 else f"{value:#x}"


class Octets(Member):
    """Bytes as they are: a MAC address, a packet, padding that means nothing."""

    __slots__ = ()

    @overload
    def __get__(self, message: None, owner: type) -> Self: ...
    @overload
    def __get__(self, message: "Message", owner: type) -> bytes: ...
    def __get__(self, message: "Message | None", owner: type) -> "Self | bytes":
        if message is None:
            return self
        return message.data[self.at : self.at + self.size]

    def put(self, data: bytearray, value: bytes | bytearray | memoryview) -> None:
        """Write the bytes at their place; fewer leave the rest as it is."""
        given = bytes(value)
        if len(given) > self.size:
            raise ValueError(f"{self.name} has {self.size} bytes; {len(given)} do not fit")
        data[self.at : self.at + len(given)] = given

    def meaning(self, value: bytes) -> str:
        """The bytes in hex, a long tail of zeros left away."""
        return value.rstrip(b"\0").hex(":") + (" 00…" if value.endswith(bytes(8)) else "")


M = TypeVar("M", bound="Message")


class Nested(Member, Generic[M]):
    """A structure in the structure."""

    __slots__ = ("what",)

    def __init__(self, what: type[M], at: int, doc: str, union: bool) -> None:
        self.what = what
        super().__init__(at, what.size, doc, union)

    @overload
    def __get__(self, message: None, owner: type) -> Self: ...
    @overload
    def __get__(self, message: "Message", owner: type) -> M: ...
    def __get__(self, message: "Message | None", owner: type) -> "Self | M":
        if message is None:
            return self
        return self.what(message.data[self.at : self.at + self.size])

    def put(self, data: bytearray, value: M) -> None:
        """Write the structure's bytes at its place."""
        data[self.at : self.at + self.size] = value.data

    def meaning(self, value: M) -> str:
        """The inner structure's members."""
        return repr(value)


def u8(at: int, doc: str, enum: type[IntEnum] | None = None, *, union: bool = False) -> Number:
    """One byte."""
    return Number(at, "B", doc, enum, union)


def u16(at: int, doc: str, enum: type[IntEnum] | None = None, *, union: bool = False) -> Number:
    """A 16-bit number."""
    return Number(at, "H", doc, enum, union)


def u32(at: int, doc: str, enum: type[IntEnum] | None = None, *, union: bool = False) -> Number:
    """A 32-bit number."""
    return Number(at, "I", doc, enum, union)


def s32(at: int, doc: str, enum: type[IntEnum] | None = None, *, union: bool = False) -> Number:
    """A signed 32-bit number, as the C header has for the values of an enum."""
    return Number(at, "i", doc, enum, union)


def u64(at: int, doc: str, enum: type[IntEnum] | None = None, *, union: bool = False) -> Number:
    """A 64-bit number."""
    return Number(at, "Q", doc, enum, union)


def octets(at: int, size: int, doc: str, *, union: bool = False) -> Octets:
    """Bytes that are no number."""
    return Octets(at, size, doc, union)


def nested(what: type[M], at: int, doc: str, *, union: bool = False) -> Nested[M]:
    """Another structure at this offset."""
    return Nested(what, at, doc, union)


class Message:
    """A structure whose members are class attributes; immutable and comparable by its bytes.

    Class keywords: `size` in bytes without what a flexible array adds, `ref` where the structure is defined.
    """

    __slots__ = ("data",)

    data: bytes
    size: ClassVar[int]
    ref: ClassVar[str]
    members: ClassVar[Mapping[str, Member]]

    def __init_subclass__(cls, *, size: int, ref: str) -> None:
        cls.size, cls.ref = size, ref
        found = {name: member for name, member in vars(cls).items() if isinstance(member, Member)}
        cls.members = dict(sorted(found.items(), key=lambda item: item[1].at))
        _check(cls)

    def __init__(self, data: bytes | None = None) -> None:
        given = bytes(self.size) if data is None else data
        if len(given) != self.size:
            raise ValueError(f"{type(self).__name__} is {self.size} bytes; got {len(given)}")
        object.__setattr__(self, "data", given)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable; use replace({name}=...)")

    @classmethod
    def of(cls, **values: Any) -> Self:
        """The message with the named members set and all other bytes zero."""
        return cls().replace(**values)

    @classmethod
    def from_bytes(cls, data: bytes | bytearray | memoryview) -> Self:
        """The message out of exactly `size` bytes."""
        return cls(bytes(data))

    @classmethod
    def read(cls, data: bytes, at: int = 0) -> Self:
        """The message out of the bytes from `at`; there may be more behind it."""
        return cls(data[at : at + cls.size])

    def replace(self, **values: Any) -> Self:
        """The message with the named members changed."""
        data = bytearray(self.data)
        for name, value in values.items():
            if name not in self.members:
                raise AttributeError(
                    f"{type(self).__name__} has no member {name}; has {', '.join(self.members)}"
                )
            self.members[name].put(data, value)
        return type(self)(bytes(data))

    def to_bytes(self) -> bytes:
        """The message's bytes."""
        return self.data

    def __iter__(self) -> Iterator[tuple[Member, Any]]:
        """Each member with its value, by offset."""
        for name, member in self.members.items():
            yield member, getattr(self, name)

    def decode(self) -> dict[str, str]:
        """Each member's name with its value in words."""
        return {member.name: member.meaning(value) for member, value in self}

    def __bytes__(self) -> bytes:
        return self.data

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Message):
            return type(self) is type(other) and self.data == other.data
        return NotImplemented

    def __hash__(self) -> int:
        return hash((type(self), self.data))

    def __repr__(self) -> str:
        inside = " ".join(f"{name}={text}" for name, text in self.decode().items())
        return f"{type(self).__name__}({inside})"


def rows(what: type[M], data: bytes, at: int, count: int) -> list[M]:
    """`count` structures in a row from byte `at`; `ValueError` when the bytes end before."""
    size = what.size
    return [what(data[where : where + size]) for where in range(at, at + count * size, size)]


def _check(cls: type[Message]) -> None:
    free_from = 0
    for member in cls.members.values():
        where = f"{cls.__name__}.{member.name} at {member.at}"
        if member.at < free_from and not member.union:
            raise SpecError(f"{where} overlaps a member before it")
        if member.at < 0 or member.at + member.size > cls.size:
            raise SpecError(f"{where} leaves the structure's {cls.size} bytes")
        if hasattr(Message, member.name):
            raise SpecError(f"{where}: the name is taken by Message itself")
        if not member.union:
            free_from = member.at + member.size
