"""Interrupt message storage of a device: vectors beyond its MSI-X table (pci_create_ims_domain)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from errno import EINVAL, ENOSPC

from siov.host.irq.vectors import Handler, Irq, IrqVectors
from siov.host.linux import LinuxError


@dataclass(slots=True)
class ImsDomain:
    """`slots` places in a device for messages of interrupts, each given out once.

    `write_msg(slot, address, data)` stores a message in the device, `mask(slot, masked)` holds it back or
    lets it go: where they are and how they look is the device's own affair. `name` stands in errors, `rid`
    is the requester id with which the device sends.
    """

    name: str
    rid: int
    irqs: IrqVectors
    slots: int
    write_msg: Callable[[int, int, int], None]
    mask: Callable[[int, bool], None]
    used: dict[int, Irq] = field(default_factory=dict)
    _free: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self._free = list(range(self.slots - 1, -1, -1))

    @property
    def available(self) -> int:
        """Slots that nobody has."""
        return len(self._free)

    def alloc_irq(self, handler: Handler, name: str) -> tuple[int, Irq]:
        """A slot, and the interrupt that its message raises (pci_ims_alloc_irq).

        ENOSPC when slots, vectors or remapping entries run out; nothing is taken then.
        """
        if not self._free:
            raise LinuxError(
                ENOSPC, f"{self.name}: all {self.slots} slots of interrupt message storage are taken"
            )
        irq = self.irqs.request_irq(handler, name, self.rid)
        slot = self._free.pop()
        self.used[slot] = irq
        self.restore(slot)
        return slot, irq

    def free_irq(self, slot: int) -> None:
        """Give a slot back; its message is held back from here. EINVAL when it is not in use."""
        irq = self.used.pop(slot, None)
        if irq is None:
            raise LinuxError(EINVAL, f"{self.name}: slot {slot} is not in use")
        self.mask(slot, True)
        self.irqs.free_irq(irq)
        self._free.append(slot)

    def restore(self, slot: int) -> None:
        """Store the message of a slot and let it go, also after the device has lost it in a reset."""
        irq = self.used[slot]
        self.write_msg(slot, irq.address, irq.data)
        self.mask(slot, False)

    def inspect(self) -> dict[str, object]:
        """How many slots there are, and which CPU and vector each one in use goes to."""
        return {"slots": self.slots, "used": {slot: [irq.cpu, irq.vector] for slot, irq in self.used.items()}}
