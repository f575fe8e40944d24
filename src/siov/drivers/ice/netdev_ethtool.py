"""ethtool on the function's own interface (ice_ethtool.c)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from siov.drivers.ice.ethtool import DrvInfo, QueueStats, RingParam, pf_stats
from siov.drivers.ice.ethtool_coalesce import Coalesce
from siov.drivers.ice.ethtool_ntuple import Ntuple
from siov.drivers.ice.netdev import IceNetdev, QueueCount
from siov.drivers.ice.nvm import ice_get_nvm_version

VERSION = "1.0.0"  # of this driver


@dataclass(slots=True)
class IceEthtool:
    """An `EthtoolOps` of an interface. The caller of `ethtool.run` holds the function's lock."""

    netdev: IceNetdev
    _ntuple: Ntuple | None = field(default=None, init=False)

    @property
    def name(self) -> str:
        """The interface."""
        return self.netdev.name

    @property
    def coalesce(self) -> Coalesce:
        """Its interrupt moderation; what is set while it is down counts when it goes up."""
        return self.netdev.coalesce

    @property
    def ntuple(self) -> Ntuple:
        """Its flow rules. The first look makes the function's control VSI; ENOSPC when it can't be."""
        if self._ntuple is None:
            vsi = self.netdev.vsi
            self._ntuple = Ntuple(self.netdev.pf.flows.of(vsi), vsi.num)
        return self._ntuple

    @property
    def rx_rings(self) -> int:
        """How many receive queues it has."""
        return len(self.netdev.vsi.rxq)

    def get_drvinfo(self) -> DrvInfo:
        """Driver, firmware and the device's place."""
        firmware = ice_get_nvm_version(self.netdev.pf.aq)
        return DrvInfo("ice", VERSION, str(firmware), self.netdev.pf.dev.name)

    def get_ringparam(self) -> RingParam:
        """Descriptors of each ring."""
        return RingParam(rx=self.netdev.rx_length, tx=self.netdev.tx_length)

    def set_ringparam(self, rx: int, tx: int) -> None:
        """Other sizes; the interface goes down and up for that."""
        self.netdev.set_ringparam(tx=tx, rx=rx)

    def get_stats(self) -> Mapping[str, int]:
        """Counters of interface, queues and port."""
        netdev = self.netdev
        return pf_stats(
            netdev.vsi.stats(),
            netdev.pf.port_stats.read(),
            tx=_counts(netdev.tx_counts),
            rx=_counts(netdev.rx_counts),
            tx_busy=netdev.stats.tx_busy,
            fdir=self._ntuple,
        )


def _counts(counts: Sequence[QueueCount]) -> list[QueueStats]:
    return [QueueStats(count.packets, count.bytes) for count in counts]
