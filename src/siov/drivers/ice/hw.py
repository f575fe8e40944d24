"""Registers by the specification's names."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from siov.host.pci.iomem import IoMem
from siov.spec.e810 import Bar0
from siov.spec.e810.registers import Pages
from siov.spec.word import RegisterBlock, Span, Word

GONE = 0xFFFF_FFFF  # what a read gives when nobody answers


@cache
def span_of(name: str) -> Span:
    """Where a register of BAR 0 is; one of a block in a row has the block's name before its own.

    `KeyError` when there is no such register. VSI_MBX_ATQLEN is ATQLEN of block VSI_MBX; INT_DYN_CTL,
    QRX_TAIL_PAGE and QTX_COMM_DBELL_PAGE are in the pages that can be mapped into guests.
    """
    for where in (Bar0, Pages):
        found = where.spans.get(name)
        if found is not None:
            return found
        for block, outer in where.spans.items():
            inner = name.removeprefix(f"{block}_")
            if inner != name and issubclass(outer.what, RegisterBlock) and inner in outer.what.spans:
                own = outer.what.spans[inner]
                return Span(own.what, outer.at + own.at, outer.count, outer.stride, name)
    raise KeyError(f"the E810 has no register {name}")


def offset_of(name: str, index: int = 0) -> int:
    """Offset in BAR 0 of a register, or of one in a row; `IndexError` past the row's end."""
    span = span_of(name)
    if not 0 <= index < span.count:
        raise IndexError(f"{name} has elements 0 to {span.count - 1}, not {index}")
    return span.at + span.stride * index


@dataclass(slots=True, frozen=True)
class IceHw:
    """BAR 0 of the function."""

    io: IoMem

    def rd(self, name: str, index: int = 0) -> int:
        """A register of 32 bits."""
        return self.io.readl(offset_of(name, index))

    def rd64(self, name: str, index: int = 0) -> int:
        """A counter of 40 bits: its low half and the high half behind it."""
        at = offset_of(name, index)
        return self.io.readl(at) | self.io.readl(at + 4) << 32

    def wr(self, name: str, value: int | Word, index: int = 0) -> None:
        """Set a register of 32 bits."""
        self.io.writel(offset_of(name, index), int(value))

    def address(self, name: str, index: int = 0) -> int:
        """Physical address of a register."""
        return self.io.base + offset_of(name, index)

    @property
    def gone(self) -> bool:
        """Whether the device answers no more (or is within a reset of the link)."""
        return self.rd("GLGEN_RSTAT") == GONE
