"""What an operator does with mediated devices, by way of sysfs as `mdevctl` does it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from errno import EINVAL, ENODEV, EOPNOTSUPP
from typing import Any
from uuid import UUID, uuid4

from siov.host.linux import LinuxError, choices
from siov.host.mdev.core import MdevCore

CLASS = "/sys/class/mdev_bus"
BUS = "/sys/bus/mdev/devices"


@dataclass(slots=True, frozen=True)
class TypeInfo:
    """A type on one parent, as its files say."""

    parent: str
    id: str
    name: str
    description: str
    device_api: str
    available_instances: int
    limit: str


@dataclass(slots=True, frozen=True)
class MdevInfo:
    """An instance: where it is, and whether somebody has it open."""

    uuid: str
    parent: str
    type: str
    open: bool


class Mdevctl:
    """Lists, creates, resets and removes the mediated devices of one host."""

    def __init__(self, core: MdevCore, new_uuid: Callable[[], UUID] = uuid4) -> None:
        self.core, self._new_uuid = core, new_uuid
        self._sysfs = core.core.sysfs

    def types(self, parent: str | None = None) -> Sequence[TypeInfo]:
        """The types of all parents, or of one; ENODEV when it is none."""
        return [
            self._type(each, name)
            for each in self._parents(parent)
            for name in self._sysfs.listdir(f"{CLASS}/{each}/mdev_supported_types")
        ]

    def create(
        self,
        type: str,  # noqa: A002 (mdevctl's word for it)
        uuid: str | None = None,
        parent: str | None = None,
        attrs: list[str] | None = None,
    ) -> MdevInfo:
        """Make an instance of a type such as "ice-vdcm", with a UUID of its own unless one is given.

        Without `parent`, on the first parent that has one left. `attrs` are files of its directory and what
        is written to them then, as NAME=VALUE. EINVAL for an unknown type or attribute, and the errors of a
        write to the type's `create` or to an attribute; there is no instance then.
        """
        wanted = [_pair(attr) for attr in attrs or ()]
        offers = [each for each in self._parents(parent) if self._offers(each, type)]
        if not offers:
            have = choices(dict.fromkeys(each.id for each in self.types(parent)))
            raise LinuxError(EINVAL, f"there is no mdev type {type!r}; there is {have}")
        # Who names a parent hears from that one why there is none left.
        left = (each for each in offers if len(offers) == 1 or self._type(each, type).available_instances > 0)
        chosen = next(left, offers[0])
        uuid = str(self._new_uuid()) if uuid is None else uuid
        self._sysfs.write(f"{CLASS}/{chosen}/mdev_supported_types/{type}/create", uuid)
        try:
            for name, value in wanted:
                self._set(uuid.lower(), name, value)
        except LinuxError:
            self.remove(uuid)
            raise
        return self._info(uuid.lower())

    def list(self, parent: str | None = None) -> Sequence[MdevInfo]:
        """All instances, or those of one parent, sorted by UUID."""
        infos = [self._info(uuid) for uuid in self._sysfs.listdir(BUS)]
        return [info for info in infos if parent in (None, info.parent)]

    def show(self, uuid: str) -> dict[str, Any]:
        """An instance with the files of its directory that can be read; ENODEV when there is none."""
        name = self.core.find(uuid).name
        info = self._info(name)
        return {
            "uuid": info.uuid,
            "parent": info.parent,
            "type": info.type,
            "open": info.open,
            "attributes": self._attributes(f"{BUS}/{name}"),
        }

    def remove(self, uuid: str, force: bool = False) -> None:
        """Remove an instance; ENODEV when there is none, EBUSY while it is open unless forced."""
        mdev = self.core.find(uuid)
        if force:
            self.core.remove(mdev, force=True)
        else:
            self._sysfs.write(f"{BUS}/{mdev.name}/remove", "1")

    def reset(self, uuid: str) -> None:
        """Reset an instance, also under its user; ENODEV when there is none, and its driver's errors.

        EOPNOTSUPP where the driver offers no reset.
        """
        path = f"{BUS}/{self.core.find(uuid).name}/reset"
        if not self._sysfs.exists(path):
            raise LinuxError(EOPNOTSUPP, f"the driver of mdev {uuid} offers no reset")
        self._sysfs.write(path, "1")

    def inspect(self) -> dict[str, Any]:
        """The mdev core's parents and instances."""
        return self.core.inspect()

    def _parents(self, parent: str | None) -> Sequence[str]:
        known = self._sysfs.listdir(CLASS)
        if parent is None:
            return known
        if parent not in known:
            raise LinuxError(ENODEV, f"{parent} is no mdev parent; there is {choices(known)}")
        return [parent]

    def _offers(self, parent: str, name: str) -> bool:
        return name in self._sysfs.listdir(f"{CLASS}/{parent}/mdev_supported_types")

    def _type(self, parent: str, name: str) -> TypeInfo:
        path = f"{CLASS}/{parent}/mdev_supported_types/{name}"

        def text(file: str) -> str:
            return self._sysfs.read(f"{path}/{file}").decode().removesuffix("\n")

        offers = (t for dev, p in self.core.parents.items() if dev.name == parent for t in p.types)
        mtype = next(t for t in offers if t.name == name)
        return TypeInfo(
            parent,
            name,
            text("name"),
            text("description") if self._sysfs.exists(f"{path}/description") else "",
            text("device_api"),
            int(text("available_instances")),
            mtype.available().reason,
        )

    def _info(self, uuid: str) -> MdevInfo:
        mdev = self.core.find(uuid)
        kind = self._sysfs.readlink(f"{BUS}/{uuid}/mdev_type").rpartition("/")[2]
        return MdevInfo(uuid, mdev.parent.name, kind, mdev.opener is not None)

    def _set(self, uuid: str, name: str, value: str) -> None:
        real = self._sysfs.realpath(f"{BUS}/{uuid}")
        files = [each for each in self._sysfs.walk(real) if each.kind == "file" and each.mode & 0o222]
        known = {each.path.removeprefix(f"{real}/"): each.path for each in files}
        if name not in known or name == "remove":
            have = choices(sorted(each for each in known if each not in ("remove", "uevent")))
            raise LinuxError(EINVAL, f"an mdev of its type has no attribute {name!r} to set; there is {have}")
        self._sysfs.write(known[name], value)

    def _attributes(self, top: str) -> dict[str, str]:
        real = self._sysfs.realpath(top)
        files = [each for each in self._sysfs.walk(real) if each.kind == "file" and each.mode & 0o444]
        return {
            name: self._sysfs.read(each.path).decode("utf-8", "backslashreplace").rstrip("\n")
            for each in files
            if (name := each.path.removeprefix(f"{real}/")) != "uevent"
        }


def _pair(attr: str) -> tuple[str, str]:
    name, equals, value = attr.partition("=")
    if not name or not equals:
        raise LinuxError(EINVAL, f"{attr!r} is no attribute with its value; write it as NAME=VALUE")
    return name, value
