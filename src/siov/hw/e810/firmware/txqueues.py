"""Tx queues: 2,048 of them, each enabled with a context and a leaf of the scheduler (0x0C30 to 0x0C32)."""

from __future__ import annotations

from dataclasses import dataclass, field

from siov.hw.e810.engine import Engine
from siov.hw.e810.firmware.command import AqError
from siov.hw.e810.firmware.tree import Tree
from siov.hw.e810.firmware.vsi import Vsis
from siov.spec.e810.adminq import AqRc
from siov.spec.e810.context import TX_CONTEXT_BYTES, TxQueueContext, VmvfType

# What firmware gives out; the doorbells are more.
TX_QUEUES = 2048
RING_MIN, RING_MAX, RING_STEP = 64, 8160, 32


@dataclass(slots=True)
class TxQueue:
    """An enabled queue: its VSI, and its leaf in the scheduler."""

    vsi: int
    teid: int


@dataclass(slots=True)
class TxQueues:
    """The enabled queues by number."""

    engine: Engine
    table: dict[int, TxQueue] = field(default_factory=dict)

    def check(self, number: int, context: bytes, vsis: Vsis, function: int) -> None:
        """Whether a queue may be enabled: EINVAL for what a context can't be, EEXIST when it is on."""
        if number >= TX_QUEUES:
            raise AqError(AqRc.EINVAL)
        if number in self.table:
            raise AqError(AqRc.EEXIST)
        word = decode_context(context)
        sound = (
            word.BASE != 0
            and RING_MIN <= word.QLEN <= RING_MAX
            and word.QLEN % RING_STEP == 0
            and word.PORT_NUM == 0
            and function == word.PF_NUM
            and word.VMVF_TYPE in set(VmvfType)
            and word.SRC_VSI in vsis
        )
        if not sound:
            raise AqError(AqRc.EINVAL)

    def enable(self, number: int, context: bytes, teid: int) -> None:
        """Enable a queue that was checked, below its new leaf."""
        self.table[number] = TxQueue(decode_context(context).SRC_VSI, teid)
        self.engine.tx_enable(number, context)

    def disable(self, number: int, tree: Tree) -> None:
        """Disable a queue and take its leaf out; ENOENT when it is not on."""
        queue = self.table.pop(number, None)
        if queue is None:
            raise AqError(AqRc.ENOENT)
        self.engine.tx_disable(number)
        tree.delete(queue.teid)

    def of_vsi(self, vsi: int) -> list[int]:
        """The queues of a VSI."""
        return [number for number, queue in self.table.items() if queue.vsi == vsi]

    def has_leaf(self, teid: int) -> bool:
        """Whether a node is an enabled queue's."""
        return any(queue.teid == teid for queue in self.table.values())

    def forget(self, vsi: int, tree: Tree) -> None:
        """A VSI was reset: its queues are off."""
        for number in self.of_vsi(vsi):
            self.disable(number, tree)

    def reset(self) -> None:
        """No queue is on; the engine's are off already."""
        self.table.clear()

    def inspect(self) -> dict[int, object]:
        """Each enabled queue: VSI and leaf."""
        return {n: {"vsi": q.vsi, "teid": q.teid} for n, q in sorted(self.table.items())}


def decode_context(context: bytes) -> TxQueueContext:
    """The 22 bytes of a command as the whole context."""
    return TxQueueContext.from_bytes(context[:TX_CONTEXT_BYTES].ljust(TxQueueContext.width // 8, b"\0"))
