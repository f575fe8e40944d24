"""The flow rules of an interface, by location (ethtool -n and -N; ice_ethtool_fdir.c)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from errno import EINVAL, ENOENT, ENOSPC

from siov.drivers.ice.ethtool_flow import FlowSpec
from siov.drivers.ice.fdir import MAX_FILTERS, Fdir
from siov.host.linux import LinuxError


@dataclass(slots=True)
class Ntuple:
    """Rules of one VSI. A rule's location is its filter's number, so that a reset's replay keeps both."""

    fdir: Fdir
    vsi: int
    rules: dict[int, FlowSpec] = field(default_factory=dict)
    _from: int = MAX_FILTERS - 1  # no location above it is free

    @property
    def locations(self) -> int:
        """How many there are: as many as the device has filters, guaranteed and shared."""
        space = self.fdir.space()
        return min(MAX_FILTERS, space.guaranteed_size + space.best_effort_size)

    def run(self, words: Sequence[str]) -> str:
        """`ethtool -N`: a rule, or `delete` and a location; what ethtool prints.

        `LinuxError` as `insert`, `delete` and `FlowSpec.parse`.
        """
        if words and words[0] == "delete":
            if len(words) != 2 or not words[1].isdecimal():
                raise LinuxError(EINVAL, "delete takes a location")
            self.delete(int(words[1]))
            return ""
        spec = FlowSpec.parse(words)
        location = self.insert(spec)
        return f"Added rule with ID {location}\n" if spec.location is None else ""

    def insert(self, spec: FlowSpec) -> int:
        """Add a rule at its location, or the highest that is free; one that was there goes. The location.

        ENOSPC for a location past the last or none that is free; `FdirError`, and then nothing has changed.
        """
        location = self._highest() if spec.location is None else spec.location
        if not 0 <= location < self.locations:
            raise LinuxError(
                ENOSPC, f"location {location}: there are 0 to {self.locations - 1}, or all are taken"
            )
        wanted = spec.filter()
        old = self.rules.get(location)
        if old is not None:
            self.fdir.remove(self.vsi, location)
        try:
            self.fdir.add(self.vsi, wanted, location)
        except LinuxError:
            if old is not None:
                self._restore(location, old)
            raise
        self.rules[location] = spec
        return location

    def delete(self, location: int) -> None:
        """Remove the rule at a location; ENOENT when there is none."""
        if location not in self.rules:
            raise LinuxError(ENOENT, f"there is no rule at location {location}")
        self.fdir.remove(self.vsi, location)
        del self.rules[location]
        self._from = max(self._from, location)

    def show(self, rings: int, words: Sequence[str] = ()) -> str:
        """What `ethtool -n` prints: all rules, or with `rule N` that one; ENOENT when it is not there."""
        if list(words[:1]) == ["rule"] and len(words) == 2 and words[1].isdecimal():
            location = int(words[1])
            if location not in self.rules:
                raise LinuxError(ENOENT, f"there is no rule at location {location}")
            return self.rules[location].render(location)
        if words:
            raise LinuxError(EINVAL, f"-n takes nothing, or rule and a location: not {' '.join(words)}")
        head = f"{rings} RX rings available\nTotal {len(self.rules)} rules\n\n"
        return head + "".join(spec.render(location) for location, spec in sorted(self.rules.items()))

    def matches(self) -> int:
        """Packets that the rules have matched (ice's fdir_sb_match)."""
        have = self.fdir.of(self.vsi)
        return sum(self.fdir.packets(self.vsi, location) or 0 for location in self.rules if location in have)

    def _restore(self, location: int, old: FlowSpec) -> None:
        # The error that led here is the one to be told.
        try:
            self.fdir.add(self.vsi, old.filter(), location)
        except LinuxError:
            del self.rules[location]
            self._from = max(self._from, location)

    def _highest(self) -> int:
        """The highest location that is free, -1 without one."""
        at = min(self._from, self.locations - 1)
        while at in self.rules:
            at -= 1
        self._from = at
        return at
