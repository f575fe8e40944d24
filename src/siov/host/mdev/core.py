"""The mdev core: parents come and go, instances are created and removed (mdev_core.c)."""

from __future__ import annotations

from contextlib import ExitStack
from errno import EAGAIN, EBUSY, EEXIST, EINVAL, ENODEV, ENOSPC, EUSERS
from threading import Lock
from typing import Any
from uuid import UUID

from siov.host.core import Class, DriverCore
from siov.host.device import Device
from siov.host.linux import LinuxError, choices
from siov.host.mdev.device import MdevBus, MdevDevice, VfioMdevDriver
from siov.host.mdev.parent import MdevParent, MdevTypeDir
from siov.host.mdev.types import MdevParentOps
from siov.host.sysfs import (
    ATTR_WO,
    AttributeGroup,
    sysfs_create_link,
    sysfs_remove_link,
)


class MdevCore:
    """The mdev core of one host: /sys/bus/mdev, /sys/class/mdev_bus, parents and instances.

    The order of steps is that of the core that the ice driver was written for (Linux 5.10): the driver makes
    the instance, then it appears in sysfs and VFIO's driver takes it.
    """

    def __init__(self, core: DriverCore) -> None:
        self.core = core
        self.bus = MdevBus(core)
        self.cls = Class(core, "mdev_bus")
        self.driver = VfioMdevDriver()
        self.parents: dict[Device, MdevParent] = {}
        self.devices: dict[UUID, MdevDevice] = {}
        self._list_lock = Lock()  # of `devices` alone; never held while a driver is called

    def register(self) -> MdevCore:
        """Appear in sysfs (mdev_init); EEXIST when it is there already."""
        with ExitStack() as undo:
            self.bus.register()
            undo.callback(self.bus.unregister)
            self.cls.register()
            undo.callback(self.cls.unregister)
            self.bus.add_driver(self.driver)
            undo.pop_all()
        return self

    def unregister(self) -> None:
        """Disappear (mdev_exit); EBUSY while there are parents."""
        if self.parents:
            have = choices(dev.name for dev in self.parents)
            raise LinuxError(EBUSY, f"mdev still has the parents {have}; unregister them first")
        self.driver.unregister()
        self.cls.unregister()
        self.bus.unregister()

    def register_parent(
        self, dev: Device, ops: MdevParentOps, max_instances: int | None = None
    ) -> MdevParent:
        """Offer a device's types (mdev_register_parent), all or nothing; called by its driver.

        EEXIST when it is a parent already, EINVAL without types or with two of one name.
        """
        dev.trace("mdev_register_parent")
        if dev in self.parents:
            raise LinuxError(EEXIST, f"{dev.name} is an mdev parent already")
        groups = [mtype.group for mtype in ops.types]
        if not groups or len(set(groups)) < len(groups) or "" in groups:
            raise LinuxError(EINVAL, f"{dev.name} needs types of different names to be a parent: {groups}")
        parent = MdevParent(self, dev, ops, max_instances)
        with ExitStack() as undo:
            parent.appear(undo)
            sysfs_create_link(self.cls, dev, dev.name)
            undo.callback(sysfs_remove_link, self.cls, dev.name)
            self.parents[dev] = parent
            undo.callback(self.parents.pop, dev)
            parent.undo = undo.pop_all()
        return parent

    def unregister_parent(self, dev: Device) -> None:
        """Withdraw a device's types (mdev_unregister_parent): its instances are removed, open ones too.

        ENODEV when it is no parent.
        """
        parent = self.parents.get(dev)
        if parent is None:
            raise LinuxError(
                ENODEV, f"{dev.name} is no mdev parent; there are {choices(d.name for d in self.parents)}"
            )
        dev.trace("mdev_unregister_parent")
        with self._list_lock:
            parent.unregistering = True  # from here on nothing is created
        for mdev in parent.children:
            if self._claim(mdev):
                self._remove_common(mdev)
        parent.undo.close()

    def create(self, mtype: MdevTypeDir, uuid: UUID) -> MdevDevice:
        """Make an instance (mdev_device_create); nothing is left of one that fails.

        EEXIST for a UUID that is taken, ENODEV when the parent is going, EUSERS when the parent has all the
        instances that it may have, ENOSPC when what they are made of ran out, else what the driver said.
        """
        parent = mtype.owner
        mtype.trace("mdev_device_create", str(uuid))
        with self._list_lock:
            mdev = self._join(parent, mtype, uuid)
        try:
            have = parent.ops.available(mtype.mtype)
            if have.count <= 0:
                raise LinuxError(ENOSPC, f"no {mtype.name} is left on {parent.dev.name}: {have.reason}")
            with ExitStack() as undo:
                mdev.ops = parent.ops.create(mdev)
                undo.callback(parent.ops.remove, mdev)
                self._check_parent(parent)  # it may have gone while the driver was busy
                self.bus.add_device(mdev)
                undo.callback(mdev.unregister)
                if mdev.probe_error is not None:
                    raise mdev.probe_error  # nobody could use it
                mdev.trace("mdev_create_sysfs_files")
                sysfs_create_link(mtype.devices, mdev, mdev.name)
                undo.callback(sysfs_remove_link, mtype.devices, mdev.name)
                sysfs_create_link(mdev, mtype, "mdev_type")
                with self._list_lock:
                    self._check_parent(parent)  # from here on its unregistration finds this one
                    mdev.active = True
                undo.pop_all()
        except BaseException:
            self.devices.pop(uuid, None)
            raise
        return mdev

    def remove(self, mdev: MdevDevice, *, force: bool = False) -> None:
        """Remove an instance (mdev_device_remove).

        EBUSY while it is open, where Linux would wait for its user; with `force` the user loses it. EAGAIN
        while it is being made or removed.
        """
        mdev.trace("mdev_device_remove")
        if mdev.opener is not None and not force:
            raise LinuxError(EBUSY, f"mdev {mdev.name} is open; close it first, or force its removal")
        if not self._claim(mdev):
            raise LinuxError(EAGAIN, f"mdev {mdev.name} is being made or removed; try again")
        self._remove_common(mdev)

    def find(self, uuid: UUID | str) -> MdevDevice:
        """The instance of that UUID; ENODEV naming those there are."""
        text = str(uuid).lower()
        try:
            found = self.devices.get(UUID(text))
        except ValueError:
            found = None
        if found is None or found.name != text:  # UUID() takes other forms too
            have = choices(mdev.name for mdev in list(self.devices.values()))
            raise LinuxError(ENODEV, f"no mdev {uuid}; there is {have}; list them with 'siov mdev list'")
        return found

    def _join(self, parent: MdevParent, mtype: MdevTypeDir, uuid: UUID) -> MdevDevice:
        """A new instance in the list, which makes its UUID taken."""
        taken = self.devices.get(uuid)
        if taken is not None:
            where = f"{taken.mtype.name} on {taken.parent.name}"
            raise LinuxError(EEXIST, f"UUID {uuid} is taken by the {where}; choose another")
        self._check_parent(parent)
        if parent.left == 0:
            raise LinuxError(
                EUSERS,
                f"0 of the {parent.max_instances} instances that {parent.dev.name} may have are left;"
                " remove one first",
            )
        groups = (device_group, *parent.ops.mdev_attr_groups)
        mdev = self.devices[uuid] = MdevDevice(uuid, mtype, groups)
        return mdev

    @staticmethod
    def _check_parent(parent: MdevParent) -> None:
        if parent.unregistering:
            raise LinuxError(ENODEV, f"{parent.dev.name} is no mdev parent any more")

    def _claim(self, mdev: MdevDevice) -> bool:
        """Whether the caller is the one who is to remove it."""
        with self._list_lock:
            active, mdev.active = mdev.active, False
        return active

    def _remove_common(self, mdev: MdevDevice) -> None:
        """Links, device, then the driver's part; what is gone already, with the parent, is passed over."""
        mdev.trace("mdev_device_remove_common")
        sysfs_remove_link(mdev, "mdev_type")
        sysfs_remove_link(mdev.mtype.devices, mdev.name)
        mdev.unregister()
        try:
            mdev.mtype.owner.ops.remove(mdev)
        except Exception as why:
            mdev.error("mdev_device_remove_common", why, "the driver's remove")
        self.devices.pop(mdev.uuid, None)

    def inspect(self) -> dict[str, Any]:
        """Parents with their types, and the instances."""
        return {
            "parents": {dev.name: parent.inspect() for dev, parent in list(self.parents.items())},
            "devices": {mdev.name: mdev.inspect() for mdev in list(self.devices.values())},
        }


def remove_store(mdev: MdevDevice, data: bytes) -> None:
    """Remove the instance when a number other than 0 is written; EINVAL for what is no number."""
    mdev.trace("remove_store")
    try:
        value = int(data.decode("ascii", "replace").removesuffix("\n"), 0)
    except ValueError:
        raise LinuxError(EINVAL, f"{data!r} is no number; 1 removes mdev {mdev.name}") from None
    if value:
        mdev.mtype.owner.core.remove(mdev)


device_group = AttributeGroup((ATTR_WO(remove_store),))
