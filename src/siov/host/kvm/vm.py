"""A virtual machine's memory: slots, EPT, the dirty log (virt/kvm/kvm_main.c, arch/x86/kvm/mmu, vmx)."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass
from errno import EBUSY, EEXIST, EINVAL, ENOENT
from typing import Protocol

from siov.host.kvm.dirty import DirtyLog, dirty_pages
from siov.host.kvm.ept import EptFormat
from siov.host.linux import LinuxError
from siov.host.pgtable import PageTable, Prot, level_shift
from siov.host.physmem import PAGE_SHIFT, PAGE_SIZE, PhysMem
from siov.spec.ept import PML_ENTRIES, PML_FIRST_INDEX, Eptp
from siov.spec.vtd import MemoryType

_RWX = Prot.READ | Prot.WRITE | Prot.EXEC


class Vcpu(Protocol):
    """What the host sets and reads in a virtual CPU's VMCS, and the instruction that flushes."""

    pml_index: int  # VMCS field "PML index", 16 bits

    def set_eptp(self, eptp: int) -> None:
        """VMCS field "EPT pointer"."""

    def set_pml(self, address: int | None) -> None:
        """VMCS field "PML address" and the control "enable PML"; None turns it off."""

    def invept(self, eptp: int) -> None:
        """INVEPT, single-context: forget what was translated through this EPT."""


@dataclass(slots=True, frozen=True)
class MemorySlot:
    """`size` bytes at guest-physical `gpa` are host-physical memory at `hpa`."""

    id: int
    gpa: int
    size: int
    hpa: int
    readonly: bool = False

    @property
    def end(self) -> int:
        """The first guest-physical address behind it."""
        return self.gpa + self.size


