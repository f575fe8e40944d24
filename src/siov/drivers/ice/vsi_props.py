"""Properties of a VSI as the driver has set them; firmware takes them by sections (ice_update_vsi)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

from siov.drivers.ice.access import Commands
from siov.spec.e810 import AqOpcode, AqVsi, VsiProperties, VsiType
from siov.spec.word import Word

W = TypeVar("W", bound=Word)
Valid = VsiProperties.VALID_SECTIONS

# The first byte of each section; it reaches to the next one's (ice_aqc_vsi_props).
SECTIONS = {
    2: "SW_VALID",
    6: "SECURITY_VALID",
    8: "VLAN_VALID",
    16: "INGRESS_UP_VALID",
    20: "EGRESS_UP_VALID",
    24: "OUTER_TAG_VALID",
    28: "RXQ_MAP_VALID",
    78: "Q_OPT_VALID",
    84: "OUTER_UP_VALID",
    88: "ACL_VALID",
    90: "FLOW_DIR_VALID",
    100: "PASID_VALID",
}


def section_of(word: type[Word]) -> str:
    """The section of VSI properties that a word is in."""
    return SECTIONS[max(start for start in SECTIONS if start <= word.at)]


@dataclass(slots=True)
class VsiProps:
    """The 128 bytes of one VSI, of which a change sends the sections that it touches, whole."""

    aq: Commands
    num: int
    kind: VsiType = VsiType.VMDQ2
    data: bytearray = field(default_factory=lambda: bytearray(VsiProperties.size))

    def get(self, word: type[W]) -> W:
        """A word as it was set last."""
        return word.from_bytes(bytes(self.data[word.at : word.at + word.width // 8]))

    def put(self, *words: Word) -> None:
        """Change words here and mark their sections as valid, without a word to firmware: for ADD_VSI."""
        self.data[:] = self._with(self.data, words)

    def update(self, *words: Word) -> None:
        """Change words of the VSI (UPDATE_VSI); `LinuxError` when firmware refuses, and nothing changes."""
        new = self._with(self.data, words)
        changed = self._with(bytearray(2) + new[2:], words)
        params = AqVsi.of(VSI_NUM=self.num, IS_VALID=1, TYPE=self.kind)
        self.aq.send(AqOpcode.UPDATE_VSI, params, bytes(changed))
        self.data[:] = new

    @staticmethod
    def _with(data: bytearray, words: tuple[Word, ...]) -> bytearray:
        new = bytearray(data)
        valid = Valid.from_bytes(bytes(new[:2]))
        for word in words:
            kind = type(word)
            new[kind.at : kind.at + kind.width // 8] = word.to_bytes()
            valid = valid.replace(**{section_of(kind): 1})
        new[:2] = valid.to_bytes()
        return new
