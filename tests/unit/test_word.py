"""The register language checks what a class declares, and a word reads and changes its fields by name."""

import re
from enum import IntEnum

import pytest

from siov.spec.word import (
    RO,
    ROS,
    RW,
    RW1C,
    RW1CS,
    RWS,
    WO,
    Access,
    RegisterBlock,
    RsvdP,
    RsvdZ,
    SpecError,
    Word,
    bit,
    bits,
    place,
)


class Speed(IntEnum):
    SLOW = 0
    FAST = 2


class CTL(Word, width=16, at=0x8, ref="test 1"):
    """A control register."""

    EN = bit(0, "on", RW)
    SPEED = bits(3, 1, "how fast", RW, reset=2, enum=Speed)
    DONE = bit(4, "ended", RW1C)
    LOST = bit(5, "lost", RW1CS)
    KIND = bits(9, 6, "what", ROS, reset=5)
    START = bit(10, "begin", WO)
    SEED = bits(15, 12, "seed", RWS, reset=0xA)


class Entry(Word, width=512, ref="test 2"):
    """A table entry of eight quad words."""

    P = bit(0, "present", RW)
    ROOT = bits(63, 12, "root", RW)
    DID = bits(79, 64, "domain", RW, reset=7)
    LAST = bits(511, 448, "the eighth quad word", RW)


def test_a_field_reads_its_own_bits_and_no_others():
    word = CTL(0b1010_0101_1011_0101)
    assert (word.EN, word.SPEED, word.DONE, word.LOST, word.KIND, word.START, word.SEED) == (
        1, 0b010, 1, 1, 0b0110, 1, 0b1010,
    )  # fmt: skip


def test_a_field_on_the_class_tells_its_place_access_and_reset():
    assert (CTL.SPEED.mask, CTL.SPEED.width, CTL.SPEED.lo, CTL.SPEED.hi) == (0b1110, 3, 1, 3)
    assert (CTL.SPEED.name, CTL.SPEED.access, CTL.SPEED.reset) == ("SPEED", RW, 2)
    assert CTL.EN.mask == 1
    assert CTL.SEED.mask == 0xF000


def test_the_fields_are_listed_from_the_lowest_bit_up_whatever_the_order_in_the_source():
    class MIXED(Word, width=8, ref="test"):
        B = bit(7, "b")
        A = bits(3, 0, "a")
        C = bits(5, 4, "c")

    assert list(MIXED.fields) == ["A", "C", "B"]
    assert [field.name for field, _ in MIXED(0)] == ["A", "C", "B"]


def test_of_sets_the_named_fields_and_leaves_all_other_bits_zero():
    assert CTL.of(SPEED=3, SEED=1).raw == 0x1006
    assert CTL.of().raw == 0


def test_initial_is_the_value_after_a_cold_reset():
    assert CTL.initial().raw == 2 << 1 | 5 << 6 | 0xA << 12


def test_replace_changes_the_named_fields_and_keeps_the_rest():
    word = CTL(0xFFFF).replace(SPEED=0, KIND=0b0101)
    assert word.raw == 0xFFFF & ~0b1110 & ~(0b1010 << 6)
    assert type(word) is CTL


def test_replace_leaves_the_word_it_started_from_alone():
    word = CTL(0)
    word.replace(EN=1)
    assert word.raw == 0


def test_a_value_that_does_not_fit_is_refused_with_the_field_and_its_width():
    with pytest.raises(ValueError, match=r"SPEED has 3 bits; 0x8 does not fit"):
        CTL.of(SPEED=8)
    with pytest.raises(ValueError, match="SPEED"):
        CTL(0).replace(SPEED=-1)
    assert CTL.of(SPEED=7).SPEED == 7


def test_an_unknown_field_is_refused_with_the_word_and_the_fields_it_has():
    with pytest.raises(AttributeError, match=r"CTL has no field SPED; has EN, SPEED, DONE"):
        CTL.of(SPED=1)


@pytest.mark.parametrize("raw", [-1, 1 << 16])
def test_a_raw_value_past_the_word_is_refused_with_the_word_and_its_width(raw):
    with pytest.raises(ValueError, match="CTL has 16 bits"):
        CTL(raw)


def test_a_word_is_immutable_and_says_how_to_change_it():
    with pytest.raises(AttributeError, match=r"CTL is immutable; use replace\(EN=\.\.\.\)"):
        CTL(0).EN = 1
    with pytest.raises(AttributeError, match="immutable"):
        CTL(0).raw = 1


def test_words_are_equal_by_class_and_raw_value():
    class OTHER(CTL, width=16, ref="test"):
        pass

    assert CTL(5) == CTL(5)
    assert CTL(5) != CTL(4)
    assert CTL(5) != OTHER(5)
    assert CTL(5) != 5
    assert len({CTL(5), CTL(5), CTL(4), OTHER(5)}) == 3


