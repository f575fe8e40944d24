"""A BAR in the host's address space, as ioremap and readl have it (include/linux/io.h)."""

from __future__ import annotations

from dataclasses import dataclass

from siov.host.pci.access import Mmio


@dataclass(slots=True, frozen=True)
class IoMem:
    """`size` bytes of registers at the physical address `base`; offsets are those in the BAR."""

    mmio: Mmio
    base: int
    size: int

    def readl(self, offset: int) -> int:
        """A register of 32 bits; all ones where nobody answers."""
        return int.from_bytes(self.mmio.read(self.base + offset, 4), "little")

    def writel(self, offset: int, value: int) -> None:
        """Write a register of 32 bits."""
        self.mmio.write(self.base + offset, value.to_bytes(4, "little"))

    def readq(self, offset: int) -> int:
        """Two registers, 64 bits."""
        return int.from_bytes(self.mmio.read(self.base + offset, 8), "little")
