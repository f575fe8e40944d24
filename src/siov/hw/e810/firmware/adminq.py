"""The rings of the admin queue: commands fetched and answered in order, events put into posted buffers."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from siov.hw.e810.engine import Engine
from siov.hw.e810.firmware.command import TABLE, AqError, Buffer, Command, Reply
from siov.spec.e810.adminq import AQ_DESC_BYTES, AQ_LG_BUF, AQ_MAX_BUF, AqDesc, AqFlags, AqOpcode, AqRc
from siov.spec.e810.queues import QueueHead, QueueLength, QueueTail
from siov.spec.word import Word

OPCODES = frozenset(AqOpcode)

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

    opcode: AqOpcode
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
            if not ring.enabled or ring.head == ring.tail:
                break
            raw = self._fetch(ring)
            if raw is None:
                return
            descriptor = AqDesc.from_bytes(raw)
            flags = AqFlags(descriptor.FLAGS)
            answer, failed = self._answer(descriptor, flags, flush)
            flush |= failed and bool(flags.FE)
            if not self.dma.dma_write(ring.at(ring.head), answer):
                self._break(ring)
                return
            ring.advance()
            # SI: the driver polls; EI: but wants to hear of errors.
            self.interrupt |= not flags.SI or bool(failed and flags.EI)
            ring = Ring.of(self.engine, "ATQ")  # the command may have changed it
        self._deliver()

    def _fetch(self, ring: "Ring") -> bytes | None:
        if not ring.valid:
            self._break(ring)
            return None
        raw = self.dma.dma_read(ring.at(ring.head), AQ_DESC_BYTES)
        if raw is None:
            self._break(ring)
        return raw

    def _break(self, ring: "Ring") -> None:
        """The ring can't be read or written: a critical error, and it stops."""
        self.counts.rings_broken += 1
        ring.fail()
        self.interrupt = True

    def _answer(self, descriptor: AqDesc, flags: AqFlags, flush: bool) -> tuple[bytes, bool]:
        """The descriptor to write back, and whether the command failed; data is written by then."""
        self.counts.commands += 1
        code, reply = AqRc.OK, Reply()
        try:
            if flush:
                raise AqError(AqRc.EFLUSHED)
            reply = self.run(self._command(descriptor, flags)) or reply
        except AqError as error:
            code, reply = error.code, error.reply or reply
        size = descriptor.DATALEN
        if reply.data is not None and flags.BUF:
            data = reply.data[:size]
            size = len(data)
            if data and not self.dma.dma_write(_address(descriptor), data):
                code = AqRc.BAD_ADDR
        failed = code is not AqRc.OK
        self.counts.errors += failed
        done = flags.replace(DD=1, CMP=1, ERR=failed, VFE=0)
        answer = descriptor.replace(FLAGS=done.raw, DATALEN=size, RETVAL=code).to_bytes()
        if reply.params is not None:
            # With a buffer the last 8 bytes are its address, and stay.
            kept = 8 if flags.BUF else 0
            params = reply.params.to_bytes()
            answer = answer[:16] + params[: 16 - kept] + answer[32 - kept :]
        return answer, failed

    def _command(self, descriptor: AqDesc, flags: AqFlags) -> Command:
        opcode = descriptor.OPCODE
        entry = TABLE.get(AqOpcode(opcode)) if opcode in OPCODES else None
        if entry is None:
            raise AqError(AqRc.ESRCH)
        params = descriptor.to_bytes()[16:]
        if entry.buffer in (Buffer.NONE, Buffer.ANY) or (entry.buffer is Buffer.MAYBE and not flags.BUF):
            if flags.BUF and entry.buffer is Buffer.NONE:
                raise AqError(AqRc.EINVAL)
            return Command(AqOpcode(opcode), params)
        if not flags.BUF:
            raise AqError(AqRc.EINVAL)
        size = descriptor.DATALEN
        if not 0 < size <= AQ_MAX_BUF or (size > AQ_LG_BUF) != bool(flags.LB):
            raise AqError(AqRc.EINVAL)
        reads = entry.buffer is not Buffer.OUT
        if reads != bool(flags.RD):
            raise AqError(AqRc.EINVAL)
        if not reads:
            return Command(AqOpcode(opcode), params, b"", size)
        data = self.dma.dma_read(_address(descriptor), size)
        if data is None:
            raise AqError(AqRc.BAD_ADDR)
        return Command(AqOpcode(opcode), params, data, size)

    def _deliver(self) -> None:
        while self.backlog:
            ring = Ring.of(self.engine, "ARQ")
            if not ring.enabled or ring.head == ring.tail:
                return
            raw = self._fetch(ring)
            if raw is None:
                return
            self._put(ring, AqDesc.from_bytes(raw), self.backlog.popleft())

    def _put(self, ring: "Ring", posted: AqDesc, event: Event) -> None:
        room = posted.DATALEN if AqFlags(posted.FLAGS).BUF else 0
        data = event.data[:room]
        code = AqRc.E2BIG if len(event.data) > room else AqRc.OK
        if data and not self.dma.dma_write(_address(posted), data):
            self._break(ring)
            return
        flags = AqFlags.of(DD=1, CMP=1, ERR=code is not AqRc.OK, LB=len(data) > AQ_LG_BUF, BUF=bool(data))
        first = event.params.to_bytes()[:8] if event.params is not None else bytes(8)
        head = AqDesc.of(FLAGS=flags.raw, OPCODE=event.opcode, DATALEN=len(data), RETVAL=code)
        answer = head.to_bytes()[:16] + first + posted.to_bytes()[24:]
        if not self.dma.dma_write(ring.at(ring.head), answer):
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
        length = QueueLength(engine.get(f"PF_FW_{which}LEN"))
        base = engine.get(f"PF_FW_{which}BAH") << 32 | engine.get(f"PF_FW_{which}BAL") & ~0x3F
        head = QueueHead(engine.get(f"PF_FW_{which}H")).HEAD
        tail = QueueTail(engine.get(f"PF_FW_{which}T")).TAIL
        running = bool(length.ENABLE) and not length.CRIT
        return cls(engine, which, base, length.LEN, head, tail, running)

    @property
    def valid(self) -> bool:
        """Whether head and tail are inside the ring."""
        return self.head < self.length and self.tail < self.length

    def at(self, index: int) -> int:
        """The bus address of a descriptor."""
        return self.base + index * (AQ_DESC_BYTES) & (1 << 64) - 1

    def advance(self) -> None:
        """The head moves on by one."""
        self.engine.set(f"PF_FW_{self.which}H", (self.head + 1) % self.length)

    def fail(self) -> None:
        """Critical error: the ring stops until the driver sets it up again."""
        name = f"PF_FW_{self.which}LEN"
        self.engine.set(name, QueueLength(self.engine.get(name)).replace(CRIT=1).raw)


def _address(descriptor: AqDesc) -> int:
    """A buffer's bus address."""
    return descriptor.ADDR_HIGH << 32 | descriptor.ADDR_LOW
