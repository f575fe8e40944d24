"""Receive and transmit rings as a driver keeps them."""

from dataclasses import dataclass

from siov.spec.e810 import (
    DTYPE,
    RXDID,
    Queues,
    RxFlexQw0,
    RxLegacyQw1,
    RxQueueContext,
    TxCtxQw0,
    TxCtxQw1,
    TxDataQw1,
    TxQueueContext,
    VmvfType,
)
from siov.spec.e810.interrupts import WideCauseControl
from siov.spec.word import Word

from .space import Space

RX, TX = 32, 16
LEGACY = (RXDID.LEGACY_0, RXDID.LEGACY_1)


@dataclass
class Received:
    """A frame, and its descriptors as they were written back."""

    data: bytes
    descriptors: list[bytes]

    def qword(self, n: int) -> int:
        """Qword n of the last descriptor."""
        return int.from_bytes(self.descriptors[-1][8 * n : 8 * n + 8], "little")


class RxQueue:
    """A receive queue with a buffer for every descriptor."""

    def __init__(
        self, space: Space, number: int, *, size: int = 64, dbuf: int = 2048, rxmax: int | None = None,
        rxdid: int = RXDID.LEGACY_1, **context: int,
    ) -> None:  # fmt: skip
        self.space, self.machine, self.number = space, space.machine, number
        self.size, self.dbuf, self.rxdid = size, dbuf, rxdid
        self.ring = space.alloc(size * RX, 4096)
        self.buffers = space.alloc(size * dbuf, 4096)
        self.fields = {"RXMAX": min(9728, 5 * dbuf) if rxmax is None else rxmax, **context}
        self.next = 0  # the descriptor that is looked at next
        self.posted = 0  # the one that is filled next
        self.free = size  # descriptors that hold no buffer

    def context(self) -> RxQueueContext:
        base = self.ring // 128
        given = {
            "BASE_LO": base & 0xFFFF_FFFF, "BASE_HI": base >> 32, "QLEN": self.size, "DBUF": self.dbuf // 128,
            "DSIZE": 1, "CRCSTRIP": 1, "L2TSEL": 1, **self.fields,
        }  # fmt: skip
        return RxQueueContext.of(**given)

    def enable(self) -> None:
        """Write the context and the form of descriptors, and do the handshake of QRX_CTRL."""
        self.configure()
        self.request(True)
        assert self.enabled

    def configure(self) -> None:
        raw = self.context().to_bytes()
        for n in range(8):
            self.machine.wr(
                "QRX_CONTEXT", int.from_bytes(raw[4 * n : 4 * n + 4], "little"), n * 2048 + self.number
            )
        self.machine.wr(
            "QRXFLXP_CNTXT", Queues.QRXFLXP_CNTXT.of(RXDID_IDX=self.rxdid, RXDID_PRIO=3), self.number
        )
        self.machine.wr("QRX_TAIL", 0, self.number)
        self.next = self.posted = 0
        self.free = self.size

    def request(self, on: bool) -> None:
        self.machine.wr("QRX_CTRL", Queues.QRX_CTRL.of(QENA_REQ=int(on)), self.number)

    @property
    def enabled(self) -> bool:
        return bool(Queues.QRX_CTRL(self.machine.rd("QRX_CTRL", self.number)).QENA_STAT)

    def interrupt(self, vector: int, itr: int = 3, **fields: int) -> None:
        self.machine.wr("QINT_RQCTL", cause(vector, itr, **fields), self.number)

    def buffer(self, index: int) -> int:
        return self.buffers + index * self.dbuf

    def fill(self, index: int, address: int | None = None) -> None:
        """Post a buffer in a descriptor, without telling the adapter."""
        at = self.buffer(index) if address is None else address
        self.space.write(self.ring + index * RX, at.to_bytes(8, "little") + bytes(24))

    def post(self, count: int) -> None:
        """Fill so many descriptors and move the tail behind them."""
        for _ in range(count):
            self.fill(self.posted)
            self.posted = (self.posted + 1) % self.size
            self.free -= 1
        self.tail(self.posted)

    def post_all(self) -> None:
        """As many as there can be: hardware looks at tails by eights, and one group stays free."""
        self.post(self.size - 8)

    def tail(self, value: int) -> None:
        self.machine.wr("QRX_TAIL", value, self.number)

    def raw(self, index: int) -> bytes:
        return self.space.read(self.ring + index * RX, RX)

    def done(self, index: int) -> bool:
        return bool(self.raw(index)[8] & 1)

    def take(self, *, refill: bool = True) -> list[Received]:
        """Whole frames that are there, in ring order; their descriptors are posted again by eights."""
        found, parts, data = [], [], b""
        while self.done(self.next) and len(found) < self.size:
            raw = self.raw(self.next)
            length, last = self._length(raw)
            data += self.space.read(self.buffer(self.next), length)
            parts.append(raw)
            self.space.write(self.ring + self.next * RX, bytes(RX))
            self.next = (self.next + 1) % self.size
            self.free += 1
            if last:
                found.append(Received(data, parts))
                parts, data = [], b""
        assert not parts, "a frame's last descriptor must be there when its first one is"
        while refill and self.free >= 16:
            self.post(8)
        return found

    def _length(self, raw: bytes) -> tuple[int, bool]:
        if self.rxdid in LEGACY:
            word = RxLegacyQw1.from_bytes(raw[8:16])
            return word.LEN_PBUF, bool(word.EOF)
        return RxFlexQw0.from_bytes(raw[:8]).PKT_LEN, bool(raw[8] & 2)


