"""Looks at the counters of a running server again and again: those that a run is judged by, taken in bulk."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from siov._core import Nic
from siov.hw.e810.function import E810Function
from siov.observe.cputime import ThreadTimes
from siov.observe.series import Series

if TYPE_CHECKING:
    from siov.platform import Platform

log = logging.getLogger("siov")

INTERVAL = 0.25  # seconds between two looks
SHARE = 0.02  # of one processor that looking may take; a large server is looked at less often
RECENT = 1.0  # seconds that "now" is: what is shown live is the mean over them

_VSI = ("rx_frames", "rx_bytes", "tx_frames", "tx_bytes")
_DROPS = ("rx_no_desc", "rx_errors", "rx_filtered", "tx_errors")
_SWITCHED = (*_VSI, "dropped")


def read(platform: Platform, threads: ThreadTimes | None = None) -> dict[str, int]:
    """The counters of a server by name.

    `nic0/vsi5/rx_bytes` (also frames, tx_, `dropped`), `nic0/rx_bytes` as the sum of its VSIs,
    `nic0/port0/sent_bytes`, `nic0/atc/hits`, `nic0/interrupts` with `events`, `delayed`, `disabled`,
    `vtd0/iotlb_hit` and all others of the unit, `vtd0/faults`, `vtd0/invalidations`, `host/interrupts`,
    `vm1.0/rx_bytes` and the other totals of a guest's device, and in nanoseconds `cpu/guests` and
    `wait/guests` for each of the `threads`.
    """
    counts: dict[str, int] = {}
    nics = adapters(platform)
    for name, nic in nics.items():
        _adapter(counts, name, nic.inspect())
    for unit in platform.root_complex.units:
        counts |= {f"{unit.name}/{event}": count for event, count in unit.engine.counters}
    if platform.iommu is not None and platform.root_complex.units:
        name, iommu = platform.root_complex.units[0].name, platform.iommu
        counts[f"{name}/faults"] = sum(iommu.faults.counts.values()) + iommu.faults.overflows
        kinds = iommu.queue.counts
        counts[f"{name}/invalidations"] = sum(n for kind, n in kinds.items() if kind != "wait")
    counts["host/interrupts"] = sum(list(platform.irqs.counts.values()))
    tenants = platform.tenants
    if tenants is not None:
        seats = {tenant.seat: tenant.name for tenant in list(tenants.all.values())}
        for seat, totals in tenants.loop.totals().items():
            if (guest := seats.get(seat)) is not None:
                counts.update(zip(_below(guest, tuple(totals)), totals.values(), strict=True))
    for thread, (run, waited) in threads.read().items() if threads is not None else ():
        counts[f"cpu/{thread}"], counts[f"wait/{thread}"] = run, waited
    return counts


def sample(platform: Platform) -> dict[str, Any]:
    """One look for somebody far away: the `time` in seconds of the server's clock, and its `counters`."""
    counters = read(platform, ThreadTimes(list(adapters(platform))))
    return {"time": platform.clock.now() / 1e9, "counters": counters}


def adapters(platform: Platform) -> dict[str, Nic]:
    """The engines of a server's adapters, by name."""
    functions = platform.functions.items()
    engines = ((name, f.device.engine) for name, f in functions if isinstance(f, E810Function))
    return {name: engine for name, engine in engines if isinstance(engine, Nic)}


def owners(platform: Platform) -> dict[str, str]:
    """Whose VSI it is: "nic0/vsi1" is of "vm1.0"."""
    if platform.tenants is None:
        return {}
    found = {}
    for tenant in list(platform.tenants.all.values()):
        adi = getattr(tenant.vdev.device.ops, "adi", None)
        if adi is not None:
            found[f"{tenant.spec.parent}/vsi{adi.vf_id}"] = tenant.name
    return found


@lru_cache(1 << 16)
def _below(where: str, what: tuple[str, ...]) -> tuple[str, ...]:
    """Names below a name: made once, for they are asked for with each look."""
    return tuple([f"{where}/{one}" for one in what])


