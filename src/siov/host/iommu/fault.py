"""Faults as the host reads them from a unit's fault recording registers (dmar_fault)."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from siov.host.iommu.registers import Registers
from siov.spec.vtd import FaultReason, FaultRecordHi, FaultRecording, FaultRecordLo, Unit


class RequestKind(Enum):
    """What a refused request wanted: the fault record's T1 and T2."""

    WRITE = "write"
    PAGE_REQUEST = "page request"
    READ = "read"
    ATOMIC = "AtomicOp"


_REASONS = {int(reason): reason for reason in FaultReason}
_KINDS = {
    (0, 0): RequestKind.WRITE,
    (0, 1): RequestKind.PAGE_REQUEST,
    (1, 0): RequestKind.READ,
    (1, 1): RequestKind.ATOMIC,
}


@dataclass(slots=True, frozen=True)
class DmaFault:
    """One fault record: who asked for what and why it was refused.

    `addr` is the page of the address, or for an interrupt request (`index` is set then) zero.
    """

    reason: int
    rid: int
    pasid: int | None
    addr: int
    kind: RequestKind
    privileged: bool = False
    execute: bool = False
    index: int | None = None

    @classmethod
    def decode(cls, lo: FaultRecordLo, hi: FaultRecordHi) -> DmaFault:
        """The fault out of a record's two halves."""
        interrupt = hi.FR in _REASONS and _REASONS[hi.FR].is_interrupt
        addr = lo.FI << 12
        return cls(
            reason=hi.FR,
            rid=hi.SID,
            pasid=hi.PV if hi.PP else None,
            addr=0 if interrupt else addr,
            kind=_KINDS[hi.T1, hi.T2],
            privileged=bool(hi.PP and hi.PRIV),
            execute=bool(hi.PP and hi.EXE),
            index=addr >> 48 if interrupt else None,
        )

    @property
    def name(self) -> str:
        """The condition's name in the specification, or its code."""
        return FaultRecordHi.FR.meaning(self.reason)

    def __str__(self) -> str:
        who = f"{self.rid >> 8:02x}:{self.rid >> 3 & 0x1F:02x}.{self.rid & 7}"
        pasid = "" if self.pasid is None else f" PASID {self.pasid:#x}"
        known = _REASONS.get(self.reason)
        why = f"reason {self.name}" if known is None else f"{self.name} ({known.__doc__})"
        if self.index is not None:
            return f"INTR-REMAP request of {who} for entry {self.index}: {why}"
        return f"DMA {self.kind.value} of {who}{pasid} at {self.addr:#x}: {why}"


@dataclass(slots=True)
class FaultLog:
    """The faults of a unit: the last `keep` of them, and counts by name; `handlers` are told of each."""

    registers: Registers
    keep: int = 256
    overflows: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    handlers: list[Callable[[DmaFault], None]] = field(default_factory=list)
    last: deque[DmaFault] = field(default_factory=deque)

    def drain(self) -> list[DmaFault]:
        """Read and clear the records in use, oldest first, and the overflow."""
        status = self.registers.read(Unit.FSTS)
        found = list(self._records(status.FRI)) if status.PPF else []
        if status.PFO:
            self.overflows += 1
            self.registers.write(Unit.FSTS.of(PFO=1))
        for fault in found:
            self.counts[fault.name] += 1
            self.last.append(fault)
            while len(self.last) > self.keep:
                self.last.popleft()
            for handler in self.handlers:
                handler(fault)
        return found

    def _records(self, index: int) -> list[DmaFault]:
        cap = self.registers.read(Unit.CAP)
        found = []
        for n in range(cap.NFR + 1):
            at = cap.FRO * 16 + (index + n) % (cap.NFR + 1) * FaultRecording.size
            at_hi = at + FaultRecording.spans["HI"].at
            hi = self.registers.read(FaultRecordHi, at_hi)
            if not hi.F:
                break
            lo = self.registers.read(FaultRecordLo, at + FaultRecording.spans["LO"].at)
            found.append(DmaFault.decode(lo, hi))
            self.registers.write(FaultRecordHi.of(F=1), at_hi)
        return found

    def inspect(self) -> dict[str, object]:
        """Counts by name, overflows and the last faults in words."""
        return {"counts": dict(self.counts), "overflows": self.overflows, "last": [str(f) for f in self.last]}
