"""Virtual devices put together: VDCM's policy, the mechanism in the core, and virtchnl."""

from __future__ import annotations

from siov._core import Bus, RegFile, Vdev
from siov.drivers.ice.vdcm import VdcmHost
from siov.drivers.ice.vdcm_device import VdcmDevice
from siov.drivers.ice.vdev import Compose, VdevLayout
from siov.drivers.ice.vf import VirtchnlVf
from siov.host.mdev import MdevCore


def composer(bus: Bus) -> Compose:
    """Makes the mechanisms of virtual devices whose parents' registers are on this bus."""

    def compose(layout: VdevLayout, bell: tuple[int, int]) -> Vdev:
        return Vdev(
            RegFile(layout.config_size, list(layout.config)),
            bus,
            bar0_size=layout.bar0_size,
            traps=layout.traps,
            msix=layout.msix,
            function_reset=layout.function_reset,
            bell=bell,
        )

    return compose


def vdcm_host(mdev: MdevCore, bus: Bus) -> VdcmHost:
    """What ice's VDCM is given on a host with this mdev core and bus."""
    return VdcmHost(mdev, composer(bus), _attach)


def _attach(device: VdcmDevice) -> VirtchnlVf:
    return VirtchnlVf(device.adi.vsi, device, device.mac)
