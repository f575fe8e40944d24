"""What the driver is given by the host that it runs on."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from siov.drivers.ice.irq import Prefer
from siov.host.iommu import IntelIommu
from siov.host.irq import IrqVectors
from siov.host.physmem import PhysMem

if TYPE_CHECKING:
    from siov.drivers.ice.pf import IcePf

Condition = Callable[[], bool]
# How a VMM in another process reaches the tails: by messages, or as memory that the adapter polls.
Doorbells = Literal["trapped", "direct"]


class Vdcm(Protocol):
    """The virtual device composition module as the PF driver sees it."""

    def deinit(self) -> None:
        """Take all virtual devices down and leave the mdev core."""


VdcmInit = Callable[["IcePf"], Vdcm]


class Poll(Protocol):
    """Waits for hardware."""

    def __call__(self, condition: Condition, seconds: float) -> bool:
        """Look at a condition until it holds; False when it still does not after so many seconds."""


def poll_by_sleep(condition: Condition, seconds: float) -> bool:
    """Look at a condition again and again with short sleeps in between (readx_poll_timeout)."""
    if condition():
        return True
    end, pause = time.monotonic() + seconds, 20e-6
    while time.monotonic() < end:
        time.sleep(pause)
        if condition():
            return True
        pause = min(2 * pause, 1e-3)
    return condition()


@dataclass(slots=True)
class Services:
    """The host's memory, interrupts and remapping unit.

    The function's own requests pass through, so addresses on the bus are the host's. Without an `iommu`
    there is no S-IOV. `vdcm_init` is called when the function can do it; `vectors` says where those of
    virtual devices come from, `doorbells` how a VMM reaches their tails. `clock` gives the time in seconds
    (ktime_get).
    """

    mem: PhysMem
    irqs: IrqVectors
    iommu: IntelIommu | None = None
    vdcm_init: VdcmInit | None = None
    poll: Poll = poll_by_sleep
    vectors: Prefer = "msix-first"
    doorbells: Doorbells = "trapped"
    clock: Callable[[], float] = time.monotonic
