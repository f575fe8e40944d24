"""Managed resources: what a driver took, given back in reverse order at detach (drivers/base/devres.c)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from errno import EBUSY, EINVAL, ENODEV
from typing import Any

from siov.host.linux import LinuxError


class Devres:
    """One managed resource: its name, the bytes it accounts for, and what gives it back."""

    __slots__ = ("key", "name", "release", "size")

    def __init__(self, name: str, release: Callable[[], object], size: int = 0, key: object = None) -> None:
        self.name = name
        self.release = release
        self.size = size
        self.key = key

    def inspect(self) -> dict[str, Any]:
        """Name and bytes."""
        return {"name": self.name, "size": self.size}


class DevresGroup:
    """A stretch of a device's resources that can be released as one; `name` is for people."""

    __slots__ = ("end", "name", "start")

    def __init__(self, name: str) -> None:
        self.name = name
        self.start = _Mark(self)
        self.end: _Mark | None = None


class _Mark:
    # Where a group opens or closes, between the resources it surrounds.
    __slots__ = ("group",)

    def __init__(self, group: DevresGroup) -> None:
        self.group = group


class DevresList:
    """The managed resources of one device, oldest first; true while any is held.

    `owner` names the device in errors; `report(function, exception, resource)` hears of releases that raised:
    they stop no other.
    """

    def __init__(self, owner: str, report: Callable[[str, BaseException, str], None]) -> None:
        self._owner = owner
        self._report = report
        self._nodes: list[Devres | _Mark] = []
        self._closed: LinuxError | None = None

    def add(self, res: Devres) -> Devres:
        """Hold one more resource (devres_add); EBUSY within a release, ENODEV once the device is gone."""
        if self._closed is not None:
            raise self._closed
        self._nodes.append(res)
        return res

    def remove(self, res: Devres) -> None:
        """Forget a resource without releasing it (devres_remove)."""
        self._nodes.remove(res)

    def find(self, key: object) -> Devres | None:
        """The newest resource whose key equals `key` (devres_find)."""
        return next((res for res in reversed(list(self)) if res.key == key), None)

    def open_group(self, name: str = "group") -> DevresGroup:
        """Start a group: what is added from here on belongs to it (devres_open_group)."""
        if self._closed is not None:
            raise self._closed
        group = DevresGroup(name)
        self._nodes.append(group.start)
        return group

    def close_group(self, group: DevresGroup | None = None) -> None:
        """End a group, by default the newest open one: what comes after is outside (devres_close_group)."""
        group = self._group(group)
        if group.end is not None:
            raise LinuxError(EINVAL, f"{self._owner}: the devres group {group.name} is closed already")
        group.end = _Mark(group)
        self._nodes.append(group.end)

    def remove_group(self, group: DevresGroup | None = None) -> None:
        """Forget a group and keep its resources (devres_remove_group)."""
        group = self._group(group)
        self._nodes = [node for node in self._nodes if not (isinstance(node, _Mark) and node.group is group)]

    def release_group(self, group: DevresGroup | None = None) -> int:
        """Release a group's resources, newest first; how many there were (devres_release_group).

        Groups that lie inside go too; one that only overlaps stays, without the resources released here.
        """
        group = self._group(group)
        first = self._nodes.index(group.start)
        last = self._nodes.index(group.end) if group.end is not None else len(self._nodes) - 1
        return self._release(first, last + 1)

    def release_all(self) -> int:
        """Release everything, newest first; how many resources there were (devres_release_all)."""
        return self._release(0, len(self._nodes))

    def close(self) -> None:
        """Hold nothing from now on: the device is gone."""
        self._closed = LinuxError(ENODEV, f"{self._owner} is gone and can hold no managed resource")

    def _release(self, first: int, end: int) -> int:
        stretch = self._nodes[first:end]
        gone = [node for node in stretch if isinstance(node, Devres)]
        marks = [node for node in stretch if isinstance(node, _Mark)]
        inside = {
            mark.group for mark in marks if mark.group.start in marks and mark.group.end in (None, *marks)
        }
        self._nodes[first:end] = [mark for mark in marks if mark.group not in inside]
        before, self._closed = self._closed, LinuxError(EBUSY, f"{self._owner} is releasing its resources")
        try:
            for res in reversed(gone):
                try:
                    res.release()
                except Exception as why:
                    self._report("devres_release", why, res.name)
        finally:
            self._closed = before
        return len(gone)

    def _group(self, group: DevresGroup | None) -> DevresGroup:
        marks = [node for node in self._nodes if isinstance(node, _Mark)]
        if group is None:
            group = next((mark.group for mark in reversed(marks) if mark.group.end is None), None)
        if group is None or group.start not in marks:
            name = "open" if group is None else group.name
            raise LinuxError(EINVAL, f"{self._owner} has no devres group {name}; open one first")
        return group

    @property
    def size(self) -> int:
        """The bytes accounted for."""
        return sum(res.size for res in self)

    def __iter__(self) -> Iterator[Devres]:
        return (node for node in list(self._nodes) if isinstance(node, Devres))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __bool__(self) -> bool:
        return bool(self._nodes)

    def inspect(self) -> dict[str, Any]:
        """The resources, oldest first, and the bytes they account for."""
        return {"resources": [res.inspect() for res in self], "size": self.size}
