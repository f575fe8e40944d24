"""What firmware works with in these tests: an engine that records, memory, a clock that stands still."""

from typing import Any

from siov.spec.e810.registers import Bar0
from siov.spec.word import RegisterBlock

AQ_WRITES = {"PF_FW_ATQT", "PF_FW_ARQT", "PF_FW_ATQLEN", "PF_FW_ARQLEN"}


class FakeClock:
    def __init__(self) -> None:
        self.time = 0

    def now(self) -> int:
        return self.time

    def advance(self, ms: int) -> None:
        self.time += ms * 1_000_000


class FakeMemory:
    """Memory with an end; a read or write past it fails, as one that the IOMMU refuses."""

    def __init__(self, size: int = 1 << 20) -> None:
        self.data = bytearray(size)
        self.refused = False

    def dma_read(self, address: int, size: int) -> bytes | None:
        if self.refused or address + size > len(self.data):
            return None
        return bytes(self.data[address : address + size])

    def dma_write(self, address: int, data: bytes) -> bool:
        if self.refused or address + len(data) > len(self.data):
            return False
        self.data[address : address + len(data)] = data
        return True


def _places(block: type[RegisterBlock], base: int = 0) -> dict[str, tuple[int, Any]]:
    return {
        name: (span.at, span)
        for name, span in block.spans.items()
        if not issubclass(span.what, RegisterBlock)
    }


PLACES = _places(Bar0)
AT = {
    at + n * span.stride: (name, n)
    for name, (at, span) in PLACES.items()
    if span.count <= 1024
    for n in range(span.count)
}


class FakeEngine:
    """Registers by name, and a record of each call. A method that is not here is recorded too."""

    def __init__(self, config: Any = None, *, link: bool = True, rules: int = 1 << 14) -> None:
        self.config = config
        self.link = link
        self.max_rules = rules
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self.events: list[tuple[Any, ...]] = []
        self.registers: dict[tuple[str, int], int] = {}
        self.rules: dict[int, dict[str, Any]] = {}
        self.vsis: dict[int, bytes] = {}
        self.queues: dict[int, bytes] = {}
        self.lists: dict[int, list[int]] = {}
        self.interrupts = 0
        self.oicr = 0

    def get(self, name: str, index: int = 0) -> int:
        span = PLACES[name][1]
        assert index < span.count, (name, index)
        return self.registers.get((name, index), span.what.initial().raw)

    def set(self, name: str, value: int, index: int = 0) -> None:
        span = PLACES[name][1]
        assert index < span.count, (name, index)
        assert 0 <= value < 1 << span.what.width, (name, value)
        self.registers[name, index] = value

    def bar_read(self, bar: int, offset: int, size: int) -> bytes:
        if bar != 0 or offset not in AT:
            return bytes(size)
        return self.get(*AT[offset]).to_bytes(4, "little")[:size]

    def bar_write(self, bar: int, offset: int, data: bytes) -> None:
        if bar != 0 or offset not in AT:
            return
        name, index = AT[offset]
        value = int.from_bytes(data, "little")
        self.registers[name, index] = value
        if name in AQ_WRITES:
            self.events.append(("admin-queue",))
        elif name == "PFGEN_CTRL" and value & 1:
            self.events.append(("reset", "PFR"))
        elif name == "GLGEN_RTRIG":
            self.events += [
                ("reset", kind) for n, kind in enumerate(("CORER", "GLOBR", "EMPR")) if value >> n & 1
            ]
        elif name == "VSIGEN_RTRIG" and value & 1:
            self.events.append(("vsi-reset", index))

    def take_events(self) -> list[tuple[Any, ...]]:
        events, self.events = self.events, []
        return events

    def wait_events(self, timeout: float) -> bool:
        return bool(self.events)

    def raise_fw(self) -> None:
        self.interrupts += 1

    def raise_oicr(self, causes: int) -> None:
        self.oicr |= causes

    def reset(self, kind: str) -> None:
        self._note("reset", kind)
        self.registers.clear()
        for table in (self.rules, self.vsis, self.queues, self.lists):
            table.clear()

    def set_vsi(self, vsi: int, kind: int, properties: bytes) -> None:
        assert len(properties) == 128
        self._note("set_vsi", vsi, kind, properties)
        self.vsis[vsi] = properties

    def free_vsi(self, vsi: int) -> None:
        self._note("free_vsi", vsi)
        del self.vsis[vsi]

    def tx_enable(self, queue: int, context: bytes) -> None:
        assert queue not in self.queues
        assert len(context) == 22
        self._note("tx_enable", queue, context)
        self.queues[queue] = context

    def tx_disable(self, queue: int) -> None:
        self._note("tx_disable", queue)
        del self.queues[queue]

    def add_rule(self, **rule: Any) -> int:
        if len(self.rules) >= self.max_rules:
            raise OverflowError
        number = next(n for n in range(1 << 16) if n not in self.rules)
        self.rules[number] = rule
        return number

    def update_rule(self, rule: int, **changes: Any) -> None:
        self.rules[rule] |= changes

    def remove_rule(self, rule: int) -> None:
        del self.rules[rule]

    def set_vsi_list(self, number: int, vsis: list[int]) -> None:
        self.lists[number] = vsis
        if not vsis:
            del self.lists[number]

    def link_present(self, port: int) -> bool:
        return self.link

    def inspect(self) -> dict[str, Any]:
        return {}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)

        def call(*args: Any, **kwargs: Any) -> None:
            self._note(name, *args, **kwargs)

        return call

    def last(self, name: str) -> tuple[Any, ...]:
        return next(args for called, args, _ in reversed(self.calls) if called == name)

    def _note(self, name: str, *args: Any, **kwargs: Any) -> None:
        self.calls.append((name, args, kwargs))
