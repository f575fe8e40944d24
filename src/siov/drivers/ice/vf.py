"""A VF as virtchnl sees it: what its driver has asked for, and the way of a message (ice_virtchnl.c)."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import replace
from errno import EEXIST, ENOENT, ENOMEM, ENOSPC
from functools import partial
from traceback import format_exc
from typing import TypeAlias

from siov.drivers.ice.flow import Header
from siov.drivers.ice.rss import DEFAULT_HENA
from siov.drivers.ice.virtchnl.events import RESET_IMPENDING, link_change
from siov.drivers.ice.virtchnl.fdir import VfFdir
from siov.drivers.ice.virtchnl.macs import BROADCAST, NONE, add_mac
from siov.drivers.ice.virtchnl.table import TABLE
from siov.drivers.ice.virtchnl.vsi_ops import VfLimits, VfOwner, VsiOps
from siov.host.linux import LinuxError
from siov.spec.e810 import RssHash
from siov.spec.virtchnl import (
    BEFORE_RESOURCES,
    QUEUES_IN_BITMAP,
    Op,
    Status,
    VersionInfo,
    VfCaps,
)

Reply: TypeAlias = "bytes | Status | None"  # data with SUCCESS, a status alone, or nothing at all

LINK_AFTER = frozenset({Op.GET_VF_RESOURCES, Op.ENABLE_QUEUES, Op.ENABLE_QUEUES_V2})
NO_MEMORY = (ENOMEM, ENOSPC)


class VirtchnlVf:
    """One VF: `handle` carries out a message of its driver on a VSI and replies through the owner.

    A message gets at most one reply, with its own opcode, and the state of the link is told behind those that
    a driver waits for. Whatever a message holds, `handle` raises nothing. The caller serialises calls (the
    function's lock).
    """

    def __init__(self, vsi: VsiOps, owner: VfOwner, mac: bytes, limits: VfLimits | None = None) -> None:
        self.vsi, self.owner, self.mac = vsi, owner, mac
        self.limits = limits or VfLimits()
        self.version = VersionInfo.of(major=1, minor=1)
        self.disabled = True
        self.counts = dict.fromkeys(
            ("messages", "replies", "lost", "malformed", "not_allowed", "refused", "not_trusted", "bugs"), 0
        )
        self.last_bug = ""
        self._forget()

    def _forget(self) -> None:
        """All that its driver has asked for."""
        self.active = False
        self.caps = VfCaps()
        self.allowed = BEFORE_RESOURCES
        self.tx_ready: set[int] = set()  # queues that have a ring
        self.rx_ready: set[int] = set()
        self.tx_on: set[int] = set()
        self.rx_on: set[int] = set()
        self.crc_kept: set[int] = set()  # receive queues that leave the CRC on frames
        self.macs: set[bytes] = set()
        self.vlans: set[int] = set()
        self.vlan_strip, self.vlan_insert = False, True
        self.rss_flows: dict[tuple[Header, ...], None] = {}
        self.fdir: dict[int, VfFdir] = {}
        self.fdir_keys: dict[Hashable, int] = {}  # filters by their pattern

    # The owner's side.

    def start(self) -> None:
        """Listen to the driver: with its MAC address and broadcast received, and nothing else set up."""
        for mac in (BROADCAST, self.mac):
            if mac != NONE:
                add_mac(self, mac)
        try:
            self.vsi.add_vlan(0)
        except LinuxError as error:
            if error.errno != EEXIST:
                raise
        self.disabled = False

    def begin_reset(self) -> None:
        """The VF is being reset: until `reset` every message is refused."""
        self.disabled = True

    def reset(self, vsi: VsiOps | None = None) -> None:
        """Forget all that the driver has set up but its MAC address, and start, maybe on another VSI."""
        self.disabled = True
        if vsi is None:
            self.clear()
        else:
            self.vsi = vsi
            self._forget()
        self.start()

    def clear(self) -> None:
        """Take everything off the VSI that the driver has put there: queues, vectors, filters, offloads.

        All of it is tried; the first `LinuxError` is raised then.
        """
        vsi, failed = self.vsi, []
        steps: list[Callable[[], None]] = [vsi.stop_queues, vsi.unmap_vectors]
        steps += [partial(vsi.del_fdir, one.number) for one in self.fdir.values()]
        steps += [partial(vsi.del_mac, mac) for mac in self.macs]
        steps += [partial(vsi.del_vlan, vid) for vid in self.vlans]
        if self.active:
            steps += [
                partial(vsi.set_vlan_filtering, False),
                partial(vsi.set_vlan_strip, False),
                partial(vsi.set_vlan_insert, True),
                partial(vsi.set_promisc, False, False),
                partial(vsi.set_rss_hena, DEFAULT_HENA),
                partial(vsi.set_rss_hash, RssHash.TPLZ),
            ]
        for step in steps:
            try:
                step()
            except LinuxError as error:
                if error.errno != ENOENT:
                    failed.append(error)
        self._forget()
        if failed:
            raise failed[0]

    def notify_link(self) -> None:
        """Tell the driver the state of the link, if it has asked for its resources."""
        if self.active:
            self._send(Op.EVENT, 0, link_change(self.owner.link(), bool(self.caps.ADV_LINK_SPEED)))

    def notify_reset(self) -> None:
        """Tell the driver that a reset is coming, if it has asked for its resources."""
        if self.active:
            self._send(Op.EVENT, 0, RESET_IMPENDING)

    @property
    def trusted(self) -> bool:
        """Whether the driver may receive all frames, and has the wide limits; change it before a reset."""
        return self.limits.trusted

    @trusted.setter
    def trusted(self, on: bool) -> None:
        self.limits = replace(self.limits, trusted=on)

    @property
    def queue_pairs(self) -> int:
        """Queue pairs of the VSI."""
        return min(len(self.vsi.txq), len(self.vsi.rxq))

    @property
    def usable_pairs(self) -> int:
        """Queue pairs that the driver may use: 16 unless it knows the messages for more."""
        pairs = self.queue_pairs
        return pairs if pairs <= QUEUES_IN_BITMAP or self.caps.LARGE_NUM_QPAIRS else QUEUES_IN_BITMAP

    # The driver's side.

    def handle(self, op: int, data: bytes) -> None:
        """Carry out one message and reply."""
        self.counts["messages"] += 1
        entry = TABLE.get(op)
        if entry is None or self.disabled or not self._fits(op, data):
            self.counts["malformed"] += 1
            self._send(op, Status.ERR_PARAM)
            return
        if op not in self.allowed or entry.handler is None:
            self.counts["not_allowed"] += 1
            self._send(op, Status.ERR_NOT_SUPPORTED)
            return
        try:
            reply = entry.handler(self, data)
        except LinuxError as error:
            reply = Status.ERR_NO_MEMORY if error.errno in NO_MEMORY else Status.ERR_PARAM
        except Exception:  # a mistake of ours: the guest must not bring others down with it
            self.counts["bugs"] += 1
            self.last_bug = format_exc(limit=8)[-2000:]
            reply = Status.ERR_PARAM
        if type(reply) is bytes:
            self._send(op, 0, reply)
        elif reply is not None and op != Op.RESET_VF:  # the one message that has no reply, come what may
            self.counts["refused"] += reply is not Status.SUCCESS
            self._send(op, int(reply))
        if op in LINK_AFTER:
            self.notify_link()

    def _fits(self, op: int, data: bytes) -> bool:
        if op == Op.GET_VF_RESOURCES and self.version.minor == 0:
            return not data
        return TABLE[op].length.fits(data)

    def _send(self, op: int, status: int, data: bytes = b"") -> None:
        try:
            sent = self.owner.send(op, status, data)
        except LinuxError:
            sent = False
        self.counts["replies" if sent else "lost"] += 1

    def inspect(self) -> dict[str, object]:
        """What the driver has set up, and messages by how they ended."""
        caps = [field.name for field, value in self.caps if value]
        return {
            "vsi": self.vsi.num,
            "state": "disabled" if self.disabled else "active" if self.active else "init",
            "mac": self.mac.hex(":"),
            "version": f"{self.version.major}.{self.version.minor}",
            "caps": caps,
            "queues_on": {"rx": sorted(self.rx_on), "tx": sorted(self.tx_on)},
            "macs": sorted(mac.hex(":") for mac in self.macs),
            "vlans": sorted(self.vlans),
            "vlan_strip": self.vlan_strip,
            "rss_flows": len(self.rss_flows),
            "fdir": len(self.fdir),
            "trusted": self.limits.trusted,
            **self.counts,
        }
