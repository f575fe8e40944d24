"""The driver core of one host: its devices, buses and classes, in and out (drivers/base/core.c, class.c)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from errno import EBUSY, EINVAL, ENODEV
from typing import TYPE_CHECKING, Any

from siov.host.device import Device, device_groups
from siov.host.kobject import KObject, KSet, RootKObject
from siov.host.linux import LinuxError, TraceHook, choices
from siov.host.sysfs import (
    AttributeGroup,
    Sysfs,
    sysfs_create_groups,
    sysfs_create_link,
    sysfs_remove_link,
)

if TYPE_CHECKING:
    from siov.host.bus import Bus


class Class(KObject):
    """Devices by what they do, whatever bus they are on: /sys/class/NAME/DEVICE links to each.

    A class device below a device of another kind stands in a directory of the class's name, as `net/eth0`
    does below its NIC; one without a parent stands below /sys/devices/virtual.
    """

    def __init__(self, core: DriverCore, name: str, *, dev_groups: Sequence[AttributeGroup] = ()) -> None:
        super().__init__(name, kset=core.class_kset)
        self.core = core
        self.dev_groups = tuple(dev_groups)
        self.devices: dict[Device, None] = {}
        self._glue: dict[KObject, KObject] = {}

    def register(self) -> Class:
        """Appear as /sys/class/NAME; EEXIST when the name is taken."""
        self.trace("class_register")
        self.add()
        return self

    def unregister(self) -> None:
        """Disappear; EBUSY while it has devices."""
        if self.devices:
            have = choices(device.name for device in self.devices)
            raise LinuxError(EBUSY, f"class {self.name} still has {have}; unregister them first")
        self.trace("class_unregister")
        self.delete()
        self.put()

    def add_device(self, device: Device) -> None:
        """Register a device of this class (device_add)."""
        device.cls = self
        self.core.device_add(device)

    def dev_uevent(self, device: Any) -> dict[str, str]:
        """What the class adds to a device's uevent."""
        return {}

    def directory(self, device: Device) -> KObject:
        """The directory a new device of this class is to stand in (get_device_parent)."""
        if device.parent is not None and device.parent.cls is self:
            return device.parent
        above = device.parent or self.core.virtual()
        glue = self._glue.get(above)
        if glue is None:
            glue = self._glue[above] = KObject(self.name, parent=above)
            glue.add()
        return glue

    def tidy(self) -> None:
        """Drop the directories that no device of this class stands in any more (cleanup_glue_dir)."""
        for above, glue in list(self._glue.items()):
            if glue.sd is None or not glue.sd.children:
                del self._glue[above]
                glue.delete()
                glue.put()

    def inspect(self) -> dict[str, Any]:
        """Its devices."""
        return {**super().inspect(), "devices": [device.name for device in self.devices]}


class DriverCore:
    """One host's driver core: its sysfs with devices, buses and classes, and the probes that were deferred.

    `trace` is called with each step as a TraceEvent; it can be set later as `root.hook`.
    """

    def __init__(self, trace: TraceHook | None = None) -> None:
        self.sysfs = Sysfs()
        self.root = RootKObject(self.sysfs, trace)
        self.devices_kset: KSet[Device] = KSet("devices", parent=self.root)
        self.bus_kset: KSet[Bus] = KSet("bus", parent=self.root)
        self.class_kset: KSet[Class] = KSet("class", parent=self.root)
        for kset in (self.devices_kset, self.bus_kset, self.class_kset):
            kset.add()
        self.deferred: dict[Device, str] = {}
        self.probing = 0
        self.retrying = False
        self._virtual: KObject | None = None

    def device_add(self, dev: Device) -> None:
        """Register a device: sysfs, bus or class, uevent, then look for a driver; all or nothing.

        EEXIST when its name is taken below its parent or on its bus, EINVAL when it was added before.
        """
        if dev.core is not None:
            raise LinuxError(EINVAL, f"device {dev.name} was added before; make a new one")
        if dev.parent is not None and (dev.parent.dead or not dev.parent.is_registered):
            raise LinuxError(
                ENODEV, f"can't add device {dev.name}: its parent {dev.parent.name} is not there"
            )
        assert dev.bus is None or dev.cls is None, f"{dev.name} has both a bus and a class"
        dev.kset = self.devices_kset
        dev.trace("device_add")
        with ExitStack() as undo:
            if dev.cls is not None:
                undo.callback(dev.cls.tidy)
            dev.add(under=dev.cls.directory(dev) if dev.cls is not None else None)
            undo.callback(dev.delete)
            sysfs_create_groups(dev, device_groups)
            if dev.parent is not None:
                dev.parent._children[dev] = None
                undo.callback(dev.parent._children.pop, dev)
            if dev.subsystem is not None:
                sysfs_create_link(dev, dev.subsystem, "subsystem")
            if dev.cls is not None:
                self._class_add_device(dev, dev.cls, undo)
            sysfs_create_groups(dev, dev.groups)
            if dev.bus is not None:
                dev.bus.bus_add_device(dev)
                undo.callback(dev.bus.bus_remove_device, dev)
            dev.core, dev._undo = self, undo.pop_all()
        dev.uevent("add")
        if dev.bus is not None:
            dev.bus.bus_probe_device(dev)

    def device_del(self, dev: Device) -> None:
        """Take a device out, its children first; whoever holds a reference keeps the object."""
        for child in reversed(dev.children):
            self.device_del(child)
            child.put()
        dev.trace("device_del")
        self.deferred.pop(dev, None)
        dev.uevent("remove")
        dev._undo.close()
        dev.devres.release_all()
        dev.devres.close()

    def device_shutdown(self) -> None:
        """Make every device quiet, the last added first; an error stops no other device."""
        for dev in reversed(self.devices_kset):
            if dev.driver is None or dev.bus is None:
                continue
            dev.trace("device_shutdown", dev.driver.name)
            try:
                dev.bus.shutdown(dev)
            except Exception as why:
                dev.error("device_shutdown", why)

    def virtual(self) -> KObject:
        """/sys/devices/virtual, where class devices without a parent stand."""
        if self._virtual is None:
            self._virtual = KObject("virtual", parent=self.devices_kset)
            self._virtual.add()
        return self._virtual

    def inspect(self) -> dict[str, Any]:
        """Buses, classes, devices by path, and the deferred ones with their reasons."""
        return {
            "bus": {bus.name: bus.inspect() for bus in self.bus_kset},
            "class": {cls.name: cls.inspect() for cls in self.class_kset},
            "devices": {dev.path: dev.inspect() for dev in self.devices_kset},
            "devices_deferred": {dev.path: why for dev, why in self.deferred.items()},
        }

    def _class_add_device(self, dev: Device, cls: Class, undo: ExitStack) -> None:
        if dev.parent is not None:
            sysfs_create_link(dev, dev.parent, "device")
        sysfs_create_groups(dev, cls.dev_groups)
        sysfs_create_link(cls, dev, dev.name)
        undo.callback(sysfs_remove_link, cls, dev.name)
        cls.devices[dev] = None
        undo.callback(cls.devices.pop, dev)
