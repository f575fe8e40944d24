"""Flow director profiles: which fields a VSI's filters on packets of a group compare (ice_flow_add_prof)."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from errno import EINVAL, ENOSPC

from siov.drivers.ice.flow import Pattern
from siov.drivers.ice.pkg import Package
from siov.host.linux import LinuxError
from siov.spec.e810.package import FLOW_PROFILES, HeaderField, HeaderLevel, PacketGroup

# Groups that a packet of this group may belong to as well: hardware looks at one profile of a VSI alone.
SHARED = {
    PacketGroup.IPV4_ESP: PacketGroup.IPV4_OTHER,
    PacketGroup.IPV4_OTHER: PacketGroup.IPV4_ESP,
    PacketGroup.IPV6_ESP: PacketGroup.IPV6_OTHER,
    PacketGroup.IPV6_OTHER: PacketGroup.IPV6_ESP,
}


class ProfileConflictError(LinuxError):
    """Filters of the VSI on packets of this group compare other fields already."""


@dataclass(slots=True)
class Profile:
    """A profile in hardware, and how many filters of each VSI that uses it need it.

    A VSI without filters may use it still: firmware did not take it off.
    """

    group: PacketGroup
    level: HeaderLevel
    fields: int
    users: dict[int, int] = field(default_factory=dict)

    def fits(self, pattern: Pattern) -> bool:
        """Whether it is the profile that filters of a pattern need."""
        return (self.group, self.level, self.fields) == (pattern.group, pattern.level, pattern.fields)


@dataclass(slots=True)
class Profiles:
    """One set of fields for each VSI and group of packets; VSIs that compare the same share a profile.

    As a VSI has one profile a group at most, it can't take more than there are groups.
    """

    package: Package
    by_number: dict[int, Profile] = field(default_factory=dict)
    in_use: dict[tuple[int, PacketGroup], int] = field(default_factory=dict)  # by VSI and group: the profile

    def check(self, vsi: int, pattern: Pattern) -> None:
        """Whether a filter of a VSI can have its profile.

        `ProfileConflictError` when filters of the VSI compare other fields, EINVAL for none, ENOSPC when all
        profiles are taken.
        """
        if not pattern.values:
            raise LinuxError(EINVAL, f"a filter on {pattern.group.name} packets names no field")
        have = self._of(vsi, pattern.group)
        if have is not None and have.fits(pattern):
            return
        for group in (pattern.group, SHARED.get(pattern.group)):
            profile = self._of(vsi, group)
            if profile is not None and profile.users[vsi]:
                raise ProfileConflictError(
                    EINVAL,
                    f"filters of VSI {vsi} on {profile.group.name} packets compare {_names(profile.fields)} "
                    f"and must all compare the same; remove those {profile.users[vsi]} first",
                )
        if self._same(pattern) is None:
            self._free_number()

    def acquire(self, vsi: int, pattern: Pattern) -> None:
        """A filter of a VSI comes; errors as those of `check`, and the package's."""
        self.check(vsi, pattern)
        have = self._of(vsi, pattern.group)
        if have is not None and have.fits(pattern):
            have.users[vsi] += 1
            return
        for group in (pattern.group, SHARED.get(pattern.group)):
            if self._of(vsi, group) is not None and group is not None:
                self._leave(vsi, group)
        number = self._same(pattern)
        if number is None:
            number = self._free_number()
            if number in self.by_number:
                self._remove(number)
            self.package.set_profile(number, vsi, pattern.group, pattern.level, pattern.fields)
            self.by_number[number] = Profile(pattern.group, pattern.level, pattern.fields)
        else:
            self.package.use_profile(number, vsi, on=True)
        self.by_number[number].users[vsi] = 1
        self.in_use[vsi, pattern.group] = number

    def release(self, vsi: int, pattern: Pattern) -> None:
        """A filter is gone; after the VSI's last one it uses the profile no more, unless firmware refuses.

        The profile goes with the last VSI.
        """
        profile = self.by_number[self.in_use[vsi, pattern.group]]
        profile.users[vsi] -= 1
        if not profile.users[vsi]:
            with suppress(LinuxError):
                self._leave(vsi, pattern.group)

    def forget(self, vsi: int) -> None:
        """A VSI is gone, and firmware takes it off its profiles."""
        for one, group in list(self.in_use):
            if one == vsi:
                try:
                    self._leave(vsi, group)
                except LinuxError:
                    del self.by_number[self.in_use.pop((vsi, group))].users[vsi]

    def reset(self) -> None:
        """A reset took all filters, and all VSIs off their profiles; those that are left hinder nobody."""
        self.by_number.clear()
        self.in_use.clear()

    def inspect(self) -> list[dict[str, object]]:
        """Number, group, fields, and filters by VSI, of each profile that some filter needs."""
        return [
            {
                "profile": number,
                "group": p.group.name,
                "fields": _names(p.fields),
                "filters": {vsi: count for vsi, count in sorted(p.users.items()) if count},
            }
            for number, p in sorted(self.by_number.items())
            if any(p.users.values())
        ]

    def _of(self, vsi: int, group: PacketGroup | None) -> Profile | None:
        if group is None:
            return None
        number = self.in_use.get((vsi, group))
        return None if number is None else self.by_number[number]

    def _same(self, pattern: Pattern) -> int | None:
        return next((number for number, one in self.by_number.items() if one.fits(pattern)), None)

    def _free_number(self) -> int:
        """A number that no filter needs: one without profile, else one that firmware did not take back."""
        free = next((n for n in range(FLOW_PROFILES) if n not in self.by_number), None)
        if free is None:
            free = next((n for n, one in self.by_number.items() if not any(one.users.values())), None)
        if free is None:
            raise LinuxError(
                ENOSPC,
                f"all {FLOW_PROFILES} flow director profiles of the function are taken: compare the fields "
                "that another VSI's filters compare, or remove the last filters of some profile",
            )
        return free

    def _leave(self, vsi: int, group: PacketGroup) -> None:
        number = self.in_use[vsi, group]
        profile = self.by_number[number]
        if len(profile.users) > 1:
            self.package.use_profile(number, vsi, on=False)
            del profile.users[vsi], self.in_use[vsi, group]
        else:
            self._remove(number)

    def _remove(self, number: int) -> None:
        profile = self.by_number[number]
        self.package.remove_profile(number, profile.group, profile.level)
        del self.by_number[number]
        for vsi in profile.users:
            del self.in_use[vsi, profile.group]


def _names(fields: int) -> str:
    return ", ".join(which.name for which in HeaderField if fields >> which & 1)
