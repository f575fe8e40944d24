"""What a function does with an error it sees, register by register (PCIe 6.2)."""

import pytest

from siov.hw.pcie import capability
from siov.hw.pcie.compose import Identity, endpoint, type0_config
from siov.hw.pcie.config import Bar
from siov.hw.pcie.tlp import Bdf, Msg
from siov.spec.pcie import ExpressType
from siov.spec.pcie.tlp import MessageCode

# Device Status and Device Control.
CED, NFED, FED, URD = 1, 2, 4, 8
CERE, NFERE, FERE, URRE = 1, 2, 4, 8
ALL = CERE | NFERE | FERE | URRE
# AER: offsets in the capability, and bits.
UESTA, UEMSK, UESVRT, CESTA, CEMSK, CAP, HDRLOG, RECMD, RESTA, ERRSRC = (
    0x04, 0x08, 0x0C, 0x10, 0x14, 0x18, 0x1C, 0x2C, 0x30, 0x34,
)  # fmt: skip
CTO, UR = 1 << 14, 1 << 20
ADVNFERR = 1 << 13
SSE, RMA = 1 << 14, 1 << 13
SERRE = 0x100


def messages(rig):
    return [(str(tlp.requester), tlp.code) for _, tlp in rig.trace if isinstance(tlp, Msg)]


def log(rig, function):
    return tuple(rig.aer(function, HDRLOG + 4 * n) for n in range(4))


def listen(rig, *ports):
    """Let the ports pass error messages on to the root."""
    for port in ports:
        rig.of(port).write(0x3E, 2, 2)


@pytest.fixture
def ready(rig):
    """Every report is on: the NIC's, and the way up to the root port; advisory errors are unmasked."""
    rig.devctl(rig.nic, ALL)
    rig.set_aer(rig.nic, CEMSK, 0)
    listen(rig, rig.rp0)
    return rig


# Unsupported requests that have a completion: the requester hears of them, so they are advisory.


def test_an_unsupported_read_is_advisory_and_by_default_masked(rig):
    rig.rc.read(rig.HOLE, 4)
    assert rig.devsta(rig.nic) == CED | URD
    assert rig.aer(rig.nic, CESTA) == ADVNFERR
    assert rig.aer(rig.nic, UESTA) == 0, "masked as advisory, it goes no further"
    assert log(rig, rig.nic) == (0, 0, 0, 0)
    assert rig.aer(rig.nic, CAP) & 0x1F == 0


def test_an_unmasked_advisory_error_is_logged_and_sent_as_err_cor(ready):
    ready.rc.read(ready.HOLE + 4, 4)
    assert ready.devsta(ready.nic) == CED | URD
    assert ready.aer(ready.nic, CESTA) == ADVNFERR
    assert ready.aer(ready.nic, UESTA) == UR
    assert ready.aer(ready.nic, CAP) & 0x1F == 20
    assert log(ready, ready.nic) == (0x0000_0001, 0x0000_000F, 0xC008_0004, 0)
    assert ready.aer(ready.rp0, RESTA) & 0x7F == 1
    assert ready.aer(ready.rp0, ERRSRC) == 0x0000_0100


def test_the_header_log_of_a_64_bit_read_has_four_double_words(ready):
    ready.rc.read(ready.HOLE_HIGH + 8, 8)
    assert log(ready, ready.nic) == (0x2000_0002, 0x0000_00FF, 0x0000_0040, 0x0010_0008)


def test_a_masked_uncorrectable_bit_withholds_the_log_of_an_advisory_error_but_not_err_cor(ready):
    ready.set_aer(ready.nic, UEMSK, UR)
    ready.rc.read(ready.HOLE, 4)
    assert ready.aer(ready.nic, UESTA) == UR
    assert log(ready, ready.nic) == (0, 0, 0, 0)
    assert ready.aer(ready.nic, CAP) & 0x1F == 0
    assert ready.aer(ready.rp0, RESTA) & 1, "ERR_COR is held back by the correctable mask only"


