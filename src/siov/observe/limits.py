"""What limited a run, out of its counters, in plain words: the rules, and what they found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from siov.observe.counters import DROPPED, REFUSED, Row
from siov.observe.series import Series

BUSY = 0.85  # of the time that a thread ran: it is what the others wait for
CROWDED = 0.2  # of the time that threads were ready and had no processor
MET = 0.95  # of a set rate that counts as the rate
MISSES = 0.1  # of look-ups in a cache that find nothing: walks are worth a word
HELD = 0.3  # of interrupts that waited for a timer
LOST = 0.001  # of frames
RETRIED = 0.05  # of frames that found no room in a queue at first


@dataclass(slots=True, frozen=True)
class Load:
    """One of the run's traffics: its name, the rate that was set (frames a second), what became of it."""

    name: str
    kind: str
    rate: int | None
    frames: int
    done: bool
    p50: int = 0  # nanoseconds until an answer, of requests


@dataclass(slots=True, frozen=True)
class Finding:
    """Something that limited the run: `what` it is, `why` that is thought, `share` to compare it by."""

    what: str
    why: str
    share: float


@dataclass(slots=True, frozen=True)
class Run:
    """What the rules look at: the series of counters, what was sent, what was dropped or refused."""

    series: Series
    loads: Sequence[Load]
    rows: Sequence[Row]
    nics: Sequence[str]
    units: Sequence[str]
    cpus: int

    def sum(self, *names: str) -> int:
        """What counters have gained together."""
        return sum(self.series.total(name) for name in names)

    @property
    def frames(self) -> int:
        """Frames that VSIs sent or received."""
        return sum(self.sum(f"{nic}/tx_frames", f"{nic}/rx_frames") for nic in self.nics)

    def busy(self, *names: str) -> list[bool]:
        """For each stretch of the series, whether one of these counters went up."""
        rates = [self.series.rate(name) for name in names]
        return [any(each) for each in zip(*rates, strict=True)] if rates else []

    def during(self, name: str, when: Sequence[bool]) -> float:
        """What a counter gains a second in these stretches."""
        times = self.series.times
        spans = [end - begin for begin, end in pairwise(times)]
        chosen = [(r, s) for r, s, w in zip(self.series.rate(name), spans, when, strict=True) if w]
        seconds = sum(span for _, span in chosen)
        return sum(rate * span for rate, span in chosen) / seconds if seconds else 0.0

    def moving(self) -> list[bool]:
        """For each stretch, whether frames moved."""
        return self.busy(*(f"{nic}/{way}_frames" for nic in self.nics for way in ("tx", "rx")))


def limits(run: Run) -> list[Finding]:
    """What limited a run, the heaviest first; one that says so when nothing did."""
    if not run.frames:
        return [Finding("no traffic", "no frame was sent.", 0.0)]
    found = sorted(
        (
            *_processors(run),
            *_moderation(run),
            *_translation(run),
            *_drops(run),
            *_queues(run),
        ),
        key=lambda one: -one.share,
    )
    return [*_rates(run, found), *found]


def _rates(run: Run, found: Sequence[Finding]) -> Iterator[Finding]:
    """Whether it was the traffic itself: at its set rate, all sent, or waiting for answers."""
    paced = [load for load in run.loads if load.rate is not None]
    free = [load for load in run.loads if load.rate is None]
    slow = [(load, now) for load in paced if (now := _achieved(run, load)) < MET * (load.rate or 0)]
    if paced and not slow and not free:
        why = f"{_all(paced)} at the rate that was set; no part of the server held it back."
        yield Finding("nothing: the traffic was at its set rate", why, 2.0)
        return
    for load, now in slow:
        why = f"{load.name} was to send {load.rate:,} frames a second, and sent {now:,.0f}."
        yield Finding("below the set rate", why, 1.5)
    if not found and free:
        closed = [load for load in free if load.kind in ("request", "stream")]
        if closed:
            why = (
                f"no part was busy all the time: {_all(closed)} only what was answered or acknowledged, "
                "so the time until an answer set the pace."
            )
            yield Finding("the time until an answer", why, 1.0)
        else:
            yield Finding("nothing that the counters show", "no part was busy all the time.", 0.0)


def _all(loads: Sequence[Load]) -> str:
    names = ", ".join(load.name for load in loads[:4]) + (" and others" if len(loads) > 4 else "")
    return f"{names} sent" if len(loads) > 1 else f"{names} was sent"


