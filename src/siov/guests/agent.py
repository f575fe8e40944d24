"""The host's side of the dialogue with the guest's `init`, over a serial line of its own.

    host:  new 0 PATH          guest: siov STATUS 0          an empty file, with its folder
           more LENGTH PATH           siov STATUS 0          LENGTH bytes follow, for the end of the file
           run SECONDS                siov STATUS LENGTH     the script; LENGTH bytes of output follow
           off 0                      (the machine powers off)

One request at a time. The guest starts with `siov ready 0`; a script that took too long has status `late`.
"""

import math
import re
import select
import socket
import time
from dataclasses import dataclass

_SCRIPT = "/run/siov/script"
# The kernel's tty layer keeps 64 KiB that nobody has read yet and drops what comes after.
_CHUNK = 32 * 1024
_LINE_MAX = 4096
_OUTPUT_MAX = 1 << 30
_ANSWER = re.compile(rb"siov (ready|late|\d{1,3}) (\d{1,10})\n")


class AgentError(Exception):
    """The dialogue broke off: the line was closed, or what came was no answer."""


class AgentTimeoutError(Exception):
    """The guest did not answer in time."""


@dataclass(slots=True, frozen=True)
class Answer:
    """A script's exit status and output; `late` if the guest stopped it, and then no status."""

    status: int
    output: bytes
    late: bool = False


class Agent:
    """The dialogue over a connected stream socket; `patience` is how long, in s, the guest may be silent."""

    def __init__(self, line: socket.socket, patience: float = 30.0) -> None:
        self._line = line
        self._patience = patience
        self._received = bytearray()

    def wait_ready(self, timeout: float) -> None:
        """Wait until the guest has booted as far as to answer."""
        until = time.monotonic() + timeout
        while True:
            line = self._receive_line(until)
            if line.endswith(b"siov ready 0\n"):  # what the firmware may have sent stands before it
                return

    def put(self, path: str, data: bytes) -> int:
        """Write a file in the guest; 0, or the status of the shell that could not."""
        if not re.fullmatch(r"/[!-~]+", path):
            raise ValueError(f"{path!r} is not an absolute path without spaces")
        status = self._ask(f"new 0 {path}\n".encode()).status
        for start in range(0, len(data), _CHUNK):
            if status:
                break
            chunk = data[start : start + _CHUNK]
            status = self._ask(f"more {len(chunk)} {path}\n".encode() + chunk).status
        return status

    def run(self, script: bytes, timeout: float) -> Answer:
        """Run a shell script in the guest, which stops it after the time-out (whole s, rounded up)."""
        if self.put(_SCRIPT, script):
            raise AgentError("the guest has no room for the script")
        seconds = math.ceil(timeout)
        return self._ask(f"run {seconds}\n".encode(), seconds)

    def power_off(self) -> None:
        """Ask the guest to power off; no answer follows."""
        self._send(b"off 0\n")

    def _ask(self, request: bytes, within: float = 0.0) -> Answer:
        self._send(request)
        until = time.monotonic() + within + self._patience
        line = self._receive_line(until)
        match = _ANSWER.fullmatch(line)
        if match is None or int(match[2]) > _OUTPUT_MAX:
            raise AgentError(f"the guest answered {line[:80]!r}")
        output = self._receive(int(match[2]))
        late = match[1] == b"late"
        return Answer(-1 if late else int(match[1]), output, late)

    def _send(self, request: bytes) -> None:
        try:
            self._line.sendall(request)
        except OSError as error:
            raise AgentError("the line to the guest is closed") from error

    def _receive_line(self, until: float) -> bytes:
        while (end := self._received.find(b"\n")) < 0:
            if len(self._received) > _LINE_MAX:
                raise AgentError("the guest sent a line without an end")
            self._fill(until)
        return self._take(end + 1)

    def _receive(self, length: int) -> bytes:
        while len(self._received) < length:
            self._fill(time.monotonic() + self._patience)
        return self._take(length)

    def _take(self, length: int) -> bytes:
        taken = bytes(self._received[:length])
        del self._received[:length]
        return taken

    def _fill(self, until: float) -> None:
        ready, _, _ = select.select([self._line], [], [], max(0.0, until - time.monotonic()))
        if not ready:
            raise AgentTimeoutError
        try:
            data = self._line.recv(65536)
        except OSError as error:
            raise AgentError("the line to the guest is closed") from error
        if not data:
            raise AgentError("the line to the guest is closed")
        self._received += data
