"""The record of steps: what it keeps, what it drops and counts, how deep a step stands."""

import gc
import json
import threading
import weakref

import pytest

from siov.host.linux import TraceEvent
from siov.observe.trace import HostSource, Kind, TraceError, Tracer, as_json, as_text


class Root:
    """What owns the hook of a driver core."""

    def __init__(self, hook=None):
        self.hook = hook


class Thing:
    """An object of the driver core, with its `trace`."""

    def __init__(self, root, path="devices/a"):
        self.root, self.path = root, path

    def trace(self, function, detail=""):
        if self.root.hook is not None:
            self.root.hook(TraceEvent(function, self.path, detail))


class Clock:
    """One more nanosecond each time it is asked."""

    def __init__(self):
        self.time = 0

    def __call__(self):
        self.time += 1
        return self.time


@pytest.fixture
def root():
    return Root()


@pytest.fixture
def tracer(root):
    found = Tracer(Clock(), capacity=100)
    found.add(HostSource(root))
    return found


def told(tracer, **which):
    return [(step.depth, step.what) for step in tracer.steps(**which)]


def test_a_step_stands_below_the_steps_of_the_calls_that_it_is_part_of(tracer, root):
    thing = Thing(root)

    def inner():
        thing.trace("inner")

    def untold():
        inner()

    def outer():
        thing.trace("outer")
        untold()
        thing.trace("outer again")
        inner()

    tracer.start()
    outer()
    inner()
    assert told(tracer) == [(0, "outer"), (1, "inner"), (0, "outer again"), (1, "inner"), (0, "inner")]


def test_calls_of_a_loop_stand_beside_each_other(tracer, root):
    thing = Thing(root)

    def one(n):
        thing.trace(f"one {n}")
        deeper(n)

    def deeper(n):
        thing.trace(f"deeper {n}")

    def loop():
        thing.trace("loop")
        for n in range(3):
            one(n)

    tracer.start()
    loop()
    assert [depth for depth, _ in told(tracer)] == [0, 1, 2, 1, 2, 1, 2]


def test_a_call_that_ended_with_an_exception_holds_nothing_deeper(tracer, root):
    thing = Thing(root)

    def fails():
        thing.trace("fails")
        raise KeyError

    def outer():
        thing.trace("outer")
        with pytest.raises(KeyError):
            fails()
        thing.trace("goes on")

    tracer.start()
    outer()
    Thing(root).trace("last")
    assert told(tracer) == [(0, "outer"), (1, "fails"), (0, "goes on"), (0, "last")]


def test_each_thread_has_depths_of_its_own(tracer, root):
    thing = Thing(root)
    inside, go_on = threading.Event(), threading.Event()

    def other():
        thing.trace("other")
        inside.set()
        go_on.wait(10)
        deeper()

    def deeper():
        thing.trace("deeper")

    tracer.start()
    thread = threading.Thread(target=other, name="second")
    thread.start()
    inside.wait(10)
    deeper()
    go_on.set()
    thread.join()
    assert [(s.depth, s.what, s.thread == "second") for s in tracer.steps()] == [
        (0, "other", True),
        (0, "deeper", False),
        (1, "deeper", True),
    ]


def test_a_trace_keeps_nothing_alive_that_a_call_held(tracer, root):
    thing, alive = Thing(root), []

    class Held:
        pass

    def call():
        held = Held()
        alive.append(weakref.ref(held))
        thing.trace("call")

    tracer.start()
    call()
    gc.collect()
    assert alive[0]() is None


def test_the_oldest_steps_are_dropped_and_counted(tracer, root):
    tracer.start()
    for n in range(250):
        Thing(root).trace(f"step {n}")
    assert [step.number for step in tracer.steps()] == list(range(151, 251))
    seen = tracer.inspect()
    assert (seen["recorded"], seen["kept"], seen["dropped"]) == (250, 100, 150)
    assert tracer.dropped == 150


def test_a_reader_goes_on_where_it_was(tracer, root):
    tracer.start()
    found = []
    for n in range(30):
        Thing(root).trace(f"step {n}")
        if n % 7 == 0:
            found += tracer.steps(after=found[-1].number if found else 0)
    while more := tracer.steps(after=found[-1].number, limit=2):
        assert len(more) <= 2
        found += more
    assert [step.what for step in found] == [f"step {n}" for n in range(30)]


def test_only_kinds_and_subjects_that_are_asked_for_are_recorded(tracer, root):
    tracer.start(["mdev", "vfio"], ["*/b"])
    for path in ("devices/a", "devices/b"):
        for function in ("mdev_device_create", "vfio_device_open", "device_add"):
            Thing(root, path).trace(function)
    assert [(s.kind, s.subject) for s in tracer.steps()] == [
        (Kind.MDEV, "devices/b"),
        (Kind.VFIO, "devices/b"),
    ]
    assert [s.kind for s in tracer.steps(kinds=["vfio"])] == [Kind.VFIO]


def test_an_unknown_kind_is_refused_with_those_there_are(tracer):
    with pytest.raises(TraceError, match=r"'mailbx'; there are core, pci, ice, .*mailbox"):
        tracer.start(["mailbx"])
    assert not tracer.listening


def test_while_nobody_listens_the_hook_is_who_had_it_before():
    heard = []
    root = Root(heard.append)
    before = root.hook
    tracer = Tracer(Clock())
    tracer.add(HostSource(root))
    assert root.hook == before
    tracer.start()
    Thing(root).trace("device_add")
    tracer.stop()
    assert root.hook == before
    Thing(root).trace("device_del")
    assert [event.function for event in heard] == ["device_add", "device_del"]
    assert [step.what for step in tracer.steps()] == ["device_add"]


def test_a_source_that_tells_nothing_of_the_wanted_kinds_is_left_alone(tracer, root):
    tracer.start(["mailbox"])
    assert root.hook is None


def test_a_source_that_comes_later_is_listened_to_and_one_that_goes_is_not(tracer, root):
    other = Root()
    source = HostSource(other)
    tracer.start()
    tracer.add(source)
    Thing(other).trace("device_add")
    tracer.remove(source)
    assert other.hook is None
    assert len(tracer.steps()) == 1


def test_steps_of_many_threads_have_numbers_without_a_gap():
    root = Root()
    tracer = Tracer(Clock(), capacity=10_000)
    tracer.add(HostSource(root))
    tracer.start()

    def work():
        for n in range(500):
            Thing(root).trace(f"step {n}")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [step.number for step in tracer.steps()] == list(range(1, 2001))
    assert [step.time for step in tracer.steps()] == sorted(step.time for step in tracer.steps())


def test_text_has_a_line_a_step_and_json_every_field(tracer, root):
    def outer():
        Thing(root).trace("device_add")
        Thing(root, "devices/b").trace("bus_add_device", "pci")

    tracer.start()
    outer()
    assert list(as_text(tracer.steps())) == [
        "       0.000  core       device_add a",
        "       0.000  core       bus_add_device b pci",
    ]
    first, second = (json.loads(line) for line in as_json(tracer.steps()))
    assert first["number"] == 1
    assert (second["kind"], second["subject"], second["detail"]) == ("core", "devices/b", "pci")


def test_a_detail_without_end_is_cut_in_text_only(tracer, root):
    tracer.start()
    Thing(root).trace("device_add", "x" * 10_000)
    [line] = as_text(tracer.steps())
    assert len(line) < 500
    assert len(tracer.steps()[0].detail) == 10_000
