"""The page tables of an embedded guest's kernel, in its own memory, as a guest writes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from siov.host.pci.access import Mmio
from siov.host.pgtable import Prot
from siov.spec.ept import Pte2M, Pte4K, PteTable


@dataclass(slots=True, frozen=True)
class GuestMemory:
    """A guest's physical addresses, which lie side by side from `base` on in the host's."""

    mmio: Mmio
    base: int

    def read(self, address: int, size: int) -> bytes:
        """`size` bytes at a guest-physical address."""
        return self.mmio.read(self.base + address, size)

    def write(self, address: int, data: bytes) -> None:
        """Bytes to a guest-physical address."""
        self.mmio.write(self.base + address, data)


@dataclass(slots=True, frozen=True)
class GuestFormat:
    """Entries of the guest's own tables (SDM 4.5.4): the CPU sets A and D."""

    name: ClassVar[str] = "guest-table"
    address_mask: ClassVar[int] = PteTable.ADDR.mask
    dirty_mask: ClassVar[int] = Pte4K.D.mask
    write_mask: ClassVar[int] = Pte4K.RW.mask
    user: bool = True

    def table(self, address: int) -> int:
        """An entry that points to a table."""
        return PteTable.of(P=1, RW=1, US=1).raw | address

    def leaf(self, level: int, prot: Prot) -> int:
        """An entry of a page, for user mode or not; READ is what a present page gives always."""
        write, xd = bool(prot & Prot.WRITE), not prot & Prot.EXEC
        raw = Pte4K.of(P=1, US=int(self.user), RW=int(write), XD=int(xd)).raw
        return raw | (Pte2M.PS.mask if level > 1 else 0)

    def is_leaf(self, raw: int, level: int) -> bool:
        """Whether the entry is of a page."""
        return level == 1 or bool(raw & Pte2M.PS.mask)

    def prot(self, raw: int) -> Prot:
        """What the page allows."""
        write = Prot.WRITE if raw & Pte4K.RW.mask else Prot(0)
        return Prot.READ | write | (Prot(0) if raw & Pte4K.XD.mask else Prot.EXEC)