@pytest.mark.parametrize("control", [ALL & ~CERE, ALL & ~URRE])
def test_err_cor_of_an_advisory_error_needs_both_of_its_enables(ready, control):
    ready.devctl(ready.nic, control)
    ready.rc.read(ready.HOLE, 4)
    assert ready.aer(ready.nic, UESTA) == UR
    assert ready.aer(ready.rp0, RESTA) == 0


def test_an_advisory_error_of_fatal_severity_is_no_longer_advisory(ready):
    ready.set_aer(ready.nic, UESVRT, UR)
    ready.rc.read(ready.HOLE, 4)
    assert ready.devsta(ready.nic) == FED | URD
    assert ready.aer(ready.nic, CESTA) == 0
    assert ready.aer(ready.nic, UESTA) == UR
    assert ready.aer(ready.rp0, RESTA) & 0x7F == 1 << 2 | 1 << 4 | 1 << 6
    assert ready.aer(ready.rp0, ERRSRC) == 0x0100_0000


# Unsupported requests that are posted: nobody else hears of them.


def test_an_unsupported_write_is_non_fatal(ready):
    ready.rc.write(ready.HOLE + 6, b"ab")
    assert ready.devsta(ready.nic) == NFED | URD
    assert ready.aer(ready.nic, CESTA) == 0
    assert ready.aer(ready.nic, UESTA) == UR
    assert ready.aer(ready.nic, CAP) & 0x1F == 20
    assert log(ready, ready.nic) == (0x4000_0001, 0x0000_000C, 0xC008_0004, 0)
    assert ready.aer(ready.rp0, RESTA) & 0x7F == 1 << 2 | 1 << 5
    assert ready.aer(ready.rp0, ERRSRC) == 0x0100_0000
    assert ready.secondary(ready.rp0) & 1 << 14, "Received System Error"
    assert ready.of(ready.nic).read(6, 2) & SSE == 0, "SERR# Enable is off"


def test_a_masked_error_sets_its_status_and_sends_nothing(ready):
    ready.set_aer(ready.nic, UEMSK, UR)
    ready.rc.write(ready.HOLE, b"abcd")
    assert ready.devsta(ready.nic) == NFED | URD
    assert ready.aer(ready.nic, UESTA) == UR
    assert log(ready, ready.nic) == (0, 0, 0, 0)
    assert ready.aer(ready.rp0, RESTA) == 0


@pytest.mark.parametrize("control", [ALL & ~NFERE, ALL & ~URRE, 0])
def test_a_report_that_is_not_enabled_is_logged_but_not_sent(ready, control):
    ready.devctl(ready.nic, control)
    ready.rc.write(ready.HOLE, b"abcd")
    assert ready.aer(ready.nic, UESTA) == UR
    assert ready.aer(ready.rp0, RESTA) == 0
    assert ready.of(ready.nic).read(6, 2) & SSE == 0


def test_serr_enable_reports_as_well_and_notes_that_it_did(ready):
    ready.devctl(ready.nic, 0)
    ready.command(ready.nic, 6 | SERRE)
    ready.rc.write(ready.HOLE, b"abcd")
    assert ready.aer(ready.rp0, RESTA) & 0x7F == 1 << 2 | 1 << 5
    assert ready.of(ready.nic).read(6, 2) & SSE


def test_serr_enable_reports_no_advisory_error(ready):
    ready.devctl(ready.nic, 0)
    ready.command(ready.nic, 6 | SERRE)
    ready.rc.read(ready.HOLE, 4)
    assert ready.aer(ready.rp0, RESTA) == 0
    assert ready.of(ready.nic).read(6, 2) & SSE == 0


def test_a_write_of_fatal_severity_is_sent_as_err_fatal(ready):
    ready.set_aer(ready.nic, UESVRT, UR)
    ready.rc.write(ready.HOLE, b"abcd")
    assert ready.devsta(ready.nic) == FED | URD
    assert ready.aer(ready.rp0, RESTA) & 0x7F == 1 << 2 | 1 << 4 | 1 << 6


