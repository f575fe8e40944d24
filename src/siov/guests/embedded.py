"""Virtual machines in this process: memory, a vCPU, and virtual devices reached as a VMM gives them.

The guest's kernel sees its memory at DIRECT_MAP and BARs at MMIO_MAP. A page of a BAR that can be mapped gets
a slot of the machine's memory when it is touched first, so a doorbell goes straight to the adapter; all other
accesses are exits, and go to VFIO.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Protocol

from siov._core import CpuCore, EventFd
from siov.guests.paging import GuestFormat, GuestMemory
from siov.host.iommu import Ids, IntelIommu
from siov.host.kvm import MemorySlot, Vm
from siov.host.kvm.vm import Vcpu
from siov.host.linux import LinuxError
from siov.host.mdev import MdevDevice
from siov.host.pgtable import PageTable, Prot
from siov.host.physmem import PAGE_SHIFT, PAGE_SIZE, PhysMem
from siov.host.vfio import IrqIndex, RegionIndex, VfioContainer, VfioDevice
from siov.spec.ept import Cr3, EptViolation
from siov.spec.pcie import Msix, Type0
from siov.spec.vdev import MSIX_CAPABILITY

DIRECT_MAP = 1 << 46  # where the guest's kernel has all memory
MMIO_MAP = 1 << 45  # where it has the registers of devices
BARS = 1 << 32  # guest-physical address of the first BAR
BAR_STRIDE = 64 << 20
TABLES = 2 << 20  # bytes of the guest's memory that its page tables may take
RAM_SLOT = 0
DEAD = 0xFFFF_FFFF  # what a read gives where nothing is


class GuestCpu(Vcpu, Protocol):
    """A core that runs the machine's vCPU."""

    @property
    def engine(self) -> CpuCore:
        """Its mechanism, for who accesses memory by the million."""

    def set_guest(self, cr3: Cr3) -> None:
        """Where the guest's page tables are."""

    def access(self, gva: int, access: str = "r") -> dict[str, Any]:
        """An access of the guest's kernel: `hpa`, or `fault`."""

    def vm_entry(self) -> None:
        """Run the guest."""


class Rest(Protocol):
    """How a guest waits: others work meanwhile, on their threads or on this one."""

    def sleep(self, seconds: float) -> None:
        """Let time pass."""

    def wait(self, eventfd: EventFd, seconds: float) -> bool:
        """Until an eventfd was signalled, at most so long; whether it was. It is zero again then."""


