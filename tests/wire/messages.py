"""The messages of vfio-user, as a client lays them out (QEMU: docs/interop/vfio-user.rst)."""

import json
import struct
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag
from typing import Any, ClassVar, Protocol

HEADER = struct.Struct("=HHIII")
"""Message id, command, size with the header, flags, errno."""

MAX_DATA = 1 << 20


class Command(IntEnum):
    """The commands by number."""

    VERSION = 1
    DMA_MAP = 2
    DMA_UNMAP = 3
    DEVICE_GET_INFO = 4
    DEVICE_GET_REGION_INFO = 5
    DEVICE_GET_REGION_IO_FDS = 6
    DEVICE_GET_IRQ_INFO = 7
    DEVICE_SET_IRQS = 8
    REGION_READ = 9
    REGION_WRITE = 10
    DMA_READ = 11
    DMA_WRITE = 12
    DEVICE_RESET = 13
    DIRTY_PAGES = 14
    REGION_WRITE_MULTI = 15
    DEVICE_FEATURE = 16
    MIG_DATA_READ = 17
    MIG_DATA_WRITE = 18


class Flags(IntFlag):
    """The header's flags; the type is in bits 3 to 0."""

    REPLY = 1
    NO_REPLY = 1 << 4
    ERROR = 1 << 5


class Region(IntEnum):
    """VFIO's numbers of the regions of a PCI function."""

    BAR0 = 0
    BAR1 = 1
    ROM = 6
    CONFIG = 7
    VGA = 8


class Irq(IntEnum):
    """VFIO's numbers of the interrupts of a PCI function."""

    INTX = 0
    MSI = 1
    MSIX = 2
    ERR = 3
    REQ = 4


class Message(Protocol):
    """A command that a client can send."""

    @property
    def command(self) -> int:
        """Its number."""

    @property
    def fds(self) -> tuple[int, ...]:
        """The descriptors that go with it."""

    def body(self) -> bytes:
        """What follows the header."""


@dataclass(slots=True, frozen=True)
class Raw:
    """Any body under any number."""

    command: int
    payload: bytes = b""
    fds: tuple[int, ...] = ()

    def body(self) -> bytes:
        return self.payload


def resized(message: Message, size: int) -> Raw:
    """A message with the same fields, its body cut or filled up with zeros to `size` bytes."""
    return Raw(message.command, message.body()[:size].ljust(size, b"\0"), message.fds)


@dataclass(slots=True, frozen=True)
class VERSION:
    """Proposes a version; `data` goes verbatim, else `capabilities` as NUL-terminated JSON."""

    major: int = 0
    minor: int = 0
    capabilities: dict[str, Any] | None = field(default_factory=dict)
    data: bytes | None = None
    fds: tuple[int, ...] = ()
    command: ClassVar[int] = Command.VERSION

    def body(self) -> bytes:
        data = self.data
        if data is None:
            text = json.dumps({"capabilities": self.capabilities})
            data = b"" if self.capabilities is None else text.encode() + b"\0"
        return struct.pack("=HH", self.major, self.minor) + data


@dataclass(slots=True, frozen=True)
class DMA_MAP:
    """Shares `size` bytes at `addr`: of the descriptor from `offset`, or reached by messages."""

    addr: int
    size: int
    offset: int = 0
    flags: int = 3
    argsz: int = 32
    fds: tuple[int, ...] = ()
    command: ClassVar[int] = Command.DMA_MAP

    def body(self) -> bytes:
        return struct.pack("=IIQQQ", self.argsz, self.flags, self.offset, self.addr, self.size)


@dataclass(slots=True, frozen=True)
class DMA_UNMAP:
    """Takes maps away; flag 1 asks for a dirty bitmap, flag 2 means all."""

    addr: int
    size: int
    flags: int = 0
    argsz: int = 24
    fds: tuple[int, ...] = ()
    command: ClassVar[int] = Command.DMA_UNMAP

    def body(self) -> bytes:
        return struct.pack("=IIQQ", self.argsz, self.flags, self.addr, self.size)


