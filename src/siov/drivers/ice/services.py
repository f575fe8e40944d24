"""What the driver is given by the host that it runs on."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from siov.host.iommu import IntelIommu
from siov.host.irq import Handler, Irq, IrqVectors
from siov.host.pci import PciDev
from siov.host.physmem import PhysMem

if TYPE_CHECKING:
    from siov.drivers.ice.pf import IcePf

Condition = Callable[[], bool]


class IoMem(Protocol):
    """A BAR as ioremap gives it; `base` is its physical address."""

    @property
    def base(self) -> int:
        """Physical address of offset 0."""

    def readl(self, offset: int) -> int:
        """A register of 32 bits."""

    def writel(self, offset: int, value: int) -> None:
        """Set a register of 32 bits."""


class SlotIrq(Protocol):
    """An interrupt whose message is in a slot of the device's own storage."""

    @property
    def slot(self) -> int:
        """The slot."""

    @property
    def irq(self) -> Irq:
        """The vector of a CPU that it ends at."""


class SlotDomain(Protocol):
    """Interrupt message storage (host/irq/ims.py): each allocation has a slot and a vector of a CPU."""

    def alloc(self, handler: Handler, name: str) -> SlotIrq:
        """The lowest free slot, its message written and unmasked; ENOSPC when none is left."""

    def free(self, given: SlotIrq) -> None:
        """Mask a slot and give its vector back."""


# Writes address, data and control (bit 0: masked) of a slot.
WriteSlot = Callable[[int, int, int, int], None]
MakeSlots = Callable[[PciDev, IrqVectors, int, WriteSlot], SlotDomain]


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

    Without an `iommu` addresses on the bus are the host's, and there is no S-IOV. Without `ims_domain` there
    is no interrupt message storage, whatever the device has. `vdcm_init` is called when the function can do
    S-IOV.
    """

    mem: PhysMem
    irqs: IrqVectors
    iommu: IntelIommu | None = None
    ats: bool = False
    ims_domain: MakeSlots | None = None
    vdcm_init: VdcmInit | None = None
    poll: Poll = poll_by_sleep
