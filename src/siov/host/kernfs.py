"""The nodes that sysfs is made of: directories, files and links (fs/kernfs)."""

from __future__ import annotations

import stat
from abc import abstractmethod
from dataclasses import dataclass
from errno import EEXIST, EINVAL
from typing import TYPE_CHECKING, Any

from siov.host.linux import LinuxError

if TYPE_CHECKING:
    from siov.host.kobject import KObject


class Node:
    """A name in a directory."""

    __slots__ = ("alive", "mode", "name", "parent")

    def __init__(self, name: str, parent: Dir | None, mode: int) -> None:
        self.name = name
        self.parent = parent
        self.mode = mode
        self.alive = True

    @property
    def path(self) -> str:
        """The path from the root; the root's is empty."""
        return "" if self.parent is None else f"{self.parent.path}/{self.name}"

    def remove(self) -> None:
        """Take it out of its directory, with all below."""
        self.alive = False
        if self.parent is not None:
            self.parent.children.pop(self.name, None)


class Dir(Node):
    """A directory: a kobject's, or a named group's within it."""

    __slots__ = ("children", "kobj")

    def __init__(self, name: str, parent: Dir | None, kobj: KObject | None) -> None:
        super().__init__(name, parent, 0o755)
        self.kobj = kobj
        self.children: dict[str, Node] = {}

    def mkdir(self, name: str, kobj: KObject) -> Dir:
        """A new directory in this one; EEXIST when the name is taken."""
        node = Dir(name, self, kobj)
        self.add(node)
        return node

    def add(self, node: Node) -> Node:
        """Put a node in; EEXIST when its name is taken, EINVAL when it is none."""
        if node.name in ("", ".", "..") or "/" in node.name or "\0" in node.name:
            raise LinuxError(EINVAL, f"{node.name!r} can't be a name in /sys{self.path}")
        if node.name in self.children:
            raise LinuxError(EEXIST, f"/sys{self.path}/{node.name} exists already")
        self.children[node.name] = node
        return node

    def remove(self) -> None:
        """Take it out of its directory, with all below."""
        for child in list(self.children.values()):
            child.remove()
        Node.remove(self)


class File(Node):
    """A file on one kobject; what its bytes are, its maker says."""

    __slots__ = ("kobj",)

    def __init__(self, name: str, parent: Dir, mode: int, kobj: KObject) -> None:
        super().__init__(name, parent, mode)
        self.kobj = kobj

    @property
    @abstractmethod
    def size(self) -> int:
        """What `ls -l` shows, in bytes."""

    @abstractmethod
    def read(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes from `offset`; none is the end."""

    @abstractmethod
    def write(self, offset: int, data: bytes) -> int:
        """One write(2): the bytes taken."""


class Link(Node):
    """A symbolic link to a kobject's directory."""

    __slots__ = ("target",)

    def __init__(self, name: str, parent: Dir, target: Dir) -> None:
        super().__init__(name, parent, 0o777)
        self.target = target

    @property
    def text(self) -> str:
        """What readlink gives: the way from the link's directory, the target's name always last."""
        here, there = self.path.split("/")[1:-1], self.target.path.split("/")[1:]
        common = 0
        while common < min(len(here), len(there) - 1) and here[common] == there[common]:
            common += 1
        return "/".join([".."] * (len(here) - common) + there[common:])


@dataclass(slots=True, frozen=True)
class Entry:
    """What lstat shows of one name: kind "dir", "file" or "link", permission bits, size in bytes."""

    path: str
    kind: str
    mode: int
    size: int = 0
    target: str | None = None

    def __str__(self) -> str:
        letter = {"dir": stat.S_IFDIR, "file": stat.S_IFREG, "link": stat.S_IFLNK}[self.kind]
        shown = f"{stat.filemode(letter | self.mode)} {self.path}"
        return shown if self.target is None else f"{shown} -> {self.target}"


def entry(node: Node) -> Entry:
    """The entry of one node."""
    path = f"/sys{node.path}"
    if isinstance(node, Link):
        return Entry(path, "link", node.mode, len(node.text), node.text)
    if isinstance(node, File):
        return Entry(path, "file", node.mode, node.size)
    return Entry(path, "dir", node.mode)


def tree(directory: Dir) -> dict[str, Any]:
    """A directory as nested data: directories are dicts, links "-> target", files their mode."""
    shown: dict[str, Any] = {}
    for name, node in sorted(directory.children.items()):
        if isinstance(node, Dir):
            shown[name] = tree(node)
        elif isinstance(node, Link):
            shown[name] = f"-> {node.text}"
        else:
            shown[name] = f"{node.mode:04o}"
    return shown