class EmbeddedVm:
    """A machine of `size` bytes of memory out of the host's, run by one core.

    `largest` is the level of the largest page by which EPT and its devices reach that memory. `close` gives
    everything back. ENOMEM when the host's memory is too small.
    """

    def __init__(
        self,
        name: str,
        mem: PhysMem,
        size: int,
        core: GuestCpu,
        iommu: IntelIommu,
        pasids: Ids,
        rest: Rest,
        *,
        largest: int = 2,
    ) -> None:
        self.name, self.mem, self.size, self.core, self.rest = name, mem, size, core, rest
        self.lock = threading.RLock()  # of slots and the core; nobody calls VFIO with it held
        self.base = mem.alloc_pages(size // PAGE_SIZE, "guest")
        self.vm = Vm(mem, name, largest=largest)
        self.vm.add_slot(MemorySlot(RAM_SLOT, 0, size, self.base), populate=True)
        # Page 0 stays free, as real guests keep it: a null pointer is no table.
        firmware = PhysMem(GuestMemory(mem.mmio, self.base), PAGE_SIZE, TABLES - PAGE_SIZE)
        self.table = PageTable(firmware, GuestFormat(user=False), 4, largest=2)
        self.table.map(DIRECT_MAP, 0, size, Prot.READ | Prot.WRITE)
        self.pages = PhysMem(self, TABLES, size - TABLES)
        core.set_guest(Cr3.of(PCID=1, ADDR=self.table.root >> PAGE_SHIFT))
        self.vm.add_vcpu(core)
        self.container = VfioContainer(iommu, pasids, name=name, largest=largest)
        self.container.dma_map(0, self.base, size)
        self.vdevs: list[GuestVdev] = []

    def attach(self, mdev: MdevDevice) -> GuestVdev:
        """Plug a virtual device in and open it; the errors of VFIO, and then it is not there."""
        vdev = GuestVdev(self, VfioDevice(mdev, self.container), len(self.vdevs))
        vdev.open()
        self.vdevs.append(vdev)
        return vdev

    def close(self) -> None:
        """Close its devices and give its memory back."""
        for vdev in reversed(self.vdevs):
            vdev.close()
        self.vdevs.clear()
        self.container.close()
        self.vm.destroy()
        self.mem.free(self.base)

    # The guest's kernel, by its vCPU.

    def read(self, address: int, size: int) -> bytes:
        """Bytes at a guest-physical address."""
        return b"".join(self.mem.mmio.read(hpa, n) for _, hpa, n in self._pieces(address, size, "r"))

    def write(self, address: int, data: bytes) -> None:
        """Bytes to a guest-physical address."""
        for done, hpa, n in self._pieces(address, len(data), "w"):
            self.mem.mmio.write(hpa, data[done : done + n])

    def read32(self, gva: int) -> int:
        """A register at a guest-virtual address; all ones where nothing is."""
        result = self._access(gva, "r")
        if (hpa := result.get("hpa")) is not None:
            return int.from_bytes(self.mem.mmio.read(hpa, 4), "little")
        found = self._vdev_at(result["gpa"])
        if found is None:
            return DEAD
        vdev, offset = found
        try:
            return int.from_bytes(vdev.device.read(RegionIndex.BAR0, offset, 4), "little")
        except LinuxError:  # the device was taken away
            return DEAD

    def write32(self, gva: int, value: int) -> None:
        """Write a register; lost where nothing is."""
        result = self._access(gva, "w")
        if (hpa := result.get("hpa")) is not None:
            self.mem.mmio.write(hpa, value.to_bytes(4, "little"))
        else:
            self._emulate(result["gpa"], value)

    def handle_exit(self, result: dict[str, Any]) -> bool:
        """See to a VM exit of who runs the guest elsewhere; whether the write that caused it is done.

        Else it is to be tried again: the page is there now, or the log is empty.
        """
        if self._resolve(result):
            return False
        self._emulate(result["gpa"], result.get("value", 0))
        return True

    def zap(self, vdev: GuestVdev) -> None:
        """Forget which pages of a BAR are where; nobody reaches them once this returns."""
        with self.lock:
            for slot in vdev.slots.values():
                self.vm.remove_slot(slot)
            vdev.slots.clear()

    def inspect(self) -> dict[str, object]:
        """Memory, devices and the host's view."""
        return {
            "size": self.size,
            "memory": self.base,
            "vdevs": {vdev.device.mdev.name: vdev.inspect() for vdev in self.vdevs},
            "dma": self.container.inspect(),
            "kvm": self.vm.inspect(),
        }

    def _pieces(self, address: int, size: int, access: str) -> Iterator[tuple[int, int, int]]:
        """A stretch of memory, accessed page by page: bytes before, where in the host's memory, bytes there.

        A page is what both stages map as one: while writes are logged, the second stage has small ones.
        """
        done = 0
        while done < size:
            at = DIRECT_MAP + address + done
            result = self._access(at, access)
            hpa: int | None = result.get("hpa")
            assert hpa is not None, f"{self.name}: {at:#x} is not memory of the guest"
            n = min(size - done, (at | result["page"] - 1) + 1 - at)
            yield done, hpa, n
            done += n

    def _access(self, gva: int, access: str) -> dict[str, Any]:
        """An access with the exits on its way handled, but for those of trapped registers."""
        while True:
            with self.lock:
                result = self.core.access(gva, access)
            if "hpa" in result or not self._resolve(result):
                return result

    def _resolve(self, result: dict[str, Any]) -> bool:
        """Whether the cause of an exit is gone."""
        fault = result["fault"]
        with self.lock:
            if fault == "not-running":
                self.core.vm_entry()
                return True
            if fault == "pml-full":
                self.vm.handle_pml_full(self.core)
                return True
            assert fault == "ept-violation", f"{self.name}: the guest's kernel has a {fault}"
            gpa = result["gpa"]
            if self.vm.find_slot(gpa) is not None:
                write = EptViolation(result["qualification"]).WRITE
                return self.vm.handle_ept_violation(gpa, Prot.WRITE if write else Prot.READ)
        found = self._vdev_at(gpa)
        return found is not None and found[0].map_page(found[1])

    def _emulate(self, gpa: int, value: int) -> None:
        if (found := self._vdev_at(gpa)) is not None:
            vdev, offset = found
            with suppress(LinuxError):  # the device was taken away
                vdev.device.write(RegionIndex.BAR0, offset, value.to_bytes(4, "little"))

    def _vdev_at(self, gpa: int) -> tuple[GuestVdev, int] | None:
        number, offset = divmod(gpa - BARS, BAR_STRIDE)
        return (self.vdevs[number], offset) if 0 <= number < len(self.vdevs) else None


class GuestVdev:
    """A virtual device in a guest, as its driver reaches it (the `VdevAccess` of `siov.drivers.iavf`)."""

    def __init__(self, guest: EmbeddedVm, device: VfioDevice, number: int) -> None:
        self.guest, self.device, self.number = guest, device, number
        self.slots: dict[int, int] = {}  # page of BAR 0: memory slot
        self.eventfds: list[EventFd] = []  # one for each vector
        self.mail: Callable[[EventFd], None] | None = None  # is told each new one of vector 0, the mailbox's
        self._mapped = False

    @property
    def gpa(self) -> int:
        """Where BAR 0 is."""
        return BARS + self.number * BAR_STRIDE

    def open(self) -> None:
        """Open the device and give BAR 0 its address, as firmware does."""
        self.device.zap = lambda: self.guest.zap(self)
        self.device.open()
        if not self._mapped:
            size = -(-self.device.region(RegionIndex.BAR0).size // PAGE_SIZE) * PAGE_SIZE
            self.guest.table.map(MMIO_MAP + self.number * BAR_STRIDE, self.gpa, size, Prot.READ | Prot.WRITE)
            self._mapped = True
        self.config_write(Type0.spans["BAR"].at, self.gpa.to_bytes(8, "little"))

    def close(self) -> None:
        """Close the device: no mapping, no interrupt, no DMA."""
        if self.device.is_open:
            self.device.close()
        self.eventfds = []

    def map_page(self, offset: int) -> bool:
        """Have a page of BAR 0 lead to the adapter; False when it is trapped."""
        page = offset & -PAGE_SIZE
        try:
            hpa = self.device.mmap(RegionIndex.BAR0, page)
        except LinuxError:
            return False
        with self.guest.lock:
            if page not in self.slots:
                slot = 1 + (self.number << 20 | page >> PAGE_SHIFT)
                self.guest.vm.add_slot(MemorySlot(slot, self.gpa + page, PAGE_SIZE, hpa), populate=True)
                self.slots[page] = slot
        return True

    # What the driver stands on.

    def read32(self, offset: int) -> int:
        """A register of BAR 0."""
        return self.guest.read32(self.address(offset))

    def write32(self, offset: int, value: int) -> None:
        """Write a register of BAR 0."""
        self.guest.write32(self.address(offset), value)

    def address(self, offset: int) -> int:
        """The guest-virtual address of a register."""
        return MMIO_MAP + self.number * BAR_STRIDE + offset

    def config_read(self, offset: int, size: int) -> bytes:
        """Bytes of configuration space."""
        return self.device.read(RegionIndex.CONFIG, offset, size)

    def config_write(self, offset: int, data: bytes) -> None:
        """Write bytes of configuration space."""
        self.device.write(RegionIndex.CONFIG, offset, data)

    def alloc(self, size: int) -> int:
        """Zeroed memory for DMA, in whole pages: its guest-physical address."""
        return self.guest.pages.alloc_pages(-(-size // PAGE_SIZE), "dma")

    def free(self, address: int) -> None:
        """Give memory back."""
        self.guest.pages.free(address)

    def read(self, address: int, size: int) -> bytes:
        """Bytes of the guest's memory."""
        return self.guest.read(address, size)

    def write(self, address: int, data: bytes) -> None:
        """Write bytes of the guest's memory."""
        self.guest.write(address, data)

    def enable_vectors(self, count: int) -> None:
        """Enable MSI-X with `count` vectors, each with an eventfd."""
        self.eventfds = [EventFd() for _ in range(count)]
        self.device.set_irqs(IrqIndex.MSIX, 0, [eventfd.fileno() for eventfd in self.eventfds])
        self._msix(1)
        if self.mail is not None:
            self.mail(self.eventfds[0])

    def disable_vectors(self) -> None:
        """Disable MSI-X."""
        if self.device.is_open:
            self._msix(0)
            self.device.disable_irqs(IrqIndex.MSIX)
        self.eventfds = []

    def wait(self, vector: int, seconds: float) -> bool:
        """Wait for an interrupt; whether it came."""
        return self.guest.rest.wait(self.eventfds[vector], seconds)

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.guest.rest.sleep(seconds)

    def inspect(self) -> dict[str, object]:
        """Where its BAR is, and which of its pages go straight to the adapter."""
        return {
            "gpa": self.gpa,
            "pasid": self.device.pasid,
            "mapped": [f"{page:#x}" for page in sorted(self.slots)],
            "vectors": len(self.eventfds),
        }

    def _msix(self, enable: int) -> None:
        at = MSIX_CAPABILITY + Msix.CONTROL.at
        control = Msix.CONTROL.from_bytes(self.config_read(at, 2))
        self.config_write(at, control.replace(EN=enable).to_bytes())
