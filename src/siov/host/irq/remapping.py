"""Interrupt remapping of one unit: the table, its entries, their owners (irq_remapping.c)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from errno import EINVAL, ENOSPC

from siov.host.iommu.unit import RemappingUnit
from siov.host.irq.posted import PostedDescriptor
from siov.host.linux import LinuxError
from siov.host.physmem import PAGE_SIZE
from siov.spec.vtd import SQ, SVT, DescriptorType, IecInvDsc, Irte, IrteEntry, PostedIrte, Unit
from siov.spec.word import Word

_SIZE = IrteEntry.width // 8
MAX_ENTRIES = 1 << 16  # INTR_REMAP_TABLE_ENTRIES


@dataclass(slots=True)
class InterruptRemapping:
    """The interrupt remapping table of a unit, of `entries` entries (a power of two from 256 to 65,536).

    Each entry validates that the message comes from the device that it was allocated for. Put it into
    `IrqVectors.remapper` to have devices get messages in remappable format.
    """

    unit: RemappingUnit
    entries: int = MAX_ENTRIES
    table: int = 0
    owners: dict[int, int] = field(default_factory=dict)  # entry: requester id
    posted: dict[int, PostedDescriptor] = field(default_factory=dict)
    _targets: dict[int, tuple[int, int]] = field(default_factory=dict)  # entry: cpu, vector
    _hint: int = 0

    @property
    def extended(self) -> bool:
        """Whether destinations are 32-bit APIC ids (ECAP.EIM)."""
        return bool(self.unit.ecap.EIM)

    def enable(self, *, compatibility: bool = False) -> None:
        """Set the table and switch remapping on; messages in compatibility format are blocked unless said.

        EINVAL without ECAP.IR or for a size that the table can't have, ETIMEDOUT for a stuck unit.
        """
        unit, size = self.unit, self.entries
        if not unit.ecap.IR:
            raise LinuxError(EINVAL, f"{unit.name} has no interrupt remapping (ECAP.IR)")
        if not 256 <= size <= MAX_ENTRIES or size & (size - 1):
            raise LinuxError(EINVAL, f"a table of {size} entries: it has a power of two from 256 to 65536")
        unit.enable_queued_invalidation()
        self.table = unit.mem.alloc_pages(size * _SIZE // PAGE_SIZE, "interrupt-remapping-table")
        try:
            address = Unit.IRTA.of(S=size.bit_length() - 2, EIME=int(self.extended), IRTA=self.table >> 12)
            unit.registers.write(address)
            unit.registers.command("SIRTP", "IRTPS")
            if not unit.cap.ESIRTPS:
                unit.invalidate([IecInvDsc.of(TYPE=DescriptorType.INTERRUPT_ENTRY_CACHE)])
            unit.registers.command("IRE", "IRES")
            # With EIME, messages in compatibility format are blocked whatever CFI says.
            if bool(unit.registers.read(Unit.GSTS).CFIS) != compatibility:
                unit.registers.command("CFI", "CFIS", on=compatibility)
        except LinuxError:
            unit.mem.free(self.table)
            self.table = 0
            raise

    def disable(self) -> None:
        """Switch remapping off and free the table; EINVAL while entries are in use."""
        if self.owners:
            raise LinuxError(EINVAL, f"{self.unit.name}: {len(self.owners)} interrupts are remapped still")
        self.unit.registers.command("IRE", "IRES", on=False)
        self.unit.invalidate([IecInvDsc.of(TYPE=DescriptorType.INTERRUPT_ENTRY_CACHE)])
        self.unit.mem.free(self.table)
        self.table = 0

    def alloc_irtes(self, rid: int, targets: Sequence[tuple[int, int]]) -> int:
        """Entries in a row for a device's interrupts to (cpu, vector) each; the first one's index.

        As many as asked for, rounded up to a power of two, are aligned to their number, so that they can be
        invalidated at once. ENOSPC when no such row is free, EINVAL while remapping is off.
        """
        if not self.table:
            raise LinuxError(EINVAL, f"{self.unit.name}: interrupt remapping is off; enable it first")
        count = len(targets)
        first = self._find(count)
        for index, (cpu, vector) in enumerate(targets, first):
            self.owners[index] = rid
            self._targets[index] = (cpu, vector)
            self._set(index, self._remapped(index))
        self._forget(first, count)
        return first

    def free_irtes(self, first: int, count: int = 1) -> None:
        """Take entries out of use; messages that name them are refused once this returns."""
        for index in range(first, first + count):
            assert index in self.owners, f"interrupt remapping entry {index} is not in use"
            self.unit.mem.write(self._at(index), bytes(_SIZE))
        self._forget(first, count)
        for index in range(first, first + count):
            del self.owners[index], self._targets[index]
            self.posted.pop(index, None)
        self._hint = min(self._hint, first)

    def set_affinity(self, index: int, cpu: int, vector: int) -> None:
        """Send an entry's interrupt to another (cpu, vector); a posted one goes there when it is remapped."""
        self._owner(index)
        self._targets[index] = (cpu, vector)
        if index not in self.posted:
            self._set(index, self._remapped(index))
            self._forget(index, 1)

    def set_vcpu_affinity(
        self, index: int, pid: PostedDescriptor | None, vector: int = 0, *, urgent: bool = False
    ) -> None:
        """Post an entry's interrupt, as a guest's vector, to a descriptor; None has it remapped again.

        EINVAL without CAP.PI or for an entry that is not in use.
        """
        rid = self._owner(index)
        if pid is None:
            self.posted.pop(index, None)
            self._set(index, self._remapped(index))
        else:
            if not self.unit.cap.PI:
                raise LinuxError(EINVAL, f"{self.unit.name} can't post interrupts (CAP.PI)")
            entry = PostedIrte.of(
                P=1,
                IM=1,
                URG=int(urgent),
                V=vector,
                PDAL=(pid.address & 0xFFFF_FFFF) >> 6,
                PDAH=pid.address >> 32,
                SID=rid,
                SQ=SQ.ALL,
                SVT=SVT.SID_SQ,
            )
            self.posted[index] = pid
            self._set(index, entry)
        self._forget(index, 1)

    def read(self, index: int) -> Irte | PostedIrte:
        """An entry as it is in memory."""
        raw = self.unit.mem.read(self._at(index), _SIZE)
        return PostedIrte.from_bytes(raw) if IrteEntry.from_bytes(raw).IM else Irte.from_bytes(raw)

    def _find(self, count: int) -> int:
        step = 1 << max(0, count - 1).bit_length()
        start = (self._hint + step - 1) // step * step if count == 1 else 0
        for first in range(start, self.entries, step):
            if step <= self.entries and not any(n in self.owners for n in range(first, first + count)):
                if count == 1:
                    self._hint = first + 1
                return first
        raise LinuxError(
            ENOSPC,
            f"{self.unit.name}: no {count} interrupt remapping entries in a row are left of {self.entries}",
        )

    def _owner(self, index: int) -> int:
        if index not in self.owners:
            raise LinuxError(EINVAL, f"{self.unit.name}: interrupt remapping entry {index} is not in use")
        return self.owners[index]

    def _remapped(self, index: int) -> Irte:
        cpu, vector = self._targets[index]
        # Without extended mode the APIC id is in bits 15:8 of the destination.
        destination = cpu if self.extended else cpu << 8
        return Irte.of(P=1, V=vector, DST=destination, SID=self.owners[index], SQ=SQ.ALL, SVT=SVT.SID_SQ)

    def _at(self, index: int) -> int:
        return self.table + index * _SIZE

    def _set(self, index: int, entry: Word) -> None:
        # One write, as an entry that is in use must change in one piece (cmpxchg16b).
        self.unit.mem.write(self._at(index), entry.to_bytes())

    def _forget(self, first: int, count: int) -> None:
        mask = (count - 1).bit_length()
        if mask > self.unit.ecap.MHMV or first % (1 << mask):
            each = range(first, first + count)
            self.unit.invalidate([_by_index(index, 0) for index in each])
        else:
            self.unit.invalidate([_by_index(first, mask)])

    def inspect(self) -> dict[str, object]:
        """Where the table is, its size, and each entry in use in the specification's words."""
        return {
            "table": self.table,
            "entries": self.entries,
            "used": {index: self.read(index).decode() for index in sorted(self.owners)},
        }


def _by_index(index: int, mask: int) -> IecInvDsc:
    return IecInvDsc.of(TYPE=DescriptorType.INTERRUPT_ENTRY_CACHE, G=1, IIDX=index, IM=mask)
