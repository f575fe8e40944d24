"""Half an hour of traffic and disturbances: no stall, no leak, and both sides have counted the same.

`SIOV_SOAK_SECONDS` makes it shorter or longer, `SIOV_SEED` chooses other disturbances.
"""

import os
import random
import time
from collections.abc import Callable

import pytest
from served_vdevs import Pair, Served, boot, eventually, pair
from vdev_life import (
    CARRIER,
    anonymous,
    bugs,
    check_held,
    held,
    iperf_end,
    iperf_server,
    iperf_start,
    received,
)

from siov.guests.image import Rig
from siov.guests.qemu import Guest

SECONDS = int(os.environ.get("SIOV_SOAK_SECONDS", "1800"))
SEED = int(os.environ.get("SIOV_SEED", "1"))
QUIET = (5.0, 20.0)  # seconds between two disturbances
# Seconds from a disturbance's end that don't count: TCP waits longer from one lost segment to the next, and
# the driver polls for the end of a reset.
SETTLE = 10.0
STALL = 1.0  # seconds without a byte, at any other time
SIZES = (64, 128, 256, 512, 1024, 2048, 4096)
COUNTED = ("rx_bytes", "tx_bytes")


# A guest whose device is being reset loses the question, or has none that could ask it.
ANSWERED = "for i in $(seq 60); do ping -c 1 -W 1 10.0.0.2 >/dev/null && exit; sleep 0.5; done; exit 1"


class Progress:
    """The receiver's bytes as the adapter counts them, looked at ten times a second."""

    def __init__(self, vdev: Served) -> None:
        self.vdev = vdev
        self.last = received(vdev)
        self.since = self.settled = time.monotonic()
        self.stalls: list[tuple[float, float]] = []  # when, how long

    def watch(self, seconds: float) -> None:
        """Let time pass, and note how long nothing came."""
        end = time.monotonic() + seconds
        while (now := time.monotonic()) < end:
            count = received(self.vdev)
            if count != self.last:
                began = max(self.since, self.settled)
                if now - began > STALL:
                    self.stalls.append((began, now - began))
                self.last, self.since = count, now
            time.sleep(0.1)
        began = max(self.since, self.settled)
        if time.monotonic() - began > STALL:
            self.stalls.append((began, time.monotonic() - began))

    def disturbed(self) -> None:
        """What comes late from now on is the disturbance's doing, until it has settled."""
        self.settled = time.monotonic() + SETTLE


def disturbances(two: Pair, random: random.Random) -> dict[str, Callable[[], object]]:
    """What is done to one of the guests, by name."""

    def someone() -> tuple[Guest, Served]:
        return random.choice(((two.a, two.vdev_a), (two.b, two.vdev_b)))

    def flap() -> None:
        someone()[0].check(f"ip link set eth0 down; ip link set eth0 up; {CARRIER}", timeout=120)

    def resize() -> None:
        rx, tx = random.choice(SIZES), random.choice(SIZES)
        someone()[0].check(f"ethtool -G eth0 rx {rx} tx {tx} || true; {CARRIER}", timeout=120)

    return {
        "flap": flap,
        "resize": resize,
        "reset of a device": lambda: two.server.platform.mdev.reset(someone()[1].uuid),
        "reset of the function": lambda: two.server.pf.reset("PFR"),
    }


def counts(guest: Guest, vdev: Served) -> tuple[list[int], list[int]]:
    """What guest and adapter have counted; the guest asks for it once in 2 s."""
    theirs = guest.check(f"cd /sys/class/net/eth0/statistics; cat {' '.join(COUNTED)}").split()
    stats = vdev.stats()
    return [int(n) for n in theirs], [getattr(stats, name) for name in COUNTED]


@pytest.mark.long
@pytest.mark.timeout(2 * SECONDS + 1200)
def test_a_soak_of_flaps_resets_ring_sizes_and_maps(
    rig: Rig, tmp_path_factory: pytest.TempPathFactory
) -> None:
    chance = random.Random(SEED)
    with pair(rig, tmp_path_factory.mktemp("soak")) as two:
        iperf_server(two.b, 5201, 5202)
        for n, guest in enumerate((two.a, two.b), start=1):
            # Linux drops it when the link goes, and with it a filter.
            guest.check(f"ip -6 addr del fd00::{n:x}/64 dev eth0")
        churned = two.server.vdev()
        with boot(rig, (churned,), first=3, viommu=True) as (churner,):
            what = disturbances(two, chance)
            for each in what.values():  # everything has been done once before memory is measured
                each()
                two.a.check(ANSWERED, timeout=90)
            before, memory = held(two.server), anonymous()
            # An IOMMU of its own maps each frame anew: some hundred maps a second.
            iperf_start(churner, "10.0.0.2", SECONDS + 60, port=5202, more="-u -b 3M")
            iperf_start(two.a, "10.0.0.2", SECONDS + 30)
            progress = Progress(two.vdev_b)
            progress.disturbed()
            done: list[str] = []
            end = time.monotonic() + SECONDS
            while time.monotonic() < end:
                progress.watch(chance.uniform(*QUIET) + SETTLE)
                name = chance.choice(list(what))
                done.append(name)
                what[name]()
                progress.disturbed()
            progress.watch(SETTLE)
            iperf_end(two.a)
            iperf_end(churner, port=5202, patience=180)
            print({name: done.count(name) for name in what}, "stalls", progress.stalls)
            assert progress.stalls == []
            assert anonymous() < 1.05 * memory
            for each in ((two.a, two.vdev_a), (two.b, two.vdev_b)):
                # The driver asks for its statistics each 2 s; a question for a neighbour may come after that.
                assert eventually(lambda each=each: len({*map(tuple, counts(*each))}) == 1, 60), counts(*each)
            check_held(two.server, before)
            assert bugs(two.server) == {}
