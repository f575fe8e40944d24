"""The ECAM window: 4 KiB of each of 65,536 functions, one double word at a time (PCIe 7.2.2)."""

import pytest

from siov.hw.pcie.tlp import CfgRd, MRd

ECAM = 0xB000_0000
NIC = ECAM + (0x0100 << 12)


def test_the_window_is_256_mib(rig):
    window = rig.rc.outbound[0]
    assert window.size == 256 << 20 == 256 * 32 * 8 * 4096


@pytest.mark.parametrize(
    ("at", "size", "value"),
    [(0, 4, "86809215"), (0, 2, "8680"), (2, 2, "9215"), (3, 1, "15"), (1, 2, "8092"), (9, 2, "0000")],
)
def test_a_read_inside_a_double_word_gives_its_bytes(rig, at, size, value):
    assert rig.rc.read(NIC + at, size).hex() == value


@pytest.mark.parametrize(
    ("at", "size"), [(3, 2), (2, 4), (1, 4), (7, 2), (0, 8), (4, 8), (0, 3), (0, 16), (0xFFE, 4)]
)
def test_a_read_that_crosses_a_double_word_or_is_of_no_legal_size_reads_all_ones_and_makes_no_tlp(
    rig, at, size
):
    assert rig.rc.read(NIC + at, size) == b"\xff" * size
    assert rig.trace == []


@pytest.mark.parametrize(("at", "size"), [(3, 2), (0xE, 4), (0x10, 8), (0xC, 8), (4, 3)])
def test_a_write_that_crosses_a_double_word_or_is_of_no_legal_size_is_lost(rig, at, size):
    before = rig.nic.config.dump()
    rig.rc.write(NIC + at, b"\xff" * size)
    assert rig.nic.config.dump() == before
    assert rig.trace == []


def test_a_write_of_one_byte_changes_one_byte(rig):
    rig.rc.write(NIC + 0x3C, b"\x5a")
    assert rig.rc.read(NIC + 0x3C, 4) == b"\x5a\0\0\0"


def test_the_extended_space_is_reached(rig):
    assert rig.rc.read(NIC + 0x100, 4).hex() == "01000200"
    assert rig.rc.read(NIC + 0xFFC, 4) == bytes(4)


def test_the_last_function_s_last_register_is_inside_and_what_lies_behind_is_not(rig):
    rig.rc.read(ECAM + (256 << 20) - 4, 4)
    rig.rc.read(ECAM - 4, 4)
    rig.rc.read(ECAM + (256 << 20), 4)
    rig.rc.read(ECAM + (256 << 20) - 2, 4)
    asked = [tlp for direction, tlp in rig.trace if direction == "down"]
    assert [type(tlp) for tlp in asked] == [CfgRd, MRd]
    assert (str(asked[0].target), asked[0].register) == ("ff:1f.7", 0xFFC)
