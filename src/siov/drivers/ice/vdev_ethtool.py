"""ethtool on a virtual device, as the host sees it: its guest's driver owns most."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from errno import EOPNOTSUPP
from typing import TYPE_CHECKING

from siov.drivers.ice.ethtool import MAX_VF_RING, DrvInfo, RingParam, vf_stats
from siov.drivers.ice.ethtool_coalesce import Coalesce
from siov.drivers.ice.ethtool_ntuple import Ntuple
from siov.drivers.ice.netdev_ethtool import drvinfo
from siov.host.linux import LinuxError

if TYPE_CHECKING:
    from siov.drivers.ice.pf import IcePf
    from siov.drivers.ice.vsi import Vsi


@dataclass(slots=True)
class VdevEthtool:
    """A virtual device from the host: its guest's driver owns rings and moderation."""

    pf: IcePf
    vsi: Vsi
    name: str
    coalesce: Coalesce = field(init=False)

    def __post_init__(self) -> None:
        self.coalesce = Coalesce(None)

    @property
    def ntuple(self) -> Ntuple | None:
        """The guest asks for its flow rules by virtchnl; the host adds none."""
        return None

    @property
    def rx_rings(self) -> int:
        """Receive queues."""
        return len(self.vsi.rxq)

    def get_drvinfo(self) -> DrvInfo:
        """ice, whose VSI it is."""
        return drvinfo(self.pf)

    def get_ringparam(self) -> RingParam:
        """Sizes of the first rings that the guest has set up; 0 before."""
        rx = next((ring.length for _, ring in sorted(self.vsi.rx_rings.items())), 0)
        tx = next((ring.length for _, ring in sorted(self.vsi.tx_rings.items())), 0)
        return RingParam(rx, tx, MAX_VF_RING)

    def set_ringparam(self, rx: int, tx: int) -> None:
        """EOPNOTSUPP."""
        raise LinuxError(
            EOPNOTSUPP, f"{self.name}: its guest's driver sets up the rings; use ethtool -G in the guest"
        )

    def get_stats(self) -> Mapping[str, int]:
        """The VSI's counters by the names that the guest's driver has."""
        return vf_stats(self.vsi.stats())
