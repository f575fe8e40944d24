"""How much of its traffic a server has sent, and how much of its time is over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from siov.platform import Platform

LOADS = 64  # that are looked at; of more, so many spread over all


@dataclass(slots=True, frozen=True)
class LoadProgress:
    """A load: who sends to whom, of what kind, and which part of it is done (None: it has no end)."""

    name: str
    kind: str
    part: float | None


@dataclass(slots=True)
class Progress:
    """The traffic of a server's scenario; its run ends after `until` seconds at the latest."""

    platform: Platform
    until: float

    def loads(self) -> list[LoadProgress]:
        """Each load of the scenario, as far as its guests are there."""
        tenants = self.platform.tenants
        if tenants is None:
            return []
        numbered: list[tuple[Any, Any, int]] = []
        seen: dict[str, int] = {}
        for spec in self.platform.scenario.traffic:
            tenant = tenants.find(spec.src)
            if tenant is not None:
                number = seen[tenant.name] = seen.get(tenant.name, -1) + 1
                numbered.append((spec, tenant, number))
        found, results = [], {}
        for spec, tenant, number in numbered[:: -(-len(numbered) // LOADS) or 1]:
            seat = tenant.seat
            if seat is None:
                continue
            if tenant.name not in results:
                try:
                    results[tenant.name] = tenants.loop.results(seat)["senders"]
                except KeyError:  # it has just been shut down
                    continue
            if number < len(results[tenant.name]):
                sender = results[tenant.name][number]
                found.append(LoadProgress(f"{tenant.name} → {spec.dst}", spec.kind, _part(spec, sender)))
        return found

    def part(self, seconds: float) -> float:
        """How much of the run is over: the traffic that has an end, or else its time."""
        parts = [one.part for one in self.loads()]
        known = [part for part in parts if part is not None]
        time = min(seconds / self.until, 1.0) if self.until else 1.0
        if not known or len(known) < len(parts):
            return time
        return max(time, sum(known) / len(known))


def _part(spec: Any, sender: dict[str, Any]) -> float | None:
    if spec.count is None:
        return None
    if spec.kind == "stream":
        return min(1.0, float(sender["answered"] / (spec.count * spec.flows)))
    return min(1.0, float(sender["frames"] / spec.count))
