"""The schedule: which event is due, what is under way, and what came of those that were."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol

from siov.errors import SiovError
from siov.scenario_event import EventSpec

log = logging.getLogger("siov")

SECOND = 1_000_000_000
LOOK = 0.001  # seconds between two looks at what is under way


class State(Enum):
    """How far an event is."""

    DUE = "due"  # its time has not come
    UNDER_WAY = "under way"
    DONE = "done"
    REFUSED = "refused"  # a driver or the hardware said no
    FAILED = "failed"  # by a fault of ours


class Course(Protocol):
    """An event that takes its time."""

    def advance(self, elapsed: int) -> int | None:
        """Do what is due so many nanoseconds after its begin; when the next thing is, None at its end."""

    @property
    def outcome(self) -> str:
        """What came of it up to now."""


# Does an event: what came of it, or its course.
Action = Callable[[EventSpec], "str | Course"]


@dataclass(slots=True)
class Event:
    """An event with its times in nanoseconds since the begin, and what came of it."""

    spec: EventSpec
    state: State = State.DUE
    began: int | None = None
    ended: int | None = None
    outcome: str = ""
    course: Course | None = field(default=None, repr=False)

    @property
    def over(self) -> bool:
        """Whether nothing more comes of it."""
        return self.state not in (State.DUE, State.UNDER_WAY)

    def inspect(self) -> dict[str, Any]:
        """For people and machines; times in seconds."""
        return {
            "at": self.spec.at,
            "kind": self.spec.kind,
            "target": self.spec.target,
            "state": self.state.value,
            "began": None if self.began is None else self.began / SECOND,
            "ended": None if self.ended is None else self.ended / SECOND,
            "outcome": self.course.outcome if self.course is not None else self.outcome,
        }


class Events:
    """The events of a scenario, each done at its time by `advance`, which one thread calls.

    Times are nanoseconds of the server's clock, `now`, real or virtual. `start` has a thread of its own call
    it while time passes by itself. `failures` are errors of ours: they are logged, and the server goes on.
    """

    def __init__(self, specs: Sequence[EventSpec], act: Action, now: Callable[[], int]) -> None:
        self.all = [Event(spec) for spec in specs]
        self.failures: list[Exception] = []
        self._act, self._now = act, now
        self._left = sorted(self.all, key=lambda event: event.spec.at)
        self._begun, self._zero = False, 0
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def done(self) -> bool:
        """Whether all of them are over."""
        return not self._left

    def begin(self) -> None:
        """Now is the time that all others count from; nothing the second time."""
        if not self._begun:
            self._begun, self._zero = True, self._now()

    def advance(self) -> int | None:
        """Do what is due now; the time of the next thing to do, None when all is over."""
        self.begin()
        due = [self._look(event) for event in list(self._left)]
        return min((self._zero + at for at in due if at is not None), default=None)

    def start(self) -> None:
        """Begin, and do each event at its time, on a thread of its own; nothing without events."""
        self.begin()
        if self._left and self._thread is None:
            self._stopping.clear()
            self._thread = threading.Thread(target=self._drive, name="events", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the thread; what is not over stays so."""
        if self._thread is not None:
            self._stopping.set()
            self._thread.join()
            self._thread = None

    def inspect(self) -> list[dict[str, Any]]:
        """All of them, in the scenario's order."""
        return [event.inspect() for event in self.all]

    def _look(self, event: Event) -> int | None:
        """Begin an event or go on with it, if it is time; when it is the next time, None when it is over."""
        now = self._now() - self._zero
        at = round(event.spec.at * SECOND)
        if event.state is State.DUE and now < at:
            return at
        try:
            if (after := self._do(event, now)) is not None:
                return after
        except SiovError as why:
            event.state, event.outcome, event.course = State.REFUSED, str(why), None
        except Exception as why:  # an error of ours must not end the other events
            self.failures.append(why)
            log.exception("an event failed")
            event.state, event.outcome, event.course = State.FAILED, f"{type(why).__name__}: {why}", None
        event.ended = self._now() - self._zero
        self._left.remove(event)
        return None

    def _do(self, event: Event, now: int) -> int | None:
        if event.began is None:
            event.state, event.began = State.UNDER_WAY, now
            outcome = self._act(event.spec)
            if isinstance(outcome, str):
                event.outcome = outcome
            else:
                event.course = outcome
        after = event.course.advance(now - event.began) if event.course is not None else None
        if after is not None:
            return event.began + after
        event.state = State.DONE
        return None

    def _drive(self) -> None:
        while not self._stopping.is_set() and (due := self.advance()) is not None:
            left = (due - self._now()) / SECOND
            self._stopping.wait(max(LOOK, left))
