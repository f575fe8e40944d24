"""A machine for the host to drive: memory, and a remapping unit that does the handshakes and no more."""

import mmap
from collections.abc import Callable
from dataclasses import dataclass

from siov.host.iommu import IntelIommu
from siov.host.physmem import PhysMem
from siov.spec.vtd import (
    AW,
    CcInvDsc,
    ContextEntry,
    Descriptor,
    DescriptorType,
    DevTlbInvDsc,
    FaultRecordHi,
    FaultRecordLo,
    FsPage1G,
    FsPage2M,
    FsPage4K,
    FsTableEntry,
    IecInvDsc,
    InvWaitDsc,
    IotlbInvDsc,
    IqError,
    PageGroupResponse,
    PageRequest,
    PasidDirectoryEntry,
    PasidTableEntry,
    PcInvDsc,
    PDevTlbInvDsc,
    PIotlbInvDsc,
    RootEntry,
    ScalableContextEntry,
    ScalableRootEntry,
    SsPage1G,
    SsPage2M,
    SsPage4K,
    SsTableEntry,
    Unit,
)
from siov.spec.word import Word

UNIT_BASE = 0xFED9_0000
RAM_BASE = 0x10_0000

CAP = Unit.CAP.initial().replace(
    ND=6, SAGAW=0b1110, MGAW=56, SSLPS=3, PSI=1, MAMV=18, DWD=1, DRD=1, FS1GP=1, PI=1, FS5LP=1
)
ECAP = Unit.ECAP.initial().replace(
    C=1, QI=1, DT=1, IR=1, EIM=1, PT=1, MHMV=15, NEST=1, PRS=1, ERS=1, SRS=1, PSS=19, PASID=1, PDS=1,
    SMTS=1, SSADS=1, SSTS=1, FSTS=1, SMPWCS=1,
)  # fmt: skip

DESCRIPTORS: dict[int, type[Descriptor]] = {
    DescriptorType.CONTEXT_CACHE: CcInvDsc,
    DescriptorType.IOTLB: IotlbInvDsc,
    DescriptorType.DEVICE_TLB: DevTlbInvDsc,
    DescriptorType.INTERRUPT_ENTRY_CACHE: IecInvDsc,
    DescriptorType.WAIT: InvWaitDsc,
    DescriptorType.PASID_IOTLB: PIotlbInvDsc,
    DescriptorType.PASID_CACHE: PcInvDsc,
    DescriptorType.PASID_DEVICE_TLB: PDevTlbInvDsc,
    DescriptorType.PAGE_GROUP_RESPONSE: PageGroupResponse,
}


