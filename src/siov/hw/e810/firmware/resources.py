"""Resources that a driver allocates by number: VSI lists, counters, profiles (0x0204, 0x0208 …)."""

from __future__ import annotations

from dataclasses import dataclass, field

from siov.hw.e810.engine import Engine
from siov.hw.e810.firmware.command import AqError
from siov.spec.e810.adminq import AqRc
from siov.spec.e810.aq_switch import ResourceType

LISTS = (ResourceType.VSI_LIST_REP, ResourceType.VSI_LIST_PRUNE)

# How many there are; the kinds of VSI lists share their numbers.
CAPACITY = {
    ResourceType.VEB_COUNTER: 32,
    ResourceType.VLAN_COUNTER: 128,
    ResourceType.VSI_LIST_REP: 1024,
    ResourceType.VSI_LIST_PRUNE: 1024,
    ResourceType.SWID: 256,
    ResourceType.GLOBAL_RSS_HASH: 16,
    ResourceType.FDIR_COUNTER_BLOCK: 16,  # of 256 counters each
    ResourceType.FDIR_GUARANTEED_ENTRIES: 1024,
    ResourceType.FDIR_SHARED_ENTRIES: 15360,
    ResourceType.FD_PROF_BLDR_PROFID: 128,
    ResourceType.HASH_PROF_BLDR_PROFID: 128,
}


@dataclass(slots=True)
class Resources:
    """What is allocated, and the VSIs that each list holds."""

    engine: Engine
    taken: dict[ResourceType, set[int]] = field(default_factory=dict)
    lists: dict[int, set[int]] = field(default_factory=dict)

    def capacity(self, kind: ResourceType) -> tuple[int, int]:
        """How many there are, and how many of them are free."""
        return CAPACITY[kind], CAPACITY[kind] - len(self._taken(kind))

    def allocate(self, kind: ResourceType, count: int) -> list[int]:
        """The lowest free numbers; ENOSPC when there are not so many."""
        taken = self._taken(kind)
        if not 0 < count <= CAPACITY[kind] - len(taken):
            raise AqError(AqRc.ENOSPC if count else AqRc.EINVAL)
        free = (n for n in range(CAPACITY[kind]) if n not in taken)
        found = [next(free) for _ in range(count)]
        self.taken.setdefault(kind, set()).update(found)
        if kind in LISTS:
            self.lists |= {n: set() for n in found}
        return found

    def free(self, kind: ResourceType, numbers: list[int]) -> None:
        """Give numbers back; ENOENT when one of them was not allocated, and then none is."""
        if not set(numbers) <= self.taken.get(kind, set()):
            raise AqError(AqRc.ENOENT)
        self.taken[kind] -= set(numbers)
        if kind in LISTS:
            for number in set(numbers):
                del self.lists[number]
                self.engine.set_vsi_list(number, [])

    def list_kind(self, number: int) -> ResourceType:
        """Which kind a VSI list is; ENOENT without it."""
        for kind in LISTS:
            if number in self.taken.get(kind, ()):
                return kind
        raise AqError(AqRc.ENOENT)

    def change_list(self, kind: ResourceType, number: int, vsis: list[int], *, add: bool) -> None:
        """Put VSIs into a list of a kind, or take them out."""
        if self.list_kind(number) is not kind:
            raise AqError(AqRc.EINVAL)
        held = self.lists[number]
        held |= set(vsis) if add else set()
        held -= set() if add else set(vsis)
        self.engine.set_vsi_list(number, sorted(held))

    def forget_vsi(self, vsi: int) -> None:
        """A VSI is gone: no list holds it any more."""
        for number, held in self.lists.items():
            if vsi in held:
                held.discard(vsi)
                self.engine.set_vsi_list(number, sorted(held))

    def reset(self) -> None:
        """Nothing is allocated."""
        self.taken.clear()
        self.lists.clear()

    def inspect(self) -> dict[str, object]:
        """How many of each kind are taken, and the lists."""
        return {
            "taken": {kind.name: len(numbers) for kind, numbers in self.taken.items() if numbers},
            "vsi_lists": {number: sorted(held) for number, held in sorted(self.lists.items())},
        }

    def _taken(self, kind: ResourceType) -> set[int]:
        kinds = LISTS if kind in LISTS else (kind,)
        return {number for k in kinds for number in self.taken.get(k, ())}
