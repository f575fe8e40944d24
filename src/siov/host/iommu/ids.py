"""Numbers to give out: domain ids, PASIDs (ida, iommu_alloc_global_pasid)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from errno import EBUSY, EINVAL, ENOSPC
from heapq import heappop, heappush

from siov.host.linux import LinuxError

NO_PASID = 0  # IOMMU_NO_PASID: the entry of requests without PASID
PASID_BITS = 20


@dataclass(slots=True)
class Ids:
    """The numbers `first` to `end - 1`, the lowest free one at a time; `what` they are, for errors."""

    what: str
    first: int
    end: int
    taken: set[int] = field(default_factory=set)
    _next: int = 0
    _freed: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._next = self.first

    def alloc(self) -> int:
        """A free number; ENOSPC when there is none."""
        while self._freed:
            if (number := heappop(self._freed)) not in self.taken:
                self.taken.add(number)
                return number
        while self._next in self.taken:
            self._next += 1
        if self._next >= self.end:
            raise LinuxError(ENOSPC, f"no {self.what} is left: all {self.end - self.first} are taken")
        self.taken.add(self._next)
        self._next += 1
        return self._next - 1

    def reserve(self, numbers: Iterable[int]) -> None:
        """Take numbers that somebody else gives out; EINVAL out of range, EBUSY for one that is taken."""
        wanted = set(numbers)
        for number in sorted(wanted):
            if not self.first <= number < self.end:
                raise LinuxError(EINVAL, f"{self.what} {number} is not in {self.first}..{self.end - 1}")
            if number in self.taken:
                raise LinuxError(EBUSY, f"{self.what} {number} is taken")
        self.taken |= wanted

    def free(self, number: int) -> None:
        """Give a number back."""
        assert number in self.taken, f"{self.what} {number} is not taken"
        self.taken.remove(number)
        if number < self._next:
            heappush(self._freed, number)

    def inspect(self) -> dict[str, object]:
        """The range, and how many are taken."""
        return {"first": self.first, "last": self.end - 1, "taken": len(self.taken)}


def pasid_allocator(bits: int = PASID_BITS) -> Ids:
    """The PASIDs of `bits` bits; 0 is for requests without PASID."""
    return Ids("PASID", NO_PASID + 1, 1 << min(bits, PASID_BITS))


def iommu_alloc_global_pasid(pasids: Ids, width: int) -> int:
    """A PASID that nobody else on the host uses, for a device whose PASIDs have `width` bits.

    EINVAL for a device without PASIDs, ENOSPC when those that it can use are all taken.
    """
    if width <= 0:
        raise LinuxError(EINVAL, "a device without PASIDs can't be given one; its PASID capability is off")
    pasid = pasids.alloc()
    if pasid >> width:
        pasids.free(pasid)
        raise LinuxError(ENOSPC, f"no PASID of {width} bits is left: all below {1 << width} are taken")
    return pasid


def iommu_free_global_pasid(pasids: Ids, pasid: int) -> None:
    """Give a PASID back that no device is attached with any more."""
    pasids.free(pasid)
