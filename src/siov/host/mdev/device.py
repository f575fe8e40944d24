"""An instance, the bus that instances are on, and the driver that hands them to VFIO (mdev_driver.c)."""

from __future__ import annotations

from contextlib import ExitStack
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol, cast
from uuid import UUID

from siov.host.bus import Bus
from siov.host.device import Device, Driver
from siov.host.sysfs import AttributeGroup

if TYPE_CHECKING:
    from siov.host.mdev.parent import MdevTypeDir
    from siov.host.vfio import VfioDeviceOps


class Opener(Protocol):
    """Who has an instance open."""

    def close(self) -> None:
        """Let go of it at once."""


class MdevDevice(Device):
    """One instance: a device named after its UUID, below its parent.

    `ops` is what the parent's driver made for it. `opener` has it open. `active` is false while it is being
    made, and from when its removal begins.
    """

    parent: Device

    def __init__(self, uuid: UUID, mtype: MdevTypeDir, groups: tuple[AttributeGroup, ...]) -> None:
        super().__init__(str(uuid), parent=mtype.owner.dev, groups=groups)
        self.uuid = uuid
        self.mtype = mtype
        self.ops: VfioDeviceOps | None = None
        self.opener: Opener | None = None
        self.active = False
        self._opening = Lock()

    def open_by(self, opener: Opener) -> bool:
        """Have it opened by this one; False when somebody, maybe in another thread, was first."""
        with self._opening:
            if self.opener is not None:
                return False
            self.opener = opener
            return True

    def inspect(self) -> dict[str, Any]:
        """As a device, with its type and whether it is open."""
        return {**super().inspect(), "mdev_type": self.mtype.name, "open": self.opener is not None}


class MdevBus(Bus):
    """/sys/bus/mdev: its one driver takes every instance."""

    def __init__(self, core: Any) -> None:
        super().__init__(core, "mdev")
        self.driver_override = False


class Listener(Protocol):
    """Who offers VFIO devices to others, as /dev/vfio does."""

    def appeared(self, mdev: MdevDevice) -> None:
        """An instance is a VFIO device; an error makes it none."""

    def leaving(self, mdev: MdevDevice) -> None:
        """It is about to be none: whoever got it from here has let go of it when this returns."""


class VfioMdevDriver(Driver):
    """The driver that makes an instance a VFIO device for as long as it is bound (vfio_mdev.c)."""

    name = "vfio_mdev"

    def __init__(self) -> None:
        super().__init__()
        self.listeners: list[Listener] = []

    def probe(self, device: Any) -> None:
        """Offer the instance to VFIO."""
        mdev = cast(MdevDevice, device)
        mdev.trace("vfio_mdev_probe")
        with ExitStack() as undo:
            for listener in self.listeners:
                listener.appeared(mdev)
                undo.callback(listener.leaving, mdev)
            undo.pop_all()

    def remove(self, device: Any) -> None:
        """Take the instance from VFIO: who has it open loses it."""
        mdev = cast(MdevDevice, device)
        mdev.trace("vfio_mdev_remove")
        for listener in self.listeners:
            listener.leaving(mdev)
        if mdev.opener is not None:
            mdev.opener.close()
