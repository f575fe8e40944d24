"""What each kind of event does to a server, by the ways that an operator or a cable has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from siov._core import Port
from siov.drivers.ice.bridge import BridgeMode
from siov.drivers.ice.reset import ice_reset
from siov.errors import ScenarioError
from siov.events.schedule import SECOND, Course
from siov.host.iommu import IntelIommu
from siov.host.iommu.cache import Attachment, Stage, everything
from siov.host.iommu.domain import Domain
from siov.modules import BridgePort
from siov.scenario_event import EventSpec
from siov.tenants import Tenant, Tenants

MOST = 256  # invalidations between two looks at the clock


class Server(Protocol):
    """What events reach of a server."""

    @property
    def ports(self) -> Mapping[str, Port]:
        """What adapters' ports are plugged into."""

    @property
    def iommu(self) -> IntelIommu | None:
        """The driver of its remapping unit."""

    @property
    def tenants(self) -> Tenants | None:
        """Its embedded guests."""

    def bridge(self, name: str) -> BridgePort:
        """The switch of an adapter."""


@dataclass(slots=True)
class Actions:
    """Does the events of a scenario to a server; the errors of drivers and hardware are raised."""

    server: Server

    def __call__(self, spec: EventSpec) -> str | Course:
        """Do one."""
        kinds: Mapping[str, Callable[[EventSpec], str | Course]] = {
            "reset": self._reset,
            "adapter-reset": self._adapter_reset,
            "link-down": self._link,
            "link-up": self._link,
            "bridge-mode": self._bridge_mode,
            "invalidation-storm": self._storm,
        }
        return kinds[spec.kind](spec)

    def _reset(self, spec: EventSpec) -> str:
        """What a VMM does when its guest is reset."""
        self._tenant(spec).vdev.device.reset()
        return "reset by VFIO; its driver sets it up again"

    def _adapter_reset(self, spec: EventSpec) -> str:
        ice_reset(self.server.bridge(spec.target).pf, spec.reset)
        return f"{spec.reset}, and everything rebuilt"

    def _link(self, spec: EventSpec) -> str:
        """The cable is pulled or plugged in; the driver hears of it from firmware."""
        up = spec.kind == "link-up"
        self.server.ports[spec.target].set_link(up)
        return "plugged in" if up else "pulled out"

    def _bridge_mode(self, spec: EventSpec) -> str:
        bridge = self.server.bridge(spec.target)
        old, new = BridgeMode(bridge.getlink()), BridgeMode[str(spec.mode).upper()]
        bridge.setlink(new)
        return f"{old.name} before, {new.name} now"

    def _storm(self, spec: EventSpec) -> Course:
        iommu = self.server.iommu
        assert iommu is not None, "a scenario with a storm is checked for a unit"
        tags = [(tag, _stage(domain)) for domain, tag in list(iommu.attached.values())]
        if spec.device is not None:
            pasid = self._tenant(spec).vdev.device.pasid
            tags = [(tag, stage) for tag, stage in tags if tag.pasid == pasid]
        if not tags:
            raise ScenarioError(f"{iommu.name} translates for nobody: there is nothing to forget")
        assert spec.count is not None
        return Storm(iommu, tags, spec.count, spec.rate)

    def _tenant(self, spec: EventSpec) -> Tenant:
        tenants = self.server.tenants
        tenant = tenants.find(spec.target) if tenants is not None else None
        if tenant is None:
            raise ScenarioError(f"there is no device {spec.target} of a guest any more")
        return tenant


def _stage(domain: Domain) -> Stage:
    # A nested domain's id tags its second stage too, so all of it must go.
    return Stage.SECOND if domain.stage is Stage.NESTED else domain.stage


@dataclass(slots=True)
class Storm:
    """Invalidations of whole address spaces in turn: the unit's translations, then the device's own.

    `count` of them, `rate` a second; as fast as it goes without.
    """

    iommu: IntelIommu
    tags: Sequence[tuple[Attachment, Stage]]
    count: int
    rate: int | None
    made: int = 0

    def advance(self, elapsed: int) -> int | None:
        """Make those that are due, some at a time; when the next one is."""
        due = self.count if self.rate is None else min(self.count, elapsed * self.rate // SECOND + 1)
        for _ in range(min(due - self.made, MOST)):
            tag, stage = self.tags[self.made % len(self.tags)]
            self.iommu.invalidate(everything(tag, stage))
            self.made += 1
        if self.made == self.count:
            return None
        return elapsed if self.rate is None or self.made < due else self.made * SECOND // self.rate

    @property
    def outcome(self) -> str:
        """How many there were."""
        return f"{self.made} invalidations of {len(self.tags)} address spaces"
