"""The admin queue against firmware, and against one that is silent, broken or gone (ice_controlq.c)."""

import errno

import pytest

from conformance.ice.server import Server
from siov.drivers.ice.adminq import BUDGET, AqError
from siov.drivers.ice.caps import IceCaps, list_caps
from siov.host.linux import LinuxError
from siov.spec.e810 import (
    AqCapability,
    AqGetVersion,
    AqOpcode,
    AqRc,
    AqSchedGroup,
    AqVsi,
    Capability,
    QueueLength,
)


@pytest.fixture
def server():
    return Server(iommu=False)


@pytest.fixture
def pf(server):
    return server.load()


def test_a_command_is_answered_with_parameters_and_data(pf):
    assert pf.aq.send(AqOpcode.GET_VER).params(AqGetVersion).API_MAJOR == 1
    topology = pf.aq.send(AqOpcode.GET_DFLT_TOPO, room=4096).data
    assert AqSchedGroup.from_bytes(topology[:8]).NUM_ELEMS > 0


def test_the_rings_go_round(pf):
    for _ in range(500):
        assert pf.aq.send(AqOpcode.GET_VER).desc.OPCODE == AqOpcode.GET_VER


def test_a_refusal_names_command_and_code_and_is_eio(pf):
    with pytest.raises(AqError, match="FREE_VSI with ENOENT") as error:
        pf.aq.send(AqOpcode.FREE_VSI, AqVsi.of(VSI_NUM=700, IS_VALID=1))
    assert error.value.errno == errno.EIO
    assert error.value.rc is AqRc.ENOENT
    assert pf.aq.send(AqOpcode.GET_VER)


def test_a_buffer_over_4096_bytes_is_refused_before_firmware_sees_it(pf):
    before = pf.aq.commands
    with pytest.raises(LinuxError, match="at most 4096"):
        pf.aq.send(AqOpcode.GET_DFLT_TOPO, room=4097)
    assert pf.aq.commands == before


def test_firmware_that_does_not_answer_is_waited_for_and_then_given_up(pf):
    pf.aq.queue.poll = lambda condition, seconds: False
    with pytest.raises(LinuxError, match="does not answer") as error:
        pf.aq.send(AqOpcode.GET_VER)
    assert error.value.errno == errno.ETIMEDOUT


def test_a_ring_that_hardware_can_not_read_is_a_critical_error_until_the_next_reset(server, pf):
    server.nic.set("PF_FW_ATQBAH", 0x7FFF_FFFF)
    with pytest.raises(LinuxError, match="critical error"):
        pf.aq.send(AqOpcode.GET_VER)
    pf.aq.clean()
    pf.aq.clean()
    assert pf.aq.queue.errors == {"ATQ CRIT": 1}
    assert QueueLength(server.rd("PF_FW_ATQLEN")).CRIT, "hardware would stop again at once"
    pf.reset()
    assert pf.aq.send(AqOpcode.GET_VER)


def test_while_the_queue_is_shut_a_command_is_refused_at_once(pf):
    pf.aq.queue.close()
    with pytest.raises(LinuxError, match="is shut") as error:
        pf.aq.send(AqOpcode.GET_VER)
    assert error.value.errno == errno.EIO
    pf.aq.queue.open()
    assert pf.aq.send(AqOpcode.GET_VER)


def test_closing_takes_the_rings_away_from_hardware(server, pf):
    pf.aq.queue.close()
    names = [f"PF_FW_{q}{r}" for q in ("ATQ", "ARQ") for r in ("LEN", "BAL", "BAH", "H", "T")]
    assert [server.rd(name) for name in names] == [0] * len(names)


def test_many_events_are_handed_out_in_order_a_bounded_number_at_a_time(server, pf):
    from siov.hw.e810.firmware.adminq import Event
    from siov.spec.e810 import AqGetLinkStatus

    seen = []
    pf.aq.on(AqOpcode.GET_LINK_STATUS, lambda event: seen.append(event.data[0]))
    pf.oicr.stop()
    queue = server.function.firmware.queue
    for n in range(100):
        queue.post(Event(AqOpcode.GET_LINK_STATUS, AqGetLinkStatus.of(), bytes([n])))
        queue.serve()
    assert pf.aq.clean()
    assert seen == list(range(BUDGET))
    assert not pf.aq.clean()
    assert seen == list(range(100))


def test_an_event_that_nobody_wants_is_counted(server, pf):
    from siov.hw.e810.firmware.adminq import Event

    server.function.firmware.queue.post(Event(AqOpcode.GET_HEALTH_STATUS))
    server.pump()
    pf.aq.clean()
    assert pf.aq.unhandled == 1


def test_capabilities_are_read_by_what_they_are_about_and_unlisted_ones_are_none(pf):
    assert (pf.caps.vsis, pf.caps.rxqs, pf.caps.txqs, pf.caps.msix_vectors) == (768, 2048, 2048, 2048)
    assert pf.caps.fd_guaranteed + pf.caps.fd_best_effort == 16384
    element = AqCapability.of(CAP=Capability.RXQS, NUMBER=7, PHYS_ID=100)
    few = IceCaps.of([element])
    assert (few.rxqs, few.first_rxq, few.txqs) == (7, 100, 0)
    assert len(list_caps(pf.aq, AqOpcode.LIST_DEV_CAPS)) >= 10
