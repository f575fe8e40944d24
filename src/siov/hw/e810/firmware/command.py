"""A command of the admin queue: what came, what goes back, and the table of who answers which opcode."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import TYPE_CHECKING, TypeVar

from siov.spec.word import Word

if TYPE_CHECKING:
    from siov.hw.e810.firmware.firmware import Firmware

W = TypeVar("W", bound=Word)

# A buffer is 4 KiB at most; one of more than 512 bytes is marked as large.
BUFFER_MAX = 4096
LARGE_BUFFER = 512


class AqRc(IntEnum):
    """Return codes of the admin queue (ice_adminq_cmd.h, `ice_aq_err`)."""

    OK = 0
    EPERM = 1
    ENOENT = 2
    ESRCH = 3  # bad opcode
    EIO = 5
    ENXIO = 6
    E2BIG = 7
    EAGAIN = 8
    ENOMEM = 9
    EACCES = 10
    EBUSY = 12
    EEXIST = 13
    EINVAL = 14
    ENOSPC = 16
    ENOSYS = 17
    ERANGE = 18
    EFLUSHED = 19
    BAD_ADDR = 20
    EMODE = 21


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


@dataclass(slots=True, frozen=True)
class Command:
    """A command as firmware has fetched it: its 16 bytes of parameters, and its buffer of `room` bytes.

    `data` is what the driver put into the buffer, nothing when the command only wants an answer.
    """

    opcode: int
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


TABLE: dict[int, Entry] = {}


def command(opcode: int, buffer: Buffer = Buffer.NONE) -> Callable[[Handler], Handler]:
    """Have a function answer an opcode."""

    def add(handler: Handler) -> Handler:
        assert opcode not in TABLE, f"{opcode:#06x} has two handlers"
        TABLE[opcode] = Entry(handler, buffer)
        return handler

    return add
