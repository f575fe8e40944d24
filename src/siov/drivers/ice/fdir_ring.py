"""The queues that program filters: a control VSI's, with one request under way (ice_prgm_fdir_fltr)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from errno import ETIMEDOUT
from typing import Protocol

from siov.drivers.ice.access import Buffer, Poll, Registers
from siov.host.linux import LinuxError
from siov.spec.e810 import DTYPE, RX_DESC_BYTES, TX_DESC_BYTES, FltrProgQw0, FltrProgQw1, FltrWbQw1, TxDataQw1

LENGTH = 64  # descriptors of either ring
PACKET = 512  # bytes for a training packet
BUFFER = 2048  # bytes that receive descriptors offer; results do not use them
FDIR_RXDID = 0x40  # first byte of a result
TIMEOUT = 1.0  # seconds


class ControlVsi(Protocol):
    """A VSI of the function's own (ICE_VSI_CTRL) with a queue each way, and FD_PROG_ENABLE."""

    @property
    def tx_queue(self) -> int:
        """The device's number of its transmit queue."""

    @property
    def rx_queue(self) -> int:
        """The device's number of its receive queue."""

    def start(self, tx: int, tx_length: int, rx: int, rx_length: int, buffer: int) -> None:
        """Enable both queues with rings at these addresses of so many descriptors; receive buffers' size."""

    def stop(self) -> None:
        """Disable both queues."""


@dataclass(slots=True)
class ProgramRing:
    """The rings of the control VSI. `alloc` gives zeroed memory for DMA of so many bytes."""

    hw: Registers
    control: ControlVsi
    poll: Poll
    alloc: Callable[[int], Buffer]
    running: bool = False
    _next: int = 0
    _result: int = 0
    _tx: Buffer = field(init=False)
    _rx: Buffer = field(init=False)
    _packets: Buffer = field(init=False)
    _scratch: Buffer = field(init=False)

    def __post_init__(self) -> None:
        self._tx, self._rx = self.alloc(TX_DESC_BYTES * LENGTH), self.alloc(RX_DESC_BYTES * LENGTH)
        self._packets, self._scratch = self.alloc(PACKET * LENGTH // 2), self.alloc(BUFFER)

    @property
    def buffers(self) -> tuple[Buffer, ...]:
        """All its memory, for who gave it."""
        return self._tx, self._rx, self._packets, self._scratch

    def start(self) -> None:
        """Enable the queues, empty."""
        self._next = self._result = 0
        for n in range(LENGTH):
            self._offer(n)
        self.control.start(self._tx.address, LENGTH, self._rx.address, LENGTH, BUFFER)
        self.hw.wr("QRX_TAIL", LENGTH - 8, self.control.rx_queue)
        self.running = True

    def stop(self) -> None:
        """Disable the queues."""
        if self.running:
            self.running = False
            self.control.stop()

    def program(self, q0: FltrProgQw0, q1: FltrProgQw1, packet: bytes) -> FltrWbQw1:
        """Have hardware do what a descriptor and its packet say; the result.

        ETIMEDOUT when none comes; the queues are made anew for the next one, so a late result is nobody's.
        """
        if not self.running:
            self.start()
        slot = self._next
        at = self._packets.address + slot // 2 * PACKET
        self._packets.write(slot // 2 * PACKET, packet)
        data = TxDataQw1.of(DTYPE=DTYPE.DATA, EOP=1, RS=1, DUMMY=1, TX_BUF_SZ=len(packet))
        pair = q0.to_bytes() + q1.to_bytes() + at.to_bytes(8, "little") + data.to_bytes()
        self._tx.write(TX_DESC_BYTES * slot, pair)
        self._next = (slot + 2) % LENGTH
        self.hw.wr("QTX_COMM_DBELL", self._next, self.control.tx_queue)
        if not self.poll(self._done, TIMEOUT):
            self.stop()
            queue = self.control.tx_queue
            raise LinuxError(ETIMEDOUT, f"no result of programming a filter came through Tx queue {queue}")
        return self._take()

    def _done(self) -> bool:
        raw = self._rx.read(RX_DESC_BYTES * self._result, RX_DESC_BYTES)
        return raw[0] == FDIR_RXDID and bool(FltrWbQw1.from_bytes(raw[8:16]).DD)

    def _take(self) -> FltrWbQw1:
        index = self._result
        raw = self._rx.read(RX_DESC_BYTES * index, RX_DESC_BYTES)
        self._offer(index)
        self._result = (index + 1) % LENGTH
        if self._result % 8 == 0:
            self.hw.wr("QRX_TAIL", (self._result - 8) % LENGTH, self.control.rx_queue)
        return FltrWbQw1.from_bytes(raw[8:16])

    def _offer(self, index: int) -> None:
        raw = self._scratch.address.to_bytes(8, "little") + bytes(RX_DESC_BYTES - 8)
        self._rx.write(RX_DESC_BYTES * index, raw)
