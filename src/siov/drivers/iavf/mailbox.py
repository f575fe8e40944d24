"""The mailbox: a ring each way between this driver and the PF's (iavf_adminq.c)."""

from __future__ import annotations

from dataclasses import dataclass

from siov.drivers.iavf.access import IavfError, VdevAccess
from siov.drivers.iavf.registers import MAILBOX, Personality
from siov.spec.e810.adminq import AqDesc, AqFlags, AqOpcode
from siov.spec.e810.queues import QueueLength
from siov.spec.vdev import DEAD
from siov.spec.virtchnl import AQ_SEND_TO_PF, MESSAGE_BYTES, Op

ENTRIES = 32
DESCRIPTOR = AqDesc.width // 8
_LARGE = 512  # messages over this size need AqFlags.LB
_SHUTDOWN_POLLS = 5000  # of 50 µs each
_SHUTDOWN_DELAY = 50e-6
_ERRORS = QueueLength.VFE.mask | QueueLength.OVFL.mask | QueueLength.CRIT.mask
_GONE = (DEAD, 0xFFFF_FFFF)


@dataclass(slots=True, frozen=True)
class Received:
    """A message of the PF: its opcode, its status, and what it carries."""

    op: int
    status: int
    data: bytes


class Mailbox:
    """Both rings. A message is at most 4,096 bytes; 31 may be under way."""

    def __init__(self, access: VdevAccess, registers: Personality) -> None:
        self.access, self.at = access, registers.mailbox
        self._rings: dict[str, int] = {}
        self._buffers: dict[str, int] = {}
        self._tail = self._cleaned = self._next = 0

    @property
    def is_up(self) -> bool:
        """Whether the rings are in memory."""
        return bool(self._rings)

    @property
    def was_reset(self) -> bool:
        """Whether a reset has taken the receive ring from the device (ARQLEN.ENABLE is clear)."""
        return not self._read("ARQLEN") & QueueLength.ENABLE.mask

    @property
    def is_sent(self) -> bool:
        """Whether the device has taken every message (iavf_asq_done)."""
        return self._read("ATQH") == self._tail

    def init(self) -> None:
        """Set up both rings (iavf_init_adminq): lengths before bases, and then the tail of the receive ring.

        `IavfError` when a base does not read back.
        """
        for way in ("ATQ", "ARQ"):
            self._rings[way] = self.access.alloc(ENTRIES * DESCRIPTOR)
            self._buffers[way] = self.access.alloc(ENTRIES * MESSAGE_BYTES)
        self._tail = self._cleaned = self._next = 0
        self._set_up("ATQ")
        for index in range(ENTRIES):
            self._post(index)
        self._set_up("ARQ")

    def shutdown(self, *, unloading: bool = False) -> None:
        """Have the device drop both rings (iavf_shutdown_adminq), and give their memory back."""
        if not self._rings:
            return
        if self._read("ATQLEN") & QueueLength.ENABLE.mask:
            self._shutdown_command(unloading)
        for way in ("ATQ", "ARQ"):
            for name in ("H", "T", "LEN", "BAL", "BAH"):
                self._write(way + name, 0)
        for memory in (*self._rings.values(), *self._buffers.values()):
            self.access.free(memory)
        self._rings.clear()
        self._buffers.clear()

    def send(self, op: Op, data: bytes) -> None:
        """Send a message to the PF; `IavfError` when it is too long or the ring is full."""
        if len(data) > MESSAGE_BYTES:
            raise IavfError(f"{op.name} of {len(data)} bytes; the mailbox takes {MESSAGE_BYTES}")
        flags = AqFlags.of(SI=1)
        if data:
            flags = flags.replace(BUF=1, RD=1, LB=int(len(data) > _LARGE))
        self._put(AqDesc.of(OPCODE=AQ_SEND_TO_PF, FLAGS=flags.raw, COOKIE_HIGH=op), data)

    def receive(self) -> Received | None:
        """The next message of the PF, whose buffer is posted again; None when there is none."""
        head = self._read("ARQH") % ENTRIES
        if not self._rings or head == self._next or self.was_reset:
            return None
        index = self._next
        desc = AqDesc.from_bytes(self.access.read(self._rings["ARQ"] + index * DESCRIPTOR, DESCRIPTOR))
        size = min(desc.DATALEN, MESSAGE_BYTES)
        data = self.access.read(self._buffers["ARQ"] + index * MESSAGE_BYTES, size) if size else b""
        self._post(index)
        self._next = (index + 1) % ENTRIES
        self._write("ARQT", index)
        self._clear_errors()
        status = desc.COOKIE_LOW - (desc.COOKIE_LOW >> 31 << 32)
        failed = AqFlags(desc.FLAGS).ERR
        return Received(0 if failed else desc.COOKIE_HIGH, status, data)

    def _set_up(self, way: str) -> None:
        base = self._rings[way]
        self._write(way + "H", 0)
        self._write(way + "T", 0)
        self._write(way + "LEN", QueueLength.of(LEN=ENTRIES, ENABLE=1).raw)
        self._write(way + "BAL", base & 0xFFFF_FFFF)
        self._write(way + "BAH", base >> 32)
        if way == "ARQ":
            self._write("ARQT", ENTRIES - 1)
        told = self._read(way + "BAL")
        if told != base & 0xFFFF_FFFF:
            raise IavfError(f"{way}BAL reads {told:#x} after {base & 0xFFFF_FFFF:#x} was written")

    def _post(self, index: int) -> None:
        address = self._buffers["ARQ"] + index * MESSAGE_BYTES
        desc = AqDesc.of(
            FLAGS=AqFlags.of(BUF=1, LB=1).raw,
            DATALEN=MESSAGE_BYTES,
            ADDR_HIGH=address >> 32,
            ADDR_LOW=address & 0xFFFF_FFFF,
        )
        self.access.write(self._rings["ARQ"] + index * DESCRIPTOR, desc.to_bytes())

    def _put(self, desc: AqDesc, data: bytes) -> None:
        self._clean()
        if (self._tail + 1) % ENTRIES == self._cleaned:
            raise IavfError("the mailbox is full: the PF takes no messages")
        address = self._buffers["ATQ"] + self._tail * MESSAGE_BYTES
        if data:
            self.access.write(address, data)
            desc = desc.replace(DATALEN=len(data), ADDR_HIGH=address >> 32, ADDR_LOW=address & 0xFFFF_FFFF)
        self.access.write(self._rings["ATQ"] + self._tail * DESCRIPTOR, desc.to_bytes())
        self._tail = (self._tail + 1) % ENTRIES
        self._write("ATQT", self._tail)

    def _clean(self) -> None:
        """Zero the descriptors that the device has taken (iavf_clean_asq)."""
        head = self._read("ATQH")
        if head >= ENTRIES:
            raise IavfError(f"ATQH reads {head:#x}: the device is gone or in reset")
        while self._cleaned != head:
            self.access.write(self._rings["ATQ"] + self._cleaned * DESCRIPTOR, bytes(DESCRIPTOR))
            self._cleaned = (self._cleaned + 1) % ENTRIES

    def _shutdown_command(self, unloading: bool) -> None:
        try:
            self._put(
                AqDesc.of(OPCODE=AqOpcode.Q_SHUTDOWN, FLAGS=AqFlags.of(SI=1).raw, PARAM0=unloading), b""
            )
        except IavfError:
            return  # a device that is gone needs no farewell
        for _ in range(_SHUTDOWN_POLLS):
            if self.is_sent:
                return
            self.access.sleep(_SHUTDOWN_DELAY)

    def _clear_errors(self) -> None:
        for name in ("ATQLEN", "ARQLEN"):
            value = self._read(name)
            if value not in _GONE and value & _ERRORS:
                self._write(name, value & ~_ERRORS)

    def _read(self, name: str) -> int:
        return self.access.read32(self.at[name])

    def _write(self, name: str, value: int) -> None:
        self.access.write32(self.at[name], value)

    def inspect(self) -> dict[str, object]:
        """The registers of both rings."""
        return {f"A{way}Q{name}": self._read(f"A{way}Q{name}") for way in "TR" for name in MAILBOX}
