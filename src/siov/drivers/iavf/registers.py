"""Where a virtual device has its registers: a page for each (8086:0DD5), or side by side (8086:1889)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from siov.spec.e810.interrupts import Vector
from siov.spec.e810.queues import VsiMailbox
from siov.spec.vdev import AVF_DEVICE, SIOV_DEVICE, AvfBar0, Trapped, VdevBar0

MAILBOX = ("BAL", "BAH", "LEN", "H", "T")
_TIMERS = (Vector.ITR0.at, Vector.ITR1.at, Vector.ITR2.at)


@dataclass(slots=True, frozen=True)
class Personality:
    """The offsets in BAR 0 that a driver uses; `mailbox` by names such as ATQBAL.

    `queue_vector` n is vector n + 1; `icr0_ena` is None where the device has no such register.
    """

    device: int
    mailbox: Mapping[str, int]
    rstat: int
    dyn_ctl0: int
    icr01: int | None
    icr0_ena: int | None
    tx_tail: Callable[[int], int]
    rx_tail: Callable[[int], int]
    dyn_ctl: Callable[[int], int]
    itr: Callable[[int, int], int]


SIOV = Personality(
    device=SIOV_DEVICE,
    mailbox={
        f"A{way}Q{name}": VdevBar0.VDEV_MBX.at + VsiMailbox.spans[f"A{way}Q{name}"].at
        for way in "TR"
        for name in MAILBOX
    },
    rstat=Trapped.VFGEN_RSTAT.at,
    dyn_ctl0=VdevBar0.VDEV_INT_CTL01.at + Vector.DYN_CTL.at,
    icr01=None,
    icr0_ena=None,
    tx_tail=lambda queue: VdevBar0.VDEV_QTX_TAIL.at + VdevBar0.VDEV_QTX_TAIL.stride * queue,
    rx_tail=lambda queue: VdevBar0.VDEV_QRX_TAIL.at + VdevBar0.VDEV_QRX_TAIL.stride * queue,
    dyn_ctl=lambda n: VdevBar0.VDEV_INT_CTL.at + VdevBar0.VDEV_INT_CTL.stride * n + Vector.DYN_CTL.at,
    itr=lambda i, n: VdevBar0.VDEV_INT_CTL.at + VdevBar0.VDEV_INT_CTL.stride * n + _TIMERS[i],
)

AVF = Personality(
    device=AVF_DEVICE,
    mailbox={f"A{way}Q{name}": Trapped.spans[f"VF_A{way}Q{name}1"].at for way in "TR" for name in MAILBOX},
    rstat=Trapped.VFGEN_RSTAT.at,
    dyn_ctl0=Trapped.VFINT_DYN_CTL01.at,
    icr01=AvfBar0.VFINT_ICR01.at,
    icr0_ena=AvfBar0.VFINT_ICR0_ENA1.at,
    tx_tail=lambda queue: Trapped.QTX_TAIL1.at + Trapped.QTX_TAIL1.stride * queue,
    rx_tail=lambda queue: Trapped.QRX_TAIL1.at + Trapped.QRX_TAIL1.stride * queue,
    dyn_ctl=lambda n: Trapped.VFINT_DYN_CTLN1.at + Trapped.VFINT_DYN_CTLN1.stride * n,
    itr=lambda i, n: AvfBar0.VFINT_ITRN1.at + AvfBar0.VFINT_ITRN1.stride * (16 * i + n),
)

PERSONALITIES = {one.device: one for one in (SIOV, AVF)}
