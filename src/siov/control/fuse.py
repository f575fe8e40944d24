"""Serves a sysfs as a FUSE file system, so that programs see it (include/uapi/linux/fuse.h, 7.31)."""

from __future__ import annotations

import errno
import os
import socket
import stat
import struct
import subprocess
import sys
from collections.abc import Sequence
from enum import IntEnum
from typing import Protocol

from siov.errors import SiovError
from siov.host.kernfs import Entry
from siov.host.linux import LinuxError

MAX_WRITE = 4096  # a write to sysfs is a page at most
_ROOT = 1
_DIRECT_IO = 1  # FOPEN_DIRECT_IO: nothing is cached, and a file may hold less than its size says
_IN = struct.Struct("<IIQQIIII")
_OUT = struct.Struct("<IiQ")
_ATTR = struct.Struct("<QQQQQQIIIIIIIIII")
_BUFFER = MAX_WRITE + (1 << 16)


class Opcode(IntEnum):
    """The requests that are answered (enum fuse_opcode)."""

    LOOKUP = 1
    FORGET = 2
    GETATTR = 3
    SETATTR = 4
    READLINK = 5
    OPEN = 14
    READ = 15
    WRITE = 16
    STATFS = 17
    RELEASE = 18
    FLUSH = 25
    INIT = 26
    OPENDIR = 27
    READDIR = 28
    RELEASEDIR = 29
    INTERRUPT = 36
    DESTROY = 38
    BATCH_FORGET = 42


_UNANSWERED = (Opcode.FORGET, Opcode.BATCH_FORGET, Opcode.INTERRUPT)
_KINDS = {"dir": stat.S_IFDIR, "file": stat.S_IFREG, "link": stat.S_IFLNK}


class Tree(Protocol):
    """A sysfs by path from /sys on; errors are LinuxErrors."""

    def lstat(self, path: str) -> Entry:
        """Kind, mode and size; a link is not followed."""

    def listdir(self, path: str) -> Sequence[str]:
        """The names in a directory."""

    def readlink(self, path: str) -> str:
        """Where a link leads."""

    def read(self, path: str, offset: int = 0, size: int | None = None) -> bytes:
        """A file's bytes."""

    def write(self, path: str, data: bytes, offset: int = 0) -> int:
        """One write(2); the bytes taken."""


