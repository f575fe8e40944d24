"""VLANs of a VSI: filters, stripping and insertion of tags, a port VLAN (ice_vsi_vlan_lib.c)."""

from __future__ import annotations

from dataclasses import dataclass, field
from errno import EEXIST, EINVAL, ENOENT, EOPNOTSUPP
from typing import TypeAlias

from siov.drivers.ice.lookup import ETH_P_8021Q, check_vlan
from siov.drivers.ice.switch import Switch
from siov.drivers.ice.vsi_props import VsiProps
from siov.host.linux import LinuxError
from siov.spec.e810 import InnerVlanMode, OuterTag, OuterVlanMode, TxVlanMode, VsiProperties
from siov.spec.word import Word

TAGS = {ETH_P_8021Q: OuterTag.VLAN_8100, 0x88A8: OuterTag.STAG, 0x9100: OuterTag.VLAN_9100}
Inner: TypeAlias = VsiProperties.INNER_VLAN_FLAGS
Outer: TypeAlias = VsiProperties.OUTER_VLAN_FLAGS


@dataclass(slots=True)
class VsiVlan:
    """What a VSI does with VLAN tags.

    `double`: the port looks at two tags, and a VSI's own tag is the outer one. A frame may only be sorted by
    its outer tag's id, so two filters that differ in TPID alone are one rule in the switch.
    """

    switch: Switch
    props: VsiProps
    double: bool = False
    filters: set[tuple[int, int]] = field(default_factory=set)  # (VLAN id, TPID)
    port_vlan: int | None = None  # its tag, when there is one

    # Filters.

    def add(self, vlan: int, tpid: int = ETH_P_8021Q) -> None:
        """The VSI is a member of a VLAN.

        EEXIST when it is already, EINVAL for no VLAN or TPID (ice_vsi_add_vlan).
        """
        what = check_vlan(vlan), self._tpid(tpid)
        if what in self.filters:
            raise LinuxError(EEXIST, f"VSI {self.props.num} is a member of VLAN {vlan} ({tpid:#06x}) already")
        if not self._member(vlan):
            self.switch.add_vlan(self.props.num, vlan)
        self.filters.add(what)

    def remove(self, vlan: int, tpid: int = ETH_P_8021Q) -> None:
        """It is so no more; ENOENT when it was not (ice_vsi_del_vlan)."""
        what = vlan, tpid
        if what not in self.filters:
            raise LinuxError(ENOENT, f"VSI {self.props.num} is no member of VLAN {vlan} ({tpid:#06x})")
        if not any(other[0] == vlan for other in self.filters - {what}):
            self.switch.del_vlan(self.props.num, vlan)
        self.filters.discard(what)

    def set_rx_filtering(self, on: bool) -> None:
        """Whether frames of other VLANs are pruned on receipt (ice_vsi_ena_rx_vlan_filtering)."""
        flags = self.props.get(VsiProperties.SW_FLAGS2)
        self._change(flags.replace(RX_VLAN_PRUNE_ENA=int(on)))

    def set_tx_filtering(self, on: bool) -> None:
        """Whether frames of other VLANs may not be sent (ice_vsi_ena_tx_vlan_filtering)."""
        flags = self.props.get(VsiProperties.SEC_FLAGS)
        self._change(flags.replace(TX_VLAN_PRUNE_ENA=int(on)))

    # Offloads.

    def set_strip(self, on: bool, *, outer: bool = False, tpid: int = ETH_P_8021Q) -> None:
        """Whether a tag is taken out of received frames and reported in their descriptors.

        EOPNOTSUPP for an outer tag while the port looks at one only; EINVAL for an unknown TPID, or while a
        port VLAN has the tag (ice_vsi_ena_inner_stripping, ice_vsi_ena_outer_stripping).
        """
        kind = self._offload(outer, tpid)
        if outer:
            mode = OuterVlanMode.SHOW_BOTH if on else OuterVlanMode.NOTHING
            flags = self._outer_flags().replace(EMODE=mode)
            self._change(flags.replace(TAG_TYPE=kind) if on else flags)
        else:
            inner_mode = InnerVlanMode.STR_BOTH if on else InnerVlanMode.NOTHING
            self._change(self._inner_flags().replace(EMODE=inner_mode))

    def set_insert(self, on: bool, *, outer: bool = False, tpid: int = ETH_P_8021Q) -> None:
        """Whether descriptors may have a tag put into sent frames; errors as those of `set_strip`."""
        kind = self._offload(outer, tpid)
        blocked = int(not on)
        if outer:
            flags = self._outer_flags().replace(BLOCK_TX_DESC=blocked)
            self._change(flags.replace(TAG_TYPE=kind) if on else flags)
        else:
            self._change(self._inner_flags().replace(BLOCK_TX_DESC=blocked))

    # Port VLAN.

    def set_port_vlan(self, vlan: int, priority: int = 0, tpid: int = ETH_P_8021Q) -> None:
        """All that the VSI sends bears this tag, and it receives only frames that do, without it.

        EINVAL for what is no VLAN, priority (0 to 7) or TPID (ice_vsi_set_inner_port_vlan).
        """
        kind = self._tpid(tpid)
        if not 0 <= priority < 8:
            raise LinuxError(EINVAL, f"priority {priority} of a port VLAN: there are 0 to 7")
        tag = priority << 13 | check_vlan(vlan)
        prune = self.props.get(VsiProperties.SW_FLAGS2).replace(RX_VLAN_PRUNE_ENA=1)
        mode = TxVlanMode.ACCEPTUNTAGGED
        flags: list[Word]
        if self.double:
            outer = Outer.of(
                EMODE=OuterVlanMode.SHOW,
                TAG_TYPE=TAGS[kind],
                TX_MODE=mode,
                PORT_BASED_INSERT=1,
                BLOCK_TX_DESC=1,
            )
            flags = [VsiProperties.PORT_BASED_OUTER_VLAN.of(TCI=tag), outer]
        else:
            inner = Inner.of(TX_MODE=mode, INSERT_PVID=1, EMODE=InnerVlanMode.STR)
            flags = [VsiProperties.PORT_BASED_INNER_VLAN.of(TCI=tag), inner]
        self.props.update(prune, *flags)
        self.port_vlan = tag

    def clear_port_vlan(self) -> None:
        """Tags are the VSI's own business again (ice_vsi_clear_inner_port_vlan)."""
        prune = self.props.get(VsiProperties.SW_FLAGS2).replace(RX_VLAN_PRUNE_ENA=0)
        none: list[Word]
        if self.double:
            none = [VsiProperties.PORT_BASED_OUTER_VLAN.of(), self._outer_default()]
        else:
            none = [VsiProperties.PORT_BASED_INNER_VLAN.of(), self._inner_default()]
        self.props.update(prune, *none)
        self.port_vlan = None

    def inspect(self) -> dict[str, object]:
        """Filters, offloads, port VLAN."""
        return {
            "filters": sorted(self.filters),
            "port_vlan": self.port_vlan,
            "inner": self._inner_flags().decode(),
            "outer": self._outer_flags().decode() if self.double else None,
        }

    @staticmethod
    def _inner_default() -> Inner:
        return Inner.of(TX_MODE=TxVlanMode.ALL, EMODE=InnerVlanMode.NOTHING)

    @staticmethod
    def _outer_default() -> Outer:
        return Outer.of(TX_MODE=TxVlanMode.ALL, EMODE=OuterVlanMode.NOTHING, TAG_TYPE=OuterTag.VLAN_8100)

    def _inner_flags(self) -> Inner:
        flags = self.props.get(Inner)
        return flags if flags.TX_MODE else self._inner_default()

    def _outer_flags(self) -> Outer:
        flags = self.props.get(Outer)
        return flags if flags.TX_MODE else self._outer_default()

    def _offload(self, outer: bool, tpid: int) -> OuterTag:
        kind = TAGS[self._tpid(tpid)]
        if outer and not self.double:
            raise LinuxError(EOPNOTSUPP, "an outer tag is not looked at: the port is in single VLAN mode")
        if not outer and tpid != ETH_P_8021Q:
            raise LinuxError(EINVAL, f"an inner tag has TPID 0x8100, not {tpid:#06x}")
        if self.port_vlan is not None and outer is self.double:
            raise LinuxError(
                EINVAL, f"VSI {self.props.num} has a port VLAN, so its tags are not to be changed"
            )
        return kind

    def _tpid(self, tpid: int) -> int:
        known = TAGS if self.double else (ETH_P_8021Q,)
        if tpid not in known:
            raise LinuxError(
                EINVAL, f"TPID {tpid:#06x}: the port takes {', '.join(f'{t:#06x}' for t in known)}"
            )
        return tpid

    def _member(self, vlan: int) -> bool:
        return any(other == vlan for other, _ in self.filters)

    def _change(self, word: Word) -> None:
        if self.props.get(type(word)) != word:
            self.props.update(word)
