"""A remapping unit in the machine: its page of registers, its scope, and what it sends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from siov._core import HostMemory
from siov._core import RemappingUnit as Engine
from siov.spec import vtd

PAGE = vtd.Unit.size


@dataclass(slots=True)
class RemappingUnit:
    """A unit whose registers are at `base`, serving the requester ids of `scope` (None: all).

    `on_invalidate(rid)` says whether a device that is none of the core's answers an Invalidate Request.
    `settle` delivers what it sends, once it is on the bus of a root complex; until then its own interrupt
    messages go to `on_message(address, data)`.
    """

    name: str
    base: int
    engine: Engine
    scope: frozenset[int] | None = None
    on_message: Callable[[int, int], None] | None = None
    on_invalidate: Callable[[int], bool] = field(default=lambda rid: True)
    settle: Callable[[], None] | None = None

    @classmethod
    def build(cls, name: str, base: int, memory: HostMemory, **config: Any) -> RemappingUnit:
        """A unit that walks tables in `memory`; `config` is that of the core's RemappingUnit."""
        return cls(name, base, Engine(memory, **config))

    def covers(self, address: int, size: int) -> bool:
        """Whether an access of the CPU is one to its registers."""
        return self.base <= address and address + size <= self.base + PAGE

    def serves(self, rid: int) -> bool:
        """Whether a requester is in its scope."""
        return self.scope is None or rid in self.scope

    def read(self, address: int, size: int) -> bytes:
        """Software reads registers."""
        return self.engine.mmio_read(address - self.base, size)

    def write(self, address: int, data: bytes) -> None:
        """Software writes registers; what comes of it is sent before this returns."""
        self.engine.mmio_write(address - self.base, data)
        self.send()

    def translate(self, rid: int, address: int, *, write: bool) -> int | None:
        """Where a request of a device goes in host memory; None for a fault, which the unit has recorded."""
        result = self.engine.translate(rid, None, address, "w" if write else "r")
        self.send()
        return result.get("hpa")

    def send(self) -> None:
        """Deliver what the unit has sent: its interrupt messages, and invalidations to devices."""
        if self.settle is not None:
            self.settle()
            return
        for kind, *what in self.engine.take_outbound():
            if kind == "message" and self.on_message is not None:
                self.on_message(what[0], what[1])
            elif kind == "invalidate":
                rid, itag = what[0], what[-1]
                if self.on_invalidate(rid):
                    self.engine.invalidation_done(rid, itag)
                else:
                    self.engine.invalidation_timeout()

    def inspect(self) -> dict[str, object]:
        """Registers that are not zero, how full the caches are, and the counters that counted."""
        registers = {}
        for name, span in vtd.Unit.spans.items():
            if span.count == 1 and span.size <= 8:
                raw = int.from_bytes(self.engine.mmio_read(span.at, span.size), "little")
                if raw:
                    registers[name] = f"{raw:#x}"
        counters = {name: count for name, count in self.engine.counters if count}
        return {"registers": registers, "cached": dict(self.engine.cached), "counters": counters}
