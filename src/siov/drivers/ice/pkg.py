"""Changes to the package in use: what is hashed, and what filters compare (ice_update_pkg)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from siov.drivers.ice.access import Commands
from siov.host.linux import LinuxError
from siov.spec.e810 import AqDownloadPackage, AqOpcode, AqRequestResource, ResourceAccess, ResourceId
from siov.spec.e810.package import (
    FlowProfile,
    FlowProfileVsi,
    HeaderLevel,
    PacketGroup,
    RssFields,
    SectionType,
)
from siov.spec.word import RegisterBlock, Word

CHANGE_TIMEOUT_MS = 1000  # ICE_CHANGE_LOCK_TIMEOUT
HEAD, ENTRY = 4, 8  # of a buffer: count and end; kind, offset and size of each section (ice_buf_hdr)


@dataclass(slots=True, frozen=True)
class Package:
    """The package in use, as far as a driver may change it."""

    aq: Commands

    def set_profile(self, number: int, vsi: int, group: PacketGroup, level: HeaderLevel, fields: int) -> None:
        """A new profile that a VSI uses: which fields (a bit each) filters on packets of a group compare."""
        profile = self._profile(number, group, level, fields)
        self._update(profile, self._profile_vsi(number, vsi, on=True))

    def remove_profile(self, number: int, group: PacketGroup, level: HeaderLevel) -> None:
        """Take a profile away, whoever uses it."""
        self._update(self._profile(number, group, level, 0))

    def use_profile(self, number: int, vsi: int, on: bool) -> None:
        """Let a VSI use a profile that is there, or no more."""
        self._update(self._profile_vsi(number, vsi, on))

    @staticmethod
    def _profile(
        number: int, group: PacketGroup, level: HeaderLevel, fields: int
    ) -> tuple[SectionType, bytes]:
        words = (
            FlowProfile.PROFILE.of(NUM=number),
            FlowProfile.GROUP.of(GROUP=group),
            FlowProfile.LEVEL.of(LEVEL=level),
            FlowProfile.FIELDS.of(SET=fields),
        )
        return SectionType.FLOW_PROFILE, _image(FlowProfile, *words)

    @staticmethod
    def _profile_vsi(number: int, vsi: int, on: bool) -> tuple[SectionType, bytes]:
        words = (
            FlowProfileVsi.PROFILE.of(NUM=number),
            FlowProfileVsi.VSI.of(NUM=vsi),
            FlowProfileVsi.USE.of(ENA=int(on)),
        )
        return SectionType.FLOW_PROFILE_VSI, _image(FlowProfileVsi, *words)

    def set_rss_fields(self, vsi: int, level: HeaderLevel, groups: list[int]) -> None:
        """Which fields (a bit each) the packets of each group are hashed by, for a VSI; 0: no hash."""
        data = bytearray(_image(RssFields, RssFields.VSI.of(NUM=vsi), RssFields.LEVEL.of(LEVEL=level)))
        for n, fields in enumerate(groups):
            at = RssFields.FIELDS.at + RssFields.FIELDS.stride * n
            data[at : at + 8] = RssFields.FIELDS.of(SET=fields).to_bytes()
        self._update((SectionType.RSS_FIELDS, bytes(data)))

    def _update(self, *sections: tuple[SectionType, bytes]) -> None:
        """Sections in one buffer, of which firmware takes all or none."""
        entries, data = b"", b""
        start = HEAD + ENTRY * len(sections)
        for kind, image in sections:
            at = start + len(data)
            entries += kind.to_bytes(4, "little") + at.to_bytes(2, "little")
            entries += len(image).to_bytes(2, "little")
            data += image
        buffer = len(sections).to_bytes(2, "little") + (start + len(data)).to_bytes(2, "little") + entries
        with self._change_lock():
            self.aq.send(AqOpcode.UPDATE_PKG, AqDownloadPackage.of(LAST_BUF=1), buffer + data)

    @contextmanager
    def _change_lock(self) -> Iterator[None]:
        """Own the package for the time of a change (ice_acquire_change_lock)."""
        lock = AqRequestResource.of(
            RES_ID=ResourceId.CHNG_LOCK, ACCESS_TYPE=ResourceAccess.WRITE, TIMEOUT=CHANGE_TIMEOUT_MS
        )
        self.aq.send(AqOpcode.REQ_RES, lock)
        try:
            yield
        except LinuxError:
            self.aq.send(AqOpcode.RELEASE_RES, lock)
            raise
        self.aq.send(AqOpcode.RELEASE_RES, lock)


def _image(block: type[RegisterBlock], *words: Word) -> bytes:
    data = bytearray(block.size)
    for word in words:
        kind = type(word)
        data[kind.at : kind.at + kind.width // 8] = word.to_bytes()
    return bytes(data)
