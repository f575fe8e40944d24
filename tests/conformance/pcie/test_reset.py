"""Secondary Bus Reset: a hot reset of everything below a bridge, and of nothing else (PCIe 6.6.1)."""

import pytest

from siov.spec.pcie import Type1

SBR = 1 << 6
UESTA = 0x04
UR = 1 << 20


def reset(rig, port):
    rig.of(port).write(0x3E, 2, SBR)
    rig.of(port).write(0x3E, 2, 0)


def test_functions_below_lose_what_software_wrote(rig):
    rig.nic.bar_write(0, 0x100, b"data")
    rig.cfg(1, 0, 1).write(0x3C, 1, 0x55)
    reset(rig, rig.rp0)
    assert (rig.cfg(1, 0).read(4, 2), rig.cfg(1, 0).read(0x10, 4)) == (0, 0)
    assert rig.cfg(1, 0, 1).read(0x3C, 1) == 0
    assert rig.nic.bar_read(0, 0x100, 4) == bytes(4)


def test_sticky_bits_are_kept(rig):
    rig.rc.write(rig.HOLE, b"abcd")
    assert rig.aer(rig.nic, UESTA) == UR
    reset(rig, rig.rp0)
    assert rig.aer(rig.nic, UESTA) == UR
    assert rig.devsta(rig.nic) == 0


def test_the_bridge_itself_and_its_neighbours_are_not_reset(rig):
    reset(rig, rig.rp0)
    assert rig.cfg(0, 1).read(0x18, 4) & 0xFF_FFFF == 0x01_0100
    assert rig.cfg(0, 1).read(4, 2) == 6
    assert rig.rc.read(rig.LEFT, 4) == bytes(4)


def test_buses_further_down_are_reset_too_and_the_bridges_on_the_way_forget_their_numbers(rig):
    rig.left.bar_write(0, 0x100, b"data")
    reset(rig, rig.rp1)
    assert rig.up.config[Type1.SECONDARY_BUS].NUM == 0
    assert rig.down0.config[Type1.SECONDARY_BUS].NUM == 0
    assert rig.cfg(4, 0).read(0, 4) == 0xFFFF_FFFF
    rig.number_buses()
    assert rig.cfg(4, 0).read(4, 2) == 0
    assert rig.left.bar_read(0, 0x100, 4) == bytes(4)


def test_a_switch_s_downstream_port_resets_its_own_link_only(rig):
    reset(rig, rig.down0)
    assert rig.cfg(4, 0).read(4, 2) == 0
    assert rig.cfg(5, 0).read(4, 2) == 6
    assert rig.cfg(3, 0).read(0x19, 1) == 4


def test_a_switch_s_upstream_port_resets_its_downstream_ports_and_what_is_below_them(rig):
    reset(rig, rig.up)
    assert rig.cfg(3, 0).read(0x18, 4) == 0
    assert rig.left.config.regs.get("COMMAND") == 0


def test_an_interrupt_that_was_pending_is_forgotten(rig):
    config = rig.cfg(1, 0)
    config.write(0x48 + 2, 2, 0xC000)
    rig.nic.msix.trigger(3)
    assert rig.nic.msix.pending == 1 << 3
    reset(rig, rig.rp0)
    assert rig.nic.msix.pending == 0


def test_a_write_that_leaves_the_bit_alone_resets_nothing(rig):
    rig.of(rig.rp0).write(0x3E, 2, 0x0003)
    rig.of(rig.rp0).write(0x3E, 2, 0x0000)
    assert rig.cfg(1, 0).read(4, 2) == 6


@pytest.mark.parametrize("place", [(0, 8, 0), (1, 0, 1)])
def test_a_function_level_reset_is_of_one_function(rig, place):
    functions = {(0, 8, 0): rig.rciep, (1, 0, 1): rig.nic1}
    rig.devctl(functions[place], 0x8000)
    assert rig.cfg(*place).read(4, 2) == 0
    assert rig.cfg(1, 0).read(4, 2) == 6


def test_a_function_keeps_its_requester_id_through_a_function_level_reset(rig):
    rig.devctl(rig.left, 0x8000)
    rig.command(rig.left, 6)
    rig.trace.clear()
    rig.left.dma_write(0x4000, b"mark")
    assert str(rig.trace[-1][1].requester) == "04:00.0"
