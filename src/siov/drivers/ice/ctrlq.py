"""A pair of control queues in memory: the admin queue's rings, or the mailbox's (ice_controlq.c)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from errno import EIO, ETIMEDOUT
from typing import ParamSpec

from siov.drivers.ice.dma import DmaBuffer, DmaMemory
from siov.drivers.ice.hw import GONE, IceHw
from siov.drivers.ice.services import Poll
from siov.errors import SiovError
from siov.host.linux import LinuxError
from siov.spec.e810 import AQ_DESC_BYTES, AQ_MAX_BUF, AqDesc, AqFlags, AqRc, QueueLength

SEND_TIMEOUT = 1.0  # seconds (ICE_CTL_Q_SQ_CMD_TIMEOUT)
RETURN_CODES = frozenset(AqRc)


# Hears of an error in a handler, where no caller does: the function it came from, and what it was.
Report = Callable[[str, BaseException], None]
P = ParamSpec("P")


def guarded(report: Report | None, act: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
    """Call a handler; its refusal is reported, and stops nothing that comes after it."""
    try:
        act(*args, **kwargs)
    except SiovError as why:
        if report is None:
            raise
        report("ice_clean_ctrlq", why)


@dataclass(slots=True, frozen=True)
class Message:
    """A descriptor as hardware wrote it, and its buffer."""

    desc: AqDesc
    data: bytes

    @property
    def return_code(self) -> AqRc:
        """What firmware or the other side made of it; EIO for a number that no code has."""
        code = self.desc.RETVAL & 0xFF
        return AqRc(code) if code in RETURN_CODES else AqRc.EIO


@dataclass(slots=True)
class Ring:
    """A ring of descriptors, each with a buffer of its own."""

    descriptors: DmaBuffer
    buffers: DmaBuffer
    length: int
    next: int = 0
    offers: list[bytes] = field(init=False)  # for each index, a descriptor that gives its buffer to hardware

    def __post_init__(self) -> None:
        self.offers = [self._offer(index) for index in range(self.length)]

    def buffer(self, index: int) -> int:
        """Bus address of a descriptor's buffer."""
        return self.buffers.address + AQ_MAX_BUF * index

    def read(self, index: int) -> Message:
        """A descriptor and as much of its buffer as it says."""
        desc = AqDesc.from_bytes(self.descriptors.read(AQ_DESC_BYTES * index, AQ_DESC_BYTES))
        size = min(desc.DATALEN, AQ_MAX_BUF) if AqFlags(desc.FLAGS).BUF else 0
        return Message(desc, self.buffers.read(AQ_MAX_BUF * index, size) if size else b"")

    def _offer(self, index: int) -> bytes:
        at = self.buffer(index)
        flags = AqFlags.of(BUF=1, LB=1).raw
        return AqDesc.of(
            FLAGS=flags, DATALEN=AQ_MAX_BUF, ADDR_HIGH=at >> 32, ADDR_LOW=at & 0xFFFF_FFFF
        ).to_bytes()


