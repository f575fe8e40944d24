"""Memory: what is behind a plain BAR, by pages that exist once they are written; and that of the host."""

from typing import Protocol

from siov._core import HostMemory

PAGE = 0x1000
LOW = 2 << 30  # bytes of memory below 4 GiB at most: registers are there too
HIGH = 4 << 30  # where the rest is


class Dram(Protocol):
    """Host memory, as the root complex reaches it."""

    def holds(self, at: int, size: int) -> bool:
        """Whether all of a stretch of addresses is memory."""

    def read(self, at: int, size: int) -> bytes:
        """`size` bytes from an address."""

    def write(self, at: int, data: bytes) -> None:
        """Bytes to an address."""


class HostDram:
    """Host memory that remapping units walk too: `size` bytes (a multiple of 2 MiB) from address 0 on.

    What is more than 2 GiB begins at 4 GiB; `ranges` are (first address, bytes). A page takes room once it
    is written. Up to `end`, other memory may be put behind it into `core`, which devices reach and the CPU
    does not. `MemoryError` when the system does not give the addresses.
    """

    def __init__(self, size: int, end: int = 0) -> None:
        self.size = size
        low = min(size, LOW)
        self.ranges = ((0, low),) if low == size else ((0, low), (HIGH, size - low))
        self._low, self._end = low, sum(self.ranges[-1])
        self.core = HostMemory(max(self._end, end))
        for at, length in self.ranges:
            self.core.place(at, length)
        self.read = self.core.read
        self.write = self.core.write

    def holds(self, at: int, size: int) -> bool:
        """Whether all of a stretch of addresses is memory."""
        return at + size <= self._low or (at >= HIGH and at + size <= self._end)


class SparseMemory:
    """`size` bytes that read as zero until written; a page takes room once it is written."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._pages: dict[int, bytearray] = {}

    def read(self, at: int, size: int) -> bytes:
        """`size` bytes from offset `at`; `IndexError` past the end."""
        self._check(at, size)
        data = bytearray(size)
        for page, start, done, n in _pieces(at, size):
            if page in self._pages:
                data[done : done + n] = self._pages[page][start : start + n]
        return bytes(data)

    def write(self, at: int, data: bytes) -> None:
        """Bytes to offset `at`; `IndexError` past the end."""
        self._check(at, len(data))
        for page, start, done, n in _pieces(at, len(data)):
            self._pages.setdefault(page, bytearray(PAGE))[start : start + n] = data[done : done + n]

    def holds(self, at: int, size: int) -> bool:
        """Whether all of a stretch of addresses is memory."""
        return at >= 0 and at + size <= self.size

    def clear(self) -> None:
        """Everything reads as zero again."""
        self._pages.clear()

    @property
    def resident(self) -> int:
        """Bytes that take room."""
        return len(self._pages) * PAGE

    def _check(self, at: int, size: int) -> None:
        if at < 0 or at + size > self.size:
            raise IndexError(f"{size} bytes at {at:#x} leave the memory of {self.size:#x} bytes")


def _pieces(at: int, size: int) -> list[tuple[int, int, int, int]]:
    """Page, offset in it, bytes done before, bytes there: of each page that a stretch touches."""
    pieces, done = [], 0
    while done < size:
        page, start = divmod(at + done, PAGE)
        n = min(PAGE - start, size - done)
        pieces.append((page, start, done, n))
        done += n
    return pieces
