"""The files of a virtual device's own directory in sysfs: what its operator may change."""

from __future__ import annotations

from errno import EBUSY, EINVAL
from typing import TYPE_CHECKING, cast, get_args

from siov.drivers.ice.services import Doorbells
from siov.host.linux import LinuxError
from siov.host.mdev import MdevDevice
from siov.host.sysfs import ATTR_RW, ATTR_WO, AttributeGroup

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


def reset_store(mdev: MdevDevice, data: bytes) -> None:
    """Reset the instance when 1 is written, as a PCI function's `reset` does; EINVAL for anything else.

    Its guest's driver is told, and sets the device up anew. EBUSY while the function itself is being reset.
    """
    mdev.trace("reset_store")
    if data.strip() != b"1":
        raise LinuxError(EINVAL, f"{data!r} is not 1, which resets mdev {mdev.name}")
    cast("VdcmDevice", mdev.ops).reset()


def doorbells_show(mdev: MdevDevice) -> str:
    """How a VMM reaches the tails."""
    return f"{cast('VdcmDevice', mdev.ops).doorbells}\n"


def doorbells_store(mdev: MdevDevice, data: bytes) -> None:
    """Choose it for who opens the instance next; EBUSY while it is open, EINVAL for another word."""
    word, known = data.decode("ascii", "replace").strip(), get_args(Doorbells)
    mdev.trace("doorbells_store", word)
    if word not in known:
        raise LinuxError(EINVAL, f"doorbells of mdev {mdev.name} are {' or '.join(known)}, not {word!r}")
    if not cast("VdcmDevice", mdev.ops).choose_doorbells(cast(Doorbells, word)):
        raise LinuxError(EBUSY, f"mdev {mdev.name} is open; choose its doorbells while it is closed")


vdev_group = AttributeGroup(
    (
        ATTR_RW(trusted_show, trusted_store),
        ATTR_WO(reset_store),
        ATTR_RW(doorbells_show, doorbells_store),
    )
)
