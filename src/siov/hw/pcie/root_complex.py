"""The root complex: the CPU's accesses become TLPs, and devices' requests reach memory."""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from threading import RLock, get_ident

from siov._core import Bus as CoreBus
from siov._core import HostMemory, Nic
from siov.hw.memory import Dram, HostDram
from siov.hw.pcie import errors
from siov.hw.pcie.function import CoreDevice, Function
from siov.hw.pcie.port import Bus, Port
from siov.hw.pcie.tlp import Bdf, CfgRd, CfgWr, Cpl, MRd, Msg, MWr, Request, complete
from siov.hw.vtd import RemappingUnit
from siov.spec import msi
from siov.spec.pcie import Type0, Type1
from siov.spec.pcie.tlp import CompletionStatus

ECAM_SIZE = 256 * 32 * 8 * 4096  # 256 MiB: every function's 4 KiB (PCIe 7.2.2)
HOST = Bdf(0, 0, 0)  # the requester id of the CPU's own requests


class WindowKind(Enum):
    """What accesses in an outbound window become."""

    CONFIG = "config"
    MEM32 = "mem32"
    MEM64 = "mem64"


@dataclass(slots=True, frozen=True)
class Window:
    """A window of the address translation unit: `size` bytes at `base`, which become addresses from `target`.

    Outbound, `base` is what the CPU uses and `target` a bus address; inbound, `base` is a bus address and
    `target` a physical one.
    """

    base: int
    size: int
    target: int
    kind: WindowKind = WindowKind.MEM64

    def covers(self, address: int, size: int) -> bool:
        """Whether all the bytes lie in the window."""
        return self.base <= address and address + size <= self.base + self.size

    def translate(self, address: int) -> int:
        """The address on the other side."""
        return address - self.base + self.target


@dataclass(slots=True, frozen=True)
class Interrupt:
    """An interrupt message as a device wrote it."""

    source: Bdf
    address: int
    data: int


