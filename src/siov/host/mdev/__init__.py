"""Mediated devices: parents that offer types, instances made of them by UUID (drivers/vfio/mdev)."""

from siov.host.mdev.core import MdevCore
from siov.host.mdev.ctl import Mdevctl, MdevInfo, TypeInfo
from siov.host.mdev.device import MdevBus, MdevDevice, VfioMdevDriver
from siov.host.mdev.parent import MdevParent, MdevTypeDir
from siov.host.mdev.types import Available, MdevParentOps, MdevType

__all__ = [
    "Available",
    "MdevBus",
    "MdevCore",
    "MdevDevice",
    "MdevInfo",
    "MdevParent",
    "MdevParentOps",
    "MdevType",
    "MdevTypeDir",
    "Mdevctl",
    "TypeInfo",
    "VfioMdevDriver",
]
