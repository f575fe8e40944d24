"""The function's rules in the switch: who has which, shared ones, and what comes back after a reset."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from errno import EEXIST, ENOENT, EOPNOTSUPP
from typing import TypeVar

from siov.drivers.ice.access import Answer, Commands
from siov.drivers.ice.lookup import (
    Action,
    Drop,
    Lookup,
    ToQueue,
    ToVsi,
    mac_lookup,
    promisc_lookup,
    vlan_lookup,
)
from siov.drivers.ice.vsi_lists import VsiList, VsiLists
from siov.host.linux import LinuxError
from siov.spec.e810 import (
    AqOpcode,
    AqSwitchRule,
    AqSwitchRules,
    RecipeId,
    SingleAction,
    SingleActionQueue,
    SingleActionType,
    SwitchRuleType,
)

T = TypeVar("T")

HEAD = AqSwitchRule.width // 8
TO_VSI, DROP = ToVsi(), Drop()


@dataclass(slots=True)
class Rule:
    """A rule in hardware: its number, the VSIs that have it, and their list when it needs one."""

    lookup: Lookup
    action: Action
    vsis: set[int]
    list: VsiList | None = None
    number: int = 0


@dataclass(slots=True)
class Switch:
    """Rules by what they look at; a VSI has each at most once, and several VSIs share one.

    The caller holds the function's lock. A VSI's rules go (`remove_vsi`) before the VSI itself does.
    """

    aq: Commands
    veb: bool = True
    rules: dict[Lookup, Rule] = field(default_factory=dict)
    lost: dict[int, list[tuple[Lookup, Action]]] = field(default_factory=dict)
    lists: VsiLists = field(init=False)

    def __post_init__(self) -> None:
        self.lists = VsiLists(self.aq)

    # Any rule.

    def add(self, vsi: int, lookup: Lookup, action: Action = TO_VSI) -> None:
        """Give a VSI a rule (ice_add_rule_internal).

        EEXIST when it has it, EOPNOTSUPP when another VSI has one that does something else with the same
        frames, or sends them to a queue; `LinuxError` when firmware has no room.
        """
        rule = self.rules.get(lookup)
        if rule is None:
            self._create(vsi, lookup, action)
        elif vsi in rule.vsis:
            raise LinuxError(EEXIST, f"VSI {vsi} has the rule {lookup} already")
        elif rule.action != action or isinstance(action, ToQueue):
            raise LinuxError(
                EOPNOTSUPP,
                f"rule {lookup} of VSI {min(rule.vsis)} can't be shared with VSI {vsi}: remove it first",
            )
        elif isinstance(action, Drop):
            rule.vsis.add(vsi)
        else:
            self._set_members(rule, rule.vsis | {vsi})

    def remove(self, vsi: int, lookup: Lookup) -> None:
        """Take a rule from a VSI; other VSIs keep it (ice_remove_rule_internal). ENOENT when it has none."""
        rule = self.rules.get(lookup)
        if rule is None or vsi not in rule.vsis:
            raise LinuxError(ENOENT, f"VSI {vsi} has no rule {lookup}")
        left = rule.vsis - {vsi}
        if not left:
            self._send(AqOpcode.REMOVE_SW_RULES, self._head(rule, INDEX=rule.number))
            del self.rules[lookup]
            if rule.list is not None:
                self.lists.release(rule.list)
        elif isinstance(rule.action, Drop):
            rule.vsis = left
        else:
            self._set_members(rule, left)

    def has(self, vsi: int, lookup: Lookup) -> bool:
        """Whether a VSI has a rule."""
        return lookup in self.rules and vsi in self.rules[lookup].vsis

    def of(self, vsi: int) -> list[Lookup]:
        """All rules of a VSI."""
        return [lookup for lookup, rule in self.rules.items() if vsi in rule.vsis]

    def remove_vsi(self, vsi: int) -> None:
        """Take all rules of a VSI; the first refusal is raised when all have been tried."""
        self.lost.pop(vsi, None)
        self.lists.free_unused()
        _each(self.of(vsi), lambda lookup: self.remove(vsi, lookup))

    # The usual rules.

    def add_mac(self, vsi: int, mac: bytes, vlan: int | None = None) -> None:
        """A VSI receives frames to an address, on one VLAN when it is given."""
        self.add(vsi, mac_lookup(mac, vlan))

    def del_mac(self, vsi: int, mac: bytes, vlan: int | None = None) -> None:
        """It does so no more."""
        self.remove(vsi, mac_lookup(mac, vlan))

    def add_vlan(self, vsi: int, vlan: int) -> None:
        """A VSI is a member of a VLAN; that counts while it prunes by VLAN."""
        self.add(vsi, vlan_lookup(vlan))

    def del_vlan(self, vsi: int, vlan: int) -> None:
        """It is so no more."""
        self.remove(vsi, vlan_lookup(vlan))

    def set_promisc(
        self, vsi: int, *, unicast: bool, multicast: bool, broadcast: bool = False, vlan: int | None = None
    ) -> None:
        """Which kinds of addresses a VSI receives all frames of (ice_set_vsi_promisc)."""
        wanted = {"unicast": unicast, "multicast": multicast, "broadcast": broadcast}
        for kind, on in wanted.items():
            for tx in (False, True):
                self._want(vsi, promisc_lookup(kind, tx=tx, vlan=vlan), on)

    def set_default(self, vsi: int, *, rx: bool, tx: bool = False) -> None:
        """Whether a VSI receives what no rule is about: of the port, of VSIs (ice_cfg_dflt_vsi)."""
        self._want(vsi, Lookup(RecipeId.DFLT, tx=False), rx)
        self._want(vsi, Lookup(RecipeId.DFLT, tx=True), tx)

    def add_ethertype(self, vsi: int, ethertype: int, *, tx: bool, action: Action = TO_VSI) -> None:
        """A rule about an ethertype, of frames that VSIs send (`tx`) or that the port receives."""
        self.add(vsi, Lookup(RecipeId.ETHERTYPE, ethertype=ethertype, tx=tx), action)

    def del_ethertype(self, vsi: int, ethertype: int, *, tx: bool) -> None:
        """It goes."""
        self.remove(vsi, Lookup(RecipeId.ETHERTYPE, ethertype=ethertype, tx=tx))

    # All of them.

    def set_veb(self, veb: bool) -> None:
        """Rewrite the rules that send otherwise in a VEB than in a VEPA (ice_update_sw_rule_bridge_mode).

        When firmware refuses one, those before it are as they were, and the error is raised.
        """
        before, done = self.veb, []
        self.veb = veb
        try:
            for rule in self.rules.values():
                if rule.lookup.lan(veb) != rule.lookup.lan(before) and not isinstance(rule.action, Drop):
                    self._update(rule)
                    done.append(rule)
        except LinuxError:
            self.veb = before
            _each(done, self._update, quiet=True)
            raise

    def reset(self) -> None:
        """A reset took all rules and lists from hardware; what VSIs had is kept for `replay`."""
        for lookup, rule in self.rules.items():
            for vsi in sorted(rule.vsis):
                self.lost.setdefault(vsi, []).append((lookup, rule.action))
        self.rules.clear()
        self.lists.reset()

    def replay(self, vsi: int | None = None, number: int | None = None) -> None:
        """Give a VSI that exists again its rules, under its new `number` if that changed; or all VSIs theirs.

        The first refusal is raised when all have been tried (ice_replay_vsi_all_fltr).
        """
        which = [vsi] if vsi is not None else list(self.lost)
        wanted = [(v if number is None else number, *what) for v in which for what in self.lost.pop(v, [])]
        _each(wanted, lambda rule: self.add(*rule))

    def inspect(self) -> list[dict[str, object]]:
        """Each rule: what it looks at, what it does, who has it."""
        return [
            {
                "lookup": str(rule.lookup),
                "direction": "tx" if rule.lookup.tx else "rx",
                "action": type(rule.action).__name__,
                "vsis": sorted(rule.vsis),
                "lan": rule.lookup.lan(self.veb),
            }
            for rule in self.rules.values()
        ]

    # Firmware.

    def _create(self, vsi: int, lookup: Lookup, action: Action) -> None:
        rule = Rule(lookup, action, {vsi})
        if lookup.recipe is RecipeId.VLAN:
            # A VLAN's rule has a list also for a single member, of the kind that prunes.
            rule.list = self.lists.get(frozenset({vsi}), prune=True)
        header = lookup.header()
        fields = {"SRC": vsi if lookup.tx else 0, "ACT": self._act(rule), "HDR_LEN": len(header)}
        try:
            answer = self._send(AqOpcode.ADD_SW_RULES, self._head(rule, **fields) + header)
        except LinuxError:
            if rule.list is not None:
                self.lists.release(rule.list)
            raise
        rule.number = AqSwitchRule.from_bytes(answer.data[:HEAD]).INDEX
        self.rules[lookup] = rule

    def _set_members(self, rule: Rule, vsis: set[int]) -> None:
        """Other VSIs have the rule: its list changes, or it gets or loses one."""
        old, members = rule.list, rule.vsis
        prune = rule.lookup.recipe is RecipeId.VLAN
        if len(vsis) == 1 and not prune:
            new = None
        elif old is None:
            new = self.lists.get(frozenset(vsis), prune=prune)
        else:
            new = self.lists.change(old, frozenset(vsis))
        rule.list, rule.vsis = new, vsis
        if new is old:
            return
        try:
            self._update(rule)
        except LinuxError:
            rule.list, rule.vsis = old, members
            if new is not None:
                self.lists.release(new)
            raise
        if old is not None:
            self.lists.release(old)

    def _update(self, rule: Rule) -> None:
        self._send(AqOpcode.UPDATE_SW_RULES, self._head(rule, ACT=self._act(rule), INDEX=rule.number))

    def _act(self, rule: Rule) -> int:
        ways = {"LB_ENABLE": rule.lookup.loopback(), "LAN_ENABLE": rule.lookup.lan(self.veb)}
        match rule.action:
            case Drop():
                return SingleAction.of(VALID=1, DROP=1).raw
            case ToQueue(queue, region):
                kind = SingleActionType.TO_Q
                return SingleActionQueue.of(TYPE=kind, Q_INDEX=queue, Q_REGION=region, **ways).raw
            case ToVsi():
                if rule.list is not None:
                    return SingleAction.of(VALID=1, VSI_LIST=1, VSI_ID=rule.list.number, **ways).raw
                return SingleAction.of(VALID=1, VSI_ID=min(rule.vsis), **ways).raw

    def _head(self, rule: Rule, **fields: int) -> bytes:
        kind = SwitchRuleType.LKUP_TX if rule.lookup.tx else SwitchRuleType.LKUP_RX
        return AqSwitchRule.of(TYPE=kind, RECIPE_ID=rule.lookup.recipe, **fields).to_bytes()

    def _send(self, opcode: AqOpcode, element: bytes) -> Answer:
        return self.aq.send(opcode, AqSwitchRules.of(NUM_RULES=1), element)

    def _want(self, vsi: int, lookup: Lookup, on: bool) -> None:
        if on and not self.has(vsi, lookup):
            self.add(vsi, lookup)
        elif not on and self.has(vsi, lookup):
            self.remove(vsi, lookup)


def _each(these: Iterable[T], do: Callable[[T], None], *, quiet: bool = False) -> None:
    """Do it with every one, and raise the first error after the last one unless `quiet`."""
    first: LinuxError | None = None
    for one in these:
        try:
            do(one)
        except LinuxError as error:
            first = first or error
    if first is not None and not quiet:
        raise first
