"""Registers by name: offsets against those in Intel's driver, and what there is not."""

import pytest

from siov.drivers.ice.hw import IceHw, offset_of


class Io:
    """A BAR whose registers read as their own offset."""

    base = 0x40_0000_0000

    def __init__(self) -> None:
        self.written: list[tuple[int, int]] = []

    def readl(self, offset: int) -> int:
        return offset

    def writel(self, offset: int, value: int) -> None:
        self.written.append((offset, value))


# The left side by its name, the right side as ice_hw_autogen.h and siov_regs.h have it.
KNOWN = [
    ("GLINT_DYN_CTL", 5, 0x0016_0000 + 4 * 5),
    ("GLINT_ITR", 2 * 2048 + 7, 0x0015_4000 + 2 * 8192 + 4 * 7),
    ("QRX_CONTEXT", 3 * 2048 + 9, 0x0028_0000 + 3 * 8192 + 4 * 9),
    ("QRX_CTRL", 2047, 0x0012_0000 + 4 * 2047),
    ("VPINT_MBX_CTL", 767, 0x0016_A000 + 4 * 767),
    ("VSIGEN_RSTAT", 3, 0x0009_2800 + 12),
    ("VSI_MBX_ATQBAL", 0, 0x0200_0000),
    ("VSI_MBX_ARQT", 767, 0x0200_0000 + 767 * 4096 + 0x24),
    ("INT_DYN_CTL", 2047, 0x0300_0000 + 2047 * 4096),
    ("INT_ITR1", 1, 0x0300_0000 + 4096 + 8),
    ("QRX_TAIL_PAGE", 2, 0x0380_0000 + 2 * 4096),
    ("QTX_COMM_DBELL_PAGE", 16383, 0x0400_0000 + 16383 * 4096),
    ("IMS_CONTROL", 1, 0x0C00_0000 + 16 + 12),
    ("IMS_INT_DYN_CTL", 1, 0x0800_0000 + 4096),
    ("GL_MBX_PASID", 0, 0x0023_1EC0),
]


@pytest.mark.parametrize(("name", "index", "offset"), KNOWN, ids=[name for name, _, _ in KNOWN])
def test_a_register_is_where_intels_driver_has_it(name, index, offset):
    assert offset_of(name, index) == offset
    hw = IceHw(Io())
    assert hw.rd(name, index) == offset
    assert hw.address(name, index) == Io.base + offset
    hw.wr(name, 7, index)
    assert hw.io.written == [(offset, 7)]


def test_a_counter_of_40_bits_is_read_by_its_two_halves():
    assert IceHw(Io()).rd64("GLV_GORC", 2) == 0x003B_0010 | 0x003B_0014 << 32


def test_a_name_or_an_element_that_is_none_is_our_own_mistake():
    with pytest.raises(KeyError, match="no register QRX_TALE"):
        offset_of("QRX_TALE")
    with pytest.raises(KeyError):
        offset_of("VSI_MBX_NOTHING")
    with pytest.raises(IndexError, match="0 to 767"):
        offset_of("VPINT_MBX_CTL", 768)


def test_a_device_that_is_gone_reads_as_all_ones():
    io = Io()
    assert not IceHw(io).gone
    io.readl = lambda offset: 0xFFFF_FFFF
    assert IceHw(io).gone
