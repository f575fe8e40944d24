"""Which pages of a memory slot were written (KVM_GET_DIRTY_LOG)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from siov.host.physmem import PAGE_SHIFT

_WORD = 64  # KVM's bitmaps are made of longs


@dataclass(slots=True)
class DirtyLog:
    """The bitmap of a slot that begins at `gpa`: bit n of byte n / 8 is page n."""

    gpa: int
    pages: int
    bitmap: bytearray = field(default_factory=bytearray)

    def __post_init__(self) -> None:
        self.bitmap = bytearray(-(-self.pages // _WORD) * _WORD // 8)

    def mark(self, gpa: int, size: int = 1 << PAGE_SHIFT) -> None:
        """The pages of a range were written; those outside of the slot do not count."""
        first = max(0, (gpa - self.gpa) >> PAGE_SHIFT)
        last = min(self.pages - 1, (gpa + size - 1 - self.gpa) >> PAGE_SHIFT)
        for page in range(first, last + 1):
            self.bitmap[page >> 3] |= 1 << (page & 7)

    def take(self) -> bytes:
        """The bitmap, which is clean afterwards."""
        taken = bytes(self.bitmap)
        self.bitmap = bytearray(len(taken))
        return taken

    def inspect(self) -> dict[str, int]:
        """Pages, and how many are marked."""
        return {"pages": self.pages, "dirty": int.from_bytes(self.bitmap, "little").bit_count()}


def dirty_pages(bitmap: bytes) -> Iterator[int]:
    """The numbers of the pages that a bitmap marks, ascending."""
    for at, byte in enumerate(bitmap):
        while byte:
            lowest = byte & -byte
            yield at * 8 + lowest.bit_length() - 1
            byte ^= lowest
