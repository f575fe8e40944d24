"""Virtual time: what happens, and when, follows from the scenario and the seed alone."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from siov.cli.main import main
from siov.errors import ScenarioError
from siov.platform import Platform, build
from siov.scenario import parse

PATIENCE = 120  # seconds that a process may take
# Runs the command in a process of its own, and writes down all that the server says of itself before it ends.
PROGRAM = """
import json, sys
from pathlib import Path
from siov.cli.main import main
from siov.platform import Platform

unload = Platform.unload

def look(platform):
    Path(sys.argv[1]).write_text(json.dumps(platform.inspect()))
    unload(platform)

Platform.unload = look
sys.exit(main(["run", "--virtual-time", *sys.argv[2:]]))
"""
# Keeps a processor busy until it is ended.
BUSY = "while True: pass"

FRAME = 1_000  # bytes on the line, with all that is around the frame
NIC0, NIC1 = "02:00:00:00:00:01", "02:00:00:00:00:02"


def vdev(parent: str = "nic0", **more: Any) -> dict[str, Any]:
    return {"parent": parent, "type": "vdcm-1", **more}


def server(*traffic: dict[str, Any], seed: int = 0, speed: int = 1_000, **more: Any) -> Platform:
    """Two guests on an adapter and one on another, joined by a cable; keys of their devices in `more`."""
    nic = {"workers": 1, "port": {"kind": "cable", "to": "c", "speed": speed}}
    described = {
        "iommu": {},
        "ice": {"queues": 0},
        "machine": {"memory": "128M"},
        "function": [
            {"name": "nic0", "at": "01.0", "model": "e810", "nic": {"mac": NIC0, **nic}},
            {"name": "nic1", "at": "02.0", "model": "e810", "nic": {"mac": NIC1, **nic}},
        ],
        "guest": [
            {"name": "vm1", "memory": "8M", "vdevs": [vdev(**more)]},
            {"name": "vm2", "memory": "8M", "vdevs": [vdev(**more)]},
            {"name": "vm3", "memory": "8M", "vdevs": [vdev("nic1", **more)]},
        ],
        "traffic": traffic,
    }
    platform = build(parse(described, "test"), virtual_time=True, seed=seed)
    platform.boot()
    return platform


@contextmanager
def served(*traffic: dict[str, Any], **more: Any) -> Iterator[Platform]:
    platform = server(*traffic, **more)
    try:
        yield platform
    finally:
        platform.unload()


def everything(platform: Platform) -> str:
    """All that can be seen of a server, in the order in which it is told."""
    assert platform.tenants is not None
    tenants = platform.tenants
    flows = [tenants.loop.flows(tenant.seat) for tenant in tenants.all.values() if tenant.seat is not None]
    seen = (platform.clock.now(), platform.inspect(), tenants.results(), flows)
    return json.dumps(seen, default=bytes.hex)


def rings(platform: Platform, name: str) -> dict[str, int]:
    assert platform.tenants is not None
    found: dict[str, int] = platform.tenants.results()[name]["rings"]
    return found


def sent(platform: Platform, name: str) -> int:
    assert platform.tenants is not None
    found: int = platform.tenants.results()[name]["senders"][0]["frames"]
    return found


MIXED = (
    {"kind": "request", "src": "vm1", "dst": "vm3", "count": 300, "sizes": [64, 1400], "depth": 4},
    {"kind": "generate", "src": "vm2", "dst": "vm3", "rate": 30_000, "sizes": [64, 1000], "flows": 3},
    {"kind": "stream", "src": "vm1", "dst": "vm2", "count": "1M", "flows": 2},
)


# The same scenario, twice.


def run_alone(folder: Path, hashes: int) -> tuple[str, str, str]:
    """The built-in scenario in a process of its own: what it printed, its JSON and its inspect tree."""
    tree, numbers = folder / f"{hashes}.tree", folder / f"{hashes}.json"
    command = [sys.executable, "-c", PROGRAM, str(tree), "--seed", "3", "--json", str(numbers)]
    ended = subprocess.run(
        command,
        env={"PYTHONHASHSEED": str(hashes)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    return ended.stdout, numbers.read_text(), tree.read_text()


def test_the_built_in_scenario_gives_the_same_text_numbers_and_tree_twice_bit_for_bit(tmp_path):
    first = run_alone(tmp_path, 1)
    assert "every byte as sent, in order" in first[0]
    assert "after 1.0 s" in first[0]
    busy = subprocess.Popen([sys.executable, "-c", BUSY])  # and how much else the machine does matters not
    try:
        assert run_alone(tmp_path, 2) == first
    finally:
        busy.kill()
        busy.wait()


def test_a_seed_determines_what_guests_send_and_when(tmp_path):
    """A capture has the time and every byte of each frame, and the UUID of its device."""

    def run(name: str, seed: int) -> tuple[bytes, str]:
        with served(*MIXED, seed=seed) as platform:
            platform.capture.start("*/*", path=tmp_path / name)
            platform.sleep(0.002)
            platform.capture.stop()
            return (tmp_path / name).read_bytes(), everything(platform)

    first, other = run("first", 5), run("other", 6)
    assert len(first[0]) > 50_000
    assert (run("second", 5), run("again", 6)) == (first, other)
    assert first[0] != other[0]
    assert first[1] != other[1]


def test_how_a_stretch_of_time_is_divided_changes_nothing():
    def run(move: Callable[[Platform], object]) -> str:
        with served(*MIXED) as platform:
            move(platform)
            return everything(platform)

    def in_pieces(platform: Platform) -> None:
        for piece in (7, 1, 13, 333, 500_000, 2_499_646, 7_000_000):  # nanoseconds
            platform.sleep(piece / 1e9)

    def by_ticks(platform: Platform) -> None:
        assert platform.virtual_time is not None
        ticks: list[float] = []
        assert platform.virtual_time.run(
            0.01, tick=0.0003, on_tick=lambda: ticks.append(platform.clock.now())
        )
        assert len(ticks) == 34
        assert ticks[:2] == [300_000, 600_000]
        assert ticks[-1] == 10_000_000

    whole = run(lambda platform: platform.sleep(0.01))
    assert run(in_pieces) == whole
    assert run(by_ticks) == whole


def test_what_is_done_to_a_server_on_its_way_is_part_of_the_same_run():
    def run() -> tuple[str, str]:
        with served(*MIXED) as platform:
            platform.tracer.start([])
            platform.sleep(0.001)
            platform.netdev("vm1").ethtool(["-G", "tx", "128"])
            platform.sleep(0.001)
            assert platform.tenants is not None
            platform.tenants.remove("vm2")
            platform.bridge("nic0").setlink(1)
            platform.sleep(0.002)
            assert platform.tenants.failures == platform.threads.failures == []
            platform.tracer.stop()
            return everything(platform), repr(platform.tracer.steps())

    first = run()
    assert run() == first
    assert "VIRTCHNL_OP" in first[1] or "ENABLE_QUEUES" in first[1]


# Time goes on only when somebody has it go on.


def test_time_does_not_go_on_while_nobody_has_it_pass():
    with served(*MIXED) as platform:
        platform.start()
        platform.sleep(0.001)
        before, threads = everything(platform), threading.active_count()
        tasks = len(list(Path("/proc/self/task").iterdir()))
        time.sleep(0.1)
        assert everything(platform) == before
        with platform:
            assert threading.active_count() == threads
            assert len(list(Path("/proc/self/task").iterdir())) == tasks
        assert platform.inspect("host/threads/running") is False


def test_when_nothing_is_due_a_day_passes_at_once():
    with served() as platform:
        platform.sleep(1)
        before = platform.inspect()
        platform.sleep(86_400)
        assert platform.clock.now() == 86_401 * 10**9
        assert platform.inspect() == before


def test_a_tick_that_says_so_ends_a_run_there():
    with served(*MIXED) as platform:
        passes = platform.virtual_time
        assert passes is not None
        assert not passes.run(1.0, tick=0.001, on_tick=lambda: passes.now >= 0.003)
        assert platform.clock.now() == 3_000_000
        with pytest.raises(ValueError, match="more than 0 s"):
            passes.run(2.0, tick=0.0, on_tick=lambda: None)


def test_what_is_on_the_agenda_is_done_at_its_time_however_time_is_divided():
    def run(*pieces: float) -> tuple[list[int], str]:
        with served(*MIXED) as platform:
            done: list[int] = []
            times = [0, 1_234_567, 2_000_000, 2_000_000, 9_000_000]

            def agenda() -> int | None:
                while times and times[0] <= platform.clock.now():
                    done.append(platform.clock.now())
                    platform.bridge("nic0").setlink(len(times) % 2)
                    times.pop(0)
                return times[0] if times else None

            assert platform.virtual_time is not None
            platform.virtual_time.agenda = agenda
            for piece in pieces:
                platform.sleep(piece)
            return done, everything(platform)

    whole = run(0.009)
    assert whole[0] == [0, 1_234_567, 2_000_000, 2_000_000, 9_000_000]
    assert run(0.001, 0.001, 0.007) == whole
    assert run(0.0, 0.0012, 0.0078) == whole


def test_who_waits_for_what_never_comes_has_waited_as_long_as_it_meant_to():
    with served() as platform:
        passes = platform.virtual_time
        assert passes is not None
        began = platform.clock.now()
        assert not passes.wait(lambda: False, 0.25)
        assert platform.clock.now() == began + 250_000_000
        assert passes.wait(lambda: platform.clock.now() > began + 260_000_000, 1.0)
        assert platform.clock.now() < began + 262_000_000


# Rates, moderation and the line.


@pytest.mark.parametrize("rate", [1, 999, 20_000, 100_000])
def test_a_rate_is_kept_to_the_nanosecond(rate):
    load = {"kind": "generate", "src": "vm1", "dst": "vm2", "rate": rate, "sizes": [64]}
    with served(load) as platform:
        for number in (1, 2, 7, 40):  # the frame of each number is sent at (number - 1) / rate
            due = (number - 1) * 10**9 // rate
            platform.sleep((due - 1 - platform.clock.now()) / 1e9 if due else 0)
            if due:
                assert sent(platform, "vm1.0") == number - 1
                platform.sleep(1e-9)
            assert sent(platform, "vm1.0") == number


def test_traffic_takes_its_count_divided_by_its_rate():
    load = {"kind": "generate", "src": "vm1", "dst": "vm3", "rate": 20_000, "count": 1_000, "sizes": [64]}
    with served(load) as platform:
        platform.sleep(999 / 20_000 - 1e-9)
        assert platform.tenants is not None
        assert not platform.tenants.done
        platform.sleep(1e-9)
        assert sent(platform, "vm1.0") == 1_000
        platform.sleep(100e-6)  # until it is reported, and over the cable
        assert platform.tenants.done
        assert platform.tenants.results()["vm3.0"]["checked"]["in_order"] == 1_000


@pytest.mark.parametrize("itr", [20, 50, 100, 500])
def test_throttling_of_so_many_microseconds_gives_an_interrupt_in_each_of_these(itr):
    """The frames are 5 µs apart, so one always waits when the timer runs out."""
    load = {"kind": "generate", "src": "vm1", "dst": "vm2", "rate": 200_000, "sizes": [64]}
    with served(load, itr=itr, speed=10_000) as platform:
        platform.sleep(0.01)
        before = rings(platform, "vm2.0")["interrupts"]
        platform.sleep(0.1)
        assert rings(platform, "vm2.0")["interrupts"] - before == 100_000 // itr


def test_without_throttling_each_frame_that_comes_alone_interrupts():
    load = {"kind": "generate", "src": "vm1", "dst": "vm2", "rate": 10_000, "count": 200, "sizes": [64]}
    with served(load, itr=0) as platform:
        platform.sleep(0.05)
        assert rings(platform, "vm2.0")["interrupts"] == 200


def test_an_answer_takes_as_long_as_throttling_holds_back_the_two_interrupts_for_it():
    load = {"kind": "request", "src": "vm1", "dst": "vm2", "count": 100, "sizes": [64]}
    with served(load, itr=50) as platform:
        platform.sleep(0.02)
        assert platform.tenants is not None
        assert platform.tenants.done
        latency = platform.tenants.results()["vm1.0"]["senders"][0]["latency"]
        assert latency["p50"] == 100_000


@pytest.mark.parametrize("speed", [100, 1_000, 10_000])
def test_frames_take_the_time_that_they_are_on_the_line(speed):
    """The oracle is IEEE 802.3: preamble 8 octets, check sequence 4, gap 12, at the speed of the port."""
    payload = FRAME - 24
    load = {"kind": "generate", "src": "vm1", "dst": "vm3", "sizes": [payload]}
    with served(load, itr=0, speed=speed) as platform:
        platform.sleep(1000 * FRAME * 8e-6 / speed)  # for a thousand frames
        assert platform.tenants is not None
        counters = platform.tenants.results()["vm1.0"]["rings"]
        size = platform.tenants.results()["vm1.0"]["senders"][0]["bytes"] / sent(platform, "vm1.0")
        assert size == payload
        # At the moment at which the line is free again, the next batch is on its way.
        assert 1_000 <= counters["tx_done"] <= 1_000 + 64
        assert platform.tenants.results()["vm3.0"]["checked"]["in_order"] > 900
        assert platform.tenants.wrong == 0


# What can't be.


def test_a_port_that_leads_out_of_the_server_is_refused(tmp_path, capsys):
    path = tmp_path / "tap.toml"
    path.write_text(
        f"""
        [[function]]
        name = "nic0"
        at = "01.0"
        model = "e810"
        nic = {{ mac = "{NIC0}", port = {{ kind = "dgram", path = "{tmp_path}/a", peer = "{tmp_path}/b" }} }}
        """
    )
    assert main(["run", str(path), "--virtual-time"]) == 2
    assert "the port of nic0 is of kind dgram" in capsys.readouterr().err


@pytest.mark.parametrize("seed", ["-1", str(1 << 64)])
def test_a_seed_out_of_range_is_refused(seed, capsys):
    assert main(["run", "--virtual-time", "--seed", seed]) == 2
    assert "0 to 2^64 - 1" in capsys.readouterr().err


def test_real_time_can_not_be_stepped():
    from siov._core import Bus, Clock, HostMemory, Stepper

    with pytest.raises(ValueError, match="virtual clock"):
        Stepper(Bus(HostMemory(1 << 21)), Clock(), [])


def test_a_scenario_error_names_the_port_and_the_choices():
    nic = {"mac": NIC0, "port": {"kind": "stream", "path": "/nowhere", "listen": False}}
    given = {"function": [{"name": "nic0", "at": "01.0", "model": "e810", "nic": nic}]}
    with pytest.raises(ScenarioError, match="cable, bridge, pcap and none"):
        build(parse(given, "test"), virtual_time=True)