def _adapter(counts: dict[str, int], name: str, state: Mapping[str, Any]) -> None:
    sums = [0] * len(_VSI)
    dropped = sum(state["dropped"].values())
    for number, row in state["vsis"].items():
        flow = [row[what] for what in _VSI]
        lost = sum([row[what] for what in _DROPS])
        counts.update(zip(_below(f"{name}/vsi{number}", _SWITCHED), (*flow, lost), strict=True))
        sums = [total + count for total, count in zip(sums, flow, strict=True)]
        dropped += lost
    for port, found in state["ports"].items():
        counts |= {f"{name}/{port}/{what}": count for what, count in found["counters"].items()}
    counts.update(zip(_below(name, _SWITCHED), (*sums, dropped), strict=True))
    counts |= {f"{name}/atc/{what}": count for what, count in state["atc"].items() if what != "held"}
    counts |= {f"{name}/{what}": count for what, count in state["interrupts"].items()}


@dataclass(slots=True)
class Sampler:
    """Takes `look()` each `interval` seconds into `series`, on a thread of its own while it is a context.

    Times are those of `now`, in seconds. `on_sample` is called after each look, on the same thread; an error
    of it, or of a look, ends the looks, and is in `failure`: the server goes on. `cost` is the processor time
    of the last look in seconds: the next one waits until looking takes no more than SHARE of a processor.
    """

    look: Callable[[], Mapping[str, int]]
    now: Callable[[], float] = time.monotonic
    interval: float = INTERVAL
    on_sample: Callable[[Sampler], None] | None = None
    series: Series = field(default_factory=Series)
    recent: deque[tuple[float, Mapping[str, int]]] = field(default_factory=deque)
    cost: float = 0.0
    failure: Exception | None = None
    _stopping: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    @classmethod
    def of(cls, platform: Platform, interval: float = INTERVAL) -> Sampler:
        """Of a server, by its clock."""
        # In virtual time there are no threads, and processors' time is none of the server's.
        real = platform.virtual_time is None
        threads = ThreadTimes(list(adapters(platform))) if real else None
        return cls(lambda: read(platform, threads), lambda: platform.clock.now() / 1e9, interval)

    def take(self) -> Mapping[str, int]:
        """Look once, now."""
        began = time.thread_time()
        counts = self.look()
        now = self.now()
        self.series.add(now, counts)
        self.recent.append((now, counts))
        while len(self.recent) > 2 and now - self.recent[1][0] >= RECENT:
            self.recent.popleft()
        self.cost = time.thread_time() - began
        return counts

    def look_if_due(self) -> None:
        """Look, and show it, if the interval is over since the last look: for who has no thread for it."""
        if not self.recent or self.now() - self.recent[-1][0] >= self.interval:
            self.step()

    def rate(self, name: str) -> float:
        """What a counter gains a second now, over the last RECENT seconds."""
        if len(self.recent) < 2:
            return 0.0
        (began, before), (end, now) = self.recent[0], self.recent[-1]
        gain = now.get(name, 0) - before.get(name, 0)
        return max(gain, 0) / (end - began) if end > began else 0.0

    def start(self) -> None:
        """Look at once, then again and again."""
        self.take()
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Look for the last time."""
        if self._thread is not None:
            self._stopping.set()
            self._thread.join()
            self._thread = None
            if self.failure is None:
                self.step()

    def __enter__(self) -> Sampler:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _run(self) -> None:
        while not self._stopping.wait(max(self.interval, self.cost / SHARE)) and self.failure is None:
            self.step()

    def step(self) -> None:
        """Look once and show it; for who has the looks in its own hands, as virtual time has."""
        try:
            self.take()
            if self.on_sample is not None:
                self.on_sample(self)
        except Exception as why:  # who looks must not stop what it looks at
            self.failure = why
            log.exception("the counters can't be looked at any more")
