"""The configuration space of a virtual device, byte by byte against the tables of ice_vdcm.c."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from siov._core import RegFile
from siov.drivers.ice.config import AVF, SIOV, Personality, compose_config
from siov.host.lspci import Address, Names, Options, PciFunctionView, Resource, ResourceFlag, render

# ice_vdcm_pci_config, as bytes; all others are zero. The vectors are the default, five.
TEMPLATE = {
    0x00: "86 80 d5 0d 00 00 10 00 00 00 00 02 00 00 00 00",
    0x10: "0c 00 00 00 00 00 00 00 00 00 00 00 0c 00 00 00",
    0x2C: "86 80 00 00",
    0x34: "40",
    0x40: "11 00 04 00 03 00 00 00 03 20 00 00",
    0x50: "10 00 92 00",
    0x74: "10 00 70 00",
}
# The bytes that a write changes, with the bits; BARs by the size of 64 MiB and of 16 KiB.
WRITABLE = {0x04: "ff 07", 0x0C: "ff", 0x3C: "ff"}
BARS = {0x10: 0xFC00_0000, 0x14: 0xFFFF_FFFF, 0x18: 0, 0x1C: 0xFFFF_C000, 0x20: 0xFFFF_FFF0, 0x24: 0}
RW1C = {0x07: 0xF9}


def table(parts: dict[int, str]) -> bytes:
    found = bytearray(0x100)
    for at, text in parts.items():
        found[at : at + len(text.split())] = bytes.fromhex(text)
    return bytes(found)


IMAGE = table(TEMPLATE)
MASK = table(WRITABLE)[:0x40] + b"\xff" * 0xC0


def make(personality: Personality = SIOV, vectors: int = 5) -> RegFile:
    return RegFile(personality.config_size, list(compose_config(personality, vectors)))


def number(config: RegFile, at: int, size: int) -> int:
    return int.from_bytes(config.read(at, size), "little")


def put(config: RegFile, at: int, size: int, value: int) -> None:
    config.write(at, value.to_bytes(size, "little"))


def test_the_space_of_0dd5_is_the_template_byte_by_byte():
    config = make()
    assert config.size == 256
    assert config.read(0, 256).hex(" ") == IMAGE.hex(" ")


@pytest.mark.parametrize(("vectors", "control"), [(2, 1), (5, 4), (17, 16), (65, 64)])
def test_the_table_size_of_msix_is_the_vectors_less_one(vectors, control):
    for personality in (SIOV, AVF):
        assert number(make(personality, vectors), 0x42, 2) == control


@pytest.mark.parametrize("at", [n for n in range(0x100) if n not in range(0x10, 0x28)])
def test_a_byte_of_0dd5_keeps_what_its_mask_lets_through_and_no_more(at):
    config = make()
    for value in (0xFF, 0x00, 0xA5, 0x5A):
        put(config, at, 1, value)
        kept = IMAGE[at] & ~MASK[at] | value & MASK[at]
        assert config.read(at, 1)[0] == kept, f"{value:#x}"
    assert config.read(0, at) == IMAGE[:at], "no byte before it has changed"
    assert config.read(at + 1, 255 - at) == IMAGE[at + 1 :], "nor behind it"


@pytest.mark.parametrize(("at", "mask"), BARS.items())
def test_a_bar_of_0dd5_takes_the_bits_of_its_size(at, mask):
    config = make()
    low = IMAGE[at] & 0xF
    for value in (0xFFFF_FFFF, 0, 0x1234_5678, 0xFC00_0000):
        put(config, at, 4, value)
        assert number(config, at, 4) == value & mask | low


def test_the_upper_half_of_bar_3_can_t_hold_its_low_four_bits_as_in_the_source():
    siov, avf = make(), make(AVF)
    for config in (siov, avf):
        put(config, 0x20, 4, 0x0000_001F)
    assert (number(siov, 0x20, 4), number(avf, 0x20, 4)) == (0x10, 0x1F)


def test_status_bits_are_cleared_by_ones_in_its_upper_byte_alone():
    for personality in (SIOV, AVF):
        config = make(personality)
        config.set("STATUS", 0xFFFF)
        put(config, 6, 2, 0xFFFF)
        assert number(config, 6, 2) == 0xFFFF & ~(RW1C[0x07] << 8)


def test_a_walk_of_0dd5_finds_msix_alone_though_pci_express_lies_behind_it():
    view = PciFunctionView(Address(0, 0, 5, 0), make().read(0, 256))
    assert list(view.capabilities()) == [(0x40, 0x11)]
    assert view.config[0x50] == 0x10


def test_a_walk_of_1889_finds_an_endpoint_that_can_be_reset_behind_msix():
    config = make(AVF)
    view = PciFunctionView(Address(0, 0, 5, 0), config.read(0, 4096))
    assert list(view.capabilities()) == [(0x40, 0x11), (0x50, 0x10)]
    assert (view.vendor, view.device, view.class_id) == (0x8086, 0x1889, 0x0200)
    assert number(config, 0x52, 2) == 0x0002, "version 2 of an endpoint"
    assert number(config, 0x54, 4) >> 28 & 1 == 1, "FLR"
    assert config.read(0x100, 0xF00) == bytes(0xF00), "no extended capability"


def test_a_driver_of_1889_can_switch_msix_and_mask_it_and_nothing_else_in_the_capability():
    config = make(AVF)
    before = config.read(0x40, 12)
    config.write(0x40, b"\xff" * 12)
    after = config.read(0x40, 12)
    assert after[2:4] == bytes([4, 0xC0])
    assert after[:2] + after[4:] == before[:2] + before[4:]


def test_the_request_of_a_function_level_reset_is_not_kept():
    config = make(AVF)
    put(config, 0x58, 2, 0xFFFF)
    assert number(config, 0x58, 2) & 0x8000 == 0
    put(config, 0x5A, 2, 0xFFFF)
    assert number(config, 0x5A, 2) == 0


@given(
    writes=st.lists(st.tuples(st.integers(0, 0xFFF), st.binary(min_size=1, max_size=16)), max_size=20),
)
@settings(deadline=None)
def test_no_writes_change_who_1889_says_it_is(writes):
    config = make(AVF)
    before = config.read(0, 4096)
    for at, data in writes:
        config.write(at, data)
    after = config.read(0, 4096)
    for start, end in (
        (0, 4),
        (8, 12),
        (0x2C, 0x38),
        (0x40, 0x42),
        (0x44, 0x58),
        (0x5C, 0x68),
        (0x100, 4096),
    ):
        assert after[start:end] == before[start:end]


def lspci(personality: Personality, bar0: int, bar3: int) -> str:
    config = make(personality)
    put(config, 0x10, 8, bar0)
    put(config, 0x1C, 8, bar3)
    put(config, 0x04, 2, 6)
    put(config, 0x42, 2, number(config, 0x42, 2) | 0x8000)
    kind = ResourceFlag.MEM | ResourceFlag.PREFETCH | ResourceFlag.MEM_64 | 0xC
    resources = [Resource()] * 7
    resources[0] = Resource(bar0, personality.bar0_size, kind)
    resources[3] = Resource(bar3, 16 << 10, kind)
    view = PciFunctionView(Address(0, 0, 5, 0), config.read(0, config.size), tuple(resources))
    return render([view], Options(Names(), detail=3))


def test_lspci_shows_0dd5_as_a_device_with_msix_and_two_bars():
    text = lspci(SIOV, 0xFE_0000_0000, 0xFE_0400_0000)
    assert text.startswith("00:05.0 Class 0200: Device 8086:0dd5")
    assert "Region 0: Memory at fe00000000 (64-bit, prefetchable) [size=64M]" in text
    assert "Region 3: Memory at fe04000000 (64-bit, prefetchable) [size=16K]" in text
    assert "Capabilities: [40] MSI-X: Enable+ Count=5 Masked-" in text
    assert "Vector table: BAR=3 offset=00000000" in text
    assert "PBA: BAR=3 offset=00002000" in text
    assert "Express" not in text


def test_lspci_shows_1889_as_an_endpoint_that_can_be_reset():
    text = lspci(AVF, 0xFE_0000_0000, 0xFE_0001_0000)
    assert "Region 0: Memory at fe00000000 (64-bit, prefetchable) [size=64K]" in text
    assert "Capabilities: [40] MSI-X: Enable+ Count=5 Masked-" in text
    assert "Capabilities: [50] Express (v2) Endpoint" in text
    assert "FLReset+" in text
    assert "LnkCap:\tPort #0, Speed 16GT/s, Width x16" in text
