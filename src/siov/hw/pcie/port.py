"""Ports: root ports, and a switch's upstream and downstream ports, which are bridges to a bus below."""

from collections.abc import Iterator

from siov.hw.pcie import errors
from siov.hw.pcie.config import ConfigSpace
from siov.hw.pcie.function import Function
from siov.hw.pcie.tlp import (
    Bdf,
    CfgRd,
    CfgWr,
    Config,
    Cpl,
    Memory,
    MRd,
    Msg,
    MWr,
    Request,
    as_type0,
    complete,
)
from siov.spec.pcie import Acs, ExpressType, Type0, Type1
from siov.spec.pcie.extended import AerRoot
from siov.spec.pcie.tlp import CompletionStatus, MessageCode

MIB = 1 << 20


class Bus:
    """The functions on one bus, by device and function number."""

    def __init__(self) -> None:
        self.functions: dict[tuple[int, int], Function] = {}

    def add(self, function: Function) -> None:
        """Put a function on the bus; `ValueError` when its place is taken."""
        devfn = function.bdf.device, function.bdf.function
        if devfn in self.functions:
            place = f"{devfn[0]:02x}.{devfn[1]:x}"
            raise ValueError(f"{function.name} and {self.functions[devfn].name} are both at {place}")
        self.functions[devfn] = function

    def __iter__(self) -> Iterator[Function]:
        return iter(self.functions[devfn] for devfn in sorted(self.functions))

    def at(self, bdf: Bdf) -> Function | None:
        """The function with this device and function number."""
        return self.functions.get((bdf.device, bdf.function))

    def ports(self) -> Iterator["Port"]:
        """The bridges on the bus."""
        return (function for function in self if isinstance(function, Port))

    def route_config(self, request: Config) -> Cpl | None:
        """Deliver a type 0 request, or hand a type 1 request to the bridge above its bus; else UR."""
        if request.kind == 0:
            function: Function | None = self.at(request.target)
        else:
            function = next((port for port in self.ports() if port.leads_to(request.target.bus)), None)
        if function is None:
            return complete(request, request.target, status=CompletionStatus.UR)
        return function.receive(request)

    def owner(self, address: int) -> Function | None:
        """The function whose BAR or window covers a bus address."""
        return next((function for function in self if function.claims(address)), None)


