"""Admin queue and mailbox of a function, read from their rings in memory as the host uses them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from siov.observe.trace import commands, messages
from siov.observe.trace.step import Kind
from siov.observe.trace.tracer import Emit
from siov.spec.e810 import AQ_DESC_BYTES, AQ_MAX_BUF, AqDesc, AqFlags, AqOpcode, Bar0, QueueLength

Read = Callable[[int, int], bytes]
Register = Callable[[str], int]


@dataclass(slots=True)
class Ring:
    """One ring of a pair (`which` is ATQ or ARQ), as its registers say. Bus addresses are the host's."""

    read: Read
    register: Register
    which: str

    @property
    def length(self) -> int:
        """How many descriptors it has; 0 while it is off."""
        word = QueueLength(self.register(f"{self.which}LEN"))
        return word.LEN if word.ENABLE else 0

    def range(self, first: int, end: int) -> Iterator[int]:
        """Indexes from `first` up to `end`, which is none of them, round the ring."""
        length = self.length
        if not (0 <= first < length and 0 <= end < length):
            return
        while first != end:
            yield first
            first = (first + 1) % length

    def descriptor(self, index: int) -> AqDesc:
        """A descriptor."""
        base = self.register(f"{self.which}BAL") | self.register(f"{self.which}BAH") << 32
        return AqDesc.from_bytes(self.read(base + AQ_DESC_BYTES * index, AQ_DESC_BYTES))

    def buffer(self, desc: AqDesc) -> bytes:
        """What is in a descriptor's buffer, as far as it says."""
        size = min(desc.DATALEN, AQ_MAX_BUF) if AqFlags(desc.FLAGS).BUF else 0
        return self.read(desc.ADDR_HIGH << 32 | desc.ADDR_LOW, size) if size else b""


@dataclass(slots=True)
class ControlQueues:
    """The pair of rings of PF_FW or PF_MBX, in BAR 0 at `base`.

    A command is told once it is answered, with both; one that the host does not wait for is told when the
    next one is sent.
    """

    read: Read
    base: int
    subject: str
    prefix: str
    send: Ring = field(init=False)
    receive: Ring = field(init=False)
    _sent: dict[int, tuple[AqDesc, bytes]] = field(default_factory=dict)
    _next: int = 0

    def __post_init__(self) -> None:
        self.send = Ring(self.read, self._register, "ATQ")
        self.receive = Ring(self.read, self._register, "ARQ")

    def _register(self, name: str) -> int:
        at = Bar0.spans[f"{self.prefix}_{name}"].at
        return int.from_bytes(self.read(self.base + at, 4), "little")

    def begin(self) -> None:
        """Find out where the host is."""
        self._sent.clear()
        length = self.receive.length
        self._next = (self._register("ARQT") + 1) % length if length else 0

    def before_write(self, emit: Emit, register: str, value: int, caller: FrameType) -> None:
        """The host writes one of the pair's registers."""
        if register == f"{self.prefix}_ATQT":
            for index in list(self._sent):
                self._answered(emit, index, caller)
            for index in self.send.range(self._register("ATQT"), value):
                desc = self.send.descriptor(index)
                data = self.send.buffer(desc) if AqFlags(desc.FLAGS).RD else b""
                self._sent[index] = (desc, data)
        elif register == f"{self.prefix}_ARQH":
            self._next = value

    def after_read(self, emit: Emit, register: str, value: int, caller: FrameType) -> None:
        """The host has read one of the pair's registers."""
        if register == f"{self.prefix}_ATQH":
            for index in list(self._sent):
                if AqFlags(self.send.descriptor(index).FLAGS).DD:
                    self._answered(emit, index, caller)
        elif register == f"{self.prefix}_ARQH":
            for index in self.receive.range(self._next, value):
                desc = self.receive.descriptor(index)
                self._tell_received(emit, desc, self.receive.buffer(desc), caller)
                self._next = (index + 1) % max(1, self.receive.length)

    def _answered(self, emit: Emit, index: int, caller: FrameType) -> None:
        asked, data = self._sent.pop(index)
        answer = self.send.descriptor(index)
        done = bool(AqFlags(answer.FLAGS).DD)
        if self.prefix == "PF_MBX":
            code = commands.return_code(answer) if done else "no answer"
            self._tell_message(emit, asked, asked.PARAM0, data, True, code, caller)
            return
        result = commands.return_code(answer) if done else "no answer"
        given = commands.params(asked, answer=False)
        elements = commands.buffer(asked.OPCODE, data)
        fields: dict[str, Any] = {"opcode": asked.OPCODE, "params": given, "result": result}
        parts = [_words(given), f"-> {result}"]
        if done and not commands.failed(answer):
            fields["answer"] = commands.params(answer, answer=True)
            changed = {n: t for n, t in fields["answer"].items() if given.get(n, "0") != t}
            parts.append(_words(changed))
        if elements:
            fields["buffer"] = elements
            parts += _brief(elements)
        detail = " ".join(filter(None, parts))
        emit(Kind.ADMINQ, self.subject, commands.opcode_of(asked), detail, fields, caller=caller)

    def _tell_received(self, emit: Emit, desc: AqDesc, data: bytes, caller: FrameType) -> None:
        if self.prefix == "PF_MBX" and desc.OPCODE == AqOpcode.SEND_MSG_TO_PF:
            self._tell_message(emit, desc, desc.RETVAL, data, False, "", caller)
            return
        given = commands.params(desc, answer=True)
        detail = " ".join(filter(None, ["event", _words(given), f"{len(data)} bytes" if data else ""]))
        fields = {"opcode": desc.OPCODE, "params": given, "event": True}
        emit(Kind.ADMINQ, self.subject, commands.opcode_of(desc), detail, fields, caller=caller)

    def _tell_message(
        self, emit: Emit, desc: AqDesc, vsi: int, data: bytes, reply: bool, result: str, caller: FrameType
    ) -> None:
        text, fields = messages.decode(desc.COOKIE_HIGH, data, reply=reply)
        fields |= {"vsi": vsi, "op": desc.COOKIE_HIGH, "reply": reply, "bytes": len(data)}
        parts = ["to the VF" if reply else "to the PF"]
        if reply:
            fields["status"] = messages.status_name(desc.COOKIE_LOW)
            parts.append(fields["status"])
        parts += [text] if text else []
        if result not in ("", "OK"):
            fields["result"] = result
            parts.append(f"-> {result}")
        name = messages.op_name(desc.COOKIE_HIGH)
        subject = f"{self.subject}/vsi{vsi}"
        emit(Kind.MAILBOX, subject, name, " ".join(parts), fields, caller=caller)


def _words(fields: dict[str, str]) -> str:
    return " ".join(f"{name}={text}" for name, text in fields.items() if text != "0")


def _brief(elements: list[str]) -> list[str]:
    shown = [f"[{element}]" for element in elements[: commands.BRIEF]]
    return [*shown, f"and {len(elements) - len(shown)} more"] if len(elements) > len(shown) else shown
