"""A parent in sysfs: `mdev_supported_types` with a directory for each type (mdev_sysfs.c)."""

from __future__ import annotations

from contextlib import ExitStack
from errno import EINVAL
from typing import TYPE_CHECKING, Any
from uuid import UUID

from siov.host.device import Device
from siov.host.kobject import KObject, KSet
from siov.host.linux import LinuxError
from siov.host.mdev.types import Available, MdevParentOps, MdevType
from siov.host.sysfs import (
    ATTR_RO,
    ATTR_WO,
    Attribute,
    AttributeGroup,
    sysfs_create_groups,
)

if TYPE_CHECKING:
    from siov.host.mdev.core import MdevCore
    from siov.host.mdev.device import MdevDevice

UUID_STRING_LEN = 36


class MdevTypeDir(KObject):
    """A type's directory, `mdev_supported_types/DRIVER-group`; `devices` below it links to the instances.

    Callbacks of the mdev core's own files get this object, those of the driver's groups the parent device.
    """

    def __init__(self, owner: MdevParent, mtype: MdevType) -> None:
        super().__init__(f"{driver_string(owner.dev)}-{mtype.group}", kset=owner.types_kset)
        self.owner = owner
        self.mtype = mtype
        self.devices = KObject("devices", parent=self)

    def show(self, attr: Attribute) -> str | bytes:
        """Read one of the core's files, or of the driver's."""
        assert attr.show is not None
        return attr.show(self if attr in CORE_ATTRS else self.owner.dev)

    def store(self, attr: Attribute, data: bytes) -> int | None:
        """Write one of the core's files, or of the driver's."""
        assert attr.store is not None
        return attr.store(self if attr in CORE_ATTRS else self.owner.dev, data)

    def available(self) -> Available:
        """How many more instances can be made: the parent's own limit counts too."""
        have = self.owner.ops.available(self.mtype)
        left = self.owner.left
        if left is not None and left < have.count:
            return Available(left, f"{self.owner.dev.name} is limited to {self.owner.max_instances} in all")
        return have

    def appear(self, undo: ExitStack) -> None:
        """Be added with all files; `undo` takes it away."""
        self.add()
        undo.callback(_vanish, self)
        sysfs_create_groups(self, (type_group, *self.mtype.groups))
        self.devices.add()
        undo.callback(_vanish, self.devices)

    def inspect(self) -> dict[str, Any]:
        """As a kobject, with how many there are and can be."""
        have = self.available()
        return {
            **super().inspect(),
            "devices": [mdev.name for mdev in self.owner.children if mdev.mtype is self],
            "available_instances": have.count,
            "limit": have.reason,
        }


class MdevParent:
    """A device whose driver offers mdev types, from registration to unregistration (struct mdev_parent).

    `max_instances` limits the instances of all types together, None does not.
    """

    def __init__(self, core: MdevCore, dev: Device, ops: MdevParentOps, max_instances: int | None) -> None:
        self.core = core
        self.dev = dev
        self.ops = ops
        self.max_instances = max_instances
        self.unregistering = False
        self.undo = ExitStack()
        self.types_kset: KSet[MdevTypeDir] = KSet("mdev_supported_types", parent=dev)
        self.types = [MdevTypeDir(self, mtype) for mtype in ops.types]

    @property
    def children(self) -> list[MdevDevice]:
        """Its instances, the oldest first."""
        return [mdev for mdev in list(self.core.devices.values()) if mdev.mtype.owner is self]

    @property
    def left(self) -> int | None:
        """What is left of `max_instances`; None without a limit."""
        return None if self.max_instances is None else max(0, self.max_instances - len(self.children))

    def appear(self, undo: ExitStack) -> None:
        """Create the directories of all types (parent_create_sysfs_files); `undo` takes them away."""
        self.types_kset.add()
        undo.callback(_vanish, self.types_kset)
        for mtype in self.types:
            mtype.trace("mdev_type_add")
            mtype.appear(undo)

    def inspect(self) -> dict[str, Any]:
        """Its types, and the limit over all of them."""
        return {
            "max_instances": self.max_instances,
            "types": {mtype.name: mtype.inspect() for mtype in self.types},
        }


def driver_string(dev: Device) -> str:
    """The driver's name, or else the bus's or class's (dev_driver_string)."""
    if dev.driver is not None:
        return dev.driver.name
    return dev.subsystem.name if dev.subsystem is not None else ""


def guid_parse(text: str) -> UUID:
    """A UUID in its usual form of 36 characters; EINVAL for anything else."""
    try:
        found = UUID(text)
    except ValueError:
        found = None
    if found is None or str(found) != text.lower():
        raise LinuxError(EINVAL, f"{text!r} is no UUID, such as 83b8f4f2-509f-382f-3c1e-e6bfe0fa1001")
    return found


def _vanish(kobj: KObject) -> None:
    kobj.delete()
    kobj.put()


def create_store(mtype: MdevTypeDir, data: bytes) -> None:
    """Make an instance with this UUID; one byte may follow it, as the newline of `echo`."""
    mtype.trace("create_store")
    text = data.decode("ascii", "replace")
    if not UUID_STRING_LEN <= len(data) <= UUID_STRING_LEN + 1:
        guid_parse(text.rstrip("\n"))  # for its error, unless it is one with more behind it
        raise LinuxError(EINVAL, f"{len(data)} bytes are no UUID, which has {UUID_STRING_LEN}")
    mtype.owner.core.create(mtype, guid_parse(text[:UUID_STRING_LEN]))


def available_instances_show(mtype: MdevTypeDir) -> str:
    """How many more instances of the type can be made, as a number.

    The out-of-tree ice driver prints "ivdcm" here; Documentation/driver-api/vfio-mediated-device.rst and
    mdevctl want a number.
    """
    return f"{mtype.available().count}\n"


def device_api_show(mtype: MdevTypeDir) -> str:
    """By which interface user space drives an instance."""
    return f"{mtype.mtype.device_api}\n"


def name_show(mtype: MdevTypeDir) -> str:
    """What people call the type."""
    return f"{mtype.mtype.name}\n"


def description_show(mtype: MdevTypeDir) -> str:
    """What an instance has."""
    return f"{mtype.mtype.description}\n"


_description = ATTR_RO(description_show)
CORE_ATTRS = (
    ATTR_WO(create_store),
    ATTR_RO(available_instances_show),
    ATTR_RO(device_api_show),
    ATTR_RO(name_show),
    _description,
)
type_group = AttributeGroup(
    CORE_ATTRS,
    is_visible=lambda mtype, attr: (
        0 if attr is _description and mtype.mtype.description is None else attr.mode
    ),
)
