"""EPT entries, as the host writes them (arch/x86/kvm/mmu/spte.c)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from siov.host.pgtable import Prot
from siov.spec.ept import EptEntry, EptPage2M, EptPage4K, EptTableEntry
from siov.spec.vtd import MemoryType

_RWX = EptEntry.of(R=1, W=1, X=1).raw


@dataclass(slots=True, frozen=True)
class EptFormat:
    """EPT (SDM 29.3.2): memory is write-back whatever the guest's PAT says, as KVM has it without DMA."""

    name: ClassVar[str] = "ept"
    address_mask: ClassVar[int] = EptTableEntry.ADDR.mask
    dirty_mask: ClassVar[int] = EptPage4K.D.mask
    write_mask: ClassVar[int] = EptEntry.W.mask

    def table(self, address: int) -> int:
        """An entry that points to a table."""
        return _RWX | address

    def leaf(self, level: int, prot: Prot) -> int:
        """An entry of a page."""
        raw = EptPage4K.of(
            R=int(bool(prot & Prot.READ)),
            W=int(bool(prot & Prot.WRITE)),
            X=int(bool(prot & Prot.EXEC)),
            MT=MemoryType.WB,
            IPAT=1,
        ).raw
        return raw | (EptPage2M.PS.mask if level > 1 else 0)

    def is_leaf(self, raw: int, level: int) -> bool:
        """Whether the entry is of a page."""
        return level == 1 or bool(raw & EptPage2M.PS.mask)

    def prot(self, raw: int) -> Prot:
        """What the page allows."""
        return Prot(raw & (Prot.READ | Prot.WRITE | Prot.EXEC))
