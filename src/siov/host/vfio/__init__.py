"""VFIO: a virtual device as its user has it, and the memory that it may reach (drivers/vfio)."""

from siov.host.vfio.container import VfioContainer
from siov.host.vfio.device import VfioDevice
from siov.host.vfio.ops import (
    Area,
    DeviceFlag,
    IrqFlag,
    IrqIndex,
    IrqInfo,
    Region,
    RegionFlag,
    RegionIndex,
    SetIrqsFlag,
    VfioDeviceOps,
)

__all__ = [
    "Area",
    "DeviceFlag",
    "IrqFlag",
    "IrqIndex",
    "IrqInfo",
    "Region",
    "RegionFlag",
    "RegionIndex",
    "SetIrqsFlag",
    "VfioContainer",
    "VfioDevice",
    "VfioDeviceOps",
]
