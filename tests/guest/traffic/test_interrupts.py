"""The hunt for interrupts that are lost or late: answers to single questions, at times that fit nothing.

An interrupt that is lost shows as an answer that comes with the next frame only, or never: the driver looks
after receive queues only when they fire. With little to do, each answer has to come soon; what a machine with
too much to do adds is the time that threads of guests and server stood ready and did not run.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from served_vdevs import Pair

from .tools import LONG, interrupts, iperf

# us; the highest moderation is 8,160, and a worker of the adapter that nobody wakes sleeps for 1,000,000.
SOON = 500_000


@pytest.fixture(params=["adaptive", "0", "8160"])
def moderation(pair: Pair, request: pytest.FixtureRequest) -> Iterator[str]:
    """How both guests moderate their interrupts: as the driver likes, not at all, as much as it can."""
    guests = pair.a, pair.b
    for guest in guests if request.param != "adaptive" else ():
        guest.check("ethtool -C eth0 adaptive-rx off adaptive-tx off")
        guest.check(f"ethtool -C eth0 rx-usecs {request.param} tx-usecs {request.param}")
    yield request.param
    for guest in guests if request.param != "adaptive" else ():
        guest.check("ethtool -C eth0 rx-usecs 50 tx-usecs 50")
        guest.check("ethtool -C eth0 adaptive-rx on adaptive-tx on")


class Patience:
    """How long an answer may take: SOON, and what a thread has been ready without running, in us."""

    def __init__(self, pair: Pair) -> None:
        self.pids = (os.getpid(), pair.a.pid, pair.b.pid)
        self.before = self._waited()

    def ends(self) -> int:
        before = self.before
        return SOON + max((now - before.get(task, 0)) // 1000 for task, now in self._waited().items())

    def _waited(self) -> dict[Path, int]:
        """Nanoseconds in the kernel's run queues, by thread."""
        found = {}
        for task in (task for pid in self.pids for task in Path(f"/proc/{pid}/task").iterdir()):
            with suppress(OSError):  # it has ended
                found[task] = int((task / "schedstat").read_text().split()[1])
        return found or {Path(): 0}  # a kernel that does not count


def answers(told: str) -> tuple[int, int, int]:
    """Answers, questions without one, and us of the slowest."""
    count, lost, slowest = map(int, told.split())
    return count, lost, slowest


def test_no_answer_is_lost_or_late_whatever_the_pauses(pair: Pair, moderation: str) -> None:
    count = 100 if moderation == "8160" else 200
    before, patience = interrupts(pair.b), Patience(pair)
    told = pair.a.check(f"net_probe ask 10.0.0.2 7 {count} 20000 1", timeout=LONG)
    got, lost, slowest = answers(told)
    assert (got, lost) == (count, 0)
    assert slowest < patience.ends()
    assert sum(interrupts(pair.b)) - sum(before) > 0


def test_no_answer_is_lost_or_late_when_four_ask_at_once(pair: Pair, moderation: str) -> None:
    count = 50 if moderation == "8160" else 150
    patience = Patience(pair)
    told = pair.a.check(
        f"""
        for n in 1 2 3 4; do net_probe ask 10.0.0.2 7 {count} 5000 $n >/tmp/asked.$n & done
        wait; cat /tmp/asked.*
        """,
        timeout=LONG,
    )
    for line in told.splitlines():
        got, lost, slowest = answers(line)
        assert (got, lost) == (count, 0)
        assert slowest < patience.ends()
    assert len(told.splitlines()) == 4


def test_who_has_slept_for_long_is_woken_at_once(pair: Pair) -> None:
    patience = Patience(pair)
    got, lost, slowest = answers(pair.a.check("net_probe ask 10.0.0.2 7 6 2500000 1"))
    assert (got, lost) == (6, 0)
    assert slowest < patience.ends()


def test_answers_go_on_after_the_noise_has_ended(pair: Pair) -> None:
    for _ in range(2):  # the last frames of a burst are those whose interrupt may be forgotten
        iperf(pair.a, "-n", "1M", "-P", "4")
        patience = Patience(pair)
        got, lost, slowest = answers(pair.a.check("net_probe ask 10.0.0.2 7 10 1000 1"))
        assert (got, lost) == (10, 0)
        assert slowest < patience.ends()


def test_the_host_sends_as_many_signals_as_the_guest_counts(pair: Pair) -> None:
    """An eventfd may carry several at once, so the guest may have counted fewer, but not none."""
    before = interrupts(pair.b)
    assert " 0% packet loss" in pair.a.check("ping -c 20 -i 0.1 10.0.0.2")
    assert sum(interrupts(pair.b)) - sum(before) >= 20
