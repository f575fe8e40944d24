"""The package: what sets the parser up. Its sections that we know of become profiles and hash fields."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from siov.hw.e810.engine import Engine
from siov.hw.e810.firmware.command import AqError
from siov.hw.e810.firmware.record import Record
from siov.hw.e810.firmware.vsi import Vsis
from siov.spec.e810.adminq import AqRc
from siov.spec.e810.package import (
    FLOW_PROFILES,
    PACKAGE_BUFFER,
    RSS_GROUPS,
    FlowProfile,
    FlowProfileVsi,
    HeaderField,
    HeaderLevel,
    PacketGroup,
    RssFields,
    SectionType,
)

NAME = "ICE OS Default Package"
VERSION = (1, 3, 1, 0)
TRACK_ID = 0xC0000001
KNOWN_FIELDS = (1 << len(HeaderField)) - 1

# The head of a buffer: how many sections, and where its data ends; then type, offset and size of each.
HEAD, ENTRY = 4, 8


@dataclass(slots=True, frozen=True)
class Section:
    """A section of a package's buffer."""

    kind: int
    data: bytes


def sections(buffer: bytes) -> Iterator[Section]:
    """The sections of a buffer of a package (ice_ddp.h, `ice_buf_hdr`); EINVAL when they leave it."""
    if len(buffer) < HEAD:
        raise AqError(AqRc.EINVAL)
    count, end = int.from_bytes(buffer[:2], "little"), int.from_bytes(buffer[2:4], "little")
    if end > len(buffer) or HEAD + ENTRY * count > end:
        raise AqError(AqRc.EINVAL)
    for n in range(count):
        entry = buffer[HEAD + ENTRY * n : HEAD + ENTRY * (n + 1)]
        kind = int.from_bytes(entry[:4], "little")
        at, size = int.from_bytes(entry[4:6], "little"), int.from_bytes(entry[6:8], "little")
        if at < HEAD + ENTRY * count or at + size > end:
            raise AqError(AqRc.EINVAL)
        yield Section(kind, buffer[at : at + size])


@dataclass(slots=True)
class Package:
    """What was downloaded: profiles and hash fields, and whether the download is complete."""

    engine: Engine
    active: bool = False
    downloading: bool = False
    foreign: int = 0  # sections that are not ours, taken and left alone
    profiles: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    profile_vsis: set[tuple[int, int]] = field(default_factory=set)  # profile and VSI that uses it
    rss: dict[int, tuple[int, list[int]]] = field(default_factory=dict)

    def download(self, buffer: bytes, *, last: bool) -> None:
        """A buffer of the package itself; sections for VSIs come later, with `update`."""
        found = list(sections(buffer))
        self.downloading = not last
        for section in found:
            if section.kind == SectionType.FLOW_PROFILE:
                self._flow(section.data)
            else:
                self.foreign += 1
        self.active |= last

    def update(self, buffer: bytes, vsis: Vsis) -> None:
        """A buffer that changes the package in use: all of its sections, or none of them."""
        found = list(sections(buffer))
        profiles = set(self.profiles)
        for section in found:
            _check(section, vsis, profiles)
        for section in found:
            if section.kind == SectionType.FLOW_PROFILE:
                self._flow(section.data)
            elif section.kind == SectionType.FLOW_PROFILE_VSI:
                self._use(*_profile_vsi(section.data))
            elif section.kind == SectionType.RSS_FIELDS:
                self._hash(section.data)
            else:
                self.foreign += 1

    def forget_vsi(self, vsi: int) -> None:
        """A VSI is gone, with its hash fields, and uses no profile."""
        self.rss.pop(vsi, None)
        for profile, one in list(self.profile_vsis):
            if one == vsi:
                self._use(profile, vsi, on=False)

    def forget_function(self) -> None:
        """The function was reset: the package stays, what it set for VSIs does not."""
        self.rss.clear()
        for profile, vsi in list(self.profile_vsis):
            self._use(profile, vsi, on=False)
        for number, (group, level, fields) in self.profiles.items():
            self.engine.set_flow_profile(number, group, level, fields)

    def reset(self) -> None:
        """No package, as after a reset of the core."""
        self.active = self.downloading = False
        self.profiles.clear()
        self.profile_vsis.clear()
        self.rss.clear()

    def inspect(self) -> dict[str, object]:
        """Whether it is in use, and what it set."""
        return {
            "active": self.active,
            "profiles": sorted(self.profiles),
            "profile_vsis": sorted(self.profile_vsis),
            "rss_vsis": sorted(self.rss),
            "foreign_sections": self.foreign,
        }

    def _flow(self, data: bytes) -> None:
        number, group, level, fields = _profile(data)
        if fields:
            self.profiles[number] = (group, level, fields)
        else:
            self.profiles.pop(number, None)
            self.profile_vsis = {(one, vsi) for one, vsi in self.profile_vsis if one != number}
        self.engine.set_flow_profile(number, group, level, fields)

    def _use(self, profile: int, vsi: int, on: bool) -> None:
        if on:
            self.profile_vsis.add((profile, vsi))
        else:
            self.profile_vsis.discard((profile, vsi))
        self.engine.set_flow_profile_vsi(profile, vsi, on)

    def _hash(self, data: bytes) -> None:
        record = Record.at(RssFields, data)
        vsi, level = record[RssFields.VSI].NUM, record[RssFields.LEVEL].LEVEL
        groups = [record.get(RssFields.FIELDS, n).SET for n in range(RSS_GROUPS)]
        self.rss[vsi] = (level, groups)
        self.engine.set_rss_fields(vsi, level, groups)


def _check(section: Section, vsis: Vsis, profiles: set[int]) -> None:
    """EINVAL for a section that makes no sense; `profiles` are those there are when it is its turn."""
    if section.kind == SectionType.FLOW_PROFILE:
        number, _, _, fields = _profile(section.data)
        (profiles.add if fields else profiles.discard)(number)
    elif section.kind == SectionType.FLOW_PROFILE_VSI:
        number, vsi, _ = _profile_vsi(section.data)
        if number not in profiles or vsi not in vsis:
            raise AqError(AqRc.EINVAL)
    elif section.kind == SectionType.RSS_FIELDS:
        record = Record.at(RssFields, section.data)
        groups = [record.get(RssFields.FIELDS, n).SET for n in range(RSS_GROUPS)]
        sound = record[RssFields.LEVEL].LEVEL in set(HeaderLevel) and all(g <= KNOWN_FIELDS for g in groups)
        if not sound or record[RssFields.VSI].NUM not in vsis:
            raise AqError(AqRc.EINVAL)


def _profile(data: bytes) -> tuple[int, int, int, int]:
    record = Record.at(FlowProfile, data)
    number, group = record[FlowProfile.PROFILE].NUM, record[FlowProfile.GROUP].GROUP
    level, fields = record[FlowProfile.LEVEL].LEVEL, record[FlowProfile.FIELDS].SET
    sound = group in set(PacketGroup) and level in set(HeaderLevel) and fields <= KNOWN_FIELDS
    if not sound or number >= FLOW_PROFILES:
        raise AqError(AqRc.EINVAL)
    return number, group, level, fields


def _profile_vsi(data: bytes) -> tuple[int, int, bool]:
    record = Record.at(FlowProfileVsi, data)
    number, vsi = record[FlowProfileVsi.PROFILE].NUM, record[FlowProfileVsi.VSI].NUM
    return number, vsi, bool(record[FlowProfileVsi.USE].ENA)


assert PACKAGE_BUFFER == 4096, "a buffer of a package is one of the admin queue"
