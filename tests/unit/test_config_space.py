"""A composed configuration space is what the specification says, and no write gets past its masks."""

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from siov.hw.pcie import capability
from siov.hw.pcie.compose import Identity, endpoint, root_port, switch, type0_config
from siov.hw.pcie.config import Bar, Capability, ConfigSpace, check_bars
from siov.hw.pcie.function import Function
from siov.hw.pcie.tlp import Bdf, CfgRd, CfgWr
from siov.spec.pcie import (
    Aer,
    CapabilityId,
    Express,
    ExpressType,
    ExtendedCapabilityId,
    Msix,
    PowerManagement,
    Type0,
    Type1,
)
from siov.spec.pcie.capability import CapabilityHeader
from siov.spec.pcie.extended import UncorrectableErrors, UncorrectableMask, UncorrectableSeverity
from siov.spec.pcie.header import RomBar
from siov.spec.word import RW, RW1C, RegisterBlock, Word, bit, bits, place

NIC = Identity(0x8086, 0x1592, 0x020000, 2, 0x8086, 0x0001)
BARS = (Bar(0, 1 << 27, prefetchable=True), Bar(2, 0x1000, wide=False), Bar(3, 0x10000, prefetchable=True))


def full(*, bars: Sequence[Bar] = BARS, rom: int = 1 << 20, extra: Sequence[Capability] = ()) -> ConfigSpace:
    capabilities = [
        capability.power_management(),
        capability.msix(64, (3, 0), (3, 0x8000)),
        capability.express(ExpressType.ENDPOINT, flr=True, prefix=True),
        capability.aer(),
        capability.serial_number(0x0011_2233_4455_6677),
        capability.ari(3),
        capability.sriov(8, 16, 1, 0x1889, [Bar(0, 0x4000, prefetchable=True), Bar(3, 0x1000, wide=False)]),
        capability.acs(),
        capability.ats(),
        capability.pri(),
        capability.pasid(20, execute=True),
        *extra,
    ]
    return type0_config(NIC, capabilities, bars, rom)


def at(config: ConfigSpace, offset: int, size: int) -> int:
    return int.from_bytes(config.regs.read(offset, size), "little")


def put(config: ConfigSpace, offset: int, size: int, value: int) -> None:
    config.regs.write(offset, value.to_bytes(size, "little"))


def place_of(config: ConfigSpace, which: CapabilityId | ExtendedCapabilityId) -> int:
    place = config.find_capability(which)
    assert place is not None
    return place


def legacy_chain(config: ConfigSpace) -> list[tuple[int, int]]:
    """(offset, id) along the list of capabilities, as software walks it."""
    found, here = [], at(config, 0x34, 1)
    while here:
        assert here >= 0x40
        assert here % 4 == 0
        found.append((here, at(config, here, 1)))
        assert len(found) <= 48, "the chain runs in a circle"
        here = at(config, here + 1, 1)
    return found


def extended_chain(config: ConfigSpace) -> list[tuple[int, int, int]]:
    """(offset, id, version) along the list of extended capabilities."""
    found, here = [], 0x100
    while here:
        header = at(config, here, 4)
        if header == 0:
            break
        found.append((here, header & 0xFFFF, header >> 16 & 0xF))
        assert len(found) <= 960, "the chain runs in a circle"
        here = header >> 20
        assert here % 4 == 0
    return found


# The header.


def test_the_header_tells_who_the_function_is():
    dump = full().dump()
    assert dump[0:4] == bytes.fromhex("86809215")
    assert dump[8:12] == bytes.fromhex("02000002")
    assert dump[0x2C:0x30] == bytes.fromhex("86800100")
    assert dump[0x0E] == 0
    assert len(dump) == 4096


def test_a_multi_function_device_says_so_in_the_header_type():
    assert type0_config(NIC, multifunction=True).dump()[0x0E] == 0x80


def test_a_function_without_capabilities_has_no_list_and_says_so():
    config = type0_config(NIC)
    assert at(config, 0x34, 1) == 0
    assert at(config, 0x06, 2) == 0
    assert config.dump()[0x40:] == bytes(4096 - 0x40)


def test_a_function_with_extended_capabilities_only_has_no_list_in_its_header():
    config = type0_config(NIC, [capability.aer()])
    assert at(config, 0x34, 1) == 0
    assert at(config, 0x06, 2) & 0x10 == 0
    assert extended_chain(config) == [(0x100, 1, 2)]