@dataclass(slots=True)
class ControlQueue:
    """Both rings of PF_FW or PF_MBX. One thread at a time may use it: its owner has a lock."""

    hw: IceHw
    dma: DmaMemory
    poll: Poll
    prefix: str
    send_length: int
    receive_length: int
    enabled: bool = False
    errors: dict[str, int] = field(default_factory=dict)  # CRIT, OVFL, VFE of a ring, and how often
    broken: set[str] = field(default_factory=set)  # critical errors, until it is opened again
    _send: Ring | None = None
    _receive: Ring | None = None

    def open(self) -> None:
        """Give hardware empty rings and all receive buffers; ENOMEM, or EIO when it does not take them."""
        if self._send is None:
            self._send = self._ring(self.send_length)
        if self._receive is None:
            self._receive = self._ring(self.receive_length)
        for which, ring in (("ATQ", self._send), ("ARQ", self._receive)):
            posted = b"".join(ring.offers) if which == "ARQ" else b""
            ring.descriptors.write(0, posted.ljust(AQ_DESC_BYTES * ring.length, b"\0"))
            ring.next = 0
            self._wr(f"{which}H", 0)
            self._wr(f"{which}T", 0)
            self._wr(f"{which}LEN", QueueLength.of(LEN=ring.length, ENABLE=1).raw)
            self._wr(f"{which}BAL", ring.descriptors.address & 0xFFFF_FFFF)
            self._wr(f"{which}BAH", ring.descriptors.address >> 32)
            if self._rd(f"{which}BAL") != ring.descriptors.address & 0xFFFF_FFFF:
                raise LinuxError(EIO, f"{self.prefix}_{which}: the device does not take the ring's address")
        self._wr("ARQT", self._receive.length - 1)
        self.broken.clear()
        self.enabled = True

    def close(self) -> None:
        """Take the rings away from hardware; their memory stays for the next open."""
        self.enabled = False
        if self.hw.gone:
            return
        for which in ("ATQ", "ARQ"):
            for name in ("H", "T", "LEN", "BAL", "BAH"):
                self._wr(which + name, 0)

    def free(self) -> None:
        """Close, and give the memory back."""
        if self.enabled:
            self.close()
        for ring in (self._send, self._receive):
            if ring is not None:
                self.dma.free(ring.descriptors)
                self.dma.free(ring.buffers)
        self._send = self._receive = None

    def transact(self, desc: AqDesc, data: bytes = b"") -> Message:
        """Put a descriptor (with these bytes in its buffer, if it says BUF) and wait until it is done.

        EIO while the queue is shut, ETIMEDOUT when hardware does not come to it.
        """
        ring = self._send
        if ring is None or not self.enabled:
            raise LinuxError(EIO, f"{self.prefix}: the queue is shut (by a reset, or not yet open)")
        index, at = ring.next, ring.buffer(ring.next)
        if AqFlags(desc.FLAGS).BUF:
            desc = desc.replace(ADDR_HIGH=at >> 32, ADDR_LOW=at & 0xFFFF_FFFF)
            if data:
                ring.buffers.write(AQ_MAX_BUF * index, data)
        ring.descriptors.write(AQ_DESC_BYTES * index, desc.to_bytes())
        ring.next = (index + 1) % ring.length
        self._wr("ATQT", ring.next)
        if not self.poll(lambda: self._rd("ATQH") == ring.next, SEND_TIMEOUT):
            length = self._rd("ATQLEN")
            why = "reports a critical error" if QueueLength(length).CRIT else "does not answer"
            raise LinuxError(ETIMEDOUT, f"{self.prefix}_ATQ {why} at descriptor {index}; reset the device")
        return ring.read(index)

    def take(self, limit: int) -> list[Message]:
        """What has come, at most `limit` messages; their buffers are hardware's again."""
        ring = self._receive
        if ring is None or not self.enabled:
            return []
        head = self._rd("ARQH")
        if head >= ring.length:
            return []
        found: list[Message] = []
        while ring.next != head and len(found) < limit:
            index = ring.next
            found.append(ring.read(index))
            ring.descriptors.write(AQ_DESC_BYTES * index, ring.offers[index])
            ring.next = (index + 1) % ring.length
        if found:
            self._wr("ARQT", (ring.next - 1) % ring.length)
        return found

    @property
    def pending(self) -> bool:
        """Whether messages wait to be taken."""
        ring = self._receive
        return self.enabled and ring is not None and self._rd("ARQH") % ring.length != ring.next

    def check_errors(self) -> None:
        """Count what the LEN registers report, and clear what does not stop the ring.

        A critical error stays: hardware has stopped the ring, and would do so again until it is opened anew.
        """
        if not self.enabled:
            return
        for which in ("ATQ", "ARQ"):
            raw = self._rd(f"{which}LEN")
            if raw == GONE:
                return
            word = QueueLength(raw)
            for name in ("VFE", "OVFL", "CRIT"):
                key = f"{which} {name}"
                if getattr(word, name) and key not in self.broken:
                    self.errors[key] = self.errors.get(key, 0) + 1
            if word.CRIT:
                self.broken.add(f"{which} CRIT")
            if word.VFE or word.OVFL:
                self._wr(f"{which}LEN", word.replace(VFE=0, OVFL=0).raw)

    def inspect(self) -> dict[str, object]:
        """Whether it is open, and the errors seen."""
        return {"enabled": self.enabled, "errors": dict(self.errors)}

    def _ring(self, length: int) -> Ring:
        kind = f"ice-{self.prefix.lower()}"
        descriptors = self.dma.alloc(AQ_DESC_BYTES * length, kind)
        try:
            return Ring(descriptors, self.dma.alloc(AQ_MAX_BUF * length, kind), length)
        except LinuxError:
            self.dma.free(descriptors)
            raise

    def _rd(self, name: str) -> int:
        return self.hw.rd(f"{self.prefix}_{name}")

    def _wr(self, name: str, value: int) -> None:
        self.hw.wr(f"{self.prefix}_{name}", value)
