"""Page tables: what was mapped is what a walk of raw memory finds, for any sequence of maps and unmaps."""

from errno import EEXIST, EINVAL, ENOMEM

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siov.host.iommu.formats import FirstStageFormat, SecondStageFormat
from siov.host.kvm.ept import EptFormat
from siov.host.linux import LinuxError
from siov.host.pgtable import PageTable, Prot
from siov.host.physmem import PhysMem
from siov.spec.ept import EptPage1G, EptPage2M, EptPage4K, EptTableEntry

from .machine import FIRST, RAM_BASE, SECOND, Machine, walk

KIB4, MIB2, GIB = 1 << 12, 1 << 21, 1 << 30
RW = Prot.READ | Prot.WRITE
EPT = (EptTableEntry, {1: EptPage4K, 2: EptPage2M, 3: EptPage1G})
KINDS = {
    "first": (FirstStageFormat(), FIRST),
    "second": (SecondStageFormat(), SECOND),
    "ept": (EptFormat(), EPT),
}


def table(kind: str = "second", levels: int = 4, largest: int = 3) -> tuple[Machine, PhysMem, PageTable]:
    machine = Machine(size=8 << 20)
    mem = PhysMem(machine, RAM_BASE, machine.size - RAM_BASE)
    return machine, mem, PageTable(mem, KINDS[kind][0], levels, largest)


# Units of 4 KiB, dense around places where tables end.
_edges = st.sampled_from([0, 1, 511, 512, 513, 1023, 1024, 512 * 511, 512 * 512 - 1, 512 * 512, 512 * 1024])
_starts = st.builds(lambda a, b: max(0, a + b), _edges, st.integers(-3, 3))
_sizes = st.one_of(st.integers(1, 5), st.sampled_from([511, 512, 513, 1024, 512 * 512, 512 * 513]))
_prots = st.sampled_from([Prot.READ, RW, RW | Prot.EXEC, Prot.READ | Prot.EXEC])
_phys = st.sampled_from([0, 1, 512, 512 * 512, 512 * 512 * 3 + 7])
_steps = st.lists(
    st.one_of(
        st.tuples(st.just("map"), _starts, _sizes, _phys, _prots),
        st.tuples(st.just("unmap"), _starts, _sizes, st.just(0), st.just(RW)),
        st.tuples(st.just("split"), _starts, st.integers(1, 600), st.just(0), st.just(RW)),
    ),
    max_size=10,
)


class Model:
    """Disjoint stretches of 4 KiB units: first, one past last, what the first maps to, rights."""

    def __init__(self) -> None:
        self.stretches: list[tuple[int, int, int, Prot]] = []

    def overlaps(self, start: int, end: int) -> bool:
        return any(a < end and start < b for a, b, _, _ in self.stretches)

    def map(self, start: int, end: int, phys: int, prot: Prot) -> None:
        self.stretches.append((start, end, phys, prot))

    def unmap(self, start: int, end: int) -> int:
        kept, gone = [], 0
        for a, b, phys, prot in self.stretches:
            low, high = max(a, start), min(b, end)
            if low >= high:
                kept.append((a, b, phys, prot))
                continue
            gone += high - low
            if a < low:
                kept.append((a, low, phys, prot))
            if high < b:
                kept.append((high, b, phys + high - a, prot))
        self.stretches = kept
        return gone

    def at(self, unit: int) -> tuple[int, Prot] | None:
        return next(((p + unit - a, prot) for a, b, p, prot in self.stretches if a <= unit < b), None)

    def probes(self) -> set[int]:
        ends = {n for a, b, _, _ in self.stretches for n in (a - 1, a, a + 1, (a + b) // 2, b - 1, b)}
        return {n for n in ends | {0, 511, 512, 512 * 512, 512 * 1024} if n >= 0}


def tables_reached(machine: Machine, root: int, levels: int, kinds) -> int:
    """The table pages that a walk can come to."""
    if levels == 1:
        return 1
    entries = [machine.entry(kinds[0], root, n) for n in range(512)]
    below = [e.ADDR << 12 for e in entries if e.raw and not (levels <= 3 and e.PS)]
    return 1 + sum(tables_reached(machine, at, levels - 1, kinds) for at in below)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(KINDS)), st.sampled_from([1, 2, 3]), st.sampled_from([3, 4, 5]), _steps)
