"""Memory requests find their function by address, through the windows of bridges (PCIe 7.5.1.3)."""

import pytest

from siov.hw.pcie.compose import Identity, endpoint, type0_config
from siov.hw.pcie.tlp import Bdf, Cpl, MRd, MWr
from siov.spec.pcie.tlp import CompletionStatus

ONES = b"\xff" * 4
RMA = 1 << 13


def marked(rig):
    """Which functions have the mark in BAR 0 at 100h."""
    functions = (rig.nic, rig.nic1, rig.left, rig.right, rig.rciep)
    return [function.name for function in functions if function.bar_read(0, 0x100, 4) == b"mark"]


@pytest.mark.parametrize("name", ["nic", "nic1", "left", "right", "rciep"])
def test_a_write_to_a_bar_arrives_at_that_function_and_no_other(rig, name):
    rig.rc.write(getattr(rig, name.upper()) + 0x100, b"mark")
    assert marked(rig) == [name]
    assert rig.rc.read(getattr(rig, name.upper()) + 0x100, 4) == b"mark"


def test_a_64_bit_address_goes_through_the_prefetchable_window(rig):
    rig.rc.write(rig.NIC_HIGH + 0xF_FFFC, b"high")
    assert rig.nic.bar_read(2, 0xF_FFFC, 4) == b"high"
    assert rig.rc.read(rig.NIC_HIGH + 0xF_FFFC, 4) == b"high"


def test_a_posted_write_has_no_completion_and_a_read_has_one(rig):
    rig.rc.write(rig.NIC, b"abcd")
    assert [type(tlp) for _, tlp in rig.trace] == [MWr]
    rig.trace.clear()
    rig.rc.read(rig.NIC, 4)
    assert [(direction, type(tlp)) for direction, tlp in rig.trace] == [("down", MRd), ("up", Cpl)]
    completion = rig.trace[1][1]
    assert (completion.completer, completion.data) == (Bdf(1, 0, 0), b"abcd")


def test_the_first_and_last_byte_of_a_bar_are_its_own_and_the_next_is_not(rig):
    assert rig.rc.read(rig.NIC, 1) == b"\0"
    assert rig.rc.read(rig.LEFT + 0xFFFF, 1) == b"\0"
    assert rig.rc.read(rig.LEFT + 0x10000, 1) == b"\xff"


def test_an_access_that_runs_over_the_end_of_a_bar_is_unsupported(rig):
    assert rig.rc.read(rig.LEFT + 0xFFFE, 4) == ONES
    rig.rc.write(rig.LEFT + 0xFFFE, b"abcd")
    assert rig.rc.read(rig.LEFT + 0xFFFE, 2) == bytes(2)


def test_an_address_in_no_window_reads_ones_and_reaches_nobody(rig):
    assert rig.rc.read(0xC100_0000, 4) == ONES
    assert rig.rc.read(0x9000_0000, 4) == ONES, "in no window of the root complex either"
    rig.rc.write(0xC100_0000, b"mark")
    rig.rc.write(0x9000_0000, b"mark")
    assert marked(rig) == []


def test_an_address_in_a_window_but_in_no_bar_is_unsupported_and_noted_in_the_root_port(rig):
    assert rig.rc.read(rig.HOLE, 4) == ONES
    assert rig.trace[-1][1].status is CompletionStatus.UR
    assert rig.secondary(rig.rp0) == RMA


def test_a_window_has_its_last_mib(rig):
    rig.of(rig.nic1).write(0x10, 4, 0xC00F_0000)
    rig.rc.write(0xC00F_FFFC, b"last")
    assert rig.nic1.bar_read(0, 0xFFFC, 4) == b"last"


def test_behind_a_window_nothing_is_reached_even_when_a_bar_is_there(rig):
    rig.of(rig.nic1).write(0x10, 4, 0xC040_0000)
    assert rig.rc.read(0xC040_0000, 4) == ONES
    assert rig.devsta(rig.nic1) == 0


@pytest.mark.parametrize("base", [0xC010_0000, 0xC000_0000 + (2 << 20)])
def test_a_window_whose_limit_is_below_its_base_is_closed(rig, base):
    rig.window(rig.rp0, base, 0xC000_0000)
    assert rig.rc.read(rig.NIC, 4) == ONES
    rig.window(rig.rp0, 0xC000_0000, 0xC000_0000)
    assert rig.rc.read(rig.NIC, 4) == bytes(4), "limit equal to base is one MiB"


