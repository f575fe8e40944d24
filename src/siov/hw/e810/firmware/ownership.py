"""Resources that a driver asks firmware for before it touches them, each for a time."""

from dataclasses import dataclass, field

from siov.hw.e810.firmware.command import AqError
from siov.hw.e810.firmware.settings import Clock
from siov.spec.e810.adminq import AqRc
from siov.spec.e810.aq_device import ResourceAccess, ResourceId

MS = 1_000_000


# How long an owner may keep a resource, in milliseconds (ice_adminq_cmd.h, ICE_AQ_RES_*_TIMEOUT_MS).
TIMEOUTS = {
    (ResourceId.NVM, ResourceAccess.READ): 3_000,
    (ResourceId.NVM, ResourceAccess.WRITE): 180_000,
    (ResourceId.SDP, ResourceAccess.READ): 3_000,
    (ResourceId.SDP, ResourceAccess.WRITE): 3_000,
    (ResourceId.CHNG_LOCK, ResourceAccess.READ): 1_000,
    (ResourceId.CHNG_LOCK, ResourceAccess.WRITE): 1_000,
    (ResourceId.GLBL_LOCK, ResourceAccess.READ): 3_000,
    (ResourceId.GLBL_LOCK, ResourceAccess.WRITE): 3_000,
}


@dataclass(slots=True)
class Holding:
    """A resource that is owned until a point in time, in nanoseconds."""

    access: ResourceAccess
    until: int


@dataclass(slots=True)
class Ownership:
    """Who owns what: there is one function, so a resource is held or free."""

    clock: Clock
    held: dict[ResourceId, Holding] = field(default_factory=dict)
    configured: bool = False  # the global lock was used to download a package since the last core reset

    def request(self, resource: ResourceId, access: ResourceAccess) -> int:
        """Take a resource; gives the milliseconds it may be kept. EBUSY while it is held."""
        self._expire()
        if resource in self.held:
            raise AqError(AqRc.EBUSY)
        timeout = TIMEOUTS[resource, access]
        self.held[resource] = Holding(access, self.clock.now() + timeout * MS)
        return timeout

    def release(self, resource: ResourceId) -> None:
        """Give a resource back; EINVAL when it is not held."""
        self._expire()
        if self.held.pop(resource, None) is None:
            raise AqError(AqRc.EINVAL)

    def holds(self, resource: ResourceId, access: ResourceAccess) -> bool:
        """Whether the function owns a resource for that much."""
        self._expire()
        holding = self.held.get(resource)
        return holding is not None and holding.access >= access

    def left(self, resource: ResourceId) -> int:
        """Milliseconds until a resource that is held is free again."""
        holding = self.held.get(resource)
        return max(0, holding.until - self.clock.now()) // MS if holding else 0

    def reset(self, *, core: bool) -> None:
        """The function's reset gives everything back; one of the core forgets that a package came."""
        self.held.clear()
        self.configured &= not core

    def _expire(self) -> None:
        now = self.clock.now()
        for resource in [r for r, holding in self.held.items() if holding.until <= now]:
            del self.held[resource]
