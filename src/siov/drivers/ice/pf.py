"""A physical function in the driver's hands (struct ice_pf)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from errno import EBUSY, EINVAL, ENOSPC
from typing import TYPE_CHECKING

from siov.drivers.ice.adminq import ENTRIES, AdminQueue, AqError
from siov.drivers.ice.bridge import Bridge, BridgeMode
from siov.drivers.ice.caps import IceCaps, ice_get_caps
from siov.drivers.ice.ctrlq import ControlQueue
from siov.drivers.ice.dma import DmaMemory
from siov.drivers.ice.flows import Flows
from siov.drivers.ice.hw import IceHw
from siov.drivers.ice.irq import IceIrqs, IceVector, Prefer
from siov.drivers.ice.link import Link
from siov.drivers.ice.mailbox import RECEIVE_ENTRIES, SEND_ENTRIES, PfMailbox
from siov.drivers.ice.oicr import Oicr
from siov.drivers.ice.pools import QueuePool
from siov.drivers.ice.reset import ice_reset
from siov.drivers.ice.sched import Scheduler
from siov.drivers.ice.service_lock import ServiceLock
from siov.drivers.ice.services import Services, Vdcm
from siov.drivers.ice.stats import PortStats
from siov.drivers.ice.switch import Switch
from siov.drivers.ice.vsi import Vsi, VsiKind
from siov.drivers.ice.vsi_info import (
    map_queues,
    set_defaults,
    set_flow_director,
    set_rss,
    set_spoofcheck,
)
from siov.drivers.ice.vsi_props import VsiProps
from siov.host.linux import LinuxError
from siov.host.pci import PciDev
from siov.spec.e810 import AqMacAddress, AqMacRead, AqOpcode, AqRc, AqVsi, AqVsiResponse, RssLut
from siov.spec.e810.aq_queues import RSS_LUT_PF, RSS_LUT_VSI

if TYPE_CHECKING:
    from siov.drivers.ice.netdev import IceNetdev

ADI_QUEUES, ADI_VECTORS = 4, 5  # ICE_DFLT_QS_PER_SIOV_VF, ICE_NUM_VF_MSIX_SMALL

Hook = Callable[["IcePf"], None]


@dataclass(eq=False, repr=False)
class IcePf:
    """One function with its admin queue, mailbox, vectors, queues and VSIs.

    `lock` guards slow work on it: management, mailbox, resets. Hooks: `on_reset` before a reset takes
    everything away, `on_rebuild` after VSIs are there again (rules, filters), in order of their coming.
    """

    dev: PciDev
    services: Services
    hw: IceHw = field(init=False)
    dma: DmaMemory = field(init=False)
    aq: AdminQueue = field(init=False)
    mbx: PfMailbox = field(init=False)
    sched: Scheduler = field(init=False)
    link: Link = field(init=False)
    switch: Switch = field(init=False)
    bridge: Bridge = field(init=False)
    flows: Flows = field(init=False)
    port_stats: PortStats = field(init=False)
    oicr: Oicr = field(init=False)
    lock: ServiceLock = field(init=False)
    caps: IceCaps = field(init=False)
    irqs: IceIrqs = field(init=False)
    avail_txq: QueuePool = field(init=False)
    avail_rxq: QueuePool = field(init=False)
    mac: bytes = bytes(6)
    vsis: dict[int, Vsi] = field(default_factory=dict)
    main: Vsi | None = None
    netdev: IceNetdev | None = None
    vdcm: Vdcm | None = None
    siov_capable: bool = False
    siov_enabled: bool = False
    resetting: str | None = None
    resets: dict[str, int] = field(default_factory=dict)
    reset_counts: tuple[int, ...] = ()
    on_reset: list[Hook] = field(default_factory=list)
    on_rebuild: list[Hook] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.hw = IceHw(self.dev.iomap(0))
        self.dma = DmaMemory(self.services.mem)
        poll = self.services.poll
        self.oicr = Oicr(self)
        self.lock = ServiceLock(self.oicr.service_task, self.oicr.again)
        commands = ControlQueue(self.hw, self.dma, poll, "PF_FW", ENTRIES, ENTRIES)
        self.aq = AdminQueue(commands, self.lock, self.dev.error)
        mailbox = ControlQueue(self.hw, self.dma, poll, "PF_MBX", SEND_ENTRIES, RECEIVE_ENTRIES)
        self.mbx = PfMailbox(mailbox, self.lock, self.dev.error)
        self.sched = Scheduler(self.aq)
        self.link = Link(self.aq)
        self.switch = Switch(self.aq)
        self.bridge = Bridge(self.switch, lambda: [vsi.props for vsi in self.vsis.values()])
        self.flows = Flows(self)

    @property
    def number(self) -> int:
        """Its number among the functions of the device (hw->pf_id)."""
        return self.dev.rid & 7

    # What probe and rebuild have in common.

    def read_caps(self) -> None:
        """Capabilities and address of the function, and its pools of queues (ice_init_hw)."""
        self.caps = ice_get_caps(self.aq)
        answer = self.aq.send(AqOpcode.MANAGE_MAC_READ, AqMacRead.of(), room=4096)
        self.mac = AqMacAddress.from_bytes(answer.data[:8]).MAC_ADDR.to_bytes(6, "little")

    def make_pools(self) -> None:
        """All queues are free (ice_init_pf)."""
        self.avail_txq = QueuePool("transmit", self.caps.first_txq, self.caps.txqs)
        self.avail_rxq = QueuePool("receive", self.caps.first_rxq, self.caps.rxqs)

    @property
    def bridge_mode(self) -> BridgeMode:
        """VEB or VEPA; `bridge.setlink` changes it, with the lock held."""
        return self.bridge.mode

    # VSIs.

    def vsi_setup(
        self,
        kind: VsiKind = VsiKind.ADI,
        queue_pairs: int = ADI_QUEUES,
        vectors: int | None = None,
        prefer: Prefer = "msix-first",
        name: str = "",
    ) -> Vsi:
        """A new VSI with queues and vectors, nothing of it on (ice_vsi_setup).

        An ADI has a vector for each pair and one more for its mailbox unless said. ENOSPC says what is not
        to be had and how much of it is left; then nothing was taken. EBUSY within a reset.
        """
        if vectors is None:
            vectors = queue_pairs + 1 if kind is VsiKind.ADI else 0
        if queue_pairs < 0 or vectors < 0 or (kind is VsiKind.ADI and (not queue_pairs or not vectors)):
            raise LinuxError(EINVAL, f"a VSI with {queue_pairs} queue pairs and {vectors} vectors can't be")
        owner = name or f"{kind.value} of {self.dev.name}"
        with self.lock:
            if self.resetting:
                raise LinuxError(EBUSY, f"{self.dev.name} is within a {self.resetting}; try again")
            return self._setup(kind, queue_pairs, vectors, prefer, owner)

    def vsi_release(self, vsi: Vsi) -> None:
        """Take a VSI down: what it has goes back (ice_vsi_release); nothing happens when it is gone."""
        with self.lock:
            if self.vsis.get(vsi.num) is not vsi:
                return
            self.dev.trace("ice_vsi_release", f"VSI {vsi.num}")
            try:
                if not self.resetting:
                    self._take_down(vsi)
            finally:
                del self.vsis[vsi.num]
                self._give(vsi.txq, vsi.rxq, vsi.vectors)

    def reset(self, kind: str = "PFR") -> None:
        """Reset the function (PFR) or device (CORER, GLOBR) and build it up again; errors as `ice_reset`."""
        ice_reset(self, kind)

    def inspect(self) -> dict[str, object]:
        """Everything the driver keeps of the function."""
        return {
            "mac": self.mac.hex(":"),
            "caps": self.caps.inspect(),
            "adminq": self.aq.inspect(),
            "mailbox": self.mbx.inspect(),
            "irqs": self.irqs.inspect(),
            "txq": self.avail_txq.inspect(),
            "rxq": self.avail_rxq.inspect(),
            "scheduler": self.sched.inspect(),
            "bridge": self.bridge.inspect(),
            "rules": self.switch.inspect(),
            "fdir": self.flows.fdir.inspect() if self.flows.fdir is not None else None,
            "link": self.link.inspect(),
            "oicr": self.oicr.inspect(),
            "dma": self.dma.inspect(),
            "siov": {"capable": self.siov_capable, "enabled": self.siov_enabled},
            "resets": dict(self.resets),
            "netdev": self.netdev.inspect() if self.netdev is not None else None,
            "vsis": {num: vsi.inspect() for num, vsi in sorted(self.vsis.items())},
        }

    def _setup(self, kind: VsiKind, pairs: int, vectors: int, prefer: Prefer, owner: str) -> Vsi:
        self.dev.trace("ice_vsi_setup", f"{kind.value}: {pairs} queue pairs, {vectors} vectors")
        txq: list[int] = []
        rxq: list[int] = []
        irqs: list[IceVector] = []
        try:
            txq = self.avail_txq.take(pairs, owner, row=False)
            rxq = self.avail_rxq.take(pairs, owner, row=True)
            irqs = self.irqs.alloc_several([(f"{owner}-{n}", None) for n in range(vectors)], prefer)
            branch = self.sched.add_vsi(pairs)
            try:
                props = self._props(kind, rxq)
                props.num = self._add_vsi(props)
            except LinuxError:
                self.sched.remove_vsi(branch)
                raise
        except LinuxError:
            self._give(txq, rxq, irqs)
            raise
        vsi = Vsi(self, kind, props.num, props, txq, rxq, irqs, branch)
        self.vsis[vsi.num] = vsi
        if pairs > 1 and kind is not VsiKind.CTRL:
            try:
                vsi.init_rss(pairs, RSS_LUT_VSI if kind is VsiKind.ADI else RSS_LUT_PF)
            except LinuxError:
                self.vsi_release(vsi)
                raise
        return vsi

    def _take_down(self, vsi: Vsi) -> None:
        vsi.stop_queues()
        vsi.unmap_vectors()
        if vsi.mailbox is not None:
            vsi.map_mailbox(None)
        vsi.remove_filters()
        self.aq.send(AqOpcode.FREE_VSI, AqVsi.of(VSI_NUM=vsi.num, IS_VALID=1))
        self.sched.remove_vsi(vsi.branch)

    def _props(self, kind: VsiKind, rxq: list[int]) -> VsiProps:
        props = VsiProps(self.aq, 0, kind.aq_type)
        set_defaults(props, self.bridge.flags())
        if rxq:
            map_queues(props, rxq)
        if kind is VsiKind.ADI:
            set_spoofcheck(props)
            set_flow_director(props, 0, self.caps.fd_best_effort, program=False)
            set_rss(props, RssLut.VSI)
        elif kind is VsiKind.PF:
            set_flow_director(props, self.caps.fd_guaranteed, self.caps.fd_best_effort, program=True)
            set_rss(props, RssLut.PF)
        else:
            set_flow_director(props, 0, 0, program=True)
        return props

    def _add_vsi(self, props: VsiProps) -> int:
        try:
            answer = self.aq.send(AqOpcode.ADD_VSI, AqVsi.of(TYPE=props.kind), bytes(props.data))
        except AqError as error:
            if error.rc is AqRc.ENOSPC:
                most = self.caps.vsis
                raise LinuxError(
                    ENOSPC,
                    f"{self.dev.name} has no VSI left: {most} there are, {len(self.vsis)} are the driver's",
                ) from error
            raise
        return answer.params(AqVsiResponse).VSI_NUM

    def _give(self, txq: list[int], rxq: list[int], vectors: list[IceVector]) -> None:
        self.avail_txq.give(txq)
        self.avail_rxq.give(rxq)
        for vector in vectors:
            self.irqs.free(vector)
