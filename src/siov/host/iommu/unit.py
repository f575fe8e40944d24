"""One remapping unit, from probe to shut-down (drivers/iommu/intel/dmar.c, iommu.c)."""

from __future__ import annotations

from collections.abc import Sequence
from errno import EBUSY, EINVAL, ENODEV

from siov.host.iommu import cache
from siov.host.iommu.fault import FaultLog
from siov.host.iommu.ids import PASID_BITS, Ids, pasid_allocator
from siov.host.iommu.page_requests import GroupHandler, PageRequestQueue
from siov.host.iommu.queue import InvalidationQueue
from siov.host.iommu.registers import Registers
from siov.host.iommu.tables import RootTable
from siov.host.irq.vectors import Irq, IrqVectors
from siov.host.linux import LinuxError
from siov.host.physmem import PhysMem
from siov.spec.vtd import TTM, Descriptor, Unit
from siov.spec.word import Word

# Control, data, address and upper address register of the events: faults, page requests.
_FAULT_EVENT = (Unit.FECTL, Unit.FEDATA, Unit.FEADDR, Unit.FEUADDR)
_PAGE_REQUEST_EVENT = (Unit.PECTL, Unit.PEDATA, Unit.PEADDR, Unit.PEUADDR)


class RemappingUnit:
    """A unit at an MMIO base: its registers, invalidation queue, root table, faults and page requests.

    `scalable` chooses the mode; None takes scalable mode where the unit has it. ENODEV when nobody answers
    at the base or the unit lacks what this driver needs, EINVAL for a mode that it lacks.
    """

    def __init__(
        self,
        mem: PhysMem,
        base: int,
        *,
        scalable: bool | None = None,
        name: str = "dmar0",
        polls: int = 100_000,
    ) -> None:
        self.mem, self.name = mem, name
        self.registers = Registers(mem.mmio, base, name, polls)
        self.version = self.registers.read(Unit.VER)
        self.cap, self.ecap = self.registers.read(Unit.CAP), self.registers.read(Unit.ECAP)
        self._check_probe()
        if scalable and not self.ecap.SMTS:
            raise LinuxError(EINVAL, f"{name} has no scalable mode (ECAP.SMTS); use legacy mode")
        self.scalable = bool(self.ecap.SMTS) if scalable is None else scalable
        self.queue = InvalidationQueue(self.registers, mem, wide=self.scalable)
        self.faults = FaultLog(self.registers)
        self.page_requests = PageRequestQueue(self.registers, mem, self.queue)
        # 0 tags entries that are not present where those are cached (CAP.CM); it is nobody's.
        self.dids = Ids("domain id", 1, 1 << min(16, 4 + 2 * self.cap.ND))
        self.pasids = pasid_allocator(min(self.ecap.PSS + 1, PASID_BITS) if self.ecap.PASID else 0)
        self.root: RootTable | None = None
        self._event_irqs: list[Irq] = []
        self._irqs: IrqVectors | None = None

    def _check_probe(self) -> None:
        regs = self.registers
        if self.cap.raw in (0, (1 << 64) - 1) or self.version.MAX == 0:
            raise LinuxError(
                ENODEV, f"no remapping unit answers at {regs.base:#x}: VER {self.version.raw:#x}"
            )
        if not self.ecap.QI:
            raise LinuxError(ENODEV, f"{self.name} has no queued invalidation (ECAP.QI), which is needed")
        if self.cap.SAGAW & 0b1110 == 0 and not self.ecap.FSTS:
            raise LinuxError(ENODEV, f"{self.name} supports no address width: CAP.SAGAW {self.cap.SAGAW:#x}")

    @property
    def active(self) -> RootTable:
        """The root table in use; EINVAL while translation is off."""
        if self.root is None:
            raise LinuxError(EINVAL, f"{self.name} is off; enable it first")
        return self.root

    def enable_queued_invalidation(self) -> None:
        """Have the invalidation queue run, for interrupt remapping alone or before `enable`."""
        if not self.queue.ring:
            self.faults.drain()
            self.queue.enable()

    def enable(self) -> None:
        """Set the root table, empty, and switch translation on: from here, DMA of unknown devices is refused.

        EBUSY when it is on; ETIMEDOUT when the unit is stuck, and then nothing is left behind.
        """
        if self.root is not None:
            raise LinuxError(EBUSY, f"{self.name} is on already")
        if self.registers.read(Unit.GSTS).TES:
            self.registers.command("TE", "TES", on=False)  # as firmware may have left it
        self.enable_queued_invalidation()
        root = RootTable(self.mem, self.scalable)
        try:
            mode = TTM.SCALABLE if self.scalable else TTM.LEGACY
            self.registers.write(Unit.RTADDR.of(TTM=mode, RTA=root.address >> 12))
            self.flush_write_buffer()
            self.registers.command("SRTP", "RTPS")
            if not self.cap.ESRTPS:
                self.invalidate(cache.global_caches(self.scalable, self.cap))
            if self.scalable and self.ecap.PRS:
                self.page_requests.enable()
            self.registers.command("TE", "TES")
        except LinuxError:
            root.free()
            if self.page_requests.ring:
                self.page_requests.disable()
            raise
        self.root = root

    def disable(self) -> None:
        """Switch translation off and free the tables; the queue stays for interrupt remapping."""
        self.registers.command("TE", "TES", on=False)
        self.invalidate(cache.global_caches(self.scalable, self.cap))
        self.active.free()
        self.root = None
        if self.page_requests.ring:
            self.page_requests.disable()

    def shutdown(self) -> None:
        """Switch queued invalidation off and give the events' vectors back; EBUSY while translation is on."""
        if self.root is not None:
            raise LinuxError(EBUSY, f"{self.name} still translates; disable it first")
        for control in (Unit.FECTL, Unit.PECTL) if self._event_irqs else ():
            self.registers.write(control.of(IM=1))
        for irq in self._event_irqs:
            assert self._irqs is not None
            self._irqs.free_irq(irq)
        self._event_irqs.clear()
        if self.queue.ring:
            self.queue.disable()

    def invalidate(self, descriptors: Sequence[Descriptor], *, drain_pages: bool = False) -> None:
        """Have caches forget, and wait until they have; errors as `InvalidationQueue.submit`."""
        self.queue.submit(descriptors, drain_pages=drain_pages)

    def flush_write_buffer(self) -> None:
        """Have the unit see what was written to memory, where it needs to be told (CAP.RWBF)."""
        if self.cap.RWBF:
            self.registers.command("WBF", "WBFS")

    def setup_events(self, irqs: IrqVectors, on_group: GroupHandler | None = None) -> None:
        """Take interrupts for faults and page requests; `on_group` decides on groups of page requests.

        The unit's own messages are never remapped (VT-d 5.1.1).
        """
        self._irqs = irqs
        self.page_requests.handler = on_group
        self._event_irqs.append(irqs.request_irq(self.handle_faults, f"{self.name}-fault"))
        self._program(_FAULT_EVENT, self._event_irqs[-1])
        if self.ecap.PRS:
            self._event_irqs.append(irqs.request_irq(self.handle_page_requests, f"{self.name}-prq"))
            self._program(_PAGE_REQUEST_EVENT, self._event_irqs[-1])

    def _program(self, event: tuple[type[Word], ...], irq: Irq) -> None:
        control, data, address, upper = event
        self.registers.write(data(irq.data))
        self.registers.write(address(irq.address & 0xFFFF_FFFF))
        self.registers.write(upper(irq.address >> 32))
        self.registers.write(control(0))

    def handle_faults(self) -> None:
        """The fault event: read and clear the records."""
        self.faults.drain()

    def handle_page_requests(self) -> None:
        """The page request event: take the requests and answer whole groups."""
        if self.page_requests.ring:
            self.page_requests.drain()

    def inspect(self) -> dict[str, object]:
        """Version, mode, capabilities by name, queue, faults, page requests, numbers taken."""
        return {
            "version": f"{self.version.MAX}.{self.version.MIN}",
            "mode": "scalable" if self.scalable else "legacy",
            "enabled": self.root is not None,
            "root": self.root.address if self.root else None,
            "cap": self.cap.decode(),
            "ecap": self.ecap.decode(),
            "queue": self.queue.inspect(),
            "faults": self.faults.inspect(),
            "page_requests": self.page_requests.inspect(),
            "dids": self.dids.inspect(),
            "pasids": self.pasids.inspect(),
        }
