"""The address translation unit: windows whose other side has other addresses, both ways."""

import pytest

from siov.hw.memory import SparseMemory
from siov.hw.pcie.compose import Identity, endpoint, type0_config
from siov.hw.pcie.config import Bar
from siov.hw.pcie.root_complex import RootComplex, Window, WindowKind
from siov.hw.pcie.tlp import MRd, MWr

CPU_ECAM, CPU_32, CPU_64 = 0x7000_0000, 0x10_0000_0000, 0x20_0000_0000
BUS_32, BUS_64 = 0x8000_0000, 0x80_0000_0000


class Translated:
    """An integrated endpoint at 00:05.0 with a BAR below and one above 4 GiB, behind translating windows."""

    def __init__(self, inbound):
        bars = [Bar(0, 0x1000, wide=False), Bar(2, 0x1000)]
        self.function = endpoint("f", (5, 0), type0_config(Identity(1, 2, 3), bars=bars), bars)
        self.rc = RootComplex(
            SparseMemory(1 << 20),
            [
                Window(CPU_ECAM, 1 << 20, 0, WindowKind.CONFIG),
                Window(CPU_32, 0x10_0000, BUS_32, WindowKind.MEM32),
                Window(CPU_64, 0x10_0000, BUS_64, WindowKind.MEM64),
            ],
            inbound,
        )
        self.rc.attach(self.function)
        self.tlps = []
        for at, value in ((0x10, BUS_32 + 0x2000), (0x18, 0x3000), (0x1C, BUS_64 >> 32), (4, 6)):
            self.rc.write(CPU_ECAM + (5 << 15) + at, value.to_bytes(4, "little"))
        self.rc.trace = lambda direction, tlp: self.tlps.append((direction, tlp))


@pytest.fixture
def machine():
    return Translated([Window(0x4000_0000, 0x8000, 0x1_0000), Window(0x9000_0000, 0x1000, 0)])


def test_a_cpu_address_becomes_the_bus_address_of_its_window(machine):
    machine.rc.write(CPU_32 + 0x2010, b"low!")
    machine.rc.write(CPU_64 + 0x3010, b"high")
    assert [(type(tlp), tlp.address) for _, tlp in machine.tlps] == [
        (MWr, BUS_32 + 0x2010),
        (MWr, BUS_64 + 0x3010),
    ]
    assert machine.function.bar_read(0, 0x10, 4) == b"low!"
    assert machine.function.bar_read(2, 0x10, 4) == b"high"
    assert machine.rc.read(CPU_32 + 0x2010, 4) == b"low!"


def test_the_bus_address_is_none_of_the_cpu_s(machine):
    assert machine.rc.read(BUS_32 + 0x2010, 4) == b"\xff" * 4
    assert machine.tlps == []


@pytest.mark.parametrize("at", [CPU_32 - 4, CPU_32 + 0x10_0000, CPU_32 + 0x10_0000 - 2, CPU_32 - 2])
def test_an_access_not_wholly_inside_a_window_is_nobody_s(machine, at):
    assert machine.rc.read(at, 4) == b"\xff" * 4
    machine.rc.write(at, b"abcd")
    assert machine.tlps == []


def test_the_first_and_last_bytes_of_a_window_are_inside(machine):
    machine.rc.read(CPU_32, 4)
    machine.rc.read(CPU_32 + 0x10_0000 - 4, 4)
    assert [tlp.address for _, tlp in machine.tlps if isinstance(tlp, MRd)] == [BUS_32, BUS_32 + 0xF_FFFC]


def test_of_two_windows_that_cover_an_access_the_first_takes_it(machine):
    machine.rc.outbound = (Window(CPU_32, 0x1000, BUS_32 + 0x2000), *machine.rc.outbound)
    machine.rc.write(CPU_32 + 0x10, b"mark")
    assert machine.function.bar_read(0, 0x10, 4) == b"mark"


def test_a_device_s_address_becomes_the_physical_address_of_its_inbound_window(machine):
    machine.rc.memory.write(0x1_0020, b"host")
    assert machine.function.dma_read(0x4000_0020, 4) == b"host"
    machine.function.dma_write(0x9000_0040, b"zero")
    assert machine.rc.memory.read(0x40, 4) == b"zero"


@pytest.mark.parametrize("at", [0x20, 0x4000_8000, 0x3FFF_FFFC])
def test_a_device_s_address_outside_of_every_inbound_window_is_refused(machine, at):
    before = machine.rc.memory.resident
    assert machine.function.dma_read(at, 4) is None
    machine.function.dma_write(at, b"abcd")
    assert machine.rc.memory.resident == before


def test_an_inbound_window_that_leads_past_host_memory_is_refused_and_nothing_is_raised():
    machine = Translated([Window(0, 1 << 30, 0xF_F000)])
    assert machine.function.dma_read(0xFFC, 4) == bytes(4)
    assert machine.function.dma_read(0x1000, 4) is None
    machine.function.dma_write(0x1000, b"abcd")


def test_a_configuration_window_may_be_smaller_than_ecam_and_starts_at_bus_0(machine):
    assert machine.rc.read(CPU_ECAM + (5 << 15), 4) == bytes.fromhex("01000200")
    assert machine.rc.read(CPU_ECAM + (1 << 20), 4) == b"\xff" * 4


def test_a_configuration_window_s_target_is_the_first_bus_it_reaches(rig):
    rig.rc.outbound = (*rig.rc.outbound, Window(0x6000_0000, 1 << 20, 5 << 20, WindowKind.CONFIG))
    rig.rc.read(0x6000_0000, 4)
    assert [str(tlp.target) for direction, tlp in rig.trace if direction == "down"] == ["05:00.0"]
