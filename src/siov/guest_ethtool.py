"""ethtool inside an embedded guest, on its driver (iavf_ethtool.c)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from errno import EOPNOTSUPP
from typing import TYPE_CHECKING

from siov.drivers.ice.ethtool import MAX_VF_RING, DrvInfo, RingParam, vf_stats
from siov.drivers.ice.ethtool_coalesce import Coalesce, CoalesceParams
from siov.drivers.ice.ethtool_ntuple import Ntuple
from siov.host.linux import LinuxError

if TYPE_CHECKING:
    from siov.tenants import Tenant

DRIVER, VERSION = "iavf", "1.0.0"


@dataclass(slots=True, frozen=True)
class GuestEthtool:
    """An `EthtoolOps` of a guest's interface; what it changes comes about by a reset, as in iavf."""

    tenant: Tenant

    @property
    def name(self) -> str:
        """The interface: GUEST.N."""
        return self.tenant.name

    @property
    def coalesce(self) -> Coalesce:
        """What the driver gives each queue's vector."""
        itr = self.tenant.driver.config.itr
        return Coalesce(None, CoalesceParams(itr, itr, 0))

    @property
    def ntuple(self) -> Ntuple | None:
        """The driver has no command for flow rules; the host adds them by the device's UUID."""
        return None

    @property
    def rx_rings(self) -> int:
        """How many receive queues it has."""
        return self.tenant.driver.queue_pairs

    def get_drvinfo(self) -> DrvInfo:
        """The driver."""
        return DrvInfo(DRIVER, VERSION, "N/A", self.tenant.uuid)

    def get_ringparam(self) -> RingParam:
        """Descriptors of each ring."""
        config = self.tenant.driver.config
        return RingParam(config.rx_entries, config.tx_entries, MAX_VF_RING)

    def set_ringparam(self, rx: int, tx: int) -> None:
        """Other sizes: the device is reset, and comes back with them. EOPNOTSUPP when it is down."""
        tenant = self.tenant
        with tenant.lock:
            if tenant.seat is None:
                raise LinuxError(EOPNOTSUPP, f"{self.name} is down")
            tenant.driver.config = replace(tenant.driver.config, rx_entries=rx, tx_entries=tx)
            tenant.driver.reset()

    def get_stats(self) -> Mapping[str, int]:
        """The counters that the adapter keeps for it, by GET_STATS."""
        with self.tenant.lock:
            return vf_stats(self.tenant.driver.stats())