class Vm:
    """A virtual machine whose EPT has `levels` levels (4 or 5) and pages up to level `largest`.

    With `accessed_dirty` (EPTP bit 6) the CPU keeps dirty bits, and with `pml` logs them too; without it
    the dirty log write-protects pages. `counts` counts exits and flushes by name.
    """

    def __init__(
        self,
        mem: PhysMem,
        name: str = "vm0",
        *,
        levels: int = 4,
        largest: int = 3,
        accessed_dirty: bool = True,
        pml: bool = True,
    ) -> None:
        if levels not in (4, 5) or largest not in (1, 2, 3):
            raise LinuxError(EINVAL, f"{name}: EPT has 4 or 5 levels and pages of level 1 to 3")
        self.mem, self.name = mem, name
        self.accessed_dirty, self.pml = accessed_dirty, pml and accessed_dirty
        self.table = PageTable(mem, EptFormat(), levels, largest)
        self.slots: dict[int, MemorySlot] = {}
        self.logs: dict[int, DirtyLog] = {}
        self.vcpus: list[tuple[Vcpu, int]] = []  # with the address of its page-modification log
        self.counts: Counter[str] = Counter()
        self._eager: set[int] = set()
        self._order: list[MemorySlot] = []

    @property
    def eptp(self) -> int:
        """The EPT pointer."""
        return Eptp.of(
            MT=MemoryType.WB,
            PWL=self.table.levels - 1,
            AD=int(self.accessed_dirty),
            ADDR=self.table.root >> PAGE_SHIFT,
        ).raw

    def add_vcpu(self, vcpu: Vcpu) -> None:
        """Have a virtual CPU run on this memory; ENOMEM when there is no page for its log."""
        log = self.mem.alloc_page("pml") if self.pml else 0
        self.vcpus.append((vcpu, log))
        vcpu.set_eptp(self.eptp)
        vcpu.pml_index = PML_FIRST_INDEX
        vcpu.set_pml(log if self.pml and self.logs else None)

    def add_slot(self, slot: MemorySlot, *, populate: bool = False) -> None:
        """Give the machine memory (KVM_SET_USER_MEMORY_REGION); with `populate`, EPT is built at once.

        EEXIST for an id or addresses in use, EINVAL for what is not whole pages or too wide an address.
        """
        self.table.check(slot.gpa, slot.size)
        if slot.hpa % PAGE_SIZE or slot.hpa < 0:
            raise LinuxError(EINVAL, f"{self.name}: slot {slot.id} is at {slot.hpa:#x}, which is not a page")
        n = bisect_right(self._order, slot.gpa, key=_gpa)
        near = [self.slots.get(slot.id), *self._order[max(0, n - 1) : n + 1]]
        for other in near:
            if other and (other.id == slot.id or (slot.gpa < other.end and other.gpa < slot.end)):
                raise LinuxError(
                    EEXIST,
                    f"{self.name}: slot {slot.id} at {slot.gpa:#x} of {slot.size:#x} bytes collides with "
                    f"slot {other.id} at {other.gpa:#x} of {other.size:#x} bytes",
                )
        if populate:
            self.table.map(slot.gpa, slot.hpa, slot.size, self._rights(slot))
            self._eager.add(slot.id)
        self.slots[slot.id] = slot
        self._order.insert(n, slot)

    def remove_slot(self, slot_id: int) -> None:
        """Take memory away; nothing of the machine can reach it once this returns. ENOENT."""
        slot = self._slot(slot_id)
        self.logs.pop(slot_id, None)
        del self.slots[slot_id]
        self._order.remove(slot)
        self._eager.discard(slot_id)
        self._zap(slot)
        self._update_pml()

    def find_slot(self, gpa: int) -> MemorySlot | None:
        """The slot that an address is in."""
        n = bisect_right(self._order, gpa, key=_gpa) - 1
        return self._order[n] if n >= 0 and gpa < self._order[n].end else None

    def handle_ept_violation(self, gpa: int, access: Prot) -> bool:
        """An exit: map the page with the largest that fits, or let it be written (kvm_tdp_page_fault).

        False when it is not memory of this kind: no slot (a device's registers), or a write to a
        read-only one. ENOMEM.
        """
        self.counts["ept_violation"] += 1
        slot = self.find_slot(gpa)
        if slot is None or (slot.readonly and access & Prot.WRITE):
            self.counts["mmio"] += 1
            return False
        page = gpa & -PAGE_SIZE
        log = self.logs.get(slot.id)
        protect = log is not None and not self.accessed_dirty
        if log is not None and protect and access & Prot.WRITE:
            log.mark(page)
        leaf = self.table.lookup(gpa)
        if leaf is not None:
            if access & Prot.WRITE and not leaf.prot & Prot.WRITE:
                self.table.protect(page, page + PAGE_SIZE, writable=True)
            self._flush()  # the CPU had not seen what the table says
            return True
        base, size = self._largest(slot, gpa) if log is None else (page, PAGE_SIZE)
        rights = self._rights(slot)
        if protect and not access & Prot.WRITE:
            rights &= ~Prot.WRITE
        self.table.map(base, slot.hpa + (base - slot.gpa), size, rights)
        return True

    def handle_pml_full(self, vcpu: Vcpu) -> None:
        """An exit: the page-modification log of a virtual CPU is full."""
        self.counts["pml_full"] += 1
        self._drain(next((one, log) for one, log in self.vcpus if one is vcpu))

    def start_dirty_log(self, slot_id: int) -> None:
        """Log what is written to a slot from here, by pages of 4 KiB.

        ENOENT, EBUSY when it is logged already, ENOMEM when there is no page for the smaller tables.
        """
        slot = self._slot(slot_id)
        if slot_id in self.logs:
            raise LinuxError(EBUSY, f"{self.name}: slot {slot_id} has a dirty log already")
        self.table.split(slot.gpa, slot.end)
        if self.accessed_dirty:
            for _ in self.table.clear_dirty(slot.gpa, slot.end):
                pass
        else:
            self.table.protect(slot.gpa, slot.end, writable=False)
        self._drain_all()  # what was logged before is not this log's
        self.logs[slot_id] = DirtyLog(slot.gpa, slot.size >> PAGE_SHIFT)
        self._update_pml()
        self._flush()

    def get_dirty_log(self, slot_id: int) -> bytes:
        """The bitmap of the pages written since the last time, and log them anew (KVM_GET_DIRTY_LOG).

        Bit n of byte n / 8 is page n; a whole number of 8 bytes. ENOENT for a slot without a log.
        """
        slot = self._slot(slot_id)
        if slot_id not in self.logs:
            raise LinuxError(ENOENT, f"{self.name}: slot {slot_id} has no dirty log; start it first")
        log = self.logs[slot_id]
        self._drain_all()
        if self.accessed_dirty:
            for gpa, size, _ in self.table.clear_dirty(slot.gpa, slot.end):
                log.mark(gpa, size)
            bitmap = log.take()
        else:
            bitmap = log.take()
            for page in dirty_pages(bitmap):
                at = slot.gpa + (page << PAGE_SHIFT)
                self.table.protect(at, at + PAGE_SIZE, writable=False)
        if any(bitmap):
            self._flush()
        return bitmap

    def stop_dirty_log(self, slot_id: int) -> bytes:
        """The last bitmap, and an end to logging; large pages come back. Errors as `get_dirty_log`."""
        bitmap = self.get_dirty_log(slot_id)
        slot = self._slot(slot_id)
        del self.logs[slot_id]
        self._update_pml()
        self._zap(slot)
        if slot_id in self._eager:
            self.table.map(slot.gpa, slot.hpa, slot.size, self._rights(slot))
        return bitmap

    def destroy(self) -> None:
        """Give tables and logs back; the virtual CPUs must not run any more."""
        for vcpu, log in self.vcpus:
            vcpu.set_pml(None)
            if self.pml:
                self.mem.free(log)
        self._flush()
        self.vcpus.clear()
        self.slots.clear()
        self.logs.clear()
        self._order.clear()
        self.table.free()

    def _slot(self, slot_id: int) -> MemorySlot:
        if slot_id not in self.slots:
            have = ", ".join(map(str, self.slots)) or "none"
            raise LinuxError(ENOENT, f"{self.name} has no memory slot {slot_id}; it has {have}")
        return self.slots[slot_id]

    def _rights(self, slot: MemorySlot) -> Prot:
        return _RWX & ~Prot.WRITE if slot.readonly else _RWX

    def _largest(self, slot: MemorySlot, gpa: int) -> tuple[int, int]:
        """The largest page around an address that the slot fills and of which nothing is mapped yet."""
        for level in range(self.table.largest, 1, -1):
            size = 1 << level_shift(level)
            base = gpa & -size
            inside = slot.gpa <= base and base + size <= slot.end
            if inside and (slot.hpa - slot.gpa) % size == 0 and not any(self.table.leaves(base, base + size)):
                return base, size
        return gpa & -PAGE_SIZE, PAGE_SIZE

    def _zap(self, slot: MemorySlot) -> None:
        gather = self.table.unmap(slot.gpa, slot.size)
        self._flush()
        self.table.release(gather)

    def _flush(self) -> None:
        self.counts["invept"] += 1
        for vcpu, _ in self.vcpus:
            vcpu.invept(self.eptp)

    def _update_pml(self) -> None:
        """Log only while somebody wants to know (vmx_update_cpu_dirty_logging)."""
        if self.pml:
            for vcpu, log in self.vcpus:
                vcpu.set_pml(log if self.logs else None)

    def _drain_all(self) -> None:
        if self.pml:
            for one in self.vcpus:
                self._drain(one)

    def _drain(self, one: tuple[Vcpu, int]) -> None:
        """Take the entries of a page-modification log (vmx_flush_pml_buffer)."""
        vcpu, log = one
        first = vcpu.pml_index + 1 if vcpu.pml_index < PML_ENTRIES else 0
        if first >= PML_ENTRIES:
            return
        entries = array("Q", self.mem.read(log + 8 * first, 8 * (PML_ENTRIES - first)))
        vcpu.pml_index = PML_FIRST_INDEX
        self.counts["pml_entries"] += len(entries)
        for gpa in entries:
            slot = self.find_slot(gpa)
            if slot is not None and slot.id in self.logs:
                self.logs[slot.id].mark(gpa & -PAGE_SIZE)

    def inspect(self) -> dict[str, object]:
        """EPT, slots, dirty logs and counts."""
        return {
            "eptp": Eptp(self.eptp).decode(),
            "ept": self.table.inspect(),
            "slots": {
                s.id: {"gpa": s.gpa, "size": s.size, "hpa": s.hpa, "readonly": s.readonly}
                for s in self._order
            },
            "dirty_logs": {slot_id: log.inspect() for slot_id, log in self.logs.items()},
            "vcpus": len(self.vcpus),
            "counts": dict(self.counts),
        }


def _gpa(slot: MemorySlot) -> int:
    return slot.gpa
