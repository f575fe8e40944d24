"""Counters over time, in memory that does not grow."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siov.observe.series import FEWEST, Series


def test_a_rate_is_the_gain_a_second_between_two_points():
    series = Series()
    for time, count in ((10.0, 5), (10.5, 15), (12.5, 15)):
        series.add(time, {"a": count})
    assert series.rate("a") == [20.0, 0.0]
    assert series.middles() == [0.25, 1.5]
    assert (series.total("a"), series.seconds) == (10, 2.5)


def test_a_counter_that_was_not_there_began_at_zero_and_one_that_is_gone_stays():
    series = Series()
    for time, counts in enumerate(({"a": 1}, {"a": 2, "b": 7}, {"b": 9})):
        series.add(time, counts)
    assert series.rate("a") == [1.0, 0.0]
    assert series.rate("b") == [7.0, 2.0]
    assert series.rate("c") == [0.0, 0.0]


def test_a_counter_that_was_reset_counts_from_zero():
    series = Series()
    for time, count in enumerate((100, 130, 4, 10)):
        series.add(time, {"a": count})
    assert series.rate("a") == [30.0, 4.0, 6.0]
    assert series.total("a") == 40


@given(st.lists(st.integers(0, 1000), min_size=2, max_size=400), st.integers(2, 40))
def test_whatever_the_length_points_stay_few_and_totals_whole(gains, most):
    series, count = Series(most=most), 0
    for time, gain in enumerate(gains):
        series.add(time, {"a": count})
        assert len(series) <= most
        count += gain
    series.add(len(gains), {"a": count})
    assert series.total("a") == sum(gains)
    assert (series.times[0], series.times[-1]) == (0, len(gains))
    spans = [b - a for a, b in zip(series.times[:-1], series.times[1:], strict=True)]
    assert sum(r * s for r, s in zip(series.rate("a"), spans, strict=True)) == pytest.approx(sum(gains))


def test_many_columns_have_fewer_points():
    series = Series(values=1000)
    for time in range(500):
        series.add(time, {f"c{n}": time for n in range(10)})
    assert FEWEST <= len(series) <= 100
    assert series.total("c7") == 499
