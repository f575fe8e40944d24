"""The flow director in the function's hands: its control VSI, made when the first filter is wanted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from siov.drivers.ice.access import Buffer
from siov.drivers.ice.dma import DmaBuffer
from siov.drivers.ice.fdir import Fdir, FdirFilter
from siov.drivers.ice.rxq import RxRing
from siov.drivers.ice.vsi import Vsi, VsiKind

if TYPE_CHECKING:
    from siov.drivers.ice.pf import IcePf


@dataclass(slots=True, frozen=True)
class Control:
    """A control VSI as `Fdir` uses it: one queue each way."""

    vsi: Vsi

    @property
    def tx_queue(self) -> int:
        """The device's number of its transmit queue."""
        return self.vsi.txq[0]

    @property
    def rx_queue(self) -> int:
        """The device's number of its receive queue."""
        return self.vsi.rxq[0]

    def start(self, tx: int, tx_length: int, rx: int, rx_length: int, buffer: int) -> None:
        """Switch both queues on with rings at these addresses."""
        self.vsi.cfg_txq(0, tx, tx_length)
        self.vsi.cfg_rxq(0, RxRing(rx, rx_length, buffer))
        self.vsi.ena_txq(0)
        self.vsi.ena_rxq(0)

    def stop(self) -> None:
        """Switch both queues off."""
        self.vsi.stop_queues()


@dataclass(slots=True)
class Flows:
    """Filters of VSIs. Until one is wanted there is no control VSI, and its two queues are for others."""

    pf: IcePf
    fdir: Fdir | None = None
    control: Vsi | None = None
    buffers: list[DmaBuffer] = field(default_factory=list)

    def add(self, vsi: Vsi, wanted: FdirFilter) -> int:
        """Add a filter for a VSI; gives its number. `FdirError` says why not, ENOSPC what is lacking."""
        with self.pf.lock:
            return self.of(vsi).add(vsi.num, wanted)

    def of(self, vsi: Vsi) -> Fdir:
        """The flow director, in which a VSI may have filters from now on."""
        fdir = self.init()
        if vsi.num not in fdir.members:
            own = self.pf.caps.fd_guaranteed if vsi.kind is VsiKind.PF else 0
            fdir.add_vsi(vsi.props, len(vsi.rxq), guaranteed=own)
        return fdir

    def remove(self, vsi: Vsi, number: int) -> None:
        """Remove a filter of a VSI; `FdirError` when there is none."""
        with self.pf.lock:
            self.init().remove(vsi.num, number)

    def remove_vsi(self, num: int) -> None:
        """A VSI goes, with its filters."""
        if self.fdir is not None:
            self.fdir.remove_vsi(num)

    def init(self) -> Fdir:
        """The flow director, switched on (ice_init_fdir)."""
        if self.fdir is None:
            self.pf.dev.trace("ice_init_fdir")
            self.control = self.pf.vsi_setup(VsiKind.CTRL, 1, 0, name=f"flow director of {self.pf.dev.name}")
            try:
                fdir = Fdir(self.pf.aq, self.pf.hw, Control(self.control), self.pf.services.poll, self._alloc)
                fdir.start()
            except BaseException:
                self._free()
                raise
            self.fdir = fdir
        return self.fdir

    def deinit(self) -> None:
        """Switch it off and give everything back (ice_deinit_fdir)."""
        fdir, self.fdir = self.fdir, None
        try:
            if fdir is not None and not self.pf.resetting:
                fdir.stop()
        finally:
            self._free()

    def reset(self) -> None:
        """A reset took all filters away; they are kept for `rebuild`."""
        if self.fdir is not None:
            self.fdir.reset()

    def rebuild(self) -> None:
        """VSIs are there again: on with the filters (ice_fdir_replay_fltrs)."""
        if self.fdir is not None:
            self.fdir.start()
            self.fdir.replay()

    def _alloc(self, size: int) -> Buffer:
        buffer = self.pf.dma.alloc(size, "ice-fdir")
        self.buffers.append(buffer)
        return buffer

    def _free(self) -> None:
        try:
            if self.control is not None:
                self.control.release()
        finally:
            self.control = None
            for buffer in self.buffers:
                self.pf.dma.free(buffer)
            self.buffers.clear()
