"""Vectors as a host programs them: MSI-X entries, slots of interrupt message storage, and their messages."""

from siov.host.irq.remapping import InterruptRemapping
from siov.host.irq.vectors import Irq, RemapHandle
from siov.spec.msi import MsiAddress, MsiData
from siov.spec.pcie import MsixEntry

from .machine import BAR3, RID, Machine

NONE = 3  # ITR_INDX: no timer
INTENA, CLEARPBA, SWINT = 1, 2, 4
SOFTWARE = SWINT | 1 << 24 | NONE << 25  # an interrupt by software that no timer throttles
US = 1000
IMS_INT, IMS, IMS_RATE = 0x0800_0000, 0x0C00_0000, 0x0C10_0000
IMS_CAUSE = 1 << 29


def message(destination: int, vector: int) -> tuple[int, int]:
    """Address and data of a message in compatibility format."""
    return MsiAddress.of(PREFIX=0xFEE, DEST=destination).raw, MsiData.of(VECTOR=vector).raw


def remapped(remapping: InterruptRemapping, destination: int, vector: int) -> tuple[int, int]:
    """Address and data of a message in remappable format, with an entry of its own."""
    index = remapping.alloc_irtes(RID, [(destination, vector)])
    irq = Irq(destination, vector, RemapHandle(index))
    return irq.address, irq.data


def program(machine: Machine, entry: int, address: int, data: int, *, masked: bool = False) -> None:
    """An entry of the MSI-X table."""
    at = entry * MsixEntry.size
    for offset, value in ((0, address & 0xFFFF_FFFF), (4, address >> 32), (8, data), (12, int(masked))):
        machine.write32(at + offset, value, BAR3)


def mask(machine: Machine, entry: int, masked: bool) -> None:
    machine.write32(entry * MsixEntry.size + 12, int(masked), BAR3)


def pending(machine: Machine, entry: int) -> bool:
    """The entry's bit in the pending bit array."""
    return bool(machine.read32(0x8000 + entry // 32 * 4, BAR3) >> entry % 32 & 1)


def program_ims(machine: Machine, slot: int, address: int, data: int, *, masked: bool = False) -> None:
    """A slot of interrupt message storage."""
    for offset, value in ((0, address & 0xFFFF_FFFF), (4, address >> 32), (8, data), (12, int(masked))):
        machine.write32(IMS + 16 * slot + offset, value)


def arm(machine: Machine, vector: int, value: int = INTENA | NONE << 3) -> None:
    """Enable a vector as a driver does after it has looked at its queues."""
    machine.wr("GLINT_DYN_CTL", value, vector)


def trigger(machine: Machine, vector: int) -> None:
    """Fire a vector by software, INTENA as it is."""
    machine.wr("GLINT_DYN_CTL", 1 << 31 | SOFTWARE | NONE << 3, vector)
