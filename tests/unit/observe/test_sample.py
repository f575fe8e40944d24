"""The sampler: what it sees of a server is what the server has counted."""

import threading
import time

import pytest

from siov.observe import sample
from siov.observe.counters import Snapshot
from siov.observe.cputime import ThreadTimes
from siov.observe.sample import Sampler, adapters, owners, read
from siov.platform import Platform, build
from siov.scenario import parse

PORT = {"kind": "cable", "to": "c"}
SCENARIO = {
    "machine": {"memory": "256M"},
    "iommu": {},
    "root_port": [{"name": "rp0", "at": "01.0"}],
    "function": [
        {
            "name": f"nic{n}",
            "behind": "rp0",
            "at": f"00.{n}",
            "model": "e810",
            "nic": {"mac": f"02:00:00:00:00:0{n}", "port": PORT},
        }
        for n in range(2)
    ],
    "guest": [
        {"name": "vm1", "memory": "16M", "vdevs": [{"parent": "nic0", "type": "vdcm-1"}]},
        {"name": "vm2", "memory": "16M", "vdevs": [{"parent": "nic0", "type": "vdcm-1"}]},
        {"name": "vm3", "memory": "16M", "vdevs": [{"parent": "nic1", "type": "vdcm-1"}]},
    ],
    "traffic": [
        {"src": "vm1", "dst": "vm2", "kind": "stream", "count": 100_000},
        {"src": "vm1", "dst": "vm3", "sizes": [64], "count": 300},
    ],
}


@pytest.fixture(scope="module")
def platform() -> Platform:
    """A server whose traffic is over; nothing of it runs any more."""
    platform = build(parse(SCENARIO, "test"))
    platform.boot()
    for _ in range(100_000):
        platform.tenants.step()
        platform.pump()
        if platform.tenants.done:
            break
    for _ in range(100):
        platform.tenants.step()
        platform.pump()
    yield platform
    platform.unload()


def test_what_is_read_is_what_the_inspect_tree_has(platform):
    counts, tree = read(platform), Snapshot.of(platform.inspect()).values

    def told(end: str) -> int:
        found = [value for path, value in tree.items() if path.endswith(end)]
        assert len(found) == 1, (end, found)
        return found[0]

    for nic in ("nic0", "nic1"):
        for vsi in (1, 2) if nic == "nic0" else (1,):
            for what in ("rx_frames", "rx_bytes", "tx_frames", "tx_bytes"):
                assert counts[f"{nic}/vsi{vsi}/{what}"] == told(f"{nic}/engine/vsis/{vsi}/{what}")
        for what in ("events", "interrupts", "delayed", "disabled"):
            assert counts[f"{nic}/{what}"] == told(f"{nic}/engine/interrupts/{what}")
        for what in ("lookups", "hits", "requests", "invalidations"):
            assert counts[f"{nic}/atc/{what}"] == told(f"{nic}/engine/atc/{what}")
        assert counts[f"{nic}/port0/sent"] == told(f"{nic}/engine/ports/port0/counters/sent")
    for path, value in tree.items():
        if path.startswith("hw/vtd0/counters/"):
            assert counts[f"vtd0/{path.rpartition('/')[2]}"] == value


def test_frames_of_adapters_guests_and_ports_add_up(platform):
    counts, results = read(platform), platform.tenants.results()
    assert counts["nic0/tx_frames"] == counts["nic0/vsi1/tx_frames"] + counts["nic0/vsi2/tx_frames"]
    assert counts["vm3.0/rx_frames"] == results["vm3.0"]["checked"]["frames"] == 300
    assert counts["nic0/port0/sent"] == counts["nic1/port0/received"] == 300
    assert counts["vm2.0/rx_bytes"] == results["vm2.0"]["checked"]["bytes"]
    assert counts["vm1.0/tx_frames"] == sum(sender["frames"] for sender in results["vm1.0"]["senders"])
    assert counts["vm1.0/answered"] == 100_000
    assert counts["nic0/interrupts"] <= counts["nic0/events"]
    assert counts["vm1.0/wrong"] == counts["nic0/dropped"] == counts["vtd0/faults"] == 0


