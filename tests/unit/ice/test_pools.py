"""Queues of the device, given out and taken back (__ice_vsi_get_qs)."""

import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siov.drivers.ice.pools import QueuePool
from siov.host.linux import LinuxError


def test_queues_come_in_a_row_from_the_first_that_is_free():
    pool = QueuePool("receive", 10, 100)
    assert pool.take(4, "a", row=True) == [10, 11, 12, 13]
    first = pool.take(4, "b", row=True)
    pool.take(1, "c", row=True)
    pool.give(first)
    assert pool.take(3, "d", row=True) == [14, 15, 16]
    assert pool.take(4, "e", row=True) == [19, 20, 21, 22]


def test_without_a_row_up_to_16_come_apart_and_more_are_refused():
    pool = QueuePool("receive", 0, 64)
    taken = pool.take(64, "a", row=True)
    pool.give(taken[::2])
    assert pool.take(16, "b", row=True) == list(range(0, 32, 2))
    pool.give(list(range(0, 32, 2)))
    with pytest.raises(
        LinuxError, match=r"17 receive queues in a row .* 32 of 64 are left, but apart"
    ) as error:
        pool.take(17, "c", row=True)
    assert error.value.errno == errno.ENOSPC
    assert len(pool.take(17, "d", row=False)) == 17, "transmit queues may be anywhere"


def test_more_than_are_left_is_refused_with_the_number_and_nothing_is_taken():
    pool = QueuePool("transmit", 0, 8)
    pool.take(5, "a", row=False)
    with pytest.raises(LinuxError, match=r"4 transmit queues for b are not to be had: 3 of 8 are left"):
        pool.take(4, "b", row=False)
    assert pool.inspect() == {"count": 8, "left": 3}


@given(st.lists(st.tuples(st.integers(0, 20), st.booleans(), st.booleans()), max_size=60))
def test_no_queue_is_ever_given_twice_and_none_gets_lost(steps):
    pool = QueuePool("receive", 100, 64)
    held: list[list[int]] = []
    for count, row, give in steps:
        if give and held:
            pool.give(held.pop(count % len(held)))
            continue
        try:
            held.append(pool.take(count, "x", row=row))
        except LinuxError:
            continue
        assert len(held[-1]) == count
    used = [queue for some in held for queue in some]
    assert len(used) == len(set(used))
    assert set(used) | pool.free == set(range(100, 164))
    assert not set(used) & pool.free
