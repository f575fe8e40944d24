"""What `siov bench vm-tcp` says of two guests, with guests that are not there."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from siov.bench import vm_pair, vm_tcp
from siov.cli import bench
from siov.cli.main import main
from siov.guests.qemu import GuestError

KINDS = ("siov", "igb", "e1000e", "virtio")


class StubPair:
    """Guests whose speed is known: the kind's, less in each later round, and slower in reverse."""

    def __init__(self, kind: str, nth: int) -> None:
        self.kind = kind
        self.speed = {"siov": 900.0, "igb": 400.0, "e1000e": 500.0, "virtio": 450.0}[kind] - 10 * nth
        self.used = 0.0

    def cpu_seconds(self) -> float:
        return self.used

    def mbps(self, frm: int, seconds: int) -> float:
        self.used += 2.0 * seconds
        return self.speed - 40 * frm

    def ping_ms(self, count: int) -> float:
        return count / 10


@pytest.fixture
def booted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    order: list[str] = []

    @contextmanager
    def pair(kind: str, rig: object) -> Iterator[StubPair]:
        order.append(kind)
        yield StubPair(kind, order.count(kind) - 1)

    monkeypatch.setattr(vm_tcp, "pair", pair)
    monkeypatch.setattr(vm_tcp.Rig, "find", lambda: None)
    return order


def test_every_kind_has_its_turn_in_every_round_and_another_one_begins_each(booted: list[str]) -> None:
    vm_tcp.measure(3, seconds=1)
    rounds = [booted[n : n + 4] for n in range(0, 12, 4)]
    assert [sorted(each) for each in rounds] == [sorted(KINDS)] * 3
    assert [each[0] for each in rounds] == ["siov", "igb", "e1000e"]


@pytest.mark.usefixtures("booted")
def test_json_has_medians_by_kind_and_each_rounds_values(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "vm-tcp", "--json", "--rounds", "3", "--seconds", "2"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["name"] == "vm-tcp"
    assert found["repeats"] == 3
    measured = ("mbps", "forward_mbps", "reverse_mbps", "ping_ms", "cpu_ns_per_byte")
    assert {f"{kind}_{what}" for kind in KINDS for what in measured} | {"over_best"} == set(found["each"])
    assert found["each"]["siov_mbps"] == [880.0, 870.0, 860.0]
    assert found["siov_mbps"] == 870.0
    assert (found["siov_forward_mbps"], found["siov_reverse_mbps"]) == (890.0, 850.0)
    assert found["igb_ping_ms"] == 1.0
    assert found["each"]["over_best"] == pytest.approx([880 / 480, 870 / 470, 860 / 460])
    # 8 s of processor time for 2 s each way.
    assert found["e1000e_cpu_ns_per_byte"] == pytest.approx(8e9 / (2 * 470 / 8 * 1e6 * 2))


def test_three_rounds_are_the_default(booted: list[str]) -> None:
    assert main(["bench", "vm-tcp"]) == 0
    assert len(booted) == 12


def test_seconds_are_refused_where_nothing_is_measured_by_the_clock(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["bench", "translate", "--seconds", "3"]) == 2
    assert "--seconds is of vm-tcp" in capsys.readouterr().err


def test_the_median_of_two_is_the_lower() -> None:
    assert bench.median([3.0, 1.0]) == 1.0


def test_what_the_receiver_got_counts() -> None:
    end = {"sum_sent": {"bits_per_second": 9e8}, "sum_received": {"bits_per_second": 8.5e8}}
    assert vm_pair.received(json.dumps({"end": end})) == 850.0
    for broken in ("", "[]", '{"error": "unable to connect"}', '{"end": {}}'):
        with pytest.raises(GuestError, match="iperf3 in the guest did not measure"):
            vm_pair.received(broken)


def test_a_mean_of_pings_is_told_only_if_none_is_lost() -> None:
    summary = "50 packets transmitted, {} packets received, {}% packet loss\n"
    times = "round-trip min/avg/max = 0.901/1.250/3.870 ms\n"
    assert vm_pair.mean_of_ping(summary.format(50, 0) + times) == 1.25
    for lost in (2, 10, 100):
        with pytest.raises(GuestError, match="lost something"):
            vm_pair.mean_of_ping(summary.format(50 - lost // 2, lost) + times)
