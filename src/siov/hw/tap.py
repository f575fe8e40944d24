"""A TAP of the host: the queue of a network interface whose other side is this process."""

import errno
import fcntl
import os
import struct
from pathlib import Path

from siov._core import Port
from siov.errors import SiovError

DEVICE = Path("/dev/net/tun")
# linux/if_tun.h
TUNSETIFF = 0x400454CA
IFF_TAP = 0x0002
IFF_NO_PI = 0x1000
IFNAMSIZ = 16
IFREQ_SIZE = 40


class TapError(SiovError):
    """A TAP that can't be had."""


def open_tap(name: str, *, speed: int = 100_000) -> Port:
    """Attach to the TAP interface `name`, made if there is none; `TapError` when the host refuses it.

    An interface that is made goes with the port. To use it without rights, have an administrator make it:
    `ip tuntap add dev NAME mode tap user USER`.
    """
    raw = name.encode()
    if not 0 < len(raw) < IFNAMSIZ or b"/" in raw or raw != b"".join(raw.split()):
        raise TapError(f"{name!r} is no name of an interface: 1 to {IFNAMSIZ - 1} bytes, no space, no slash")
    try:
        fd = os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise TapError(f"no TAP {name}: {DEVICE}: {error.strerror}; {_next_step(error)}") from error
    try:
        fcntl.ioctl(
            fd, TUNSETIFF, struct.pack(f"{IFNAMSIZ}sH", raw, IFF_TAP | IFF_NO_PI).ljust(IFREQ_SIZE, b"\0")
        )
        return Port.tap(fd, name, speed=speed)
    except OSError as error:
        raise TapError(f"no TAP {name}: {error.strerror}; {_next_step(error)}") from error
    finally:
        os.close(fd)  # the port has a duplicate


def _next_step(error: OSError) -> str:
    match error.errno:
        case errno.EPERM | errno.EACCES:
            return f"it needs CAP_NET_ADMIN, or 'ip tuntap add dev NAME mode tap user {os.getuid()}'"
        case errno.ENOENT | errno.ENODEV | errno.ENXIO:
            return "load the module with 'modprobe tun'"
        case errno.EBUSY:
            return "another process has it"
        case errno.EINVAL:
            return "an interface of that name exists and is no TAP"
        case _:
            return "see 'ip tuntap help'"
