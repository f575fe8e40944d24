"""How a driver is bound to a device and let go of again, under Linux's names (drivers/base/dd.c).

A new device tries the drivers of its bus in order of registration, a new driver the devices. The first driver
that matches and whose probe succeeds has the device. A probe that defers is tried again after the next bind.
"""

from __future__ import annotations

from errno import EBUSY, EIO, ENODEV, ENXIO
from typing import TYPE_CHECKING

from siov.errors import SiovError
from siov.host.linux import LinuxError, ProbeDeferError, ProbeError
from siov.host.sysfs import sysfs_create_groups, sysfs_create_link, sysfs_remove_groups, sysfs_remove_link

if TYPE_CHECKING:
    from siov.host.core import DriverCore
    from siov.host.device import Device, Driver


def driver_match_device(drv: Driver, dev: Device) -> bool:
    """Whether `drv` may drive `dev`: the override's word if there is one, else the bus's."""
    assert dev.bus is not None
    if dev.driver_override is not None:
        matches, why = drv.name == dev.driver_override, f" (driver_override {dev.driver_override})"
    else:
        matches, why = dev.bus.match(dev, drv), ""
    dev.trace("driver_match_device", f"{drv.name}: {'yes' if matches else 'no'}{why}")
    return matches


def device_attach(dev: Device) -> bool:
    """Try the drivers of the bus on one device (device_attach); True if it has a driver at the end."""
    if dev.bus is None or dev.dead or dev not in dev.bus.devices:
        return False
    dev.trace("__device_attach")
    for drv in dev.bus.drivers:
        if dev.driver is not None or dev.dead:
            break
        if driver_match_device(drv, dev) and driver_probe_device(drv, dev):
            break
    return dev.driver is not None


def driver_attach(drv: Driver) -> None:
    """Try one driver on every device of the bus, in order of registration."""
    assert drv.bus is not None
    drv.trace("driver_attach")
    for dev in drv.bus.devices:
        if drv not in drv.bus.drivers:
            break  # a probe has unregistered it
        if dev.driver is None and not dev.dead:
            dev.trace("__driver_attach", drv.name)
            if driver_match_device(drv, dev):
                driver_probe_device(drv, dev)


def driver_probe_device(drv: Driver, dev: Device) -> bool:
    """Probe; True when bound. A failure is reported and remembered in `dev.probe_error`, not raised."""
    try:
        device_driver_attach(drv, dev)
    except LinuxError:
        return False
    return True


def device_driver_attach(drv: Driver, dev: Device) -> None:
    """Bind this driver to this device without asking whether they match.

    EBUSY when it is bound, ENODEV when either is gone, EDEADLK from within its own probe or remove, else
    what probe raised. Anything raised that is neither a SiovError nor an OSError is a bug and passes through.
    """
    core, bus = dev.core, drv.bus
    if core is None or bus is None or dev.dead or dev not in bus.devices or drv not in bus.drivers:
        raise LinuxError(ENODEV, f"driver {drv.name} can't have {dev.name}: they are not on one bus, or gone")
    if dev.driver is not None and dev.locked is None:
        raise LinuxError(EBUSY, f"device {dev.name} is bound to {dev.driver.name}; unbind it first")
    with dev.lock(f"the probe by {drv.name}"):
        dev.trace("driver_probe_device", drv.name)
        core.probing += 1
        try:
            really_probe(dev, drv)
        except LinuxError as why:
            dev.probe_error = why
            if isinstance(why, ProbeDeferError):
                driver_deferred_probe_add(dev, str(why))
            raise
        finally:
            core.probing -= 1
    # What bound within a probe that fails is gone again with it, so only an outermost success counts.
    if core.probing == 0:
        driver_deferred_probe_trigger(core)


def really_probe(dev: Device, drv: Driver) -> None:
    """Link, probe, add the driver's attribute groups; undone down to the last resource when a step fails."""
    dev.trace("really_probe", drv.name)
    if dev.devres:
        held = ", ".join(res.name for res in dev.devres)
        raise LinuxError(EBUSY, f"{dev.name} holds resources before its probe: {held}; release them")
    dev.driver = drv
    try:
        driver_sysfs_add(dev, drv)
        call_driver_probe(dev, drv)
        try:
            sysfs_create_groups(dev, drv.dev_groups)
        except BaseException:
            device_remove(dev, drv)
            raise
    except BaseException as why:
        driver_sysfs_remove(dev, drv)
        device_unbind_cleanup(dev)
        if isinstance(why, LinuxError) or not isinstance(why, SiovError | OSError):
            raise
        errno = why.errno if isinstance(why, OSError) and why.errno else EIO
        raise ProbeError(errno, f"probe of {dev.name} by {drv.name} failed: {why}") from why
    driver_bound(dev, drv)