def _achieved(run: Run, load: Load) -> float:
    """Frames a second while it was sent, without the first and last stretch: they may be partly without."""
    name = f"{load.name.split()[0]}/tx_frames"
    when = run.busy(name)
    on = [n for n, yes in enumerate(when) if yes]
    inner = [on[0] < n < on[-1] and yes for n, yes in enumerate(when)] if len(on) > 2 else when
    return run.during(name, inner)


def _processors(run: Run) -> Iterator[Finding]:
    moving = run.moving()
    threads = [name.removeprefix("cpu/") for name in run.series.columns if name.startswith("cpu/")]
    ran = {name: run.during(f"cpu/{name}", moving) / 1e9 for name in threads}
    waited = {name: run.during(f"wait/{name}", moving) / 1e9 for name in threads}
    for name, share in ran.items():
        if share >= BUSY:
            yield Finding(_THREADS.get(name, f"the thread {name}"), _busy(name, share), share)
    together, without = sum(ran.values()), sum(waited.values())
    if without >= CROWDED * max(together + without, 0.5):
        yield Finding(
            "processors",
            f"threads that had something to do waited for a processor {without / (together + without):.0%} "
            f"of their time: this machine's {run.cpus} were busy, with this server's {len(threads)} threads "
            "or with other programs.",
            min(1.0, without / max(together, 0.01)) * 0.9,
        )


_THREADS = {"guests": "the guests' processor", "host-interrupts": "the host's interrupt handlers"}


def _busy(name: str, share: float) -> str:
    if name == "guests":
        return f"the thread that all embedded guests run on was busy {share:.0%} of the time."
    if "-worker" in name:
        return f"{name}, which moves the frames of an adapter's queues, was busy {share:.0%} of the time."
    return f"{name} was busy {share:.0%} of the time."


def _moderation(run: Run) -> Iterator[Finding]:
    fired = run.sum(*(f"{nic}/interrupts" for nic in run.nics))
    delayed = run.sum(*(f"{nic}/delayed" for nic in run.nics))
    asked = [load for load in run.loads if load.kind == "request" and load.frames]
    if fired and delayed >= HELD * fired:
        answers = f" An answer took {asked[0].p50 / 1000:.0f} µs (p50)." if asked else ""
        why = (
            f"{delayed / fired:.0%} of the {fired:,} interrupts had to wait until ITR or INTRL allowed them."
            f"{answers} Shorter intervals (itr) mean earlier answers and more interrupts."
        )
        # What waits for answers feels it; what streams does not.
        yield Finding("interrupt moderation", why, delayed / fired * (0.8 if asked else 0.3))


def _translation(run: Run) -> Iterator[Finding]:
    for unit in run.units:
        asked, hit = run.sum(f"{unit}/iotlb_lookup"), run.sum(f"{unit}/iotlb_hit")
        reads, missed = run.sum(f"{unit}/iommu_mrds"), asked - hit
        if missed >= MISSES * asked and missed >= LOST * run.frames:
            why = (
                f"{missed / asked:.0%} of {asked:,} look-ups in the IOTLB of {unit} missed: "
                f"{missed / run.frames:.2f} walks and {reads / run.frames:.1f} reads of tables a frame. "
                "A larger IOTLB, larger pages or a device TLB would help."
            )
            yield Finding("translation: IOTLB misses", why, min(0.95, missed / run.frames))
    for nic in run.nics:
        asked, hit = run.sum(f"{nic}/atc/lookups"), run.sum(f"{nic}/atc/hits")
        if asked and asked - hit >= MISSES * asked:
            why = f"{(asked - hit) / asked:.0%} of {asked:,} look-ups in the device TLB of {nic} missed."
            yield Finding("translation: device TLB misses", why, min(0.9, (asked - hit) / run.frames))


def _drops(run: Run) -> Iterator[Finding]:
    for row in run.rows:
        if row.topic == REFUSED:
            why = f"{row.where}: {row.count:,} {row.what}: {row.why}."
            yield Finding("faults", why, min(1.0, row.count / run.frames))
        elif row.topic == DROPPED and row.count >= LOST * run.frames:
            why = f"{row.where}: {row.count:,} {row.what}: {row.why}."
            what = "too few receive descriptors" if "RDPC" in row.why else "drops"
            yield Finding(what, why, min(1.0, row.count / run.frames))


def _queues(run: Run) -> Iterator[Finding]:
    guests = sorted({load.name.split()[0] for load in run.loads})
    full = run.sum(*(f"{guest}/tx_full" for guest in guests))
    sent = run.sum(*(f"{guest}/tx_frames" for guest in guests))
    if sent and full >= RETRIED * sent:
        why = f"guests found no room in a transmit queue {full:,} times: the adapter took frames more slowly."
        yield Finding("full transmit queues", why, min(0.7, full / sent))
