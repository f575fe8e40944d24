"""How the host reaches PCI: memory-mapped accesses, and through them configuration cycles (ECAM)."""

from dataclasses import dataclass
from typing import Protocol


class Mmio(Protocol):
    """The CPU's view of physical addresses: the only way from the host to the hardware."""

    def read(self, address: int, size: int) -> bytes:
        """`size` bytes (1, 2, 4 or 8) at a physical address; all ones where nobody answers."""

    def write(self, address: int, data: bytes) -> None:
        """Bytes to a physical address; lost where nobody takes them."""


@dataclass(slots=True, frozen=True)
class HostWindow:
    """A window of the host bridge, as ACPI's _CRS tells it: CPU addresses `base` to `base + size - 1`.

    `offset` is what a CPU address has more than the bus address.
    """

    base: int
    size: int
    wide: bool = False
    offset: int = 0

    @property
    def end(self) -> int:
        """The last address."""
        return self.base + self.size - 1


@dataclass(slots=True, frozen=True)
class Firmware:
    """What firmware tells of a PCI segment: the ECAM base (ACPI MCFG) and the windows (_CRS)."""

    ecam: int
    windows: tuple[HostWindow, ...]
    domain: int = 0
    buses: range = range(256)


@dataclass(slots=True, frozen=True)
class ConfigAccess:
    """Configuration cycles of one segment, by memory accesses to its ECAM window (PCIe 7.2.2)."""

    mmio: Mmio
    ecam: int

    def read(self, rid: int, at: int, size: int) -> int:
        """The register of `size` bytes (1, 2 or 4) at offset `at` of the function with this routing id."""
        return int.from_bytes(self.mmio.read(self.ecam + (rid << 12) + at, size), "little")

    def write(self, rid: int, at: int, size: int, value: int) -> None:
        """Set a register of a function."""
        self.mmio.write(self.ecam + (rid << 12) + at, value.to_bytes(size, "little"))

    def dump(self, rid: int, size: int = 0x1000) -> bytes:
        """The first `size` bytes of a function's configuration space."""
        return b"".join(self.read(rid, at, 4).to_bytes(4, "little") for at in range(0, size, 4))
