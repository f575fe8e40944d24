"""QEMU's machine protocol, QMP: commands to the VMM, and the events that it tells of.

Source: QEMU, docs/interop/qmp-spec.rst. One JSON object a line in both directions; a greeting comes first.
"""

import json
import select
import socket
import time
from typing import Any

_LINE_MAX = 1 << 20
_EVENTS_MAX = 1000  # events kept for who asks; a guest may cause any number of them


class QmpError(Exception):
    """QEMU refused a command (then `kind` is its error class), or the connection broke off."""

    def __init__(self, message: str, kind: str = "") -> None:
        super().__init__(message)
        self.kind = kind


class Qmp:
    """The dialogue over a connected stream socket; `patience` is how long, in s, QEMU may be silent.

    Not for use by several threads at once.
    """

    def __init__(self, line: socket.socket, patience: float = 30.0) -> None:
        self._line = line
        self._patience = patience
        self._received = bytearray()
        self._events: list[dict[str, Any]] = []
        self._number = 0
        self._negotiated = False

    def execute(self, command: str, arguments: dict[str, Any] | None = None) -> Any:
        """Run a command; what it returns. QmpError if it is refused or not answered."""
        until = time.monotonic() + self._patience
        if not self._negotiated:
            if "QMP" not in self._receive(until):
                raise QmpError("QEMU did not greet")
            self._negotiated = True
            self._ask("qmp_capabilities", {}, until)
        return self._ask(command, arguments or {}, until)

    def wait_event(self, name: str, timeout: float) -> dict[str, Any]:
        """The data of the oldest event of that name which nobody has asked for yet; QmpError if none comes.

        A command must have been run before: QEMU is silent until then.
        """
        until = time.monotonic() + timeout
        while True:
            for event in self._events:
                if event["event"] == name:
                    self._events.remove(event)
                    data: dict[str, Any] = event.get("data", {})
                    return data
            self._keep(self._receive(until))

    def _ask(self, command: str, arguments: dict[str, Any], until: float) -> Any:
        self._number += 1
        request = {"execute": command, "arguments": arguments, "id": self._number}
        try:
            self._line.sendall(json.dumps(request).encode() + b"\n")
        except OSError as error:
            raise QmpError("the line to QEMU is closed") from error
        while True:
            answer = self._receive(until)
            if answer.get("id") != self._number:
                self._keep(answer)
            elif refusal := answer.get("error"):
                raise QmpError(f"QEMU refused {command}: {refusal['desc']}", refusal["class"])
            else:
                return answer.get("return")

    def _keep(self, message: dict[str, Any]) -> None:
        if "event" in message:
            self._events.append(message)
            del self._events[:-_EVENTS_MAX]

    def _receive(self, until: float) -> dict[str, Any]:
        while (end := self._received.find(b"\n")) < 0:
            if len(self._received) > _LINE_MAX:
                raise QmpError("QEMU sent a line without an end")
            ready, _, _ = select.select([self._line], [], [], max(0.0, until - time.monotonic()))
            if not ready:
                raise QmpError("QEMU did not answer in time")
            try:
                data = self._line.recv(65536)
            except OSError as error:
                raise QmpError("the line to QEMU is closed") from error
            if not data:
                raise QmpError("the line to QEMU is closed")
            self._received += data
        line = bytes(self._received[:end])
        del self._received[: end + 1]
        try:
            message = json.loads(line)
        except ValueError:
            message = None
        if not isinstance(message, dict):
            raise QmpError(f"QEMU sent {line[:80]!r}, which is no message")
        return message