def test_a_word_is_its_raw_value_as_a_number():
    assert int(CTL(0x1234)) == 0x1234
    assert hex(CTL(0x1234)) == "0x1234"


def test_bytes_are_little_endian_and_exactly_as_many_as_the_width():
    assert CTL(0x1234).to_bytes() == b"\x34\x12"
    assert CTL.from_bytes(b"\x34\x12") == CTL(0x1234)
    with pytest.raises(ValueError, match="CTL is 2 bytes; got 3"):
        CTL.from_bytes(b"\0\0\0")


def test_masks_by_access_kind_cover_the_fields_of_those_kinds():
    assert CTL.mask(RW) == 0b1111
    assert CTL.mask(RW, RWS) == 0xF00F
    assert CTL.mask(RW1C) == 0x10
    assert CTL.mask(RW1CS) == 0x20
    assert CTL.mask(WO) == 0x400
    assert CTL.mask(*(kind for kind in Access if kind.sticky)) == 0xF000 | 0xF << 6 | 0x20
    assert CTL.mask() == 0


def test_access_kinds_know_what_a_write_does_and_what_a_reset_keeps():
    assert {kind for kind in Access if kind.writable} == {RW, RWS}
    assert {kind for kind in Access if kind.write_one_clears} == {RW1C, RW1CS}
    assert {kind for kind in Access if kind.sticky} == {ROS, RWS, RW1CS}


def test_an_enum_names_its_values_and_leaves_unknown_ones_numbers():
    assert CTL.of(SPEED=Speed.FAST).decode()["SPEED"] == "FAST"
    assert CTL.of(SPEED=1).decode()["SPEED"] == "1"
    assert CTL.of(SEED=0xB).decode()["SEED"] == "0xb"
    assert CTL.of(SEED=9).decode()["SEED"] == "9"


def test_the_text_of_a_word_has_its_name_all_its_digits_and_every_field():
    assert repr(CTL.of(SPEED=2, SEED=1)) == (
        "CTL(0x1004: EN=0 SPEED=FAST DONE=0 LOST=0 KIND=0 START=0 SEED=1)"
    )


def test_a_word_wider_than_64_bits_reads_and_writes_fields_of_each_quad_word():
    word = Entry.of(P=1, ROOT=0xABCDE, DID=0x1234, LAST=(1 << 64) - 1)
    assert word.raw == 1 | 0xABCDE << 12 | 0x1234 << 64 | (1 << 64) - 1 << 448
    assert word.to_bytes()[56:] == b"\xff" * 8
    assert Entry.from_bytes(word.to_bytes()) == word
    assert (word.DID, word.ROOT) == (0x1234, 0xABCDE)
    assert Entry.initial().raw == 7 << 64
    assert Entry(0).to_bytes() == bytes(64)


# What a class may not declare.


def refused(sentence: str):
    return pytest.raises(SpecError, match=sentence)


def test_fields_that_overlap_are_refused_by_name():
    with refused(r"BAD\.B \[5:4\] overlaps a field before it"):

        class BAD(Word, width=8, ref="test"):
            A = bits(4, 0, "a")
            B = bits(5, 4, "b")


def test_a_field_hidden_inside_another_is_refused():
    with refused(r"BAD\.\w \[\d:\d\] overlaps"):

        class BAD(Word, width=8, ref="test"):
            A = bits(7, 0, "a")
            B = bit(3, "b")


def test_fields_side_by_side_are_allowed():
    class GOOD(Word, width=8, ref="test"):
        A = bits(3, 0, "a")
        B = bits(7, 4, "b")

    assert GOOD(0x5A).A == 0xA


@pytest.mark.parametrize(("hi", "lo"), [(8, 8), (8, 7), (3, 4), (2, -1)])
def test_a_field_that_leaves_the_word_is_refused(hi, lo):
    with refused(rf"BAD\.A \[{hi}:{lo}\] is not inside a word of 8 bits"):

        class BAD(Word, width=8, ref="test"):
            A = bits(hi, lo, "a")


def test_the_highest_bit_of_a_word_is_inside():
    class GOOD(Word, width=8, ref="test"):
        A = bit(7, "a")

    assert GOOD(0x80).A == 1


@pytest.mark.parametrize(("hi", "lo"), [(64, 63), (127, 0), (130, 120)])
def test_a_field_astride_a_64_bit_boundary_is_refused(hi, lo):
    with refused(rf"BAD\.A \[{hi}:{lo}\] lies astride a 64-bit boundary"):

        class BAD(Word, width=192, ref="test"):
            A = bits(hi, lo, "a")


@pytest.mark.parametrize("width", [0, -8, 7, 12, 65, 72, 100])
def test_a_width_that_is_no_multiple_of_8_or_over_64_of_64_is_refused(width):
    with refused(f"BAD: a width of {width} bits"):

        class BAD(Word, width=width, ref="test"):
            pass


