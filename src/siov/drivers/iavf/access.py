"""What the driver stands on: a virtual device as a guest reaches it, and who moves the frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from siov.errors import SiovError
from siov.spec.virtchnl import Op, Status


class IavfError(SiovError):
    """The device does not do what the driver needs."""


class IavfTimeoutError(IavfError):
    """The PF or the device did not answer in time."""


class VirtchnlError(IavfError):
    """The PF refused a request; `op` and `status` say which and how."""

    def __init__(self, op: Op, status: int) -> None:
        known = {int(one): one.name for one in Status}
        super().__init__(f"the PF answered {op.name} with {known.get(status, status)}")
        self.op, self.status = op, status


class VdevAccess(Protocol):
    """A virtual device, and memory that it can reach, from inside the guest. Offsets are those of BAR 0."""

    def read32(self, offset: int) -> int:
        """A register."""

    def write32(self, offset: int, value: int) -> None:
        """Write a register."""

    def address(self, offset: int) -> int:
        """The guest-virtual address of a register."""

    def config_read(self, offset: int, size: int) -> bytes:
        """Bytes of configuration space."""

    def config_write(self, offset: int, data: bytes) -> None:
        """Write bytes of configuration space."""

    def alloc(self, size: int) -> int:
        """Zeroed memory for DMA, in whole pages: its guest-physical address, which the device uses too."""

    def free(self, address: int) -> None:
        """Give memory back that was allocated at this address."""

    def read(self, address: int, size: int) -> bytes:
        """Bytes of the guest's memory."""

    def write(self, address: int, data: bytes) -> None:
        """Write bytes of the guest's memory."""

    def enable_vectors(self, count: int) -> None:
        """Enable MSI-X with `count` vectors."""

    def disable_vectors(self) -> None:
        """Disable MSI-X."""

    def wait(self, vector: int, seconds: float) -> bool:
        """Wait for an interrupt; whether it came. What was pending counts."""

    def sleep(self, seconds: float) -> None:
        """Let time pass, and others work."""


@dataclass(slots=True, frozen=True)
class QueuePair:
    """Queues and their vector: rings and buffers at guest-physical addresses, registers at virtual ones.

    `buffer` bytes for each descriptor; `itr` is in microseconds.
    """

    number: int
    vector: int
    tx_ring: int
    tx_entries: int
    tx_buffers: int
    tx_tail: int
    rx_ring: int
    rx_entries: int
    rx_buffers: int
    rx_tail: int
    dyn_ctl: int
    buffer: int
    rxdid: int
    itr: int | None


class RingSide(Protocol):
    """Who moves the frames of the queues that this driver sets up."""

    def add_pair(self, pair: QueuePair) -> None:
        """Queues are enabled: post buffers, take and send frames."""

    def clear_pairs(self) -> None:
        """Queues go away: nothing may touch them any more."""