# The chains.


def test_the_chain_of_capabilities_links_every_one_in_order_and_ends():
    assert [kind for _, kind in legacy_chain(full())] == [0x01, 0x11, 0x10]
    assert full().dump()[0x06] & 0x10


def test_the_extended_chain_starts_at_100h_links_every_one_in_order_and_ends():
    chain = extended_chain(full())
    assert [kind for _, kind, _ in chain] == [0x01, 0x03, 0x0E, 0x10, 0x0D, 0x0F, 0x13, 0x1B]
    assert chain[0][0] == 0x100
    assert [version for _, _, version in chain] == [2, 1, 1, 1, 1, 1, 1, 1]


def test_offsets_tell_where_each_capability_stands():
    config = full()
    found = [(place, CapabilityId(kind)) for place, kind in legacy_chain(config)]
    found += [(place, ExtendedCapabilityId(kind)) for place, kind, _ in extended_chain(config)]
    assert [(config.find_capability(which), which) for _, which in found] == found
    assert len(found) == 11


def test_capabilities_of_one_number_but_not_of_one_kind_are_told_apart():
    config = type0_config(NIC, [capability.power_management()])
    assert config.find_capability(CapabilityId.PM) == 0x40
    assert config.find_capability(ExtendedCapabilityId.AER) is None
    assert type0_config(NIC, [capability.aer()]).find_capability(CapabilityId.PM) is None


def test_capabilities_do_not_overlap():
    config = full()
    sizes = {1: 8, 0x11: 12, 0x10: 0x3C}
    places = [(place, sizes[kind]) for place, kind in legacy_chain(config)]
    assert all(a + n <= b for (a, n), (b, _) in itertools.pairwise(places))


def test_a_capability_at_a_place_of_its_own_is_linked_there_also_when_it_is_the_first():
    pm = Capability(CapabilityId.PM, PowerManagement, at=0x50)
    express = capability.express(ExpressType.ENDPOINT)
    placed = Capability(CapabilityId.EXPRESS, express.block, express.values, express.rw, at=0xA0)
    config = type0_config(NIC, [pm, placed])
    assert legacy_chain(config) == [(0x50, 1), (0xA0, 0x10)]
    assert config.find_capability(CapabilityId.PM) == 0x50


def test_an_extended_capability_at_a_place_of_its_own_is_linked_there():
    aer = capability.aer()
    serial = capability.serial_number(1)
    placed = Capability(serial.id, serial.block, serial.values, at=0x148)
    assert [c[:2] for c in extended_chain(type0_config(NIC, [aer, placed]))] == [(0x100, 1), (0x148, 3)]


def test_a_first_extended_capability_elsewhere_than_100h_is_refused_as_nobody_would_find_it():
    serial = capability.serial_number(1)
    with pytest.raises(ValueError, match="100"):
        type0_config(NIC, [Capability(serial.id, serial.block, serial.values, at=0x148)])


@pytest.mark.parametrize("place", [0x3C, 0x42, 0xFC, 0x44])
def test_a_place_that_is_taken_or_misaligned_or_past_the_end_is_refused_with_what_is_free(place):
    first = Capability(CapabilityId.PM, PowerManagement)
    second = Capability(CapabilityId.PM, PowerManagement, at=place)
    with pytest.raises(ValueError, match=rf"PowerManagement capability does not fit at {place:#x}: free are"):
        type0_config(NIC, [first, second])


class Odd(RegisterBlock, size=6, ref="test"):
    """A capability of six bytes."""

    HEADER = place(CapabilityHeader, at=0)

    class STA(Word, width=16, at=4, ref="test"):
        """A status register."""

        SEEN = bit(0, "seen", RW1C)
        MODE = bits(7, 4, "mode", RW)


def test_a_capability_starts_at_a_double_word_whatever_the_size_of_the_one_before():
    config = type0_config(NIC, [Capability(CapabilityId.VENDOR, Odd), capability.power_management()])
    assert legacy_chain(config) == [(0x40, 9), (0x48, 1)]


