"""Devices and drivers (drivers/base/core.c, driver.c).

A bus (bus.py) brings them together; dd.py binds a driver to a device; core.py keeps them all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from errno import EDEADLK, EINVAL, ENODEV, ENOENT
from typing import TYPE_CHECKING, Any, ClassVar, cast

from siov.host.devres import Devres, DevresGroup, DevresList
from siov.host.kobject import ACTIONS, Action, KObject
from siov.host.linux import LinuxError, choices
from siov.host.sysfs import ATTR_RW, PAGE_SIZE, AttributeGroup

if TYPE_CHECKING:
    from siov.host.bus import Bus
    from siov.host.core import Class, DriverCore


class Device(KObject):
    """A device: a place in the tree of devices, a bus or a class, and at most one driver.

    `groups` are its attribute groups from `device_add` to `device_del`. `driver_data` is the driver's own and
    forgotten at unbind. `devres` holds what was taken with the devm_ methods and is empty while unbound.
    """

    parent: Device | None

    def __init__(
        self,
        name: str,
        *,
        parent: Device | None = None,
        bus: Bus | None = None,
        cls: Class | None = None,
        groups: Sequence[AttributeGroup] = (),
    ) -> None:
        super().__init__(name, parent=parent)
        self.bus = bus
        self.cls = cls
        self.groups: tuple[AttributeGroup, ...] = tuple(groups)
        self.core: DriverCore | None = None
        self.driver: Driver | None = None
        self.driver_data: Any = None
        self.driver_override: str | None = None
        self.probe_error: LinuxError | None = None
        self.devres = DevresList(self.name, self.error)
        self.dead = False
        self.locked: str | None = None
        self._children: dict[Device, None] = {}
        self._undo = ExitStack()

    @property
    def children(self) -> tuple[Device, ...]:
        """The devices right below, in the order in which they were added."""
        return tuple(self._children)

    @property
    def subsystem(self) -> Bus | Class | None:
        """Its bus or class: where its `subsystem` link leads."""
        return self.bus or self.cls

    @property
    def is_registered(self) -> bool:
        """Between device_add and device_del."""
        return self.sd is not None

    def unregister(self) -> None:
        """Remove it (device_unregister), its children before it and the youngest first; unbinds its driver.

        Nothing happens when it is gone or going, perhaps with its parent; ENODEV when it was never added;
        EDEADLK from within its own probe or remove, or one of its descendants'.
        """
        if self.core is None:
            raise LinuxError(ENODEV, f"device {self.name} is not registered; add it first")
        if self.dead:
            return
        family = list(self._family())
        for device in family:
            device.assert_unlocked(f"unregister {self.name}")
        for device in family:
            device.dead = True  # from here on it gets neither a driver nor a child
        self.core.device_del(self)
        self.put()

    def assert_unlocked(self, wish: str) -> None:
        """Refuse with EDEADLK what Linux would wait for ever: the device's own probe or remove is running."""
        if self.locked is not None:
            raise LinuxError(EDEADLK, f"can't {wish} now: {self.name} is in {self.locked}")

    @contextmanager
    def lock(self, purpose: str) -> Iterator[None]:
        """Hold the device (device_lock) while its driver is being bound or released."""
        self.assert_unlocked(purpose)
        self.locked = purpose
        try:
            yield
        finally:
            self.locked = None

    def devm_add_action(self, action: Callable[..., object], *args: Any) -> Devres:
        """Call `action(*args)` at detach, newest first; ENODEV or EBUSY when nothing can be held any more."""
        name = getattr(action, "__name__", type(action).__name__)
        return self.devres.add(Devres(name, lambda: action(*args), key=(action, args)))

    def devm_add_action_or_reset(self, action: Callable[..., object], *args: Any) -> Devres:
        """The same, but call `action(*args)` at once when it can't be held for later."""
        try:
            return self.devm_add_action(action, *args)
        except LinuxError:
            action(*args)
            raise

    def devm_remove_action(self, action: Callable[..., object], *args: Any) -> None:
        """Forget an action without calling it; ENOENT when it is not held."""
        self.devres.remove(self._action(action, args))

    def devm_release_action(self, action: Callable[..., object], *args: Any) -> None:
        """Call an action now instead of at detach; ENOENT when it is not held."""
        res = self._action(action, args)
        self.devres.remove(res)
        res.release()

    def devm_kzalloc(self, size: int) -> memoryview:
        """`size` zero bytes until detach; a use after that raises ValueError (in C it corrupts memory)."""
        memory = memoryview(bytearray(size))
        self.devres.add(Devres("devm_kzalloc_release", memory.release, size, key=id(memory)))
        return memory

    def devm_kfree(self, memory: memoryview) -> None:
        """Free what devm_kzalloc gave before detach; EINVAL when it is not this device's."""
        res = self.devres.find(id(memory))
        if res is None:
            raise LinuxError(
                EINVAL, f"{self.name} does not hold that memory; it was freed, or is another device's"
            )
        self.devres.remove(res)
        res.release()

    def devres_open_group(self, name: str = "group") -> DevresGroup:
        """Start a group of managed resources that can be released as one before detach."""
        return self.devres.open_group(name)

    def devres_close_group(self, group: DevresGroup | None = None) -> None:
        """End a group, by default the newest open one."""
        self.devres.close_group(group)

    def devres_remove_group(self, group: DevresGroup | None = None) -> None:
        """Forget a group and keep its resources."""
        self.devres.remove_group(group)

    def devres_release_group(self, group: DevresGroup | None = None) -> int:
        """Release a group's resources, newest first; how many there were."""
        return self.devres.release_group(group)

    def uevent_env(self) -> dict[str, str]:
        """The variables that user space is told (dev_uevent): DRIVER, then the bus's or class's."""
        env = {"DRIVER": self.driver.name} if self.driver is not None else {}
        return env | (self.subsystem.dev_uevent(self) if self.subsystem is not None else {})

    def inspect(self) -> dict[str, Any]:
        """Where it stands, what drives it and what it holds."""
        return {
            **super().inspect(),
            "bus": self.bus.name if self.bus else None,
            "class": self.cls.name if self.cls else None,
            "driver": self.driver.name if self.driver else None,
            "driver_override": self.driver_override,
            "probe_error": str(self.probe_error) if self.probe_error else None,
            "devres": self.devres.inspect(),
            "children": [child.name for child in self.children],
        }

    def _family(self) -> Iterator[Device]:
        yield self
        for child in self.children:
            yield from child._family()

    def _action(self, action: Callable[..., object], args: tuple[Any, ...]) -> Devres:
        res = self.devres.find((action, args))
        if res is None:
            have = choices(res.name for res in self.devres)
            raise LinuxError(
                ENOENT, f"{self.name} holds no action {action!r} with these arguments; it has {have}"
            )
        return res


