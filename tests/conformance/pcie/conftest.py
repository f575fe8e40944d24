"""A small machine whose buses and windows are set by hand, so that no host software is in the way."""

from dataclasses import dataclass, field

import pytest

from siov.hw.memory import SparseMemory
from siov.hw.pcie import capability
from siov.hw.pcie.compose import Identity, endpoint, root_port, switch, type0_config
from siov.hw.pcie.config import Bar
from siov.hw.pcie.function import Function
from siov.hw.pcie.port import Port
from siov.hw.pcie.root_complex import ECAM_SIZE, Interrupt, RootComplex, Window, WindowKind
from siov.hw.pcie.tlp import Bdf, Cpl, Msg, Request
from siov.spec.pcie import CapabilityId, ExpressType, ExtendedCapabilityId, Type0, Type1

ECAM = 0xB000_0000
MEM32 = 0xC000_0000
MEM64 = 0x40_0000_0000
RAM = 64 << 20
MSE_BME = 6


@dataclass
class Config:
    """Configuration cycles to one bus, device and function, by ECAM."""

    rc: RootComplex
    bdf: Bdf

    def read(self, at: int, size: int) -> int:
        return int.from_bytes(self.rc.read(ECAM + (int(self.bdf) << 12) + at, size), "little")

    def write(self, at: int, size: int, value: int) -> None:
        self.rc.write(ECAM + (int(self.bdf) << 12) + at, value.to_bytes(size, "little"))


@dataclass
class Rig:
    """Two root ports: below rp0 a NIC of two functions, below rp1 a switch with a function at each end.

    00:01.0 rp0 -- 01:00.0 nic, 01:00.1 nic1
    00:02.0 rp1 -- 02:00.0 up -- 03:00.0 down0 -- 04:00.0 left
                              -- 03:01.0 down1 -- 05:00.0 right
    00:08.0 rciep
    """

    rc: RootComplex
    rp0: Port
    rp1: Port
    up: Port
    down0: Port
    down1: Port
    nic: Function
    nic1: Function
    left: Function
    right: Function
    rciep: Function
    trace: list[tuple[str, Request | Msg | Cpl]] = field(default_factory=list)
    interrupts: list[Interrupt] = field(default_factory=list)

    # Where each function's BAR 0 is put; nic also has a 64-bit BAR 2.
    NIC, NIC1, LEFT, RIGHT, RCIEP = 0xC000_0000, 0xC001_0000, 0xC010_0000, 0xC020_0000, 0xC800_0000
    NIC_HIGH = MEM64
    HOLE, HOLE_HIGH = 0xC008_0000, MEM64 + (1 << 20)  # in rp0's windows, in nobody's BAR

    def cfg(self, bus: int, device: int, function: int = 0) -> Config:
        return Config(self.rc, Bdf(bus, device, function))

    def of(self, function: Function) -> Config:
        places = {
            id(self.rp0): (0, 1, 0), id(self.rp1): (0, 2, 0), id(self.rciep): (0, 8, 0),
            id(self.nic): (1, 0, 0), id(self.nic1): (1, 0, 1), id(self.up): (2, 0, 0),
            id(self.down0): (3, 0, 0), id(self.down1): (3, 1, 0),
            id(self.left): (4, 0, 0), id(self.right): (5, 0, 0),
        }  # fmt: skip
        return self.cfg(*places[id(function)])

    def cap(self, function: Function, which: CapabilityId | ExtendedCapabilityId) -> int:
        at = function.config.find_capability(which)
        assert at is not None
        return at

    def aer(self, function: Function, at: int) -> int:
        return self.of(function).read(self.cap(function, ExtendedCapabilityId.AER) + at, 4)

    def set_aer(self, function: Function, at: int, value: int) -> None:
        self.of(function).write(self.cap(function, ExtendedCapabilityId.AER) + at, 4, value)

    def devctl(self, function: Function, value: int) -> None:
        self.of(function).write(self.cap(function, CapabilityId.EXPRESS) + 8, 2, value)

    def devsta(self, function: Function) -> int:
        return self.of(function).read(self.cap(function, CapabilityId.EXPRESS) + 0xA, 2)

    def secondary(self, port: Port) -> int:
        return self.of(port).read(Type1.SECONDARY_STATUS.at, 2)

    def quiet(self, port: Port) -> None:
        self.of(port).write(Type1.SECONDARY_STATUS.at, 2, 0xFFFF)

    def buses(self, port: Port, secondary: int, subordinate: int) -> None:
        self.of(port).write(0x18, 4, subordinate << 16 | secondary << 8 | self.of(port).bdf.bus)

    def window(self, port: Port, base: int, limit: int) -> None:
        self.of(port).write(0x20, 4, (limit >> 16 & 0xFFF0) << 16 | base >> 16 & 0xFFF0)

    def prefetchable(self, port: Port, base: int, limit: int) -> None:
        self.of(port).write(0x24, 4, (limit >> 16 & 0xFFF0) << 16 | base >> 16 & 0xFFF0)
        self.of(port).write(0x28, 4, base >> 32)
        self.of(port).write(0x2C, 4, limit >> 32)

    def command(self, function: Function, value: int) -> None:
        self.of(function).write(Type0.COMMAND.at, 2, value)

    def number_buses(self) -> None:
        for port, secondary, subordinate in (
            (self.rp0, 1, 1), (self.rp1, 2, 5), (self.up, 3, 5), (self.down0, 4, 4), (self.down1, 5, 5),
        ):  # fmt: skip
            self.buses(port, secondary, subordinate)

    def open_windows(self) -> None:
        self.window(self.rp0, 0xC000_0000, 0xC00F_FFFF)
        self.prefetchable(self.rp0, MEM64, MEM64 + (2 << 20) - 1)
        for port, base, limit in (
            (self.rp1, 0xC010_0000, 0xC03F_FFFF), (self.up, 0xC010_0000, 0xC03F_FFFF),
            (self.down0, 0xC010_0000, 0xC01F_FFFF), (self.down1, 0xC020_0000, 0xC02F_FFFF),
        ):  # fmt: skip
            self.window(port, base, limit)
            self.prefetchable(port, 0xFFF0_0000, 0)
        for port in (self.rp0, self.rp1, self.up, self.down0, self.down1):
            self.command(port, MSE_BME)

    def place_bars(self) -> None:
        for function, at in (
            (self.nic, self.NIC), (self.nic1, self.NIC1), (self.left, self.LEFT), (self.right, self.RIGHT),
            (self.rciep, self.RCIEP),
        ):  # fmt: skip
            self.of(function).write(0x10, 4, at)
            self.command(function, MSE_BME)
        self.of(self.nic).write(0x18, 4, self.NIC_HIGH & 0xFFFF_FFFF)
        self.of(self.nic).write(0x1C, 4, self.NIC_HIGH >> 32)


