"""The end of a run as data: what the terminal, the JSON file and the HTML report tell."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from siov.observe.counters import Row, explain
from siov.observe.limits import Finding, Load, Run, limits
from siov.observe.sample import adapters, owners
from siov.observe.series import Series

if TYPE_CHECKING:
    from siov.platform import Platform

SHOWN = 64  # VSIs, and devices of guests, whose series are told: the busiest

# Caches by the names that are told, each with the counters of its hits and its look-ups.
UNIT_CACHES = (
    ("iotlb", "iotlb_hit", "iotlb_lookup"),
    ("pasid_cache", "pasid_cache_hit", "pasid_cache_lookup"),
    ("ctxt_cache", "ctxt_cache_hit", "ctxt_cache_lookup"),
    ("fs_nonleaf", "fs_nonleaf_hit", "fs_nonleaf_lookup"),
    ("ss_nonleaf", "ss_nonleaf_hit", "ss_nonleaf_lookup"),
)
_FLOW = ("rx_frames", "rx_bytes", "tx_frames", "tx_bytes", "dropped")


@dataclass(slots=True, frozen=True)
class Summary:
    """A run that is over; `who` has a VSI's guest, `results` what each guest's device has done and found.

    Each of `events` has `kind`, `target`, `state`, `outcome`, and the seconds at which it `began` and `ended`
    (None: it has not). `more` is what else the JSON shall have, by its keys.
    """

    scenario: str
    seconds: float
    series: Series
    results: Mapping[str, Mapping[str, Any]]
    changes: Mapping[str, int]
    loads: Sequence[Load]
    who: Mapping[str, str]
    nics: Sequence[str]
    units: Sequence[str]
    events: Sequence[Mapping[str, Any]] = ()
    more: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        platform: Platform,
        series: Series,
        results: Mapping[str, Mapping[str, Any]],
        changes: Mapping[str, int],
        seconds: float,
        events: Sequence[Mapping[str, Any]] = (),
        more: Mapping[str, Any] = MappingProxyType({}),
    ) -> Summary:
        """Of a server whose guests still are there."""
        return cls(
            platform.scenario.name,
            seconds,
            series,
            results,
            changes,
            _loads(platform, results),
            owners(platform),
            list(adapters(platform)),
            [unit.name for unit in platform.root_complex.units],
            events,
            dict(more),
        )

    @property
    def rows(self) -> list[Row]:
        """What the changes mean."""
        return explain(self.changes)

    @property
    def limits(self) -> list[Finding]:
        """What limited it."""
        cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return limits(Run(self.series, self.loads, self.rows, self.nics, self.units, cpus))

    def vsis(self) -> list[str]:
        """All that passed a frame or dropped one, the busiest first."""
        found = {name.rpartition("/")[0] for name in self.series.columns if "/vsi" in name}
        busy = {vsi: sum(self.series.total(f"{vsi}/{what}") for what in _FLOW) for vsi in found}
        return sorted((vsi for vsi, count in busy.items() if count), key=lambda vsi: (-busy[vsi], vsi))

    def guests(self) -> list[str]:
        """Devices of guests that sent or received, the busiest first."""
        busy = {
            name: self.series.total(f"{name}/rx_bytes") + self.series.total(f"{name}/tx_bytes")
            for name in self.results
        }
        return sorted((name for name, count in busy.items() if count), key=lambda name: (-busy[name], name))

    def hit_rates(self) -> dict[str, dict[str, float]]:
        """Hits by look-ups of each cache that was asked, such as `{"vtd0": {"iotlb": 0.98}}`."""
        found: dict[str, dict[str, float]] = {}
        caches = [(unit, *cache) for unit in self.units for cache in UNIT_CACHES]
        caches += [(nic, "atc", "atc/hits", "atc/lookups") for nic in self.nics]
        for where, name, hits, lookups in caches:
            asked = self.series.total(f"{where}/{lookups}")
            if asked:
                hit = self.series.total(f"{where}/{hits}")
                found.setdefault(where, {})[name] = round(min(hit / asked, 1.0), 6)
        return found

    def flows(self, places: Sequence[str]) -> dict[str, dict[str, Any]]:
        """What VSIs or adapters passed on: counts, and means over the run in bits and frames a second."""
        found: dict[str, dict[str, Any]] = {}
        for place in places:
            counts = {what: self.series.total(f"{place}/{what}") for what in _FLOW}
            means = {
                f"{way}_bits_per_second": round(counts[f"{way}_bytes"] * 8 / self.series.seconds)
                if self.series.seconds
                else 0
                for way in ("rx", "tx")
            }
            found[place] = (
                {"guest": self.who[place], **counts, **means} if place in self.who else counts | means
            )
        return found

    def interrupts(self) -> dict[str, dict[str, int]]:
        """Of each adapter: events, the interrupts that took them along, how many of these had to wait."""
        kinds = ("events", "interrupts", "delayed", "disabled")
        return {nic: {kind: self.series.total(f"{nic}/{kind}") for kind in kinds} for nic in self.nics}

    def to_json(self) -> dict[str, Any]:
        """For machines; the keys are told in the documentation."""
        return {
            **self.more,
            "scenario": self.scenario,
            "seconds": self.seconds,
            "guests": self.results,
            "nics": self.flows(self.nics),
            "vsis": self.flows(self.vsis()),
            "hit_rates": self.hit_rates(),
            "interrupts": self.interrupts(),
            "limits": [asdict(one) for one in self.limits],
            "events": list(self.events),
            "series": self.told_series(),
            "changes": self.changes,
        }

    def told_series(self) -> dict[str, Any]:
        """Seconds since the first look, and what each counter had gained by then.

        Of VSIs and guests only the SHOWN busiest are there, and no counter that gained nothing.
        """
        series = self.series
        shown = {*self.vsis()[:SHOWN], *self.guests()[:SHOWN]}
        hidden = {*self.vsis(), *self.results} - shown
        columns = {
            name: [max(0, value - column[0]) for value in column]
            for name, column in sorted(series.columns.items())
            if column and column[-1] != column[0] and name.rpartition("/")[0] not in hidden
        }
        return {"seconds": [round(t - series.times[0], 6) for t in series.times], "counters": columns}


def _loads(platform: Platform, results: Mapping[str, Mapping[str, Any]]) -> list[Load]:
    """The scenario's traffic with what became of it; a device's loads are in the scenario's order."""
    found, seen = [], dict.fromkeys(results, 0)
    for spec in platform.scenario.traffic:
        src = spec.src if "." in spec.src else f"{spec.src}.0"
        if src not in results or seen[src] >= len(results[src]["senders"]):
            continue
        sender = results[src]["senders"][seen[src]]
        seen[src] += 1
        p50 = sender["latency"]["p50"] if spec.kind == "request" else 0
        found.append(
            Load(f"{src} to {spec.dst}", spec.kind, spec.rate, sender["frames"], sender["done"], p50 or 0)
        )
    return found
