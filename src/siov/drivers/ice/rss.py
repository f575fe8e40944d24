"""RSS of a VSI: key, look-up table, hash, and the fields of packets that it covers (ice_flow.c)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from errno import EINVAL, ENOENT

from siov.drivers.ice.access import Commands
from siov.drivers.ice.flow import Header, bits_of, group_of
from siov.drivers.ice.pkg import Package
from siov.drivers.ice.vsi_props import VsiProps
from siov.host.linux import LinuxError
from siov.spec.e810 import (
    AqAllocRes,
    AqOpcode,
    AqResource,
    AqRssKey,
    AqRssLut,
    LutSize,
    LutType,
    ResourceType,
    RssHash,
    RssLut,
    VsiProperties,
)
from siov.spec.e810.aq_queues import RSS_KEY_BYTES, RSS_LUT_GLOBAL, RSS_LUT_PF, RSS_LUT_VSI
from siov.spec.e810.package import HeaderField, HeaderLevel, PacketGroup
from siov.spec.virtchnl import Hena, RssAlgorithm

# A table's size chooses which one it is: the VSI's own, a global one, the function's.
TABLES = {
    RSS_LUT_VSI: (LutType.VSI, LutSize.SMALL, RssLut.VSI),
    RSS_LUT_GLOBAL: (LutType.GLOBAL, LutSize.SIZE_512, RssLut.GBL),
    RSS_LUT_PF: (LutType.PF, LutSize.SIZE_2K, RssLut.PF),
}

GLOBAL = AqResource.of(RES_TYPE=ResourceType.GLOBAL_RSS_HASH, NUM_ELEMS=1).to_bytes()

V4, V6 = (HeaderField.IPV4_SRC, HeaderField.IPV4_DST), (HeaderField.IPV6_SRC, HeaderField.IPV6_DST)
TCP = (HeaderField.TCP_SRC_PORT, HeaderField.TCP_DST_PORT)
UDP = (HeaderField.UDP_SRC_PORT, HeaderField.UDP_DST_PORT)
SCTP = (HeaderField.SCTP_SRC_PORT, HeaderField.SCTP_DST_PORT)

# Which packet types ask for which fields of which group (ice_add_avf_rss_cfg); not IP is never hashed.
HENA: dict[PacketGroup, tuple[int, tuple[HeaderField, ...]]] = {
    PacketGroup.IPV4_FRAG: (Hena.of(FRAG_IPV4=1).raw, V4),
    PacketGroup.IPV4_OTHER: (Hena.of(IPV4_OTHER=1).raw, V4),
    PacketGroup.IPV4_UDP: (Hena.of(IPV4_UDP=1, UNICAST_IPV4_UDP=1, MULTICAST_IPV4_UDP=1).raw, V4 + UDP),
    PacketGroup.IPV4_TCP: (Hena.of(IPV4_TCP=1, IPV4_TCP_SYN=1).raw, V4 + TCP),
    PacketGroup.IPV4_SCTP: (Hena.of(IPV4_SCTP=1).raw, V4 + SCTP),
    PacketGroup.IPV6_FRAG: (Hena.of(FRAG_IPV6=1).raw, V6),
    PacketGroup.IPV6_OTHER: (Hena.of(IPV6_OTHER=1).raw, V6),
    PacketGroup.IPV6_UDP: (Hena.of(IPV6_UDP=1, UNICAST_IPV6_UDP=1, MULTICAST_IPV6_UDP=1).raw, V6 + UDP),
    PacketGroup.IPV6_TCP: (Hena.of(IPV6_TCP=1, IPV6_TCP_SYN=1).raw, V6 + TCP),
    PacketGroup.IPV6_SCTP: (Hena.of(IPV6_SCTP=1).raw, V6 + SCTP),
}
DEFAULT_HENA = sum(mask for mask, _ in HENA.values())
ALL_HENA = DEFAULT_HENA | Hena.of(L2_PAYLOAD=1).raw

# A pattern without a transport header is about all packets of its protocol that no other one is about.
WIDE = {
    PacketGroup.IPV4_OTHER: tuple(g for g in PacketGroup if g.name.startswith("IPV4")),
    PacketGroup.IPV6_OTHER: tuple(g for g in PacketGroup if g.name.startswith("IPV6")),
}

HASHES = {
    RssAlgorithm.TOEPLITZ_ASYMMETRIC: RssHash.TPLZ,
    RssAlgorithm.R_ASYMMETRIC: RssHash.JHASH,
    RssAlgorithm.TOEPLITZ_SYMMETRIC: RssHash.SYM_TPLZ,
    RssAlgorithm.XOR_SYMMETRIC: RssHash.XOR,
}


@dataclass(slots=True)
class Rss:
    """How a VSI spreads packets over its queues. What is set is kept, for `replay` after a reset."""

    aq: Commands
    props: VsiProps
    key: bytes | None = None
    table: bytes | None = None
    hena: int = DEFAULT_HENA
    configured: dict[PacketGroup, int] = field(default_factory=dict)  # by patterns of a driver's own
    global_table: int | None = None  # the number of the global one, when the VSI has one
    _told: list[int] | None = None

    @property
    def vsi(self) -> int:
        """The VSI."""
        return self.props.num

    def set_key(self, key: bytes) -> None:
        """The hash key; EINVAL when it has not 52 bytes (ice_set_rss_key)."""
        if len(key) != RSS_KEY_BYTES:
            raise LinuxError(EINVAL, f"an RSS key has {RSS_KEY_BYTES} bytes, not {len(key)}")
        self.aq.send(AqOpcode.SET_RSS_KEY, AqRssKey.of(VSI_ID=self.vsi, VSI_VALID=1), key)
        self.key = key

    def get_key(self) -> bytes:
        """The hash key as hardware has it (ice_get_rss_key)."""
        params = AqRssKey.of(VSI_ID=self.vsi, VSI_VALID=1)
        return self.aq.send(AqOpcode.GET_RSS_KEY, params, room=RSS_KEY_BYTES).data

    def set_lut(self, table: bytes) -> None:
        """The look-up table, a queue of the VSI in each entry; its length says which (ice_set_rss_lut).

        EINVAL unless it has 64, 512 or 2,048 entries. Of those of 512 there are 16, each for one VSI; of
        those of 2,048 there is one, for the function's VSI.
        """
        if len(table) not in TABLES:
            known = ", ".join(map(str, TABLES))
            raise LinuxError(EINVAL, f"an RSS table of {len(table)} entries: there are those of {known}")
        whole = len(table) == RSS_LUT_GLOBAL
        if whole and self.global_table is None:
            self.global_table = self._allocate()
        choice = TABLES[len(table)][2]
        self.aq.send(AqOpcode.SET_RSS_LUT, self._lut(len(table)), table)
        options = self.props.get(VsiProperties.Q_OPT_RSS)
        wanted = options.replace(LUT=choice, GBL_LUT=(self.global_table or 0) if whole else 0)
        if wanted != options:
            self.props.update(wanted)
        self.table = table
        if not whole:
            self.release()

    def get_lut(self) -> bytes:
        """The look-up table as hardware has it (ice_get_rss_lut)."""
        choice = self.props.get(VsiProperties.Q_OPT_RSS).LUT
        length = next(n for n, (_, _, used) in TABLES.items() if used == choice)
        return self.aq.send(AqOpcode.GET_RSS_LUT, self._lut(length), room=length).data

    def release(self) -> None:
        """Give a global table back, if the VSI has one: it has another table now, or goes."""
        if self.global_table is not None:
            number, self.global_table = self.global_table, None
            data = GLOBAL + number.to_bytes(2, "little")
            self.aq.send(AqOpcode.FREE_RES, AqAllocRes.of(NUM_ENTRIES=1), data)

    def spread(self, queues: int, size: int = RSS_LUT_VSI) -> None:
        """Spread evenly over the first queues (ice_fill_rss_lut)."""
        self.set_lut(bytes(n % queues for n in range(size)))

    def set_hash(self, kind: RssHash) -> None:
        """The hash function (ice_set_rss_hfunc)."""
        options = self.props.get(VsiProperties.Q_OPT_RSS)
        if kind != options.HASH:
            self.props.update(options.replace(HASH=kind))

    def set_algorithm(self, algorithm: int) -> None:
        """The hash function by virtchnl's number; EINVAL for one that it does not know."""
        if algorithm not in set(RssAlgorithm):
            raise LinuxError(EINVAL, f"RSS algorithm {algorithm} is not known; there are 0 to 3")
        self.set_hash(HASHES[RssAlgorithm(algorithm)])

    def set_hena(self, hena: int) -> None:
        """Which packet types are hashed, a bit each; 0: none. It replaces what patterns have set.

        EINVAL for a packet type that is not known (ice_add_avf_rss_cfg).
        """
        if hena & ~ALL_HENA:
            raise LinuxError(EINVAL, f"packet types {hena & ~ALL_HENA:#x} can't be hashed; {ALL_HENA:#x} can")
        self._apply(hena, {})

    def add_cfg(self, headers: Sequence[Header], algorithm: int = RssAlgorithm.TOEPLITZ_ASYMMETRIC) -> None:
        """Hash packets with these headers by the fields that count (ice_vc_handle_rss_cfg).

        EINVAL for headers or fields that there are not, or none at all; EOPNOTSUPP for those of no group.
        """
        group, fields = self._pattern(headers)
        if not fields:
            raise LinuxError(EINVAL, f"no field is given to hash {group.name} packets by")
        if algorithm not in set(RssAlgorithm):
            raise LinuxError(EINVAL, f"RSS algorithm {algorithm} is not known; there are 0 to 3")
        self._apply(self.hena, {**self.configured, group: fields})
        self.set_algorithm(algorithm)

    def del_cfg(self, headers: Sequence[Header]) -> None:
        """Packets with these headers are hashed by no fields of their own any more; ENOENT if they were not.

        Deleting what `set_hena` hashes by the same fields stops that too, as it does for a VF of ice.
        """
        group, fields = self._pattern(headers)
        if group in self.configured:
            self._apply(self.hena, {g: f for g, f in self.configured.items() if g != group})
            return
        wanted = HENA.get(group, (0, ()))
        if not self.hena & wanted[0] or (fields and fields != bits_of(wanted[1])):
            raise LinuxError(ENOENT, f"VSI {self.vsi} does not hash {group.name} packets by these fields")
        self._apply(self.hena & ~wanted[0], self.configured)

    def fields(self) -> dict[PacketGroup, int]:
        """What each group of packets is hashed by, a bit for each field."""
        return dict(zip(PacketGroup, self._groups(self.hena, self.configured), strict=True))

    def replay(self) -> None:
        """Set all of it again, after a reset and when the VSI is there (ice_replay_rss_cfg)."""
        self._told = self.global_table = None
        if self.key is not None:
            self.set_key(self.key)
        if self.table is not None:
            self.set_lut(self.table)
        self._apply(self.hena, self.configured)

    def inspect(self) -> dict[str, object]:
        """Hash, table's size, and the fields of each group that has some."""
        names = {
            group.name: [f.name for f in HeaderField if fields >> f & 1]
            for group, fields in self.fields().items()
            if fields
        }
        kind = RssHash(self.props.get(VsiProperties.Q_OPT_RSS).HASH).name
        return {"hash": kind, "table": len(self.table or b""), "fields": names}

    def _lut(self, length: int) -> AqRssLut:
        """Which table a command is about: the one of a length."""
        kind, size, _ = TABLES[length]
        number = self.global_table or 0
        return AqRssLut.of(VSI_ID=self.vsi, VSI_VALID=1, LUT_TYPE=kind, LUT_SIZE=size, GLOBAL_IDX=number)

    def _allocate(self) -> int:
        answer = self.aq.send(AqOpcode.ALLOC_RES, AqAllocRes.of(NUM_ENTRIES=1), GLOBAL + bytes(2))
        return int.from_bytes(answer.data[len(GLOBAL) : len(GLOBAL) + 2], "little")

    @staticmethod
    def _pattern(headers: Sequence[Header]) -> tuple[PacketGroup, int]:
        return group_of(headers), bits_of(which for header in headers for which in header.fields())

    @staticmethod
    def _groups(hena: int, configured: dict[PacketGroup, int]) -> list[int]:
        found = {group: bits_of(fields) for group, (mask, fields) in HENA.items() if hena & mask}
        for wide, groups in WIDE.items():
            if wide in configured:
                found |= dict.fromkeys(groups, configured[wide])
        found |= configured
        return [found.get(group, 0) for group in PacketGroup]

    def _apply(self, hena: int, configured: dict[PacketGroup, int]) -> None:
        groups = self._groups(hena, configured)
        if groups != self._told:
            Package(self.aq).set_rss_fields(self.vsi, HeaderLevel.INNERMOST, groups)
            self._told = groups
        self.hena, self.configured = hena, dict(configured)