def build_function(
    name: str, devfn: tuple[int, int], *, high: bool = False, kind=ExpressType.ENDPOINT
) -> Function:
    bars = [Bar(0, 0x10000, wide=False)]
    if high:
        bars.append(Bar(2, 1 << 20, prefetchable=True))
    capabilities = [
        capability.power_management(),
        capability.msix(70, (0, 0x8000), (0, 0x9000)),
        capability.express(kind, flr=True),
        capability.aer(),
    ]
    identity = Identity(0x8086, 0x1592, 0x020000)
    return endpoint(name, devfn, type0_config(identity, capabilities, bars), bars)


@pytest.fixture
def bare() -> Rig:
    """The machine as after power-on: no bus has a number, no window is open."""
    rc = RootComplex(
        SparseMemory(RAM),
        [
            Window(ECAM, ECAM_SIZE, 0, WindowKind.CONFIG),
            Window(MEM32, 0x1000_0000, MEM32, WindowKind.MEM32),
            Window(MEM64, 1 << 36, MEM64, WindowKind.MEM64),
        ],
        [Window(0, RAM, 0)],
    )
    rp0, rp1 = root_port("rp0", (1, 0), 0), root_port("rp1", (2, 0), 1)
    up, (down0, down1) = switch("sw", 2)
    nic, nic1 = build_function("nic", (0, 0), high=True), build_function("nic1", (0, 1))
    left, right = build_function("left", (0, 0)), build_function("right", (0, 0))
    rciep = build_function("rciep", (8, 0), kind=ExpressType.RCIEP)
    for above, function in (
        (rc, rp0), (rc, rp1), (rc, rciep), (rp0, nic), (rp0, nic1), (rp1, up), (down0, left), (down1, right),
    ):  # fmt: skip
        above.attach(function)
    rig = Rig(rc, rp0, rp1, up, down0, down1, nic, nic1, left, right, rciep)
    rc.trace = lambda direction, tlp: rig.trace.append((direction, tlp))
    rc.on_interrupt = rig.interrupts.append
    return rig


@pytest.fixture
def rig(bare: Rig) -> Rig:
    """The machine with buses numbered, windows open and BARs placed; nothing traced or noted so far."""
    bare.number_buses()
    bare.open_windows()
    bare.place_bars()
    bare.trace.clear()
    return bare
