"""A virtual station interface: its queues, vectors and properties (ice_lib.c).

Queues and vectors are named by their place in the VSI; `txq`, `rxq` and `vectors` say which of the device's
they are. What filters frames for it is in `vsi_filters`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from errno import EBUSY, EINVAL, ETIMEDOUT
from typing import TYPE_CHECKING

from siov.drivers.ice.irq import IceVector
from siov.drivers.ice.rxq import RX_DEFAULT, RxRing, check_rx_ring, control_rx_queue, write_rx_context
from siov.drivers.ice.sched import VsiBranch
from siov.drivers.ice.txq import TX_DEFAULT, TxRing, add_tx_queue, check_ring, disable_tx_queue, tx_context
from siov.drivers.ice.vsi_filters import VsiFilters
from siov.drivers.ice.vsi_props import VsiProps
from siov.host.linux import LinuxError
from siov.spec.e810 import AqOpcode, AqVsi, Control, VmvfType, VsiProperties, VsiType
from siov.spec.e810.interrupts import WideCauseControl
from siov.spec.word import Word

if TYPE_CHECKING:
    from siov.drivers.ice.pf import IcePf

RX_ITR, TX_ITR = 0, 1  # timers of receive and transmit causes (ICE_RX_ITR, ICE_TX_ITR)
RESET_WAIT = 0.5  # seconds for VSIGEN_RSTAT and PFPCI_VMPEND


class VsiKind(Enum):
    """What a VSI is for, as the driver names it."""

    PF = "ICE_VSI_PF"
    CTRL = "ICE_VSI_CTRL"  # programs flow director filters
    ADI = "ICE_VSI_ADI"  # behind a virtual device

    @property
    def aq_type(self) -> VsiType:
        """Its type in the admin command."""
        return VsiType.VMDQ2 if self is VsiKind.ADI else VsiType.PF

    @property
    def vmvf(self) -> VmvfType:
        """Whom its transmit queues belong to."""
        return VmvfType.VMQ if self is VsiKind.ADI else VmvfType.PF


@dataclass(eq=False)
class Vsi(VsiFilters):
    """One VSI of a function, made by `IcePf.vsi_setup`.

    `num` is its number in the device (firmware's, and a guest's mailbox page). Errors of the admin queue are
    `AqError`; a queue or vector that the VSI has not is EINVAL.
    """

    pf: IcePf
    kind: VsiKind
    num: int
    props: VsiProps
    txq: list[int]
    rxq: list[int]
    vectors: list[IceVector]
    branch: VsiBranch
    tx_rings: dict[int, TxRing] = field(default_factory=dict)
    rx_rings: dict[int, RxRing] = field(default_factory=dict)
    tx_on: set[int] = field(default_factory=set)
    rx_on: set[int] = field(default_factory=set)
    pasid: int | None = None
    mailbox: int | None = None  # vector that its mailbox fires
    causes: dict[str, dict[int, int]] = field(default_factory=lambda: {"RX": {}, "TX": {}})

    def __post_init__(self) -> None:
        self.init_filters()

    # Properties.

    def update_properties(self, *words: Word) -> None:
        """Change words of VsiProperties; others of their sections stay as they were (ice_update_vsi)."""
        self.props.update(*words)

    def set_pasid(self, pasid: int | None) -> None:
        """Which address space its DMA reaches; None takes it away (ice_vsi_cfg_pasid).

        Queues have it from when they are switched on, so EBUSY while one is.
        """
        if self.tx_on or self.rx_on:
            raise LinuxError(
                EBUSY, f"{self.name}: its PASID can't change while queues are on; stop them first"
            )
        word = VsiProperties.PASID_ID
        self.update_properties(word.of() if pasid is None else word.of(PASID=pasid, VALID=1))
        self.pasid = pasid

    @property
    def name(self) -> str:
        """For people: function, kind and number."""
        return f"{self.pf.dev.name} VSI {self.num} ({self.kind.value})"

    # Transmit queues.

    def ring_lengths(self) -> tuple[int, int]:
        """Descriptors of its transmit and receive rings: those of queue 0, or 256 and 2,048 without one."""
        tx = self.tx_rings[0].length if 0 in self.tx_rings else TX_DEFAULT
        return tx, self.rx_rings[0].length if 0 in self.rx_rings else RX_DEFAULT

    def cfg_txq(self, q: int, base: int, length: int = TX_DEFAULT) -> None:
        """Lay a ring of `length` descriptors at an address of the VSI's address space; EBUSY while on."""
        self._has("transmit", self.txq, q)
        if q in self.tx_on:
            raise LinuxError(EBUSY, f"{self.name}: transmit queue {q} is on; switch it off first")
        check_ring(f"{self.name}, transmit queue {q}", base, length)
        self.tx_rings[q] = TxRing(base, length)

    def ena_txq(self, q: int) -> None:
        """Switch a queue with a ring on; nothing happens when it is on."""
        self._has("transmit", self.txq, q)
        if q in self.tx_on:
            return
        if q not in self.tx_rings:
            raise LinuxError(EINVAL, f"{self.name}: transmit queue {q} has no ring; configure it first")
        queue = self.txq[q]
        context = tx_context(self.tx_rings[q], queue, self.num, self.kind.vmvf, self.pf.number)
        self.pf.hw.wr("QTX_COMM_DBELL", 0, queue)
        add_tx_queue(self.pf.aq, self.branch, self.pf.sched.siblings, queue, context)
        self.tx_on.add(q)

    def dis_txq(self, q: int) -> None:
        """Switch a queue off; none of its DMA is under way afterwards. Nothing happens when it is off."""
        self._has("transmit", self.txq, q)
        if q in self.tx_on:
            disable_tx_queue(self.pf.aq, self.branch, self.txq[q])
            self.tx_on.discard(q)

    # Receive queues.

    def cfg_rxq(self, q: int, ring: RxRing) -> None:
        """Lay a ring at an address of the VSI's address space; EBUSY while on."""
        self._has("receive", self.rxq, q)
        if q in self.rx_on:
            raise LinuxError(EBUSY, f"{self.name}: receive queue {q} is on; switch it off first")
        check_rx_ring(f"{self.name}, receive queue {q}", ring)
        self.rx_rings[q] = ring

    def ena_rxq(self, q: int) -> None:
        """Write a queue's context and switch it on; nothing happens when it is on."""
        self._has("receive", self.rxq, q)
        if q in self.rx_on:
            return
        if q not in self.rx_rings:
            raise LinuxError(EINVAL, f"{self.name}: receive queue {q} has no ring; configure it first")
        write_rx_context(self.pf.hw, self.rxq[q], self.rx_rings[q])
        if self.kind is not VsiKind.ADI:
            # A guest's tail is the guest's: iavf posts its buffers before it asks for the queue.
            self.pf.hw.wr("QRX_TAIL", 0, self.rxq[q])
        control_rx_queue(self.pf.hw, self.pf.services.poll, self.rxq[q], on=True)
        self.rx_on.add(q)

    def dis_rxq(self, q: int) -> None:
        """Switch a queue off; none of its DMA is under way afterwards. Nothing happens when it is off."""
        self._has("receive", self.rxq, q)
        if q in self.rx_on:
            control_rx_queue(self.pf.hw, self.pf.services.poll, self.rxq[q], on=False)
            self.rx_on.discard(q)

    # Interrupts.

    def map_vector(
        self,
        v: int,
        rxq: Sequence[int],
        txq: Sequence[int],
        rx_itr: int = RX_ITR,
        tx_itr: int = TX_ITR,
    ) -> None:
        """Have queues fire a vector, throttled by these timers (0 to 2, 3 for none)."""
        vector = self._vector(v)
        for name, numbers, timer in (("RX", rxq, rx_itr), ("TX", txq, tx_itr)):
            mine = self.rxq if name == "RX" else self.txq
            for q in numbers:
                self._has("receive" if name == "RX" else "transmit", mine, q)
                self.causes[name][q] = v
                self.pf.hw.wr(f"QINT_{name[0]}QCTL", vector.cause(timer), mine[q])

    def unmap_vectors(self) -> None:
        """No queue fires a vector any more; what pends is let go."""
        for name, mine in (("RX", self.rxq), ("TX", self.txq)):
            for q in self.causes[name]:
                self.pf.hw.wr(f"QINT_{name[0]}QCTL", 0, mine[q])
            self.causes[name].clear()

    def map_mailbox(self, v: int | None) -> None:
        """Have messages in the VSI's mailbox fire a vector, or none (ice_ena_siov_vf_mapping)."""
        word = WideCauseControl.of() if v is None else self._vector(v).cause()
        self.pf.hw.wr("VPINT_MBX_CTL", word, self.num)
        self.mailbox = v

    # The VSI as a whole.

    def stop_queues(self) -> None:
        """Switch all queues off, receive queues last (ice_vsi_stop_lan_tx_rings, …_rx_rings)."""
        for q in sorted(self.tx_on):
            self.dis_txq(q)
        for q in sorted(self.rx_on):
            self.dis_rxq(q)

    def reset(self) -> None:
        """Have hardware reset it: queues, mailbox and interrupts are off, rules and properties stay.

        ETIMEDOUT when hardware is not done in time (ice_trigger_vf_reset and what its siov_ops wait for).
        """
        hw, poll = self.pf.hw, self.pf.services.poll
        hw.wr("VSIGEN_RTRIG", Control.VSIGEN_RTRIG.of(VMSWR=1), self.num)
        try:
            hw.wr("PFPCI_VMINDEX", Control.PFPCI_VMINDEX.of(VMINDEX=self.num))
            if not poll(lambda: not Control.PFPCI_VMPEND(hw.rd("PFPCI_VMPEND")).PENDING, RESET_WAIT):
                raise LinuxError(ETIMEDOUT, f"{self.name}: transactions are under way still (PFPCI_VMPEND)")
            if not poll(lambda: bool(Control.VSIGEN_RSTAT(hw.rd("VSIGEN_RSTAT", self.num)).VMRD), RESET_WAIT):
                raise LinuxError(ETIMEDOUT, f"{self.name}: its reset is not done (VSIGEN_RSTAT.VMRD)")
        finally:
            hw.wr("VSIGEN_RTRIG", 0, self.num)
        self.forget_queues()
        self.unmap_vectors()
        for vector in self.vectors:
            vector.disable()

    def forget_queues(self) -> None:
        """Hardware has switched the queues off by itself: they have no rings any more."""
        self.branch.queues.clear()
        self.tx_on.clear()
        self.rx_on.clear()
        self.tx_rings.clear()
        self.rx_rings.clear()

    def rebuild(self) -> None:
        """After a reset of the function or device: the same VSI again, with its number, PASID and mailbox.

        Its queues stay off, for their owner to set up (ice_vsi_rebuild).
        """
        self.forget_queues()
        for causes in self.causes.values():
            causes.clear()
        self.branch = self.pf.sched.add_vsi(len(self.txq))
        params = AqVsi.of(VSI_NUM=self.num, IS_VALID=1, TYPE=self.kind.aq_type)
        self.pf.aq.send(AqOpcode.ADD_VSI, params, bytes(self.props.data))
        for vector in self.vectors:
            vector.disable()
        if self.mailbox is not None:
            self.map_mailbox(self.mailbox)

    def release(self) -> None:
        """Take the VSI down: queues, rules, number, queues and vectors (ice_vsi_release)."""
        self.pf.vsi_release(self)

    def inspect(self) -> dict[str, object]:
        """Number, kind, PASID, queues of the device and which are on, vectors."""
        return {
            "num": self.num,
            "kind": self.kind.value,
            "pasid": self.pasid,
            "txq": {q: q in self.tx_on for q in range(len(self.txq))},
            "rxq": {q: q in self.rx_on for q in range(len(self.rxq))},
            "device_txq": list(self.txq),
            "device_rxq": list(self.rxq),
            "vectors": [vector.inspect() for vector in self.vectors],
            "mailbox": self.mailbox,
        }

    def _has(self, what: str, mine: list[int], q: int) -> None:
        if not 0 <= q < len(mine):
            raise LinuxError(EINVAL, f"{self.name}: no {what} queue {q}; it has {len(mine)}, from 0 on")

    def _vector(self, v: int) -> IceVector:
        if not 0 <= v < len(self.vectors):
            raise LinuxError(EINVAL, f"{self.name}: no vector {v}; it has {len(self.vectors)}, from 0 on")
        return self.vectors[v]
