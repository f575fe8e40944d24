"""What a VSI receives and how it is spread: the part of `Vsi` that goes to the switch, RSS and so on."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha512
from typing import TYPE_CHECKING, cast

from siov.drivers.ice.fdir import FdirFilter
from siov.drivers.ice.flow import Header
from siov.drivers.ice.lookup import ETH_P_8021Q
from siov.drivers.ice.rss import DEFAULT_HENA, Rss
from siov.drivers.ice.stats import VsiStats
from siov.drivers.ice.vlan import VsiVlan
from siov.drivers.ice.vsi_props import VsiProps
from siov.spec.e810 import RssHash
from siov.spec.e810.aq_queues import RSS_KEY_BYTES
from siov.spec.virtchnl import EthStats, RssAlgorithm

if TYPE_CHECKING:
    from siov.drivers.ice.pf import IcePf
    from siov.drivers.ice.vsi import Vsi


class VsiFilters:
    """Methods of `Vsi` about frames; each goes to the part of the driver that keeps that.

    Errors are those of `Switch`, `VsiVlan` and `Rss`. What is set comes back after a reset.
    """

    pf: IcePf
    num: int
    props: VsiProps
    rss: Rss
    vlan: VsiVlan
    eth_stats: VsiStats

    def init_filters(self) -> None:
        """For a VSI that firmware has just made: no rules, counters from here."""
        self.rss = Rss(self.pf.aq, self.props)
        self.vlan = VsiVlan(self.pf.switch, self.props)
        self.eth_stats = VsiStats(self.pf.hw, self.num)

    def init_rss(self, queues: int, table: int) -> None:
        """Spread what it receives over its queues by addresses and ports (ice_vsi_cfg_rss_lut_key).

        `table` is the look-up table's size. The key is one for all VSIs of a function (netdev_rss_key_fill).
        """
        self.rss.set_key(sha512(self.pf.mac).digest()[:RSS_KEY_BYTES])
        self.rss.spread(queues, table)
        self.rss.set_hena(DEFAULT_HENA)

    def remove_filters(self) -> None:
        """Take away every rule that is the VSI's; its tables go with the VSI itself."""
        self.pf.flows.remove_vsi(self.num)
        self.pf.switch.remove_vsi(self.num)
        self.rss.release()

    def replay_filters(self) -> None:
        """After a reset, when the VSI is there again: its rules and tables (ice_replay_vsi)."""
        self.pf.switch.replay(self.num)
        self.rss.replay()

    def add_mac(self, mac: bytes) -> None:
        """Receive frames to an address."""
        self.pf.switch.add_mac(self.num, mac)

    def del_mac(self, mac: bytes) -> None:
        """Receive them no more."""
        self.pf.switch.del_mac(self.num, mac)

    def add_vlan(self, vid: int, tpid: int = ETH_P_8021Q) -> None:
        """Be a member of a VLAN."""
        self.vlan.add(vid, tpid)

    def del_vlan(self, vid: int, tpid: int = ETH_P_8021Q) -> None:
        """Be so no more."""
        self.vlan.remove(vid, tpid)

    def set_promisc(self, uni: bool, multi: bool) -> None:
        """Receive all unicast frames, all multicast frames."""
        self.pf.switch.set_promisc(self.num, unicast=uni, multicast=multi)

    def set_vlan_filtering(self, on: bool) -> None:
        """Receive no frames of VLANs that it is no member of; VLAN 0 is that of frames without a tag."""
        self.vlan.set_rx_filtering(on)

    def set_vlan_strip(self, on: bool, outer: bool = False, tpid: int = ETH_P_8021Q) -> None:
        """Have a tag taken out of received frames."""
        self.vlan.set_strip(on, outer=outer, tpid=tpid)

    def set_vlan_insert(self, on: bool, outer: bool = False, tpid: int = ETH_P_8021Q) -> None:
        """Let descriptors have a tag put into sent frames."""
        self.vlan.set_insert(on, outer=outer, tpid=tpid)

    def set_rss_key(self, key: bytes) -> None:
        """The hash key, 52 bytes."""
        self.rss.set_key(key)

    def set_rss_lut(self, table: bytes) -> None:
        """The look-up table, a queue of the VSI in each of its 64, 512 or 2,048 entries."""
        self.rss.set_lut(table)

    def set_rss_hash(self, kind: RssHash) -> None:
        """The hash function."""
        self.rss.set_hash(kind)

    def set_rss_cfg(
        self,
        headers: Sequence[Header],
        algorithm: int = RssAlgorithm.TOEPLITZ_ASYMMETRIC,
        *,
        add: bool = True,
    ) -> None:
        """Hash packets with these headers by their fields that count, or do so no more."""
        if add:
            self.rss.add_cfg(headers, algorithm)
        else:
            self.rss.del_cfg(headers)

    def set_rss_hena(self, hena: int) -> None:
        """Which packet types are hashed, a bit each (virtchnl's Hena)."""
        self.rss.set_hena(hena)

    def add_fdir(self, wanted: FdirFilter) -> int:
        """Add a flow director filter; gives its number."""
        return self.pf.flows.add(self._self(), wanted)

    def del_fdir(self, number: int) -> None:
        """Remove it."""
        self.pf.flows.remove(self._self(), number)

    def stats(self) -> EthStats:
        """The VSI's counters, from its start."""
        return self.eth_stats.read()

    def _self(self) -> Vsi:
        return cast("Vsi", self)
