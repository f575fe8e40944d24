"""Page requests of devices, as a unit queues them, and the answers (drivers/iommu/intel/prq.c)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from siov.host.iommu.queue import InvalidationQueue
from siov.host.iommu.registers import Registers
from siov.host.pgtable import Prot
from siov.host.physmem import PAGE_SIZE, PhysMem
from siov.spec.vtd import DescriptorType, PageGroupResponse, PageRequest, ResponseCode, Unit

_ENTRY = PageRequest.width // 8


@dataclass(slots=True, frozen=True)
class Request:
    """One page that a device asks for; `last` closes the group, which is the unit of an answer."""

    rid: int
    pasid: int | None
    group: int
    addr: int
    prot: Prot
    last: bool
    privileged: bool = False
    private: tuple[int, int] | None = None

    @classmethod
    def decode(cls, raw: PageRequest) -> Request:
        """The request out of a queue entry."""
        prot = Prot.READ * raw.RD | Prot.WRITE * raw.WR | Prot.EXEC * (raw.PP and raw.EXR)
        return cls(
            rid=raw.RID,
            pasid=raw.PASID if raw.PP else None,
            group=raw.PRGI,
            addr=raw.ADDR << 12,
            prot=Prot(prot),
            last=bool(raw.LPIG),
            privileged=bool(raw.PP and raw.PMR),
            private=(raw.PRIV_LO, raw.PRIV_HI) if raw.PDP else None,
        )


GroupHandler = Callable[[Sequence[Request]], ResponseCode]


@dataclass(slots=True)
class PageRequestQueue:
    """The queue of one unit. `drain` hands whole groups to `handler` and sends its answer.

    Groups that are not closed wait in `partial`, at most a queue full of requests; the oldest group is
    dropped beyond that, as the device broke the protocol.
    """

    registers: Registers
    mem: PhysMem
    queue: InvalidationQueue
    handler: GroupHandler | None = None
    order: int = 4
    ring: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    partial: dict[tuple[int, int | None, int], list[Request]] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of the queue."""
        return PAGE_SIZE << self.order

    def enable(self) -> None:
        """Set the queue up, empty; devices may be allowed page requests then."""
        self.ring = self.mem.alloc_pages(1 << self.order, "page-request-queue")
        self.registers.write(Unit.PQH(0))
        self.registers.write(Unit.PQT(0))
        self.registers.write(Unit.PQA.of(PQS=self.order, PQA=self.ring >> 12))

    def disable(self) -> None:
        """Forget the queue; no device may send page requests any more."""
        self.registers.write(Unit.PQH(0))
        self.registers.write(Unit.PQT(0))
        self.registers.write(Unit.PQA(0))
        self.mem.free(self.ring)
        self.ring = 0
        self.partial.clear()

    def drain(self) -> int:
        """Take what is in the queue and answer every group that is complete; how many requests there were."""
        regs = self.registers
        regs.write(Unit.PRS.of(PPR=1))
        head, tail = regs.read(Unit.PQH).PQH * _ENTRY, regs.read(Unit.PQT).PQT * _ENTRY
        taken = 0
        while head != tail:
            request = Request.decode(PageRequest.from_bytes(self.mem.read(self.ring + head, _ENTRY)))
            head = (head + _ENTRY) % self.size
            regs.write(Unit.PQH.of(PQH=head // _ENTRY))
            self._take(request)
            taken += 1
        if regs.read(Unit.PRS).PRO:
            # The unit answered what it had no room for by itself; the beginnings of such groups are void.
            self.counts["overflow"] += 1
            self.partial.clear()
            regs.write(Unit.PRS.of(PRO=1))
        return taken

    def respond(self, last: Request, code: ResponseCode) -> None:
        """Answer the group that a request closes."""
        self.counts[code.name.lower()] += 1
        answer = PageGroupResponse.of(
            TYPE=DescriptorType.PAGE_GROUP_RESPONSE & 0xF,
            TYPE_HI=DescriptorType.PAGE_GROUP_RESPONSE >> 4,
            RC=code,
            RID=last.rid,
            PRGI=last.group,
            LPIG=int(last.last),
        )
        if last.pasid is not None:
            answer = answer.replace(PP=1, PASID=last.pasid)
        if last.private is not None:
            answer = answer.replace(PDP=1, PRIV_LO=last.private[0], PRIV_HI=last.private[1])
        self.queue.submit([answer])

    def forget(self, rid: int, pasid: int | None) -> None:
        """Drop the unfinished groups of a device's address space that is going away."""
        for key in [key for key in self.partial if key[:2] == (rid, pasid)]:
            del self.partial[key]

    def _take(self, request: Request) -> None:
        self.counts["requests"] += 1
        key = (request.rid, request.pasid, request.group)
        group = self.partial.setdefault(key, [])
        group.append(request)
        if request.last:
            del self.partial[key]
            code = self.handler(group) if self.handler else ResponseCode.INVALID_REQUEST
            self.respond(request, code)
        elif sum(map(len, self.partial.values())) > self.size // _ENTRY:
            self.counts["dropped"] += len(self.partial.pop(next(iter(self.partial))))

    def inspect(self) -> dict[str, object]:
        """Where the queue is, requests and answers by code, unfinished groups."""
        return {
            "ring": self.ring,
            "size": self.size,
            "counts": dict(self.counts),
            "partial": len(self.partial),
        }
