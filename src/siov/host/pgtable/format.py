"""What an editor of page tables needs to know of their kind, and what it tells."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntFlag
from typing import Protocol

from siov.host.physmem import PAGE_SHIFT

ENTRIES = 512
_INDEX_BITS = 9


class Prot(IntFlag):
    """What a mapping allows (IOMMU_READ, IOMMU_WRITE, and the absence of IOMMU_NOEXEC)."""

    READ = 1
    WRITE = 2
    EXEC = 4


class Format(Protocol):
    """How one kind of table writes its entries; all as raw 64-bit values."""

    @property
    def name(self) -> str:
        """The kind under which table pages are accounted."""

    @property
    def address_mask(self) -> int:
        """The address of an entry that points to a table or to a page of 4 KiB."""

    @property
    def dirty_mask(self) -> int:
        """D of an entry of a page; 0 if the kind keeps none."""

    @property
    def write_mask(self) -> int:
        """What makes a page writable."""

    def table(self, address: int) -> int:
        """An entry that points to a table."""

    def leaf(self, level: int, prot: Prot) -> int:
        """An entry of a page without its address, at level 1 (4 KiB), 2 (2 MiB) or 3 (1 GiB)."""

    def is_leaf(self, raw: int, level: int) -> bool:
        """Whether a present entry is of a page."""

    def prot(self, raw: int) -> Prot:
        """What the entry of a page allows."""


@dataclass(slots=True, frozen=True)
class Leaf:
    """A page found in a table: `iova` is where it begins, `phys` what it maps to, `size` in bytes."""

    iova: int
    phys: int
    size: int
    prot: Prot
    dirty: bool = False


@dataclass(slots=True)
class Gather:
    """What an unmap leaves for the caller: first invalidate, then free the tables (iommu_iotlb_gather).

    `start` to `end` is all that is stale until then: more than was unmapped if tables were unlinked, as
    hardware may still walk those for the addresses around.
    """

    unmapped: int = 0
    tables: list[int] = field(default_factory=list)
    split: bool = False
    start: int = 0
    end: int = 0

    @property
    def leaf_only(self) -> bool:
        """Whether entries that point to tables are as they were (the invalidation hint)."""
        return not self.tables and not self.split

    def widen(self, start: int, end: int) -> None:
        """A range is stale too."""
        self.start, self.end = min(self.start, start), max(self.end, end)


def level_shift(level: int) -> int:
    """The bits of an address below the index of a level."""
    return PAGE_SHIFT + _INDEX_BITS * (level - 1)
