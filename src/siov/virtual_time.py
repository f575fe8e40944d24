"""A server without threads: one loop has guests, adapters and the host take turns, by a virtual clock."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Protocol
from uuid import UUID

from siov._core import Clock, EventFd, GuestLoop, Nic, Stepper
from siov.errors import ScenarioError
from siov.scenario import Scenario
from siov.threads import Threads

log = logging.getLogger("siov")

SECOND = 1_000_000_000  # nanoseconds
MOMENT = 1_000  # nanoseconds between two things on the agenda, at least
LOOK = 1_000_000  # nanoseconds after which who waits looks again, if nothing happens before
OUTSIDE = ("tap", "stream", "dgram")  # the ports whose other side goes by the wall's clock


class Guests(Protocol):
    """The embedded guests of a server, as far as time goes."""

    @property
    def loop(self) -> GuestLoop:
        """What moves their frames."""

    def bells(self) -> Sequence[list[EventFd]]:
        """The eventfds of each guest's device; the first one is its mailbox's."""

    def see_to(self, exits: Sequence[dict[str, Any]]) -> None:
        """Handle VM exits, and what came for the guests' drivers."""


@dataclass(slots=True)
class VirtualTime:
    """Has a server's time pass: on the caller's thread, and only while it is in here.

    From one moment at which something is due time goes on to the next at once. Frames take the time that
    they are on an adapter's line, timers and rates what they say, drivers what they sleep; nothing else takes
    any. So what happens, and when, depends on the scenario and the seed alone.
    """

    threads: Threads  # of which none is started
    clock: Clock
    speeds: dict[str, int]  # of the adapters' ports, in Mbit/s, by function
    agenda: Callable[[], int | None] | None = None  # does what is due now; when it has more, in nanoseconds
    _guests: Guests | None = None
    _stepper: Stepper = field(init=False)
    _bells: list[list[EventFd]] = field(default_factory=list)

    def __post_init__(self) -> None:
        engines = [(f.device.engine, self.speeds[f.name]) for f in self.threads.nics]
        nics = [(engine, speed) for engine, speed in engines if isinstance(engine, Nic)]
        self._stepper = Stepper(self.threads.root_complex.core, self.clock, nics)

    @classmethod
    def of(cls, scenario: Scenario, threads: Threads, clock: Clock) -> VirtualTime:
        """For a scenario's server; `ScenarioError` when a port leads out of it."""
        ports = {f.name: f.nic.port for f in scenario.function if f.nic is not None}
        for name, port in ports.items():
            if port.kind in OUTSIDE:
                raise ScenarioError(
                    f"the port of {name} is of kind {port.kind}, whose other side has a time of its own; "
                    "in virtual time there are cable, bridge, pcap and none"
                )
        return cls(threads, clock, {name: port.speed for name, port in ports.items()})

    @property
    def now(self) -> float:
        """The time, in seconds since the server was built."""
        return self.clock.now() / SECOND

    def have(self, guests: Guests | None) -> None:
        """Take guests in, or let them go."""
        self._guests = guests
        self._listen()

    def run(
        self,
        until: float,
        *,
        tick: float | None = None,
        on_tick: Callable[[], object] | None = None,
    ) -> bool:
        """Have everybody go on until a time in seconds; whether it came to that.

        All that is due until then, at that moment too, is done. Every `tick` seconds `on_tick` is called, and
        may do anything with the server; when it gives True, time stops there. How a stretch is divided
        changes nothing of what happens in it.
        """
        end = round(until * SECOND)
        if tick is None or on_tick is None:
            self._until(end)
            return True
        if tick <= 0:
            raise ValueError(f"a tick of {tick:g} s: it takes more than 0 s")
        begin, number = self.clock.now(), 0
        while self.clock.now() < end:
            number += 1
            self._until(min(end, begin + round(number * tick * SECOND)))
            if on_tick() is True:
                return False
        return True

    def sleep(self, seconds: float) -> None:
        """Have everybody go on for so many seconds."""
        self._until(self.clock.now() + round(seconds * SECOND))

    def wait(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait inside a driver for a condition, at most so long; whether it holds.

        Hardware and host go on. Guests stand still: who waits is one of them, or keeps them from going on.
        """
        end = self.clock.now() + round(seconds * SECOND)
        while not condition():
            now = self.clock.now()
            if self._step(min(end, now + LOOK), guests=False, once=True) == "host":
                continue
            if now >= end:
                return condition()
        return True

    def _until(self, end: int) -> None:
        """Go on until a time; what is on the agenda comes after what else is due at its moment."""
        while True:
            due = self.agenda() if self.agenda is not None else None
            now = self.clock.now()
            self._go(end if due is None else min(end, max(due, now + MOMENT)))
            if now >= end:
                return

    def _go(self, end: int) -> None:
        while self._step(end, guests=True) != "time":
            pass

    def _step(self, end: int, *, guests: bool, once: bool = False) -> str:
        """Go on until there is something for Python to do, and do it; why it stopped."""
        if guests:
            self._listen()
        why, exits = self._stepper.run(end, guests=guests, once=once)
        if why == "host":
            self._host()
        if guests and self._guests is not None and why in ("host", "parked"):
            self._guests.see_to(exits)
        return why

    def _host(self) -> None:
        """Firmware and the host's handlers of interrupts; an error of ours there is kept, and it goes on."""
        try:
            for function in self.threads.nics:
                function.device.service()
            self.threads.root_complex.settle()
        except Exception as why:
            self.threads.failures.append(why)
            log.exception("a handler of the host's interrupts failed")

    def _listen(self) -> None:
        """Have the loop know the guests, and the eventfds at which their drivers wait."""
        bells = list(self._guests.bells()) if self._guests is not None else []
        known = len(bells) == len(self._bells) and all(
            one is other for one, other in zip(bells, self._bells, strict=True)
        )
        if not known:
            self._stepper.set_guests(self._guests.loop if self._guests is not None else None)
            self._stepper.set_bells([eventfds[0].fileno() for eventfds in bells if eventfds])
            self._bells = bells


def uuids(seed: int) -> Callable[[], UUID]:
    """UUIDs as random ones look, in the order that a seed has them in."""
    random = Random(seed)
    return lambda: UUID(int=random.getrandbits(128), version=4)
