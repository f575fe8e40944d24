"""Posted-interrupt descriptors of virtual CPUs (arch/x86/kvm/vmx/posted_intr.c)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from siov.host.physmem import PAGE_SIZE, PhysMem
from siov.spec.vtd import PostedInterruptDescriptor

_SIZE = PostedInterruptDescriptor.width // 8
_PIR = 32  # bytes of PIR; the control bits follow
_D = PostedInterruptDescriptor


@dataclass(slots=True, frozen=True)
class PostedDescriptor:
    """A descriptor of 64 bytes in memory, that the unit sets bits in and the host takes them out of."""

    mem: PhysMem
    address: int

    def read(self) -> PostedInterruptDescriptor:
        """The descriptor as it is in memory."""
        return _D.from_bytes(self.mem.read(self.address, _SIZE))

    def notify(self, cpu: int, vector: int, *, extended: bool = True, suppress: bool = False) -> None:
        """Say where the notification goes (NDST, NV) and whether it is held back (SN)."""
        now = self.read()
        new = now.replace(NDST=cpu if extended else cpu << 8, NV=vector, SN=int(suppress))
        self.mem.write(self.address + _PIR, new.to_bytes()[_PIR : _PIR + 8])

    def suppress(self, held_back: bool) -> None:
        """Hold notifications back while the virtual CPU is not running, or let them go."""
        new = self.read().replace(SN=int(held_back))
        self.mem.write(self.address + _PIR, new.to_bytes()[_PIR : _PIR + 1])

    def take(self) -> list[int]:
        """The vectors that were posted since the last time, lowest first (vmx_sync_pir_to_irr).

        ON is cleared before PIR is read, so that what is posted meanwhile notifies again.
        """
        control = self.read()
        if not control.ON:
            return []
        self.mem.write(self.address + _PIR, control.replace(ON=0).to_bytes()[_PIR : _PIR + 1])
        return [vector for at in range(0, _PIR, 8) for vector in self._take(at)]

    def _take(self, at: int) -> Iterator[int]:
        bits = int.from_bytes(self.mem.read(self.address + at, 8), "little")
        if bits:
            self.mem.write(self.address + at, bytes(8))
        while bits:
            lowest = bits & -bits
            yield at * 8 + lowest.bit_length() - 1
            bits ^= lowest

    def inspect(self) -> dict[str, str]:
        """The descriptor in the specification's words."""
        return self.read().decode()


@dataclass(slots=True)
class PostedDescriptors:
    """Descriptors to give out, 64 to a page."""

    mem: PhysMem
    _free: list[int] = field(default_factory=list)
    _pages: dict[int, int] = field(default_factory=dict)  # page: descriptors in use

    def alloc(self) -> PostedDescriptor:
        """A descriptor of zeros; ENOMEM."""
        if not self._free:
            page = self.mem.alloc_page("posted-interrupts")
            self._pages[page] = 0
            self._free = list(range(page + PAGE_SIZE - _SIZE, page - 1, -_SIZE))
        address = self._free.pop()
        self._pages[address // PAGE_SIZE * PAGE_SIZE] += 1
        return PostedDescriptor(self.mem, address)

    def free(self, descriptor: PostedDescriptor) -> None:
        """Give a descriptor back, that no entry names any more."""
        page = descriptor.address // PAGE_SIZE * PAGE_SIZE
        self._pages[page] -= 1
        self.mem.write(descriptor.address, bytes(_SIZE))
        self._free.append(descriptor.address)
        if not self._pages[page]:
            del self._pages[page]
            self._free = [at for at in self._free if at // PAGE_SIZE * PAGE_SIZE != page]
            self.mem.free(page)

    def inspect(self) -> dict[str, object]:
        """Pages, and descriptors in use."""
        return {"pages": len(self._pages), "used": sum(self._pages.values())}
