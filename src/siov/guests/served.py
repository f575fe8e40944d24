"""A virtual device behind a vfio-user socket: what its client asks of VFIO, and of the host's memory."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from errno import EIO, ENODEV
from pathlib import Path
from typing import Any, Protocol, cast

from siov._core import Bus, HostMemory, ServedVdev, Vdev
from siov.guests.endpoint import VfioUserEndpoint
from siov.host.iommu import Ids, IntelIommu
from siov.host.linux import LinuxError
from siov.host.mdev import MdevDevice
from siov.host.pgtable import Prot
from siov.host.physmem import PAGE_SIZE
from siov.host.vfio import IrqIndex, RegionFlag, RegionIndex, VfioContainer, VfioDevice, VfioDeviceOps

log = logging.getLogger("siov")

TOLD = 10  # refusals that are logged of one device; a client may ask for the impossible without end


class Composed(VfioDeviceOps, Protocol):
    """An instance whose accesses need none of Python: what VDCM makes."""

    vdev: Vdev

    @property
    def shared_pages(self) -> Sequence[int]:
        """Pages of BAR 0 that are memory for the client that comes next, by offset."""


@dataclass(slots=True, frozen=True)
class Machine:
    """What clients' memory becomes a part of: it lies from `guests_from` on, behind the host's own."""

    iommu: IntelIommu
    pasids: Ids
    memory: HostMemory
    bus: Bus
    guests_from: int


class VfioUser:
    """Acts for the client of an instance: a container with its memory, in which the device is open.

    The core calls this from the endpoint's thread. A LinuxError is the client's answer.
    """

    def __init__(self, mdev: MdevDevice, machine: Machine) -> None:
        self.mdev, self.machine = mdev, machine
        self.device: VfioDevice | None = None
        self.served: ServedVdev | None = None
        self.refused = 0
        self.last_refusal = ""

    def attached(self) -> Sequence[int]:
        """A client has come: open the instance, without memory. Gives the pages that are memory for it."""
        with self._telling("its client was turned away"):
            machine = self.machine
            container = VfioContainer(machine.iommu, machine.pasids, name=f"vfio-user-{self.mdev.name}")
            device = VfioDevice(self.mdev, container)
            device.zap = self.zap
            try:
                device.open()
            except BaseException:
                container.close()
                raise
            self.device = device
            return cast(Composed, device.ops).shared_pages

    def detached(self) -> None:
        """It has gone: nothing reaches its memory when this returns."""
        with self._telling("it could not be closed"):
            device, self.device = self._opened, None
            try:
                if device.is_open:
                    device.close()
            finally:
                device.container.close()

    def dma_map(self, iova: int, phys: int, size: int, prot: int) -> None:
        """Let the device reach memory that the client shares, which is at `phys` in the host's."""
        with self._telling("a map was refused"):
            self._opened.container.dma_map(iova, phys, size, Prot(prot))

    def dma_unmap(self, iova: int, size: int) -> None:
        """Nothing reaches the memory in this range when this returns."""
        with self._telling("an unmap failed"):
            self._opened.container.dma_unmap(iova, size)

    def set_irqs(self, start: int, fds: Sequence[int | None]) -> None:
        """Signal eventfds for vectors from `start` on."""
        with self._telling("vectors were refused"):
            self._opened.set_irqs(IrqIndex.MSIX, start, fds)

    def disable_irqs(self) -> None:
        """Signal nothing any more."""
        with self._telling("vectors could not be disabled"):
            self._opened.disable_irqs(IrqIndex.MSIX)

    def zap(self) -> None:
        """Have nothing be left in pages that the client maps; taking them from it is beyond vfio-user."""
        if self.served is not None:
            self.served.zap()

    def reset(self) -> None:
        """Reset the device."""
        with self._telling("it could not be reset"):
            self._opened.reset()

    @property
    def _opened(self) -> VfioDevice:
        if self.device is None:
            raise LinuxError(ENODEV, f"mdev {self.mdev.name} has no client")
        return self.device

    @contextmanager
    def _telling(self, what: str) -> Iterator[None]:
        try:
            yield
        except LinuxError as why:
            self.refused += 1
            self.last_refusal = str(why)
            if self.refused <= TOLD:
                log.warning("mdev %s: %s: %s", self.mdev.name, what, why)
            raise
        except Exception as why:  # a bug of ours; the endpoint must outlive it
            log.exception("mdev %s: %s", self.mdev.name, what)
            raise LinuxError(EIO, f"mdev {self.mdev.name}: {what}: {why}") from why

    def inspect(self) -> dict[str, Any]:
        """The device and its container while there is a client, and what was refused."""
        device = self.device
        return {
            "device": device.inspect() if device else None,
            "container": device.container.inspect() if device else None,
            "refused": self.refused,
            "last_refusal": self.last_refusal,
        }


class VdevEndpoint:
    """An instance on a socket at `path`, for one client at a time, until it is stopped."""

    def __init__(self, path: Path, mdev: MdevDevice, machine: Machine) -> None:
        ops = mdev.ops
        if not isinstance(getattr(ops, "vdev", None), Vdev):
            raise LinuxError(ENODEV, f"mdev {mdev.name} is not made of what a vfio-user socket can serve")
        composed = cast(Composed, ops)
        self.user = VfioUser(mdev, machine)
        regions = [composed.region(index) for index in RegionIndex]
        irqs = [composed.irq(index) for index in IrqIndex]
        self.served = ServedVdev(
            composed.vdev,
            machine.bus,
            machine.memory,
            self.user,
            regions=[(region.size, int(region.flags)) for region in regions],
            # A client that finds no error notice complains of it (QEMU); none is ever given.
            irqs=[(1 if n == IrqIndex.ERR else irq.count, int(irq.flags)) for n, irq in enumerate(irqs)],
            pages=_pages(composed),
            guests_from=machine.guests_from,
        )
        self.endpoint = VfioUserEndpoint(path, self.served)
        self.path = path

    def start(self) -> None:
        """Begin to serve."""
        self.user.served = self.served
        self.endpoint.start()

    def stop(self) -> None:
        """Disconnect the client, whose device is closed, and remove the socket."""
        self.endpoint.stop()
        self.user.served = None

    def inspect(self) -> dict[str, Any]:
        """The socket and its client, the client's files in the host's memory, and what VFIO has of it."""
        return self.endpoint.inspect() | self.served.inspect() | self.user.inspect()


def _pages(ops: VfioDeviceOps) -> dict[int, int]:
    """The physical address of each page of BAR 0 that is the adapter's own, by its offset."""
    region = ops.region(RegionIndex.BAR0)
    if not region.flags & RegionFlag.MMAP:
        return {}
    return {
        at: ops.mmap(RegionIndex.BAR0, at)
        for area in region.sparse
        for at in range(area.offset, area.offset + area.size, PAGE_SIZE)
    }
