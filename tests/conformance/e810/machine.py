"""A server with the adapter below a root port, driven by configuration cycles, MMIO and memory."""

from siov._core import Clock, Nic, Port
from siov.host.iommu import IntelIommu
from siov.host.irq.remapping import InterruptRemapping
from siov.host.physmem import PhysMem
from siov.hw.e810.firmware import PortSettings, Settings
from siov.hw.e810.function import build
from siov.hw.memory import HostDram
from siov.hw.pcie.compose import root_port
from siov.hw.pcie.root_complex import ECAM_SIZE, RootComplex, Window, WindowKind
from siov.hw.vtd import RemappingUnit
from siov.spec.e810 import Bar0
from siov.spec.pcie import CapabilityId, ExtendedCapabilityId, Type0
from siov.spec.word import Word

ECAM, MEM64 = 0xB000_0000, 0x40_0000_0000
BAR0, BAR3 = MEM64, MEM64 + (1 << 28)
UNIT = 0xFED9_0000
RAM = 128 << 20
TABLES, TABLES_SIZE = 1 << 20, 15 << 20  # where the host keeps the remapping unit's tables
PORT_RID, RID = 1 << 3, 1 << 8  # 00:01.0 and 01:00.0
PF_MAC = bytes.fromhex("b49691a1b2c3")


def offset_of(name: str, index: int = 0) -> int:
    """Where a register of BAR 0 is; those of a block in a row have its name before theirs."""
    span = Bar0.spans.get(name)
    if span is not None:
        assert 0 <= index < span.count, f"{name} {index}"
        return span.at + span.stride * index
    block, register = next(
        (n, name[len(n) + 1 :]) for n in Bar0.spans if name.startswith(n + "_") and n.isupper()
    )
    return offset_of(block, index) + Bar0.spans[block].what.spans[register].at