@dataclass(slots=True, frozen=True)
class DEVICE_GET_INFO:
    """Asks what the device is."""

    argsz: int = 16
    fds: tuple[int, ...] = ()
    command: ClassVar[int] = Command.DEVICE_GET_INFO

    def body(self) -> bytes:
        return struct.pack("=IIII", self.argsz, 0, 0, 0)


@dataclass(slots=True, frozen=True)
class DEVICE_GET_REGION_INFO:
    """Asks for a region."""

    index: int
    argsz: int = 32
    fds: tuple[int, ...] = ()
    command: ClassVar[int] = Command.DEVICE_GET_REGION_INFO

    def body(self) -> bytes:
        return struct.pack("=IIIIQQ", self.argsz, 0, self.index, 0, 0, 0)


@dataclass(slots=True, frozen=True)
class DEVICE_GET_REGION_IO_FDS:
    """Asks for eventfds instead of messages for a region."""

    index: int
    argsz: int = 16
    flags: int = 0
    count: int = 0
    fds: tuple[int, ...] = ()
    command: ClassVar[int] = Command.DEVICE_GET_REGION_IO_FDS

    def body(self) -> bytes:
        return struct.pack("=IIII", self.argsz, self.flags, self.index, self.count)


@dataclass(slots=True, frozen=True)
class DEVICE_GET_IRQ_INFO:
    """Asks for an interrupt index."""

    index: int
    argsz: int = 16
    fds: tuple[int, ...] = ()
    command: ClassVar[int] = Command.DEVICE_GET_IRQ_INFO

    def body(self) -> bytes:
        return struct.pack("=IIII", self.argsz, 0, self.index, 0)


class IrqFlags(IntFlag):
    """One kind of data and one action make the flags of DEVICE_SET_IRQS."""

    DATA_NONE = 1
    DATA_BOOL = 2
    DATA_EVENTFD = 4
    MASK = 8
    UNMASK = 16
    TRIGGER = 32


ASSIGN = IrqFlags.DATA_EVENTFD | IrqFlags.TRIGGER
DISABLE = IrqFlags.DATA_NONE | IrqFlags.TRIGGER


@dataclass(slots=True, frozen=True)
class DEVICE_SET_IRQS:
    """Sets vectors up; the argument size is that of the body unless it is given."""

    index: int
    start: int
    count: int
    flags: int = ASSIGN
    data: bytes = b""
    argsz: int | None = None
    fds: tuple[int, ...] = ()
    command: ClassVar[int] = Command.DEVICE_SET_IRQS

    def body(self) -> bytes:
        argsz = 20 + len(self.data) if self.argsz is None else self.argsz
        return struct.pack("=IIIII", argsz, self.flags, self.index, self.start, self.count) + self.data


@dataclass(slots=True, frozen=True)
class REGION_READ:
    """Reads `count` bytes of a region."""

    region: int
    offset: int
    count: int
    fds: tuple[int, ...] = ()
    command: ClassVar[int] = Command.REGION_READ

    def body(self) -> bytes:
        return struct.pack("=QII", self.offset, self.region, self.count)


@dataclass(slots=True, frozen=True)
class REGION_WRITE:
    """Writes to a region; `count` is that of the data unless it is given."""

    region: int
    offset: int
    data: bytes
    count: int | None = None
    fds: tuple[int, ...] = ()
    command: ClassVar[int] = Command.REGION_WRITE

    def body(self) -> bytes:
        count = len(self.data) if self.count is None else self.count
        return struct.pack("=QII", self.offset, self.region, count) + self.data


@dataclass(slots=True, frozen=True)
class REGION_WRITE_MULTI:
    """Writes many times; `count` is the number of writes unless it is given."""

    writes: tuple[REGION_WRITE, ...]
    count: int | None = None
    fds: tuple[int, ...] = ()
    command: ClassVar[int] = Command.REGION_WRITE_MULTI

    def body(self) -> bytes:
        count = len(self.writes) if self.count is None else self.count
        entries = (write.body().ljust(24, b"\0") for write in self.writes)
        return struct.pack("=Q", count) + b"".join(entries)


@dataclass(slots=True, frozen=True)
class DEVICE_RESET:
    """Resets the device."""

    fds: tuple[int, ...] = ()
    command: ClassVar[int] = Command.DEVICE_RESET

    def body(self) -> bytes:
        return b""