class Port(Function):
    """A bridge to a bus below: routes configuration requests by bus number and memory requests by window."""

    def __init__(
        self,
        name: str,
        devfn: tuple[int, int],
        config: ConfigSpace,
        kind: ExpressType,
    ) -> None:
        super().__init__(name, devfn, config)
        self.kind = kind
        self.below = Bus()
        self._decoded: tuple[bytes, list[tuple[int, int]]] = (b"", [])  # registers, and what they say

    def attach(self, function: Function) -> None:
        """Put a function below; `ValueError` when the place is taken or can't be there."""
        if self.kind is not ExpressType.UPSTREAM_PORT and function.bdf.device != 0:
            place = f"{function.bdf.device:02x}.{function.bdf.function:x}"
            raise ValueError(f"{function.name} at {place}: a link has device 0 only")
        self.below.add(function)
        function.upstream = self

    def leads_to(self, bus: int) -> bool:
        """Whether a bus number is one of those below."""
        secondary = self.config[Type1.SECONDARY_BUS].NUM
        return 0 < secondary <= bus <= self.config[Type1.SUBORDINATE_BUS].NUM

    def claims(self, address: int) -> bool:
        """Whether an open window covers the address."""
        return bool(self.config[Type0.COMMAND].MSE) and any(
            base <= address <= last for base, last in self.windows()
        )

    def windows(self) -> list[tuple[int, int]]:
        """First and last address of each open memory window: 32-bit, prefetchable."""
        config = self.config
        first, end = Type1.MEMORY_BASE.at, Type1.PREF_LIMIT_HIGH.at + 4
        registers = config.regs.read(first, end - first)
        if registers == self._decoded[0]:  # each request from below asks
            return self._decoded[1]
        plain = config[Type1.MEMORY_BASE].BASE * MIB, (config[Type1.MEMORY_LIMIT].LIMIT + 1) * MIB - 1
        base = config[Type1.PREF_BASE_HIGH].BASE << 32 | config[Type1.PREF_BASE].BASE * MIB
        limit = config[Type1.PREF_LIMIT_HIGH].LIMIT << 32 | config[Type1.PREF_LIMIT].LIMIT * MIB
        found = [(first, last) for first, last in (plain, (base, limit + MIB - 1)) if first < last]
        self._decoded = registers, found
        return found

    def config_write(self, at: int, data: bytes) -> None:
        """Software's write; Secondary Bus Reset resets everything below."""
        before = self.config[Type1.BRIDGE_CONTROL].SBR
        super().config_write(at, data)
        if before and not self.config[Type1.BRIDGE_CONTROL].SBR:
            self.reset_below()

    def reset_below(self) -> None:
        """A hot reset of the bus below: all functions, and the buses under them."""
        for function in self.below:
            function.reset()
            if isinstance(function, Port):
                function.reset_below()

    def receive(self, request: Request) -> Cpl | None:
        """Answer a request for the bridge itself, or pass it down."""
        if not self.answers:
            return None
        match request:
            case CfgRd(kind=0) | CfgWr(kind=0):
                return super().receive(request)
            case CfgRd() | CfgWr():
                arrived = request.target.bus == self.config[Type1.SECONDARY_BUS].NUM
                return self.below.route_config(as_type0(request) if arrived else request)
            case MRd() | MWr():
                if not self.claims(request.address):
                    return self.error(errors.UR, request)
                return self._down(request)

    def from_below(self, tlp: MRd | MWr | Msg) -> Cpl | None:
        """Route what came from the secondary side: to a sibling below, or up."""
        if isinstance(tlp, Msg):
            self._message(tlp)
            return None
        if not self.config[Type0.COMMAND].BME:
            return self.error(errors.UR, tlp)
        if self._redirects():
            return self._redirect(tlp)
        if self.claims(tlp.address):
            return self._down(tlp)
        return self._up(tlp)

    def inspect(self) -> dict[str, object]:
        """The bridge's buses and windows, and what is below."""
        return super().inspect() | {
            "kind": self.kind.name,
            "secondary": self.config[Type1.SECONDARY_BUS].NUM,
            "subordinate": self.config[Type1.SUBORDINATE_BUS].NUM,
            "windows": self.windows(),
            "below": [function.inspect() for function in self.below],
        }

    def _down(self, request: Memory) -> Cpl | None:
        owner = self.below.owner(request.address)
        if owner is not None:
            return owner.receive(request)
        # Nothing below has the address: the device on the link says so, or the port if the link is down
        # or the bus is a switch's own.
        device = self.below.at(Bdf(0, 0, 0)) if self.kind is not ExpressType.UPSTREAM_PORT else None
        return device.receive(request) if device is not None else self.error(errors.UR, request)

    def _up(self, request: Memory) -> Cpl | None:
        return self.upstream.from_below(request) if self.upstream is not None else None

    def _redirect(self, request: Memory) -> Cpl | None:
        """Past the switch's upstream port, which would find a peer, up to the root complex (PCIe 6.12.3)."""
        above = self.upstream
        if not isinstance(above, Port):
            return self._up(request)
        if not above.config[Type0.COMMAND].BME:
            return above.error(errors.UR, request)
        return above._up(request)

    def _redirects(self) -> bool:
        return Acs.CTL in self.config and bool(self.config[Acs.CTL].R)

    def _secondary(self, **bits: int) -> None:
        self.config.update(Type1.SECONDARY_STATUS, **bits)

    def _message(self, message: Msg) -> None:
        if message.code is not MessageCode.ERR_COR:
            self._secondary(RSE=1)
        if self.kind is not ExpressType.ROOT_PORT:
            if self.config[Type1.BRIDGE_CONTROL].SERRE:
                self.tell(message)
            return
        if AerRoot.RESTA in self.config and self.config[Type1.BRIDGE_CONTROL].SERRE:
            self.collect(message)

    def tell(self, message: Msg | None) -> None:
        """Send a message of the port's own; a root port collects it itself."""
        if message is not None and self.kind is ExpressType.ROOT_PORT:
            if AerRoot.RESTA in self.config:
                self.collect(message)
        else:
            super().tell(message)

    def collect(self, message: Msg) -> None:
        """Note an error message in a root port's AER registers (PCIe 6.2.6)."""
        status = self.config[AerRoot.RESTA]
        source = int(message.requester)
        if message.code is MessageCode.ERR_COR:
            if not status.CER:
                self.config.update(AerRoot.ERRSRC, CSRC=source)
            self.config[AerRoot.RESTA] = status.replace(CER=1, MCER=status.CER)
            return
        fatal = message.code is MessageCode.ERR_FATAL
        if not status.UER:
            self.config.update(AerRoot.ERRSRC, UCSRC=source)
            status = status.replace(FUF=int(fatal))
        else:
            status = status.replace(MUER=1)
        self.config[AerRoot.RESTA] = status.replace(UER=1, **{"FEMR" if fatal else "NFEMR": 1})
