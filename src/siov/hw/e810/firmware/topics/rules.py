"""Switch rules and VSI lists (0x02A0 to 0x02A4): each element of a buffer has a status of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from siov.hw.e810.engine import Forward
from siov.hw.e810.firmware.command import AqError, Buffer, Command, Reply, command
from siov.hw.e810.firmware.rules import Key, Rule, check_forward
from siov.spec.e810.adminq import AqOpcode, AqRc
from siov.spec.e810.aq_switch import (
    AqSwitchRule,
    AqSwitchRules,
    AqVsiList,
    ResourceType,
    SingleAction,
    SingleActionPrune,
    SingleActionQueue,
    SingleActionType,
    SwitchRuleType,
)
from siov.spec.e810.counts import RX_QUEUES

if TYPE_CHECKING:
    from siov.hw.e810.firmware.firmware import Firmware

LOOKUPS = (SwitchRuleType.LKUP_RX, SwitchRuleType.LKUP_TX)
LISTS = {
    SwitchRuleType.VSI_LIST_SET: (ResourceType.VSI_LIST_REP, True),
    SwitchRuleType.VSI_LIST_CLEAR: (ResourceType.VSI_LIST_REP, False),
    SwitchRuleType.PRUNE_LIST_SET: (ResourceType.VSI_LIST_PRUNE, True),
    SwitchRuleType.PRUNE_LIST_CLEAR: (ResourceType.VSI_LIST_PRUNE, False),
}
STATUS_AT, INDEX_AT = 2, 12
HEAD = AqSwitchRule.width // 8
LIST_HEAD = AqVsiList.width // 8


@dataclass(slots=True)
class Element:
    """An element of the buffer: where it stands, what kind it is, its bytes."""

    at: int
    kind: SwitchRuleType
    data: bytes

    @property
    def rule(self) -> AqSwitchRule:
        """As a look-up rule."""
        return AqSwitchRule.from_bytes(self.data[:HEAD])


Act = Callable[["Firmware", Element], int | None]


@command(AqOpcode.ADD_SW_RULES, Buffer.BOTH)
def add(firmware: Firmware, given: Command) -> Reply:
    """New rules; the number of each is written into its element."""
    return _each(firmware, given, _add)


@command(AqOpcode.UPDATE_SW_RULES, Buffer.BOTH)
def update(firmware: Firmware, given: Command) -> Reply:
    """Other actions for rules, other VSIs in lists."""
    return _each(firmware, given, _update)


@command(AqOpcode.REMOVE_SW_RULES, Buffer.BOTH)
def remove(firmware: Firmware, given: Command) -> Reply:
    """Rules go, by number."""
    return _each(firmware, given, _remove)


@command(AqOpcode.GET_SW_RULES, Buffer.ANY)
def get(firmware: Firmware, given: Command) -> Reply:
    """The driver knows its rules itself."""
    raise AqError(AqRc.ENOSYS)


@command(AqOpcode.CLEAR_PF_CFG)
def clear_function(firmware: Firmware, given: Command) -> None:
    """What the function set up in the switch goes: rules and lists, not the VSIs."""
    for number, rule in list(firmware.rules.table.items()):
        firmware.rules.remove(number, tx=rule.key.tx)
    for kind, numbers in list(firmware.resources.taken.items()):
        firmware.resources.free(kind, list(numbers))


def _each(firmware: Firmware, given: Command, act: Act) -> Reply:
    """Do every element; the command fails with the first failure, but the buffer tells of all."""
    buffer, first = bytearray(given.data), AqRc.OK
    for element in _elements(given):
        code, index = AqRc.OK, None
        try:
            index = act(firmware, element)
        except AqError as error:
            code = error.code
            first = first or code
        buffer[element.at + STATUS_AT : element.at + STATUS_AT + 2] = code.to_bytes(2, "little")
        if index is not None:
            start = element.at + INDEX_AT
            buffer[start : start + 2] = index.to_bytes(2, "little")
    if first is not AqRc.OK:
        raise AqError(first, Reply(data=bytes(buffer)))
    return Reply(data=bytes(buffer))


def _elements(given: Command) -> Iterator[Element]:
    """The elements, all of them checked for their size before the first one is done."""
    found, at = [], 0
    count = given.decode(AqSwitchRules).NUM_RULES
    if not count:
        raise AqError(AqRc.EINVAL)
    for _ in range(count):
        kind = int.from_bytes(given.take(at, 2), "little")
        if kind in {int(k) for k in LOOKUPS}:
            size = HEAD + given.part(AqSwitchRule, at).HDR_LEN
        elif kind in {int(k) for k in LISTS}:
            size = LIST_HEAD + 2 * given.part(AqVsiList, at).NUMBER_VSI
        else:
            raise AqError(AqRc.ENOSYS if kind == SwitchRuleType.LG_ACT else AqRc.EINVAL)
        found.append(Element(at, SwitchRuleType(kind), given.take(at, size)))
        at += size
    yield from found


def _add(firmware: Firmware, element: Element) -> int | None:
    if element.kind not in LOOKUPS:
        _change_list(firmware, element)
        return None
    given, tx = element.rule, element.kind is SwitchRuleType.LKUP_TX
    if given.SRC not in firmware.vsis if tx else given.SRC != 0:
        raise AqError(AqRc.EINVAL)
    key = Key.of(tx=tx, recipe=given.RECIPE_ID, header=element.data[HEAD:])
    action = SingleAction(given.ACT)
    forward = check_forward(_forward(given.ACT), key, firmware.vsis, firmware.resources)
    rule = Rule(key, given.SRC, forward, bool(action.LAN_ENABLE), bool(action.LB_ENABLE))
    return firmware.rules.add(rule)


def _update(firmware: Firmware, element: Element) -> None:
    if element.kind not in LOOKUPS:
        _change_list(firmware, element)
        return
    given, action = element.rule, SingleAction(element.rule.ACT)
    old = firmware.rules.table.get(given.INDEX)
    forward = _forward(given.ACT)
    forward = check_forward(forward, old.key if old else None, firmware.vsis, firmware.resources)
    firmware.rules.update(
        given.INDEX,
        tx=element.kind is SwitchRuleType.LKUP_TX,
        forward=forward,
        lan=bool(action.LAN_ENABLE),
        loopback=bool(action.LB_ENABLE),
    )


def _remove(firmware: Firmware, element: Element) -> None:
    if element.kind not in LOOKUPS:
        raise AqError(AqRc.EINVAL)
    firmware.rules.remove(element.rule.INDEX, tx=element.kind is SwitchRuleType.LKUP_TX)


def _change_list(firmware: Firmware, element: Element) -> None:
    head = AqVsiList.from_bytes(element.data[:LIST_HEAD])
    raw = element.data[LIST_HEAD:]
    vsis = [int.from_bytes(raw[n : n + 2], "little") for n in range(0, len(raw), 2)]
    kind, add = LISTS[element.kind]
    if not vsis or (add and not all(vsi in firmware.vsis for vsi in vsis)):
        raise AqError(AqRc.EINVAL)
    firmware.resources.change_list(kind, head.INDEX, vsis, add=add)


def _forward(raw: int) -> Forward:
    """Where an action sends; EINVAL for those that the device does not have."""
    action = SingleAction(raw)
    if action.TYPE == SingleActionType.TO_Q:
        queue = SingleActionQueue(raw)
        if queue.Q_INDEX + (1 << queue.Q_REGION) > RX_QUEUES:
            raise AqError(AqRc.EINVAL)
        return ("queue", queue.Q_INDEX, queue.Q_REGION)
    if action.TYPE == SingleActionType.VSI_FORWARDING and action.VALID:
        if action.DROP:
            return ("drop",)
        return ("list" if action.VSI_LIST else "vsi", action.VSI_ID)
    prune = SingleActionPrune(raw)
    if action.TYPE == SingleActionType.PRUNE_OR_PTR and prune.VSI_LIST and not prune.PTR:
        return ("list", prune.VSI_LIST_ID)
    raise AqError(AqRc.EINVAL)