def test_a_function_s_own_writable_bits_replace_those_of_the_class_and_leave_write_one_to_clear():
    config = type0_config(NIC, [Capability(CapabilityId.VENDOR, Odd, rw={"STA": 0x8030})])
    config[Odd.STA] = Odd.STA.of(SEEN=1)
    put(config, 0x44, 2, 0xFFF0)
    assert at(config, 0x44, 2) == 0x8031
    put(config, 0x44, 2, 0x0001)
    assert at(config, 0x44, 2) == 0


def test_more_capabilities_than_fit_are_refused():
    many = [capability.sriov(1, 1, 1, 0) for _ in range(61)]
    with pytest.raises(ValueError, match="SrIov capability does not fit at 0x1000"):
        type0_config(NIC, many)
    type0_config(NIC, many[:60])


def test_what_the_capabilities_say_stands_in_their_registers():
    config = full()
    msix = place_of(config, CapabilityId.MSIX)
    assert at(config, msix + 2, 2) == 63
    assert (at(config, msix + 4, 4), at(config, msix + 8, 4)) == (3, 0x8003)
    express = place_of(config, CapabilityId.EXPRESS)
    assert at(config, express + 2, 2) == 0x0002
    assert at(config, express + 4, 4) >> 28 & 1
    serial = place_of(config, ExtendedCapabilityId.DSN)
    assert (at(config, serial + 4, 4), at(config, serial + 8, 4)) == (0x4455_6677, 0x0011_2233)
    assert at(config, place_of(config, ExtendedCapabilityId.ARI) + 4, 2) == 3 << 8
    sriov = place_of(config, ExtendedCapabilityId.SRIOV)
    assert [at(config, sriov + n, 2) for n in (0xC, 0xE, 0x10, 0x14, 0x16, 0x1A)] == [8, 8, 0, 16, 1, 0x1889]
    assert at(config, place_of(config, ExtendedCapabilityId.PASID) + 4, 2) == 20 << 8 | 2
    assert at(config, place_of(config, ExtendedCapabilityId.ATS) + 4, 2) == 0x20


def test_an_ats_queue_of_32_is_written_as_zero_and_others_as_they_are():
    for depth, field in ((32, 0), (31, 31), (1, 1)):
        config = type0_config(NIC, [capability.ats(depth)])
        assert at(config, 0x104, 2) & 0x1F == field
    for depth in (0, 33):
        with pytest.raises(ValueError, match="1 to 32 are allowed"):
            capability.ats(depth)


@pytest.mark.parametrize("width", [0, 21])
def test_a_pasid_width_out_of_range_is_refused(width):
    with pytest.raises(ValueError, match="1 to 20 are allowed"):
        capability.pasid(width)


@pytest.mark.parametrize("vectors", [0, 2049])
def test_a_number_of_msix_vectors_out_of_range_is_refused_and_says_what_else_there_is(vectors):
    with pytest.raises(ValueError, match=rf"{vectors} MSI-X vectors: .*1 to 2,048 .*IMS"):
        capability.msix(vectors, (0, 0), (0, 0x8000))


# What software can change.


def writable(config: ConfigSpace) -> tuple[bytes, bytes]:
    """Bits that a write of ones sets, and of those that are set the ones that it clears."""
    zero, ones = bytes(4096), b"\xff" * 4096
    config.regs.write(0, zero)
    low = config.dump()
    config.regs.write(0, ones)
    high = config.dump()
    return low, high


# Bits that software can store in the header of an endpoint with BARS and a ROM of 1 MiB, hand-computed.
HEADER_RW = {
    0x04: 0x0547,  # COMMAND: IOSE, MSE, BME, PERE, SERRE, INTxD
    0x0C: 0x0000_00FF,  # CACHE_LINE_SIZE
    0x10: 0xF800_0000, 0x14: 0xFFFF_FFFF,  # 128 MiB, 64-bit
    0x18: 0xFFFF_F000,  # 4 KiB, 32-bit
    0x1C: 0xFFFF_0000, 0x20: 0xFFFF_FFFF,  # 64 KiB, 64-bit
    0x24: 0, 0x28: 0, 0x2C: 0,
    0x30: 0xFFF0_0001,  # ROM
    0x34: 0,
    0x3C: 0xFF,  # INT_LINE
}  # fmt: skip


