"""Where the control socket is, and how it is made: for its owner only, and never over a living server's."""

from __future__ import annotations

import fcntl
import os
import socket
import stat
from contextlib import suppress
from errno import EADDRINUSE, ECONNREFUSED, ENOENT
from pathlib import Path

from siov.errors import SiovError

_LONGEST = 107  # bytes of sockaddr_un's path, without the end


def default_path() -> Path:
    """$XDG_RUNTIME_DIR/siov/control.sock, or else /tmp/siov-UID/control.sock."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    directory = Path(runtime) / "siov" if runtime else Path(f"/tmp/siov-{os.geteuid()}")
    return directory / "control.sock"


def make_directory(path: Path) -> None:
    """Make the default path's directory, for its owner only; `SiovError` when it is somebody else's."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.lstat()
    except OSError as why:
        raise SiovError(
            f"the directory {path} can't be made: {why.strerror}; choose one with --control"
        ) from why
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise SiovError(f"{path} is not a directory that only you can write; choose another with --control")


class ListeningSocket:
    """A UNIX socket that listens at a path, mode 0600, until it is closed, which removes it.

    A socket that a dead server left there is replaced. `SiovError` for a path that is in use, is something
    else or is too long.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if len(os.fsencode(path)) > _LONGEST:
            raise SiovError(f"{path} is longer than the {_LONGEST} bytes that a socket's path can have")
        try:
            directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as why:
            raise SiovError(f"{path.parent}, where the control socket is to be: {why.strerror}") from why
        try:
            # Two servers that start at once look, remove and bind one after the other.
            fcntl.flock(directory, fcntl.LOCK_EX)
            _remove_stale(path)
            self.socket = _bind(path)
            self._identity = _identity(path)
        finally:
            os.close(directory)

    def close(self) -> None:
        """Stop listening, and remove the socket unless somebody has replaced it."""
        with suppress(OSError):
            if _identity(self.path) == self._identity:
                self.path.unlink()
        self.socket.close()


def _bind(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(os.fspath(path))
        listener.listen(16)
    except OSError as why:
        listener.close()
        busy = "; it is taken" if why.errno == EADDRINUSE else ""
        raise SiovError(f"the control socket {path} can't be made: {why.strerror}{busy}") from why
    finally:
        os.umask(before)
    return listener


def _remove_stale(path: Path) -> None:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise SiovError(f"{path} is there and is no socket; choose another with --control")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        why = probe.connect_ex(os.fspath(path))
    if why == ECONNREFUSED:
        path.unlink()  # its server was killed
    elif why == 0:
        raise SiovError(f"a server listens on {path} already; stop it, or choose another with --control")
    elif why != ENOENT:
        raise SiovError(f"{path} is a socket that can't be tried: {os.strerror(why)}")


def _identity(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_dev, found.st_ino
