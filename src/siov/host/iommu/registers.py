"""Access to a remapping unit's registers, and waiting for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from errno import ETIMEDOUT
from typing import TypeVar

from siov.host.linux import LinuxError
from siov.host.pci.access import Mmio
from siov.spec.vtd import Unit
from siov.spec.word import Word

W = TypeVar("W", bound=Word)

# GCMD bits that command something once; the others ask for a state and are written again each time.
_ONCE = Unit.GCMD.SRTP.mask | Unit.GCMD.SFL.mask | Unit.GCMD.WBF.mask | Unit.GCMD.SIRTP.mask
_STATES = sum(field.mask for field in Unit.GCMD.fields.values()) & ~_ONCE


@dataclass(slots=True)
class Registers:
    """The page of registers at a physical address; `polls` is how often to look before giving up.

    `polled` counts the looks that `wait` and `until` have taken.
    """

    mmio: Mmio
    base: int
    name: str = "dmar0"
    polls: int = 100_000
    polled: int = field(default=0)

    def read(self, word: type[W], at: int | None = None) -> W:
        """A register, at its usual offset or at another."""
        return word.from_bytes(self.mmio.read(self.base + (word.at if at is None else at), word.width // 8))

    def write(self, word: Word, at: int | None = None) -> None:
        """Set a register."""
        self.mmio.write(self.base + (word.at if at is None else at), word.to_bytes())

    def until(self, done: Callable[[], bool], what: str) -> None:
        """Look until `done()`; ETIMEDOUT when it does not come to that."""
        for _ in range(self.polls):
            self.polled += 1
            if done():
                return
            time.sleep(0)  # the hardware may run in another thread
        raise LinuxError(ETIMEDOUT, f"{self.name} at {self.base:#x} is stuck: {what} did not happen")

    def command(self, bit: str, status: str, on: bool = True) -> None:
        """Set or clear one bit of GCMD and wait until GSTS has followed; ETIMEDOUT when it does not."""
        mask = Unit.GCMD.fields[bit].mask
        state = self.read(Unit.GSTS).raw & _STATES & ~mask
        self.write(Unit.GCMD(state | (mask if on else 0)))
        wanted = int(on and status != "WBFS")  # WBFS reads 0 when it is done
        self.until(
            lambda: (
                Unit.GSTS.fields[status].mask & self.read(Unit.GSTS).raw
                == (Unit.GSTS.fields[status].mask if wanted else 0)
            ),
            f"GSTS.{status} = {wanted} after GCMD.{bit} = {int(on)}",
        )
