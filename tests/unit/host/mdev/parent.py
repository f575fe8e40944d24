"""A parent driver for tests: a pool of queue pairs out of which instances of two types are made."""

from collections.abc import Callable, Sequence
from errno import ENOSPC
from typing import Any

from siov.host.bus import Bus
from siov.host.device import Device, Driver
from siov.host.linux import LinuxError
from siov.host.mdev import Available, MdevCore, MdevDevice, MdevType
from siov.host.sysfs import ATTR_RO, ATTR_RW, ATTR_WO, AttributeGroup
from siov.host.vfio import Area, IrqFlag, IrqInfo, Region, RegionFlag

UUIDS = [f"83b8f4f2-509f-382f-3c1e-e6bfe0fa10{n:02x}" for n in range(16)]
PAGES = 0x40_0000_0000  # where the PF's BAR 0 is


class Vdev:
    """The operations of a virtual device, all recorded in `calls`."""

    def __init__(self, calls: list[tuple[Any, ...]]) -> None:
        self.calls = calls
        self.zap: Callable[[], None] | None = None
        self.fails: LinuxError | None = None
        self.bars = bytearray(range(256)) * 64

    def open_device(self, pasid: int) -> None:
        self.calls.append(("open_device", pasid))
        if self.fails:
            raise self.fails

    def close_device(self) -> None:
        self.calls.append(("close_device",))
        if self.fails:
            raise self.fails

    def region(self, index: int) -> Region:
        rw = RegionFlag.READ | RegionFlag.WRITE
        return {
            0: Region(0x4000, rw | RegionFlag.MMAP, (Area(0x1000, 0x2000),)),
            1: Region(0x2000, RegionFlag.READ | RegionFlag.MMAP),
            7: Region(256, rw),
        }.get(index, Region())

    def irq(self, index: int) -> IrqInfo:
        return IrqInfo(5, IrqFlag.EVENTFD | IrqFlag.NORESIZE) if index == 2 else IrqInfo()

    def read(self, index: int, offset: int, size: int) -> bytes:
        self.calls.append(("read", index, offset, size))
        return bytes(self.bars[offset : offset + size])

    def write(self, index: int, offset: int, data: bytes) -> None:
        self.calls.append(("write", index, offset, data))

    def set_irqs(self, index: int, start: int, fds: Sequence[int | None]) -> None:
        self.calls.append(("set_irqs", index, start, tuple(fds)))

    def disable_irqs(self, index: int) -> None:
        self.calls.append(("disable_irqs", index))

    def mmap(self, index: int, offset: int) -> int:
        return PAGES + offset

    def reset(self) -> None:
        self.calls.append(("reset",))
        if self.zap is not None:
            self.zap()


class Ops:
    """What the parent's driver does: `pairs` queue pairs; a "vdcm" takes 4, a "vdcm-1" takes 1."""

    need = {"vdcm": 4, "vdcm-1": 1}

    def __init__(self, pairs: int = 8) -> None:
        self.pairs = pairs
        self.calls: list[tuple[Any, ...]] = []
        self.fails: LinuxError | None = None
        self.within_create: Callable[[MdevDevice], object] = lambda mdev: None
        self.notes: dict[str, str] = {}
        self.types = (
            MdevType("vdcm", "S-IOV device", "4 queue pairs, 5 vectors", groups=(type_group,)),
            MdevType("vdcm-1", "S-IOV device"),
        )
        self.mdev_attr_groups = (instance_group,)

    def available(self, mtype: MdevType) -> Available:
        return Available(self.pairs // self.need[mtype.group], f"{self.pairs} queue pairs are free")

    def create(self, mdev: MdevDevice) -> Vdev:
        self.calls.append(("create", mdev.name))
        mdev.trace("ice_vdcm_create")
        self.within_create(mdev)
        if self.fails:
            raise self.fails
        if self.pairs < self.need[mdev.mtype.mtype.group]:
            raise LinuxError(ENOSPC, "no queue pair is free")
        self.pairs -= self.need[mdev.mtype.mtype.group]
        return Vdev(self.calls)

    def remove(self, mdev: MdevDevice) -> None:
        self.calls.append(("remove", mdev.name))
        self.pairs += self.need[mdev.mtype.mtype.group]


class Pf(Driver):
    """The driver of the parent; it registers at probe and unregisters at remove, as ice does."""

    name = "ice"

    def __init__(self, mdev: MdevCore, ops: Ops, max_instances: int | None = None) -> None:
        super().__init__()
        self.mdev, self.ops, self.max_instances = mdev, ops, max_instances

    def probe(self, device: Any) -> None:
        self.mdev.register_parent(device, self.ops, self.max_instances)

    def remove(self, device: Any) -> None:
        self.mdev.unregister_parent(device)


class PciDevice(Device):
    """A function with a requester id."""

    rid = 0x3B00

    def __init__(self, name: str = "0000:3b:00.0") -> None:
        super().__init__(name)


def plug(mdev: MdevCore, ops: Ops, max_instances: int | None = None) -> PciDevice:
    """A PCI bus with one function that the driver has probed."""
    bus = Bus(mdev.core, "pci").register()
    bus.add_driver(Pf(mdev, ops, max_instances))
    dev = PciDevice()
    bus.add_device(dev)
    return dev


# Attributes of each kind: their callbacks tell, or keep, what they got.

got: list[object] = []


def whose_show(kobj: Any) -> str:
    got.append(kobj)
    return f"{kobj.name}\n"


def tune_show(kobj: Any) -> str:
    return f"{getattr(kobj, 'tuned', 'no')}\n"


def tune_store(kobj: Any, data: bytes) -> None:
    kobj.tuned = data.decode().strip()


def kick_store(kobj: Any, data: bytes) -> None:
    got.append(kobj)


type_group = AttributeGroup(
    (ATTR_RO(whose_show), ATTR_RW(tune_show, tune_store), ATTR_WO(kick_store)), "driver"
)
instance_group = AttributeGroup(
    (ATTR_RO(whose_show), ATTR_RW(tune_show, tune_store), ATTR_WO(kick_store)), "vdev"
)
