"""Domains: address spaces that devices are attached to (struct dmar_domain)."""

from __future__ import annotations

from dataclasses import dataclass, field
from errno import EBUSY, EINVAL

from siov.host.iommu.cache import Attachment, Stage, device_tlb, everything, iotlb
from siov.host.iommu.formats import FirstStageFormat, SecondStageFormat
from siov.host.linux import LinuxError
from siov.host.pgtable import Gather, Leaf, PageTable, Prot, level_shift
from siov.host.physmem import PhysMem

FLUSH_QUEUE = 256  # ranges that may wait for a deferred invalidation (IOVA_DEFAULT_FQ_SIZE)
_END = 1 << 64


@dataclass(slots=True, eq=False)
class Domain:
    """What all domains have in common: where they are attached."""

    name: str
    attachments: list[Attachment] = field(default_factory=list, kw_only=True)

    @property
    def stage(self) -> Stage:
        """Which tables translate."""
        raise NotImplementedError

    def check_unused(self) -> None:
        """EBUSY while a device is attached."""
        if self.attachments:
            rids = ", ".join(f"{tag.device.rid:#06x}" for tag in self.attachments[:4])
            raise LinuxError(EBUSY, f"{self.name} is attached to {rids}; detach it first")

    def inspect(self) -> dict[str, object]:
        """Kind, and the (requester id, PASID, domain id) of each attachment."""
        tags = [{"rid": t.device.rid, "pasid": t.pasid, "did": t.did} for t in self.attachments]
        return {"stage": self.stage.value, "attachments": tags}


@dataclass(slots=True, eq=False)
class IdentityDomain(Domain):
    """Pass-through: an address is the host's."""

    @property
    def stage(self) -> Stage:
        """Pass-through."""
        return Stage.PASS_THROUGH


@dataclass(slots=True, eq=False)
class PagingDomain(Domain):
    """Page tables that the host keeps, first or second stage.

    `limit` is the first address that can't be mapped. With `deferred`, invalidations are gathered until
    `flush`, a full queue, or a map that needs one of the addresses again; table pages are freed after it.
    With `dirty_tracking`, the unit sets accessed and dirty bits in second-stage entries.
    """

    table: PageTable
    limit: int
    deferred: bool = False
    dirty_tracking: bool = False
    nested: list[NestedDomain] = field(default_factory=list)
    _pending: list[tuple[int, int]] = field(default_factory=list)
    _gather: Gather = field(default_factory=Gather)

    @property
    def stage(self) -> Stage:
        """First or second."""
        return Stage.SECOND if isinstance(self.table.format, SecondStageFormat) else Stage.FIRST

    @property
    def pending(self) -> int:
        """Ranges that were unmapped and may still be cached."""
        return len(self._pending)

    def map(self, iova: int, phys: int, size: int, prot: Prot = Prot.READ | Prot.WRITE) -> None:
        """Map addresses to physical ones with the largest pages that fit.

        All or nothing. EINVAL for what is not whole pages, gives no access or leaves the address space,
        EEXIST for what is mapped already, ENOMEM.
        """
        self._check(iova, size)
        if not prot & (Prot.READ | Prot.WRITE):
            raise LinuxError(EINVAL, f"{self.name}: a mapping at {iova:#x} must allow to read or to write")
        if any(iova < end and start < iova + size for start, end in self._pending):
            self.flush()
        self.table.map(iova, phys, size, prot)
        for tag, stage in self._tags():
            cached = tag.unit.cap.CM and self.stage is Stage.SECOND  # entries that are not present, too
            if cached and stage is Stage.SECOND:
                tag.unit.queue.submit([iotlb(tag, stage, iova, iova + size)])
            elif cached:
                tag.unit.queue.submit(everything(tag, Stage.SECOND))
            else:
                tag.unit.flush_write_buffer()

    def unmap(self, iova: int, size: int) -> int:
        """Unmap what is mapped in a range, splitting pages that it cuts; how many bytes were mapped.

        Strict: nothing can reach the pages once this returns. What was unmapped stays so when an
        invalidation fails; it is pending then, and its error is raised.
        """
        self._check(iova, size)
        gather = self.table.unmap(iova, size)
        hint = gather.leaf_only
        self._gather.tables += gather.tables
        if not gather.unmapped:
            return 0
        self._pending.append((gather.start, gather.end))
        if not self.deferred:
            self._invalidate(iova, iova + size, hint)
            self._settle()
        elif len(self._pending) >= FLUSH_QUEUE:
            self.flush()
        return gather.unmapped

    def flush(self) -> None:
        """Carry out deferred invalidations, all at once, and free the tables that waited for them."""
        if self._pending or self._gather.tables:
            self._invalidate(0, _END)
        self._settle()

    def iova_to_phys(self, iova: int) -> int | None:
        """Where an address leads, by the tables; none when it is not mapped."""
        leaf = self.table.lookup(iova)
        return None if leaf is None else leaf.phys + (iova - leaf.iova)

    def lookup(self, iova: int) -> Leaf | None:
        """The page that an address is in."""
        return self.table.lookup(iova)

    def read_and_clear_dirty(self, iova: int, size: int) -> list[tuple[int, int]]:
        """The (address, size) of each page that devices have written since the last time.

        EINVAL without `dirty_tracking`.
        """
        self._check(iova, size)
        if not self.dirty_tracking:
            raise LinuxError(EINVAL, f"{self.name} keeps no dirty bits: allocate it with dirty_tracking")
        found = [(base, span) for base, span, _ in self.table.clear_dirty(iova, iova + size)]
        if found:
            self._invalidate(iova, iova + size, hint=True)
        return found

    def free(self) -> None:
        """Give the tables back; EBUSY while attached or nested upon."""
        self.check_unused()
        if self.nested:
            raise LinuxError(EBUSY, f"{self.name} is below {self.nested[0].name}; free that first")
        self._settle()  # with nobody attached, nothing is cached
        self.table.free()

    def _check(self, iova: int, size: int) -> None:
        if iova + size > self.limit:
            raise LinuxError(
                EINVAL, f"{self.name} ends at {self.limit:#x}; {size:#x} bytes at {iova:#x} leave it"
            )
        self.table.check(iova, size)

    def _tags(self) -> list[tuple[Attachment, Stage]]:
        """Every tag under which translations through this table are cached."""
        own = [(tag, self.stage) for tag in self.attachments]
        return own + [(tag, Stage.NESTED) for child in self.nested for tag in child.attachments]

    def _invalidate(self, start: int, end: int, hint: bool = False) -> None:
        for tag, stage in self._tags():
            if stage is Stage.NESTED:
                # Cached under the guest's addresses, of which the host knows nothing.
                tag.unit.queue.submit(everything(tag, Stage.SECOND))
            else:
                tag.unit.queue.submit([iotlb(tag, stage, start, end, hint), *device_tlb(tag, start, end)])

    def _settle(self) -> None:
        self._pending.clear()
        self.table.release(self._gather)

    def inspect(self) -> dict[str, object]:
        """Attachments, tables, what is pending, domains nested upon it."""
        return Domain.inspect(self) | {
            "table": self.table.inspect(),
            "deferred": self.deferred,
            "pending": self.pending,
            "nested": [child.name for child in self.nested],
        }