@pytest.mark.parametrize(("severity", "wanted"), [(0, NFERE), (UR, FERE)])
def test_each_severity_has_its_own_enable(ready, severity, wanted):
    ready.set_aer(ready.nic, UESVRT, severity)
    ready.devctl(ready.nic, ALL & ~wanted)
    ready.rc.write(ready.HOLE, b"abcd")
    assert ready.aer(ready.rp0, RESTA) == 0
    ready.devctl(ready.nic, wanted | URRE)
    ready.rc.write(ready.HOLE, b"abcd")
    assert ready.aer(ready.rp0, RESTA) != 0


# The first error.


def test_pointer_and_log_belong_to_the_first_error_until_its_bit_is_cleared(ready):
    ready.rc.write(ready.HOLE, b"abcd")
    first = log(ready, ready.nic)
    ready.rc.write(ready.HOLE + 8, b"abcdefgh")
    assert log(ready, ready.nic) == first
    ready.set_aer(ready.nic, UESTA, UR)
    assert ready.aer(ready.nic, UESTA) == 0
    ready.rc.write(ready.HOLE + 8, b"abcdefgh")
    assert log(ready, ready.nic) == (0x4000_0002, 0x0000_00FF, 0xC008_0008, 0)


def test_a_masked_bit_that_is_set_does_not_hold_the_log(rig):
    rig.set_aer(rig.rp0, UEMSK, CTO)
    rig.nic.answers = False
    rig.rc.read(rig.NIC, 4)
    assert (rig.aer(rig.rp0, UESTA), rig.aer(rig.rp0, CAP) & 0x1F) == (CTO, 0)
    rig.command(rig.rp0, 2)
    rig.nic1.dma_write(0x4000, b"abcd")
    assert rig.aer(rig.rp0, UESTA) == CTO | UR
    assert rig.aer(rig.rp0, CAP) & 0x1F == 20
    assert log(rig, rig.rp0) == (0x4000_0001, 0x0101_000F, 0x0000_4000, 0)


def test_status_and_log_outlive_a_function_level_reset(ready):
    ready.rc.write(ready.HOLE, b"abcd")
    before = log(ready, ready.nic)
    ready.devctl(ready.nic, 0x8000)
    assert ready.aer(ready.nic, UESTA) == UR
    assert log(ready, ready.nic) == before
    assert ready.aer(ready.nic, CAP) & 0x1F == 20
    assert ready.devsta(ready.nic) == 0, "Device Status is not sticky"


# Who sees it.


def test_on_a_link_the_device_sees_what_none_of_its_functions_has(rig):
    rig.rc.read(rig.HOLE, 4)
    assert [rig.devsta(f) for f in (rig.nic, rig.nic1, rig.rp0)] == [CED | URD, 0, 0]


def test_a_switch_s_upstream_port_sees_what_no_downstream_port_has(rig):
    rig.rc.read(0xC030_0000, 4)
    assert [rig.devsta(f) for f in (rig.up, rig.down0, rig.down1, rig.left, rig.rp1)] == [
        CED | URD,
        0,
        0,
        0,
        0,
    ]


def test_a_downstream_port_whose_memory_space_is_off_leaves_it_to_the_upstream_port(rig):
    rig.command(rig.down0, 4)
    rig.rc.read(rig.LEFT, 4)
    assert [rig.devsta(f) for f in (rig.up, rig.down0, rig.left)] == [CED | URD, 0, 0]


def test_a_function_whose_memory_space_is_off_sees_the_request_itself(rig):
    rig.command(rig.left, 4)
    rig.rc.read(rig.LEFT, 4)
    assert rig.devsta(rig.left) == CED | URD


def test_a_read_over_the_end_of_a_bar_is_seen_by_its_function(rig):
    rig.rc.read(rig.NIC1 + 0xFFFC, 8)
    assert [rig.devsta(f) for f in (rig.nic, rig.nic1)] == [0, CED | URD]


def test_a_bridge_that_masters_nothing_sees_the_request_from_below_and_logs_who_sent_it(rig):
    rig.set_aer(rig.rp0, CEMSK, 0)
    rig.command(rig.rp0, 2)
    rig.nic1.dma_read(0x4000, 4)
    assert rig.devsta(rig.rp0) == CED | URD
    assert log(rig, rig.rp0) == (0x0000_0001, 0x0101_000F, 0x0000_4000, 0)
    rig.nic1.dma_write(0x4000, b"abcd")
    assert rig.devsta(rig.rp0) == CED | NFED | URD


