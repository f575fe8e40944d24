"""What is shown of a server beside its counters: its parts, who is behind a VSI, how far its traffic is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from siov.observe.sample import adapters, owners

if TYPE_CHECKING:
    from siov.platform import Platform

LOADS = 64  # that are looked at; of more, so many spread over all


@dataclass(slots=True, frozen=True)
class Load:
    """Who sends to whom, of what kind, and which part of it is done (None: it has no end)."""

    name: str
    kind: str
    part: float | None


@dataclass(slots=True, frozen=True)
class Shown:
    """A server's adapters, units, guests' devices, the guest of each VSI, and its loads."""

    scenario: str
    nics: Sequence[str]
    units: Sequence[str]
    guests: Sequence[str]
    who: Mapping[str, str]
    loads: Sequence[Load]

    @classmethod
    def of(cls, platform: Platform) -> Shown:
        """What is there now."""
        tenants = platform.tenants
        return cls(
            platform.scenario.name,
            list(adapters(platform)),
            [unit.name for unit in platform.root_complex.units],
            [tenant.name for tenant in list(tenants.all.values())] if tenants is not None else [],
            owners(platform),
            _loads(platform),
        )

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Shown:
        """What a server has told."""
        return cls(**{**data, "loads": [Load(**load) for load in data["loads"]]})

    def part(self, seconds: float, until: float | None) -> float | None:
        """How much is over: of the traffic, or of the time if not all traffic has an end and the time has."""
        parts = [load.part for load in self.loads if load.part is not None]
        traffic = sum(parts) / len(parts) if parts and len(parts) == len(self.loads) else None
        time = min(seconds / until, 1.0) if until else None
        return max((part for part in (traffic, time) if part is not None), default=None)


def _loads(platform: Platform) -> list[Load]:
    """Each load of the scenario, as far as its guests are there."""
    tenants = platform.tenants
    if tenants is None:
        return []
    numbered: list[tuple[Any, Any, int]] = []
    seen: dict[str, int] = {}
    for spec in platform.scenario.traffic:
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
            found.append(Load(f"{tenant.name} to {spec.dst}", spec.kind, _part(spec, sender)))
    return found


def _part(spec: Any, sender: dict[str, Any]) -> float | None:
    if spec.count is None:
        return None
    if spec.kind == "stream":
        return min(1.0, float(sender["answered"] / (spec.count * spec.flows)))
    return min(1.0, float(sender["frames"] / spec.count))
