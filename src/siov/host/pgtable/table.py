"""Page tables in memory that hardware walks: one editor for VT-d's two stages and for EPT.

A table is a page of 512 entries. New tables are built from the leaves up and linked with one write of
8 bytes, so that hardware never meets a half-built one; what was unlinked is freed by the caller once the
hardware's caches have forgotten it.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from errno import EEXIST, EINVAL

from siov.host.linux import LinuxError
from siov.host.pgtable.format import ENTRIES, Format, Gather, Leaf, Prot, level_shift
from siov.host.physmem import PAGE_SIZE, ZERO_PAGE, PhysMem


@dataclass(slots=True)
class PageTable:
    """A page table of `levels` levels whose largest page is at level `largest` (1, 2 or 3)."""

    mem: PhysMem
    format: Format
    levels: int
    largest: int = 3
    root: int = 0
    tables: int = 1  # pages of memory that it takes, without those unlinked

    def __post_init__(self) -> None:
        self.root = self.mem.alloc_page(self.format.name)

    @property
    def size(self) -> int:
        """The bytes of address space."""
        return 1 << level_shift(self.levels + 1)

    def map(self, iova: int, phys: int, size: int, prot: Prot) -> None:
        """Map with the largest pages that fit; all or nothing.

        EINVAL for what is not whole pages or leaves the address space, EEXIST for what is mapped in part,
        ENOMEM when there is no page for a table.
        """
        self.check(iova, size)
        if phys % PAGE_SIZE or phys < 0 or phys + size - 1 > self.format.address_mask | (PAGE_SIZE - 1):
            raise LinuxError(EINVAL, f"{phys:#x} can't be mapped to: not a page, or too wide an address")
        taken = next(self.leaves(iova, iova + size), None)
        if taken is not None:
            raise LinuxError(
                EEXIST,
                f"{iova:#x}..{iova + size - 1:#x} is mapped at {taken.iova:#x} already; unmap that first",
            )
        links: list[tuple[int, bytes]] = []
        built: list[tuple[int, int]] = []
        try:
            self._map(self.root, self.levels, iova, phys, iova + size, prot, links, built)
        except LinuxError:
            for table, level in built:
                self._drop(table, level)
            raise
        for at, entries in links:
            self.mem.write(at, entries)

    def unmap(self, iova: int, size: int) -> Gather:
        """Unmap what is mapped in a range; pages that its ends cut are split first.

        EINVAL as for `map`; ENOMEM, with nothing unmapped, when there is no page for a split.
        """
        self.check(iova, size)
        gather = Gather(start=iova, end=iova + size)
        for end in (iova, iova + size):
            gather.split |= self._cut(end)
        self._unmap(self.root, self.levels, 0, iova, iova + size, gather)
        self.tables -= len(gather.tables)
        return gather

    def release(self, gather: Gather) -> None:
        """Free the tables that an unmap unlinked."""
        for table in gather.tables:
            self.mem.free(table)
        gather.tables.clear()

    def free(self) -> None:
        """Give all tables back; nothing may walk them any more."""
        self.release(self.unmap(0, self.size))
        self.mem.free(self.root)
        self.tables = 0

    def lookup(self, iova: int) -> Leaf | None:
        """The page that an address is in; none when it is not mapped."""
        return next(self.leaves(iova, iova + 1), None) if 0 <= iova < self.size else None

    def leaves(self, start: int = 0, end: int | None = None) -> Iterator[Leaf]:
        """The pages in or astride of a range, by address."""
        fmt = self.format
        for _, level, base, entries, picked in self.slices(start, self.size if end is None else end):
            span = 1 << level_shift(level)
            for n in picked:
                raw = entries[n]
                phys = raw & fmt.address_mask & -span
                dirty = bool(raw & fmt.dirty_mask)
                yield Leaf(base + n * span, phys, span, fmt.prot(raw), dirty)

    def slices(self, start: int, end: int) -> Iterator[tuple[int, int, int, array[int], list[int]]]:
        """The stretches of tables that hold pages of a range.

        Each as: address of the first entry, level, what that entry maps, the entries, and which of them
        are pages.
        """
        return self._slices(self.root, self.levels, 0, start, end)

    def split(self, start: int, end: int) -> bool:
        """Break the pages of a range into pages of 4 KiB; whether there was something to break."""
        return self._split(self.root, self.levels, 0, start, end)

    def clear_dirty(self, start: int, end: int) -> Iterator[tuple[int, int, int]]:
        """Clear D of the pages of a range; gives (address, bytes, raw entry before) of each that had it.

        Only entries that had D are written, so that none which hardware sets meanwhile is lost.
        """
        dirty = self.format.dirty_mask
        for at, level, base, entries, picked in self.slices(start, end):
            found = [n for n in picked if entries[n] & dirty]
            for first, count in _runs(found):
                clean = array("Q", [raw & ~dirty for raw in entries[first : first + count]])
                self.mem.write(at + 8 * first, clean.tobytes())
            span = 1 << level_shift(level)
            for n in found:
                yield base + n * span, span, entries[n]

    def protect(self, start: int, end: int, writable: bool) -> None:
        """Forbid or allow writing to the pages of a range that are mapped."""
        write = self.format.write_mask
        for at, _, _, entries, picked in self.slices(start, end):
            changed = [n for n in picked if bool(entries[n] & write) != writable]
            for first, count in _runs(changed):
                now = array("Q", [raw ^ write for raw in entries[first : first + count]])
                self.mem.write(at + 8 * first, now.tobytes())

    def check(self, iova: int, size: int) -> None:
        """EINVAL for a range that is not whole pages or leaves the address space."""
        if (iova | size) % PAGE_SIZE or size <= 0 or iova < 0 or iova + size > self.size:
            raise LinuxError(
                EINVAL,
                f"{size:#x} bytes at {iova:#x} can't be mapped: give whole pages below {self.size:#x}",
            )

    def _load(self, at: int, count: int) -> array[int]:
        return array("Q", self.mem.read(at, 8 * count))

    def _put(self, at: int, raw: int) -> None:
        self.mem.write(at, raw.to_bytes(8, "little"))

    def _run(self, level: int, iova: int, phys: int, end: int) -> int:
        """How many pages of this level fit from here, in this table."""
        shift = level_shift(level)
        if level > self.largest or (iova | phys) & ((1 << shift) - 1):
            return 0
        return min(ENTRIES - (iova >> shift) % ENTRIES, (end - iova) >> shift)

    def _pages(self, level: int, phys: int, count: int, raw: int) -> array[int]:
        span = 1 << level_shift(level)
        return array("Q", range(raw | phys, (raw | phys) + count * span, span))

    def _map(
        self,
        table: int,
        level: int,
        iova: int,
        phys: int,
        end: int,
        prot: Prot,
        links: list[tuple[int, bytes]],
        built: list[tuple[int, int]],
    ) -> None:
        """Collect what is to be written into the live tables, and the new tables that this links."""
        shift = level_shift(level)
        while iova < end:
            at = table + 8 * ((iova >> shift) % ENTRIES)
            if count := self._run(level, iova, phys, end):
                links.append((at, self._pages(level, phys, count, self.format.leaf(level, prot)).tobytes()))
                step = count << shift
            else:
                step = min(end, ((iova >> shift) + 1) << shift) - iova
                if below := self._load(at, 1)[0]:
                    child = below & self.format.address_mask
                    self._map(child, level - 1, iova, phys, iova + step, prot, links, built)
                else:
                    child = self._build(level - 1, iova, phys, iova + step, prot)
                    built.append((child, level - 1))
                    links.append((at, self.format.table(child).to_bytes(8, "little")))
            iova, phys = iova + step, phys + step

    def _build(self, level: int, iova: int, phys: int, end: int, prot: Prot) -> int:
        """A new table that maps a range, written in one piece."""
        shift = level_shift(level)
        entries = array("Q", ZERO_PAGE)
        children: list[int] = []
        try:
            while iova < end:
                index = (iova >> shift) % ENTRIES
                if count := self._run(level, iova, phys, end):
                    entries[index : index + count] = self._pages(
                        level, phys, count, self.format.leaf(level, prot)
                    )
                    step = count << shift
                else:
                    step = min(end, ((iova >> shift) + 1) << shift) - iova
                    children.append(self._build(level - 1, iova, phys, iova + step, prot))
                    entries[index] = self.format.table(children[-1])
                iova, phys = iova + step, phys + step
            return self._alloc(entries)
        except LinuxError:
            for child in children:
                self._drop(child, level - 1)
            raise

    def _alloc(self, entries: array[int]) -> int:
        table = self.mem.alloc_page(self.format.name, entries.tobytes())
        self.tables += 1
        return table

    def _drop(self, table: int, level: int) -> None:
        gather = Gather()
        self._collect(table, level, gather)
        self.tables -= len(gather.tables)
        self.release(gather)

    def _unmap(self, table: int, level: int, base: int, start: int, end: int, gather: Gather) -> None:
        """Clear a range in one table, whose first entry maps `base`."""
        span = 1 << level_shift(level)
        first, last = self._reach(level, base, start, end)
        entries = self._load(table + 8 * first, last - first)
        cleared: list[int] = []
        for index, raw in enumerate(entries, first):
            if not raw:
                continue
            here = base + index * span
            child = raw & self.format.address_mask
            if self.format.is_leaf(raw, level):
                gather.unmapped += span
                cleared.append(index)
            elif start <= here and here + span <= end:
                self._collect(child, level - 1, gather)
                cleared.append(index)
            else:
                self._unmap(child, level - 1, here, start, end, gather)
                if self.mem.read(child, PAGE_SIZE) == ZERO_PAGE:
                    gather.tables.append(child)
                    gather.widen(here, here + span)
                    cleared.append(index)
        for index, count in _runs(cleared):
            self.mem.write(table + 8 * index, bytes(8 * count))

    def _collect(self, table: int, level: int, gather: Gather) -> None:
        """A table that is being unlinked, with all below it."""
        span = 1 << level_shift(level)
        entries = self._load(table, ENTRIES)
        if level == 1:
            gather.unmapped += span * (ENTRIES - entries.count(0))
            entries = entries[:0]
        for raw in entries:
            if raw and self.format.is_leaf(raw, level):
                gather.unmapped += span
            elif raw:
                self._collect(raw & self.format.address_mask, level - 1, gather)
        gather.tables.append(table)

    def _shatter(self, raw: int, level: int) -> int:
        """A table of the next smaller pages with the rights, accessed and dirty bits of this one."""
        span = 1 << level_shift(level)
        phys = raw & self.format.address_mask & -span
        rest = raw & ~(self.format.address_mask & -span)
        # What an entry of the one level has and one of the other has not, whatever the rights.
        old, new = self.format.leaf(level, Prot(0)), self.format.leaf(level - 1, Prot(0))
        return self._alloc(self._pages(level - 1, phys, ENTRIES, rest & ~(old & ~new) | (new & ~old)))

    def _cut(self, address: int) -> bool:
        """Break the pages that an address is inside of, until one begins there; whether there were any."""
        table, level, broken = self.root, self.levels, False
        while level > 1 and address % (1 << level_shift(level)):
            at = table + 8 * ((address >> level_shift(level)) % ENTRIES)
            raw = self._load(at, 1)[0]
            if not raw:
                break
            if self.format.is_leaf(raw, level):
                broken = True
                raw = self.format.table(self._shatter(raw, level))
                self._put(at, raw)
            table, level = raw & self.format.address_mask, level - 1
        return broken

    def _split(self, table: int, level: int, base: int, start: int, end: int) -> bool:
        span, broken = 1 << level_shift(level), False
        first, last = self._reach(level, base, start, end)
        for index, raw in enumerate(self._load(table + 8 * first, last - first), first):
            if not raw:
                continue
            if self.format.is_leaf(raw, level):
                broken = True
                raw = self.format.table(self._shatter(raw, level))
                self._put(table + 8 * index, raw)
            if level > 2:
                child = raw & self.format.address_mask
                broken |= self._split(child, level - 1, base + index * span, start, end)
        return broken

    def _reach(self, level: int, base: int, start: int, end: int) -> tuple[int, int]:
        """Which entries of a table, whose first one maps `base`, a range touches: first, one past last."""
        shift = level_shift(level)
        return (max(start, base) - base) >> shift, min(ENTRIES, ((end - 1 - base) >> shift) + 1)

    def _slices(
        self, table: int, level: int, base: int, start: int, end: int
    ) -> Iterator[tuple[int, int, int, array[int], list[int]]]:
        span = 1 << level_shift(level)
        first, last = self._reach(level, base, start, end)
        at = table + 8 * first
        entries = self._load(at, last - first)
        here = base + first * span
        if level == 1:
            picked = [n for n, raw in enumerate(entries) if raw]
        else:
            picked = []
            for n, raw in enumerate(entries):
                if raw and self.format.is_leaf(raw, level):
                    picked.append(n)
                elif raw:
                    if picked:
                        yield at, level, here, entries, picked
                        picked = []
                    yield from self._slices(
                        raw & self.format.address_mask, level - 1, here + n * span, start, end
                    )
        if picked:
            yield at, level, here, entries, picked

    def inspect(self) -> dict[str, object]:
        """Kind, levels, root address and pages of tables."""
        return {"kind": self.format.name, "levels": self.levels, "root": self.root, "tables": self.tables}


def _runs(indices: list[int]) -> Iterator[tuple[int, int]]:
    """Ascending numbers as runs: first and how many."""
    start = 0
    for n in range(1, len(indices) + 1):
        if n == len(indices) or indices[n] != indices[n - 1] + 1:
            yield indices[start], n - start
            start = n
