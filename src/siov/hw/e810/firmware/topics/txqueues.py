"""Tx queues are added, disabled and moved (0x0C30 to 0x0C32)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from siov.hw.e810.firmware.command import AqError, Buffer, Command, Reply, command
from siov.hw.e810.firmware.tree import QGROUP_LAYER
from siov.spec.e810.adminq import AqOpcode, AqRc
from siov.spec.e810.aq_queues import (
    AqAddTxQueues,
    AqDisableTxQueues,
    AqMoveTxQueue,
    AqMoveTxQueues,
    AqSchedProperties,
    AqTxQueue,
    AqTxQueueGroup,
    AqTxQueueList,
    DisableCommand,
    SchedElementType,
)
from siov.spec.e810.context import TX_CONTEXT_BYTES

if TYPE_CHECKING:
    from siov.hw.e810.firmware.firmware import Firmware

GROUP, QUEUE, LIST = AqTxQueueGroup.width // 8, AqTxQueue.width // 8, AqTxQueueList.width // 8
CONTEXT_AT, INFO_AT, TEID_AT = 8, 32, 4
MOVE_HEAD, MOVE_ELEMENT = 8, AqMoveTxQueue.width // 8
MOVE_NODE = 1
RDMA_QSET = 1 << 15  # in a list of queues: it is none of the LAN


@dataclass(slots=True, frozen=True)
class Wanted:
    """A queue of the buffer that is to be added."""

    at: int
    number: int
    parent: int
    context: bytes
    info: AqSchedProperties


@command(AqOpcode.ADD_TXQS, Buffer.BOTH)
def add(firmware: Firmware, given: Command) -> Reply:
    """Enable queues, each with its context: all of them, or none when one can't be."""
    wanted = _wanted(given)
    numbers = [queue.number for queue in wanted]
    if not wanted or len(set(numbers)) != len(numbers):
        raise AqError(AqRc.EINVAL)
    for queue in wanted:
        firmware.txqueues.check(queue.number, queue.context, firmware.vsis, firmware.settings.function)
    for parent in {queue.parent for queue in wanted}:
        if firmware.tree[parent].layer != QGROUP_LAYER:
            raise AqError(AqRc.EINVAL)
        if not firmware.tree.room(parent, sum(queue.parent == parent for queue in wanted)):
            raise AqError(AqRc.ENOSPC)
    buffer = bytearray(given.data)
    for queue in wanted:
        node = firmware.tree.add_leaf(queue.parent)
        node.properties = queue.info.replace(ELEM_TYPE=SchedElementType.LEAF)
        firmware.txqueues.enable(queue.number, queue.context, node.teid)
        buffer[queue.at + TEID_AT : queue.at + TEID_AT + 4] = node.teid.to_bytes(4, "little")
    return Reply(data=bytes(buffer))


def _wanted(given: Command) -> list[Wanted]:
    found, at = [], 0
    for _ in range(given.decode(AqAddTxQueues).NUM_QGRPS):
        group = given.part(AqTxQueueGroup, at)
        at += GROUP
        for _ in range(group.NUM_TXQS):
            raw = given.take(at, QUEUE)
            number = int.from_bytes(raw[:2], "little")
            context = raw[CONTEXT_AT : CONTEXT_AT + TX_CONTEXT_BYTES]
            info = AqSchedProperties.from_bytes(raw[INFO_AT:])
            found.append(Wanted(at, number, group.PARENT_TEID, context, info))
            at += QUEUE
    return found


@command(AqOpcode.DIS_TXQS, Buffer.MAYBE)
def disable(firmware: Firmware, given: Command) -> Reply:
    """Disable the queues of the buffer, or without one all queues of the VSI that is being reset."""
    asked = given.decode(AqDisableTxQueues)
    if not given.data:
        return _disable_all(firmware, asked)
    at, numbers = 0, []
    for _ in range(asked.NUM_ENTRIES):
        head = given.part(AqTxQueueList, at)
        raw = given.take(at + LIST, 2 * head.NUM_QS)
        for n in range(0, len(raw), 2):
            numbers.append(_check(firmware, int.from_bytes(raw[n : n + 2], "little"), head.PARENT_TEID))
        at += LIST + len(raw) + (0 if head.NUM_QS % 2 else 2)
    if not numbers or len(set(numbers)) != len(numbers):
        raise AqError(AqRc.EINVAL)
    for number in numbers:
        firmware.txqueues.disable(number, firmware.tree)
    return Reply(asked.replace(BLOCKED_CGDS=0))


def _check(firmware: Firmware, number: int, parent: int) -> int:
    if number & RDMA_QSET:
        raise AqError(AqRc.EINVAL)
    queue = firmware.txqueues.table.get(number)
    if queue is None:
        raise AqError(AqRc.ENOENT)
    if firmware.tree[queue.teid].parent != parent:
        raise AqError(AqRc.EINVAL)
    return number


def _disable_all(firmware: Firmware, asked: AqDisableTxQueues) -> Reply:
    if asked.CMD != DisableCommand.VM_RESET or asked.NUM_ENTRIES:
        raise AqError(AqRc.EINVAL)
    if asked.VMVF_NUM not in firmware.vsis:
        raise AqError(AqRc.ENOENT)
    firmware.txqueues.forget(asked.VMVF_NUM, firmware.tree)
    return Reply(asked.replace(BLOCKED_CGDS=0))


@command(AqOpcode.MOVE_RECFG_TXQS, Buffer.BOTH)
def move(firmware: Firmware, given: Command) -> Reply:
    """Queues' leaves go below another queue group; there is one traffic class, so that can't change."""
    asked = given.decode(AqMoveTxQueues)
    source = int.from_bytes(given.take(0, 4), "little")
    target = int.from_bytes(given.take(4, 4), "little")
    if asked.CMD_TYPE != MOVE_NODE or not asked.NUM_QS:
        raise AqError(AqRc.EINVAL)
    if firmware.tree[target].layer != QGROUP_LAYER:
        raise AqError(AqRc.EINVAL)
    queues = [given.part(AqMoveTxQueue, MOVE_HEAD + MOVE_ELEMENT * n) for n in range(asked.NUM_QS)]
    for queue in queues:
        known = firmware.txqueues.table.get(queue.TXQ_ID)
        if known is None:
            raise AqError(AqRc.ENOENT)
        if known.teid != queue.Q_TEID or firmware.tree[known.teid].parent != source:
            raise AqError(AqRc.EINVAL)
    for queue in queues:
        firmware.tree.move(queue.Q_TEID, target)
    return Reply(asked.replace(BLOCKED_CGDS=0))
