"""Transmit queues: contexts, and the admin commands that switch them on and off (ice_vsi_cfg_txqs)."""

from __future__ import annotations

from dataclasses import dataclass
from errno import EINVAL

from siov.drivers.ice.adminq import AdminQueue
from siov.drivers.ice.sched import VsiBranch
from siov.host.linux import LinuxError
from siov.spec.e810 import (
    AqAddTxQueues,
    AqDisableTxQueues,
    AqOpcode,
    AqSchedProperties,
    AqTxQueue,
    AqTxQueueGroup,
    AqTxQueueList,
    SchedElementType,
    TxQueueContext,
    VmvfType,
)
from siov.spec.e810.context import TX_CONTEXT_BYTES

RING_MIN, RING_MAX, RING_STEP = 64, 8160, 32  # descriptors (ICE_MIN_NUM_DESC, ICE_MAX_NUM_DESC)
RING_ALIGN = 128  # bytes
TX_DEFAULT = 256  # descriptors (ICE_DFLT_NUM_TX_DESC)
CONTEXT_AT = 8  # in AqTxQueue


@dataclass(slots=True, frozen=True)
class TxRing:
    """A transmit ring as its owner has laid it: address (in its address space), and number of descriptors."""

    base: int
    length: int = TX_DEFAULT


def check_ring(what: str, base: int, length: int) -> None:
    """EINVAL for a ring that hardware can't take."""
    if not RING_MIN <= length <= RING_MAX or length % RING_STEP:
        raise LinuxError(
            EINVAL,
            f"{what}: {length} descriptors; a ring has {RING_MIN} to {RING_MAX}, in steps of {RING_STEP}",
        )
    if not base or base % RING_ALIGN or base >> 64:
        raise LinuxError(EINVAL, f"{what}: a ring at {base:#x}; it lies at a multiple of {RING_ALIGN} bytes")


def tx_context(ring: TxRing, queue: int, vsi: int, kind: VmvfType, function: int) -> TxQueueContext:
    """Context of queue `queue` of the device (ice_setup_tx_ctx)."""
    return TxQueueContext.of(
        BASE=ring.base // RING_ALIGN,
        QLEN=ring.length,
        PORT_NUM=0,
        PF_NUM=function,
        VMVF_TYPE=kind,
        VMVF_NUM=vsi if kind is VmvfType.VMQ else 0,
        SRC_VSI=vsi,
        QNUM_IN_FUNC=queue,
        TSO_ENA=1,
        TSO_QNUM=queue,
        LEGACY_INT=1,
    )


def add_tx_queue(
    aq: AdminQueue, branch: VsiBranch, siblings: int, queue: int, context: TxQueueContext
) -> None:
    """Switch a queue on, with a leaf below one of its VSI's queue groups (ice_ena_vsi_txq)."""
    parent = branch.group(siblings)
    entry = bytearray(AqTxQueue.of(TXQ_ID=queue).to_bytes())
    entry[CONTEXT_AT : CONTEXT_AT + TX_CONTEXT_BYTES] = context.to_bytes()[:TX_CONTEXT_BYTES]
    info = AqSchedProperties.of(ELEM_TYPE=SchedElementType.LEAF, VALID_GENERIC=1).to_bytes()
    entry[-len(info) :] = info
    head = AqTxQueueGroup.of(PARENT_TEID=parent, NUM_TXQS=1).to_bytes()
    aq.send(AqOpcode.ADD_TXQS, AqAddTxQueues.of(NUM_QGRPS=1), head + bytes(entry))
    branch.queues[queue] = parent


def disable_tx_queue(aq: AdminQueue, branch: VsiBranch, queue: int) -> None:
    """Switch a queue off; none of its DMA is under way afterwards (ice_dis_vsi_txq)."""
    head = AqTxQueueList.of(PARENT_TEID=branch.queues[queue], NUM_QS=1).to_bytes()[:6]
    aq.send(AqOpcode.DIS_TXQS, AqDisableTxQueues.of(NUM_ENTRIES=1), head + queue.to_bytes(2, "little"))
    del branch.queues[queue]
