"""The memory of the driver's queues: rings and a buffer for each descriptor."""

from __future__ import annotations

from typing import Protocol

from siov.drivers.iavf.access import QueuePair, VdevAccess
from siov.drivers.iavf.registers import Personality
from siov.spec.e810.interrupts import ThrottlingTimer

_TX_DESCRIPTOR, _RX_DESCRIPTOR = 16, 32


class Sizes(Protocol):
    """How large the queues are."""

    @property
    def tx_entries(self) -> int:
        """Descriptors of a transmit ring."""

    @property
    def rx_entries(self) -> int:
        """Descriptors of a receive ring."""

    @property
    def buffer_size(self) -> int:
        """Bytes of a buffer."""

    @property
    def rxdid(self) -> int:
        """The format of receive descriptors."""

    @property
    def itr(self) -> int:
        """Microseconds between interrupts."""


class QueueMemory:
    """Rings and buffers of all pairs, kept until `free`; `pairs` says where they are."""

    def __init__(self, access: VdevAccess, registers: Personality) -> None:
        self.access, self.registers = access, registers
        self.pairs: list[QueuePair] = []
        self._memory: list[int] = []

    def alloc(self, count: int, vectors: int, sizes: Sizes) -> list[QueuePair]:
        """Memory for `count` pairs that share `vectors` queue vectors, in place of what there was."""
        self.free()
        self.pairs = [self._pair(queue, 1 + queue % vectors, sizes) for queue in range(count)]
        return self.pairs

    def set_itr(self, microseconds: int) -> None:
        """Both timers of each queue vector."""
        timer = ThrottlingTimer.of(INTERVAL=microseconds >> 1).raw
        for vector in sorted({pair.vector for pair in self.pairs}):
            for index in (0, 1):
                self.access.write32(self.registers.itr(index, vector - 1), timer)

    def free(self) -> None:
        """Give everything back."""
        for memory in self._memory:
            self.access.free(memory)
        self._memory.clear()
        self.pairs = []

    def _pair(self, queue: int, vector: int, sizes: Sizes) -> QueuePair:
        registers, address = self.registers, self.access.address
        return QueuePair(
            number=queue,
            vector=vector,
            tx_ring=self._take(sizes.tx_entries * _TX_DESCRIPTOR),
            tx_entries=sizes.tx_entries,
            tx_buffers=self._take(sizes.tx_entries * sizes.buffer_size),
            tx_tail=address(registers.tx_tail(queue)),
            rx_ring=self._take(sizes.rx_entries * _RX_DESCRIPTOR),
            rx_entries=sizes.rx_entries,
            rx_buffers=self._take(sizes.rx_entries * sizes.buffer_size),
            rx_tail=address(registers.rx_tail(queue)),
            dyn_ctl=address(registers.dyn_ctl(vector - 1)),
            buffer=sizes.buffer_size,
            rxdid=sizes.rxdid,
            itr=sizes.itr,
        )

    def _take(self, size: int) -> int:
        memory = self.access.alloc(size)
        self._memory.append(memory)
        return memory
