"""Runs a program in a namespace of its own in which /sys is a FUSE file system that somebody else serves.

`python -m siov.control.namespace SOCKET PROGRAM ARGUMENT...`: the descriptor of the file system is sent over
the socket that descriptor SOCKET is; the program starts when a byte comes back. No privilege is needed where
the kernel lets users make user namespaces.
"""

import ctypes
import os
import socket
import sys
from pathlib import Path

MOUNT_POINT = "/sys"
_CLONE_NEWNS, _CLONE_NEWUSER = 0x0002_0000, 0x1000_0000
_MS_REC, _MS_PRIVATE = 1 << 14, 1 << 18


def enter() -> None:
    """Become root in a user namespace and have mounts of our own; `OSError` where that is not allowed."""
    uid, gid = os.geteuid(), os.getegid()
    _call("unshare", _CLONE_NEWUSER | _CLONE_NEWNS)
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
    Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    _call("mount", b"none", b"/", None, _MS_REC | _MS_PRIVATE, None)


def mount() -> int:
    """Mount a FUSE file system over /sys; the descriptor by which it is served."""
    fuse = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    options = f"fd={fuse},rootmode=40000,user_id=0,group_id=0".encode()
    _call("mount", b"siov", MOUNT_POINT.encode(), b"fuse", 0, options)
    return fuse


def main() -> None:
    """Mount, hand over the file system, and become the program."""
    number, program = int(sys.argv[1]), sys.argv[2:]
    with socket.socket(fileno=number) as peer:
        try:
            enter()
            fuse = mount()
        except OSError as why:
            peer.send(str(why).encode())
            sys.exit(2)
        socket.send_fds(peer, [b"\0"], [fuse])
        os.close(fuse)
        if peer.recv(1) != b"\0":
            sys.exit(2)
    try:
        os.execvp(program[0], program)
    except OSError as why:
        print(f"siov: {program[0]}: {why.strerror}", file=sys.stderr)
        sys.exit(127)


def _call(name: str, *args: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*args) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


if __name__ == "__main__":
    main()