def test_a_prefetchable_window_is_closed_by_its_high_halves_too(rig):
    rig.of(rig.rp0).write(0x28, 4, 0x41)
    assert rig.rc.read(rig.NIC_HIGH, 4) == ONES
    rig.of(rig.rp0).write(0x28, 4, 0x3F)
    assert rig.rc.read(rig.NIC_HIGH, 4) == bytes(4)


@pytest.mark.parametrize("name", ["rp1", "up", "down0"])
def test_every_bridge_on_the_way_must_have_its_window_open(rig, name):
    rig.window(getattr(rig, name), 0xFFF0_0000, 0)
    rig.rc.write(rig.LEFT + 0x100, b"mark")
    assert marked(rig) == []
    assert rig.rc.read(rig.LEFT, 4) == ONES


@pytest.mark.parametrize("name", ["rp1", "up", "down0", "left"])
def test_every_bridge_on_the_way_and_the_function_must_have_memory_space_enabled(rig, name):
    rig.command(getattr(rig, name), 4)
    rig.rc.write(rig.LEFT + 0x100, b"mark")
    assert rig.rc.read(rig.LEFT, 4) == ONES
    assert marked(rig) == []
    rig.command(getattr(rig, name), 6)
    assert rig.rc.read(rig.LEFT, 4) == bytes(4)


def test_a_switch_sends_a_request_to_the_one_port_whose_window_has_it(rig):
    rig.rc.write(rig.RIGHT + 0x100, b"mark")
    assert marked(rig) == ["right"]
    rig.window(rig.down1, 0xC030_0000, 0xC03F_FFFF)
    rig.of(rig.right).write(0x10, 4, 0xC030_0000)
    rig.rc.write(0xC030_0200, b"more")
    assert rig.right.bar_read(0, 0x200, 4) == b"more"
    assert rig.rc.read(rig.RIGHT, 4) == ONES


def test_requests_go_down_without_bus_master_enable(rig):
    rig.command(rig.rp0, 2)
    assert rig.rc.read(rig.NIC, 4) == bytes(4)


def test_the_cpu_s_memory_is_no_tlp(rig):
    rig.rc.write(0x1000, b"local")
    assert rig.rc.read(0x1000, 5) == b"local"
    assert rig.trace == []


def test_a_rom_answers_only_when_it_is_enabled_and_memory_space_is_too_and_takes_no_write(rig):
    rom = bytes(range(256)) * 8
    function = endpoint("rom", (9, 0), type0_config(Identity(1, 2, 3), rom=len(rom)), rom=rom)
    rig.rc.attach(function)
    config = rig.cfg(0, 9)
    config.write(0x30, 4, 0xC900_0000)
    config.write(4, 2, 2)
    assert rig.rc.read(0xC900_0004, 4) == ONES
    config.write(0x30, 4, 0xC900_0001)
    assert rig.rc.read(0xC900_0004, 4) == rom[4:8]
    assert rig.rc.read(0xC900_07FC, 4) == rom[-4:]
    assert rig.rc.read(0xC900_0800, 4) == ONES
    rig.rc.write(0xC900_0004, b"mark")
    assert rig.rc.read(0xC900_0004, 4) == rom[4:8]
    config.write(4, 2, 0)
    assert rig.rc.read(0xC900_0004, 4) == ONES


# What a function sends up.


def test_a_function_reads_and_writes_host_memory(rig):
    rig.rc.memory.write(0x4000, b"from host")
    assert rig.left.dma_read(0x4000, 9) == b"from host"
    assert rig.left.dma_write(0x5000, b"from left")
    assert rig.rc.memory.read(0x5000, 9) == b"from left"
    assert [str(tlp.requester) for direction, tlp in rig.trace if direction == "up"] == ["04:00.0"] * 2


def test_a_function_without_bus_master_enable_sends_nothing(rig):
    rig.command(rig.left, 2)
    rig.trace.clear()
    assert rig.left.dma_read(0x4000, 4) is None
    assert not rig.left.dma_write(0x4000, b"mark")
    assert rig.rc.memory.read(0x4000, 4) == bytes(4)
    assert rig.trace == []


