"""The tracer: a bounded record of steps, and the places where they are seen."""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable, Collection
from types import FrameType
from typing import Any, Protocol

from siov.observe.trace.nesting import Nesting
from siov.observe.trace.step import NOTHING, Filter, Kind, Step

CAPACITY = 65_536


class Emit(Protocol):
    """Tells a step; `caller` is the call that it is a step of (the one that emits, without)."""

    def wants(self, kind: Kind, subject: str) -> bool:
        """Whether a step would be recorded; who asks first need not make a text of it."""

    def __call__(
        self,
        kind: Kind,
        subject: str,
        what: str,
        detail: str = "",
        fields: Any = NOTHING,
        *,
        caller: FrameType | None = None,
        opens: bool = False,
    ) -> None:
        """Tell a step; with `opens`, what the call does from now on is part of it."""


class Source(Protocol):
    """A place where steps are seen. It costs nothing while nobody listens."""

    @property
    def kinds(self) -> Collection[Kind]:
        """What it tells of."""

    def listen(self, emit: Emit) -> None:
        """Tell each step from now on."""

    def quiet(self) -> None:
        """Tell no more."""


class Tracer:
    """The last `capacity` steps of those asked for; older ones are dropped and counted. From any thread.

    `sink` is given every step that is recorded, one at a time and in order; it must not fail.
    """

    def __init__(self, now: Callable[[], int], capacity: int = CAPACITY) -> None:
        self._now = now
        self._lock = threading.Lock()  # of the record; no source is called while it is held
        self._switch = threading.RLock()  # one start or stop at a time
        self._steps: deque[Step] = deque(maxlen=capacity)
        self._nesting = Nesting()
        self._sources: list[Source] = []
        self._active: list[Source] = []
        self.filter = Filter()
        self.listening = False
        self.recorded = 0
        self.sink: Callable[[Step], None] | None = None

    def add(self, *sources: Source) -> None:
        """Have places to listen at; at once, while somebody listens."""
        with self._switch:
            for source in sources:
                self._sources.append(source)
                if self.listening:
                    self._open(source)

    def remove(self, source: Source) -> None:
        """Forget a place, because what it is about goes away."""
        with self._switch:
            self._sources.remove(source)
            if source in self._active:
                self._active.remove(source)
                source.quiet()

    def start(
        self, kinds: Collection[str] = (), subjects: Collection[str] = (), capacity: int | None = None
    ) -> None:
        """Record steps of these kinds on subjects that match, from now on; what was recorded stays.

        `TraceError` for a kind that there is not.
        """
        with self._switch:
            wanted = Filter.of(kinds, subjects)
            self.stop()
            if capacity is not None:
                self._steps = deque(self._steps, maxlen=max(1, capacity))
            self.filter, self.listening = wanted, True
            for source in self._sources:
                self._open(source)

    def stop(self) -> None:
        """Record nothing more; the record stays."""
        with self._switch:
            self.listening = False
            while self._active:
                self._active.pop().quiet()

    def clear(self) -> None:
        """Forget what was recorded; numbers go on."""
        with self._lock:
            self._steps.clear()

    def _open(self, source: Source) -> None:
        if any(self.filter.wants_kind(kind) for kind in source.kinds):
            self._active.append(source)
            source.listen(self)

    def wants(self, kind: Kind, subject: str) -> bool:
        """Whether a step would be recorded."""
        return self.listening and self.filter.wants(kind, subject)

    def __call__(
        self,
        kind: Kind,
        subject: str,
        what: str,
        detail: str = "",
        fields: Any = NOTHING,
        *,
        caller: FrameType | None = None,
        opens: bool = False,
    ) -> None:
        """Record a step, if it is wanted."""
        if not self.wants(kind, subject):
            return
        depth = self._nesting.depth(caller or sys._getframe(1), opens=opens)
        thread = threading.current_thread().name
        with self._lock:
            self.recorded += 1
            step = Step(self.recorded, self._now(), kind, subject, what, detail, fields, depth, thread)
            self._steps.append(step)
            if self.sink is not None:
                self.sink(step)

    @property
    def dropped(self) -> int:
        """Steps that were recorded and are no longer there."""
        with self._lock:
            return self.recorded - len(self._steps)

    def steps(
        self,
        after: int = 0,
        limit: int | None = None,
        *,
        kinds: Collection[str] = (),
        subjects: Collection[str] = (),
    ) -> list[Step]:
        """The steps behind number `after`, at most `limit`, the oldest first.

        `TraceError` for a kind that there is not.
        """
        wanted = Filter.of(kinds, subjects)
        with self._lock:
            found = [step for step in self._steps if step.number > after]
        found = [step for step in found if wanted.wants(step.kind, step.subject)]
        return found if limit is None else found[:limit]

    def inspect(self) -> dict[str, Any]:
        """Whether it listens and for what, and how many steps there are."""
        with self._lock:
            kept = len(self._steps)
            return {
                "listening": self.listening,
                "kinds": sorted(kind.value for kind in self.filter.kinds),
                "subjects": list(self.filter.subjects),
                "recorded": self.recorded,
                "kept": kept,
                "dropped": self.recorded - kept,
                "capacity": self._steps.maxlen,
            }
