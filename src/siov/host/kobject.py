"""Kobjects: the base of devices, drivers, buses and classes; each is a directory of sysfs (lib/kobject.c)."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from errno import ENOENT
from typing import Any, Generic, Literal, TypeAlias, TypeVar, get_args

from siov.host.kernfs import Dir
from siov.host.linux import LinuxError, TraceEvent, TraceHook
from siov.host.sysfs import Attribute, Sysfs

log = logging.getLogger("siov.host")

Action: TypeAlias = Literal["add", "remove", "change", "move", "online", "offline", "bind", "unbind"]
ACTIONS: tuple[str, ...] = get_args(Action)


class KObject:
    """A named, counted object; added, it has a directory in sysfs below its parent, or else below its kset.

    A new kobject has one reference, its maker's. Being in sysfs takes one on the directory above and one on
    the kset. The last `put` calls `release`, once; that is where a subclass frees what it holds.
    """

    def __init__(self, name: str, *, parent: KObject | None = None, kset: KSet[Any] | None = None) -> None:
        self.name = name.replace("/", "!")  # as Linux does: a slash would end the directory's name
        self.init(parent=parent, kset=kset)

    def init(self, *, parent: KObject | None = None, kset: KSet[Any] | None = None) -> None:
        """Be as new, with one reference (kobject_init); for an object that is registered again."""
        self.parent = parent
        self.kset = kset
        self.refcount = 1
        self.sd: Dir | None = None
        self._above: KObject | None = None
        self._path: str | None = None
        self._root: RootKObject | None = None

    @property
    def path(self) -> str:
        """Where it is below /sys, such as "/devices/pci0000:00"; once removed, where it was."""
        if self._path is not None:
            return self._path
        above = self.parent or self.kset
        return f"{above.path if above else ''}/{self.name}"

    @property
    def root(self) -> RootKObject | None:
        """The root of the tree it belongs to; None before it is known to any."""
        if self._root is None:
            above = self.parent or self.kset
            self._root = above.root if above else None
        return self._root

    def get(self) -> KObject:
        """Take one more reference (kobject_get)."""
        assert self.refcount > 0, f"{self.name}: a released kobject is taken again"
        self.refcount += 1
        return self

    def put(self) -> None:
        """Give one reference back (kobject_put); the last one removes it from sysfs and releases it."""
        assert self.refcount > 0, f"{self.name}: one put too many"
        self.refcount -= 1
        if self.refcount == 0:
            if self.sd is not None:
                self.delete()
            self.trace("kobject_release")
            self.release()

    def release(self) -> None:
        """The kobj_type's release: nobody refers to it any more."""

    def add(self, *, under: KObject | None = None) -> None:
        """Appear in sysfs (kobject_add) and in the kset; EEXIST when the name is taken.

        `under` is another directory than the parent's, as class devices have it.
        """
        above = under or self.parent or self.kset
        assert above is not None, f"{self.name} has neither parent nor kset"
        if above.sd is None:
            raise LinuxError(ENOENT, f"can't add {self.name}: {above.path} is not in sysfs; add it first")
        self.sd = above.sd.mkdir(self.name, self)
        self._path = self.sd.path
        self._root = above.root
        self._above = above.get()
        if self.kset is not None:
            self.kset.get()
            self.kset.join(self)

    def delete(self) -> None:
        """Leave sysfs and the kset (kobject_del), with every file below; references stay good."""
        if self.sd is None:
            return
        self.sd.remove()
        self.sd = None
        if self.kset is not None:
            self.kset.leave(self)
            self.kset.put()
        above, self._above = self._above, None
        if above is not None:
            above.put()

    def uevent(self, action: Action) -> None:
        """Tell user space (kobject_uevent): recorded in the trace as `kobject_uevent PATH ACTION`."""
        self.trace("kobject_uevent", action)

    def show(self, attr: Attribute) -> str | bytes:
        """What reading `attr` gives; a subclass says here what the callback gets (kobj_type.sysfs_ops)."""
        assert attr.show is not None
        return attr.show(self)

    def store(self, attr: Attribute, data: bytes) -> int | None:
        """What writing `data` to `attr` does; the bytes taken, or None for all of them."""
        assert attr.store is not None
        return attr.store(self, data)

    def trace(self, function: str, detail: str = "") -> None:
        """Emit one step under its Linux function name, if anybody listens."""
        root = self.root
        if root is not None and root.hook is not None:
            root.hook(TraceEvent(function, self.path, detail))

    def error(self, function: str, why: BaseException, what: str = "") -> None:
        """Report (dev_err) what went wrong where no caller can be told: in the trace and the log."""
        detail = f"{what} failed: {str(why) or type(why).__name__}".lstrip()
        self.trace(function, detail)
        log.error("%s %s: %s", function, self.path, detail, exc_info=why)

    def inspect(self) -> dict[str, Any]:
        """Its path and references."""
        return {"path": self.path, "refcount": self.refcount}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.path}>"


K = TypeVar("K", bound=KObject)


class KSet(KObject, Generic[K]):
    """Kobjects in the order in which they joined; itself a directory.

    A bus keeps its devices and drivers in ksets too, where Linux has a klist beside each kset's directory.
    """

    def __init__(self, name: str, *, parent: KObject | None = None, kset: KSet[Any] | None = None) -> None:
        super().__init__(name, parent=parent, kset=kset)
        self._members: dict[K, None] = {}

    def join(self, kobj: K) -> None:
        """Become the last member."""
        self._members[kobj] = None

    def leave(self, kobj: K) -> None:
        """Be a member no longer."""
        self._members.pop(kobj, None)

    def find(self, name: str) -> K | None:
        """The first member of that name (kset_find_obj)."""
        return next((kobj for kobj in self._members if kobj.name == name), None)

    def names(self) -> list[str]:
        """The members' names, in order."""
        return [kobj.name for kobj in self._members]

    def __iter__(self) -> Iterator[K]:
        # A walk outlives changes: who leaves meanwhile is passed over, who joins is not seen (klist).
        return (kobj for kobj in list(self._members) if kobj in self._members)

    def __reversed__(self) -> Iterator[K]:
        return (kobj for kobj in reversed(list(self._members)) if kobj in self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __bool__(self) -> bool:
        return True  # an empty kset is still a kset

    def __contains__(self, kobj: object) -> bool:
        return kobj in self._members

    def inspect(self) -> dict[str, Any]:
        """Its path, references and members."""
        return {**super().inspect(), "members": self.names()}


class RootKObject(KObject):
    """The top of one sysfs: owns its tree and the trace's hook; never released."""

    def __init__(self, sysfs: Sysfs, hook: TraceHook | None = None) -> None:
        super().__init__("")
        self.sd = sysfs.root
        self._path = ""
        self._root = self
        self.hook = hook
        sysfs.root.kobj = self
