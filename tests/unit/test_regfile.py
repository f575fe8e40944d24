"""The Rust register file as Python sees it."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from siov._core import RegFile

# name, offset, size, reset, RW, RW1C, sticky
ROWS = [
    ("CTL", 0, 2, 0x0010, 0x00FF, 0xF000, 0x00F0),
    ("STA", 2, 1, 0x81, 0x00, 0xFF, 0x0F),
    ("ODD", 5, 3, 0x030201, 0xFFFFFF, 0, 0),
    ("WIDE", 8, 8, 0, 0xFFFF_FFFF_FFFF_FFFF, 0, 0xFFFF_FFFF_0000_0000),
]


@pytest.fixture
def regs() -> RegFile:
    return RegFile(0x20, ROWS)


def test_registers_are_named_by_offset_whatever_the_order_they_were_given_in():
    assert RegFile(0x20, ROWS[::-1]).names == ["CTL", "STA", "ODD", "WIDE"]
    assert RegFile(0x20, ROWS).size == 0x20


def test_a_cold_start_has_the_reset_values_and_zeros_between(regs):
    assert regs.read(0, 0x20) == bytes.fromhex("1000 81 0000 010203") + bytes(0x18)


def test_a_write_stores_writable_bits_clears_w1c_bits_and_keeps_the_rest(regs):
    regs.set("CTL", 0xF310)
    assert regs.write(0, b"\xa5\x5f") == [("CTL", 0, 0xF310, 0xA3A5, 0x5FA5)]
    assert regs.get("CTL") == 0xA3A5


def test_a_write_of_zero_clears_no_w1c_bit(regs):
    assert regs.write(2, b"\0") == [("STA", 0, 0x81, 0x81, 0)]


def test_a_partial_write_touches_its_bytes_only_and_reports_the_others_as_zero(regs):
    regs.set("WIDE", 0x1111_1111_1111_1111)
    assert regs.write(0xA, b"\xff\xee") == [
        ("WIDE", 0, 0x1111_1111_1111_1111, 0x1111_1111_EEFF_1111, 0x0000_0000_EEFF_0000)
    ]


def test_a_straddling_write_reports_each_register_by_offset(regs):
    changed = regs.write(1, b"\xf0\xff\xaa\xbb\x99\x88")
    assert changed == [
        ("CTL", 0, 0x0010, 0x0010, 0xF000),
        ("STA", 0, 0x81, 0x00, 0xFF),
        ("ODD", 0, 0x030201, 0x038899, 0x8899),
    ]


def test_a_write_to_a_gap_or_past_the_end_changes_nothing_and_reports_nothing(regs):
    before = regs.read(0, 0x20)
    assert regs.write(3, b"\xff\xff") == []
    assert regs.write(0x10, b"\xff" * 64) == []
    assert regs.write(0xFFFF_FFFF, b"\xff" * 8) == []
    assert regs.read(0, 0x20) == before


def test_a_read_past_the_end_gives_zeros_of_the_size_asked(regs):
    assert regs.read(0x1F, 4) == bytes(4)
    assert regs.read(0xFFFF_FFF0, 32) == bytes(32)
    assert regs.read(0, 0) == b""


def test_hardware_sets_any_bit_and_bits_past_the_width_are_dropped(regs):
    regs.set("STA", 0x1FF)
    assert regs.get("STA") == 0xFF
    regs.set("ODD", 0xFF_FFFF_FFFF)
    assert regs.get("ODD") == 0xFF_FFFF
    assert regs.get("WIDE") == 0


def test_a_function_reset_keeps_the_sticky_bits_and_a_cold_one_nothing(regs):
    regs.set("CTL", 0xFFFF)
    regs.set("STA", 0x7E)
    regs.set("WIDE", 0x1234_5678_9ABC_DEF0)
    regs.reset(keep_sticky=True)
    assert regs.get("CTL") == 0x00F0
    assert regs.get("STA") == 0x8E
    assert regs.get("WIDE") == 0x1234_5678_0000_0000
    regs.reset()
    assert regs.get("CTL") == 0x0010
    assert regs.get("WIDE") == 0


def test_an_unknown_register_or_element_is_refused_by_name(regs):
    with pytest.raises(KeyError, match="there is no register CTRL"):
        regs.get("CTRL")
    with pytest.raises(KeyError, match="there is no register CTRL"):
        regs.set("CTRL", 1)
    with pytest.raises(KeyError, match="CTL has 1 elements; there is no element 1"):
        regs.get("CTL", 1)


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([("A", 0, 4, 0, 0, 0, 0), ("B", 3, 1, 0, 0, 0, 0)], "B at 0x3 overlaps A"),
        ([("A", 0x1E, 4, 0, 0, 0, 0)], "A at 0x1e leaves the 0x20 bytes"),
        ([("A", 0, 9, 0, 0, 0, 0)], "A has 9 bytes; 1 to 8 are allowed"),
        ([("A", 0, 0, 0, 0, 0, 0)], "A has 0 bytes; 1 to 8 are allowed"),
        ([("A", 0xFFFF_FFFF, 8, 0, 0, 0, 0)], "A at 0xffffffff leaves the 0x20 bytes"),
    ],
)
def test_a_layout_that_contradicts_itself_is_refused_in_a_sentence(rows, sentence):
    with pytest.raises(ValueError, match=sentence):
        RegFile(0x20, rows)


@given(st.integers(0, 0x24), st.binary(max_size=24))
def test_a_write_agrees_with_the_rule_bit_by_bit(at, data):
    regs = RegFile(0x20, ROWS)
    regs.set("STA", 0xFF)
    regs.set("CTL", 0xABCD)
    masks = bytearray(0x20), bytearray(0x20)
    for _, place, size, _, rw, rw1c, _ in ROWS:
        masks[0][place : place + size] = rw.to_bytes(size, "little")
        masks[1][place : place + size] = rw1c.to_bytes(size, "little")
    expected = bytearray(regs.read(0, 0x20))
    for n, byte in enumerate(data):
        if at + n < 0x20:
            old, rw, rw1c = expected[at + n], masks[0][at + n], masks[1][at + n]
            expected[at + n] = (old & ~rw | byte & rw) & ~(byte & rw1c)
    regs.write(at, data)
    assert regs.read(0, 0x20) == bytes(expected)


def test_threads_that_write_side_by_side_lose_no_write():
    regs = RegFile(0x20, [(f"R{n}", 4 * n, 4, 0, 0xFFFF_FFFF, 0, 0) for n in range(8)])

    def work(n: int) -> None:
        for value in range(500):
            regs.write(4 * n, value.to_bytes(4, "little"))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [regs.get(f"R{n}") for n in range(8)] == [499] * 8
