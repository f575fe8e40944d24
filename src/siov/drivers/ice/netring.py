"""Rings of the function's own interface, in the host's memory."""

from __future__ import annotations

from dataclasses import dataclass

from siov.drivers.ice.dma import DmaBuffer, DmaMemory
from siov.drivers.ice.rxq import BUFFER_DEFAULT
from siov.host.linux import LinuxError
from siov.spec.e810 import DTYPE, RxFlexQw0, TxDataQw1
from siov.spec.e810.receive import RxFlexStatus0

TX_BYTES, RX_BYTES = 16, 32  # of a descriptor
TX_BUFFER = 2048  # bytes
STEP = 8  # hardware looks at receive tails by eights


@dataclass(slots=True)
class TxRingMemory:
    """A transmit ring with a buffer for each descriptor."""

    ring: DmaBuffer
    buffers: DmaBuffer
    length: int
    next: int = 0  # descriptor that is filled next
    done: int = 0  # the first one that hardware may have still
    ends: tuple[int, ...] = ()  # last descriptors of the packets under way, in order

    @classmethod
    def make(cls, dma: DmaMemory, length: int) -> TxRingMemory:
        """An empty ring; ENOMEM."""
        ring, buffers = _alloc(dma, "ice-tx", length * TX_BYTES, length * TX_BUFFER)
        return cls(ring, buffers, length)

    @property
    def base(self) -> int:
        """Bus address of the descriptors."""
        return self.ring.address

    @property
    def room(self) -> int:
        """Descriptors that can be filled."""
        return (self.done - self.next - 1) % self.length

    def put(self, frame: bytes) -> bool:
        """Fill descriptors with a frame; False when there is no room for it."""
        chunks = [frame[at : at + TX_BUFFER] for at in range(0, len(frame), TX_BUFFER)]
        if len(chunks) > self.room:
            return False
        for n, chunk in enumerate(chunks):
            last = n == len(chunks) - 1
            at = self.next * TX_BUFFER
            self.buffers.write(at, chunk)
            word = TxDataQw1.of(DTYPE=DTYPE.DATA, EOP=int(last), RS=int(last), ICRC=1, TX_BUF_SZ=len(chunk))
            address = (self.buffers.address + at).to_bytes(8, "little")
            self.ring.write(self.next * TX_BYTES, address + word.to_bytes())
            if last:
                self.ends = (*self.ends, self.next)
            self.next = (self.next + 1) % self.length
        return True

    def clean(self) -> int:
        """Take back what hardware has sent; how many packets (ice_clean_tx_irq)."""
        count = 0
        for end in self.ends:
            word = TxDataQw1.from_bytes(self.ring.read(end * TX_BYTES + 8, 8))
            if word.DTYPE != DTYPE.DESC_DONE:
                break
            self.done = (end + 1) % self.length
            count += 1
        self.ends = self.ends[count:]
        return count

    def free(self, dma: DmaMemory) -> None:
        """Give the memory back; the queue is off."""
        dma.free(self.ring)
        dma.free(self.buffers)


@dataclass(slots=True)
class RxRingMemory:
    """A receive ring with a buffer for each descriptor; write-back in profile 2."""

    ring: DmaBuffer
    buffers: DmaBuffer
    length: int
    next: int = 0  # descriptor that is looked at next
    posted: int = 0  # the one that is filled next
    empty: int = 0  # descriptors without a buffer

    @classmethod
    def make(cls, dma: DmaMemory, length: int) -> RxRingMemory:
        """A ring without buffers yet; ENOMEM."""
        ring, buffers = _alloc(dma, "ice-rx", length * RX_BYTES, length * BUFFER_DEFAULT)
        return cls(ring, buffers, length, empty=length)

    @property
    def base(self) -> int:
        """Bus address of the descriptors."""
        return self.ring.address

    def post(self) -> int | None:
        """Fill descriptors by eights, one group staying empty; the new tail, None when it stays."""
        count = max(0, self.empty // STEP - 1) * STEP
        for _ in range(count):
            at = self.buffers.address + self.posted * BUFFER_DEFAULT
            self.ring.write(self.posted * RX_BYTES, at.to_bytes(8, "little") + bytes(RX_BYTES - 8))
            self.posted = (self.posted + 1) % self.length
        self.empty -= count
        return self.posted if count else None

    def take(self, budget: int) -> list[bytes]:
        """Whole frames, at most `budget`, in order; their descriptors are empty then (ice_clean_rx_irq)."""
        found: list[bytes] = []
        parts: list[bytes] = []
        at, seen = self.next, 0
        while len(found) < budget and seen < self.length - self.empty:
            raw = self.ring.read(at * RX_BYTES, 16)
            status = RxFlexStatus0.from_bytes(raw[8:])
            if not status.DD:
                break
            size = min(RxFlexQw0.from_bytes(raw[:8]).PKT_LEN, BUFFER_DEFAULT)
            parts.append(self.buffers.read(at * BUFFER_DEFAULT, size))
            at, seen = (at + 1) % self.length, seen + 1
            if status.EOF:
                if not status.RXE:
                    found.append(b"".join(parts))
                parts = []
                self.empty += seen
                self.next, seen = at, 0
        return found

    def free(self, dma: DmaMemory) -> None:
        """Give the memory back; the queue is off."""
        dma.free(self.ring)
        dma.free(self.buffers)


def _alloc(dma: DmaMemory, kind: str, ring: int, buffers: int) -> tuple[DmaBuffer, DmaBuffer]:
    first = dma.alloc(ring, kind)
    try:
        return first, dma.alloc(buffers, f"{kind}-buffers")
    except LinuxError:
        dma.free(first)
        raise
