"""A virtual device whose PF answers by a script: registers, memory, and both ends of the mailbox rings.

The layout of descriptors and the register offsets are those of the fact sheets, written down again here.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from siov.drivers.iavf import QueuePair

# siov_regs.h and iavf_register.h.
_PAGE = 0x20000
SPLIT = dict(
    zip(
        ("ATQBAL", "ATQBAH", "ATQLEN", "ATQH", "ATQT", "ARQBAL", "ARQBAH", "ARQLEN", "ARQH", "ARQT"),
        range(_PAGE, _PAGE + 40, 4),
        strict=True,
    )
)
LEGACY = {
    "ATQBAL": 0x7C00,
    "ATQBAH": 0x7800,
    "ATQLEN": 0x6800,
    "ATQH": 0x6400,
    "ATQT": 0x8400,
    "ARQBAL": 0x6C00,
    "ARQBAH": 0x6000,
    "ARQLEN": 0x8000,
    "ARQH": 0x7400,
    "ARQT": 0x7000,
}
RSTAT = 0x8800
ENABLE = 0x8000_0000
L2, WB, ADV_LINK, VLAN_V2, VLAN, RSS_PF, FLEX = 1, 1 << 5, 1 << 7, 1 << 15, 1 << 16, 1 << 19, 1 << 26
GRANTED = L2 | WB | ADV_LINK | VLAN_V2 | RSS_PF
MAC = bytes.fromhex("02aabbccdd01")

Reply = tuple[int, bytes]  # status and data


def resources(
    caps: int = GRANTED, pairs: int = 4, vectors: int = 5, mac: bytes = MAC, frame: int = 9728
) -> bytes:
    head = struct.pack("<HHHHIII", 1, pairs, vectors, frame, caps, 52, 64)
    return head + struct.pack("<HHIH6s", 7, pairs, 6, 0, mac)


def link_event(up: bool, speed: int = 100_000) -> bytes:
    return struct.pack("<iIB3xi", 1, speed, up, 0)


RESET_IMPENDING = struct.pack("<iIB3xi", 2, 0, 0, 255)


@dataclass
class Message:
    """What the driver sent: the descriptor's fields, and the data."""

    op: int
    data: bytes
    flags: int
    opcode: int