def call_driver_probe(dev: Device, drv: Driver) -> None:
    """Have the bus probe; how it failed is traced in the words of the kernel's log."""
    assert dev.bus is not None
    dev.trace("call_driver_probe", drv.name)
    try:
        dev.bus.probe(dev)
    except ProbeDeferError as why:
        dev.trace("call_driver_probe", f"{drv.name} requests probe deferral: {why}")
        raise
    except Exception as why:
        rejects = getattr(why, "errno", None) in (ENODEV, ENXIO)
        verdict = f"{drv.name} rejects match" if rejects else f"probe with {drv.name} failed"
        dev.trace("call_driver_probe", f"{verdict}: {why or type(why).__name__}")
        raise


def driver_sysfs_add(dev: Device, drv: Driver) -> None:
    """The two links between a driver's directory and its device's."""
    dev.trace("driver_sysfs_add", drv.name)
    sysfs_create_link(drv, dev, dev.name)
    sysfs_create_link(dev, drv, "driver")


def driver_sysfs_remove(dev: Device, drv: Driver) -> None:
    """Take the two links away, as far as they are there."""
    dev.trace("driver_sysfs_remove", drv.name)
    sysfs_remove_link(drv, dev.name)
    sysfs_remove_link(dev, "driver")


def driver_bound(dev: Device, drv: Driver) -> None:
    """The device is the driver's."""
    drv.devices[dev] = None
    assert dev.core is not None
    dev.core.deferred.pop(dev, None)
    dev.probe_error = None
    dev.trace("driver_bound", drv.name)
    dev.uevent("bind")


def device_release_driver(dev: Device) -> None:
    """Unbind a device, if it is bound; EDEADLK from within its own probe or remove."""
    drv = dev.driver
    if drv is None:
        return
    with dev.lock(f"the remove by {drv.name}"):
        dev.trace("device_release_driver", drv.name)
        driver_sysfs_remove(dev, drv)
        sysfs_remove_groups(dev, drv.dev_groups)
        device_remove(dev, drv)
        device_unbind_cleanup(dev)
        drv.devices.pop(dev, None)
        dev.uevent("unbind")


def device_remove(dev: Device, drv: Driver) -> None:
    """Have the bus take the driver off; an error is reported and stops nothing."""
    assert dev.bus is not None
    dev.trace("device_remove", drv.name)
    try:
        dev.bus.remove(dev)
    except Exception as why:
        dev.error("device_remove", why)


def device_unbind_cleanup(dev: Device) -> None:
    """Release what the driver left: managed resources, its data, the device itself."""
    dev.trace("device_unbind_cleanup")
    dev.trace("devres_release_all", ", ".join(res.name for res in dev.devres))
    dev.devres.release_all()
    dev.driver = None
    dev.driver_data = None


def driver_detach(drv: Driver) -> None:
    """Unbind all the devices of a driver, the last bound first."""
    drv.trace("driver_detach")
    while drv.devices:
        device_release_driver(next(reversed(drv.devices)))


def driver_deferred_probe_add(dev: Device, reason: str) -> None:
    """Try this device again when another has been bound."""
    assert dev.core is not None
    dev.trace("driver_deferred_probe_add", reason)
    dev.core.deferred[dev] = reason


def driver_deferred_probe_trigger(core: DriverCore) -> None:
    """Something was bound: try the deferred devices, round by round until a round binds none."""
    if core.retrying:
        return  # the walk below sees what this one would
    core.retrying = True
    try:
        progress = True
        while progress and core.deferred:
            progress = False
            for dev in list(core.deferred):
                if core.deferred.pop(dev, None) is None:
                    continue
                dev.trace("deferred_probe_work_func")
                progress |= device_attach(dev)
    finally:
        core.retrying = False