def test_a_function_without_aer_notes_an_unsupported_write_and_sends_what_is_enabled(rig):
    function = plain(rig)
    rig.cfg(0, 9).write(0x48 + 8, 2, ALL)
    rig.rc.write(0xC900_FFFE, b"abcd")
    assert rig.cfg(0, 9).read(0x48 + 0xA, 2) == NFED | URD
    assert messages(rig) == [(str(function.bdf), MessageCode.ERR_NONFATAL)]


def test_a_function_without_aer_sends_nothing_for_an_advisory_error(rig):
    plain(rig)
    rig.cfg(0, 9).write(0x48 + 8, 2, ALL)
    rig.rc.read(0xC900_FFFE, 4)
    assert rig.cfg(0, 9).read(0x48 + 0xA, 2) & URD
    assert messages(rig) == []


def plain(rig):
    """An integrated endpoint with PCI Express at 48h and no AER, its BAR at C9000000h."""
    bars = [Bar(0, 0x10000, wide=False)]
    capabilities = [capability.power_management(), capability.express(ExpressType.RCIEP)]
    function = endpoint("plain", (9, 0), type0_config(Identity(1, 2, 3), capabilities, bars), bars)
    rig.rc.attach(function)
    rig.cfg(0, 9).write(0x10, 4, 0xC900_0000)
    rig.cfg(0, 9).write(4, 2, 6)
    rig.trace.clear()
    return function


# Messages on the way up.


def test_a_message_passes_every_bridge_that_is_told_to_pass_it(rig):
    rig.devctl(rig.left, ALL)
    listen(rig, rig.down0, rig.up, rig.rp1)
    for port in (rig.down0, rig.up, rig.rp1):
        rig.command(port, 6 | SERRE)
    rig.rc.write(0xC010_FFFE, b"abcd")
    assert rig.aer(rig.rp1, RESTA) & 0x7F == 1 << 2 | 1 << 5
    assert rig.aer(rig.rp1, ERRSRC) == 0x0400_0000
    assert rig.aer(rig.rp0, RESTA) == 0


@pytest.mark.parametrize("name", ["down0", "up", "rp1"])
def test_a_bridge_without_serr_enable_on_its_secondary_side_stops_a_message(rig, name):
    rig.devctl(rig.left, ALL)
    listen(rig, *(p for p in (rig.down0, rig.up, rig.rp1) if p is not getattr(rig, name)))
    rig.rc.write(0xC010_FFFE, b"abcd")
    assert rig.aer(rig.rp1, RESTA) == 0
    assert rig.secondary(getattr(rig, name)) & 1 << 14, "it was received though"


def test_a_second_message_of_a_kind_is_noted_as_multiple_and_the_first_source_stays(ready):
    ready.devctl(ready.nic1, ALL)
    ready.set_aer(ready.nic1, CEMSK, 0)
    ready.rc.read(ready.HOLE, 4)
    ready.rc.read(ready.NIC1 + 0xFFFE, 4)
    assert ready.aer(ready.rp0, RESTA) & 0x7F == 0b11
    assert ready.aer(ready.rp0, ERRSRC) == 0x0000_0100


def test_correctable_and_uncorrectable_messages_have_their_own_source(ready):
    ready.devctl(ready.nic1, ALL)
    ready.rc.read(ready.HOLE, 4)
    ready.rc.write(ready.NIC1 + 0xFFFE, b"abcd")
    assert ready.aer(ready.rp0, RESTA) & 0x7F == 1 | 1 << 2 | 1 << 5
    assert ready.aer(ready.rp0, ERRSRC) == 0x0101_0100


def test_first_uncorrectable_fatal_is_said_of_the_first_message_only(ready):
    ready.rc.write(ready.HOLE, b"abcd")
    ready.set_aer(ready.nic, UESVRT, UR)
    ready.rc.write(ready.HOLE, b"abcd")
    assert ready.aer(ready.rp0, RESTA) & 0x7F == 1 << 2 | 1 << 3 | 1 << 5 | 1 << 6


