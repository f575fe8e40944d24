"""A virtual device as its user holds it, with the checks of VFIO (vfio_main.c, vfio_pci_core.c)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from errno import EBADF, EBUSY, EINVAL, ENODEV, ENOTTY
from typing import TYPE_CHECKING

from siov.host.linux import LinuxError
from siov.host.physmem import PAGE_SIZE
from siov.host.vfio.container import VfioContainer
from siov.host.vfio.ops import (
    Area,
    DeviceFlag,
    IrqIndex,
    IrqInfo,
    Region,
    RegionFlag,
    RegionIndex,
    SetIrqsFlag,
    VfioDeviceOps,
)

if TYPE_CHECKING:
    from siov.host.mdev import MdevDevice

OFFSET_SHIFT = 40  # VFIO_PCI_OFFSET_SHIFT: a flat offset is the region's index and the offset in it
_OFFSET_MASK = (1 << OFFSET_SHIFT) - 1
_DATA = SetIrqsFlag.DATA_NONE | SetIrqsFlag.DATA_BOOL | SetIrqsFlag.DATA_EVENTFD
_ACTION = SetIrqsFlag.ACTION_MASK | SetIrqsFlag.ACTION_UNMASK | SetIrqsFlag.ACTION_TRIGGER


class VfioDevice:
    """An mdev and the memory of who uses it; open, it reaches that memory under a PASID of its own.

    A user that maps parts of BAR 0 sets `zap` to hear when to forget its mappings. As a context it is open.
    """

    flags = DeviceFlag.PCI | DeviceFlag.RESET
    num_regions = len(RegionIndex)
    num_irqs = len(IrqIndex)

    def __init__(self, mdev: MdevDevice, container: VfioContainer, rid: int | None = None) -> None:
        self.mdev = mdev
        self.container = container
        self.rid: int = getattr(mdev.parent, "rid") if rid is None else rid  # noqa: B009
        self.pasid: int | None = None
        self.zap: Callable[[], None] | None = None
        self._enabled: set[int] = set()  # interrupt indexes in use

    @property
    def is_open(self) -> bool:
        """Between open and close."""
        return self.pasid is not None

    @property
    def ops(self) -> VfioDeviceOps:
        """What makes the device; ENODEV when it is gone."""
        if self.mdev.ops is None or self.mdev.driver is None:
            raise LinuxError(ENODEV, f"mdev {self.mdev.name} has no VFIO driver; it is gone or unbound")
        return self.mdev.ops

    def open(self) -> None:
        """Attach the container's memory under a new PASID and bring the device into use.

        EBUSY when somebody has it open, ENODEV when it is gone, the container's and the device's errors;
        nothing has changed then.
        """
        ops = self.ops
        if not self.mdev.open_by(self):
            raise LinuxError(EBUSY, f"mdev {self.mdev.name} is open already; it can be once")
        self.mdev.trace("vfio_device_open")
        with ExitStack() as undo:
            undo.callback(setattr, self.mdev, "opener", None)
            pasid = self.container.attach(self.rid)
            undo.callback(self.container.detach, pasid)
            ops.zap = self._zap
            undo.callback(setattr, ops, "zap", None)
            ops.open_device(pasid)
            undo.pop_all()
        self.pasid = pasid

    def close(self) -> None:
        """Take the device out of use: no interrupt, no DMA, no mapping; EBADF when it is not open.

        It is closed also when a step fails, whose error is raised.
        """
        self._check_open()
        assert self.mdev.ops is not None
        ops, pasid = self.mdev.ops, self.pasid
        assert pasid is not None
        self.mdev.trace("vfio_device_close")
        with ExitStack() as steps:  # carried out from the last to the first
            steps.callback(setattr, self.mdev, "opener", None)
            steps.callback(self.container.detach, pasid)
            steps.callback(setattr, ops, "zap", None)
            steps.callback(self._zap)
            steps.callback(ops.close_device)
            for index in sorted(self._enabled):
                steps.callback(ops.disable_irqs, index)
            self._enabled.clear()
            self.pasid = None

    def __enter__(self) -> VfioDevice:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        if self.is_open:
            self.close()

    def region(self, index: int) -> Region:
        """VFIO_DEVICE_GET_REGION_INFO; EINVAL for no index. Its flat offset is `offset(index)`."""
        if not 0 <= index < self.num_regions:
            raise LinuxError(EINVAL, f"mdev {self.mdev.name} has regions 0 to 8, not {index}")
        found = self.ops.region(index)
        if found.sparse:
            return Region(found.size, found.flags | RegionFlag.CAPS, found.sparse)
        return found

    def irq(self, index: int) -> IrqInfo:
        """VFIO_DEVICE_GET_IRQ_INFO; EINVAL for no index."""
        if not 0 <= index < self.num_irqs:
            raise LinuxError(EINVAL, f"mdev {self.mdev.name} has interrupt indexes 0 to 4, not {index}")
        return self.ops.irq(index)

    @staticmethod
    def offset(index: int, at: int = 0) -> int:
        """The flat offset of a place in a region."""
        return index << OFFSET_SHIFT | at

    def pread(self, size: int, offset: int) -> bytes:
        """Read at a flat offset, as pread(2) on the device's descriptor does."""
        return self.read(offset >> OFFSET_SHIFT, offset & _OFFSET_MASK, size)

    def pwrite(self, data: bytes, offset: int) -> int:
        """Write at a flat offset; how many bytes were taken."""
        return self.write(offset >> OFFSET_SHIFT, offset & _OFFSET_MASK, data)

    def read(self, index: int, offset: int, size: int) -> bytes:
        """Bytes of a region, up to its end, in aligned accesses of at most 4.

        EINVAL for a region that there is not or that can't be read, and behind its end.
        """
        self._check_open()
        end = self._end(index, offset, size, RegionFlag.READ, "read")
        return b"".join(self.ops.read(index, at, step) for at, step in _accesses(offset, end))

    def write(self, index: int, offset: int, data: bytes) -> int:
        """Write bytes of a region, up to its end, in aligned accesses of at most 4; how many were taken.

        EINVAL for a region that there is not or that can't be written, and behind its end.
        """
        self._check_open()
        end = self._end(index, offset, len(data), RegionFlag.WRITE, "written")
        for at, step in _accesses(offset, end):
            self.ops.write(index, at, data[at - offset : at - offset + step])
        return end - offset

    def mmap(self, index: int, offset: int) -> int:
        """The physical address of a page of a region; EINVAL when it can't be mapped."""
        self._check_open()
        region = self.region(index)
        if not region.flags & RegionFlag.MMAP or offset % PAGE_SIZE:
            raise LinuxError(EINVAL, f"mdev {self.mdev.name}: {offset:#x} in region {index} can't be mapped")
        areas = region.sparse or (Area(0, region.size),)
        if not any(area.offset <= offset <= area.offset + area.size - PAGE_SIZE for area in areas):
            raise LinuxError(
                EINVAL, f"mdev {self.mdev.name}: the page at {offset:#x} of region {index} is trapped"
            )
        return self.ops.mmap(index, offset)

    def set_irqs(self, index: int, start: int, fds: Sequence[int | None]) -> None:
        """Signal eventfds for the vectors from `start` on; None takes a vector's eventfd away."""
        self.ioctl_set_irqs(
            SetIrqsFlag.DATA_EVENTFD | SetIrqsFlag.ACTION_TRIGGER, index, start, len(fds), fds
        )

    def disable_irqs(self, index: int) -> None:
        """Signal nothing any more for an index."""
        self.ioctl_set_irqs(SetIrqsFlag.DATA_NONE | SetIrqsFlag.ACTION_TRIGGER, index, 0, 0)

    def ioctl_set_irqs(
        self, flags: SetIrqsFlag, index: int, start: int, count: int, fds: Sequence[int | None] = ()
    ) -> None:
        """VFIO_DEVICE_SET_IRQS; EINVAL for what contradicts itself, ENOTTY for what no vdev can do.

        An mdev can be told eventfds to trigger, or nothing with count 0, which disables the index.
        """
        self._check_open()
        info = self.irq(index)
        data, action = flags & _DATA, flags & _ACTION
        what = f"mdev {self.mdev.name}: SET_IRQS of index {index}"
        if int(flags) & ~int(_DATA | _ACTION) or data.bit_count() != 1 or action.bit_count() != 1:
            raise LinuxError(EINVAL, f"{what} needs one kind of data and one action, not {flags!r}")
        if start < 0 or count < 0 or start >= info.count or start + count > info.count:
            raise LinuxError(EINVAL, f"{what} from {start}, {count} of them: it has {info.count}")
        if data == SetIrqsFlag.DATA_EVENTFD and len(fds) != count:
            raise LinuxError(EINVAL, f"{what} says {count} eventfds and brings {len(fds)}")
        if action != SetIrqsFlag.ACTION_TRIGGER:
            raise LinuxError(ENOTTY, f"{what}: a vdev's vectors can't be masked there; use its MSI-X table")
        if data == SetIrqsFlag.DATA_NONE and count == 0:
            self._enabled.discard(index)
            self.ops.disable_irqs(index)
        elif data == SetIrqsFlag.DATA_EVENTFD and count:
            self.ops.set_irqs(index, start, tuple(fds))
            self._enabled.add(index)
        else:
            raise LinuxError(
                ENOTTY, f"{what}: a vdev can be told eventfds, or to disable all; not to trigger"
            )

    def reset(self) -> None:
        """VFIO_DEVICE_RESET."""
        self._check_open()
        self.ops.reset()

    def _check_open(self) -> None:
        if not self.is_open:
            raise LinuxError(EBADF, f"mdev {self.mdev.name} is not open here; open it first")

    def _end(self, index: int, offset: int, size: int, need: RegionFlag, done: str) -> int:
        region = self.region(index)
        if not region.size or not region.flags & need:
            raise LinuxError(EINVAL, f"mdev {self.mdev.name}: region {index} can't be {done}")
        if offset < 0 or size < 0 or offset >= region.size:
            raise LinuxError(
                EINVAL,
                f"mdev {self.mdev.name}: region {index} has {region.size:#x} bytes; {offset:#x} is behind it",
            )
        return min(offset + size, region.size)

    def _zap(self) -> None:
        if self.zap is not None:
            self.zap()

    def inspect(self) -> dict[str, object]:
        """Which mdev it is, whether it is open, and under which requester id and PASID."""
        return {
            "mdev": self.mdev.name,
            "open": self.is_open,
            "rid": f"{self.rid:#06x}",
            "pasid": self.pasid,
            "irqs": [IrqIndex(index).name for index in sorted(self._enabled)],
        }


def _accesses(offset: int, end: int) -> list[tuple[int, int]]:
    """The aligned accesses of 4, 2 or 1 bytes that make up a range."""
    found = []
    while offset < end:
        step = next(size for size in (4, 2, 1) if offset % size == 0 and offset + size <= end)
        found.append((offset, step))
        offset += step
    return found
