"""The function's other interrupt causes, and the work that they ask for (ice_misc_intr, ice_service_task)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from siov.drivers.ice.hw import GONE
from siov.drivers.ice.reset import ice_rebuild_after, reset_seen
from siov.errors import SiovError
from siov.spec.e810 import Flow, Interrupts
from siov.spec.e810.interrupts import CauseControl

if TYPE_CHECKING:
    from siov.drivers.ice.pf import IcePf
    from siov.drivers.ice.vsi import Vsi

ALL = 0xFFFF_FFFF
ENABLED = ("ECC_ERR", "MAL_DETECT", "GRST", "PCI_EXCEPTION", "VFLR", "HMC_ERR", "PE_CRITERR")
NO_TIMER = 3


@dataclass(slots=True, frozen=True)
class MddEvent:
    """A queue that hardware stopped for what it was given: `vsi` is None when the driver knows it not."""

    where: str  # TX_PQM, TX_TCLAN, TX_TDPU or RX
    queue: int
    kind: int  # MAL_TYPE
    vsi: int | None


MddListener = Callable[["Vsi | None", MddEvent], None]


@dataclass(slots=True)
class Oicr:
    """Causes and counts. `service_task` runs with the function's lock held."""

    pf: IcePf
    open: bool = False
    causes: dict[str, int] = field(default_factory=dict)
    mdd: dict[int, int] = field(default_factory=dict)  # events of each VSI
    last: MddEvent | None = None
    listeners: list[MddListener] = field(default_factory=list)
    work: list[Callable[[], bool]] = field(default_factory=list)
    runs: int = 0

    def interrupt(self) -> None:
        """The vector of other causes has fired (ice_misc_intr); the rest is the service task's."""
        self.pf.lock.kick()

    def again(self) -> None:
        """Fire the vector by software, so that whoever takes interrupts goes on with the service task."""
        if self.open:
            self.pf.irqs.misc.trigger()

    def start(self) -> None:
        """Let the causes fire the function's first vector (ice_ena_misc_vector, ice_ena_ctrlq_interrupts)."""
        hw, vector = self.pf.hw, self.pf.irqs.misc
        hw.rd("PFINT_OICR")  # reading clears it
        hw.wr("PFINT_OICR_ENA", sum(getattr(Interrupts.PFINT_OICR, name).mask for name in ENABLED))
        cause = CauseControl.of(MSIX_INDX=vector.index, ITR_INDX=NO_TIMER, CAUSE_ENA=1)
        for name in ("PFINT_OICR_CTL", "PFINT_FW_CTL", "PFINT_MBX_CTL"):
            hw.wr(name, cause)
        self.open = True
        vector.enable()

    def stop(self) -> None:
        """No cause fires any more (ice_dis_ctrlq_interrupts)."""
        self.open = False
        hw = self.pf.hw
        if hw.gone:
            return
        self.pf.irqs.misc.disable()
        for name in ("PFINT_MBX_CTL", "PFINT_FW_CTL", "PFINT_OICR_CTL", "PFINT_OICR_ENA"):
            hw.wr(name, 0)

    def service_task(self) -> None:
        """Look at everything that an interrupt may have been for, a bounded part of each.

        What is left fires the vector again, so that other interrupts have their turn in between.
        """
        if not self.open:
            return
        self.runs += 1
        pf = self.pf
        more = False
        try:
            for step in (self._reset, self._causes, pf.aq.clean, pf.mbx.clean, *self.work):
                more |= self._step(step)
        finally:
            if self.open:
                if more:
                    self.again()
                else:
                    pf.irqs.misc.enable()

    def _step(self, step: Callable[[], bool]) -> bool:
        """A part of the work; what it refuses is reported, for an interrupt has no caller to hear of it."""
        try:
            return step()
        except SiovError as why:
            self.pf.dev.error("ice_service_task", why)
            return False

    def inspect(self) -> dict[str, object]:
        """Causes by name, and malicious driver events by VSI."""
        return {"causes": dict(self.causes), "mdd": dict(self.mdd), "service_task": self.runs}

    def _reset(self) -> bool:
        kind = reset_seen(self.pf)
        if kind is not None:
            ice_rebuild_after(self.pf, kind)
        return False

    def _causes(self) -> bool:
        raw = self.pf.hw.rd("PFINT_OICR")
        if raw == GONE:
            return False
        word = Interrupts.PFINT_OICR(raw)
        for name in ENABLED:
            if getattr(word, name):
                self.causes[name] = self.causes.get(name, 0) + 1
        if word.MAL_DETECT:
            self.handle_mdd_event()
        return False

    def handle_mdd_event(self) -> None:
        """See who was caught at what, count it, tell listeners, and let the next one be noted."""
        hw = self.pf.hw
        for where, word in (
            ("TX_PQM", Flow.GL_MDET_TX_PQM),
            ("TX_TCLAN", Flow.GL_MDET_TX_TCLAN),
            ("TX_TDPU", Flow.GL_MDET_TX_TDPU),
            ("RX", Flow.GL_MDET_RX),
        ):
            seen = word(hw.rd(f"GL_MDET_{where}"))
            if seen.VALID:
                hw.wr(f"GL_MDET_{where}", ALL)
                self._caught(where, seen.QNUM, seen.MAL_TYPE)
            if hw.rd(f"PF_MDET_{where}"):
                hw.wr(f"PF_MDET_{where}", ALL)

    def _caught(self, where: str, queue: int, kind: int) -> None:
        pf = self.pf
        owner = next((v for v in pf.vsis.values() if queue in (v.rxq if where == "RX" else v.txq)), None)
        event = self.last = MddEvent(where, queue, kind, owner.num if owner is not None else None)
        if owner is not None:
            self.mdd[owner.num] = self.mdd.get(owner.num, 0) + 1
        whose = f"VSI {owner.num}" if owner is not None else "nobody's"
        pf.dev.trace("ice_handle_mdd_event", f"{where} queue {queue} ({whose}), type {kind}")
        for listener in list(self.listeners):
            listener(owner, event)