class TxQueue:
    """A transmit queue with a buffer of 4 KiB for every descriptor."""

    BUFFER = 4096

    def __init__(self, space: Space, number: int, vsi: int, size: int = 64, **context: int) -> None:
        self.space, self.machine, self.number, self.vsi, self.size = space, space.machine, number, vsi, size
        self.ring = space.alloc(size * TX, 4096)
        self.buffers = space.alloc(size * self.BUFFER, 4096)
        self.fields = context
        self.next = 0

    def context(self) -> TxQueueContext:
        given = {
            "BASE": self.ring // 128, "QLEN": self.size, "SRC_VSI": self.vsi, "VMVF_TYPE": VmvfType.VMQ,
            "VMVF_NUM": self.vsi, "TSO_ENA": 1, "TSO_QNUM": self.number % 2048, "LEGACY_INT": 1,
            "QNUM_IN_FUNC": self.number % 16384, **self.fields,
        }  # fmt: skip
        return TxQueueContext.of(**given)

    def interrupt(self, vector: int, itr: int = 3, **fields: int) -> None:
        self.machine.wr("QINT_TQCTL", cause(vector, itr, **fields), self.number)

    def buffer(self, index: int) -> int:
        return self.buffers + index * self.BUFFER

    def put(self, qword0: int | Word, qword1: int | Word) -> int:
        """A descriptor at the next place; gives its index."""
        index = self.next
        raw = int(qword0).to_bytes(8, "little") + int(qword1).to_bytes(8, "little")
        self.space.write(self.ring + index * TX, raw)
        self.next = (index + 1) % self.size
        return index

    def data(self, chunk: bytes, *, address: int | None = None, **fields: int) -> int:
        """A data descriptor for these bytes, the packet's last with RS unless said; its index."""
        at = self.buffer(self.next) if address is None else address
        if address is None:
            self.space.write(at, chunk)
        given = {"EOP": 1, "RS": 1, "ICRC": 1, "TX_BUF_SZ": len(chunk), **fields}
        return self.put(at, TxDataQw1.of(DTYPE=DTYPE.DATA, **given))

    def packet(self, *chunks: bytes, **fields: int) -> int:
        """A packet of some buffers: EOP and RS on the last one only; the last one's index."""
        for chunk in chunks[:-1]:
            self.data(chunk, **{**fields, "EOP": 0, "RS": 0})
        return self.data(chunks[-1], **fields)

    def ctx(self, qword0: dict[str, int] | None = None, **fields: int) -> int:
        """A context descriptor."""
        return self.put(TxCtxQw0.of(**(qword0 or {})), TxCtxQw1.of(DTYPE=DTYPE.CTX, **fields))

    def kick(self, tail: int | None = None) -> None:
        """The doorbell, and whatever comes of it."""
        self.doorbell(tail)
        self.machine.pump()

    def doorbell(self, tail: int | None = None) -> None:
        self.machine.wr("QTX_COMM_DBELL", self.next if tail is None else tail, self.number)

    def send(self, *frames: bytes, **fields: int) -> list[int]:
        """Send frames, a descriptor each; gives the descriptors' indices, done by then or not."""
        found = [self.data(frame, **fields) for frame in frames]
        self.kick()
        return found

    def raw(self, index: int) -> tuple[int, int]:
        raw = self.space.read(self.ring + index * TX, TX)
        return int.from_bytes(raw[:8], "little"), int.from_bytes(raw[8:], "little")

    def done(self, index: int) -> bool:
        """Whether the descriptor's type says exactly that it is done."""
        return self.raw(index)[1] & 0xF == DTYPE.DESC_DONE


def cause(vector: int, itr: int = 3, **fields: int) -> int:
    """QINT_RQCTL or QINT_TQCTL: which vector, which timer."""
    return WideCauseControl.of(**{"MSIX_INDX": vector, "ITR_INDX": itr, "CAUSE_ENA": 1, **fields}).raw
