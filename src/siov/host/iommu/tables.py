"""Root and context tables, PASID directories and tables, in memory (iommu.c, pasid.c).

An entry is written with its present bit last, and cleared with its present bit first; the rest of it is
wiped when the unit has forgotten it (VT-d 6.5.3).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from siov.host.physmem import PAGE_SHIFT, PAGE_SIZE, PhysMem
from siov.spec.vtd import (
    ContextEntry,
    PasidDirectoryEntry,
    PasidTableEntry,
    RootEntry,
    ScalableContextEntry,
)
from siov.spec.word import Word

_PRESENT = 8  # the bytes that hold the present bit of every kind of entry


def set_entry(mem: PhysMem, at: int, entry: Word) -> None:
    """Write a table entry so that it is whole once it is present."""
    data = entry.to_bytes()
    mem.write(at + _PRESENT, data[_PRESENT:])
    mem.write(at, data[:_PRESENT])


def clear_present(mem: PhysMem, at: int) -> None:
    """Make a table entry not present and leave the rest, which the unit may still be using."""
    low = int.from_bytes(mem.read(at, _PRESENT), "little")
    mem.write(at, (low & ~1).to_bytes(_PRESENT, "little"))


@dataclass(slots=True)
class RootTable:
    """The root table of a unit, and the context tables of the buses that have devices."""

    mem: PhysMem
    scalable: bool
    address: int = 0
    contexts: dict[int, int] = field(default_factory=dict)  # by number of the 8-byte half of the root table

    def __post_init__(self) -> None:
        self.address = self.mem.alloc_page("root")

    @property
    def entry(self) -> type[ContextEntry] | type[ScalableContextEntry]:
        """What the context entries are."""
        return ScalableContextEntry if self.scalable else ContextEntry

    def at(self, rid: int) -> int:
        """The address of a function's context entry; its context table is made if need be."""
        size = self.entry.width // 8
        table, index = divmod(rid, PAGE_SIZE // size)
        # In scalable mode a bus has two tables; in legacy mode the upper half of its root entry is reserved.
        half = table if self.scalable else table * 2
        if half not in self.contexts:
            page = self.mem.alloc_page("context")
            self.contexts[half] = page
            self.mem.write(self.address + 8 * half, RootEntry.of(P=1, CTP=page >> PAGE_SHIFT).to_bytes()[:8])
        return self.contexts[half] + index * size

    def read(self, rid: int) -> ContextEntry | ScalableContextEntry:
        """A function's context entry as it is in memory."""
        return self.entry.from_bytes(self.mem.read(self.at(rid), self.entry.width // 8))

    def wipe(self, rid: int) -> None:
        """Zero a context entry that the unit has forgotten."""
        self.mem.write(self.at(rid), bytes(self.entry.width // 8))

    def free(self) -> None:
        """Give the pages back."""
        for page in self.contexts.values():
            self.mem.free(page)
        self.contexts.clear()
        self.mem.free(self.address)


_PER_TABLE = PAGE_SIZE // (PasidTableEntry.width // 8)
_SIZE = PasidTableEntry.width // 8


@dataclass(slots=True)
class PasidTable:
    """The PASID directory of a device with its tables, for PASIDs of `bits` bits."""

    mem: PhysMem
    bits: int
    directory: int = 0
    tables: dict[int, int] = field(default_factory=dict)  # by index in the directory

    def __post_init__(self) -> None:
        pages = max(1, (1 << self.bits) // _PER_TABLE * 8 >> PAGE_SHIFT)
        self.directory = self.mem.alloc_pages(pages, "pasid-directory")

    @property
    def pdts(self) -> int:
        """The directory's size as a context entry tells it: 2 to the power of (n + 7) entries."""
        return max(0, self.bits - 6 - 7)

    def at(self, pasid: int) -> int:
        """The address of a PASID's entry; its table is made if need be."""
        index, inner = divmod(pasid, _PER_TABLE)
        if index not in self.tables:
            page = self.mem.alloc_page("pasid-table")
            self.tables[index] = page
            entry = PasidDirectoryEntry.of(P=1, SMPTBLPTR=page >> PAGE_SHIFT)
            self.mem.write(self.directory + 8 * index, entry.to_bytes())
        return self.tables[index] + inner * _SIZE

    def read(self, pasid: int) -> PasidTableEntry:
        """A PASID's entry as it is in memory."""
        return PasidTableEntry.from_bytes(self.mem.read(self.at(pasid), _SIZE))

    def wipe(self, pasid: int) -> None:
        """Zero an entry that the unit has forgotten."""
        self.mem.write(self.at(pasid), bytes(_SIZE))

    def free(self) -> None:
        """Give the pages back."""
        for page in self.tables.values():
            self.mem.free(page)
        self.tables.clear()
        self.mem.free(self.directory)
