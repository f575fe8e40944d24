"""What a virtual device is to VFIO: regions, interrupts and operations (include/uapi/linux/vfio.h)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Protocol


class RegionIndex(IntEnum):
    """The regions of a PCI device (VFIO_PCI_*_REGION_INDEX)."""

    BAR0 = 0
    BAR1 = 1
    BAR2 = 2
    BAR3 = 3
    BAR4 = 4
    BAR5 = 5
    ROM = 6
    CONFIG = 7
    VGA = 8


class IrqIndex(IntEnum):
    """The interrupts of a PCI device (VFIO_PCI_*_IRQ_INDEX)."""

    INTX = 0
    MSI = 1
    MSIX = 2
    ERR = 3
    REQ = 4


class DeviceFlag(IntFlag):
    """What a device is (VFIO_DEVICE_FLAGS_*)."""

    RESET = 1
    PCI = 2


class RegionFlag(IntFlag):
    """What can be done with a region (VFIO_REGION_INFO_FLAG_*); CAPS says that it is mapped in parts."""

    NONE = 0
    READ = 1
    WRITE = 2
    MMAP = 4
    CAPS = 8


class IrqFlag(IntFlag):
    """What can be done with an interrupt index (VFIO_IRQ_INFO_*)."""

    NONE = 0
    EVENTFD = 1
    MASKABLE = 2
    AUTOMASKED = 4
    NORESIZE = 8


class SetIrqsFlag(IntFlag):
    """What VFIO_DEVICE_SET_IRQS is to do, and what its data is (VFIO_IRQ_SET_*)."""

    DATA_NONE = 1
    DATA_BOOL = 2
    DATA_EVENTFD = 4
    ACTION_MASK = 8
    ACTION_UNMASK = 16
    ACTION_TRIGGER = 32


@dataclass(slots=True, frozen=True)
class Area:
    """A part of a region that can be mapped, in bytes, of whole pages."""

    offset: int
    size: int


@dataclass(slots=True, frozen=True)
class Region:
    """A region's size in bytes, 0 for none; with `sparse` areas only those can be mapped."""

    size: int = 0
    flags: RegionFlag = RegionFlag.NONE
    sparse: tuple[Area, ...] = ()


@dataclass(slots=True, frozen=True)
class IrqInfo:
    """How many interrupts an index has, and what can be done with them."""

    count: int = 0
    flags: IrqFlag = IrqFlag.NONE


class VfioDeviceOps(Protocol):
    """What makes a virtual device (struct vfio_device_ops); VfioDevice checks arguments before it calls.

    `zap` is set by the device's user and called when its mappings of BAR 0 lead nowhere any more.
    """

    zap: Callable[[], None] | None

    def open_device(self, pasid: int) -> None:
        """Come into use; the PASID is attached to the user's memory on the parent's requester id."""

    def close_device(self) -> None:
        """Go out of use: no DMA and no interrupt follow."""

    def region(self, index: int) -> Region:
        """A region; size 0 where there is none."""

    def irq(self, index: int) -> IrqInfo:
        """An interrupt index; count 0 where there is none."""

    def read(self, index: int, offset: int, size: int) -> bytes:
        """One access of 1, 2 or 4 bytes, aligned to its size and within the region."""

    def write(self, index: int, offset: int, data: bytes) -> None:
        """One access of 1, 2 or 4 bytes, aligned to its size and within the region."""

    def set_irqs(self, index: int, start: int, fds: Sequence[int | None]) -> None:
        """Signal these eventfds for the vectors from `start` on; None takes a vector's eventfd away."""

    def disable_irqs(self, index: int) -> None:
        """Signal nothing any more, and give the vectors back."""

    def mmap(self, index: int, offset: int) -> int:
        """The physical address of a page of the region; EINVAL when it can't be mapped."""

    def reset(self) -> None:
        """Reset the device."""