class Machine:
    """Physical addresses: RAM from 0 to `size`, and a unit's registers. `done` lists what it was told."""

    def __init__(self, size: int = 64 << 20, cap: Unit.CAP = CAP, ecap: Unit.ECAP = ECAP) -> None:
        self.ram = mmap.mmap(-1, size)
        self.size = size
        self.regs = bytearray(Unit.image())
        self.put(Unit.VER.of(MAX=6))
        self.put(cap)
        self.put(ecap)
        self.done: list[Descriptor] = []
        self.stuck: set[str] = set()  # GCMD bits that are never obeyed
        self.refuse: Callable[[Descriptor], IqError | None] = lambda descriptor: None
        self.before: Callable[[Descriptor], None] = lambda descriptor: None
        self.silent_device: int | None = None
        self.events: list[str] = []

    # What the CPU sees.

    def read(self, address: int, size: int) -> bytes:
        if UNIT_BASE <= address < UNIT_BASE + 0x1000:
            assert size in (4, 8), f"a register read of {size} bytes"
            at = address - UNIT_BASE
            return bytes(self.regs[at : at + size])
        if address >= self.size:
            return b"\xff" * size
        assert address + size <= self.size
        return self.ram[address : address + size]

    def write(self, address: int, data: bytes) -> None:
        if UNIT_BASE <= address < UNIT_BASE + 0x1000:
            self._register(address - UNIT_BASE, data)
        else:
            assert address >= RAM_BASE, f"a write to {address:#x}"
            assert address + len(data) <= self.size
            self.ram[address : address + len(data)] = data

    # What the unit does.

    def get(self, word: type[Word], at: int | None = None) -> Word:
        at = word.at if at is None else at
        return word.from_bytes(bytes(self.regs[at : at + word.width // 8]))

    def put(self, word: Word, at: int | None = None) -> None:
        at = word.at if at is None else at
        self.regs[at : at + word.width // 8] = word.to_bytes()

    def _register(self, at: int, data: bytes) -> None:
        value = int.from_bytes(data, "little")
        if at == Unit.GCMD.at:
            self._command(Unit.GCMD(value))
        elif at == Unit.FSTS.at:
            self.put(Unit.FSTS(self.get(Unit.FSTS).raw & ~value))
        elif at == Unit.PRS.at:
            self.put(Unit.PRS(self.get(Unit.PRS).raw & ~value))
        elif self.get(Unit.CAP).FRO * 16 <= at < self.get(Unit.CAP).FRO * 16 + 8 * 16:
            hi = self.get(FaultRecordHi, at)
            self.put(FaultRecordHi(hi.raw & ~(value & FaultRecordHi.F.mask)), at)
            if not any(self.get(FaultRecordHi, 0x608 + 16 * n).F for n in range(8)):
                self.put(self.get(Unit.FSTS).replace(PPF=0))
        else:
            assert at not in (Unit.GSTS.at, Unit.CAP.at, Unit.ECAP.at, Unit.IQH.at)
            self.regs[at : at + len(data)] = data
        if at in (Unit.IQT.at, Unit.FSTS.at):
            self.drain()

    def _command(self, command: Unit.GCMD) -> None:
        status = self.get(Unit.GSTS)
        for bit, follows in (("TE", "TES"), ("QIE", "QIES"), ("IRE", "IRES"), ("CFI", "CFIS")):
            if bit not in self.stuck:
                if getattr(command, bit) != getattr(status, follows):
                    self.events.append(f"{bit}={getattr(command, bit)}")
                status = status.replace(**{follows: getattr(command, bit)})
        for bit, follows in (("SRTP", "RTPS"), ("SIRTP", "IRTPS")):
            if getattr(command, bit) and bit not in self.stuck:
                self.events.append(bit)
                status = status.replace(**{follows: 1})
        if command.WBF:
            self.events.append("WBF")
            status = status.replace(WBFS=int("WBF" in self.stuck))
        if not status.QIES:
            self.put(Unit.IQH(0))
        self.put(status)

    def drain(self) -> None:
        """Work through the invalidation queue, up to the tail or an error."""
        queue = self.get(Unit.IQA)
        width = 32 if queue.DW else 16
        while self.get(Unit.GSTS).QIES and not self.get(Unit.FSTS).raw & 0x50:
            head, tail = self.get(Unit.IQH).QH * 16, self.get(Unit.IQT).QT * 16
            if head == tail or "queue" in self.stuck:
                return
            raw = self.ram[(queue.IQA << 12) + head : (queue.IQA << 12) + head + width].ljust(32, b"\0")
            one = Descriptor.from_bytes(raw)
            kind = DESCRIPTORS[one.TYPE | one.TYPE_HI << 4]
            descriptor = kind.from_bytes(raw)
            assert descriptor.raw & kind.reserved() == 0
            why = self.refuse(descriptor)
            if why is not None:
                self.put(Unit.IQERCD.of(IQEI=why))
                self.put(self.get(Unit.FSTS).replace(IQE=1))
                return
            self.before(descriptor)
            self.done.append(descriptor)
            self.put(Unit.IQH.of(QH=(head + width) % (4096 << queue.QS) // 16))
            if isinstance(descriptor, DevTlbInvDsc | PDevTlbInvDsc) and self.silent_device == descriptor.SID:
                self.silent_device = None
                self.put(Unit.IQH(self.get(Unit.IQT).raw))  # what waits behind it is dropped
                self.put(Unit.IQERCD.of(ITESID=descriptor.SID))
                self.put(self.get(Unit.FSTS).replace(ITE=1))
                return
            if isinstance(descriptor, InvWaitDsc) and descriptor.SW:
                self.write(descriptor.STADDR << 2, descriptor.STDATA.to_bytes(4, "little"))

    def taken(self) -> list[Descriptor]:
        """What was invalidated since the last call, wait descriptors left out."""
        found = [one for one in self.done if not isinstance(one, InvWaitDsc)]
        self.done.clear()
        return found

    def fault(self, index: int, hi: FaultRecordHi, lo: FaultRecordLo) -> None:
        """Record a fault."""
        at = self.get(Unit.CAP).FRO * 16 + 16 * index
        self.put(lo, at)
        self.put(hi.replace(F=1), at + 8)
        self.put(self.get(Unit.FSTS).replace(PPF=1))

    def page_request(self, request: PageRequest) -> None:
        """Queue a page request."""
        address, tail = self.get(Unit.PQA), self.get(Unit.PQT)
        self.write((address.PQA << 12) + tail.PQT * 32, request.to_bytes())
        self.put(Unit.PQT.of(PQT=(tail.PQT + 1) % ((4096 << address.PQS) // 32)))
        self.put(Unit.PRS.of(PPR=1))

    # What the unit would find, by nothing but memory and the specification's words.

    def entry(self, kind: type[Word], table: int, index: int) -> Word:
        size = kind.width // 8
        at = table + index * size
        return kind.from_bytes(self.ram[at : at + size])

    def context(self, rid: int) -> ContextEntry | ScalableContextEntry | None:
        """The context entry of a function, if it is present."""
        address = self.get(Unit.RTADDR)
        root, bus, devfn = address.RTA << 12, rid >> 8, rid & 0xFF
        if address.TTM == 0:
            entry = self.entry(RootEntry, root, bus)
            assert entry.raw & RootEntry.reserved() == 0
            if not entry.P:
                return None
            found = self.entry(ContextEntry, entry.CTP << 12, devfn)
            return found if found.P else None
        entry = self.entry(ScalableRootEntry, root, bus)
        assert entry.raw & ScalableRootEntry.reserved() == 0
        present, table = (entry.UP, entry.UCTP) if devfn >= 0x80 else (entry.LP, entry.LCTP)
        if not present:
            return None
        found = self.entry(ScalableContextEntry, table << 12, devfn & 0x7F)
        return found if found.P else None

    def pasid_entry(self, rid: int, pasid: int) -> PasidTableEntry | None:
        """The PASID table entry of an address space, if it is present."""
        context = self.context(rid)
        if context is None or pasid >> 6 >= 1 << (context.PDTS + 7):
            return None
        directory = self.entry(PasidDirectoryEntry, context.PASIDDIRPTR << 12, pasid >> 6)
        if not directory.P:
            return None
        entry = self.entry(PasidTableEntry, directory.SMPTBLPTR << 12, pasid & 63)
        return entry if entry.P else None


@dataclass(frozen=True)
class Page:
    """Where an address leads: the address of the page, its bytes, and the letters of its rights."""

    phys: int
    size: int
    rights: str


FIRST = (FsTableEntry, {1: FsPage4K, 2: FsPage2M, 3: FsPage1G})
SECOND = (SsTableEntry, {1: SsPage4K, 2: SsPage2M, 3: SsPage1G})


def walk(machine: Machine, root: int, levels: int, address: int, stage: object = SECOND) -> Page | None:
    """Walk a paging structure as the specification says; none where an entry is not present."""
    table_kind, page_kinds = stage
    rights = {"r", "w", "x"}
    for level in range(levels, 0, -1):
        shift = 12 + 9 * (level - 1)
        entry = machine.entry(table_kind, root, address >> shift & 0x1FF)
        leaf = level == 1 or bool(entry.PS)
        if leaf:
            entry = page_kinds[level](entry.raw)
        if stage is FIRST:
            if not entry.P:
                assert entry.raw == 0
                return None
            assert entry.US
            here = {"r"} | ({"w"} if entry.RW else set()) | ({"x"} if not entry.XD else set())
        else:
            here = {n for n, has in (("r", entry.R), ("w", entry.W), ("x", entry.X)) if has}
            if not here:
                assert entry.raw == 0
                return None
        rights &= here
        assert entry.raw & type(entry).reserved() == 0, entry
        if leaf:
            phys = entry.ADDR << type(entry).ADDR.lo
            return Page(phys, 1 << shift, "".join(sorted(rights)))
        root = entry.ADDR << 12
    raise AssertionError


def levels_of(aw: int) -> int:
    return {AW.LEVELS_3: 3, AW.LEVELS_4: 4, AW.LEVELS_5: 5}[AW(aw)]


def unit(cap: Unit.CAP = CAP, ecap: Unit.ECAP = ECAP, **options: bool) -> tuple[Machine, IntelIommu]:
    """A machine and its unit, which is on and was told nothing yet."""
    machine = Machine(cap=cap, ecap=ecap)
    mem = PhysMem(machine, RAM_BASE, machine.size - RAM_BASE)
    iommu = IntelIommu(mem, UNIT_BASE, polls=50, **options)
    iommu.enable()
    machine.taken()
    return machine, iommu
