"""The rings of the admin queue: commands fetched and answered in order, events put into posted buffers."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from siov.hw.e810.engine import Engine
from siov.hw.e810.firmware.command import BUFFER_MAX, LARGE_BUFFER, TABLE, AqError, AqRc, Buffer, Command, Reply
from siov.spec.e810.adminq import Descriptor
from siov.spec.word import Word

# Events that wait for buffers at most; later ones are counted and lost.
BACKLOG = 64


class Dma(Protocol):
    """The function's way to memory; it has no PASID."""

    def dma_read(self, address: int, size: int) -> bytes | None:
        """`size` bytes at a bus address, or None when that failed."""

    def dma_write(self, address: int, data: bytes) -> bool:
        """Write at a bus address; False when the function may not."""


Run = Callable[[Command], "Reply | None"]


@dataclass(slots=True)
class Event:
    """Something that firmware tells the driver of its own accord."""

    opcode: int
    params: Word | None = None
    data: bytes = b""


@dataclass(slots=True)
class Counts:
    """What happened on the queue since the device was made."""

    commands: int = 0
    errors: int = 0
    events: int = 0
    events_lost: int = 0
    rings_broken: int = 0


@dataclass(slots=True)
class AdminQueue:
    """PF_FW_ATQ and PF_FW_ARQ. `run` answers a command, or raises `AqError`."""

    engine: Engine
    dma: Dma
    run: Run
    counts: Counts = field(default_factory=Counts)
    backlog: deque[Event] = field(default_factory=deque)
    interrupt: bool = False  # a completion or event wants PFINT_FW_CTL's vector

    def reset(self) -> None:
        """Forget the events that wait; the registers are the engine's to reset."""
        self.backlog.clear()
        self.interrupt = False

    def post(self, event: Event) -> None:
        """Tell the driver an event, as soon as there is a buffer for it."""
        if len(self.backlog) >= BACKLOG:
            self.counts.events_lost += 1
            return
        self.backlog.append(event)

    def serve(self) -> None:
        """Answer commands up to the tail (a ring's worth at most), then deliver events."""
        ring = Ring.of(self.engine, "ATQ")
        flush = False
        for _ in range(ring.length):
            ring = Ring.of(self.engine, "ATQ")
            if not ring.enabled or ring.head == ring.tail:
                break
            raw = self._fetch(ring)
            if raw is None:
                return
            descriptor = Descriptor.from_bytes(raw)
            answer, failed = self._answer(descriptor, raw[16:], flush)
            flush |= failed and bool(descriptor.FE)
            if not self.dma.dma_write(ring.at(ring.head), answer):
                self._break(ring)
                return
            ring.advance()
            # SI: the driver polls; EI: but wants to hear of errors.
            self.interrupt |= not descriptor.SI or bool(failed and descriptor.EI)
        self._deliver()

    def _fetch(self, ring: "Ring") -> bytes | None:
        if not ring.valid:
            self._break(ring)
            return None
        raw = self.dma.dma_read(ring.at(ring.head), Descriptor.width // 8)
        if raw is None:
            self._break(ring)
        return raw

    def _break(self, ring: "Ring") -> None:
        """The ring can't be read or written: a critical error, and it stops."""
        self.counts.rings_broken += 1
        ring.fail()
        self.interrupt = True

    def _answer(self, descriptor: Descriptor, params: bytes, flush: bool) -> tuple[bytes, bool]:
        """The descriptor to write back, and whether the command failed; data is written by then."""
        self.counts.commands += 1
        code, reply = AqRc.OK, Reply()
        try:
            if flush:
                raise AqError(AqRc.EFLUSHED)
            reply = self.run(self._command(descriptor, params)) or reply
        except AqError as error:
            code, reply = error.code, error.reply or reply
        size = descriptor.datalen
        if reply.data is not None and descriptor.BUF:
            data = reply.data[: descriptor.datalen]
            size = len(data)
            if data and not self.dma.dma_write(_address(params), data):
                code = AqRc.BAD_ADDR
        self.counts.errors += code is not AqRc.OK
        done = descriptor.replace(
            DD=1, CMP=1, ERR=code is not AqRc.OK, VFE=0, datalen=size, retval=code
        ).to_bytes()
        if reply.params is not None:
            # The buffer's address is the driver's; an answer's parameters never reach over it.
            tail = params[8:] if descriptor.BUF else reply.params.to_bytes()[8:]
            params = reply.params.to_bytes()[:8] + tail
        return done[:16] + params, code is not AqRc.OK

    def _command(self, descriptor: Descriptor, params: bytes) -> Command:
        entry = TABLE.get(descriptor.opcode)
        if entry is None:
            raise AqError(AqRc.ESRCH)
        wanted = entry.buffer is not Buffer.NONE
        if wanted != bool(descriptor.BUF):
            raise AqError(AqRc.EINVAL)
        if not wanted:
            return Command(descriptor.opcode, params)
        size = descriptor.datalen
        if not 0 < size <= BUFFER_MAX or (size > LARGE_BUFFER) != bool(descriptor.LB):
            raise AqError(AqRc.EINVAL)
        reads = entry.buffer in (Buffer.IN, Buffer.BOTH)
        if reads != bool(descriptor.RD):
            raise AqError(AqRc.EINVAL)
        if not reads:
            return Command(descriptor.opcode, params, b"", size)
        data = self.dma.dma_read(_address(params), size)
        if data is None:
            raise AqError(AqRc.BAD_ADDR)
        return Command(descriptor.opcode, params, data, size)

    def _deliver(self) -> None:
        while self.backlog:
            ring = Ring.of(self.engine, "ARQ")
            if not ring.enabled or ring.head == ring.tail:
                return
            raw = self._fetch(ring)
            if raw is None:
                return
            self._put(ring, Descriptor.from_bytes(raw), raw[16:], self.backlog.popleft())

    def _put(self, ring: "Ring", posted: Descriptor, params: bytes, event: Event) -> None:
        room = posted.datalen if posted.BUF else 0
        data = event.data[:room]
        code = AqRc.E2BIG if len(event.data) > room else AqRc.OK
        if data and not self.dma.dma_write(_address(params), data):
            self._break(ring)
            return
        descriptor = Descriptor.of(
            DD=1,
            CMP=1,
            ERR=code is not AqRc.OK,
            LB=len(data) > LARGE_BUFFER,
            BUF=bool(data),
            opcode=event.opcode,
            datalen=len(data),
            retval=code,
        )
        first = event.params.to_bytes()[:8] if event.params is not None else bytes(8)
        if not self.dma.dma_write(ring.at(ring.head), descriptor.to_bytes()[:16] + first + params[8:]):
            self._break(ring)
            return
        ring.advance()
        self.counts.events += 1
        self.interrupt = True


@dataclass(slots=True, frozen=True)
class Ring:
    """A ring as its registers describe it now: `which` is ATQ or ARQ."""

    engine: Engine
    which: str
    base: int
    length: int
    head: int
    tail: int
    enabled: bool

    @classmethod
    def of(cls, engine: Engine, which: str) -> "Ring":
        """Read the registers."""
        kind = _KINDS[which]
        length = kind.LEN(engine.get(f"PF_FW_{which}LEN"))
        base = engine.get(f"PF_FW_{which}BAH") << 32 | engine.get(f"PF_FW_{which}BAL") & ~0x3F
        head = kind.head(engine.get(f"PF_FW_{which}H"))
        tail = kind.tail(engine.get(f"PF_FW_{which}T"))
        return cls(engine, which, base, kind.length(length), head, tail, kind.enabled(length))

    @property
    def valid(self) -> bool:
        """Whether head and tail are inside the ring."""
        return self.head < self.length and self.tail < self.length

    def at(self, index: int) -> int:
        """The bus address of a descriptor."""
        return self.base + index * (Descriptor.width // 8) & (1 << 64) - 1

    def advance(self) -> None:
        """The head moves on by one."""
        self.engine.set(f"PF_FW_{self.which}H", (self.head + 1) % self.length)

    def fail(self) -> None:
        """Critical error: the ring stops until the driver sets it up again."""
        _KINDS[self.which].fail(self.engine)


def _address(params: bytes) -> int:
    """A buffer's bus address: the high double word comes first."""
    return int.from_bytes(params[8:12], "little") << 32 | int.from_bytes(params[12:16], "little")
