"""Flow director profiles: which fields the filters on packets of a group compare (ice_flow_add_prof)."""

from __future__ import annotations

from dataclasses import dataclass, field
from errno import EINVAL, ENOSPC

from siov.drivers.ice.flow import Pattern
from siov.drivers.ice.pkg import Package
from siov.host.linux import LinuxError
from siov.spec.e810.package import FLOW_PROFILES, HeaderField, HeaderLevel, PacketGroup

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

    number: int
    fields: int
    level: HeaderLevel
    users: int = 1


@dataclass(slots=True)
class Profiles:
    """One set of fields for each group of packets, of all VSIs: the package knows no VSI's own."""

    package: Package
    groups: dict[PacketGroup, Profile] = field(default_factory=dict)

    def check(self, pattern: Pattern) -> None:
        """Whether a filter can have its profile.

        `ProfileConflictError` when filters of this group compare other fields, EINVAL for none, ENOSPC when
        no profile is free.
        """
        if not pattern.values:
            raise LinuxError(EINVAL, f"a filter on {pattern.group.name} packets names no field")
        if self._same(pattern) is not None:
            return
        have = self.groups.get(pattern.group)
        other = SHARED.get(pattern.group)
        for group, profile in ((pattern.group, have), (other, self.groups.get(other) if other else None)):
            if profile is not None and group is not None:
                raise ProfileConflictError(
                    EINVAL,
                    f"filters on {group.name} packets compare {_names(profile.fields)} and must all compare "
                    f"the same; remove those {profile.users} first",
                )
        if self._free() is None:
            raise LinuxError(ENOSPC, f"all {FLOW_PROFILES} flow director profiles are in use")

    def acquire(self, pattern: Pattern) -> None:
        """A filter comes; errors as those of `check`, and the package's."""
        self.check(pattern)
        have = self._same(pattern)
        if have is not None:
            have.users += 1
            return
        number = self._free()
        assert number is not None
        self.package.set_profile(number, pattern.group, pattern.level, pattern.fields)
        self.groups[pattern.group] = Profile(number, pattern.fields, pattern.level)

    def release(self, pattern: Pattern) -> None:
        """A filter is gone; the last one's profile goes too."""
        profile = self.groups[pattern.group]
        profile.users -= 1
        if not profile.users:
            del self.groups[pattern.group]
            self.package.set_profile(profile.number, pattern.group, pattern.level, 0)

    def _same(self, pattern: Pattern) -> Profile | None:
        have = self.groups.get(pattern.group)
        same = have is not None and (have.fields, have.level) == (pattern.fields, pattern.level)
        return have if same else None

    def _free(self) -> int | None:
        taken = {profile.number for profile in self.groups.values()}
        return next((n for n in range(FLOW_PROFILES) if n not in taken), None)

    def reset(self) -> None:
        """A reset took the filters: no profile is needed. Hardware's are overwritten as filters come back."""
        self.groups.clear()

    def inspect(self) -> dict[str, object]:
        """Fields and filters of each group."""
        return {
            group.name: {"profile": p.number, "fields": _names(p.fields), "filters": p.users}
            for group, p in self.groups.items()
        }


def _names(fields: int) -> str:
    return ", ".join(which.name for which in HeaderField if fields >> which & 1)