def test_of_the_header_only_the_bits_that_the_specification_says_are_writable():
    low, high = writable(full())
    for offset in range(0, 0x40, 4):
        changed = int.from_bytes(low[offset : offset + 4], "little") ^ int.from_bytes(
            high[offset : offset + 4], "little"
        )
        assert changed == HEADER_RW.get(offset, 0), f"{offset:#x}"


# Capability, offset in it, size, bits that a write stores.
CAPABILITY_RW = [
    (CapabilityId.PM, 4, 2, 0x0103),
    (CapabilityId.MSIX, 2, 2, 0xC000),
    (CapabilityId.MSIX, 4, 4, 0),
    (CapabilityId.EXPRESS, 4, 4, 0),
    (CapabilityId.EXPRESS, 8, 2, 0x79FF),  # not IFLR, which reads as zero
    (CapabilityId.EXPRESS, 0x10, 2, 0x00C3),
    (CapabilityId.EXPRESS, 0x18, 2, 0),  # no slot
    (CapabilityId.EXPRESS, 0x1C, 2, 0),  # no root port
    (CapabilityId.EXPRESS, 0x28, 2, 0x001F),
    (ExtendedCapabilityId.AER, 0x08, 4, 0xFFFF_F030),
    (ExtendedCapabilityId.AER, 0x0C, 4, 0xFFFF_F030),
    (ExtendedCapabilityId.AER, 0x14, 4, 0x0000_F1C1),
    (ExtendedCapabilityId.AER, 0x18, 4, 0),
    (ExtendedCapabilityId.AER, 0x1C, 4, 0),
    (ExtendedCapabilityId.DSN, 4, 4, 0),
    (ExtendedCapabilityId.ARI, 4, 4, 0),
    (ExtendedCapabilityId.ACS, 6, 2, 0x005F),
    (ExtendedCapabilityId.ATS, 6, 2, 0x801F),
    (ExtendedCapabilityId.PRI, 4, 2, 0x0001),
    (ExtendedCapabilityId.PRI, 0xC, 4, 0xFFFF_FFFF),
    (ExtendedCapabilityId.PASID, 4, 2, 0),
    (ExtendedCapabilityId.PASID, 6, 2, 0x0003),
    (ExtendedCapabilityId.SRIOV, 8, 2, 0x0019),
    (ExtendedCapabilityId.SRIOV, 0x10, 2, 0xFFFF),
    (ExtendedCapabilityId.SRIOV, 0x24, 4, 0xFFFF_C000),
    (ExtendedCapabilityId.SRIOV, 0x28, 4, 0xFFFF_FFFF),
    (ExtendedCapabilityId.SRIOV, 0x2C, 4, 0),
    (ExtendedCapabilityId.SRIOV, 0x30, 4, 0xFFFF_F000),
    (ExtendedCapabilityId.SRIOV, 0x34, 4, 0),
]


@pytest.mark.parametrize(("which", "offset", "size", "bits"), CAPABILITY_RW)
def test_of_a_capability_only_the_bits_that_the_specification_says_are_writable(which, offset, size, bits):
    config = full()
    low, high = writable(config)
    place = place_of(config, which) + offset
    changed = int.from_bytes(low[place : place + size], "little") ^ int.from_bytes(
        high[place : place + size], "little"
    )
    assert changed == bits


EDGES = st.sampled_from(
    [0, 4, 6, 0x10, 0x30, 0x34, 0x40, 0x4A, 0x58, 0x5A, 0x100, 0x104, 0x11C, 0x1FC, 0xFFC]
)


@given(st.lists(st.tuples(EDGES | st.integers(0, 4095), st.binary(min_size=1, max_size=64)), max_size=30))
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_bits_that_are_not_writable_are_changed_by_no_sequence_of_writes(writes):
    config = full()
    fresh = config.dump()
    low, high = writable(full())
    for offset, data in writes:
        config.regs.write(offset, data)
    for n, byte in enumerate(config.dump()):
        assert (byte ^ fresh[n]) & ~(low[n] ^ high[n]) == 0, f"{n:#x}"


@given(st.integers(0, 1023), st.integers(0, 3), st.integers(1, 4), st.integers(0, (1 << 32) - 1))
@settings(deadline=None)
def test_a_write_changes_only_the_bytes_it_names(dword, lane, size, value):
    config = full()
    before = config.dump()
    offset = min(dword * 4 + lane, 4096 - size)
    put(config, offset, size, value & (1 << 8 * size) - 1)
    after = config.dump()
    assert after[:offset] == before[:offset]
    assert after[offset + size :] == before[offset + size :]


