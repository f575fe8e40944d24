"""What a server is watched with: its tracer and its captures, and where these look."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

from siov._core import Clock
from siov.host.core import DriverCore
from siov.host.irq import IrqVectors
from siov.host.pci import PciDev
from siov.host.pci.access import Mmio
from siov.observe.capture import Adapter, CaptureManager, VsiInfo
from siov.observe.trace import (
    ConfigWindow,
    HostSource,
    InterruptSource,
    MmioTap,
    Tracer,
    UnitWindow,
    VfioSource,
    nic_windows,
)
from siov.spec.word import RegisterBlock


class Instance(Protocol):
    """A mediated device; `ops` of an adapter's has its ADI."""

    name: str
    ops: Any


Instances = Callable[[], Iterable[Instance]]


@dataclass(slots=True, frozen=True)
class Watch:
    """The tap that the host's accesses go through, the trace, and captures."""

    mmio: MmioTap
    tracer: Tracer
    capture: CaptureManager

    @classmethod
    def make(
        cls,
        mmio: Mmio,
        core: DriverCore,
        irqs: IrqVectors,
        clock: Clock,
        *,
        adapters: Callable[[], Mapping[str, Adapter]],
        instances: Instances,
        vdev_registers: Mapping[int, type[RegisterBlock]] = MappingProxyType({}),
        scenario: str = "",
    ) -> Watch:
        """Watch a host that reaches the hardware by `mmio`; it has to use the tap from then on.

        `vdev_registers` is what virtual devices have in BAR 0, by their PCI device id.
        """
        tap = MmioTap(mmio)
        host, vfio = HostSource(core.root), VfioSource(instances, vdev_registers)
        host.watchers.append(vfio.saw)
        tracer = Tracer(clock.now)
        tracer.add(host, InterruptSource(irqs), vfio, tap)

        def about(nic: str, vsi: int) -> VsiInfo:
            pasid = adapters()[nic].inspect()["vsis"].get(vsi, {}).get("pasid")
            return VsiInfo(pasid, owner(instances(), vsi, pasid))

        comment = f"scenario: {scenario}" if scenario else ""
        return cls(tap, tracer, CaptureManager(adapters, clock, comment, about))

    def look_at_config(self, ecam: int, size: int, who: Callable[[int], str]) -> None:
        """Tell of configuration cycles in a window of physical addresses; `who` names a function."""
        self.mmio.add(ConfigWindow(ecam, size, who))

    def look_at_nic(self, name: str, dev: PciDev) -> None:
        """Tell of accesses to an adapter whose BARs have their addresses."""
        bars = [(bar.start, bar.size) for bar in (dev.bar(0), dev.bar(3))]
        (bar0, size0), (bar3, size3) = bars
        if bar0 is not None:
            nic_windows(self.mmio, name, (bar0, size0), None if bar3 is None else (bar3, size3))

    def look_at_unit(self, name: str, base: int) -> None:
        """Tell of accesses to a remapping unit's registers, and of what goes through its queue."""
        self.mmio.add(UnitWindow(name, base, self.mmio.inner.read))


def owner(instances: Iterable[Instance], vsi: int, pasid: int | None) -> str | None:
    """The UUID of the mediated device behind a VSI that has this PASID; None when there is none."""
    for one in instances:
        adi = getattr(one.ops, "adi", None)
        if adi is not None and adi.vf_id == vsi and adi.pasid == pasid:
            return one.name
    return None
