"""A child process that is always reaped, with the latest of what it said kept."""

import os
import selectors
import socket
import subprocess
import threading
from collections.abc import Mapping, Sequence
from typing import IO

_KEPT = 256 * 1024  # bytes of each stream


class _Tail:
    """The latest bytes of a stream."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def add(self, data: bytes) -> None:
        self._bytes += data
        del self._bytes[:-_KEPT]

    def __bytes__(self) -> bytes:
        return bytes(self._bytes)


class Process:
    """A child with a console, which is a socket, and with its standard error read too, or sent to `stderr`.

    One thread starts the child, reads both and waits for its end. So the child's parent, in the system's
    sense, is a thread that lives as long as the child: one that asks to die with its parent (QEMU's
    exit-with-parent) then dies with this process, and not with the thread that happened to make it.
    Raises OSError if the program can't be started.
    """

    def __init__(
        self,
        argv: Sequence[str],
        environment: Mapping[str, str],
        pass_fds: Sequence[int],
        console: socket.socket,
        stderr: IO[str] | IO[bytes] | None = None,
    ) -> None:
        self._console = _Tail()
        self._messages = _Tail()
        self._child: subprocess.Popen[bytes] | None = None
        self._failure: OSError | None = None
        started = threading.Event()

        def tend() -> None:
            with console:
                try:
                    child = subprocess.Popen(
                        argv,
                        env=environment,
                        pass_fds=pass_fds,
                        stdin=subprocess.DEVNULL,
                        stdout=subprocess.DEVNULL,
                        stderr=subprocess.PIPE if stderr is None else stderr,
                        start_new_session=True,  # a Ctrl-C is for us, not for the child
                    )
                except OSError as error:
                    self._failure = error
                    started.set()
                    return
                self._child = child
                started.set()
                with child:
                    self._read(console, child.stderr)

        self._thread = threading.Thread(target=tend, name=f"tend {os.path.basename(argv[0])}", daemon=True)
        self._thread.start()
        started.wait()
        if self._failure is not None:
            self._thread.join()
            raise self._failure

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._running().pid

    @property
    def alive(self) -> bool:
        """Whether the child has not been reaped yet."""
        return self._thread.is_alive()

    @property
    def returncode(self) -> int | None:
        """The exit status, or a negative signal number; None while the child runs."""
        return self._running().returncode

    @property
    def console(self) -> bytes:
        """The latest of what came from the console."""
        return bytes(self._console)

    @property
    def messages(self) -> bytes:
        """The latest of what came from standard error, unless it was sent elsewhere."""
        return bytes(self._messages)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the child is gone and all it said is read; whether it is, after at most `timeout` s."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def kill(self) -> None:
        """Kill the child, if it runs, and wait until it is gone."""
        if self._thread.is_alive():
            self._running().kill()
        self._thread.join()

    def _running(self) -> "subprocess.Popen[bytes]":
        assert self._child is not None
        return self._child

    def _read(self, console: socket.socket, stderr: IO[bytes] | None) -> None:
        """Read both streams until both have ended."""
        with selectors.DefaultSelector() as selector:
            selector.register(console, selectors.EVENT_READ, self._console)
            if stderr is not None:
                selector.register(stderr, selectors.EVENT_READ, self._messages)
            while selector.get_map():
                for key, _ in selector.select():
                    try:
                        data = os.read(key.fd, 65536)
                    except ConnectionError:
                        data = b""
                    if data:
                        key.data.add(data)
                    else:
                        selector.unregister(key.fileobj)
