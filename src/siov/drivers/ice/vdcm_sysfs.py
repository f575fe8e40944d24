"""The files of a virtual device's own directory in sysfs: what its operator may change."""

from __future__ import annotations

from errno import EINVAL
from typing import TYPE_CHECKING, cast

from siov.host.linux import LinuxError
from siov.host.mdev import MdevDevice
from siov.host.sysfs import ATTR_RW, AttributeGroup

if TYPE_CHECKING:
    from siov.drivers.ice.vdcm_device import VdcmDevice


def trusted_show(mdev: MdevDevice) -> str:
    """Whether its guest is trusted, 1 or 0."""
    return f"{int(cast('VdcmDevice', mdev.ops).trusted)}\n"


def trusted_store(mdev: MdevDevice, data: bytes) -> None:
    """Trust the guest or not, as `ip link set PF vf N trust on` does; EINVAL for another word than 1 or 0."""
    word = data.decode("ascii", "replace").strip()
    if word not in ("0", "1"):
        raise LinuxError(EINVAL, f"{word!r} is not 1 or 0; 1 trusts the guest of mdev {mdev.name}")
    cast("VdcmDevice", mdev.ops).set_trusted(word == "1")


vdev_group = AttributeGroup((ATTR_RW(trusted_show, trusted_store),))
