"""Queues of the device that a function gives to its VSIs (ice_get_avail_q_count, __ice_vsi_get_qs)."""

from __future__ import annotations

from dataclasses import dataclass, field
from errno import ENOSPC

from siov.drivers.ice.vsi_info import MAX_SCATTERED
from siov.host.linux import LinuxError


@dataclass(slots=True)
class QueuePool:
    """Queues `first` to `first + count - 1`; `what` names them in errors."""

    what: str
    first: int
    count: int
    free: set[int] = field(init=False)

    def __post_init__(self) -> None:
        self.free = set(range(self.first, self.first + self.count))

    def take(self, count: int, owner: str, *, row: bool) -> list[int]:
        """The lowest free queues: in a row, or (at most 16 when `row`) wherever they are; ENOSPC."""
        if count > len(self.free):
            raise LinuxError(
                ENOSPC,
                f"{count} {self.what} queues for {owner} are not to be had: "
                f"{len(self.free)} of {self.count} are left",
            )
        found = self._row(count)
        if found is None:
            if row and count > MAX_SCATTERED:
                raise LinuxError(
                    ENOSPC,
                    f"{count} {self.what} queues in a row for {owner} are not to be had: {len(self.free)} of "
                    f"{self.count} are left, but apart; up to {MAX_SCATTERED} may be apart",
                )
            found = sorted(self.free)[:count]
        self.free.difference_update(found)
        return found

    def give(self, queues: list[int]) -> None:
        """Queues go back."""
        self.free.update(queues)

    def inspect(self) -> dict[str, int]:
        """How many there are and how many are left."""
        return {"count": self.count, "left": len(self.free)}

    def _row(self, count: int) -> list[int] | None:
        run = 0
        for queue in range(self.first, self.first + self.count):
            run = run + 1 if queue in self.free else 0
            if run == count:
                return list(range(queue - count + 1, queue + 1))
        return [] if count == 0 else None
