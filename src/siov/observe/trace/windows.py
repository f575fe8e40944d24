"""Windows of registers: each access by the register's name, its value by its fields."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FrameType

from siov.observe.trace.names import find, value_of
from siov.observe.trace.step import Kind
from siov.observe.trace.tracer import Emit
from siov.spec.pcie.header import CommonHeader
from siov.spec.word import RegisterBlock


class RegisterWindow:
    """A device's registers at physical addresses, looked up in blocks of the specification in turn."""

    def __init__(self, name: str, base: int, size: int, blocks: Sequence[type[RegisterBlock]]) -> None:
        self.name, self.base, self.size = name, base, size
        self._blocks = tuple(blocks)

    def begin(self) -> None:
        """Nothing has to be known before the first access."""

    def before_write(self, emit: Emit, at: int, data: bytes, caller: FrameType) -> None:
        """Tell of a write."""
        self._tell(emit, "write", at, data, caller)

    def after_read(self, emit: Emit, at: int, data: bytes, caller: FrameType) -> None:
        """Tell of a read."""
        self._tell(emit, "read", at, data, caller)

    def _tell(self, emit: Emit, what: str, at: int, data: bytes, caller: FrameType) -> None:
        if not emit.wants(Kind.REGISTER, self.name):
            return
        found = next((found for block in self._blocks if (found := find(block, at))), None)
        fields: dict[str, str] = {}
        if found is None:
            name, text = f"{at:#x}", f"{int.from_bytes(data, 'little'):#x}"
        else:
            name = str(found)
            text, fields = value_of(found, data)
        raw = int.from_bytes(data, "little")
        emit(
            Kind.REGISTER,
            self.name,
            what,
            f"{name} = {text}",
            {"register": name, "offset": at, "value": raw, "fields": fields},
            caller=caller,
        )


@dataclass(slots=True)
class ConfigWindow:
    """A window of configuration cycles (ECAM); `who` gives a function's name by its routing id."""

    base: int
    size: int
    who: Callable[[int], str]
    name: str = "ecam"

    def begin(self) -> None:
        """Nothing has to be known before the first access."""

    def before_write(self, emit: Emit, at: int, data: bytes, caller: FrameType) -> None:
        """Tell of a write."""
        self._tell(emit, "write", at, data, caller)

    def after_read(self, emit: Emit, at: int, data: bytes, caller: FrameType) -> None:
        """Tell of a read."""
        self._tell(emit, "read", at, data, caller)

    def _tell(self, emit: Emit, what: str, at: int, data: bytes, caller: FrameType) -> None:
        rid, register = at >> 12, at & 0xFFF
        name = self.who(rid)
        if not emit.wants(Kind.CONFIG, name):
            return
        # Behind the first part of the header, what a register is hangs on the function.
        found = find(CommonHeader, register)
        where = str(found) if found else f"{register:#x}"
        text = value_of(found, data)[0] if found else f"{int.from_bytes(data, 'little'):#x}"
        fields = {"rid": rid, "register": register, "value": int.from_bytes(data, "little")}
        emit(Kind.CONFIG, name, what, f"{where} = {text}", fields, caller=caller)
