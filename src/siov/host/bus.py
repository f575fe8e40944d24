"""A bus: two ksets, devices and drivers, and the rule that matches them (drivers/base/bus.c)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from errno import EBUSY, EINVAL, ENODEV
from typing import Any

from siov.host import dd
from siov.host.core import DriverCore
from siov.host.device import Device, Driver, driver_override_group, uevent_store
from siov.host.kobject import KObject, KSet
from siov.host.linux import LinuxError, choices
from siov.host.sysfs import (
    ATTR_RW,
    ATTR_WO,
    AttributeGroup,
    sysfs_create_groups,
    sysfs_create_link,
    sysfs_remove_groups,
    sysfs_remove_link,
)


class Bus(KObject):
    """A bus_type: subclasses say by `match` which driver may drive which device, and how one is probed.

    `devices` and `drivers` are its ksets, in order of registration. `dev_groups` are attributes of each of
    its devices, `drv_groups` of each driver's directory, `bus_groups` of /sys/bus/NAME. With
    `driver_override` each device has a file of that name.
    """

    dev_groups: Sequence[AttributeGroup] = ()
    drv_groups: Sequence[AttributeGroup] = ()
    bus_groups: Sequence[AttributeGroup] = ()
    driver_override: bool = True

    def __init__(self, core: DriverCore, name: str) -> None:
        super().__init__(name, kset=core.bus_kset)
        self.core = core
        self.devices: KSet[Device] = KSet("devices", parent=self)
        self.drivers: KSet[Driver] = KSet("drivers", parent=self)
        self.drivers_autoprobe = True

    def match(self, device: Any, driver: Any) -> bool:
        """Whether `driver` may drive `device`; without a rule it may. Not asked when there is an override."""
        return True

    def probe(self, device: Any) -> None:
        """Have the device's driver take it; a bus may do its own part around it."""
        device.driver.probe(device)

    def remove(self, device: Any) -> None:
        """Have the device's driver give it up."""
        device.driver.remove(device)

    def shutdown(self, device: Any) -> None:
        """Have the device's driver make it quiet."""
        device.driver.shutdown(device)

    def dev_uevent(self, device: Any) -> dict[str, str]:
        """What the bus adds to a device's uevent."""
        return {}

    def register(self) -> Bus:
        """Appear as /sys/bus/NAME with its two ksets (bus_register); EEXIST when the name is taken."""
        self.trace("bus_register")
        with ExitStack() as undo:
            self.add()
            undo.callback(self.delete)
            for kset in (self.devices, self.drivers):
                kset.add()
                undo.callback(kset.delete)
            sysfs_create_groups(self, (*_bus_groups, *self.bus_groups))
            undo.pop_all()
        return self

    def unregister(self) -> None:
        """Disappear (bus_unregister); EBUSY while devices or drivers are registered."""
        have = self.devices.names() + self.drivers.names()
        if have:
            raise LinuxError(EBUSY, f"bus {self.name} still has {choices(have)}; unregister them first")
        self.trace("bus_unregister")
        for kobj in (self.drivers, self.devices, self):
            kobj.delete()
            kobj.put()

    def add_device(self, device: Device) -> None:
        """Register a device on this bus (device_add): the first driver that matches and probes has it."""
        device.bus = self
        self.core.device_add(device)

    def add_driver(self, driver: Driver) -> None:
        """Register a driver (driver_register) and offer it every unbound device in order of registration.

        EBUSY when the bus has a driver of that name, EINVAL when it is registered.
        """
        if driver.is_registered:
            raise LinuxError(EINVAL, f"driver {driver.name} is registered already")
        if self.drivers.find(driver.name) is not None:
            raise LinuxError(EBUSY, f"bus {self.name} has a driver {driver.name}; unregister it first")
        driver.bus = self
        driver.init(kset=self.drivers)
        driver.trace("driver_register")
        driver.trace("bus_add_driver")
        with ExitStack() as undo:
            driver.add()
            undo.callback(driver.delete)
            bind_files = () if driver.suppress_bind_attrs else _bind_groups
            sysfs_create_groups(driver, (*_driver_groups, *self.drv_groups, *bind_files, *driver.groups))
            undo.pop_all()
        if self.drivers_autoprobe:
            dd.driver_attach(driver)
        driver.uevent("add")

    def remove_driver(self, driver: Driver) -> None:
        """Unregister a driver (driver_unregister): its devices are unbound, the last bound first.

        EDEADLK from within its own probe or remove.
        """
        for device in (*driver.devices, *self.devices):
            if device.driver is driver:
                device.assert_unlocked(f"unregister {driver.name}")
        driver.trace("driver_unregister")
        driver.trace("bus_remove_driver")
        sysfs_remove_groups(driver, _bind_groups)
        self.drivers.leave(driver)  # from here on no device finds it
        dd.driver_detach(driver)
        driver.uevent("remove")
        driver.delete()
        driver.put()

    def find_device(self, name: str) -> Device:
        """The device of that name (bus_find_device_by_name); ENODEV naming those there are."""
        device = self.devices.find(name)
        if device is None:
            have = choices(self.devices.names())
            raise LinuxError(ENODEV, f"bus {self.name} has no device {name!r}; it has {have}")
        return device

    def find_driver(self, name: str) -> Driver:
        """The driver of that name (driver_find); ENODEV naming those there are."""
        driver = self.drivers.find(name)
        if driver is None:
            have = choices(self.drivers.names())
            raise LinuxError(ENODEV, f"bus {self.name} has no driver {name!r}; it has {have}")
        return driver

    def rescan_devices(self) -> None:
        """Look for a driver for each device that has none (bus_rescan_devices)."""
        for device in self.devices:
            dd.device_attach(device)

    def bus_add_device(self, dev: Device) -> None:
        """device_add's part for the bus: attributes, /sys/bus/NAME/devices, the kset; all or nothing."""
        dev.trace("bus_add_device", self.name)
        with ExitStack() as undo:
            sysfs_create_groups(dev, self._device_groups)
            undo.callback(sysfs_remove_groups, dev, self._device_groups)
            sysfs_create_link(self.devices, dev, dev.name)
            undo.pop_all()
        self.devices.join(dev)

    def bus_probe_device(self, dev: Device) -> None:
        """device_add's search for a driver, unless drivers_autoprobe is off."""
        dev.trace("bus_probe_device")
        if self.drivers_autoprobe:
            dd.device_attach(dev)

    def bus_remove_device(self, dev: Device) -> None:
        """device_del's part for the bus: out of its list, then unbound."""
        dev.trace("bus_remove_device")
        sysfs_remove_link(self.devices, dev.name)
        sysfs_remove_groups(dev, self._device_groups)
        self.devices.leave(dev)
        dd.device_release_driver(dev)

    @property
    def _device_groups(self) -> tuple[AttributeGroup, ...]:
        return (*((driver_override_group,) if self.driver_override else ()), *self.dev_groups)

    def inspect(self) -> dict[str, Any]:
        """Its devices with their drivers, its drivers with their devices."""
        return {
            **super().inspect(),
            "drivers_autoprobe": self.drivers_autoprobe,
            "devices": {dev.name: dev.driver.name if dev.driver else None for dev in self.devices},
            "drivers": {drv.name: [dev.name for dev in drv.devices] for drv in self.drivers},
        }


