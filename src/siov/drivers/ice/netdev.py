"""The function's own network interface: rings in the host's memory, sending and NAPI (ice_txrx.c)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from errno import EBUSY, EINVAL, EMSGSIZE, ENETDOWN
from typing import TYPE_CHECKING

from siov.drivers.ice.ethtool_coalesce import Coalesce
from siov.drivers.ice.netring import RxRingMemory, TxRingMemory
from siov.drivers.ice.rxq import MAX_FRAME, RX_DEFAULT, RxRing
from siov.drivers.ice.txq import TX_DEFAULT, check_ring
from siov.host.linux import LinuxError
from siov.spec.e810 import RXDID

if TYPE_CHECKING:
    from siov.drivers.ice.link import LinkState
    from siov.drivers.ice.pf import IcePf
    from siov.drivers.ice.vsi import Vsi

NAPI_BUDGET = 64  # frames of a queue in one poll (NAPI_POLL_WEIGHT)
BACKLOG = 4096  # frames that wait for a reader when nobody takes them at once
ETH_PAD = 26  # bytes of a frame around its payload: header, two tags, CRC (ICE_ETH_PKT_HDR_PAD)
MAX_MTU, MIN_MTU = MAX_FRAME - ETH_PAD, 68


@dataclass(slots=True)
class LinkStats:
    """What the interface counts itself (struct rtnl_link_stats64)."""

    rx_packets: int = 0
    rx_bytes: int = 0
    rx_dropped: int = 0
    tx_packets: int = 0
    tx_bytes: int = 0
    tx_busy: int = 0


@dataclass(slots=True)
class QueueCount:
    """What a queue has carried."""

    packets: int = 0
    bytes: int = 0

    def add(self, size: int) -> None:
        """Another packet of so many bytes."""
        self.packets += 1
        self.bytes += size


@dataclass(eq=False)
class IceNetdev:
    """The interface; down at first. Received frames go to `receive`, or wait in `frames`.

    The function's lock guards it. `interrupt` is a vector's handler; `napi` does its work.
    """

    pf: IcePf
    vsi: Vsi
    mtu: int = 1500
    tx_length: int = TX_DEFAULT
    rx_length: int = RX_DEFAULT
    up: bool = False
    receive: Callable[[bytes], None] | None = None
    frames: deque[bytes] = field(default_factory=deque)
    stats: LinkStats = field(default_factory=LinkStats)
    tx: list[TxRingMemory] = field(default_factory=list)
    rx: list[RxRingMemory] = field(default_factory=list)
    scheduled: set[int] = field(default_factory=set)
    carrier: bool = False
    tx_counts: list[QueueCount] = field(default_factory=list)
    rx_counts: list[QueueCount] = field(default_factory=list)
    coalesce: Coalesce = field(init=False)

    def __post_init__(self) -> None:
        self.tx_counts = [QueueCount() for _ in self.vsi.txq]
        self.rx_counts = [QueueCount() for _ in self.vsi.rxq]
        self.coalesce = Coalesce(lambda: self.vsi.vectors)

    @property
    def name(self) -> str:
        """By its place on the bus, as systemd names it: enp59s0, or enp59s0f1 of a device with several."""
        bus, slot, function = self.pf.dev.rid >> 8, self.pf.dev.rid >> 3 & 0x1F, self.pf.dev.rid & 7
        return f"enp{bus}s{slot}" + (f"f{function}" if self.pf.dev.multifunction else "")

    def register(self) -> None:
        """Appear (register_netdev): its vectors, link and NAPI are connected."""
        for q, vector in enumerate(self.vsi.vectors):
            vector.handler = lambda q=q: self.interrupt(q)
        self.carrier = self.pf.link.state.up
        self.pf.link.listeners.append(self._link_changed)
        self.pf.oicr.work.append(self.napi)

    def unregister(self) -> None:
        """Go down and disappear (unregister_netdev)."""
        try:
            self.close()
        finally:
            self.pf.link.listeners.remove(self._link_changed)
            self.pf.oicr.work.remove(self.napi)
            self.pf.netdev = None

    def open(self) -> None:
        """Go up (ice_open): rings are made and switched on; ENOMEM, and then it is down as before."""
        with self.pf.lock:
            if self.up:
                return
            self.pf.dev.trace("ice_open", self.vsi.name)
            try:
                self._setup()
            except LinuxError:
                self._tear_down()
                raise
            self.up = True

    def close(self) -> None:
        """Go down (ice_stop): queues off, rings freed."""
        with self.pf.lock:
            if self.up:
                self.pf.dev.trace("ice_stop", self.vsi.name)
            self.up = False
            self._tear_down()

    def detach(self) -> None:
        """Before a reset: hardware takes the queues, so only their memory is left to free."""
        self.vsi.forget_queues()
        self._free()

    def attach(self) -> None:
        """After a reset: up again, if it was."""
        self.carrier = self.pf.link.state.up
        if self.up:
            self.up = False
            self.open()

    def set_mtu(self, mtu: int) -> None:
        """Greatest payload, 68 to 9,702 bytes (ice_change_mtu); it goes down and up for that."""
        if not MIN_MTU <= mtu <= MAX_MTU:
            raise LinuxError(EINVAL, f"{self.vsi.name}: an MTU of {mtu}; it is {MIN_MTU} to {MAX_MTU}")
        self._again(lambda: setattr(self, "mtu", mtu))

    def set_ringparam(self, tx: int, rx: int) -> None:
        """Descriptors of each ring (ethtool -G): 64 to 8,160 in steps of 32; it goes down and up for that."""
        for what, length in (("tx", tx), ("rx", rx)):
            check_ring(f"{self.vsi.name}, {what}", 128, length)

        def change() -> None:
            self.tx_length, self.rx_length = tx, rx

        self._again(change)

    def xmit(self, frame: bytes, queue: int = 0) -> None:
        """Send a frame (ice_start_xmit), header first, without CRC.

        ENETDOWN while down, EMSGSIZE over the MTU, EBUSY while the ring is full, EINVAL for a queue that is
        not there.
        """
        with self.pf.lock:
            if not self.up or self.pf.resetting:
                raise LinuxError(ENETDOWN, f"{self.vsi.name} is down")
            if not 0 <= queue < len(self.tx):
                raise LinuxError(
                    EINVAL, f"{self.vsi.name}: no queue {queue}; it has {len(self.tx)}, from 0 on"
                )
            if not 14 <= len(frame) <= self.mtu + ETH_PAD - 4:
                raise LinuxError(
                    EMSGSIZE, f"{self.vsi.name}: a frame of {len(frame)} bytes, with an MTU of {self.mtu}"
                )
            ring = self.tx[queue]
            ring.clean()
            if not ring.put(frame):
                self.stats.tx_busy += 1
                raise LinuxError(EBUSY, f"{self.vsi.name}: transmit ring {queue} is full; try again")
            self.stats.tx_packets += 1
            self.stats.tx_bytes += len(frame)
            self.tx_counts[queue].add(len(frame))
            self.pf.hw.wr("QTX_COMM_DBELL", ring.next, self.vsi.txq[queue])

    def interrupt(self, q: int) -> None:
        """A queue's vector has fired (ice_msix_clean_rings): NAPI is scheduled."""
        self.scheduled.add(q)
        self.pf.lock.kick()

    def napi(self) -> bool:
        """Poll the queues that are scheduled; whether one has more (ice_napi_poll)."""
        for q in sorted(self.scheduled):
            self.scheduled.discard(q)
            if not self.up or self.pf.resetting:
                continue
            self.tx[q].clean()
            found = self.poll(q, NAPI_BUDGET)
            if found == NAPI_BUDGET:
                self.scheduled.add(q)
            else:
                self.vsi.vectors[q].enable()
        return bool(self.scheduled)

    def poll(self, q: int, budget: int) -> int:
        """Take at most `budget` frames out of a queue and post its buffers again; how many."""
        ring = self.rx[q]
        found = ring.take(budget)
        for frame in found:
            self.stats.rx_packets += 1
            self.stats.rx_bytes += len(frame)
            self.rx_counts[q].add(len(frame))
            self._deliver(frame)
        tail = ring.post()
        if tail is not None:
            self.pf.hw.wr("QRX_TAIL", tail, self.vsi.rxq[q])
        return len(found)

    def inspect(self) -> dict[str, object]:
        """Whether it is up, its sizes and counts."""
        return {
            "name": self.name,
            "up": self.up,
            "carrier": self.carrier,
            "mtu": self.mtu,
            "rings": {"tx": self.tx_length, "rx": self.rx_length, "pairs": len(self.vsi.txq)},
            "stats": {name: getattr(self.stats, name) for name in LinkStats.__slots__},
        }

    def _setup(self) -> None:
        vsi, dma = self.vsi, self.pf.dma
        for q in range(len(vsi.txq)):
            self.tx.append(TxRingMemory.make(dma, self.tx_length))
            self.rx.append(RxRingMemory.make(dma, self.rx_length))
            vsi.cfg_txq(q, self.tx[q].base, self.tx_length)
            largest = min(MAX_FRAME, self.mtu + ETH_PAD)
            ring = RxRing(self.rx[q].base, self.rx_length, max_frame=largest, rxdid=RXDID.FLEX_NIC)
            vsi.cfg_rxq(q, ring)
            vsi.map_vector(q, [q], [q])
        self.coalesce.apply()
        for q in range(len(vsi.txq)):
            vsi.ena_txq(q)
            vsi.ena_rxq(q)
            tail = self.rx[q].post()
            if tail is not None:
                self.pf.hw.wr("QRX_TAIL", tail, vsi.rxq[q])
            vsi.vectors[q].enable()

    def _tear_down(self) -> None:
        try:
            if not self.pf.resetting:
                for vector in self.vsi.vectors:
                    vector.disable()
                self.vsi.unmap_vectors()
                self.vsi.stop_queues()
        finally:
            self._free()

    def _free(self) -> None:
        rings: list[TxRingMemory | RxRingMemory] = [*self.tx, *self.rx]
        for ring in rings:
            ring.free(self.pf.dma)
        self.tx.clear()
        self.rx.clear()
        self.scheduled.clear()

    def _again(self, change: Callable[[], None]) -> None:
        with self.pf.lock:
            was_up = self.up
            self.close()
            change()
            if was_up:
                self.open()

    def _deliver(self, frame: bytes) -> None:
        if self.receive is not None:
            self.receive(frame)
        elif len(self.frames) < BACKLOG:
            self.frames.append(frame)
        else:
            self.stats.rx_dropped += 1

    def _link_changed(self, state: LinkState) -> None:
        self.carrier = state.up
