"""The schedule of events: done at their times by the clock, whatever it is, and what came of each."""

import threading
from typing import Any

import pytest

from siov.errors import SiovError
from siov.events import Events
from siov.events.actions import Storm
from siov.scenario_event import EventSpec

MS = 1_000_000


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.time = 5_000 * MS

    def __call__(self) -> int:
        return self.time


class Rain:
    """Comes three times, 10 ms apart."""

    def __init__(self) -> None:
        self.drops = 0

    def advance(self, elapsed: int) -> int | None:
        self.drops = min(3, elapsed // (10 * MS) + 1)
        return None if self.drops == 3 else self.drops * 10 * MS

    @property
    def outcome(self) -> str:
        return f"{self.drops} drops"


def link(at: float, kind: str = "link-down") -> EventSpec:
    return EventSpec(at=at, kind=kind, adapter="nic0")


@pytest.fixture
def clock() -> Clock:
    return Clock()


def schedule(clock: Clock, *specs: EventSpec, act: Any = None) -> tuple[Events, list[str]]:
    seen: list[str] = []

    def note(spec: EventSpec) -> str:
        seen.append(f"{spec.kind} at {(clock.time // MS) - 5_000}")
        return "so it was"

    return Events(specs, act or note, clock), seen


def test_each_event_is_done_once_at_its_time_in_the_order_of_times(clock):
    events, seen = schedule(clock, link(0.3, "link-up"), link(0.1), link(0.1, "link-up"))
    assert events.advance() == clock.time + 100 * MS
    for _ in range(50):
        clock.time += 10 * MS
        events.advance()
    assert seen == ["link-down at 100", "link-up at 100", "link-up at 300"]
    assert events.done
    assert events.advance() is None


def test_times_count_from_the_begin_and_not_from_when_the_schedule_was_made(clock):
    events, seen = schedule(clock, link(0.1))
    clock.time += 1_000 * MS
    events.begin()
    clock.time += 50 * MS
    events.begin()
    assert events.advance() == clock.time + 50 * MS
    assert seen == []


def test_what_came_of_it_is_told_with_its_times(clock):
    events, _ = schedule(clock, link(0.1), link(9))
    events.begin()
    assert [row["state"] for row in events.inspect()] == ["due", "due"]
    clock.time += 150 * MS
    events.advance()
    done, due = events.inspect()
    assert done == {
        "at": 0.1,
        "kind": "link-down",
        "target": "nic0",
        "state": "done",
        "began": 0.15,
        "ended": 0.15,
        "outcome": "so it was",
    }
    assert (due["state"], due["began"], due["ended"]) == ("due", None, None)
    assert not events.done


def test_an_event_that_takes_its_time_is_gone_on_with_until_its_end(clock):
    events, _ = schedule(clock, link(0.1), act=lambda spec: Rain())
    events.begin()
    clock.time += 100 * MS
    assert events.advance() == clock.time + 10 * MS
    assert events.inspect()[0]["state"] == "under way"
    assert events.inspect()[0]["outcome"] == "1 drops"
    clock.time += 12 * MS
    assert events.advance() == clock.time + 8 * MS
    clock.time += 8 * MS
    assert events.advance() is None
    [row] = events.inspect()
    assert (row["state"], row["began"], row["ended"], row["outcome"]) == ("done", 0.1, 0.12, "3 drops")


def test_a_refusal_is_an_outcome_and_an_error_of_ours_a_failure_and_the_others_go_on(clock):
    def act(spec: EventSpec) -> str:
        if spec.at == 0:
            raise SiovError("nic0 is within a PFR")
        if spec.at == 1:
            raise RuntimeError("oh")
        return "fine"

    events, _ = schedule(clock, link(0), link(1), link(2), act=act)
    events.begin()
    clock.time += 2_000 * MS
    events.advance()
    assert [(row["state"], row["outcome"]) for row in events.inspect()] == [
        ("refused", "nic0 is within a PFR"),
        ("failed", "RuntimeError: oh"),
        ("done", "fine"),
    ]
    assert [str(why) for why in events.failures] == ["oh"]


def test_while_time_passes_by_itself_a_thread_does_them():
    import time

    came = threading.Event()

    def act(spec: EventSpec) -> str:
        came.set()
        return "done"

    events = Events([link(0.01)], act, time.monotonic_ns)
    events.start()
    assert came.wait(30)
    events.stop()
    assert threading.active_count() == 1 or all(t.name != "events" for t in threading.enumerate())


def test_a_schedule_that_is_stopped_does_no_more_and_goes_on_when_it_is_started_again():
    import time

    done: list[float] = []
    events = Events([link(0.01), link(3600)], lambda spec: done.append(spec.at) or "done", time.monotonic_ns)
    for _ in range(3):
        events.start()
        events.stop()
    assert not events.done
    assert 3600 not in done


class Unit:
    """Counts what it is asked to forget."""

    def __init__(self) -> None:
        self.forgot: list[Any] = []

    def invalidate(self, descriptors: Any) -> None:
        self.forgot.append(descriptors)


@pytest.fixture
def unit(monkeypatch) -> Unit:
    monkeypatch.setattr("siov.events.actions.everything", lambda tag, stage: [tag])
    return Unit()


def test_a_storm_with_a_rate_makes_as_many_as_are_due_and_tells_when_the_next_one_is(unit):
    storm = Storm(unit, [("a", None), ("b", None)], count=5, rate=1000)
    assert storm.advance(0) == 1 * MS
    assert storm.advance(0) == 1 * MS
    assert storm.advance(2 * MS + MS // 2) == 3 * MS
    assert unit.forgot == [["a"], ["b"], ["a"]]
    assert storm.advance(100 * MS) is None
    assert unit.forgot == [["a"], ["b"], ["a"], ["b"], ["a"]]
    assert storm.outcome == "5 invalidations of 2 address spaces"


def test_a_storm_without_a_rate_goes_as_fast_as_it_can_but_lets_others_in_between(unit):
    storm = Storm(unit, [("a", None)], count=600, rate=None)
    assert storm.advance(7) == 7
    assert 0 < len(unit.forgot) < 600
    while storm.advance(7) is not None:
        pass
    assert len(unit.forgot) == 600
