"""Sysfs in memory: kobjects are directories, attributes files, relations links (fs/kernfs, fs/sysfs).

Modes are Linux's; whoever asks is root, yet a file without the write (read) bits can't be written (read).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from errno import EACCES, EFBIG, EINVAL, EISDIR, ENOENT, ENOTDIR
from typing import TYPE_CHECKING, Any, TypeAlias

from siov.host.kernfs import Dir, Entry, File, Link, Node, entry, tree
from siov.host.linux import LinuxError, choices

if TYPE_CHECKING:
    from siov.host.kobject import KObject

PAGE_SIZE = 4096

Show: TypeAlias = Callable[[Any], str | bytes]
Store: TypeAlias = Callable[[Any, bytes], int | None]
BinRead: TypeAlias = Callable[[Any, int, int], bytes]
BinWrite: TypeAlias = Callable[[Any, int, bytes], int | None]


@dataclass(slots=True, frozen=True)
class Attribute:
    """A text file: `show(kobj)` makes its content, `store(kobj, data)` takes a write.

    The callbacks get the kobject that the file was created on. A store gives the number of bytes taken, or
    None for all.
    """

    name: str
    mode: int
    show: Show | None = None
    store: Store | None = None

    def __post_init__(self) -> None:
        assert bool(self.mode & 0o444) == (self.show is not None), f"{self.name}: mode and show disagree"
        assert bool(self.mode & 0o222) == (self.store is not None), f"{self.name}: mode and store disagree"


@dataclass(slots=True, frozen=True)
class BinAttribute:
    """A binary file: `read(kobj, off, size)` and `write(kobj, off, data)` at byte offsets.

    `size` is in bytes, or a function of the kobject that gives it; 0 is no limit. A read may give fewer bytes
    than asked for; none is the end.
    """

    name: str
    mode: int
    size: int | Callable[[Any], int] = 0
    read: BinRead | None = None
    write: BinWrite | None = None

    def size_on(self, kobj: KObject) -> int:
        """The size in bytes on one kobject; 0 is no limit."""
        return self.size if isinstance(self.size, int) else self.size(kobj)


AnyAttribute: TypeAlias = Attribute | BinAttribute


@dataclass(slots=True, frozen=True)
class AttributeGroup:
    """Attributes that come and go together: in the kobject's directory, or in one of the group's `name`.

    `is_visible(kobj, attr)` gives the mode on that kobject; 0 leaves the attribute out.
    """

    attrs: tuple[AnyAttribute, ...]
    name: str | None = None
    is_visible: Callable[[Any, AnyAttribute], int] | None = None

    def mode(self, kobj: KObject, attr: AnyAttribute) -> int:
        """The attribute's mode on that kobject."""
        return attr.mode if self.is_visible is None else self.is_visible(kobj, attr)


def ATTR_RO(show: Show, *, mode: int = 0o444) -> Attribute:
    """A file that can be read only, named after its function: `vendor` or `vendor_show`."""
    return Attribute(_stem(show, "_show"), mode, show)


def ATTR_WO(store: Store, *, mode: int = 0o200) -> Attribute:
    """A file that can be written only, named after its function: `bind` or `bind_store`."""
    return Attribute(_stem(store, "_store"), mode, None, store)


def ATTR_RW(show: Show, store: Store, *, mode: int = 0o644) -> Attribute:
    """A file that can be read and written, named after its `show`."""
    return Attribute(_stem(show, "_show"), mode, show, store)


def _stem(function: Callable[..., object], suffix: str) -> str:
    return str(getattr(function, "__name__")).removesuffix(suffix)  # noqa: B009


