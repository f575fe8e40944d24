"""A writer of cpio archives in the format that Linux unpacks as initramfs.

Source: Linux, Documentation/driver-api/early-userspace/buffer-format.rst ("newc").
"""

import stat
from pathlib import PurePosixPath

_MAGIC = b"070701"
_TRAILER = "TRAILER!!!"


class Cpio:
    """An archive in the making; a path's folders are added before it. The same calls give the same bytes."""

    def __init__(self) -> None:
        self._archive = bytearray()
        self._names: set[str] = set()

    def folder(self, path: str, mode: int = 0o755) -> None:
        """Add a folder, unless it is there."""
        name = self._name(path)
        if name and name not in self._names:
            self._add(name, stat.S_IFDIR | mode)

    def file(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Add a file with its content."""
        self._add(self._name(path), stat.S_IFREG | mode, data)

    def symlink(self, path: str, target: str) -> None:
        """Add a symbolic link to the target."""
        self._add(self._name(path), stat.S_IFLNK | 0o777, target.encode())

    def character_device(self, path: str, major: int, minor: int, mode: int = 0o600) -> None:
        """Add the node of a character device."""
        self._add(self._name(path), stat.S_IFCHR | mode, device=(major, minor))

    def finish(self) -> bytes:
        """The archive, which takes no more entries; Linux takes several of them one behind the other."""
        self._entry(_TRAILER, 0)
        return bytes(self._archive)

    @staticmethod
    def _name(path: str) -> str:
        parts = PurePosixPath(path).parts
        if ".." in parts:
            raise ValueError(f"the path {path!r} leaves the archive")
        return "/".join(part for part in parts if part != "/")

    def _add(self, name: str, mode: int, data: bytes = b"", device: tuple[int, int] = (0, 0)) -> None:
        if not name or name in self._names:
            raise ValueError(f"the archive has an entry {name!r} already")
        if "/" in name:
            self.folder(name.rpartition("/")[0])
        self._names.add(name)
        self._entry(name, mode, data, device)

    def _entry(self, name: str, mode: int, data: bytes = b"", device: tuple[int, int] = (0, 0)) -> None:
        raw = name.encode() + b"\0"
        fields = (
            len(self._names),  # ino: entries with the same one would be hard links
            mode,
            0,  # uid
            0,  # gid
            2 if stat.S_ISDIR(mode) else 1,  # nlink
            0,  # mtime
            len(data),
            *(0, 0),  # major, minor of the file system
            *device,
            len(raw),
            0,  # check, of another format
        )
        self._archive += _MAGIC + b"".join(b"%08X" % field for field in fields) + raw
        self._pad()
        self._archive += data
        self._pad()

    def _pad(self) -> None:
        self._archive += bytes(-len(self._archive) % 4)
