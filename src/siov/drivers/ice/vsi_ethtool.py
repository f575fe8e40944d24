"""ethtool on a virtual device, as the host sees it: its VSI by iavf's names (iavf_ethtool.c)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from errno import EOPNOTSUPP

from siov.drivers.ice.ethtool import MAX_VF_RING, DrvInfo, RingParam, vf_stats
from siov.drivers.ice.ethtool_coalesce import INTRL_GRAN, ITR_GRAN, RX_ITR, TX_ITR, Coalesce, CoalesceParams
from siov.drivers.ice.ethtool_ntuple import Ntuple
from siov.drivers.ice.vsi import Vsi
from siov.host.linux import LinuxError
from siov.spec.e810.interrupts import RateLimit, ThrottlingTimer

DRIVER, VERSION = "iavf", "1.0.0"


@dataclass(slots=True)
class VsiEthtool:
    """An `EthtoolOps` of a virtual device's VSI. The caller of `ethtool.run` holds the function's lock.

    Rings and moderation are the guest's driver's: they can be looked at. Flow rules are the host's own, from
    the highest location down; the guest's filters have the lowest numbers.
    """

    vsi: Vsi
    name: str
    _ntuple: Ntuple | None = field(default=None, init=False)

    @property
    def coalesce(self) -> Coalesce:
        """What the guest has set at the vector of its first queue."""
        return Coalesce(None, self._moderation())

    @property
    def ntuple(self) -> Ntuple:
        """Flow rules. The first look makes the function's control VSI; ENOSPC when it can't be."""
        if self._ntuple is None:
            self._ntuple = Ntuple(self.vsi.pf.flows.of(self.vsi), self.vsi.num)
        return self._ntuple

    @property
    def rx_rings(self) -> int:
        """How many receive queues it has."""
        return len(self.vsi.rxq)

    def get_drvinfo(self) -> DrvInfo:
        """The guest's driver; a virtual device has no firmware of its own."""
        return DrvInfo(DRIVER, VERSION, "N/A", self.vsi.pf.dev.name)

    def get_ringparam(self) -> RingParam:
        """Descriptors of the first queues' rings, 0 while the guest has given none."""
        rx, tx = self.vsi.rx_rings.get(0), self.vsi.tx_rings.get(0)
        return RingParam(rx.length if rx else 0, tx.length if tx else 0, MAX_VF_RING)

    def set_ringparam(self, rx: int, tx: int) -> None:
        """EOPNOTSUPP: the rings are in the guest's memory."""
        raise LinuxError(
            EOPNOTSUPP, f"{self.name}: the guest's driver lays its rings; use ethtool in the guest"
        )

    def get_stats(self) -> Mapping[str, int]:
        """The VSI's counters, as the guest's GET_STATS gives them."""
        return vf_stats(self.vsi.stats())

    def _moderation(self) -> CoalesceParams:
        if not self.vsi.vectors:
            return CoalesceParams(0, 0, 0)
        # Vector 0 is the mailbox's.
        vector = self.vsi.vectors[min(1, len(self.vsi.vectors) - 1)]
        io = self.vsi.pf.hw.io
        rx, tx = (ThrottlingTimer(io.readl(vector.itr(timer))).INTERVAL for timer in (RX_ITR, TX_ITR))
        rate = RateLimit(io.readl(vector.rate))
        high = rate.INTERVAL * INTRL_GRAN if rate.INTRL_ENA else 0
        return CoalesceParams(rx * ITR_GRAN, tx * ITR_GRAN, high)
