"""Devices and domains of a remapping unit: who may reach what (drivers/iommu/intel/iommu.c, pasid.c)."""

from __future__ import annotations

from errno import EBUSY, EINVAL, ENODEV
from threading import RLock

from siov.host.iommu import cache
from siov.host.iommu.cache import Attachment, IommuDevice, Stage
from siov.host.iommu.domain import (
    Domain,
    IdentityDomain,
    NestedDomain,
    PagingDomain,
    first_stage,
    second_stage,
)
from siov.host.iommu.entries import (
    check_domain,
    context_entry,
    largest_page,
    levels_of_second_stage,
    pasid_entry,
    scalable_context,
)
from siov.host.iommu.ids import PASID_BITS
from siov.host.iommu.tables import PasidTable, clear_present, set_entry
from siov.host.iommu.unit import RemappingUnit
from siov.host.linux import LinuxError
from siov.host.physmem import PhysMem
from siov.spec.vtd import Descriptor


class IntelIommu(RemappingUnit):
    """A unit with the devices behind it and the domains that these are attached to.

    `devices` by requester id; `attached` holds the domain and its tag by (requester id, PASID or None).
    `lock` is of both and of the ids behind them: attach and detach take it. A domain is one thread's.
    Arguments and errors are those of `RemappingUnit`.
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
        super().__init__(mem, base, scalable=scalable, name=name, polls=polls)
        self.devices: dict[int, IommuDevice] = {}
        self.attached: dict[tuple[int, int | None], tuple[Domain, Attachment]] = {}
        self._users: dict[Domain, tuple[int, int]] = {}  # domain id, attachments here
        self._made = 0
        self.lock = RLock()

    def add_device(
        self,
        rid: int,
        *,
        ats: bool = False,
        pri: bool = False,
        pasid_bits: int = 0,
        pfsid: int | None = None,
        qdep: int = 32,
    ) -> IommuDevice:
        """Take a function under the unit's control; its DMA is refused until it is attached.

        `pasid_bits` is the width of its PASID capability, 0 without one. EBUSY when it is known already,
        EINVAL for what the unit lacks.
        """
        root = self.active
        if rid in self.devices:
            raise LinuxError(EBUSY, f"{rid:#06x} is behind {self.name} already")
        wanted = {"ECAP.DT": ats, "ECAP.PRS": pri, "ECAP.PASID": pasid_bits > 0}
        lacking = [name for name, want in wanted.items() if want and not getattr(self.ecap, name[5:])]
        if not self.scalable and (pri or pasid_bits):
            lacking.append("scalable mode")
        if lacking or not 0 <= rid < 1 << 16 or not 0 <= pasid_bits <= PASID_BITS or (pri and not ats):
            why = f"{self.name} lacks {', '.join(lacking)}" if lacking else "PRI needs ATS, a PASID 20 bits"
            raise LinuxError(EINVAL, f"{rid:#06x} can't be added: {why}")
        device = IommuDevice(
            rid, ats, pri, min(pasid_bits, self.ecap.PSS + 1), rid if pfsid is None else pfsid, qdep
        )
        if self.scalable:
            device.table = PasidTable(self.mem, device.pasid_bits)
            try:
                at = root.at(rid)
            except LinuxError:
                device.table.free()
                raise
            set_entry(self.mem, at, scalable_context(device))
            self._settle_new([cache.context_cache(rid)])
        self.devices[rid] = device
        return device

    def remove_device(self, rid: int) -> None:
        """Let go of a function, whose DMA is refused from here; EBUSY while it is attached."""
        device = self._device(rid)
        if any(key[0] == rid for key in self.attached):
            raise LinuxError(EBUSY, f"{rid:#06x} is attached still; detach it first")
        if device.table is not None:
            clear_present(self.mem, self.active.at(rid))
            tag = Attachment(self, device, None, 0)
            device_tlb = cache.device_tlb(tag, 0, 1 << 64)
            self.invalidate(
                [cache.context_cache(rid), *cache.global_caches(self.scalable, self.cap)[1:], *device_tlb]
            )
            self.active.wipe(rid)
            device.table.free()
        del self.devices[rid]

    def alloc_domain(
        self,
        stage: Stage = Stage.SECOND,
        *,
        levels: int | None = None,
        name: str | None = None,
        deferred: bool = False,
        dirty_tracking: bool = False,
        largest: int | None = None,
    ) -> PagingDomain:
        """A domain with page tables of this unit's shape, with the most levels up to 4 unless said.

        Pages are as large as the unit can have them, or up to level `largest` (1: 4 KiB, 2: 2 MiB, 3: 1 GiB).
        EINVAL for a shape that the unit lacks.
        """
        name = name or self._name("domain")
        largest = min(largest or 3, largest_page(self, stage))
        if stage is Stage.FIRST:
            if levels not in (None, 4, 5):
                raise LinuxError(EINVAL, f"{name}: a first stage has 4 or 5 levels, not {levels}")
            domain = first_stage(self.mem, name, levels or 4, largest, bool(self.ecap.ERS))
        elif stage is Stage.SECOND:
            can = levels_of_second_stage(self)
            levels = levels or next((n for n in can if n <= 4), can[0] if can else 4)
            if levels not in can:
                raise LinuxError(
                    EINVAL, f"{name}: {self.name} has second stages of {can} levels, not {levels}"
                )
            domain = second_stage(self.mem, name, levels, largest, self.cap.MGAW + 1, dirty_tracking)
        else:
            raise LinuxError(EINVAL, f"{name}: only first and second stages have tables of the host's own")
        domain.deferred = deferred
        try:
            check_domain(self, domain)
        except LinuxError:
            domain.free()
            raise
        return domain

    def identity_domain(self, name: str | None = None) -> IdentityDomain:
        """A pass-through domain."""
        return IdentityDomain(name or self._name("identity"))

    def nested_domain(
        self, parent: PagingDomain, fsptptr: int, *, levels: int = 4, name: str | None = None
    ) -> NestedDomain:
        """A guest's first stage, whose root table is at a guest-physical address, over a second stage."""
        return NestedDomain(name or self._name("nested"), parent=parent, fsptptr=fsptptr, levels=levels)

    def attach(self, domain: Domain, rid: int, pasid: int | None = None) -> Attachment:
        """Have a device's requests (those with this PASID, or those without) translated by a domain.

        ENODEV for an unknown device, EBUSY for an address space in use, EINVAL for what unit or device
        lack, ENOSPC without a domain id, ENOMEM; nothing has changed then.
        """
        device = self._device(rid)
        key = (rid, pasid)
        if key in self.attached:
            raise LinuxError(
                EBUSY, f"{_space(rid, pasid)} is on {self.attached[key][0].name}; detach it first"
            )
        if pasid is not None and not 0 < pasid < 1 << device.pasid_bits:
            last = (1 << device.pasid_bits) - 1
            raise LinuxError(EINVAL, f"{_space(rid, pasid)}: {rid:#06x} can use PASIDs 1 to {last}")
        check_domain(self, domain)
        with self.lock:
            did = self._get_did(domain)
            tag = Attachment(self, device, pasid, did)
            try:
                self._enter(domain, tag)
            except LinuxError:
                self._put_did(domain)
                raise
            domain.attachments.append(tag)
            self.attached[key] = (domain, tag)
        return tag

    def detach(self, rid: int, pasid: int | None = None) -> Domain:
        """Refuse a device's requests again; nothing can reach the domain's memory once this returns.

        Gives the domain that it was on; ENODEV when it was on none. The errors of an invalidation are raised
        when all is taken down.
        """
        key = (rid, pasid)
        with self.lock:
            if key not in self.attached:
                raise LinuxError(ENODEV, f"{_space(rid, pasid)} is attached to nothing")
            domain, tag = self.attached.pop(key)
            domain.attachments.remove(tag)
            try:
                self._leave(domain, tag)
            finally:
                self._put_did(domain)
        return domain

    def disable(self) -> None:
        """Let go of all devices, switch translation off and free the tables; EBUSY while one is attached."""
        for rid in list(self.devices):
            self.remove_device(rid)
        super().disable()

    def _enter(self, domain: Domain, tag: Attachment) -> None:
        rid = tag.device.rid
        if tag.device.table is None:
            set_entry(self.mem, self.active.at(rid), context_entry(self, tag.device, domain, tag.did))
            # Not present before: cached only with CAP.CM, and then as domain 0.
            new = [cache.context_cache(rid)]
        else:
            set_entry(self.mem, tag.device.table.at(tag.entry), pasid_entry(self, domain, tag.did))
            new = [cache.pasid_cache(0, tag.entry), cache.pasid_cache(tag.did, tag.entry)]
        self._settle_new([*new, cache.iotlb(tag, Stage.SECOND, 0, 1 << 64)])

    def _leave(self, domain: Domain, tag: Attachment) -> None:
        """Not present first; then forget tables, translations and the device's own, then reuse (6.5.3)."""
        rid, table = tag.device.rid, tag.device.table
        # A nested domain's id tags its second stage too, so all of it must go.
        stage = Stage.SECOND if domain.stage is Stage.NESTED else domain.stage
        forget = cache.everything(tag, stage)
        try:
            if table is None:
                clear_present(self.mem, self.active.at(rid))
                self.invalidate([cache.context_cache(rid, tag.did), *forget])
            else:
                clear_present(self.mem, table.at(tag.entry))
                self.invalidate([cache.pasid_cache(tag.did, tag.entry), *forget])
                if tag.device.pri:
                    self._drain_page_requests(tag)
        finally:
            if table is None:
                self.active.wipe(rid)
            else:
                table.wipe(tag.entry)

    def _drain_page_requests(self, tag: Attachment) -> None:
        """See that no page request of an address space is under way (intel_iommu_drain_pasid_prq)."""
        self.handle_page_requests()
        everything: list[Descriptor] = cache.device_tlb(tag, 0, 1 << 64)
        self.invalidate(everything, drain_pages=bool(self.ecap.PDS))
        self.handle_page_requests()
        self.page_requests.forget(tag.device.rid, tag.pasid)

    def _settle_new(self, descriptors: list[Descriptor]) -> None:
        """An entry has become present: with CAP.CM the unit may remember that it was not."""
        if self.cap.CM:
            self.invalidate(descriptors)
        else:
            self.flush_write_buffer()

    def _device(self, rid: int) -> IommuDevice:
        if rid not in self.devices:
            raise LinuxError(ENODEV, f"{rid:#06x} is not behind {self.name}; add it first")
        return self.devices[rid]

    def _get_did(self, domain: Domain) -> int:
        did, users = self._users.get(domain, (0, 0))
        if not users:
            did = self.dids.alloc()
        self._users[domain] = (did, users + 1)
        return did

    def _put_did(self, domain: Domain) -> None:
        did, users = self._users.pop(domain)
        if users > 1:
            self._users[domain] = (did, users - 1)
        else:
            self.dids.free(did)

    def _name(self, kind: str) -> str:
        self._made += 1
        return f"{self.name}-{kind}{self._made}"

    def inspect(self) -> dict[str, object]:
        """The unit, its devices, and the domain of each address space."""
        return super().inspect() | {
            "devices": {f"{rid:#06x}": _facts(device) for rid, device in self.devices.items()},
            "attached": {_space(*key): domain.name for key, (domain, _) in self.attached.items()},
            "domains": {domain.name: domain.inspect() for domain in self._users},
        }


def _space(rid: int, pasid: int | None) -> str:
    return f"{rid:#06x}" if pasid is None else f"{rid:#06x} PASID {pasid:#x}"


def _facts(device: IommuDevice) -> dict[str, object]:
    return {"ats": device.ats, "pri": device.pri, "pasid_bits": device.pasid_bits, "pfsid": device.pfsid}
