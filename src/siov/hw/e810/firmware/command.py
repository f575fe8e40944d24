"""A command of the admin queue: what came, what goes back, and the table of who answers which opcode."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, TypeVar

from siov.spec.e810.adminq import AqOpcode, AqRc
from siov.spec.word import Word

if TYPE_CHECKING:
    from siov.hw.e810.firmware.firmware import Firmware

W = TypeVar("W", bound=Word)


class AqError(Exception):
    """A command fails: its code, and a reply to give nevertheless."""

    def __init__(self, code: AqRc, reply: Reply | None = None) -> None:
        super().__init__(code.name)
        self.code = code
        self.reply = reply


class Buffer(Enum):
    """What a command's buffer is for."""

    NONE = "none"
    IN = "in"  # the driver's data
    OUT = "out"  # room for the answer
    BOTH = "both"
    MAYBE = "maybe"  # the driver's data, or none at all
    ANY = "any"  # nobody looks at it


@dataclass(slots=True, frozen=True)
class Command:
    """A command as firmware has fetched it: its 16 bytes of parameters, and its buffer of `room` bytes.

    `data` is what the driver put into the buffer, nothing when the command only wants an answer.
    """

    opcode: AqOpcode
    params: bytes
    data: bytes = b""
    room: int = 0

    def decode(self, word: type[W]) -> W:
        """The parameters as a word of the specification."""
        return word.from_bytes(self.params)

    def part(self, word: type[W], at: int = 0) -> W:
        """A word out of the buffer; EINVAL when the buffer ends before it."""
        return word.from_bytes(self.take(at, word.width // 8))

    def take(self, at: int, size: int) -> bytes:
        """Bytes of the buffer; EINVAL when it ends before them."""
        if at < 0 or at + size > len(self.data):
            raise AqError(AqRc.EINVAL)
        return self.data[at : at + size]


@dataclass(slots=True, frozen=True)
class Reply:
    """What goes back: parameters (None: those that came) and data for the buffer (None: it stays)."""

    params: Word | None = None
    data: bytes | None = None


Handler = Callable[["Firmware", Command], "Reply | None"]


@dataclass(slots=True, frozen=True)
class Entry:
    """Who answers an opcode, and how it uses its buffer."""

    handler: Handler
    buffer: Buffer


TABLE: dict[AqOpcode, Entry] = {}


def command(opcode: AqOpcode, buffer: Buffer = Buffer.NONE) -> Callable[[Handler], Handler]:
    """Have a function answer an opcode."""

    def add(handler: Handler) -> Handler:
        assert opcode not in TABLE, f"{opcode.name} has two handlers"
        TABLE[opcode] = Entry(handler, buffer)
        return handler

    return add
