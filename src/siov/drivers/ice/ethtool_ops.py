"""Who answers ethtool: the function's own interface, and a virtual device as the host sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from errno import EOPNOTSUPP
from typing import TYPE_CHECKING

from siov.drivers.ice.ethtool import MAX_VF_RING, DrvInfo, RingParam, pf_stats, vf_stats
from siov.drivers.ice.ethtool_coalesce import Coalesce, Moderated
from siov.drivers.ice.ethtool_ntuple import Ntuple
from siov.host.linux import LinuxError
from siov.spec.e810 import AqGetVersion, AqOpcode

if TYPE_CHECKING:
    from siov.drivers.ice.pf import IcePf
    from siov.drivers.ice.vsi import Vsi

VERSION = "1.17.8"  # of the ice driver whose behaviour this one has


def _drvinfo(pf: IcePf, driver: str) -> DrvInfo:
    version = pf.aq.send(AqOpcode.GET_VER, AqGetVersion.of()).params(AqGetVersion)
    firmware = f"{version.FW_MAJOR}.{version.FW_MINOR}.{version.FW_PATCH} {version.FW_BUILD:#x}"
    return DrvInfo(driver, VERSION, firmware, pf.dev.name)


@dataclass(slots=True)
class PfEthtool:
    """The function's interface; rings and moderation are those of its netdev."""

    pf: IcePf
    name: str
    coalesce: Coalesce = field(init=False)
    _ntuple: Ntuple | None = None

    def __post_init__(self) -> None:
        self.coalesce = Coalesce(self._vectors)
        self.pf.on_rebuild.append(lambda _: self.coalesce.apply())

    @property
    def ntuple(self) -> Ntuple | None:
        """The flow rules of the function's VSI; the flow director is started with the first look."""
        if self._ntuple is None and self.pf.main is not None and self.pf.main.rxq:
            self._ntuple = Ntuple(self.pf.flows.init(), self.pf.main.num)
        return self._ntuple

    @property
    def rx_rings(self) -> int:
        """Receive queues of the function's VSI."""
        return len(self.pf.main.rxq) if self.pf.main is not None else 0

    def get_drvinfo(self) -> DrvInfo:
        """ice, and the firmware's version."""
        return _drvinfo(self.pf, "ice")

    def get_ringparam(self) -> RingParam:
        """Sizes of the netdev's rings; EOPNOTSUPP for a function without queues."""
        netdev = self.pf.netdev
        if netdev is None:
            raise LinuxError(EOPNOTSUPP, f"{self.name} has no queues; give it some with the key ice.queues")
        return RingParam(netdev.rx_length, netdev.tx_length)

    def set_ringparam(self, rx: int, tx: int) -> None:
        """Other sizes; an interface that is up goes down and up again."""
        self.get_ringparam()
        assert self.pf.netdev is not None
        self.pf.netdev.set_ringparam(tx, rx)

    def get_stats(self) -> Mapping[str, int]:
        """Counters of the function's VSI and of its port."""
        assert self.pf.main is not None
        return pf_stats(self.pf.main.stats(), self.pf.port_stats.read(), fdir=self._ntuple)

    def _vectors(self) -> list[Moderated]:
        return list(self.pf.main.vectors) if self.pf.main is not None else []


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
        return _drvinfo(self.pf, "ice")

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