class RootComplex:
    """Bus 0 with its ports and integrated endpoints, host memory, and the windows between them.

    `outbound` and `inbound` are the ATU's windows; the first that covers an access takes it. `trace` gets
    each TLP that leaves or reaches the root complex, with its direction. The first of `units` that serves a
    device translates its requests; where none does, its addresses are those of the host.

    `core` is the bus of the functions that reach memory by themselves, with the same memory and units.
    Accesses to BARs of such functions take the short way through it, unless somebody traces: what ports
    would route to them is worked out anew after each configuration write.
    `on_interrupt` gets the interrupt messages of Python's functions as they were written, `on_vector` each
    (destination, vector) that reaches a CPU and has no target in `core`. Whoever delivers runs it; once
    `handler` names a thread, only that one does.
    """

    def __init__(self, memory: Dram, outbound: Sequence[Window], inbound: Sequence[Window]) -> None:
        self.memory = memory
        self.outbound = tuple(outbound)
        self.inbound = tuple(inbound)
        self.bus = Bus()
        self.core = CoreBus(memory.core if isinstance(memory, HostDram) else HostMemory(0))
        self._units: list[RemappingUnit] = []
        self.trace: Callable[[str, Request | Msg | Cpl], None] | None = None
        self.on_interrupt: Callable[[Interrupt], None] | None = None
        self.on_vector: Callable[[int, int], None] | None = None
        self.handler: int | None = None  # threading.get_ident() of the thread that runs the host's handlers
        self._handling = RLock()  # handlers of the host run one at a time, whoever delivers
        self._mapped: list[tuple[int, int, Nic, int]] = []
        self._answering: list[tuple[int, CoreDevice]] = []  # by the address of each of their BARs

    @property
    def units(self) -> Sequence[RemappingUnit]:
        """The remapping units, in the order in which they are asked whether they serve a device."""
        return tuple(self._units)

    def add_unit(self, unit: RemappingUnit) -> None:
        """Put a remapping unit in front of the devices of its scope; `ValueError` when there are too many."""
        self.core.add_unit(unit.engine, unit.scope)
        unit.settle = self.settle
        self._units.append(unit)

    def settle(self) -> None:
        """Deliver what units have sent and what waits for the CPUs, until nothing is left."""
        busy = True
        while busy:
            busy = self._invalidations()
            busy |= self._vectors()

    def attach(self, function: Function) -> None:
        """Put a port or an integrated endpoint on bus 0; `ValueError` when the place is taken."""
        self.bus.add(function)
        function.upstream = self

    def read(self, address: int, size: int) -> bytes:
        """The CPU reads `size` bytes at a physical address; all ones where nobody answers."""
        if self.memory.holds(address, size):
            return self.memory.read(address, size)
        if self.trace is None:
            data = self.core.mmio_read(address, size)
            if data is not None:
                return data
        for unit in self._units:
            if unit.covers(address, size):
                return unit.read(address, size)
        window = self._window(address, size)
        ones = b"\xff" * size
        if window is None:
            return ones
        if window.kind is WindowKind.CONFIG:
            target, register = _ecam(window.translate(address))
            if not _inside_dword(register, size):
                return ones
            completion = self._config(CfgRd(HOST, target, register, size, kind=int(target.bus != 0)))
        else:
            completion = self._memory(MRd(HOST, window.translate(address), size))
        ok = completion is not None and completion.status is CompletionStatus.SC
        return completion.data if ok and completion is not None else ones

    def write(self, address: int, data: bytes) -> None:
        """The CPU writes at a physical address; lost where nobody takes it."""
        if self.memory.holds(address, len(data)):
            self.memory.write(address, data)
            return
        if self.trace is None:
            firmware = self.core.mmio_write(address, data)
            if firmware is not None:
                self._written(address, firmware)
                return
        for unit in self._units:
            if unit.covers(address, len(data)):
                unit.write(address, data)
                return
        window = self._window(address, len(data))
        if window is None:
            return
        if window.kind is WindowKind.CONFIG:
            target, register = _ecam(window.translate(address))
            if _inside_dword(register, len(data)):
                self._config(CfgWr(HOST, target, register, data, kind=int(target.bus != 0)))
        else:
            self._memory(MWr(HOST, window.translate(address), data))

    def from_below(self, tlp: MRd | MWr | Msg) -> Cpl | None:
        """A request of a device: an interrupt, host memory, or a device behind another port."""
        self._traced("up", tlp)
        if isinstance(tlp, Msg):
            return None
        size = tlp.size if isinstance(tlp, MRd) else len(tlp.data)
        if isinstance(tlp, MWr) and msi.BASE <= tlp.address < msi.BASE + msi.SIZE:
            if size == 4 and tlp.address % 4 == 0:
                self._interrupt(tlp)
            return None  # a message is one double word; anything else in its range is an unsupported request
        unit = self._unit(tlp.requester)
        if unit is not None:
            translated = unit.translate(int(tlp.requester), tlp.address, write=isinstance(tlp, MWr))
            if translated is None:
                return complete(tlp, HOST, status=CompletionStatus.UR)
            if translated != tlp.address:
                tlp = replace(tlp, address=translated)
        for window in self.inbound:
            if window.covers(tlp.address, size):
                return self._host_memory(tlp, window.translate(tlp.address), size)
        owner = self.bus.owner(tlp.address)
        if owner is not None:
            return owner.receive(tlp)
        return complete(tlp, HOST, status=CompletionStatus.UR)

    def functions(self) -> list[Function]:
        """All functions, depth first."""
        found: list[Function] = []
        todo = list(self.bus)
        while todo:
            function = todo.pop(0)
            found.append(function)
            if isinstance(function, Port):
                todo = list(function.below) + todo
        return found

    def inspect(self) -> dict[str, object]:
        """The windows and everything on bus 0."""
        return {
            "outbound": [window.__repr__() for window in self.outbound],
            "inbound": [window.__repr__() for window in self.inbound],
            "bus": [function.inspect() for function in self.bus],
            "cpus": self.core.inspect(),
        }

    def _unit(self, requester: Bdf) -> RemappingUnit | None:
        return next((unit for unit in self._units if unit.serves(int(requester))), None)

    def _window(self, address: int, size: int) -> Window | None:
        return next((window for window in self.outbound if window.covers(address, size)), None)

    def _config(self, request: CfgRd | CfgWr) -> Cpl | None:
        self._traced("down", request)
        port = next((p for p in self.bus.ports() if request.kind and p.leads_to(request.target.bus)), None)
        completion = self.bus.route_config(request)
        if isinstance(request, CfgWr):
            self._map_cores()
        return self._finish(request, port, completion)

    def _map_cores(self) -> None:
        """Tell the core at which addresses ports and BARs let the CPU reach its functions."""
        found: list[tuple[int, int, Nic, int]] = []
        answering: list[tuple[int, CoreDevice]] = []
        for window in self.outbound:
            if window.kind is WindowKind.CONFIG:
                continue
            for function, first, last in _reachable(self.bus, window.target, window.target + window.size - 1):
                device = function.device
                if not isinstance(device, CoreDevice) or (nic := device.registers) is None:
                    continue
                mine = [
                    (at - window.target + window.base, bar.size, nic, bar.index)
                    for bar in function.bars
                    if first <= (at := function.bar_address(bar)) and at + bar.size - 1 <= last
                ]
                found += mine
                answering += [(start, device) for start, *_ in mine]
        self._answering = sorted(answering, key=lambda one: one[0])
        if found != self._mapped:
            self._mapped = found
            self.core.map_mmio(found)

    def _written(self, address: int, firmware: bool) -> None:
        """A register of the core's was written: firmware answers, and what was caused is delivered."""
        if firmware:
            at = bisect_right(self._answering, address, key=lambda one: one[0]) - 1
            self._answering[at][1].service()
        if self.core.busy:
            self.settle()

    def _memory(self, request: MRd | MWr) -> Cpl | None:
        self._traced("down", request)
        owner = self.bus.owner(request.address)
        if owner is None:
            return complete(request, HOST, status=CompletionStatus.UR)
        port = owner if isinstance(owner, Port) else None
        return self._finish(request, port, owner.receive(request))

    def _finish(self, request: Request, port: Port | None, completion: Cpl | None) -> Cpl | None:
        """Note in the root port how a request of the CPU ended: a completion, or none in time."""
        if self.core.busy:
            self.settle()
        if isinstance(request, MWr):
            return None
        if completion is None:
            if port is not None:
                port.error(errors.CTO, request)
            return None
        self._traced("up", completion)
        if port is not None and completion.status is CompletionStatus.UR:
            port.config.update(Type1.SECONDARY_STATUS, RMA=1)
        if port is not None and completion.status is CompletionStatus.CA:
            port.config.update(Type1.SECONDARY_STATUS, RTA=1)
        return completion

    def _host_memory(self, tlp: MRd | MWr, address: int, size: int) -> Cpl | None:
        if not self.memory.holds(address, size):
            return complete(tlp, HOST, status=CompletionStatus.UR)
        if isinstance(tlp, MWr):
            self.memory.write(address, tlp.data)
            return None
        return complete(tlp, HOST, self.memory.read(address, size))

    def _interrupt(self, tlp: MWr) -> None:
        address, data = tlp.address, int.from_bytes(tlp.data, "little")
        if self.on_interrupt is not None:
            self.on_interrupt(Interrupt(tlp.requester, address, data))
        self.core.message(int(tlp.requester), address, data)
        self.settle()

    def _invalidations(self) -> bool:
        """Answer the Invalidate Requests to functions of Python, which have no device TLB."""
        unanswered = self.core.settle()
        for number, rid, itag in unanswered:
            if self._units[number].on_invalidate(rid):
                self.core.answer(number, rid, itag)
            else:
                self.core.time_out(number)
        return bool(unanswered)

    def _vectors(self) -> bool:
        """Have the host's handlers run."""
        if self.on_vector is None or self.handler not in (None, get_ident()):
            return False
        with self._handling:
            pending = self.core.take()
            for destination, vector, _ in pending:
                self.on_vector(destination, vector)
        return bool(pending)

    def _traced(self, direction: str, tlp: Request | Msg | Cpl) -> None:
        if self.trace is not None:
            self.trace(direction, tlp)


def _reachable(bus: Bus, first: int, last: int) -> Iterator[tuple[Function, int, int]]:
    """The functions that decode memory, each with the addresses of the range that open windows lead to it."""
    for function in bus:
        if not function.answers or not function.config[Type0.COMMAND].MSE:
            continue
        if isinstance(function, Port):
            for base, limit in function.windows():
                if max(first, base) < min(last, limit):
                    yield from _reachable(function.below, max(first, base), min(last, limit))
        else:
            yield function, first, last


def ecam_offset(bdf: Bdf, register: int) -> int:
    """Where a function's configuration register lies in the ECAM window (PCIe 7.2.2)."""
    return int(bdf) << 12 | register


def _ecam(offset: int) -> tuple[Bdf, int]:
    return Bdf.of(offset >> 12 & 0xFFFF), offset & 0xFFF


def _inside_dword(register: int, size: int) -> bool:
    return size in (1, 2, 4) and register // 4 == (register + size - 1) // 4