def test_any_sequence_of_maps_unmaps_and_splits_reads_back_as_a_dictionary_would(
    kind, largest, levels, steps
):
    machine, mem, pages = table(kind, levels, largest)
    model = Model()
    for what, start, count, phys, prot in steps:
        if largest == 1:
            count = min(count, 1100)
        end = start + count
        if what == "map":
            if model.overlaps(start, end):
                with pytest.raises(LinuxError, match="is mapped at") as refusal:
                    pages.map(start * KIB4, phys * KIB4, count * KIB4, prot)
                assert refusal.value.errno == EEXIST
            else:
                pages.map(start * KIB4, phys * KIB4, count * KIB4, prot)
                model.map(start, end, phys, prot)
        elif what == "unmap":
            gather = pages.unmap(start * KIB4, count * KIB4)
            assert gather.unmapped == model.unmap(start, end) * KIB4
            pages.release(gather)
        else:
            pages.split(start * KIB4, end * KIB4)
        for unit in model.probes():
            want, found = model.at(unit), walk(machine, pages.root, levels, unit * KIB4, KINDS[kind][1])
            if want is None:
                assert found is None
            else:
                assert found is not None
                assert found.phys + unit * KIB4 % found.size == want[0] * KIB4
                letters = "".join(c for c, p in zip("rwx", Prot, strict=True) if want[1] & p)
                assert found.rights == "".join(sorted(letters))
        assert (
            pages.tables == mem.in_use.total() == tables_reached(machine, pages.root, levels, KINDS[kind][1])
        )
    for a, b, _, _ in list(model.stretches):
        pages.release(pages.unmap(a * KIB4, (b - a) * KIB4))
    assert pages.tables == mem.in_use.total() == 1
    pages.free()
    assert not mem.in_use


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize(("largest", "want"), [(1, KIB4), (2, MIB2), (3, GIB)])
def test_the_largest_pages_that_fit_are_used_and_no_larger(kind, largest, want):
    machine, _, pages = table(kind, largest=largest)
    pages.map(GIB, 2 * GIB, 4 * MIB2 if largest == 1 else GIB, RW)
    assert walk(machine, pages.root, 4, GIB + MIB2 + 5, KINDS[kind][1]).size == want


def test_a_page_is_only_as_large_as_both_addresses_are_aligned():
    machine, _, pages = table()
    pages.map(MIB2 - KIB4, 3 * MIB2 - KIB4, 2 * MIB2 + KIB4, RW)
    assert walk(machine, pages.root, 4, MIB2 - KIB4).size == KIB4
    assert walk(machine, pages.root, 4, MIB2).size == MIB2
    pages.map(GIB, GIB + MIB2, GIB, RW)
    assert walk(machine, pages.root, 4, GIB).size == MIB2


def test_a_hole_in_a_page_of_1_gib_splits_it_along_its_edges_only():
    machine, mem, pages = table()
    pages.map(0, 5 * GIB, GIB, RW)
    assert pages.tables == 2
    gather = pages.unmap(MIB2 + KIB4, KIB4)
    assert (gather.unmapped, gather.split, gather.leaf_only) == (KIB4, True, False)
    assert pages.tables == 4
    assert walk(machine, pages.root, 4, MIB2 + KIB4) is None
    assert walk(machine, pages.root, 4, MIB2).size == KIB4
    assert walk(machine, pages.root, 4, 0) == walk(machine, pages.root, 4, MIB2 - 1)
    assert walk(machine, pages.root, 4, 2 * MIB2).phys == 5 * GIB + 2 * MIB2
    assert mem.in_use.total() == 4


