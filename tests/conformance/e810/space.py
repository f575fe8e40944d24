"""Address spaces: memory as a VSI's DMA sees it, with a PASID of its own or as the function's."""

from dataclasses import dataclass, field

from siov.host.iommu import PagingDomain, Stage
from siov.host.pgtable import Prot

from .machine import RID, Machine

PAGE = 0x1000
MEMORY = 16 << 20  # the first physical address that spaces are cut from


class Room:
    """Physical memory behind the host's tables, given out in order and never back."""

    def __init__(self) -> None:
        self.free = MEMORY

    def take(self, size: int, align: int = PAGE) -> int:
        at = self.free = -(-self.free // align) * align
        self.free += -(-size // PAGE) * PAGE
        return at


@dataclass
class Space:
    """Memory that DMA with `pasid` reaches: addresses in it are not the host's when a unit translates."""

    machine: Machine
    room: Room
    pasid: int | None = None
    domain: PagingDomain | None = None
    next: int = 0x10_0000_0000
    pages: dict[int, int] = field(default_factory=dict)

    @classmethod
    def with_pasid(cls, machine: Machine, room: Room, pasid: int) -> "Space":
        """A space of its own, first stage, whose addresses are the same numbers as other spaces'."""
        assert machine.iommu is not None
        domain = machine.iommu.alloc_domain(Stage.FIRST)
        machine.iommu.attach(domain, RID, pasid)
        return cls(machine, room, pasid, domain)

    def alloc(self, size: int, align: int = PAGE, prot: Prot = Prot.READ | Prot.WRITE) -> int:
        """Address of zeroed memory."""
        physical = self.room.take(size, align)
        if self.domain is None:
            return physical
        at = self.next = -(-self.next // max(align, PAGE)) * max(align, PAGE)
        whole = -(-size // PAGE) * PAGE
        self.next += whole + PAGE  # nothing behind it
        self.domain.map(at, physical, whole, prot)
        for n in range(0, whole, PAGE):
            self.pages[at + n] = physical + n
        return at

    def hole(self, size: int = PAGE) -> int:
        """An address that leads nowhere in this space, though other spaces may have memory there."""
        if self.domain is None:
            return 1 << 45
        at, whole = self.next, -(-size // PAGE) * PAGE
        self.next += whole + PAGE
        return at

    def physical(self, at: int) -> int:
        """Where an address leads."""
        if self.domain is None:
            return at
        return self.pages[at & -PAGE] + at % PAGE

    def read(self, at: int, size: int) -> bytes:
        data = b""
        while size:
            n = min(size, PAGE - at % PAGE)
            data += self.machine.read(self.physical(at), n)
            at, size = at + n, size - n
        return data

    def write(self, at: int, data: bytes) -> None:
        while data:
            n = min(len(data), PAGE - at % PAGE)
            self.machine.write(self.physical(at), data[:n])
            at, data = at + n, data[n:]

    def unmap(self, at: int, size: int = PAGE) -> None:
        """The pages are gone from the space; the memory itself stays as it is."""
        assert self.domain is not None
        self.domain.unmap(at, size)
