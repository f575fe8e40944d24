"""Pages of host memory are given out once, aligned, zeroed and accounted."""

from errno import EINVAL, ENOMEM

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siov.host.linux import LinuxError
from siov.host.physmem import PAGE_SIZE, PhysMem

from .machine import RAM_BASE, Machine


@given(st.lists(st.one_of(st.integers(1, 40), st.just(0)), max_size=60), st.randoms())
def test_runs_never_overlap_are_aligned_to_their_size_and_all_come_back(requests, random):
    mem = PhysMem(Machine(size=2 << 20), RAM_BASE, (2 << 20) - RAM_BASE)
    have: dict[int, int] = {}
    for count in requests:
        if count == 0 and have:
            address = random.choice(sorted(have))
            del have[address]
            mem.free(address)
        elif count:
            try:
                address = mem.alloc_pages(count, "test")
            except LinuxError:
                continue
            assert address % (PAGE_SIZE << (count - 1).bit_length()) == 0
            assert all(
                address + count * PAGE_SIZE <= a or a + n * PAGE_SIZE <= address for a, n in have.items()
            )
            assert address >= RAM_BASE
            assert address + count * PAGE_SIZE <= 2 << 20
            have[address] = count
        assert mem.in_use["test"] == sum(have.values())
    for address in list(have):
        mem.free(address)
    assert not mem.in_use
    assert mem.alloc_pages(mem.free_pages, "all") == RAM_BASE  # coalesced


def test_all_of_memory_can_be_given_out_page_by_page_and_then_no_more():
    mem = PhysMem(Machine(size=2 << 20), RAM_BASE, 16 * PAGE_SIZE)
    pages = {mem.alloc_page("test") for _ in range(16)}
    assert pages == {RAM_BASE + n * PAGE_SIZE for n in range(16)}
    with pytest.raises(LinuxError, match="no 1 pages in a row for more: 0 pages are free") as refusal:
        mem.alloc_page("more")
    assert refusal.value.errno == ENOMEM


def test_a_page_or_run_is_zeroed_even_after_somebody_used_it(machine, mem):
    run = mem.alloc_pages(300, "first")
    machine.write(run, b"\xaa" * (300 * PAGE_SIZE))
    mem.free(run)
    again = mem.alloc_pages(300, "second")
    assert again == run
    assert mem.read(again, 300 * PAGE_SIZE) == bytes(300 * PAGE_SIZE)


def test_pages_are_accounted_by_what_they_are_for(mem):
    first = mem.alloc_page("a")
    mem.alloc_pages(3, "b")
    assert mem.inspect()["in_use"] == {"a": 1, "b": 3}
    mem.free(first)
    assert mem.inspect()["in_use"] == {"b": 3}


@pytest.mark.parametrize(("base", "size"), [(1, 4096), (4096, 100), (4096, 0)])
def test_memory_that_is_not_whole_pages_is_refused(machine, base, size):
    with pytest.raises(LinuxError, match="is not whole pages") as refusal:
        PhysMem(machine, base, size)
    assert refusal.value.errno == EINVAL


def test_a_run_of_no_pages_is_refused(mem):
    with pytest.raises(LinuxError, match="0 pages of memory for x"):
        mem.alloc_pages(0, "x")


def test_memory_that_is_added_is_given_out_too_and_never_joins_what_lies_elsewhere():
    size = 1 << 20
    mem = PhysMem(Machine(size=8 << 20), 2 << 20, size)
    mem.extend(4 << 20, 2 * size)
    assert mem.free_pages == 3 * size // PAGE_SIZE
    big = mem.alloc_pages(2 * size // PAGE_SIZE, "big")  # larger than all that there was at first
    small = mem.alloc_pages(size // PAGE_SIZE, "small")
    assert (big, small) == (4 << 20, 2 << 20)
    with pytest.raises(LinuxError, match="0 pages are free") as error:
        mem.alloc_page("more")
    assert error.value.errno == ENOMEM
    mem.free(big)
    mem.free(small)
    assert mem.inspect()["size"] == 3 * size
    with pytest.raises(LinuxError, match="is not whole pages") as error:
        mem.extend(8 << 20, 100)
    assert error.value.errno == EINVAL