# BARs.


@pytest.mark.parametrize(
    ("bar", "low", "high"),
    [
        (Bar(0, 16, wide=False), 0xFFFF_FFF0, None),
        (Bar(0, 0x1000, wide=False, prefetchable=True), 0xFFFF_F008, None),
        (Bar(0, 1 << 31, wide=False), 0x8000_0000, None),
        (Bar(0, 16), 0xFFFF_FFF4, 0xFFFF_FFFF),
        (Bar(0, 0x10000, prefetchable=True), 0xFFFF_000C, 0xFFFF_FFFF),
        (Bar(0, 1 << 32), 0x0000_0004, 0xFFFF_FFFF),
        (Bar(0, 1 << 36, prefetchable=True), 0x0000_000C, 0xFFFF_FFF0),
        (Bar(0, 1 << 63), 0x0000_0004, 0x8000_0000),
    ],
)
def test_a_bar_asked_for_its_size_answers_with_its_size_and_kind(bar, low, high):
    config = type0_config(NIC, bars=[bar])
    put(config, 0x10, 4, 0xFFFF_FFFF)
    put(config, 0x14, 4, 0xFFFF_FFFF)
    assert at(config, 0x10, 4) == low
    assert at(config, 0x14, 4) == (high or 0)


def test_a_bar_keeps_the_address_that_was_written_less_its_size_bits():
    config = full()
    put(config, 0x10, 4, 0x9ABC_DEF7)
    put(config, 0x14, 4, 0x0000_0012)
    assert at(config, 0x10, 4) == 0x9800_000C
    assert Function("f", (0, 0), config, BARS).bar_address(BARS[0]) == 0x12_9800_0000


def test_a_register_without_a_bar_reads_zero_whatever_is_written():
    config = full()
    put(config, 0x24, 4, 0xFFFF_FFFF)
    assert at(config, 0x24, 4) == 0


@pytest.mark.parametrize("size", [0, 1, 3, 8, 15, 17, 24, 0x1001, -16, (1 << 31) + 1])
def test_a_bar_whose_size_is_no_power_of_two_from_16_up_is_refused(size):
    with pytest.raises(ValueError, match=rf"BAR 2 of {size} bytes: a BAR's size is a power of two"):
        Bar(2, size)


def test_a_bar_too_large_for_its_register_is_refused():
    with pytest.raises(ValueError, match="a 32-bit BAR is 2 GiB at most"):
        Bar(0, 1 << 32, wide=False)
    with pytest.raises(ValueError, match="BAR 0 of"):
        Bar(0, 1 << 64)


@pytest.mark.parametrize(
    ("bars", "sentence"),
    [
        ([Bar(0, 16), Bar(1, 16, wide=False)], "BARs 0 and 1 both need register 1"),
        ([Bar(1, 16, wide=False), Bar(0, 16)], "BARs 1 and 0 both need register 1"),
        ([Bar(2, 16, wide=False), Bar(2, 32, wide=False)], "BARs 2 and 2 both need register 2"),
        ([Bar(5, 16)], "64-bit BAR 5 leaves the header: its registers are 0 to 5"),
        ([Bar(6, 16, wide=False)], "BAR 6 leaves the header"),
    ],
)
def test_bars_that_share_a_register_or_leave_the_header_are_refused_by_number(bars, sentence):
    with pytest.raises(ValueError, match=sentence):
        type0_config(NIC, bars=bars)
    with pytest.raises(ValueError, match=sentence):
        capability.sriov(4, 1, 1, 0, bars)


def test_a_bridge_has_two_bar_registers():
    with pytest.raises(ValueError, match="0 to 1"):
        check_bars([Bar(2, 16, wide=False)], Type1)
    check_bars([Bar(0, 16)], Type1)


def test_a_rom_asked_for_its_size_answers_with_it_and_its_enable_bit_is_kept():
    config = full(rom=1 << 16)
    put(config, 0x30, 4, 0xFFFF_F800)
    assert at(config, 0x30, 4) == 0xFFFF_0000
    put(config, 0x30, 4, 0x1234_0001)
    assert config[RomBar].EN == 1
    assert config[RomBar].raw == 0x1234_0001


