"""Flow director profiles: which fields the filters on packets of a group compare (ice_flow_add_prof)."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from errno import EINVAL

from siov.drivers.ice.flow import Pattern
from siov.drivers.ice.pkg import Package
from siov.host.linux import LinuxError
from siov.spec.e810.package import HeaderField, HeaderLevel, PacketGroup

# Groups that a packet of this group may belong to as well: hardware looks at one profile alone.
SHARED = {
    PacketGroup.IPV4_ESP: PacketGroup.IPV4_OTHER,
    PacketGroup.IPV4_OTHER: PacketGroup.IPV4_ESP,
    PacketGroup.IPV6_ESP: PacketGroup.IPV6_OTHER,
    PacketGroup.IPV6_OTHER: PacketGroup.IPV6_ESP,
}


class ProfileConflictError(LinuxError):
    """Filters on packets of this group compare other fields already."""


@dataclass(slots=True)
class Profile:
    """A profile in hardware, and how many filters need it."""

    fields: int
    level: HeaderLevel
    users: int = 1


@dataclass(slots=True)
class Profiles:
    """One set of fields for each group of packets, of all VSIs: the package knows no VSI's own.

    A group's number is its profile's. One without users may be in hardware still: firmware did not take it
    back, or a reset came.
    """

    package: Package
    groups: dict[PacketGroup, Profile] = field(default_factory=dict)

    def check(self, pattern: Pattern) -> None:
        """Whether a filter can have its profile.

        `ProfileConflictError` when filters of this group compare other fields, EINVAL for none.
        """
        if not pattern.values:
            raise LinuxError(EINVAL, f"a filter on {pattern.group.name} packets names no field")
        have = self.groups.get(pattern.group)
        if have is not None and (have.fields, have.level) == (pattern.fields, pattern.level):
            return
        for group in (pattern.group, SHARED.get(pattern.group)):
            profile = self.groups.get(group) if group is not None else None
            if profile is not None and group is not None and profile.users:
                raise ProfileConflictError(
                    EINVAL,
                    f"filters on {group.name} packets compare {_names(profile.fields)} and must all compare "
                    f"the same; remove those {profile.users} first",
                )

    def acquire(self, pattern: Pattern) -> None:
        """A filter comes; errors as those of `check`, and the package's."""
        self.check(pattern)
        have = self.groups.get(pattern.group)
        if have is not None and have.users:
            have.users += 1
            return
        other = SHARED.get(pattern.group)
        if other in self.groups:
            self._drop(other)
        self.package.set_profile(pattern.group, pattern.group, pattern.level, pattern.fields)
        self.groups[pattern.group] = Profile(pattern.fields, pattern.level)

    def release(self, pattern: Pattern) -> None:
        """A filter is gone; the last one's profile goes too, unless firmware refuses."""
        profile = self.groups[pattern.group]
        profile.users -= 1
        if not profile.users:
            with suppress(LinuxError):
                self._drop(pattern.group)

    def reset(self) -> None:
        """A reset took the filters: no profile is needed, and hardware may have them or not."""
        for profile in self.groups.values():
            profile.users = 0

    def inspect(self) -> dict[str, object]:
        """Fields and filters of each group that has some."""
        used = {group: profile for group, profile in self.groups.items() if profile.users}
        return {
            group.name: {"profile": int(group), "fields": _names(p.fields), "filters": p.users}
            for group, p in used.items()
        }

    def _drop(self, group: PacketGroup) -> None:
        self.package.set_profile(group, group, self.groups[group].level, 0)
        del self.groups[group]


def _names(fields: int) -> str:
    return ", ".join(which.name for which in HeaderField if fields >> which & 1)
