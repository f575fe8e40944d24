"""What virtchnl needs of the rest of the driver: a VSI to work on, and who owns the VF."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from siov.drivers.ice.fdir import FdirFilter
from siov.drivers.ice.flow import Header
from siov.drivers.ice.link import LinkState
from siov.drivers.ice.rxq import RxRing
from siov.spec.e810 import RXDID, RssHash
from siov.spec.virtchnl import EthStats


class VsiOps(Protocol):
    """A VSI (vsi.Vsi). Queues and vectors are relative to it; vector 0 is that of the mailbox.

    What can't be done raises `LinuxError`, and its errno says why.
    """

    num: int

    @property
    def txq(self) -> Sequence[int]:
        """The transmit queues, as the device counts them."""

    @property
    def rxq(self) -> Sequence[int]:
        """The receive queues, as the device counts them."""

    @property
    def vectors(self) -> Sequence[object]:
        """The vectors."""

    def cfg_txq(self, q: int, base: int, length: int) -> None:
        """Lay a transmit ring, of a queue that is off."""

    def ena_txq(self, q: int) -> None:
        """Switch a transmit queue on."""

    def dis_txq(self, q: int) -> None:
        """Switch a transmit queue off; none of its DMA is under way afterwards."""

    def cfg_rxq(self, q: int, ring: RxRing) -> None:
        """Lay a receive ring, of a queue that is off."""

    def ena_rxq(self, q: int) -> None:
        """Switch a receive queue on."""

    def dis_rxq(self, q: int) -> None:
        """Switch a receive queue off; none of its DMA is under way afterwards."""

    def stop_queues(self) -> None:
        """Switch all queues off."""

    def map_vector(self, v: int, rxq: Sequence[int], txq: Sequence[int], rx_itr: int, tx_itr: int) -> None:
        """Have queues fire a vector, throttled by these timers (0 to 2, 3 for none)."""

    def unmap_vectors(self) -> None:
        """No queue fires a vector any more."""

    def add_mac(self, mac: bytes) -> None:
        """Receive frames to an address; EEXIST when it has it."""

    def del_mac(self, mac: bytes) -> None:
        """Undo `add_mac`; ENOENT when it has not."""

    def add_vlan(self, vid: int, tpid: int = 0x8100) -> None:
        """Receive frames of a VLAN; EEXIST when it does."""

    def del_vlan(self, vid: int, tpid: int = 0x8100) -> None:
        """Undo `add_vlan`; ENOENT when it has not."""

    def set_promisc(self, uni: bool, multi: bool) -> None:
        """Receive all unicast frames, all multicast ones, or neither."""

    def set_vlan_filtering(self, on: bool) -> None:
        """Receive no frames of other VLANs than those added, or of all."""

    def set_vlan_strip(self, on: bool, outer: bool = False, tpid: int = 0x8100) -> None:
        """Take tags out of received frames, or leave them in."""

    def set_vlan_insert(self, on: bool, outer: bool = False, tpid: int = 0x8100) -> None:
        """Put tags of descriptors into frames that are sent, or don't."""

    def set_rss_key(self, key: bytes) -> None:
        """The 52 bytes that the hash is made with."""

    def set_rss_lut(self, lut: bytes) -> None:
        """The table that the hash chooses a queue from."""

    def set_rss_hash(self, kind: RssHash) -> None:
        """The hash function."""

    def set_rss_cfg(self, headers: Sequence[Header], algorithm: int = 0, *, add: bool = True) -> None:
        """Hash packets with these headers by the fields that count, or no longer; ENOENT if they weren't."""

    def set_rss_hena(self, hena: int) -> None:
        """Hash packet types (spec Hena) by addresses and ports, and forget every other choice of fields."""

    def add_fdir(self, wanted: FdirFilter) -> int:
        """Program a flow director filter; its number. `FdirError` says why not."""

    def del_fdir(self, number: int) -> None:
        """Take a filter away; ENOENT when there is none of this number."""

    def stats(self) -> EthStats:
        """What it has received and sent since it was made."""


class VfOwner(Protocol):
    """Who owns the VF: its VDCM, or whatever else made it."""

    def send(self, op: int, status: int, data: bytes) -> bool:
        """Put a message into the VF's mailbox; False when it is full or shut."""

    def link(self) -> LinkState:
        """The port's link."""

    def reset_vf(self, queue_pairs: int | None = None) -> None:
        """Reset the VF (VFR), with another number of queue pairs if told; it calls `VirtchnlVf.reset`."""

    def available_queue_pairs(self) -> int:
        """The most queue pairs the VF could have after a reset: its own and those that nobody has."""


@dataclass(slots=True, frozen=True)
class VfLimits:
    """How much a VF may have; the numbers are ice's for a VF that is not trusted (ice_vf_lib.h)."""

    trusted: bool = False
    macs: int = 18  # ICE_MAX_MACADDR_PER_VF: its own and broadcast are among them
    vlans: int = 8  # ICE_MAX_VLAN_PER_VF
    trusted_macs: int = 1024  # only memory limits them in ice
    trusted_vlans: int = 4095
    rss_flows: int = 64
    fdir_filters: int = 128  # as many as Linux's driver keeps
    max_frame: int = 9728
    max_queue_pairs: int = 256  # ICE_MAX_QS_PER_VF
    rxdids: tuple[int, ...] = (
        RXDID.LEGACY_0,
        RXDID.LEGACY_1,
        RXDID.FLEX_NIC,
        RXDID.COMMS_OVS_1,
    )

    @property
    def most_macs(self) -> int:
        """MAC addresses that it may have."""
        return self.trusted_macs if self.trusted else self.macs

    @property
    def most_vlans(self) -> int:
        """VLANs that it may have, VLAN 0 not counted."""
        return self.trusted_vlans if self.trusted else self.vlans
