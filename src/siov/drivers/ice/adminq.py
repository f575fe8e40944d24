"""The admin queue: commands to firmware, and its events (ice_aq_send_cmd)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from errno import EINVAL, EIO
from typing import TypeVar

from siov.drivers.ice.ctrlq import ControlQueue, Message, Report, guarded
from siov.drivers.ice.service_lock import ServiceLock
from siov.host.linux import LinuxError
from siov.spec.e810 import AQ_LG_BUF, AQ_MAX_BUF, AqDesc, AqFlags, AqOpcode, AqRc
from siov.spec.word import Word

W = TypeVar("W", bound=Word)

ENTRIES = 192  # ICE_AQ_LEN
BUDGET = 64  # events in one call


class AqError(LinuxError):
    """Firmware refuses a command: its opcode and return code; always EIO, as in Linux."""

    def __init__(self, opcode: AqOpcode, rc: AqRc, detail: str = "") -> None:
        about = f" ({detail})" if detail else ""
        super().__init__(EIO, f"firmware refuses {opcode.name}{about} with {rc.name}")
        self.opcode = opcode
        self.rc = rc


@dataclass(slots=True, frozen=True)
class Answer:
    """A command's descriptor as firmware wrote it back, and its buffer."""

    desc: AqDesc
    data: bytes

    def params(self, word: type[W]) -> W:
        """Its parameters, the last 16 bytes of the descriptor."""
        return word.from_bytes(self.desc.to_bytes()[16:])


Event = Callable[[Answer], None]


@dataclass(slots=True)
class AdminQueue:
    """PF_FW: one command at a time, from any thread; the lock is the function's."""

    queue: ControlQueue
    lock: ServiceLock
    report: Report | None = None
    handlers: dict[AqOpcode, Event] = field(default_factory=dict)
    commands: int = 0
    failed: int = 0
    unhandled: int = 0

    def send(
        self, opcode: AqOpcode, params: Word | None = None, data: bytes = b"", *, room: int = 0
    ) -> Answer:
        """Have firmware carry out a command, with `data` in its buffer or `room` bytes for an answer.

        `AqError` when it refuses; EIO while the queue is shut, ETIMEDOUT when nobody answers, EINVAL for a
        buffer of more than 4,096 bytes.
        """
        size = max(len(data), room)
        if size > AQ_MAX_BUF:
            raise LinuxError(
                EINVAL, f"{opcode.name}: a buffer of {size} bytes; there are at most {AQ_MAX_BUF}"
            )
        flags = AqFlags.of(SI=1, BUF=bool(size), RD=bool(data), LB=size > AQ_LG_BUF)
        head = AqDesc.of(FLAGS=flags.raw, OPCODE=opcode, DATALEN=size).to_bytes()[:16]
        tail = params.to_bytes() if params is not None else bytes(16)
        with self.lock:
            self.commands += 1
            done = self.queue.transact(
                AqDesc.from_bytes(head + tail), data.ljust(size, b"\0") if data else b""
            )
            code = done.return_code
            if code or AqFlags(done.desc.FLAGS).ERR:
                self.failed += 1
                raise AqError(opcode, code)
        return Answer(done.desc, done.data)

    def on(self, opcode: AqOpcode, handler: Event) -> None:
        """Call a handler for each event of an opcode."""
        self.handlers[opcode] = handler

    def clean(self) -> bool:
        """Hand out events, a bounded number of them; whether more wait (ice_clean_ctrlq)."""
        with self.lock:
            self.queue.check_errors()
            found: list[Message] = self.queue.take(BUDGET)
        for event in found:
            opcode = event.desc.OPCODE
            handler = self.handlers.get(AqOpcode(opcode)) if opcode in set(AqOpcode) else None
            if handler is None:
                self.unhandled += 1
            else:
                guarded(self.report, handler, Answer(event.desc, event.data))
        return len(found) == BUDGET and self.queue.pending

    def inspect(self) -> dict[str, object]:
        """The rings, and how many commands there were."""
        counts = {name: getattr(self, name) for name in ("commands", "failed", "unhandled")}
        return self.queue.inspect() | counts
