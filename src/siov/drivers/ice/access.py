"""What the parts of the driver use of it: commands to firmware, registers, memory for DMA, waiting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from siov.spec.e810 import AqOpcode
from siov.spec.word import Word

W = TypeVar("W", bound=Word)


class Answer(Protocol):
    """What firmware answered to a command."""

    @property
    def data(self) -> bytes:
        """The command's buffer, as firmware left it."""

    def params(self, word: type[W]) -> W:
        """The command's parameters, as firmware left them."""


class Commands(Protocol):
    """The admin queue (adminq.AdminQueue)."""

    def send(
        self, opcode: AqOpcode, params: Word | None = None, data: bytes = b"", *, room: int = 0
    ) -> Answer:
        """Have firmware carry out a command; `LinuxError` when it refuses."""


class Registers(Protocol):
    """BAR 0 of the function by the specification's names (hw.IceHw)."""

    def rd(self, name: str, index: int = 0) -> int:
        """A register of 32 bits."""

    def rd64(self, name: str, index: int = 0) -> int:
        """A counter of 40 bits."""

    def wr(self, name: str, value: int | Word, index: int = 0) -> None:
        """Set a register of 32 bits."""


class Buffer(Protocol):
    """Memory in one piece that the device reaches (dma.DmaBuffer)."""

    @property
    def address(self) -> int:
        """Its address on the bus."""

    def read(self, at: int, size: int) -> bytes:
        """`size` bytes from an offset."""

    def write(self, at: int, data: bytes) -> None:
        """Bytes to an offset."""


Poll = Callable[
    [Callable[[], bool], float], bool
]  # looks at a condition for so many seconds; whether it held