class FuseServer:
    """Answers the kernel on a FUSE descriptor until the file system is unmounted."""

    def __init__(self, tree: Tree, fd: int) -> None:
        self._tree = tree
        self._fd = fd
        self._paths: dict[int, str] = {_ROOT: "/sys"}  # what the kernel knows, by node id
        self._nodes: dict[str, int] = {"/sys": _ROOT}
        self._lookups: dict[int, int] = {}
        self._next = _ROOT + 1

    def serve(self) -> None:
        """Answer requests; returns when nobody has the file system mounted any more."""
        while True:
            try:
                request = os.read(self._fd, _BUFFER)
            except OSError as why:
                if why.errno in (errno.EINTR, errno.EAGAIN, errno.ENOENT):
                    continue  # ENOENT: a request was taken back before it was read
                if why.errno == errno.ENODEV:
                    return
                raise
            reply = self.answer(request)
            if reply is not None:
                try:
                    os.write(self._fd, reply)
                except OSError as why:
                    if why.errno not in (errno.ENOENT, errno.ENODEV):
                        raise

    def answer(self, request: bytes) -> bytes | None:
        """The reply to one request; none to those that want none."""
        _, opcode, unique, node, *_ = _IN.unpack_from(request)
        body = request[_IN.size :]
        try:
            if opcode in _UNANSWERED:
                self._forget(opcode, node, body)
                return None
            data = self._handle(opcode, node, body)
        except LinuxError as why:
            return _OUT.pack(_OUT.size, -why.errno, unique)
        return _OUT.pack(_OUT.size + len(data), 0, unique) + data

    def _handle(self, opcode: int, node: int, body: bytes) -> bytes:
        if opcode == Opcode.INIT:
            return _init(body)
        path = self._paths.get(node)
        if path is None:
            raise LinuxError(errno.ESTALE, f"node {node} is not known")
        match opcode:
            case Opcode.LOOKUP:
                return self._lookup(path, body.rstrip(b"\0").decode("utf-8", "surrogateescape"))
            case Opcode.GETATTR | Opcode.SETATTR:  # nothing can be set; O_TRUNC asks for size 0
                return struct.pack("<QII", 0, 0, 0) + _attr(node, self._tree.lstat(path))
            case Opcode.READLINK:
                return self._tree.readlink(path).encode()
            case Opcode.OPEN | Opcode.OPENDIR:
                self._tree.lstat(path)
                return struct.pack("<QII", 0, _DIRECT_IO if opcode == Opcode.OPEN else 0, 0)
            case Opcode.READ:
                _, offset, size = struct.unpack_from("<QQI", body)
                return self._tree.read(path, offset, size)
            case Opcode.WRITE:
                _, offset, size = struct.unpack_from("<QQI", body)
                return struct.pack("<II", self._tree.write(path, body[40 : 40 + size], offset), 0)
            case Opcode.READDIR:
                _, offset, size = struct.unpack_from("<QQI", body)
                return self._readdir(path, offset, size)
            case Opcode.STATFS:
                return struct.pack("<5Q4I24x", 0, 0, 0, 0, 0, 4096, 255, 4096, 0)
            case Opcode.RELEASE | Opcode.RELEASEDIR | Opcode.FLUSH | Opcode.DESTROY:
                return b""
        raise LinuxError(errno.ENOSYS, f"FUSE request {opcode} is not answered")

    def _lookup(self, directory: str, name: str) -> bytes:
        path = f"{directory}/{name}"
        found = self._tree.lstat(path)
        node = self._nodes.get(path)
        if node is None:
            node = self._nodes[path] = self._next
            self._paths[node] = path
            self._next += 1
        self._lookups[node] = self._lookups.get(node, 0) + 1
        return struct.pack("<QQQQII", node, 0, 0, 0, 0, 0) + _attr(node, found)

    def _forget(self, opcode: int, node: int, body: bytes) -> None:
        if opcode == Opcode.FORGET:
            gone = [(node, struct.unpack_from("<Q", body)[0])]
        elif opcode == Opcode.BATCH_FORGET:
            gone = list(struct.iter_unpack("<QQ", body[8 : 8 + len(body[8:]) // 16 * 16]))
        else:
            gone = []
        for each, count in gone:
            left = self._lookups.get(each, 0) - count
            if left > 0:
                self._lookups[each] = left
            elif each != _ROOT and each in self._paths:
                self._lookups.pop(each, None)
                del self._nodes[self._paths.pop(each)]

    def _readdir(self, path: str, offset: int, size: int) -> bytes:
        names = [".", "..", *self._tree.listdir(path)]
        data = b""
        for at, name in enumerate(names[offset:], start=offset + 1):
            raw = name.encode()
            entry = struct.pack("<QQII", 0xFFFF_FFFF, at, len(raw), 0) + raw  # kind 0: ask for it
            entry += bytes(-len(entry) % 8)
            if len(data) + len(entry) > size:
                break
            data += entry
        return data


def _init(body: bytes) -> bytes:
    major, minor = struct.unpack_from("<II", body)
    if major != 7 or minor < 23:
        raise LinuxError(errno.EPROTO, f"the kernel's FUSE protocol is {major}.{minor}; 7.23 is needed")
    return struct.pack("<IIIIHHIIHH32x", 7, 31, 0, 0, 0, 0, MAX_WRITE, 1, 0, 0)


def _attr(node: int, found: Entry) -> bytes:
    links = 2 if found.kind == "dir" else 1
    mode = _KINDS[found.kind] | found.mode
    return _ATTR.pack(node, found.size, 0, 0, 0, 0, 0, 0, 0, mode, links, 0, 0, 0, 4096, 0)


def run(tree: Tree, program: Sequence[str]) -> int:
    """Run a program for which /sys is this tree, while it is served here; the program's exit status.

    `SiovError` where the system does not let a user mount.
    """
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-m", "siov.control.namespace", str(theirs.fileno()), *program]
    with ours, subprocess.Popen(command, pass_fds=[theirs.fileno()]) as child:
        theirs.close()
        message, fds, _, _ = socket.recv_fds(ours, 4096, 1)
        if not fds:
            child.wait()
            why = message.decode("utf-8", "replace") or "the helper ended"
            raise SiovError(f"/sys can't be mounted for {program[0]}: {why}; is there /dev/fuse?")
        try:
            ours.send(b"\0")
            FuseServer(tree, fds[0]).serve()
        finally:
            os.close(fds[0])  # what is still mounted answers with an error from here on
        return child.wait()
