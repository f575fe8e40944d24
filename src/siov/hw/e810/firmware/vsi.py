"""VSIs: 768 numbers, each with 128 bytes of properties, set section by section (0x0210 to 0x0213)."""

from __future__ import annotations

from dataclasses import dataclass, field

from siov.hw.e810.engine import Engine
from siov.hw.e810.firmware.command import AqError
from siov.hw.e810.firmware.record import Record
from siov.spec.e810.adminq import AqRc
from siov.spec.e810.aq_switch import VsiType
from siov.spec.e810.counts import RX_QUEUES, VSIS
from siov.spec.e810.vsi import VsiProperties

Valid = VsiProperties.VALID_SECTIONS

# The bytes of each section.
SECTIONS: dict[str, range] = {
    "SW_VALID": range(2, 6),
    "SECURITY_VALID": range(6, 8),
    "VLAN_VALID": range(8, 16),
    "INGRESS_UP_VALID": range(16, 20),
    "EGRESS_UP_VALID": range(20, 24),
    "OUTER_TAG_VALID": range(24, 28),
    "RXQ_MAP_VALID": range(28, 78),
    "Q_OPT_VALID": range(78, 84),
    "OUTER_UP_VALID": range(84, 88),
    "ACL_VALID": range(88, 90),
    "FLOW_DIR_VALID": range(90, 100),
    "PASID_VALID": range(100, 104),
}


@dataclass(slots=True)
class Vsi:
    """A VSI as the driver made it."""

    number: int
    kind: VsiType
    vf: int
    properties: Record

    @property
    def pasid(self) -> int | None:
        """The PASID of its DMA, None without one."""
        word = self.properties[VsiProperties.PASID_ID]
        return word.PASID if word.VALID else None


@dataclass(slots=True)
class Vsis:
    """All VSIs by number; numbers that were freed but kept stay the function's."""

    engine: Engine
    table: dict[int, Vsi] = field(default_factory=dict)
    kept: set[int] = field(default_factory=set)

    def __getitem__(self, number: int) -> Vsi:
        vsi = self.table.get(number)
        if vsi is None:
            raise AqError(AqRc.ENOENT)
        return vsi

    def __contains__(self, number: int) -> bool:
        return number in self.table

    def __len__(self) -> int:
        return len(self.table)

    @property
    def free(self) -> int:
        """How many more there can be."""
        return VSIS - len(self.table) - len(self.kept)

    def add(self, number: int | None, kind: VsiType, vf: int, sections: bytes) -> Vsi:
        """A new VSI, at a number or the lowest that is free; ENOSPC when there is none."""
        if kind is VsiType.EMP_MNG:
            raise AqError(AqRc.EPERM)
        if number is None:
            taken = self.table.keys() | self.kept
            number = next((n for n in range(VSIS) if n not in taken), None)
            if number is None:
                raise AqError(AqRc.ENOSPC)
        elif number >= VSIS:
            raise AqError(AqRc.EINVAL)
        elif number in self.table:
            raise AqError(AqRc.EEXIST)
        properties = merge(Record(VsiProperties), sections)
        self.kept.discard(number)
        vsi = self.table[number] = Vsi(number, kind, vf, properties)
        self._tell(vsi)
        return vsi

    def update(self, number: int, sections: bytes) -> Vsi:
        """Change the sections that are valid in a buffer."""
        vsi = self[number]
        vsi.properties = merge(vsi.properties, sections)
        self._tell(vsi)
        return vsi

    def remove(self, number: int, *, keep: bool) -> None:
        """Take out a VSI; its number stays the function's when it is to be kept."""
        del self.table[self[number].number]
        if keep:
            self.kept.add(number)
        self.engine.free_vsi(number)

    def reset(self) -> None:
        """As after a reset of the function: none."""
        self.table.clear()
        self.kept.clear()

    def inspect(self) -> dict[int, object]:
        """Each VSI: type and PASID."""
        return {n: {"type": v.kind.name, "vf": v.vf, "pasid": v.pasid} for n, v in sorted(self.table.items())}

    def _tell(self, vsi: Vsi) -> None:
        self.engine.set_vsi(vsi.number, vsi.kind, bytes(vsi.properties))


def merge(old: Record, sections: bytes) -> Record:
    """Properties with the valid sections of a buffer put in; EINVAL when they contradict themselves."""
    given, new = Record.at(VsiProperties, sections), Record(VsiProperties, bytes(old))
    valid = given[Valid]
    for name, span in SECTIONS.items():
        if getattr(valid, name):
            new.data[span.start : span.stop] = given.data[span.start : span.stop]
    new[Valid] = Valid(new[Valid].raw | valid.raw & ~Valid.reserved())
    if valid.RXQ_MAP_VALID:
        _check_queues(new)
    return new


def _check_queues(properties: Record) -> None:
    if properties[VsiProperties.MAPPING_FLAGS].Q_MAP_NONCONTIG:
        return  # each of the 16 entries has 11 bits: all queues there are
    first = properties.get(VsiProperties.Q_MAPPING, 0).Q
    count = properties.get(VsiProperties.Q_MAPPING, 1).Q
    if first + count > RX_QUEUES:
        raise AqError(AqRc.EINVAL)