def test_a_function_without_a_rom_has_a_rom_register_of_zero():
    config = full(rom=0)
    put(config, 0x30, 4, 0xFFFF_FFFF)
    assert at(config, 0x30, 4) == 0


# Status bits and resets.


def test_status_bits_are_cleared_by_ones_and_by_nothing_else():
    config = full()
    config.update(Type0.STATUS, RMA=1, SSE=1, DPE=1)
    put(config, 6, 2, 0)
    assert at(config, 6, 2) == 0xE010
    put(config, 6, 2, 0x2000)
    assert at(config, 6, 2) == 0xC010
    put(config, 7, 1, 0xFF)
    assert at(config, 6, 2) == 0x0010


def test_a_write_to_command_alone_leaves_status_alone():
    config = full()
    config.update(Type0.STATUS, RMA=1)
    put(config, 4, 2, 0xFFFF)
    assert config[Type0.STATUS].RMA == 1


def test_aer_status_bits_are_cleared_by_ones_only():
    config = full()
    config.update(UncorrectableErrors, UR=1, CTO=1)
    place = place_of(config, ExtendedCapabilityId.AER) + 4
    put(config, place, 4, 1 << 20)
    assert at(config, place, 4) == 1 << 14


def flr(function: Function) -> None:
    place = place_of(function.config, CapabilityId.EXPRESS) + Express.DEVCTL.at
    control = at(function.config, place, 2) | 0x8000
    function.receive(CfgWr(Bdf(0, 0, 0), Bdf(5, 0, 0), place, control.to_bytes(2, "little"), 0))


def test_a_function_level_reset_clears_what_is_not_sticky_and_keeps_what_is():
    config = full()
    fresh = config.dump()
    function = endpoint("f", (0, 0), config, BARS, bytes(1 << 20))
    config.regs.write(0, b"\xff" * 4096)
    config.update(UncorrectableErrors, UR=1, CTO=1)
    config.update(PowerManagement.PMCSR, PME_STATUS=1)
    config.update(Express.DEVSTA, URD=1)
    config.update(Type0.STATUS, RMA=1)
    config.update(Aer.CAP, FEP=20)
    config.regs.set("Aer.HDRLOG2", 0x1234)
    function.bar_write(0, 0x100, b"data")
    flr(function)
    sticky = {place_of(config, ExtendedCapabilityId.AER) + n for n in range(4, 0x2C)}
    sticky |= {place_of(config, CapabilityId.PM) + 5, place_of(config, CapabilityId.EXPRESS) + 0x30}
    sticky |= {place_of(config, CapabilityId.EXPRESS) + 0x31}
    after = config.dump()
    for n in set(range(4096)) - sticky:
        assert after[n] == fresh[n], f"{n:#x}"
    assert config[UncorrectableErrors] == UncorrectableErrors.of(UR=1, CTO=1)
    assert config[UncorrectableMask].raw == 0xFFFF_F030
    assert config[UncorrectableSeverity].raw == 0xFFFF_F030
    assert (config[Aer.CAP].FEP, config.regs.get("Aer.HDRLOG2")) == (20, 0x1234)
    assert (config[PowerManagement.PMCSR].PME_EN, config[PowerManagement.PMCSR].PME_STATUS) == (1, 1)
    assert config[PowerManagement.PMCSR].PS == 0
    assert function.bar_read(0, 0x100, 4) == bytes(4)
    assert config[Express.LNKCTL2].raw != Express.LNKCTL2.of(TLS=4).raw


def test_the_bit_that_starts_a_function_level_reset_reads_as_zero():
    function = endpoint("f", (0, 0), full(), BARS)
    flr(function)
    assert function.config[Express.DEVCTL].IFLR == 0


def test_a_function_that_can_not_be_reset_ignores_the_bit():
    config = type0_config(NIC, [capability.express(ExpressType.ENDPOINT, flr=False)], BARS)
    function = endpoint("f", (0, 0), config, BARS)
    put(config, 0x10, 4, 0x8000_0000)
    flr(function)
    assert at(config, 0x10, 4) == 0x8000_000C


def test_a_write_to_device_control_without_the_bit_resets_nothing():
    function = endpoint("f", (0, 0), full(), BARS)
    put(function.config, 0x10, 4, 0x8000_0000)
    place = place_of(function.config, CapabilityId.EXPRESS) + Express.DEVCTL.at
    function.config_write(place, b"\xff\x7f")
    assert at(function.config, 0x10, 4) == 0x8000_000C


