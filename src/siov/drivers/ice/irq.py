"""Vectors: first those of the MSI-X table, then slots of interrupt message storage (ice_irq.c)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from errno import EINVAL, ENOSPC
from typing import Literal

from siov.drivers.ice.hw import IceHw, offset_of
from siov.host.irq import Handler, Irq, IrqVectors
from siov.host.irq.ims import ImsDomain
from siov.host.linux import LinuxError
from siov.host.pci import PciDev
from siov.host.pci.msi import MsixVectors, pci_alloc_irq_vectors
from siov.spec.e810 import IMS_SLOTS, VECTORS
from siov.spec.e810.interrupts import DynamicControl, ImsSlot, RateLimit, WideCauseControl

Prefer = Literal["msix-first", "msix", "ims"]

MISC = 0  # the vector of the function's other causes
ITR_NONE = 3
# What is written to a control register: made once, for it is written with every interrupt.
ENABLE = DynamicControl.of(INTENA=1, CLEARPBA=1, ITR_INDX=ITR_NONE).raw
DISABLE = DynamicControl.of(ITR_INDX=ITR_NONE).raw
TRIGGER = DynamicControl.of(
    INTENA=1, SWINT_TRIG=1, ITR_INDX=ITR_NONE, SW_ITR_INDX_ENA=1, SW_ITR_INDX=ITR_NONE
).raw
ITR_US, INTRL_US = 2, 4  # microseconds in a timer's and a rate limit's unit
ITR_MAX, INTRL_MAX = 8160, 236  # microseconds (E6 of the limits that ethtool -C knows)
ITR_DEFAULT = 50  # microseconds (ICE_DFLT_TX_ITR, ICE_DFLT_RX_ITR)


@dataclass(slots=True, eq=False)
class IceVector:
    """A vector of the device and the CPU's vector that it ends at.

    `index` is that of the MSI-X entry, or the slot when `ims`. `handler` is called when it fires, unless an
    eventfd is connected to `irq`.
    """

    hw: IceHw
    name: str
    handler: Handler | None = None
    index: int = -1
    ims: bool = False
    irq: Irq = field(default=Irq(0, 0))
    fired: int = 0

    def handle(self) -> None:
        """It has fired."""
        self.fired += 1
        if self.handler is not None:
            self.handler()

    @property
    def page(self) -> int:
        """Offset in BAR 0 of its page, that can be mapped into a guest."""
        return offset_of("IMS_INT" if self.ims else "INT", self.index)

    @property
    def dyn_ctl(self) -> int:
        """Offset in BAR 0 of its control register."""
        return (
            offset_of("IMS_INT_DYN_CTL", self.index) if self.ims else offset_of("GLINT_DYN_CTL", self.index)
        )

    def itr(self, timer: int) -> int:
        """Offset in BAR 0 of a timer, 0 to 2."""
        if self.ims:
            return offset_of(f"IMS_INT_ITR{timer}", self.index)
        return offset_of("GLINT_ITR", timer * VECTORS + self.index)

    @property
    def rate(self) -> int:
        """Offset in BAR 0 of its rate limit."""
        return offset_of("IMS_RATE" if self.ims else "GLINT_RATE", self.index)

    def cause(self, timer: int = ITR_NONE) -> WideCauseControl:
        """What QINT_TQCTL, QINT_RQCTL or VPINT_MBX_CTL says to have a cause fire it."""
        if self.ims:
            return WideCauseControl.of(IMS=1, IMS_SLOT=self.index, ITR_INDX=timer, CAUSE_ENA=1)
        return WideCauseControl.of(MSIX_INDX=self.index, ITR_INDX=timer, CAUSE_ENA=1)

    def enable(self) -> None:
        """Let it fire; what happened meanwhile fires it at once (ice_irq_dynamic_ena)."""
        self.hw.io.writel(self.dyn_ctl, ENABLE)

    def disable(self) -> None:
        """Don't let it fire."""
        self.hw.io.writel(self.dyn_ctl, DISABLE)

    def trigger(self) -> None:
        """Fire it by software, once it is enabled (ice_trigger_sw_intr)."""
        self.hw.io.writel(self.dyn_ctl, TRIGGER)

    def set_itr(self, timer: int, microseconds: int) -> None:
        """Least time between interrupts of a timer's causes; EINVAL over 8,160 µs."""
        if not 0 <= microseconds <= ITR_MAX:
            raise LinuxError(EINVAL, f"{self.name}: a throttling of {microseconds} µs; it is 0 to {ITR_MAX}")
        self.hw.io.writel(self.itr(timer), microseconds // ITR_US)

    def set_rate(self, microseconds: int) -> None:
        """Least time between any two of its interrupts, 0 for no limit; EINVAL over 236 µs."""
        if not 0 <= microseconds <= INTRL_MAX:
            raise LinuxError(
                EINVAL, f"{self.name}: a rate limit of {microseconds} µs; it is 0 to {INTRL_MAX}"
            )
        units = microseconds // INTRL_US
        self.hw.io.writel(self.rate, RateLimit.of(INTERVAL=units, INTRL_ENA=int(units > 0)).raw)

    def inspect(self) -> dict[str, object]:
        """Which one it is, and where it ends."""
        kind = "ims" if self.ims else "msix"
        return {kind: self.index, "name": self.name, "cpu": self.irq.cpu, "vector": self.irq.vector}


@dataclass(slots=True)
class IceIrqs:
    """All vectors of the function; vector 0 is taken from the start, by its other causes."""

    dev: PciDev
    hw: IceHw
    misc: IceVector
    table: MsixVectors
    limit: int  # vectors that may be used
    domain: ImsDomain
    msix: dict[int, IceVector] = field(default_factory=dict)
    ims: dict[int, IceVector] = field(default_factory=dict)

    @classmethod
    def start(cls, dev: PciDev, hw: IceHw, irqs: IrqVectors, handler: Handler, capable: int) -> IceIrqs:
        """Switch MSI-X on with the vector of other causes; the driver core frees that at detach.

        `capable` is the number of vectors that firmware grants the function. ENOSPC as
        pci_alloc_irq_vectors.
        """
        misc = IceVector(hw, f"ice-{dev.name}-misc", handler, MISC)
        table = pci_alloc_irq_vectors(dev, irqs, [misc.handle])
        misc.irq = table.given[MISC]

        def write_msg(slot: int, address: int, data: int) -> None:
            hw.wr("IMS_ADDRESS_LO", address & 0xFFFF_FFFF, slot)
            hw.wr("IMS_ADDRESS_HI", address >> 32, slot)
            hw.wr("IMS_DATA", data, slot)

        def mask(slot: int, masked: bool) -> None:
            hw.wr("IMS_CONTROL", ImsSlot.CONTROL.of(MASK=int(masked)), slot)

        domain = ImsDomain(dev.name, dev.rid, irqs, count_slots(dev, hw), write_msg, mask)
        return cls(dev, hw, misc, table, min(table.size, capable), domain, {MISC: misc})

    @property
    def msix_free(self) -> int:
        """Vectors of the MSI-X table that are left."""
        return self.limit - len(self.msix)

    @property
    def ims_free(self) -> int:
        """Slots of interrupt message storage that are left."""
        return self.domain.available

    def alloc(self, name: str, handler: Handler | None = None, prefer: Prefer = "msix-first") -> IceVector:
        """A vector of the kind that is asked for (ice_alloc_irq); ENOSPC says what is left of each."""
        return self.alloc_several([(name, handler)], prefer)[0]

    def alloc_several(
        self, wanted: Sequence[tuple[str, Handler | None]], prefer: Prefer = "msix-first"
    ) -> list[IceVector]:
        """Vectors for each (name, handler): all of them or, with ENOSPC, none."""
        self._check(len(wanted), wanted[0][0] if wanted else "nobody", prefer)
        found: list[IceVector] = []
        try:
            for name, handler in wanted:
                vector = IceVector(self.hw, name, handler)
                if prefer != "ims" and self.msix_free:
                    self._take_msix(vector)
                else:
                    self._take_ims(vector)
                found.append(vector)
                vector.disable()
        except LinuxError:
            for vector in found:
                self.free(vector)
            raise
        return found

    def free(self, vector: IceVector) -> None:
        """Give a vector back (ice_free_irq); it fires no more."""
        if not self.hw.gone:
            vector.disable()
            for timer in range(3):
                self.hw.io.writel(vector.itr(timer), 0)
            self.hw.io.writel(vector.rate, 0)
        if vector.ims:
            del self.ims[vector.index]
            self.domain.free_irq(vector.index)
        else:
            del self.msix[vector.index]
            self.table.free_irq(vector.index)

    def inspect(self) -> dict[str, object]:
        """What is used and what is left of each kind."""
        return {
            "msix": {"used": len(self.msix), "left": self.msix_free},
            "ims": {"used": len(self.ims), "left": self.ims_free},
        }

    def _check(self, count: int, name: str, prefer: Prefer) -> None:
        if prefer not in ("msix-first", "msix", "ims"):
            raise LinuxError(EINVAL, f"{name}: no vectors {prefer!r}; there are msix-first, msix and ims")
        room: Callable[[], int] = {
            "msix-first": lambda: self.msix_free + self.ims_free,
            "msix": lambda: self.msix_free,
            "ims": lambda: self.ims_free,
        }[prefer]
        if count > room():
            raise LinuxError(
                ENOSPC,
                f"{self.dev.name}: {count} vectors for {name} ({prefer}) are not to be had: of {self.limit} "
                f"MSI-X vectors {self.msix_free} are left, of {self.domain.slots} IMS slots {self.ims_free}",
            )

    def _take_msix(self, vector: IceVector) -> None:
        vector.index = self.table.alloc_irq_at(None, vector.handle, vector.name)
        vector.irq = self.table.given[vector.index]
        self.msix[vector.index] = vector

    def _take_ims(self, vector: IceVector) -> None:
        vector.index, vector.irq = self.domain.alloc_irq(vector.handle, vector.name)
        vector.ims = True
        self.ims[vector.index] = vector


def count_slots(dev: PciDev, hw: IceHw) -> int:
    """Slots of interrupt message storage the device has: those that read as masked while none is in use.

    Past the last one nothing answers the reads, so the number is found by halving.
    """
    if dev.bar(0).size < offset_of("IMS", 0):
        return 0

    def there(slot: int) -> bool:
        return bool(ImsSlot.CONTROL(hw.rd("IMS_CONTROL", slot)).MASK)

    low, high = 0, IMS_SLOTS
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if there(middle) else (low, middle)
    return low
