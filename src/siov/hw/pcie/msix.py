"""MSI-X: the table and the pending bits in a function's BAR, and the messages that come of them."""

from collections.abc import Callable, Iterator

from siov._core import RegFile
from siov.hw.pcie.config import ConfigSpace, Row, register_row
from siov.spec.pcie import Msix, MsixEntry

Send = Callable[[int, bytes], bool]


class MsixTable:
    """The vectors of a function: table entries and pending bits (PCIe 7.7.2, 6.1.4).

    `send(address, data)` writes a message to the bus; False when the function may not, and then the
    vector stays pending.
    """

    def __init__(self, config: ConfigSpace, send: Send) -> None:
        self.config = config
        self.send = send
        self.vectors = config[Msix.CONTROL].SIZE + 1
        self.pending = 0
        self._table = RegFile(self.vectors * MsixEntry.size, list(_rows(self.vectors)))

    def part(self, bar: int, offset: int) -> tuple[str, int] | None:
        """`table` or `pba` with the offset in it, if a BAR's offset lies there."""
        for name, word, size in (
            ("table", self.config[Msix.TABLE], self.vectors * MsixEntry.size),
            ("pba", self.config[Msix.PBA], (self.vectors + 63) // 64 * 8),
        ):
            base = word.OFFSET << 3
            if bar == word.BIR and base <= offset < base + size:
                return name, offset - base
        return None

    def read(self, part: str, offset: int, size: int) -> bytes:
        """Software's read of the table or the pending bits."""
        if part == "table":
            return self._table.read(offset, size)
        return (self.pending >> offset * 8 & (1 << size * 8) - 1).to_bytes(size, "little")

    def write(self, part: str, offset: int, data: bytes) -> None:
        """Software's write; the pending bits are read-only."""
        if part == "table":
            self._table.write(offset, data)
            self.deliver()

    def entry(self, vector: int) -> tuple[int, int, bool]:
        """Address, data and mask of a vector."""
        low, high = self._table.get(f"{vector}.ADDRESS_LO"), self._table.get(f"{vector}.ADDRESS_HI")
        control = MsixEntry.VECTOR_CONTROL(self._table.get(f"{vector}.VECTOR_CONTROL"))
        return high << 32 | low, self._table.get(f"{vector}.DATA"), bool(control.MASK)

    def trigger(self, vector: int) -> None:
        """The function wants an interrupt: sent now, or pending while it is masked; lost with MSI-X off."""
        if vector < self.vectors and self.config[Msix.CONTROL].EN:
            self.pending |= 1 << vector
            self.deliver()

    def deliver(self) -> None:
        """Send what is pending and not masked."""
        for vector in _bits(self.pending):
            # A handler runs within send: it may write here, raise a vector, or have a nested call send one.
            if not self.pending >> vector & 1 or not self._open():
                continue
            address, data, masked = self.entry(vector)
            if masked:
                continue
            self.pending &= ~(1 << vector)
            if not self.send(address, data.to_bytes(4, "little")):
                self.pending |= 1 << vector

    def _open(self) -> bool:
        control = self.config[Msix.CONTROL]
        return bool(control.EN) and not control.MASK

    def reset(self) -> None:
        """All vectors masked, nothing pending."""
        self._table.reset()
        self.pending = 0


def _rows(vectors: int) -> Iterator[Row]:
    for vector in range(vectors):
        for word in (MsixEntry.ADDRESS_LO, MsixEntry.ADDRESS_HI, MsixEntry.DATA, MsixEntry.VECTOR_CONTROL):
            yield register_row(f"{vector}.{word.__name__}", word, vector * MsixEntry.size + word.at)


def _bits(number: int) -> Iterator[int]:
    while number:
        lowest = number & -number
        yield lowest.bit_length() - 1
        number ^= lowest
