"""BAR 0 of the two personalities, by offsets typed from iavf_register.h and siov_regs.h."""

import pytest

from siov.spec.e810 import Bar0
from siov.spec.vdev import AvfBar0, ResetState, VdevBar0

BOTH = {
    "QTX_TAIL1": 0x0000, "QRX_TAIL1": 0x2000, "VFINT_DYN_CTLN1": 0x3800, "VFINT_ITR01": 0x4C00,
    "VFINT_DYN_CTL01": 0x5C00, "VF_ARQBAH1": 0x6000, "VF_ATQH1": 0x6400, "VF_ATQLEN1": 0x6800,
    "VF_ARQBAL1": 0x6C00, "VF_ARQT1": 0x7000, "VF_ARQH1": 0x7400, "VF_ATQBAH1": 0x7800,
    "VF_ATQBAL1": 0x7C00, "VF_ARQLEN1": 0x8000, "VF_ATQT1": 0x8400, "VFGEN_RSTAT": 0x8800,
}  # fmt: skip
ADAPTIVE = {
    "VFINT_ITRN1": 0x2800, "VFINT_ICR01": 0x4800, "VFINT_ICR0_ENA1": 0x5000, "VFINT_STAT_CTL01": 0x5400,
    "VFQF_HENA": 0xC400, "VFQF_HKEY": 0xCC00, "VFQF_HLUT": 0xD000,
}  # fmt: skip
PAGES = {
    "VDEV_MBX": 0x20000, "VDEV_QRX_TAIL": 0x100000, "VDEV_QTX_TAIL": 0x1100000,
    "VDEV_INT_CTL01": 0x2100000, "VDEV_INT_CTL": 0x2101000,
}  # fmt: skip


@pytest.mark.parametrize(
    ("block", "size", "expected"),
    [(AvfBar0, 0x10000, BOTH | ADAPTIVE), (VdevBar0, 0x4000000, BOTH | PAGES)],
)
def test_a_personality_has_the_registers_of_its_drivers_header_and_no_others(block, size, expected):
    assert block.size == size
    assert {name: span.at for name, span in block.spans.items()} == expected


def test_a_row_of_registers_is_as_long_as_the_header_makes_it():
    rows = {name: (span.count, span.stride) for name, span in AvfBar0.spans.items() if span.count > 1}
    assert rows == {
        "QTX_TAIL1": (256, 4), "QRX_TAIL1": (256, 4), "VFINT_DYN_CTLN1": (64, 4), "VFINT_ITRN1": (48, 4),
        "VFINT_ITR01": (3, 4), "VFQF_HENA": (2, 4), "VFQF_HKEY": (13, 4), "VFQF_HLUT": (16, 4),
    }  # fmt: skip
    assert max(span.end for span in AvfBar0.spans.values()) == 0xD03C + 4


def test_a_mapped_page_holds_one_interface_only():
    pages = [VdevBar0.spans[name] for name in PAGES]
    assert all(span.stride >= 0x1000 or span.count == 1 for span in pages)
    assert all(span.at % 0x1000 == 0 and span.size <= 0x1000 for span in pages)
    below = max(span.end for name, span in VdevBar0.spans.items() if name in BOTH)
    assert below <= min(span.at for span in pages)


def test_the_mailbox_page_is_the_adapters_own():
    assert VdevBar0.spans["VDEV_MBX"].what is Bar0.spans["VSI_MBX"].what


def test_what_drivers_write_to_the_control_of_a_vector_has_the_fields_of_the_adapters_register():
    enable = AvfBar0.VFINT_DYN_CTL01(0x19)
    assert (enable.INTENA, enable.ITR_INDX, enable.INTERVAL) == (1, 3, 0)
    kick = AvfBar0.VFINT_DYN_CTLN1(0x0100_001D)
    assert (kick.SWINT_TRIG, kick.SW_ITR_INDX_ENA, kick.SW_ITR_INDX) == (1, 1, 0)
    assert AvfBar0.VFINT_ICR0_ENA1(0x4000_0000).ADMINQ == 1
    assert AvfBar0.VFINT_ICR01(1 << 30).ADMINQ == 1


def test_the_state_of_a_reset_has_two_bits_and_the_numbers_of_virtchnl():
    field = VdevBar0.VFGEN_RSTAT.VFR_STATE
    assert (field.mask, field.enum) == (3, ResetState)
    assert [int(state) for state in ResetState] == [0, 1, 2]