class Driver(KObject):
    """A driver: what a subclass overrides to drive the devices that its bus matches to it.

    `id_table` is for the bus's match. `groups` are attributes of the driver's own directory; `dev_groups`
    those of each device while bound. `devices` are the bound ones, in the order of binding. `probe` raises
    any SiovError or OSError when it can't (ProbeDeferError: not yet); its devm_ resources are then released.
    """

    name: str = ""
    id_table: Sequence[Any] = ()
    groups: Sequence[AttributeGroup] = ()
    dev_groups: Sequence[AttributeGroup] = ()
    suppress_bind_attrs: ClassVar[bool] = False

    def __init__(self, name: str | None = None) -> None:
        super().__init__(name or type(self).name or type(self).__name__)
        self.bus: Bus | None = None
        self.devices: dict[Device, None] = {}

    def probe(self, device: Any) -> None:
        """Take a device into use; raise when it can't be."""

    def remove(self, device: Any) -> None:
        """Give up a device; managed resources are released after it."""

    def shutdown(self, device: Any) -> None:
        """Make a device quiet before the server goes down; it stays bound."""

    @property
    def is_registered(self) -> bool:
        """Between driver_register and driver_unregister."""
        return self.sd is not None

    def unregister(self) -> None:
        """Leave the bus (driver_unregister): all its devices are unbound, the last bound first."""
        if self.bus is None or not self.is_registered:
            raise LinuxError(ENODEV, f"driver {self.name} is not registered")
        self.bus.remove_driver(self)

    def inspect(self) -> dict[str, Any]:
        """Its bus and the devices it drives."""
        return {
            **super().inspect(),
            "bus": self.bus.name if self.bus else None,
            "devices": [device.name for device in self.devices],
        }


def uevent_show(dev: Device) -> str:
    """The variables of the device's uevents, one on each line."""
    return "".join(f"{key}={value}\n" for key, value in dev.uevent_env().items())


def uevent_store(kobj: KObject, data: bytes) -> None:
    """Send an event again, as `udevadm trigger` does (kobject_synth_uevent); EINVAL for an unknown action."""
    action = data.decode("ascii", "replace").split(" ")[0].rstrip("\n")
    if action not in ACTIONS:
        raise LinuxError(EINVAL, f"{kobj.path}/uevent: no action {action!r}; there are {', '.join(ACTIONS)}")
    kobj.uevent(cast(Action, action))


def driver_override_show(dev: Device) -> str:
    """The one driver that may bind."""
    return f"{dev.driver_override or '(null)'}\n"


def driver_override_store(dev: Device, data: bytes) -> None:
    """Let only the named driver bind, whatever its id table says; an empty line lifts that."""
    if len(data) >= PAGE_SIZE - 1:
        raise LinuxError(EINVAL, f"{dev.name}: a driver's name has fewer than {PAGE_SIZE - 1} bytes")
    dev.driver_override = data.decode("utf-8", "replace").split("\n")[0] or None


device_groups = (AttributeGroup((ATTR_RW(uevent_show, uevent_store),)),)
driver_override_group = AttributeGroup((ATTR_RW(driver_override_show, driver_override_store),))
