"""The host's physical memory, given out by pages (mm/page_alloc.c): a buddy allocator that accounts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from errno import EINVAL, ENOMEM
from threading import RLock

from siov.host.linux import LinuxError
from siov.host.pci.access import Mmio

PAGE_SHIFT = 12
PAGE_SIZE = 1 << PAGE_SHIFT
ZERO_PAGE = bytes(PAGE_SIZE)

_ZEROS = bytes(1 << 20)  # the largest piece in which a run is zeroed


@dataclass(slots=True)
class PhysMem:
    """The pages from `base` to `base + size - 1`, and of ranges added later, reached as the CPU does.

    `in_use` counts pages by what they are for ("root", "pasid", "second-stage", ...). EINVAL for a base or
    size that is not made of whole pages. Any thread may allocate and free.
    """

    mmio: Mmio
    base: int
    size: int
    in_use: Counter[str] = field(default_factory=Counter)
    _runs: dict[int, tuple[int, str]] = field(default_factory=dict)  # address: pages, kind
    _free: list[dict[int, None]] = field(default_factory=list)  # by order: frame numbers
    _lock: RLock = field(default_factory=RLock)

    def __post_init__(self) -> None:
        size, self.size = self.size, 0
        self.extend(self.base, size)

    def extend(self, base: int, size: int) -> None:
        """Have the pages of another range too, which overlaps none (add_memory). EINVAL as above."""
        if size <= 0 or (base | size) % PAGE_SIZE:
            raise LinuxError(EINVAL, f"memory at {base:#x} of {size:#x} bytes is not whole pages")
        first, pages = base >> PAGE_SHIFT, size >> PAGE_SHIFT
        self._free += [{} for _ in range(len(self._free), pages.bit_length())]
        for frame, order in _blocks(first, pages):
            self._give(frame, order)
        self.size += size

    @property
    def free_pages(self) -> int:
        """Pages that nobody uses."""
        return (self.size >> PAGE_SHIFT) - self.in_use.total()

    def alloc_page(self, kind: str, data: bytes = ZERO_PAGE) -> int:
        """The address of a page that holds `data` (4,096 bytes); ENOMEM when there is none."""
        with self._lock:
            address = self._take(0, kind) << PAGE_SHIFT
            self._runs[address] = (1, kind)
            self.in_use[kind] += 1
        self.mmio.write(address, data)
        return address

    def alloc_pages(self, count: int, kind: str, *, zero: bool = True) -> int:
        """The address of `count` pages in a row, aligned to their size rounded up to a power of two.

        ENOMEM when there is no such run, EINVAL for a count below 1.
        """
        if count < 1:
            raise LinuxError(EINVAL, f"{count} pages of memory for {kind} can't be allocated")
        order = (count - 1).bit_length()
        with self._lock:
            frame = self._take(order, kind)
            for tail, tail_order in _blocks(frame + count, (1 << order) - count):
                self._give(tail, tail_order)
            address = frame << PAGE_SHIFT
            self._runs[address] = (count, kind)
            self.in_use[kind] += count
        if zero:
            self.fill(address, count << PAGE_SHIFT)
        return address

    def free(self, address: int) -> None:
        """Give back the page or run that was allocated at this address."""
        with self._lock:
            assert address in self._runs, f"nothing was allocated at {address:#x}"
            count, kind = self._runs.pop(address)
            self.in_use[kind] -= count
            if not self.in_use[kind]:
                del self.in_use[kind]
            for frame, order in _blocks(address >> PAGE_SHIFT, count):
                self._give(frame, order)

    def fill(self, address: int, size: int) -> None:
        """Zero `size` bytes."""
        for at in range(address, address + size, len(_ZEROS)):
            self.mmio.write(at, _ZEROS[: address + size - at])

    def read(self, address: int, size: int) -> bytes:
        """`size` bytes of memory."""
        return self.mmio.read(address, size)

    def write(self, address: int, data: bytes) -> None:
        """Bytes to memory."""
        self.mmio.write(address, data)

    def _take(self, order: int, kind: str) -> int:
        have = next((n for n in range(order, len(self._free)) if self._free[n]), None)
        if have is None:
            raise LinuxError(
                ENOMEM, f"no {1 << order} pages in a row for {kind}: {self.free_pages} pages are free in all"
            )
        frame, _ = self._free[have].popitem()  # the one freed last, like Linux; and in constant time
        for half in range(have - 1, order - 1, -1):
            self._free[half][frame + (1 << half)] = None
        return frame

    def _give(self, frame: int, order: int) -> None:
        while order + 1 < len(self._free) and (buddy := frame ^ (1 << order)) in self._free[order]:
            del self._free[order][buddy]
            frame &= ~(1 << order)
            order += 1
        self._free[order][frame] = None

    def inspect(self) -> dict[str, object]:
        """Bytes in all, pages free, pages in use by kind, and the free blocks by order (/proc/buddyinfo)."""
        return {
            "base": self.base,
            "size": self.size,
            "free_pages": self.free_pages,
            "in_use": dict(self.in_use),
            "buddyinfo": [len(blocks) for blocks in self._free],
        }


def _blocks(frame: int, count: int) -> Iterator[tuple[int, int]]:
    """A row of frames as the largest blocks (frame, order) that are aligned to their size."""
    while count:
        order = count.bit_length() - 1
        if frame:
            order = min(order, (frame & -frame).bit_length() - 1)
        yield frame, order
        frame += 1 << order
        count -= 1 << order