def _name(data: bytes) -> str:
    # As sysfs_streq compares: one newline at the end does not count.
    return data.decode("utf-8", "replace").removesuffix("\n")


def bind_store(drv: Driver, data: bytes) -> None:
    """Bind a device by name; ENODEV when it does not match, EBUSY when it is bound, else what probe said."""
    assert drv.bus is not None
    dev = drv.bus.find_device(_name(data))
    if not dd.driver_match_device(drv, dev):
        raise LinuxError(ENODEV, f"{drv.name} does not match {dev.name}; set its driver_override")
    dd.device_driver_attach(drv, dev)


def unbind_store(drv: Driver, data: bytes) -> None:
    """Unbind a device by name; ENODEV when this driver does not have it."""
    assert drv.bus is not None
    dev = drv.bus.find_device(_name(data))
    if dev.driver is not drv:
        have = choices(bound.name for bound in drv.devices)
        raise LinuxError(ENODEV, f"device {dev.name} is not bound to {drv.name}; it has {have}")
    dd.device_release_driver(dev)


def drivers_probe_store(bus: Bus, data: bytes) -> None:
    """Look for a driver for one device by name; ENODEV when there is no such device."""
    dd.device_attach(bus.find_device(_name(data)))


def drivers_autoprobe_show(bus: Bus) -> str:
    """Whether new devices and drivers are matched at once."""
    return f"{int(bus.drivers_autoprobe)}\n"


def drivers_autoprobe_store(bus: Bus, data: bytes) -> None:
    """A value that starts with 0 switches matching off, any other on."""
    bus.drivers_autoprobe = not data.startswith(b"0")


_bus_groups = (
    AttributeGroup(
        (
            ATTR_WO(drivers_probe_store),
            ATTR_RW(drivers_autoprobe_show, drivers_autoprobe_store),
            ATTR_WO(uevent_store),
        )
    ),
)
_driver_groups = (AttributeGroup((ATTR_WO(uevent_store),)),)
_bind_groups = (AttributeGroup((ATTR_WO(bind_store), ATTR_WO(unbind_store))),)