def test_a_split_keeps_accessed_and_dirty_bits():
    machine, _, pages = table()
    pages.map(0, GIB, MIB2, Prot.READ)
    (leaf_at,) = [at for at, level, *_ in pages.slices(0, MIB2) if level == 2]
    raw = int.from_bytes(machine.read(leaf_at, 8), "little") | 1 << 8 | 1 << 9
    machine.write(leaf_at, raw.to_bytes(8, "little"))
    pages.split(0, MIB2)
    assert [leaf.dirty for leaf in pages.leaves()] == [True] * 512
    assert [leaf.prot for leaf in pages.leaves()] == [Prot.READ] * 512


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("prot", [Prot.READ, RW, RW | Prot.EXEC])
def test_a_split_keeps_the_rights(kind, prot):
    machine, _, pages = table(kind)
    pages.map(0, 0, GIB, prot)
    before = walk(machine, pages.root, 4, 5 * KIB4, KINDS[kind][1])
    pages.split(0, MIB2)
    after = walk(machine, pages.root, 4, 5 * KIB4, KINDS[kind][1])
    assert (after.rights, after.phys, after.size) == (before.rights, 5 * KIB4, KIB4)
    assert walk(machine, pages.root, 4, MIB2, KINDS[kind][1]).rights == before.rights
    pages.map(GIB + MIB2 - KIB4, MIB2 - KIB4, KIB4, prot)
    split, small = (stretch[511] for _, level, _, stretch, _ in pages.slices(0, 2 * GIB) if level == 1)
    assert split == small


def test_dirty_bits_are_found_and_cleared_once():
    machine, _, pages = table()
    pages.map(0, GIB, MIB2 * 2, RW)
    pages.split(0, MIB2)
    written = [3, 4, 200]
    for at, level, _, entries, _ in list(pages.slices(0, 2 * MIB2)):
        for n in written if level == 1 else [0]:
            if level == 1:
                machine.write(at + 8 * n, (entries[n] | 1 << 9).to_bytes(8, "little"))
    assert [(a, n) for a, n, _ in pages.clear_dirty(0, 2 * MIB2)] == [(n * KIB4, KIB4) for n in written]
    assert list(pages.clear_dirty(0, 2 * MIB2)) == []
    assert sum(1 for _ in pages.leaves()) == 513


@pytest.mark.parametrize(
    ("iova", "phys", "size"),
    [
        (1, 0, KIB4),
        (0, 1, KIB4),
        (0, 0, 100),
        (0, 0, 0),
        (-KIB4, 0, KIB4),
        (1 << 48, 0, KIB4),
        (0, 1 << 52, KIB4),
    ],
)
def test_what_is_not_whole_pages_or_too_wide_is_refused(iova, phys, size):
    _, mem, pages = table()
    with pytest.raises(LinuxError, match="can't be mapped") as refusal:
        pages.map(iova, phys, size, RW)
    assert refusal.value.errno == EINVAL
    assert mem.in_use.total() == 1


def test_a_map_that_finds_no_page_for_a_table_leaves_nothing_behind():
    machine = Machine(size=2 << 20)
    mem = PhysMem(machine, RAM_BASE, 5 * KIB4)
    pages = PageTable(mem, SecondStageFormat(), 4)
    pages.map(0, 0, KIB4, RW)  # takes four
    before = machine.ram[:]
    with pytest.raises(LinuxError, match="no 1 pages in a row for second-stage") as refusal:
        pages.map(KIB4, KIB4, GIB, RW)  # the last page needs two tables more
    assert refusal.value.errno == ENOMEM
    assert pages.tables == mem.in_use.total() == 4
    assert walk(machine, pages.root, 4, KIB4) is None
    assert machine.ram[pages.root : pages.root + KIB4] == before[pages.root : pages.root + KIB4]


def test_an_unmap_that_finds_no_page_for_a_split_unmaps_nothing():
    machine = Machine(size=2 << 20)
    mem = PhysMem(machine, RAM_BASE, 2 * KIB4)
    pages = PageTable(mem, SecondStageFormat(), 4)
    pages.map(0, 0, GIB, RW)
    with pytest.raises(LinuxError, match="no 1 pages in a row"):
        pages.unmap(0, KIB4)
    assert walk(machine, pages.root, 4, 0).size == GIB