class Machine:
    """One adapter: `iommu` puts it behind a unit in scalable mode, `ats` has it ask for translations."""

    def __init__(
        self, *, iommu: bool = False, ats: bool = False, ims: int = 0, port: Port | None = None,
        workers: int = 1, flows: tuple[int, int] = (1024, 15360),
    ) -> None:  # fmt: skip
        self.clock = Clock(virtual=True)
        self.dram = HostDram(RAM)
        self.rc = RootComplex(
            self.dram,
            [
                Window(ECAM, ECAM_SIZE, 0, WindowKind.CONFIG),
                Window(MEM64, 1 << 32, MEM64, WindowKind.MEM64),
            ],
            [Window(0, RAM, 0)],
        )
        self.taken: list[tuple[int, int]] = []
        self.rc.on_vector = lambda destination, vector: self.taken.append((destination, vector))
        self.ims = ims
        self.nic: Nic

        def engine(config: object) -> Nic:
            self.nic = Nic(config, self.rc.core, self.clock, ims=ims, workers=workers, flows=flows)
            if port is not None:
                self.nic.attach_port(0, port)
            return self.nic

        self.function = build(
            "nic", (0, 0), Settings(PortSettings(PF_MAC), flows=flows), engine, self.clock, ims=ims
        )
        self.root = root_port("rp0", (1, 0), 0)
        self.root.attach(self.function)
        self.rc.attach(self.root)
        if iommu:
            self.unit = RemappingUnit.build("vtd0", UNIT, self.dram.core)
            self.rc.add_unit(self.unit)
        self._enumerate(ats)
        self.iommu: IntelIommu | None = None
        if iommu:
            self._translate(ats)

    def _enumerate(self, ats: bool) -> None:
        self.config_write(0x18, 4, 1 << 16 | 1 << 8, PORT_RID)
        base, limit = MEM64, MEM64 + (1 << 29) - 1
        self.config_write(0x24, 4, (limit >> 16 & 0xFFF0) << 16 | base >> 16 & 0xFFF0, PORT_RID)
        self.config_write(0x28, 4, base >> 32, PORT_RID)
        self.config_write(0x2C, 4, limit >> 32, PORT_RID)
        self.config_write(Type0.COMMAND.at, 2, 6, PORT_RID)
        for bar, at in ((0x10, BAR0), (0x1C, BAR3)):
            self.config_write(bar, 4, at & 0xFFFF_FFFF)
            self.config_write(bar + 4, 4, at >> 32)
        self.enable_function(ats=ats)

    def enable_function(self, *, ats: bool = False) -> None:
        """Memory space, bus mastering, PASIDs and, when wanted, ATS."""
        self.config_write(Type0.COMMAND.at, 2, 6)
        # PASID before ATS: it may not change while ATS is enabled (PCIe 10.5.1.3).
        self.config_write(self.extended(ExtendedCapabilityId.PASID) + 6, 2, 1)
        if ats:
            self.config_write(self.extended(ExtendedCapabilityId.ATS) + 6, 2, 1 << 15)

    def _translate(self, ats: bool) -> None:
        self.tables = PhysMem(self.rc, TABLES, TABLES_SIZE)
        self.iommu = IntelIommu(self.tables, UNIT, scalable=True)
        self.iommu.enable()
        self.iommu.add_device(RID, ats=ats, pasid_bits=20)
        self.iommu.attach(self.iommu.identity_domain(), RID)

    def remap_interrupts(self) -> InterruptRemapping:
        """Interrupt remapping on, with a table of 8,192 entries."""
        assert self.iommu is not None
        found = InterruptRemapping(self.iommu, 8192)
        found.enable()
        return found

    # Configuration cycles.

    def config_read(self, at: int, size: int, rid: int = RID) -> int:
        return int.from_bytes(self.rc.read(ECAM + (rid << 12) + at, size), "little")

    def config_write(self, at: int, size: int, value: int, rid: int = RID) -> None:
        self.rc.write(ECAM + (rid << 12) + at, value.to_bytes(size, "little"))

    def capability(self, which: CapabilityId) -> int:
        at = self.config_read(0x34, 1)
        while at:
            if self.config_read(at, 1) == which:
                return at
            at = self.config_read(at + 1, 1)
        raise AssertionError(f"no capability {which.name}")

    def extended(self, which: ExtendedCapabilityId) -> int:
        at = 0x100
        while at:
            header = self.config_read(at, 4)
            if header & 0xFFFF == which:
                return at
            at = header >> 20
        raise AssertionError(f"no capability {which.name}")

    def enable_msix(self, *, enable: bool = True, mask: bool = False) -> None:
        at = self.capability(CapabilityId.MSIX) + 2
        self.config_write(at, 2, enable << 15 | mask << 14)

    def function_level_reset(self) -> None:
        at = self.capability(CapabilityId.EXPRESS) + 8
        self.config_write(at, 2, self.config_read(at, 2) | 1 << 15)

    # Registers.

    def read32(self, offset: int, bar: int = BAR0) -> int:
        return int.from_bytes(self.rc.read(bar + offset, 4), "little")

    def write32(self, offset: int, value: int, bar: int = BAR0) -> None:
        self.rc.write(bar + offset, value.to_bytes(4, "little"))

    def rd(self, name: str, index: int = 0) -> int:
        return self.read32(offset_of(name, index))

    def wr(self, name: str, value: int | Word, index: int = 0) -> None:
        self.write32(offset_of(name, index), int(value))

    def rd64(self, name: str, index: int = 0) -> int:
        """A counter of 40 bits, by its L and its H register."""
        at = offset_of(name, index)
        return self.read32(at) | self.read32(at + 4) << 32

    # Memory, time and interrupts.

    def read(self, address: int, size: int) -> bytes:
        return self.rc.read(address, size)

    def write(self, address: int, data: bytes) -> None:
        self.rc.write(address, data)

    def pump(self, rounds: int = 10_000) -> None:
        """Let the adapter work until there is nothing to do, and the firmware after it."""
        for _ in range(rounds):
            if not self.nic.pump():
                break
        else:
            raise AssertionError(f"the adapter still works after {rounds} rounds")
        self.function.device.service()
        self.rc.settle()

    def advance(self, nanoseconds: int) -> None:
        """Let time go by in one step."""
        self.clock.advance(nanoseconds)
        self.pump()

    def interrupts(self) -> list[tuple[int, int]]:
        """(destination, vector) of what reached the CPUs since the last call."""
        self.rc.settle()
        found, self.taken[:] = list(self.taken), []
        return found