@dataclass
class FakeVdev:
    """The device and its PF. `answers` by opcode take the data and give a reply, or None for silence."""

    device: int = 0x0DD5
    answers: dict[int, Callable[[bytes], Reply | None]] = field(default_factory=dict)
    after: dict[int, list[bytes]] = field(default_factory=dict)  # events behind a reply
    registers: dict[int, int] = field(default_factory=dict)
    memory: bytearray = field(default_factory=lambda: bytearray(32 << 20))
    free_from: int = 1 << 20
    allocated: dict[int, int] = field(default_factory=dict)
    writes: list[tuple[str, int]] = field(default_factory=list)
    sent: list[Message] = field(default_factory=list)
    queue: deque[tuple[int, int, bytes]] = field(default_factory=deque)
    vectors: int = 0
    fired: bool = False
    slept: float = 0.0
    on_sleep: Callable[[], None] | None = None
    deaf: bool = False
    config: bytearray = field(default_factory=lambda: bytearray(256))
    shutdowns: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.names = SPLIT if self.device == 0x0DD5 else LEGACY
        self.config[0:4] = struct.pack("<HH", 0x8086, self.device)
        self.registers[RSTAT] = 2
        self.script()

    def script(self) -> None:
        vlan = bytearray(40)
        struct.pack_into("<II", vlan, 16, 0, 1 << 31 | 1 << 8 | 1)
        struct.pack_into("<II", vlan, 24, 0, 1 << 31 | 1 << 8 | 1)
        self.answers = {
            1: lambda data: (0, data),
            3: lambda data: (0, resources()),
            15: lambda data: (0, struct.pack("<12Q", *range(12))),
            44: lambda data: (0, struct.pack("<Q", 1 << 1 | 1 << 2 | 1 << 22)),
            51: lambda data: (0, bytes(vlan)),
        }
        self.after = {8: [link_event(True)]}

    @property
    def ops(self) -> list[int]:
        return [one.op for one in self.sent]

    def payload(self, op: int) -> bytes:
        return next(one.data for one in self.sent if one.op == op)

    # VdevAccess

    def read32(self, offset: int) -> int:
        return self.registers.get(offset, 0)

    def write32(self, offset: int, value: int) -> None:
        name = next((name for name, at in self.names.items() if at == offset), f"{offset:#x}")
        self.writes.append((name, value))
        self.registers[offset] = value
        if name == "ATQT" and self._get("ATQLEN") & ENABLE and not self.deaf:
            self._take()
        if name == "ARQT":
            self._deliver()

    def address(self, offset: int) -> int:
        return 0xFFFF_0000_0000_0000 + offset

    def config_read(self, offset: int, size: int) -> bytes:
        return bytes(self.config[offset : offset + size])

    def config_write(self, offset: int, data: bytes) -> None:
        self.config[offset : offset + len(data)] = data

    def alloc(self, size: int) -> int:
        size = -(-size // 4096) * 4096
        at, self.free_from = self.free_from, self.free_from + size
        assert self.free_from <= len(self.memory)
        self.allocated[at] = size
        return at

    def free(self, address: int) -> None:
        del self.allocated[address]

    def read(self, address: int, size: int) -> bytes:
        return bytes(self.memory[address : address + size])

    def write(self, address: int, data: bytes) -> None:
        self.memory[address : address + len(data)] = data

    def enable_vectors(self, count: int) -> None:
        self.vectors = count

    def disable_vectors(self) -> None:
        self.vectors = 0

    def wait(self, vector: int, seconds: float) -> bool:
        assert self.vectors
        assert vector == 0
        self.sleep(seconds)
        fired, self.fired = self.fired, False
        return fired

    def sleep(self, seconds: float) -> None:
        self.slept += seconds
        if self.on_sleep is not None:
            self.on_sleep()

    # The PF's end

    def _get(self, name: str) -> int:
        return self.registers.get(self.names[name], 0)

    def _base(self, way: str) -> int:
        return self._get(way + "BAH") << 32 | self._get(way + "BAL")

    def _take(self) -> None:
        head = self._get("ATQH")
        while head != self._get("ATQT"):
            desc = self.read(self._base("ATQ") + 32 * head, 32)
            flags, opcode, size, _, op, status, param0, _, high, low = struct.unpack("<4H6I", desc)
            head = (head + 1) % 32
            self.registers[self.names["ATQH"]] = head
            if opcode == 3:
                self.shutdowns.append(param0)
                continue
            assert status == 0
            data = self.read(high << 32 | low, size)
            self.sent.append(Message(op, data, flags, opcode))
            self._answer(op, data)

    def _answer(self, op: int, data: bytes) -> None:
        if op == 2:
            self.reset()
            return
        reply = self.answers.get(op, lambda data: (0, b""))(data)
        if reply is not None:
            self.queue.append((op, *reply))
            self.queue.extend((17, 0, event) for event in self.after.get(op, ()))
        self._deliver()

    def tell(self, event: bytes) -> None:
        self.queue.append((17, 0, event))
        self._deliver()

    def reset(self) -> None:
        """What a VF reset leaves: LENs clear, RSTAT 0, which is 2 again after the next sleep."""
        for name in ("ATQLEN", "ARQLEN"):
            self.registers[self.names[name]] = 0
        self.queue.clear()
        self.registers[RSTAT] = 0

        def done() -> None:
            self.registers[RSTAT] = 2
            self.on_sleep = None

        self.on_sleep = done

    def _deliver(self) -> None:
        while self.queue and self._get("ARQLEN") & ENABLE:
            head = self._get("ARQH")
            if head == self._get("ARQT"):
                return  # never the descriptor that the tail is at
            op, status, data = self.queue.popleft()
            at = self._base("ARQ") + 32 * head
            posted = struct.unpack("<4H6I", self.read(at, 32))
            assert posted[0] == 0x1200
            assert posted[2] == 4096
            assert len(data) <= 4096
            self.write(posted[8] << 32 | posted[9], data)
            desc = struct.pack("<4HIi4I", 3, 0x0802, len(data), 0, op, status, 0, 0, posted[8], posted[9])
            self.write(at, desc)
            self.registers[self.names["ARQH"]] = (head + 1) % 32
            self.fired = True


@dataclass
class FakeRings:
    """Who would move frames: what it has been told."""

    pairs: list[QueuePair] = field(default_factory=list)
    cleared: int = 0

    def add_pair(self, pair: QueuePair) -> None:
        self.pairs.append(pair)

    def clear_pairs(self) -> None:
        self.pairs.clear()
        self.cleared += 1
