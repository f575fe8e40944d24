"""The entries of VT-d's two stages, as the host writes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from siov.host.pgtable import Prot
from siov.spec.vtd import (
    FsEntry,
    FsPage2M,
    FsPage4K,
    FsTableEntry,
    SsEntry,
    SsPage2M,
    SsPage4K,
    SsTableEntry,
)


@dataclass(slots=True, frozen=True)
class FirstStageFormat:
    """First stage (VT-d 9.7): the accessed and dirty bits are set from the start, so walks need no write.

    `nxe` tells that the PASID table entry has NXE, so that XD may be used.
    """

    nxe: bool = True
    name: ClassVar[str] = "first-stage"
    address_mask: ClassVar[int] = FsTableEntry.ADDR.mask
    dirty_mask: ClassVar[int] = 0
    write_mask: ClassVar[int] = FsEntry.RW.mask

    def table(self, address: int) -> int:
        """An entry that points to a table."""
        return FsTableEntry.of(P=1, RW=1, US=1, A=1).raw | address

    def leaf(self, level: int, prot: Prot) -> int:
        """An entry of a page; READ is what a present page gives always."""
        raw = FsPage4K.of(P=1, US=1, A=1).raw | (FsPage2M.PS.mask if level > 1 else 0)
        if prot & Prot.WRITE:
            raw |= FsPage4K.of(RW=1, D=1).raw
        return raw if prot & Prot.EXEC or not self.nxe else raw | FsEntry.XD.mask

    def is_leaf(self, raw: int, level: int) -> bool:
        """Whether the entry is of a page."""
        return level == 1 or bool(raw & FsPage2M.PS.mask)

    def prot(self, raw: int) -> Prot:
        """What the page allows."""
        write = Prot.WRITE if raw & FsEntry.RW.mask else Prot(0)
        return Prot.READ | write | (Prot(0) if raw & FsEntry.XD.mask else Prot.EXEC)


@dataclass(slots=True, frozen=True)
class SecondStageFormat:
    """Second stage (VT-d 9.8)."""

    name: ClassVar[str] = "second-stage"
    address_mask: ClassVar[int] = SsTableEntry.ADDR.mask
    dirty_mask: ClassVar[int] = SsPage4K.D.mask
    write_mask: ClassVar[int] = SsEntry.W.mask

    def table(self, address: int) -> int:
        """An entry that points to a table."""
        return SsTableEntry.of(R=1, W=1, X=1).raw | address

    def leaf(self, level: int, prot: Prot) -> int:
        """An entry of a page."""
        raw = SsPage4K.of(
            R=int(bool(prot & Prot.READ)),
            W=int(bool(prot & Prot.WRITE)),
            X=int(bool(prot & Prot.EXEC)),
        ).raw
        return raw | (SsPage2M.PS.mask if level > 1 else 0)

    def is_leaf(self, raw: int, level: int) -> bool:
        """Whether the entry is of a page."""
        return level == 1 or bool(raw & SsPage2M.PS.mask)

    def prot(self, raw: int) -> Prot:
        """What the page allows."""
        return Prot(raw & (Prot.READ | Prot.WRITE | Prot.EXEC))
