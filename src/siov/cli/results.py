"""What a run has counted, for people and machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from siov.cli.control import columns
from siov.cli.guest_tables import facts
from siov.observe.counters import Snapshot
from siov.platform import Platform

# How many devices are looked at one by one: each costs a comparison for every event of the unit.
DEVICES = 64


@dataclass(slots=True)
class Results:
    """Counts from when it is made on."""

    platform: Platform
    before: Snapshot = field(init=False)
    began: int = field(init=False)  # of the server's clock, in nanoseconds
    _filters: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        tenants = self.platform.tenants
        for tenant in list(tenants.all.values())[:DEVICES] if tenants is not None else ():
            pasid = tenant.vdev.device.pasid
            self._filters[tenant.name] = self._unit.add_filter(pasid=pasid)
        self.before = Snapshot.of(self.platform.inspect())
        self.began = self.platform.clock.now()

    def gather(self) -> dict[str, Any]:
        """`devices`, `guests` and what they found, `translation` of each, `events`, `changes` of counters."""
        tenants = self.platform.tenants
        return {
            "seconds": (self.platform.clock.now() - self.began) / 1e9,
            "devices": facts(tenants) if tenants is not None else [],
            "guests": tenants.results() if tenants is not None else {},
            "translation": {name: self._translation(number) for name, number in self._filters.items()},
            "events": self.platform.events.inspect(),
            "changes": Snapshot.of(self.platform.inspect()).since(self.before),
        }

    @property
    def _unit(self) -> Any:
        return self.platform.root_complex.units[0].engine

    def _translation(self, number: int) -> dict[str, int]:
        return {name: count for name, count in self._unit.filtered(number) if count}


def events(rows: Sequence[Mapping[str, Any]]) -> str:
    """One line for each event: when it was to be and when it was, to whom, what came of it."""
    cells = [("event", "at", "began", "took", "target", "outcome")]
    for row in rows:
        began, ended = row["began"], row["ended"]
        took = f"{(ended - began) * 1000:.1f} ms" if ended is not None else ""
        outcome = {"done": row["outcome"], "due": "its time did not come"}.get(row["state"])
        cells.append(
            (
                row["kind"],
                f"{row['at']:g} s",
                f"{began:.3f} s" if began is not None else "",
                took,
                row["target"],
                outcome or f"{row['state']}: {row['outcome']}",
            )
        )
    return columns(cells)