@pytest.mark.parametrize("width", [8, 16, 24, 32, 40, 48, 56, 64, 128, 512])
def test_widths_of_whole_bytes_and_over_64_of_quad_words_are_allowed(width):
    class GOOD(Word, width=width, ref="test"):
        pass

    assert len(GOOD(0).to_bytes()) == width // 8


@pytest.mark.parametrize("reset", [4, -1])
def test_a_reset_value_that_does_not_fit_is_refused(reset):
    with refused(r"BAD\.A \[1:0\]: the reset value -?0x\d does not fit"):

        class BAD(Word, width=8, ref="test"):
            A = bits(1, 0, "a", RW, reset=reset)


@pytest.mark.parametrize("access", [WO, RsvdP, RsvdZ])
def test_a_field_that_reads_as_zero_has_no_reset_value(access):
    with refused(rf"BAD\.A \[0:0\]: {access.value} reads as zero, so it has no reset value"):

        class BAD(Word, width=8, ref="test"):
            A = bit(0, "a", access, reset=1)


@pytest.mark.parametrize(
    "name", ["raw", "mask", "fields", "replace", "of", "decode", "to_bytes", "width", "at", "ref"]
)
def test_a_field_may_not_have_a_name_that_the_word_itself_uses(name):
    with refused(rf"BAD\.{name}\b.*the name is taken"):
        type("BAD", (Word,), {name: bit(0, "a")}, width=8, ref="test")


# A word out of another one.


class MASKS(CTL, width=16, access=RWS, ref="test 3"):
    """The same bits, all read-write and sticky."""


class SOME(CTL, width=16, access=RWS, ref="test 4"):
    """The same, but one is as it says."""

    EN = bit(0, "on", RO, reset=1)


def test_a_word_inherits_the_fields_and_takes_another_access_kind_for_all_of_them():
    assert list(MASKS.fields) == list(CTL.fields)
    assert {field.access for field in MASKS.fields.values() if field.name != "START"} == {RWS}
    assert MASKS.SPEED.access is RWS
    assert MASKS.KIND.reset == 5
    assert MASKS(0x6).SPEED == 3


def test_the_word_that_was_inherited_from_stays_as_it_is():
    assert CTL.SPEED.access is RW
    assert CTL.mask(RW) == 0b1111


def test_a_field_declared_again_is_what_it_says_there():
    assert SOME.EN.access is RO
    assert SOME.EN.reset == 1
    assert SOME.SPEED.access is RWS
    assert SOME.initial().EN == 1


def test_a_field_added_to_an_inherited_word_is_checked_against_the_old_ones():
    with refused(r"overlaps"):

        class BAD(CTL, width=16, ref="test"):
            NEW = bit(12, "inside SEED")


# Blocks.


class Inner(RegisterBlock, size=0x10, ref="test 5"):
    """A block to be placed."""

    class LO(Word, width=32, at=0x0, ref="test"):
        """Low."""

        V = bits(31, 0, "value", RW, reset=0x11)

    class FLAG(Word, width=8, at=0xC, ref="test"):
        """Flag."""

        F = bit(0, "flag", RW, reset=1)


class Outer(RegisterBlock, size=0x100, ref="test 6"):
    """A block of words, rows and blocks."""

    class ID(Word, width=24, at=0x01, ref="test"):
        """Three bytes at an odd place."""

        V = bits(23, 0, "value", RO, reset=0x030201)

    FIRST = place(CTL, at=0x4)
    ROW = place(CTL, at=0x20, count=3, stride=8)
    INSIDE = place(Inner, at=0x40, count=2)


def test_a_block_s_spans_are_listed_by_offset():
    assert [(name, span.at) for name, span in Outer.spans.items()] == [
        ("ID", 0x1), ("FIRST", 0x4), ("ROW", 0x20), ("INSIDE", 0x40),
    ]  # fmt: skip


def test_a_row_s_elements_lie_a_stride_apart_and_end_behind_the_last_one():
    row = Outer.spans["ROW"]
    assert list(row.offsets()) == [0x20, 0x28, 0x30]
    assert (row.size, row.end) == (2, 0x32)
    assert list(Outer.spans["INSIDE"].offsets()) == [0x40, 0x50]


def test_the_image_of_a_block_has_every_element_s_reset_value_at_its_place():
    expected = bytearray(0x100)
    expected[1:4] = b"\x01\x02\x03"
    for at in (0x4, 0x20, 0x28, 0x30):
        expected[at : at + 2] = CTL.initial().to_bytes()
    for at in (0x40, 0x50):
        expected[at] = 0x11
        expected[at + 0xC] = 1
    assert Outer.image() == bytes(expected)


