"""One lock for slow work, and the work that interrupts leave to whoever holds it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType

ROUNDS = 8  # of the service by one thread in a row


class ServiceLock:
    """A lock that a thread may take again; `service` runs with it held, soon after each `kick`.

    A kick never waits: when somebody holds the lock, the service runs as that one lets go. So an interrupt
    may come in the middle of work by the same thread (from within one of its accesses) and disturbs nothing.
    A thread that is kicked without end runs it a few times and calls `later`, which kicks from elsewhere: so
    who only wanted the lock is not kept for ever. A thread that `later` comes back to at once is the one that
    takes interrupts: it goes on with the service, and does not go deeper.
    """

    def __init__(self, service: Callable[[], None], later: Callable[[], None] | None = None) -> None:
        self._service = service
        self._later = later
        self._lock = threading.RLock()
        self._depth = 0  # of the holder; only the holder looks at it
        self._wanted = False
        self._passing = threading.local()  # `back` is there while its thread is within `later`

    def __enter__(self) -> ServiceLock:
        self._lock.acquire()
        self._depth += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._depth -= 1
        self._lock.release()
        self._run()

    def kick(self) -> None:
        """Have the service run: at once, or when the holder lets go."""
        self._wanted = True
        self._run()

    def _run(self) -> None:
        if hasattr(self._passing, "back"):
            self._passing.back = True
            return
        # Who lets go looks again, so a kick that found the lock taken is not lost.
        rounds = 0
        while self._wanted and self._lock.acquire(blocking=False):
            try:
                if self._depth:
                    return
                self._depth += 1
                try:
                    self._wanted = False
                    self._service()
                finally:
                    self._depth -= 1
            finally:
                self._lock.release()
            rounds += 1
            if rounds == ROUNDS and self._later is not None and self._wanted:
                if self._passed_on(self._later):
                    return
                rounds = 0

    def _passed_on(self, later: Callable[[], None]) -> bool:
        """Have the service kicked from elsewhere; False when that is here."""
        self._passing.back = False
        try:
            later()
            return not self._passing.back
        finally:
            del self._passing.back
