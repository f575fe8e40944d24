"""A driver's side of the admin queue."""

from dataclasses import dataclass
from typing import TypeVar

from siov.spec.e810 import AqDesc, AqFlags, AqOpcode, AqRc, QueueLength
from siov.spec.word import Word

from .space import Space

W = TypeVar("W", bound=Word)
ENTRIES, BUFFER = 32, 4096


@dataclass
class Answer:
    """A descriptor as firmware wrote it back, and its buffer."""

    raw: bytes
    data: bytes

    def params(self, word: type[W]) -> W:
        return word.from_bytes(self.raw[16:])

    @property
    def descriptor(self) -> AqDesc:
        return AqDesc.from_bytes(self.raw)


class AdminQueue:
    """Both rings of the admin queue, or of a mailbox: the function's (PF_MBX) or a VSI's (VSI_MBX)."""

    def __init__(self, space: Space, registers: str = "PF_FW", index: int = 0) -> None:
        self.machine, self.space, self.registers, self.index = space.machine, space, registers, index
        self.ring = {which: space.alloc(32 * ENTRIES) for which in ("ATQ", "ARQ")}
        self.buffers = {which: space.alloc(BUFFER * ENTRIES) for which in ("ATQ", "ARQ")}
        self.open()

    def open(self) -> None:
        """Set both rings up anew and post all receive buffers but one."""
        self.tail = self.next = 0
        for which in ("ATQ", "ARQ"):
            self.space.write(self.ring[which], bytes(32 * ENTRIES))
            self._set(f"{which}H", 0)
            self._set(f"{which}T", 0)
            self._set(f"{which}LEN", QueueLength.of(LEN=ENTRIES, ENABLE=1))
            self._set(f"{which}BAL", self.ring[which] & 0xFFFF_FFFF)
            self._set(f"{which}BAH", self.ring[which] >> 32)
        for n in range(ENTRIES):
            self._post(n)
        self._set("ARQT", ENTRIES - 1)

    def _set(self, name: str, value: int | Word) -> None:
        self.machine.wr(f"{self.registers}_{name}", value, self.index)

    def _get(self, name: str) -> int:
        return self.machine.rd(f"{self.registers}_{name}", self.index)

    def _post(self, n: int) -> None:
        at = self.buffers["ARQ"] + BUFFER * n
        flags = AqFlags.of(BUF=1, LB=1).raw
        raw = AqDesc.of(FLAGS=flags, DATALEN=BUFFER, ADDR_HIGH=at >> 32, ADDR_LOW=at & 0xFFFF_FFFF)
        self.space.write(self.ring["ARQ"] + 32 * n, raw.to_bytes())

    def put(self, descriptor: AqDesc, data: bytes = b"") -> int:
        """A descriptor at the tail, with its buffer if it says so; gives its index and moves the tail."""
        index, at = self.tail, self.buffers["ATQ"] + BUFFER * self.tail
        if AqFlags(descriptor.FLAGS).BUF:
            descriptor = descriptor.replace(ADDR_HIGH=at >> 32, ADDR_LOW=at & 0xFFFF_FFFF)
            self.space.write(at, data.ljust(descriptor.DATALEN, b"\0"))
        self.space.write(self.ring["ATQ"] + 32 * index, descriptor.to_bytes())
        self.tail = (self.tail + 1) % ENTRIES
        self._set("ATQT", self.tail)
        return index

    def answer(self, index: int) -> Answer:
        """A descriptor that must be done by now."""
        raw = self.space.read(self.ring["ATQ"] + 32 * index, 32)
        assert self._get("ATQH") == self.tail, "the head must have come to the tail"
        size = AqDesc.from_bytes(raw).DATALEN
        return Answer(raw, self.space.read(self.buffers["ATQ"] + BUFFER * index, size))

    def send(
        self, opcode: AqOpcode, params: Word | None = None, data: bytes | None = None, room: int = 0,
        expect: AqRc = AqRc.OK,
    ) -> Answer:  # fmt: skip
        """Send a command and see it done with the code that is expected."""
        size = room if data is None else len(data)
        flags = AqFlags.of(SI=1, BUF=bool(size), RD=data is not None, LB=size > 512)
        raw = AqDesc.of(FLAGS=flags.raw, OPCODE=opcode, DATALEN=size).to_bytes()[:16]
        raw += params.to_bytes() if params is not None else bytes(16)
        answer = self.answer(self.put(AqDesc.from_bytes(raw), data or b""))
        done = AqFlags(answer.descriptor.FLAGS)
        assert done.DD
        assert done.CMP
        code = answer.descriptor.RETVAL & 0xFF
        assert code == expect, f"{opcode.name}: {AqRc(code).name}"
        return answer

    def received(self) -> list[Answer]:
        """What came since the last call; its buffers are posted again."""
        found = []
        while self.next != self._get("ARQH"):
            raw = self.space.read(self.ring["ARQ"] + 32 * self.next, 32)
            size = AqDesc.from_bytes(raw).DATALEN
            found.append(Answer(raw, self.space.read(self.buffers["ARQ"] + BUFFER * self.next, size)))
            self._post(self.next)
            self._set("ARQT", self.next)
            self.next = (self.next + 1) % ENTRIES
        return found
