"""Receive queues: contexts in registers, and the handshake that switches them on and off (ice_base.c)."""

from __future__ import annotations

from dataclasses import dataclass
from errno import EINVAL, ETIMEDOUT

from siov.drivers.ice.hw import IceHw
from siov.drivers.ice.services import Poll
from siov.drivers.ice.txq import RING_ALIGN, check_ring
from siov.host.linux import LinuxError
from siov.spec.e810 import RX_QUEUES, RXDID, Queues, RxQueueContext

RX_DEFAULT = 2048  # descriptors (ICE_DFLT_NUM_RX_DESC)
BUFFER_DEFAULT = 2048  # bytes
BUFFER_MIN, BUFFER_MAX, BUFFER_STEP = 128, 16256, 128  # bytes; a guest with a small MTU has small ones
MAX_FRAME, MIN_FRAME = 9728, 64  # bytes
CHAIN = 5  # buffers that a frame takes at most (ICE_MAX_CHAINED_RX_BUFS)
WORDS = 8  # registers of a context
FORCED = 3  # priority of a write-back profile over what a flow asks for
WAIT = 0.1  # seconds for QRX_CTRL (ICE_Q_WAIT_MAX_RETRY, with much in reserve)


@dataclass(slots=True, frozen=True)
class RxRing:
    """A receive ring as its owner has laid it; sizes in bytes, `length` in descriptors of 32 bytes.

    `l2tsel`: a tag that is taken out goes to L2TAG1, else to the second place of L2TAG2.
    """

    base: int
    length: int = RX_DEFAULT
    buffer: int = BUFFER_DEFAULT
    max_frame: int = MAX_FRAME
    rxdid: int = RXDID.LEGACY_1
    crc_strip: bool = True
    l2tsel: bool = True


def check_rx_ring(what: str, ring: RxRing) -> None:
    """EINVAL for a ring that hardware can't take."""
    check_ring(what, ring.base, ring.length)
    if not BUFFER_MIN <= ring.buffer <= BUFFER_MAX:
        raise LinuxError(
            EINVAL, f"{what}: buffers of {ring.buffer} bytes; they have {BUFFER_MIN} to {BUFFER_MAX}"
        )
    if not MIN_FRAME <= ring.max_frame <= MAX_FRAME:
        raise LinuxError(
            EINVAL, f"{what}: frames of {ring.max_frame} bytes at most; that is {MIN_FRAME} to {MAX_FRAME}"
        )
    if ring.rxdid not in set(RXDID):
        raise LinuxError(EINVAL, f"{what}: there is no descriptor profile {ring.rxdid}")


def rx_context(ring: RxRing) -> RxQueueContext:
    """The context (ice_setup_rx_ctx); a buffer's size is rounded down to 128 bytes."""
    base, buffer = ring.base // RING_ALIGN, ring.buffer // BUFFER_STEP
    return RxQueueContext.of(
        BASE_LO=base & 0xFFFF_FFFF,
        BASE_HI=base >> 32,
        QLEN=ring.length,
        DBUF=buffer,
        DSIZE=1,
        CRCSTRIP=int(ring.crc_strip),
        L2TSEL=int(ring.l2tsel),
        RXMAX=min(ring.max_frame, CHAIN * buffer * BUFFER_STEP),
        LRXQTHRESH=1,
        PREFENA=1,
    )


def write_rx_context(hw: IceHw, queue: int, ring: RxRing) -> None:
    """Context and profile for a queue that is off (ice_vsi_cfg_rxq); its tail stays as it is."""
    raw = rx_context(ring).to_bytes()
    hw.wr("QRXFLXP_CNTXT", Queues.QRXFLXP_CNTXT.of(RXDID_IDX=ring.rxdid, RXDID_PRIO=FORCED), queue)
    for n in range(WORDS):
        word = int.from_bytes(raw[4 * n : 4 * n + 4], "little")
        hw.wr("QRX_CONTEXT", word, n * RX_QUEUES + queue)


def control_rx_queue(hw: IceHw, poll: Poll, queue: int, on: bool) -> None:
    """Switch a queue on or off and wait until it is (ice_vsi_ctrl_one_rx_ring); ETIMEDOUT."""
    control = Queues.QRX_CTRL(hw.rd("QRX_CTRL", queue))
    if bool(control.QENA_STAT) == on and bool(control.QENA_REQ) == on:
        return
    hw.wr("QRX_CTRL", control.replace(QENA_REQ=int(on)), queue)
    if not poll(lambda: bool(Queues.QRX_CTRL(hw.rd("QRX_CTRL", queue)).QENA_STAT) == on, WAIT):
        state = "on" if on else "off"
        raise LinuxError(ETIMEDOUT, f"receive queue {queue} does not go {state} (QRX_CTRL.QENA_STAT)")
