"""VSI lists: sets of VSIs that a switch rule sends to or prunes by (ice_create_vsi_list_rule)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from siov.drivers.ice.access import Commands
from siov.host.linux import LinuxError
from siov.spec.e810 import (
    AqAllocRes,
    AqOpcode,
    AqResource,
    AqSwitchRules,
    AqVsiList,
    ResourceType,
    SwitchRuleType,
)

HEAD = AqResource.width // 8


@dataclass(slots=True)
class VsiList:
    """A list in hardware, and how many rules use it."""

    number: int
    prune: bool
    vsis: frozenset[int]
    users: int = 1


@dataclass(slots=True)
class VsiLists:
    """Lists by what is in them: rules with the same members share one, for there are only 1,024.

    A list that firmware does not take back is in `unused`, and offered again later.
    """

    aq: Commands
    lists: dict[tuple[bool, frozenset[int]], VsiList] = field(default_factory=dict)
    unused: list[VsiList] = field(default_factory=list)

    def get(self, vsis: frozenset[int], *, prune: bool) -> VsiList:
        """A list of these VSIs for one more rule; `LinuxError` when there is none left."""
        found = self.lists.get((prune, vsis))
        if found is not None:
            found.users += 1
            return found
        number = self._allocate(prune)
        new = VsiList(number, prune, vsis)
        try:
            self._change(new, vsis, add=True)
        except BaseException:
            self.unused.append(new)
            self.free_unused()
            raise
        self.lists[prune, vsis] = new
        return new

    def change(self, old: VsiList, vsis: frozenset[int]) -> VsiList:
        """A list of these VSIs for a rule that used another one: the same one, changed, if nobody else does.

        A list that is not the same is to be given back with `release` once the rule has the new one.
        """
        if old.users > 1 or (old.prune, vsis) in self.lists:
            return self.get(vsis, prune=old.prune)
        added, gone = vsis - old.vsis, old.vsis - vsis
        if added:
            self._change(old, added, add=True)
        if gone:
            self._change(old, gone, add=False)
        del self.lists[old.prune, old.vsis]
        old.vsis = vsis
        self.lists[old.prune, vsis] = old
        return old

    def release(self, used: VsiList) -> None:
        """A rule uses a list no more; nobody's list goes back."""
        used.users -= 1
        if not used.users:
            del self.lists[used.prune, used.vsis]
            self.unused.append(used)
            self.free_unused()

    def free_unused(self) -> None:
        """Give back what nobody uses; what firmware refuses waits for the next time."""
        waiting, self.unused = self.unused, []
        for one in waiting:
            try:
                self._free(one)
            except LinuxError:
                self.unused.append(one)

    def reset(self) -> None:
        """A reset of the function took all of them."""
        self.lists.clear()
        self.unused.clear()

    def _allocate(self, prune: bool) -> int:
        data = AqResource.of(RES_TYPE=_kind(prune), NUM_ELEMS=1).to_bytes() + bytes(2)
        answer = self.aq.send(AqOpcode.ALLOC_RES, AqAllocRes.of(NUM_ENTRIES=1), data)
        return int.from_bytes(answer.data[HEAD : HEAD + 2], "little")

    def _free(self, gone: VsiList) -> None:
        data = AqResource.of(RES_TYPE=_kind(gone.prune), NUM_ELEMS=1).to_bytes()
        data += gone.number.to_bytes(2, "little")
        self.aq.send(AqOpcode.FREE_RES, AqAllocRes.of(NUM_ENTRIES=1), data)

    def _change(self, which: VsiList, vsis: Iterable[int], *, add: bool) -> None:
        numbers = sorted(vsis)
        kinds = (SwitchRuleType.VSI_LIST_SET, SwitchRuleType.VSI_LIST_CLEAR)
        if which.prune:
            kinds = (SwitchRuleType.PRUNE_LIST_SET, SwitchRuleType.PRUNE_LIST_CLEAR)
        head = AqVsiList.of(TYPE=kinds[0 if add else 1], INDEX=which.number, NUMBER_VSI=len(numbers))
        data = head.to_bytes() + b"".join(vsi.to_bytes(2, "little") for vsi in numbers)
        self.aq.send(AqOpcode.UPDATE_SW_RULES, AqSwitchRules.of(NUM_RULES=1), data)


def _kind(prune: bool) -> ResourceType:
    return ResourceType.VSI_LIST_PRUNE if prune else ResourceType.VSI_LIST_REP