def test_a_block_inherits_the_spans_of_its_base_and_adds_its_own():
    class More(Inner, size=0x20, ref="test"):
        EXTRA = place(CTL, at=0x10)

    assert list(More.spans) == ["LO", "FLAG", "EXTRA"]
    assert list(Inner.spans) == ["LO", "FLAG"]


def test_an_added_register_may_not_overlap_an_inherited_one():
    with refused(r"BAD\.EXTRA at 0xc overlaps FLAG|BAD\.FLAG at 0xc overlaps EXTRA"):

        class BAD(Inner, size=0x20, ref="test"):
            EXTRA = place(CTL, at=0xC)


def test_registers_that_overlap_are_refused_by_name_and_offset():
    with refused(r"BAD\.B at 0x2 overlaps A"):

        class BAD(RegisterBlock, size=0x10, ref="test"):
            A = place(Entry32, at=0)
            B = place(CTL, at=2)


class Entry32(Word, width=32, ref="test"):
    """Four bytes."""


def test_a_register_in_a_gap_of_a_row_is_refused():
    with refused(r"BAD\.B at 0x4 overlaps A"):

        class BAD(RegisterBlock, size=0x20, ref="test"):
            A = place(CTL, at=0, count=3, stride=8)
            B = place(CTL, at=4)


def test_a_word_in_a_block_s_body_with_a_count_is_a_row_of_whole_words_or_a_stride_apart():
    class B(RegisterBlock, size=0x40, ref="test"):
        class CLOSE(Word, width=32, at=0x0, count=3, ref="test"):
            F = bits(7, 0, "field")

        class FAR(CLOSE, width=32, at=0x10, count=2, stride=0x20, ref="test"):
            pass

    assert list(B.spans["CLOSE"].offsets()) == [0x0, 0x4, 0x8]
    assert list(B.spans["FAR"].offsets()) == [0x10, 0x30]


def test_a_word_that_inherits_from_a_row_is_not_a_row_itself():
    class Row(Word, width=32, at=0x0, count=3, stride=8, ref="test"):
        F = bits(7, 0, "field")

    class One(Row, width=16, at=0x20, ref="test"):
        pass

    assert (One.count, One.stride) == (1, 2)


def test_a_register_past_the_block_s_end_is_refused_with_where_it_ends():
    with refused(r"BAD\.A at 0xc ends at 0x14, past the block's 0x10 bytes"):

        class BAD(RegisterBlock, size=0x10, ref="test"):
            A = place(Entry32, at=0xC, count=2)


def test_a_register_that_ends_with_the_block_is_inside():
    class GOOD(RegisterBlock, size=0x10, ref="test"):
        A = place(Entry32, at=0xC)

    assert GOOD.spans["A"].end == 0x10


@pytest.mark.parametrize(("count", "stride"), [(0, 4), (-1, 4), (2, 3), (2, 0)])
def test_a_row_without_elements_or_with_elements_on_top_of_each_other_is_refused(count, stride):
    with refused(rf"BAD\.A at 0x0: {count} elements {stride} bytes apart, of 4 bytes each"):

        class BAD(RegisterBlock, size=0x10, ref="test"):
            A = place(Entry32, at=0, count=count, stride=stride)


@pytest.mark.parametrize(("width", "at"), [(16, 1), (32, 2), (32, 1), (64, 2)])
def test_a_register_that_is_not_aligned_is_refused(width, at):
    word = type("W", (Word,), {}, width=width, ref="test")
    with refused(rf"BAD\.A at {at:#x} is not aligned"):

        class BAD(RegisterBlock, size=0x10, ref="test"):
            A = place(word, at=at)


def test_a_64_bit_register_may_stand_at_any_double_word():
    word = type("W", (Word,), {}, width=64, ref="test")

    class GOOD(RegisterBlock, size=0x10, ref="test"):
        A = place(word, at=4)

    assert GOOD.spans["A"].end == 0xC


def test_a_word_in_a_block_s_body_without_a_place_is_refused_with_what_to_write():
    with refused(r"BAD\.A: a word in a block's body needs at=OFFSET, or place\(\)"):

        class BAD(RegisterBlock, size=0x10, ref="test"):
            class A(Word, width=8, ref="test"):
                """No place."""


def test_every_declaration_of_the_specification_tells_its_section_and_says_what_it_is():
    import importlib
    import pkgutil

    from siov import spec

    seen = 0
    for info in pkgutil.walk_packages(spec.__path__, "siov.spec."):
        module = importlib.import_module(info.name)
        for thing in vars(module).values():
            mine = isinstance(thing, type) and thing.__module__ == info.name
            if mine and issubclass(thing, Word | RegisterBlock) and thing not in (Word, RegisterBlock):
                assert re.search(r"\S", thing.__doc__ or ""), thing
                assert thing.ref, thing
                seen += 1
    assert seen > 50