class AttrFile(File):
    """An attribute on one kobject."""

    __slots__ = ("attr",)

    def __init__(self, parent: Dir, mode: int, attr: AnyAttribute, kobj: KObject) -> None:
        super().__init__(attr.name, parent, mode, kobj)
        self.attr = attr

    @property
    def size(self) -> int:
        """What `ls -l` shows: a page for text, the true size for binary."""
        return PAGE_SIZE if isinstance(self.attr, Attribute) else self.attr.size_on(self.kobj)

    def read(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes from `offset`; a text longer than a page is cut, as Linux cuts it."""
        attr, kobj = self.attr, self.kobj
        if isinstance(attr, Attribute):
            content = kobj.show(attr)
            data = content.encode() if isinstance(content, str) else bytes(content)
            if len(data) >= PAGE_SIZE:
                kobj.trace("sysfs_kf_seq_show", f"{attr.name}: {len(data)} bytes cut to {PAGE_SIZE - 1}")
                data = data[: PAGE_SIZE - 1]
            return data[offset : offset + size]
        assert attr.read is not None
        limit = attr.size_on(kobj)
        if limit:
            size = max(0, min(size, limit - offset))
        data = b""
        while size:
            chunk = attr.read(kobj, offset + len(data), min(size, PAGE_SIZE))[: min(size, PAGE_SIZE)]
            if not chunk:
                break
            data += chunk
            size -= len(chunk)
        return data

    def write(self, offset: int, data: bytes) -> int:
        """One write(2): the bytes taken, at most a page; EFBIG behind a binary file's end."""
        attr, kobj = self.attr, self.kobj
        data = data[:PAGE_SIZE]
        kobj.trace("kernfs_fop_write_iter", f"{self.name} {len(data)} bytes")
        if isinstance(attr, Attribute):
            kobj.trace("sysfs_kf_write", f"{attr.name} {data[:64]!r}")
            taken = kobj.store(attr, data)
        else:
            assert attr.write is not None
            limit = attr.size_on(kobj)
            if limit and offset >= limit:
                raise LinuxError(EFBIG, f"/sys{self.path} has {limit} bytes; {offset} is behind its end")
            data = data[: limit - offset] if limit else data
            kobj.trace("sysfs_kf_bin_write", f"{attr.name} {len(data)} bytes at {offset}")
            taken = attr.write(kobj, offset, data)
        return len(data) if taken is None else taken


def _sd(kobj: KObject) -> Dir:
    if kobj.sd is None:
        raise LinuxError(ENOENT, f"{kobj.path} is not in sysfs")
    return kobj.sd


def sysfs_create_file(kobj: KObject, attr: AnyAttribute) -> None:
    """A text or binary file in the kobject's directory; EEXIST when the name is taken."""
    _sd(kobj).add(AttrFile(_sd(kobj), attr.mode, attr, kobj))


def sysfs_remove_file(kobj: KObject, attr: AnyAttribute) -> None:
    """Take a file away, if it is there."""
    node = kobj.sd.children.get(attr.name) if kobj.sd is not None else None
    if isinstance(node, AttrFile) and node.attr is attr:
        node.remove()


def sysfs_create_link(kobj: KObject, target: KObject, name: str) -> None:
    """A link in the kobject's directory to the target's; EEXIST when the name is taken."""
    _sd(kobj).add(Link(name, _sd(kobj), _sd(target)))


def sysfs_remove_link(kobj: KObject, name: str) -> None:
    """Take a link away, if there is one of that name."""
    node = kobj.sd.children.get(name) if kobj.sd is not None else None
    if isinstance(node, Link):
        node.remove()


def sysfs_create_groups(kobj: KObject, groups: Sequence[AttributeGroup]) -> None:
    """Create groups in order, all or none; EEXIST when a name is taken."""
    made: list[Node] = []
    try:
        for group in groups:
            directory = _sd(kobj)
            if group.name is not None:
                directory = directory.mkdir(group.name, kobj)
                made.append(directory)
            for attr in group.attrs:
                mode = group.mode(kobj, attr)
                if mode:
                    made.append(directory.add(AttrFile(directory, mode, attr, kobj)))
    except BaseException:
        for node in reversed(made):
            node.remove()
        raise


def sysfs_remove_groups(kobj: KObject, groups: Sequence[AttributeGroup]) -> None:
    """Take groups away, as far as they are there, the last first."""
    for group in reversed(groups):
        if group.name is None:
            for attr in group.attrs:
                sysfs_remove_file(kobj, attr)
        elif kobj.sd is not None and group.name in kobj.sd.children:
            kobj.sd.children[group.name].remove()


class Sysfs:
    """The tree by path, as user space sees it mounted on /sys; errors are LinuxErrors that name the path."""

    def __init__(self) -> None:
        self.root = Dir("", None, None)

    def read(self, path: str, offset: int = 0, size: int | None = None) -> bytes:
        """A file's bytes from `offset`, to its end or at most `size`; EACCES when it is write-only."""
        file = self._file(path, 0o444, "read")
        try:
            return file.read(offset, (1 << 63) - 1 if size is None else size)
        except OSError as why:
            raise LinuxError(why.errno or EINVAL, f"{path}: {why}") from why

    def write(self, path: str, data: bytes | str, offset: int = 0) -> int:
        """One write(2): the bytes taken, at most 4096; EACCES when it is read-only, or the store's error."""
        file = self._file(path, 0o222, "written")
        try:
            return file.write(offset, data.encode() if isinstance(data, str) else bytes(data))
        except OSError as why:
            raise LinuxError(why.errno or EINVAL, f"{path}: {why}") from why

    def listdir(self, path: str = "/sys") -> list[str]:
        """The names in a directory, sorted."""
        return sorted(self._dir(path).children)

    def readlink(self, path: str) -> str:
        """Where a link leads, relative to its directory; EINVAL when it is no link."""
        node = self._resolve(path, follow=False)
        if not isinstance(node, Link):
            raise LinuxError(EINVAL, f"{path} is not a link")
        return node.text

    def realpath(self, path: str) -> str:
        """The path without links."""
        return f"/sys{self._resolve(path).path}"

    def exists(self, path: str) -> bool:
        """Whether the path leads to something."""
        try:
            self._resolve(path)
        except LinuxError:
            return False
        return True

    def lstat(self, path: str) -> Entry:
        """Kind, mode and size of what the path names; a link is not followed."""
        return entry(self._resolve(path, follow=False))

    def kobject(self, path: str) -> KObject | None:
        """The kobject whose directory, or file, the path leads to; None for the mount point."""
        node = self._resolve(path)
        assert isinstance(node, Dir | File)
        return node.kobj

    def walk(self, top: str = "/sys") -> Iterator[Entry]:
        """Every name at and below `top`, a directory before its content, names sorted; links not followed."""
        pending: list[Node] = [self._resolve(top)]
        while pending:
            node = pending.pop()
            yield entry(node)
            if isinstance(node, Dir):
                pending += [node.children[name] for name in sorted(node.children, reverse=True)]

    def tree(self, top: str = "/sys") -> dict[str, Any]:
        """A directory as nested data: directories are dicts, links "-> target", files their mode."""
        return tree(self._dir(top))

    def inspect(self) -> dict[str, Any]:
        """The whole tree."""
        return self.tree()

    def _dir(self, path: str) -> Dir:
        node = self._resolve(path)
        if not isinstance(node, Dir):
            raise LinuxError(ENOTDIR, f"{path} is not a directory")
        return node

    def _file(self, path: str, bits: int, done: str) -> File:
        node = self._resolve(path)
        if not isinstance(node, File):
            raise LinuxError(EISDIR, f"{path} is a directory; it has {choices(self.listdir(path))}")
        if not node.mode & bits:
            raise LinuxError(EACCES, f"{path} has mode {node.mode:04o} and can't be {done}")
        return node

    def _resolve(self, path: str, follow: bool = True) -> Node:
        names = [name for name in path.split("/") if name not in ("", ".")]
        if not path.startswith("/") or names[:1] != ["sys"]:
            raise LinuxError(ENOENT, f"{path} is not below /sys")
        node: Node = self.root
        names = names[1:]
        for i, name in enumerate(names):
            if not isinstance(node, Dir):
                raise LinuxError(ENOTDIR, f"no {path}: /sys{node.path} is not a directory")
            if name == "..":
                node = node.parent or node
                continue
            child = node.children.get(name)
            if child is None:
                have = choices(sorted(node.children))
                raise LinuxError(ENOENT, f"no {path}: /sys{node.path} has {have}")
            if isinstance(child, Link) and (follow or i < len(names) - 1):
                if not child.target.alive:
                    raise LinuxError(ENOENT, f"no {path}: what /sys{child.path} leads to is gone")
                child = child.target
            node = child
        return node