@dataclass(slots=True, eq=False)
class NestedDomain(Domain):
    """A guest's own first stage over a second-stage domain of the host.

    `fsptptr` is the guest-physical address of the guest's root table. The guest says what of it to forget.
    """

    parent: PagingDomain
    fsptptr: int
    levels: int = 4
    wpe: bool = True
    nxe: bool = True
    smep: bool = False
    sre: bool = False
    ere: bool = False

    @property
    def stage(self) -> Stage:
        """Nested."""
        return Stage.NESTED

    def __post_init__(self) -> None:
        if self.parent.stage is not Stage.SECOND:
            raise LinuxError(EINVAL, f"{self.name}: {self.parent.name} is not a second stage to nest upon")
        if self.levels not in (4, 5) or self.fsptptr % 4096 or not 0 <= self.fsptptr < self.parent.limit:
            raise LinuxError(
                EINVAL,
                f"{self.name}: a first stage has 4 or 5 levels and a root table on a page below "
                f"{self.parent.limit:#x}; got {self.levels} and {self.fsptptr:#x}",
            )
        self.parent.nested.append(self)

    def invalidate(self, start: int = 0, end: int = _END, leaf_only: bool = False) -> None:
        """Forget what is cached of a range, as the guest asks (cache_invalidate_user)."""
        for tag in self.attachments:
            tag.unit.queue.submit(
                [iotlb(tag, Stage.NESTED, start, end, leaf_only), *device_tlb(tag, start, end)]
            )

    def free(self) -> None:
        """Let go of the second stage; EBUSY while attached."""
        self.check_unused()
        self.parent.nested.remove(self)

    def inspect(self) -> dict[str, object]:
        """Attachments, the guest's root table, and the second stage below."""
        return Domain.inspect(self) | {
            "fsptptr": self.fsptptr,
            "levels": self.levels,
            "parent": self.parent.name,
        }


def first_stage(mem: PhysMem, name: str, levels: int, largest: int, nxe: bool) -> PagingDomain:
    """A first-stage domain; only the lower half of its address space is used, as the upper is canonical."""
    table = PageTable(mem, FirstStageFormat(nxe), levels, largest)
    return PagingDomain(name, table, 1 << (level_shift(levels + 1) - 1))


def second_stage(
    mem: PhysMem, name: str, levels: int, largest: int, mgaw: int, dirty_tracking: bool
) -> PagingDomain:
    """A second-stage domain for addresses of at most `mgaw` bits."""
    table = PageTable(mem, SecondStageFormat(), levels, largest)
    limit = min(table.size, 1 << mgaw)
    return PagingDomain(name, table, limit, dirty_tracking=dirty_tracking)
