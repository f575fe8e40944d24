"""Switch rules: what the driver had put into the switch, checked before the engine gets it."""

from __future__ import annotations

from dataclasses import dataclass, field

from siov.hw.e810.engine import Engine, Forward
from siov.hw.e810.firmware.command import AqError
from siov.hw.e810.firmware.resources import Resources
from siov.hw.e810.firmware.vsi import Vsis
from siov.spec.e810.adminq import AqRc
from siov.spec.e810.aq_switch import SW_RULE_HEADER_BYTES, RecipeId, ResourceType

MAX_RULES = 16384


WITH_MAC = (RecipeId.MAC, RecipeId.MAC_VLAN, RecipeId.PROMISC, RecipeId.ETHERTYPE_MAC, RecipeId.PROMISC_VLAN)
WITH_VLAN = (RecipeId.MAC_VLAN, RecipeId.VLAN, RecipeId.PROMISC_VLAN)
WITH_ETHERTYPE = (RecipeId.ETHERTYPE, RecipeId.ETHERTYPE_MAC)

BROADCAST = b"\xff" * 6


@dataclass(slots=True, frozen=True)
class Key:
    """What makes a rule that rule: two with the same key can't both be there."""

    tx: bool
    lookup: RecipeId
    mac: bytes | None
    vlan: int | None
    ethertype: int | None

    @classmethod
    def of(cls, *, tx: bool, recipe: int, header: bytes) -> Key:
        """Out of the header that a command gives; EINVAL for other recipes or a header that is short."""
        if recipe not in set(RecipeId) or recipe == RecipeId.LOGICAL_PORT_FWD:
            raise AqError(AqRc.EINVAL)
        lookup = RecipeId(recipe)
        if len(header) < SW_RULE_HEADER_BYTES - (0 if lookup in WITH_VLAN else 2):
            raise AqError(AqRc.EINVAL)
        mac = header[:6] if lookup in WITH_MAC else None
        if lookup in (RecipeId.PROMISC, RecipeId.PROMISC_VLAN) and mac is not None:
            mac = _class(mac)
        vlan = int.from_bytes(header[14:16], "big") & 0xFFF if lookup in WITH_VLAN else None
        ethertype = int.from_bytes(header[12:14], "big") if lookup in WITH_ETHERTYPE else None
        return cls(tx, lookup, mac, vlan, ethertype)


@dataclass(slots=True)
class Rule:
    """A rule in the switch: where it comes from, where it sends."""

    key: Key
    source: int
    forward: Forward
    lan: bool
    loopback: bool


@dataclass(slots=True)
class Rules:
    """All rules by the number that the engine gave them."""

    engine: Engine
    table: dict[int, Rule] = field(default_factory=dict)
    keys: dict[Key, int] = field(default_factory=dict)

    def add(self, rule: Rule) -> int:
        """Put a rule into the switch: EEXIST when one looks at the same, ENOSPC when it is full.

        EINVAL when it sends to a queue that no VSI has.
        """
        if rule.key in self.keys:
            raise AqError(AqRc.EEXIST)
        if len(self.table) >= MAX_RULES:
            raise AqError(AqRc.ENOSPC)
        key = rule.key
        try:
            number = self.engine.add_rule(
                tx=key.tx,
                lookup=key.lookup,
                source=rule.source,
                mac=key.mac,
                vlan=key.vlan,
                ethertype=key.ethertype,
                forward=rule.forward,
                lan=rule.lan,
                loopback=rule.loopback,
            )
        except OverflowError:
            raise AqError(AqRc.ENOSPC) from None
        except ValueError:
            raise AqError(AqRc.EINVAL) from None  # a queue that no VSI has
        self.table[number] = rule
        self.keys[key] = number
        return number

    def update(self, number: int, *, tx: bool, forward: Forward, lan: bool, loopback: bool) -> None:
        """Change where a rule sends; ENOENT when there is none of that number and direction."""
        rule = self._get(number, tx)
        try:
            self.engine.update_rule(number, forward=forward, lan=lan, loopback=loopback)
        except ValueError:
            raise AqError(AqRc.EINVAL) from None
        rule.forward, rule.lan, rule.loopback = forward, lan, loopback

    def remove(self, number: int, *, tx: bool) -> None:
        """Take a rule out; ENOENT when there is none of that number and direction."""
        del self.keys[self._get(number, tx).key]
        del self.table[number]
        self.engine.remove_rule(number)

    def forget_vsi(self, vsi: int) -> None:
        """A VSI is gone: rules that send to it alone go too."""
        for number in [n for n, rule in self.table.items() if rule.forward == ("vsi", vsi)]:
            self.remove(number, tx=self.table[number].key.tx)

    def reset(self) -> None:
        """No rules; the engine's are gone already."""
        self.table.clear()
        self.keys.clear()

    def inspect(self) -> dict[int, object]:
        """Each rule: look-up and where it sends."""
        return {
            number: {
                "direction": "tx" if rule.key.tx else "rx",
                "lookup": rule.key.lookup.name,
                "mac": rule.key.mac.hex(":") if rule.key.mac is not None else None,
                "vlan": rule.key.vlan,
                "ethertype": rule.key.ethertype,
                "forward": list(rule.forward),
            }
            for number, rule in sorted(self.table.items())
        }

    def _get(self, number: int, tx: bool) -> Rule:
        rule = self.table.get(number)
        if rule is None or rule.key.tx != tx:
            raise AqError(AqRc.ENOENT)
        return rule


def check_forward(forward: Forward, key: Key | None, vsis: Vsis, resources: Resources) -> Forward:
    """Where a rule may send: to a VSI or list that exists. A VLAN rule's list of the prune kind prunes."""
    kind, *values = forward
    if kind == "vsi":
        if values[0] not in vsis:
            raise AqError(AqRc.EINVAL)
    elif kind == "list":
        try:
            prunes = resources.list_kind(values[0]) is ResourceType.VSI_LIST_PRUNE
        except AqError:
            raise AqError(AqRc.EINVAL) from None
        if prunes and key is not None and key.lookup is not RecipeId.VLAN:
            raise AqError(AqRc.EINVAL)
        if prunes:
            return ("prune", values[0])
    return forward


def _class(mac: bytes) -> bytes:
    """One address for each kind that a promiscuous rule tells apart."""
    if mac == BROADCAST:
        return BROADCAST
    return bytes([mac[0] & 1, 0, 0, 0, 0, 0])
