"""VEB and VEPA: frames between neighbours stay inside, or go out and come back."""

from errno import EINVAL

import pytest

from conformance.e810.frames import A, B, plain
from siov._core import Clock, Port
from siov.drivers.ice.bridge import Bridge, BridgeMode
from siov.drivers.ice.switch import Switch
from siov.host.linux import LinuxError
from siov.spec.e810 import AqOpcode, VsiProperties

from .rig import RefusedError, Rig, flags, properties

BROADCAST = b"\xff" * 6


def bridged(rig):
    """Two VSIs with an address each and broadcasts."""
    vsis = [rig.vsi(1), rig.vsi(2)]
    switch = Switch(rig.aq)
    for vsi in vsis:
        switch.add_mac(vsi.number, vsi.mac)
        switch.add_mac(vsi.number, BROADCAST)
    return Bridge(switch, lambda: [rig.props[vsi.number] for vsi in vsis]), vsis


def test_in_a_veb_a_frame_for_a_neighbour_stays_inside(rig):
    _, (one, two) = bridged(rig)
    one.tx[0].send(plain(B, A))
    assert two.frames() == [plain(B, A)]
    assert rig.sent() == []


def test_in_a_vepa_it_goes_out_and_a_reflecting_bridge_brings_it_back():
    [port] = Port.bridge(1, Clock(virtual=True), reflective_relay=True)
    rig = Rig(port)
    bridge, (one, two) = bridged(rig)
    bridge.setlink(BridgeMode.VEPA)
    one.tx[0].send(plain(B, A), plain(BROADCAST, A))
    rig.machine.pump()
    assert two.frames() == [plain(B, A), plain(BROADCAST, A)]
    assert one.frames() == [], "its own broadcast came back and was pruned"


def test_in_a_vepa_without_such_a_bridge_neighbours_do_not_reach_each_other(rig):
    bridge, (one, two) = bridged(rig)
    bridge.setlink(BridgeMode.VEPA)
    one.tx[0].send(plain(B, A), plain(BROADCAST, A))
    assert two.frames() == []
    assert rig.sent() == [plain(B, A), plain(BROADCAST, A)]


def test_back_in_a_veb_all_is_as_it_was(rig):
    bridge, (one, two) = bridged(rig)
    for mode in (BridgeMode.VEPA, BridgeMode.VEB):
        bridge.setlink(mode)
        assert bridge.getlink() is mode
    one.tx[0].send(plain(B, A))
    assert two.frames() == [plain(B, A)]
    assert rig.sent() == []


def test_each_vsi_gets_both_loopback_flags_and_keeps_its_others(rig):
    bridge, vsis = bridged(rig)
    bridge.setlink(BridgeMode.VEPA)
    assert [flags(rig, vsi) for vsi in vsis] == [(0, 0), (0, 0)]
    assert properties(rig, vsis[0], VsiProperties.SW_FLAGS).SRC_PRUNE == 1
    assert properties(rig, vsis[0], VsiProperties.SW_FLAGS2).LAN_ENA == 1
    assert (bridge.flags().ALLOW_LB, bridge.flags().SRC_PRUNE) == (0, 1)
    bridge.setlink(BridgeMode.VEB)
    assert [flags(rig, vsi) for vsi in vsis] == [(1, 1), (1, 1)]


def test_the_mode_that_it_is_in_costs_no_command(rig):
    bridge, _ = bridged(rig)
    rig.aq.sent.clear()
    bridge.setlink(BridgeMode.VEB)
    assert rig.aq.sent == []


@pytest.mark.parametrize("mode", [2, 3, -1, 0xFFFF])
def test_another_mode_is_einval(rig, mode):
    bridge, _ = bridged(rig)
    with pytest.raises(LinuxError) as caught:
        bridge.setlink(mode)
    assert caught.value.errno == EINVAL
    assert bridge.mode is BridgeMode.VEB


@pytest.mark.parametrize(
    ("opcode", "after"),
    [
        (AqOpcode.UPDATE_VSI, 0),
        (AqOpcode.UPDATE_VSI, 1),
        (AqOpcode.UPDATE_SW_RULES, 0),
        (AqOpcode.UPDATE_SW_RULES, 1),
    ],
    ids=["first VSI", "second VSI", "first rule", "second rule"],
)
def test_what_firmware_refuses_half_way_is_undone(rig, opcode, after):
    bridge, vsis = bridged(rig)
    one, two = vsis
    rig.aq.refuse = {opcode: after}
    with pytest.raises(RefusedError):
        bridge.setlink(BridgeMode.VEPA)
    assert bridge.mode is BridgeMode.VEB
    assert bridge.switch.veb
    assert [flags(rig, vsi) for vsi in vsis] == [(1, 1), (1, 1)]
    one.tx[0].send(plain(B, A))
    two.tx[0].send(plain(A, B))
    assert two.frames() == [plain(B, A)]
    assert one.frames() == [plain(A, B)]
    assert rig.sent() == []
