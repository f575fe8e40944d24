"""Messages of many VFs, taken in turns: one that floods its mailbox delays the others by one message.

A VF's messages wait in a line of its own. Lines are served in turns, one message each. A VF that sends more
than its token bucket allows is not stopped but goes to the back: its line is served when no other waits, and
once in every SLOW_TURN turns even then, so it is never starved and no timer is needed. It owes BURST tokens
at most, so one that has stopped is soon in front again. What comes when a line is full is dropped and
counted, as ice's mailbox overflow detection (ice_vf_mbx.c) reports it. A line has room for more messages
than a driver has outstanding (at most 31: its ring has 32 entries), so only a VF that does not wait for
replies loses any.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from siov.spec.e810 import AqDesc

RATE = 1000.0  # messages a second that a VF may send for ever without going to the back
BURST = 128.0  # and at once: a driver's start takes about 40
LINE = 64  # messages that wait for one VF
SLOW_TURN = 16  # one turn in so many is for those at the back


class Handles(Protocol):
    """Who carries out a VF's messages (vf.VirtchnlVf)."""

    def handle(self, op: int, data: bytes) -> None:
        """Carry out one message and answer it."""


@dataclass(slots=True)
class VfLine:
    """The messages of one VF that wait, and its token bucket."""

    vf: Handles
    tokens: float = BURST
    filled: float = 0.0  # when, in seconds
    waiting: deque[tuple[int, bytes]] = field(default_factory=deque)
    queued: bool = False  # whether it has its turn to come
    received: int = 0
    deferred: int = 0  # turns at the back
    dropped: int = 0

    @property
    def malicious(self) -> bool:
        """Whether it sent more than any driver does."""
        return self.dropped > 0

    def fill(self, now: float) -> None:
        """Add the tokens of the time since the last call."""
        self.tokens = min(BURST, self.tokens + (now - self.filled) * RATE)
        self.filled = now

    def inspect(self) -> dict[str, object]:
        """Counters, and whether it is taken for malicious."""
        return {
            "waiting": len(self.waiting),
            "received": self.received,
            "deferred": self.deferred,
            "dropped": self.dropped,
            "malicious": self.malicious,
        }


@dataclass(slots=True)
class VfMessages:
    """All VFs of a function by their VSI's number: `receive` puts messages in line, `serve` handles them."""

    clock: Callable[[], float] = time.monotonic  # seconds
    lines: dict[int, VfLine] = field(default_factory=dict)
    unknown: int = 0  # messages of VSIs that nobody has
    _front: deque[VfLine] = field(default_factory=deque)
    _back: deque[VfLine] = field(default_factory=deque)
    _turn: int = 0

    def attach(self, vsi: int, vf: Handles) -> None:
        """Messages of this VSI are the VF's from now on."""
        self.lines[vsi] = VfLine(vf, filled=self.clock())

    def detach(self, vsi: int) -> None:
        """The VSI has no VF any more; what waits is forgotten."""
        self.forget(vsi)
        self.lines.pop(vsi, None)

    def forget(self, vsi: int) -> int:
        """Drop the messages of a VSI that wait, as for a reset; how many."""
        line = self.lines.get(vsi)
        if line is None:
            return 0
        count = len(line.waiting)
        line.waiting.clear()
        return count

    def receive(self, vsi: int, desc: AqDesc, data: bytes) -> None:
        """A message out of the function's mailbox (PfMailbox.receive)."""
        self.submit(vsi, desc.COOKIE_HIGH, data)

    def submit(self, vsi: int, op: int, data: bytes) -> None:
        """Put a message in its VF's line."""
        line = self.lines.get(vsi)
        if line is None:
            self.unknown += 1
            return
        line.received += 1
        if len(line.waiting) >= LINE:
            line.dropped += 1
            return
        line.waiting.append((op, data))
        self._queue(line)

    def serve(self, budget: int = 16) -> bool:
        """Handle at most so many messages, and one of those at the back; whether more wait.

        After that one the caller looks for new messages, which may be of VFs that don't flood.
        """
        for _ in range(budget):
            line = self._next()
            if line is None:
                return False
            op, data = line.waiting.popleft()
            line.tokens = max(line.tokens - 1, -BURST)
            try:
                line.vf.handle(op, data)
            finally:
                self._queue(line)
            if line.tokens < 0:
                break
        return bool(self._front or self._back)

    def inspect(self) -> dict[str, object]:
        """The line of each VF, by the number of its VSI."""
        return {"unknown": self.unknown, "lines": {vsi: line.inspect() for vsi, line in self.lines.items()}}

    def _queue(self, line: VfLine) -> None:
        if line.queued or not line.waiting:
            return
        line.queued = True
        line.fill(self.clock())
        if line.tokens >= 1:
            self._front.append(line)
        else:
            line.deferred += 1
            self._back.append(line)

    def _next(self) -> VfLine | None:
        while self._front or self._back:
            self._turn += 1
            back = not self._front or (self._back and self._turn % SLOW_TURN == 0)
            line = (self._back if back else self._front).popleft()
            line.queued = False
            if line.waiting:  # else they were forgotten
                return line
        return None
