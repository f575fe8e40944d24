"""Counters over time, in memory that does not grow with the length of a run."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from itertools import pairwise

VALUES = 2_000_000  # of 8 bytes, that all columns together hold at most
MOST, FEWEST = 600, 60  # points


class Series:
    """Readings of counters at points in time, a column for each counter by its name.

    When there is no room for another point, every second one goes: counters keep what lies between. There
    is room for `values` in all, or for FEWEST points where that is more. Times are in seconds, and go up.
    """

    def __init__(self, values: int = VALUES, most: int = MOST) -> None:
        self.times = array("d")
        self.columns: dict[str, array[int]] = {}
        self._values, self._most = values, most

    def __len__(self) -> int:
        return len(self.times)

    def add(self, time: float, counts: Mapping[str, int]) -> None:
        """Another point; a counter that was not there began at 0, one that is gone stays as it was."""
        columns, before = self.columns, len(self.times)
        for name, count in counts.items():
            try:
                columns[name].append(count)
            except KeyError:
                columns[name] = array("Q", [0]) * before
                columns[name].append(count)
        if len(columns) != len(counts):
            for column in columns.values():
                if len(column) == before:
                    column.append(column[-1])
        self.times.append(time)
        if len(self.times) > self.room:
            self._halve()

    @property
    def room(self) -> int:
        """Points that there is room for, with so many columns."""
        return min(self._most, max(FEWEST, self._values // max(1, len(self.columns))))

    def _halve(self) -> None:
        # The newest point stays, since totals are told by it; so does the first.
        keep = slice(None, None, 2) if len(self.times) % 2 else slice(1, None, 2)
        first = self.times[0]
        self.times = self.times[keep]
        for name, column in self.columns.items():
            began = column[0]
            self.columns[name] = column[keep]
            self.columns[name][0] = began
        self.times[0] = first

    def total(self, name: str, since: int = 0) -> int:
        """What a counter has gained over the points from `since` on; 0 for one that is not there."""
        column = self.columns.get(name)
        return sum(_gains(column[since:])) if column else 0

    def rate(self, name: str, since: int = 0) -> list[float]:
        """A counter's gain a second, between each point from `since` on and the next: one less than points.

        A counter that has gone back was set to zero between them, and counts from there.
        """
        column = self.columns.get(name)
        if column is None:
            return [0.0] * max(0, len(self.times) - since - 1)
        spans = zip(self.times[since:], self.times[since + 1 :], strict=False)
        return [
            gain / (end - begin) if end > begin else 0.0
            for gain, (begin, end) in zip(_gains(column[since:]), spans, strict=True)
        ]

    def middles(self) -> list[float]:
        """The time in the middle of each stretch that `rate` has, since the first point."""
        return [(a + b) / 2 - self.times[0] for a, b in pairwise(self.times)]

    @property
    def seconds(self) -> float:
        """From the first point to the last."""
        return self.times[-1] - self.times[0] if self.times else 0.0


def _gains(column: array[int]) -> Iterator[int]:
    return (now - before if now >= before else now for before, now in pairwise(column))