def test_the_root_s_status_is_cleared_by_ones_and_takes_the_next_source(ready):
    ready.devctl(ready.nic1, ALL)
    ready.rc.write(ready.HOLE, b"abcd")
    ready.set_aer(ready.rp0, RESTA, 0x7F)
    assert ready.aer(ready.rp0, RESTA) == 0
    ready.rc.write(ready.NIC1 + 0xFFFE, b"abcd")
    assert ready.aer(ready.rp0, RESTA) & 0x7F == 1 << 2 | 1 << 5
    assert ready.aer(ready.rp0, ERRSRC) == 0x0101_0000


def test_the_header_of_an_error_message_is_the_specification_s():
    assert Msg(Bdf(4, 0, 1), MessageCode.ERR_NONFATAL).header() == (0x3000_0000, 0x0401_0031, 0, 0)


# Completion timeouts.


def test_a_read_that_nobody_answers_reads_ones_and_the_root_port_notes_a_timeout(rig):
    rig.nic.answers = False
    assert rig.rc.read(rig.NIC, 4) == b"\xff" * 4
    assert rig.aer(rig.rp0, UESTA) == CTO
    assert rig.aer(rig.rp0, CAP) & 0x1F == 14
    assert rig.devsta(rig.rp0) == NFED
    assert rig.secondary(rig.rp0) & RMA == 0, "no completion came, so none said unsupported"


@pytest.mark.parametrize("access", ["read", "write"])
def test_a_configuration_request_that_nobody_answers_times_out_too(rig, access):
    rig.nic.answers = False
    config = rig.cfg(1, 0)
    assert (config.read(0, 4) if access == "read" else config.write(4, 2, 0)) in (0xFFFF_FFFF, None)
    assert rig.aer(rig.rp0, UESTA) == CTO
    assert rig.cfg(1, 0, 1).read(0, 4) == 0x1592_8086, "its neighbour still answers"


def test_a_posted_write_that_nobody_takes_times_out_nowhere(rig):
    rig.nic.answers = False
    rig.rc.write(rig.NIC, b"abcd")
    rig.rc.write(rig.HOLE, b"abcd")
    assert rig.aer(rig.rp0, UESTA) == 0


def test_a_device_that_hangs_does_not_answer_for_an_address_that_is_nobody_s_either(rig):
    rig.nic.answers = False
    rig.rc.read(rig.HOLE, 4)
    assert rig.aer(rig.rp0, UESTA) == CTO
    rig.nic.answers = True
    assert rig.devsta(rig.nic) == 0


def test_a_timeout_s_header_is_not_logged_as_the_capability_says(rig):
    rig.nic.answers = False
    rig.rc.read(rig.NIC, 4)
    assert rig.aer(rig.rp0, CAP) >> 12 & 1 == 0, "not capable of logging headers of timeouts"
    assert log(rig, rig.rp0) == (0, 0, 0, 0)


def test_a_switch_that_hangs_takes_everything_below_with_it(rig):
    rig.up.answers = False
    assert rig.rc.read(rig.LEFT, 4) == b"\xff" * 4
    assert rig.cfg(5, 0).read(0, 4) == 0xFFFF_FFFF
    assert rig.aer(rig.rp1, UESTA) == CTO


def test_a_timeout_is_sent_when_it_is_enabled_and_the_root_port_is_its_own_source(rig):
    rig.devctl(rig.rp0, NFERE)
    rig.nic.answers = False
    rig.rc.read(rig.NIC, 4)
    assert rig.aer(rig.rp0, RESTA) & 0x7F == 1 << 2 | 1 << 5
    assert rig.aer(rig.rp0, ERRSRC) == 0x0008_0000


def test_a_function_whose_peer_does_not_answer_notes_the_timeout_itself(rig):
    rig.right.answers = False
    assert rig.left.dma_read(rig.RIGHT, 4) is None
    assert rig.aer(rig.left, UESTA) == CTO
    assert rig.devsta(rig.left) == NFED
