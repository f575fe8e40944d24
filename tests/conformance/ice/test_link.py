"""The link: its state, its speed, and that everybody hears of a change (ice_link_event)."""

import pytest

from siov.drivers.ice.reset import ice_reset


@pytest.fixture
def heard(pf):
    found = []
    pf.link.listeners.append(lambda state: found.append(state.up))
    return found


def test_the_link_is_up_with_its_speed_when_there_is_somebody_at_the_other_end(pf):
    assert pf.link.state.up
    assert pf.link.state.speed == 100_000
    assert pf.link.state.max_frame == 9728


def test_each_change_is_told_once_and_the_next_one_too(server, pf, heard):
    for n in range(3):
        pf.link.set_enabled(False)
        server.pump()
        assert heard == [False, True] * n + [False]
        assert (pf.link.state.up, pf.link.state.speed) == (False, 0)
        pf.link.set_enabled(True)
        server.pump()
        assert heard == [False, True] * (n + 1)


def test_the_interface_hears_of_it(server):
    pf = server.load(queues=1)
    assert pf.netdev.carrier
    pf.link.set_enabled(False)
    server.pump()
    assert not pf.netdev.carrier


def test_after_a_reset_of_the_device_changes_are_told_again(server, pf, heard):
    ice_reset(pf, "CORER")
    pf.link.set_enabled(False)
    server.pump()
    assert heard == [False]


def test_the_greatest_frame_of_the_port_can_be_set(pf):
    pf.link.set_max_frame(2000)
    assert pf.link.update().max_frame == 2000