def test_each_vsi_of_a_guest_has_its_owner(platform):
    assert owners(platform) == {"nic0/vsi1": "vm1.0", "nic0/vsi2": "vm2.0", "nic1/vsi1": "vm3.0"}
    assert list(adapters(platform)) == ["nic0", "nic1"]


def test_what_runs_is_in_the_processor_time_of_its_thread():
    stop = threading.Event()

    def spin() -> None:
        end = time.thread_time() + 0.05
        while time.thread_time() < end:
            pass
        stop.wait(30)

    thread = threading.Thread(target=spin, name="spinner")
    thread.start()
    deadline = time.monotonic() + 30
    while ThreadTimes().read().get("spinner", (0, 0))[0] < 40_000_000 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert ThreadTimes().read()["spinner"][0] >= 40_000_000
    stop.set()
    thread.join()


def seen(times: ThreadTimes, names: set[str]) -> None:
    """Threads of these names are there; a new one takes its name when it runs first."""
    deadline = time.monotonic() + 30
    while not names <= set(times.read()):
        assert time.monotonic() < deadline, set(times.read())
        time.sleep(0.01)


def test_workers_bear_the_name_of_their_adapter(platform):
    times, workers = ThreadTimes(["nic0", "nic1"]), {"nic0-worker0", "nic1-worker0"}
    with platform:
        seen(times, workers | {"host-interrupts", "guests"})
        # One that goes does not give its name to the other.
        adapters(platform)["nic0"].stop()
        assert workers & set(times.read()) == {"nic1-worker0"}
        adapters(platform)["nic0"].start()
        seen(times, workers)
    assert not workers & set(times.read())


def test_a_system_without_threads_files_still_tells_of_the_process(monkeypatch, tmp_path):
    monkeypatch.setattr("siov.observe.cputime.TASKS", tmp_path / "none")
    [(name, (run, waited))] = ThreadTimes().read().items()
    assert (name, waited) == ("process", 0)
    assert run > 0


class Counter:
    """A server whose counter goes up by ten a look, and a clock that goes on by a second."""

    def __init__(self) -> None:
        self.looks = 0

    def look(self) -> dict[str, int]:
        self.looks += 1
        return {"a": 10 * self.looks}

    def now(self) -> float:
        return float(self.looks)


def test_the_rate_now_is_over_the_last_second_only():
    counter = Counter()
    sampler = Sampler(counter.look, counter.now)
    assert sampler.rate("a") == 0.0
    for _ in range(50):
        sampler.take()
    assert sampler.rate("a") == 10.0
    assert len(sampler.recent) <= 3
    assert sampler.rate("none") == 0.0


def test_the_first_and_the_last_look_are_at_the_ends_of_the_context():
    counter, shown = Counter(), []
    sampler = Sampler(
        counter.look, counter.now, interval=3600, on_sample=lambda s: shown.append(len(s.series))
    )
    with sampler:
        assert counter.looks == 1
    assert counter.looks == 2
    assert shown == [2]
    assert sampler.series.total("a") == 10


def test_an_error_of_a_look_ends_the_looks_and_nothing_else(caplog):
    counter = Counter()

    def broken(_: Sampler) -> None:
        raise RuntimeError("a bug of ours")

    sampler = Sampler(counter.look, counter.now, interval=0.001, on_sample=broken)
    with sampler:
        deadline = time.monotonic() + 30
        while sampler.failure is None and time.monotonic() < deadline:
            time.sleep(0.001)
    assert str(sampler.failure) == "a bug of ours"
    assert "can't be looked at" in caplog.text
    assert counter.looks == 2


def test_who_costs_much_is_looked_at_less_often(monkeypatch):
    waits: list[float] = []

    class Stop:
        def wait(self, seconds: float) -> bool:
            waits.append(seconds)
            return True

    sampler = Sampler(Counter().look, interval=0.25)
    sampler._stopping = Stop()  # type: ignore[assignment]
    sampler.cost = 0.001
    sampler._run()
    sampler.cost = 0.1
    sampler._run()
    assert waits == [0.25, pytest.approx(0.1 / sample.SHARE)]
