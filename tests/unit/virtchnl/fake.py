"""What virtchnl works on in these tests: a VSI that keeps books, an owner that keeps messages, a driver."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from errno import EBUSY, EEXIST, EINVAL, ENOENT
from typing import Any

from siov.drivers.ice.fdir import FdirError, FdirFilter
from siov.drivers.ice.flow import Header
from siov.drivers.ice.link import LinkState
from siov.drivers.ice.rxq import RxRing
from siov.drivers.ice.vf import VirtchnlVf
from siov.drivers.ice.virtchnl import VfLimits
from siov.host.linux import LinuxError
from siov.spec.e810 import RssHash
from siov.spec.virtchnl import (
    EthStats,
    FdirStatus,
    Op,
    PfEvent,
    Status,
    VersionInfo,
    VfCaps,
    VfResource,
    VsiResource,
)

MAC = bytes.fromhex("02aabbccdd01")
VSI = 300  # more than a byte holds, as numbers of VSIs on a busy device
ALL_CAPS = VfCaps(0xFFFF_FFFF)
FOR_LINUX_6_12 = VfCaps.of(
    L2=1, RSS_AQ=1, RSS_REG=1, WB_ON_ITR=1, REQ_QUEUES=1, ADV_LINK_SPEED=1, CRC=1, TC_U32=1, VLAN_V2=1,
    VLAN=1, RSS_PCTYPE_V2=1, RSS_PF=1, ENCAP=1, ENCAP_CSUM=1, ADQ=1, USO=1, ADV_RSS_PF=1, FDIR_PF=1,
)  # fmt: skip
UP = LinkState(True, 25000, 9728)


class FakeVsi:
    """A VSI as strict as the real one: what it has not or is not ready for is an error."""

    def __init__(self, pairs: int = 4, vectors: int | None = None, num: int = VSI) -> None:
        self.num = num
        self.txq = list(range(100, 100 + pairs))
        self.rxq = list(range(200, 200 + pairs))
        self.vectors: list[object] = [object()] * (pairs + 1 if vectors is None else vectors)
        self.tx_rings: dict[int, tuple[int, int]] = {}
        self.rx_rings: dict[int, RxRing] = {}
        self.tx_on: set[int] = set()
        self.rx_on: set[int] = set()
        self.causes: dict[tuple[str, int], tuple[int, int]] = {}
        self.macs: set[bytes] = set()
        self.members: set[int] = set()
        self.promisc = (False, False)
        self.strip, self.insert, self.filtering = False, True, False
        self.key, self.lut, self.hash, self.hena = b"", b"", RssHash.TPLZ, -1
        self.rss: dict[tuple[Header, ...], int] = {}
        self.fdir: dict[int, FdirFilter] = {}
        self.fdir_room = 1000
        self.numbers = EthStats.of(rx_bytes=1234, rx_unicast=5, tx_errors=1)
        self.fails: dict[str, Exception] = {}
        self.calls: list[str] = []

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if name in self.fails:
            raise self.fails[name]

    def cfg_txq(self, q: int, base: int, length: int) -> None:
        self._call("cfg_txq")
        self._has(q, self.txq)
        if q in self.tx_on:
            raise LinuxError(EBUSY, f"transmit queue {q} is on")
        self.tx_rings[q] = base, length

    def ena_txq(self, q: int) -> None:
        self._call("ena_txq")
        self._has(q, self.txq)
        if q not in self.tx_rings:
            raise LinuxError(EINVAL, f"transmit queue {q} has no ring")
        self.tx_on.add(q)

    def dis_txq(self, q: int) -> None:
        self._call("dis_txq")
        self._has(q, self.txq)
        self.tx_on.discard(q)

    def cfg_rxq(self, q: int, ring: RxRing) -> None:
        self._call("cfg_rxq")
        self._has(q, self.rxq)
        if q in self.rx_on:
            raise LinuxError(EBUSY, f"receive queue {q} is on")
        self.rx_rings[q] = ring

    def ena_rxq(self, q: int) -> None:
        self._call("ena_rxq")
        self._has(q, self.rxq)
        if q not in self.rx_rings:
            raise LinuxError(EINVAL, f"receive queue {q} has no ring")
        self.rx_on.add(q)

    def dis_rxq(self, q: int) -> None:
        self._call("dis_rxq")
        self._has(q, self.rxq)
        self.rx_on.discard(q)

    def stop_queues(self) -> None:
        self._call("stop_queues")
        self.tx_on.clear()
        self.rx_on.clear()

    def map_vector(self, v: int, rxq: Sequence[int], txq: Sequence[int], rx_itr: int, tx_itr: int) -> None:
        self._call("map_vector")
        if not 0 <= v < len(self.vectors):
            raise LinuxError(EINVAL, f"no vector {v}")
        for kind, queues, itr in (("rx", rxq, rx_itr), ("tx", txq, tx_itr)):
            for q in queues:
                self._has(q, self.rxq)
                self.causes[kind, q] = v, itr

    def unmap_vectors(self) -> None:
        self._call("unmap_vectors")
        self.causes.clear()

    def add_mac(self, mac: bytes) -> None:
        self._call("add_mac")
        if mac in self.macs:
            raise LinuxError(EEXIST, f"{mac.hex(':')} is there")
        self.macs.add(mac)

    def del_mac(self, mac: bytes) -> None:
        self._call("del_mac")
        if mac not in self.macs:
            raise LinuxError(ENOENT, f"{mac.hex(':')} is not there")
        self.macs.discard(mac)

    def add_vlan(self, vid: int, tpid: int = 0x8100) -> None:
        self._call("add_vlan")
        if not 0 <= vid < 4096 or tpid != 0x8100:
            raise LinuxError(EINVAL, f"VLAN {vid}")
        if vid in self.members:
            raise LinuxError(EEXIST, f"VLAN {vid} is there")
        self.members.add(vid)

    def del_vlan(self, vid: int, tpid: int = 0x8100) -> None:
        self._call("del_vlan")
        if vid not in self.members:
            raise LinuxError(ENOENT, f"VLAN {vid} is not there")
        self.members.discard(vid)

    @property
    def vlans(self) -> set[int]:
        """VLANs that it is a member of, but that of frames without a tag."""
        return self.members - {0}

    def set_promisc(self, uni: bool, multi: bool) -> None:
        self._call("set_promisc")
        self.promisc = uni, multi

    def set_vlan_filtering(self, on: bool) -> None:
        self._call("set_vlan_filtering")
        self.filtering = on

    def set_vlan_strip(self, on: bool, outer: bool = False, tpid: int = 0x8100) -> None:
        self._call("set_vlan_strip")
        self.strip = on

    def set_vlan_insert(self, on: bool, outer: bool = False, tpid: int = 0x8100) -> None:
        self._call("set_vlan_insert")
        self.insert = on

    def set_rss_key(self, key: bytes) -> None:
        self._call("set_rss_key")
        assert len(key) == 52
        self.key = key

    def set_rss_lut(self, lut: bytes) -> None:
        self._call("set_rss_lut")
        assert len(lut) == 64
        self.lut = lut

    def set_rss_hash(self, kind: RssHash) -> None:
        self._call("set_rss_hash")
        self.hash = kind

    def set_rss_cfg(self, headers: Sequence[Header], algorithm: int = 0, *, add: bool = True) -> None:
        self._call("set_rss_cfg")
        if not [field for header in headers for field in header.fields()]:
            raise LinuxError(EINVAL, "no field")
        if add:
            self.rss[tuple(headers)] = algorithm
        elif self.rss.pop(tuple(headers), None) is None:
            raise LinuxError(ENOENT, "not hashed")

    def set_rss_hena(self, hena: int) -> None:
        self._call("set_rss_hena")
        self.hena = hena
        self.rss.clear()

    def add_fdir(self, wanted: FdirFilter) -> int:
        self._call("add_fdir")
        if len(self.fdir) >= self.fdir_room:
            raise FdirError(FdirStatus.RULE_NORESOURCE, "no room for a filter")
        number = 7000 + len(self.calls)
        self.fdir[number] = wanted
        return number

    def del_fdir(self, number: int) -> None:
        self._call("del_fdir")
        if self.fdir.pop(number, None) is None:
            raise FdirError(FdirStatus.RULE_NONEXIST, f"no filter {number}")

    def stats(self) -> EthStats:
        self._call("stats")
        return self.numbers

    @staticmethod
    def _has(q: int, mine: list[int]) -> None:
        if not 0 <= q < len(mine):
            raise LinuxError(EINVAL, f"no queue {q}")


@dataclass
class FakeOwner:
    """Keeps what is sent, and resets the VF as a VDCM does, with another VSI for another number of queues."""

    state: LinkState = UP
    room: int = 16
    sent: list[tuple[int, int, bytes]] = field(default_factory=list)
    resets: list[int | None] = field(default_factory=list)
    full: bool = False
    vf: VirtchnlVf | None = None
    hook: Callable[[], None] | None = None

    def send(self, op: int, status: int, data: bytes) -> bool:
        assert len(data) <= 4096
        if not self.full:
            self.sent.append((op, status, data))
        return not self.full

    def link(self) -> LinkState:
        return self.state

    def reset_vf(self, queue_pairs: int | None = None) -> None:
        self.resets.append(queue_pairs)
        assert self.vf is not None
        self.vf.begin_reset()
        if self.hook:
            self.hook()
        self.vf.reset(None if queue_pairs is None else FakeVsi(queue_pairs))

    def available_queue_pairs(self) -> int:
        return self.room


class Driver:
    """The VF's driver: sends requests, and has what comes back."""

    def __init__(self, pairs: int = 4, limits: VfLimits | None = None, **more: Any) -> None:
        self.owner = FakeOwner()
        self.vf = VirtchnlVf(FakeVsi(pairs, **more), self.owner, MAC, limits)
        self.owner.vf = self.vf
        self.vf.start()

    @property
    def vsi(self) -> FakeVsi:
        assert isinstance(self.vf.vsi, FakeVsi)
        return self.vf.vsi

    def messages(self, op: int, data: bytes = b"") -> list[tuple[int, int, bytes]]:
        """What comes back for a request, events included."""
        before = len(self.owner.sent)
        self.vf.handle(op, data)
        return self.owner.sent[before:]

    def ask(self, op: int, data: bytes = b"") -> tuple[int, bytes]:
        """Status and data of the one reply to a request; it must bear the opcode and come before events."""
        found = self.messages(op, data)
        assert found, f"no reply to {op}"
        assert found[0][0] == op
        assert [more[0] for more in found[1:]] in ([], [Op.EVENT])
        assert self.vf.counts["bugs"] == 0, self.vf.last_bug
        return found[0][1:]

    def status(self, op: int, data: bytes = b"") -> Status:
        """The status of a reply that has no data."""
        status, reply = self.ask(op, data)
        assert reply == b""
        return Status(status)

    def ok(self, op: int, data: bytes = b"") -> bytes:
        """The data of a reply with SUCCESS."""
        status, reply = self.ask(op, data)
        assert status == Status.SUCCESS
        return reply

    def begin(self, caps: VfCaps = ALL_CAPS) -> VfResource:
        """VERSION and GET_VF_RESOURCES, as every driver begins."""
        self.ok(Op.VERSION, VersionInfo.of(major=1, minor=1).data)
        return VfResource.read(self.ok(Op.GET_VF_RESOURCES, caps.to_bytes()))

    @property
    def resource(self) -> VsiResource:
        """The VSI of another GET_VF_RESOURCES."""
        return VsiResource.read(self.ok(Op.GET_VF_RESOURCES, self.vf.caps.to_bytes()), VfResource.size)

    @property
    def events(self) -> list[PfEvent]:
        """All events so far."""
        return [PfEvent(data) for op, status, data in self.owner.sent if op == Op.EVENT]


def ready(caps: VfCaps = ALL_CAPS, **more: Any) -> Driver:
    """A driver that has its resources."""
    driver = Driver(**more)
    driver.begin(caps)
    return driver