@pytest.mark.parametrize("name", ["down0", "up", "rp1"])
def test_a_bridge_without_bus_master_enable_refuses_what_comes_from_below(rig, name):
    port = getattr(rig, name)
    rig.command(port, 2)
    assert rig.left.dma_read(0x4000, 4) is None
    rig.left.dma_write(0x4000, b"mark")
    assert rig.rc.memory.read(0x4000, 4) == bytes(4)
    assert rig.of(rig.left).read(6, 2) & RMA, "the requester got an unsupported request"
    assert rig.secondary(port) & RMA == 0, "the bridge made no request itself"
    assert rig.devsta(port) & 8, "the bridge saw the unsupported request"


def test_a_read_of_an_address_that_is_nobody_s_is_refused_and_noted_in_the_requester(rig):
    assert rig.left.dma_read(0x9000_0000, 4) is None
    assert rig.of(rig.left).read(6, 2) & RMA
    rig.left.dma_write(0x9000_0000, b"lost")


def test_a_read_past_the_end_of_host_memory_is_refused(rig):
    assert rig.left.dma_read((64 << 20) - 4, 4) == bytes(4)
    assert rig.left.dma_read((64 << 20) - 2, 4) is None


# The headers of memory requests, by hand (PCIe 2.2.4, 2.2.5, 2.2.7).


@pytest.mark.parametrize(
    ("tlp", "header"),
    [
        (MRd(Bdf(0, 0, 0), 0xC008_0004, 4), (0x0000_0001, 0x0000_000F, 0xC008_0004)),
        (MRd(Bdf(1, 0, 0), 0x40_0010_0008, 8), (0x2000_0002, 0x0100_00FF, 0x40, 0x0010_0008)),
        (MRd(Bdf(1, 0, 0), 0xFFFF_FFFC, 4), (0x0000_0001, 0x0100_000F, 0xFFFF_FFFC)),
        (MRd(Bdf(1, 0, 0), 0x1_0000_0000, 4), (0x2000_0001, 0x0100_000F, 1, 0)),
        (MRd(Bdf(0, 0, 0), 0x1000, 4096), (0x0000_0000, 0x0000_00FF, 0x1000)),
        (MWr(Bdf(0, 0, 0), 0xC008_0006, b"ab"), (0x4000_0001, 0x0000_000C, 0xC008_0004)),
        (MWr(Bdf(2, 3, 1), 0xC008_0003, b"abcdef", 9), (0x4000_0003, 0x0219_0918, 0xC008_0000)),
        (MWr(Bdf(0, 0, 0), 0xC008_0001, b"a"), (0x4000_0001, 0x0000_0002, 0xC008_0000)),
        (MWr(Bdf(0, 0, 0), 0x5_0000_0002, bytes(6)), (0x6000_0002, 0x0000_00FC, 5, 0)),
    ],
)
def test_the_header_of_a_memory_request_is_the_specification_s(tlp, header):
    assert tlp.header() == header


@pytest.mark.parametrize(
    ("completion", "header"),
    [
        (Cpl(Bdf(1, 0, 0), Bdf(0, 0, 0), data=b"abcd", tag=7, address=0x1084),
         (0x4A00_0001, 0x0100_0004, 0x0000_0704)),
        (Cpl(Bdf(1, 0, 0), Bdf(2, 1, 3), data=b"ab", address=0x1003),
         (0x4A00_0002, 0x0100_0002, 0x020B_0003)),
        (Cpl(Bdf(1, 0, 0), Bdf(0, 0, 0), CompletionStatus.UR), (0x0A00_0000, 0x0100_2004, 0)),
        (Cpl(Bdf(1, 0, 0), Bdf(0, 0, 0), CompletionStatus.CA), (0x0A00_0000, 0x0100_8004, 0)),
        (Cpl(Bdf(1, 0, 0), Bdf(0, 0, 0), data=bytes(4096)), (0x4A00_0000, 0x0100_0000, 0)),
    ],
)  # fmt: skip
def test_the_header_of_a_completion_is_the_specification_s(completion, header):
    assert completion.header() == header