# Ports.


def test_a_root_port_has_the_header_of_a_bridge_and_the_registers_of_a_root():
    config = root_port("rp", (1, 0), 3, slot=7).config
    assert config.dump()[0x0E] == 1
    assert at(config, 9, 3) == 0x060400
    express = place_of(config, CapabilityId.EXPRESS)
    assert at(config, express + 2, 2) == 0x0142
    assert at(config, express + 0xC, 4) >> 24 == 3
    assert at(config, express + 0x14, 4) >> 19 == 7
    put(config, express + 0x1C, 2, 0xFFFF)
    assert at(config, express + 0x1C, 2) == 0x000F
    assert [kind for _, kind, _ in extended_chain(config)] == [0x01, 0x0D]
    aer = place_of(config, ExtendedCapabilityId.AER)
    put(config, aer + 0x2C, 4, 0xFFFF_FFFF)
    assert at(config, aer + 0x2C, 4) == 7


def test_a_root_port_without_a_slot_has_no_slot_registers():
    config = root_port("rp", (1, 0), 3).config
    express = place_of(config, CapabilityId.EXPRESS)
    assert at(config, express + 2, 2) == 0x0042
    put(config, express + 0x18, 2, 0xFFFF)
    assert at(config, express + 0x14, 8) == 0


BRIDGE_RW = {
    0x04: 0x0547, 0x0C: 0xFF, 0x18: 0x00FF_FFFF, 0x1C: 0, 0x20: 0xFFF0_FFF0, 0x24: 0xFFF0_FFF0,
    0x28: 0xFFFF_FFFF, 0x2C: 0xFFFF_FFFF, 0x30: 0, 0x38: 0, 0x3C: 0x0043_00FF,
}  # fmt: skip


def test_of_a_bridge_s_header_only_the_bits_that_the_specification_says_are_writable():
    low, high = writable(root_port("rp", (1, 0), 0).config)
    for offset in range(0, 0x40, 4):
        changed = int.from_bytes(low[offset : offset + 4], "little") ^ int.from_bytes(
            high[offset : offset + 4], "little"
        )
        assert changed == BRIDGE_RW.get(offset, 0), f"{offset:#x}"
    assert low[0x24] & 0xF == low[0x26] & 0xF == 1, "64-bit prefetchable addresses"


def test_a_switch_has_one_upstream_port_and_its_downstream_ports_say_what_they_are():
    upstream, downstream = switch("sw", 3)
    kinds = [port.config[Express.PCIECAP].TYPE for port in (upstream, *downstream)]
    assert kinds == [ExpressType.UPSTREAM_PORT] + [ExpressType.DOWNSTREAM_PORT] * 3
    assert [port.name for port in downstream] == ["sw.0", "sw.1", "sw.2"]
    assert [(port.bdf.device, port.bdf.function) for port in downstream] == [(0, 0), (1, 0), (2, 0)]
    assert [port.config[Express.DEVCAP2].ARIFS for port in (upstream, *downstream)] == [0, 1, 1, 1]
    assert downstream[0].config.find_capability(ExtendedCapabilityId.ACS)
    assert upstream.config.find_capability(ExtendedCapabilityId.ACS) is None


def test_a_word_is_read_and_set_by_its_class():
    config = full()
    config[Type0.COMMAND] = Type0.COMMAND.of(MSE=1)
    assert at(config, 4, 2) == 2
    config.update(Type0.COMMAND, BME=1)
    assert config[Type0.COMMAND] == Type0.COMMAND(6)
    assert Msix.CONTROL in config
    assert Type1.BRIDGE_CONTROL not in config
    assert config.name_of(Msix.CONTROL) == "Msix.CONTROL"
    assert isinstance(config[Msix.CONTROL], Word)


def test_a_configuration_read_gives_the_register_s_bytes_wherever_it_starts():
    function = endpoint("f", (0, 0), full(), BARS)
    for offset, size, data in ((0, 4, "86809215"), (2, 2, "9215"), (9, 1, "00"), (0xB, 1, "02")):
        completion = function.receive(CfgRd(Bdf(0, 0, 0), Bdf(5, 0, 0), offset, size, 0))
        assert completion.data.hex() == data
