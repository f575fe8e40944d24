"""The modules that a server's host loads: ice with its VDCM, and who answers for its interfaces."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from siov._core import Bus
from siov.drivers.ice.bridge import Bridge
from siov.drivers.ice.ethtool import EthtoolOps
from siov.drivers.ice.ethtool import run as ethtool
from siov.drivers.ice.main import IceDriver, ice_module_exit, ice_module_init
from siov.drivers.ice.netdev_ethtool import IceEthtool
from siov.drivers.ice.pf import IcePf
from siov.drivers.ice.services import Services
from siov.drivers.ice.vdcm import IceVdcm, ice_vdcm_init
from siov.errors import ScenarioError
from siov.host.linux import choices
from siov.host.mdev import MdevCore
from siov.host.pci import PciSubsystem
from siov.vdevs import vdcm_host


@dataclass(slots=True, frozen=True)
class Netdev:
    """An interface as `ethtool` finds it, and the lock to hold meanwhile."""

    ops: EthtoolOps
    lock: AbstractContextManager[object]

    def ethtool(self, words: Sequence[str]) -> str:
        """What `ethtool OPTION INTERFACE …` prints; `words` are the option and what is behind the interface.

        `LinuxError` as ethtool would refuse it.
        """
        with self.lock:
            return ethtool(self.ops, words)


@dataclass(slots=True, frozen=True)
class BridgePort:
    """The switch of an adapter as `bridge link` finds it."""

    bridge: Bridge
    pf: IcePf

    def getlink(self) -> int:
        """The mode, 0 VEB or 1 VEPA."""
        with self.pf.lock:
            return int(self.bridge.getlink())

    def setlink(self, mode: int) -> None:
        """Change the mode of all VSIs; EINVAL for another."""
        with self.pf.lock:
            self.bridge.setlink(mode)


@dataclass(slots=True)
class IceModule:
    """The ice driver, loaded; `names` gives the scenario's name of a function by its PCI name."""

    driver: IceDriver
    names: Callable[[str], str]
    _interfaces: dict[str, EthtoolOps] = field(default_factory=dict)

    @classmethod
    def load(
        cls,
        pci: PciSubsystem,
        services: Services,
        mdev: MdevCore,
        bus: Bus,
        names: Callable[[str], str],
        *,
        queues: int = 1,
        siov: bool = True,
    ) -> IceModule:
        """Load it (modprobe ice): every adapter that none drives is probed.

        `queues` is the number of queue pairs of each function's own interface. What a probe refused is in
        the device's `probe_error`.
        """
        host = vdcm_host(mdev, bus)
        services.vdcm_init = lambda pf: ice_vdcm_init(pf, host)
        driver = IceDriver(services, queues=queues, siov=siov)
        ice_module_init(pci, driver)
        return cls(driver, names)

    def unload(self) -> None:
        """Give all functions up (rmmod ice); nothing of it is left."""
        self._interfaces.clear()
        ice_module_exit(self.driver)

    @property
    def pfs(self) -> Mapping[str, IcePf]:
        """The functions that it drives, by the scenario's name."""
        return {self.names(name): pf for name, pf in self.driver.pfs.items()}

    def netdev(self, name: str) -> Netdev:
        """The interface of a function, by one of its names, or of a virtual device, by UUID.

        `ScenarioError` when there is none.
        """
        pf = self._pf(name)
        if pf is not None:
            return Netdev(self._interface(pf, name), pf.lock)
        for pf in self.driver.pfs.values():
            for mdev, device in pf.vdcm.devices.items() if isinstance(pf.vdcm, IceVdcm) else ():
                if mdev.name == name.lower():
                    return Netdev(device.ethtool, pf.lock)
        raise ScenarioError(
            f"there is no interface {name!r}; there are {choices(self.pfs)} and virtual devices by their UUID"
        )

    def bridge(self, name: str) -> BridgePort:
        """The switch of a function; `ScenarioError` when there is no such function."""
        pf = self._pf(name)
        if pf is None:
            raise ScenarioError(f"there is no adapter {name!r}; there is {choices(self.pfs)}")
        return BridgePort(pf.bridge, pf)

    def _interface(self, pf: IcePf, name: str) -> EthtoolOps:
        if pf.netdev is None:
            raise ScenarioError(
                f"{name} has no queues, so no interface; give it some with the key ice.queues"
            )
        return self._interfaces.setdefault(pf.dev.name, IceEthtool(pf.netdev))

    def _pf(self, name: str) -> IcePf | None:
        return self.pfs.get(name) or self.driver.pfs.get(name)

    def inspect(self) -> dict[str, object]:
        """What the driver keeps of each function, and VDCM of each virtual device."""
        return {
            name: {**pf.inspect(), "vdcm": pf.vdcm.inspect() if isinstance(pf.vdcm, IceVdcm) else None}
            for name, pf in self.pfs.items()
        }
