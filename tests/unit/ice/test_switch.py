"""Rules in the switch: who has them, how VSIs share them, where frames go for them."""

from errno import EEXIST, EINVAL, ENOENT, EOPNOTSUPP

import pytest

from conformance.e810.frames import A, B, plain
from siov.drivers.ice.lookup import Drop, ToQueue
from siov.drivers.ice.switch import Switch
from siov.host.linux import LinuxError
from siov.spec.e810 import AqOpcode, AqRc, VsiProperties

from .rig import RefusedError, Rig

FAR = bytes([2, 0xFA, 0, 0, 0, 1])
OTHER = bytes([2, 0, 0, 0, 0, 0x77])
MULTI = bytes([1, 0, 0x5E, 0, 0, 1])
BROADCAST = b"\xff" * 6


@pytest.fixture
def switch(rig) -> Switch:
    return Switch(rig.aq)


@pytest.fixture
def three(rig):
    return [rig.vsi(n) for n in (1, 2, 3)]


def errno_of(call, *args, **kwargs) -> int:
    with pytest.raises(LinuxError) as caught:
        call(*args, **kwargs)
    return caught.value.errno


def tagged(vid, dst=A):
    return plain(dst, FAR, tags=((0x8100, vid),))


def firmware(rig):
    """What firmware holds: numbers of rules, members of lists."""
    fw = rig.machine.function.device.firmware
    return len(fw.rules.table), {n: sorted(v) for n, v in fw.resources.lists.items()}


# Addresses.


def test_in_a_veb_a_unicast_address_keeps_frames_inside_and_a_multicast_one_sends_them_out_too(
    rig, switch, three
):
    one, two, _ = three
    switch.add_mac(two.number, B)
    switch.add_mac(two.number, MULTI)
    one.tx[0].send(plain(B, A), plain(MULTI, A))
    assert two.frames() == [plain(B, A), plain(MULTI, A)]
    assert rig.sent() == [plain(MULTI, A)]


def test_a_broadcast_shared_by_several_vsis_reaches_each_and_the_port(rig, switch, three):
    for vsi in three:
        switch.add_mac(vsi.number, BROADCAST)
    rig.send(plain(BROADCAST, FAR))
    assert [vsi.frames() for vsi in three] == [[plain(BROADCAST, FAR)]] * 3
    three[0].tx[0].send(plain(BROADCAST, A))
    assert [len(vsi.frames()) for vsi in three] == [0, 1, 1]
    assert rig.sent() == [plain(BROADCAST, A)]


def test_a_vsi_that_gives_a_shared_address_up_leaves_it_to_the_others(rig, switch, three):
    one, two, three_ = three
    for vsi in three:
        switch.add_mac(vsi.number, MULTI)
    switch.del_mac(two.number, MULTI)
    rig.send(plain(MULTI, FAR))
    assert [len(vsi.frames()) for vsi in three] == [1, 0, 1]
    switch.del_mac(one.number, MULTI)
    rig.send(plain(MULTI, FAR))
    assert [len(vsi.frames()) for vsi in three] == [0, 0, 1]
    assert firmware(rig) == (1, {}), "one VSI needs no list"
    switch.del_mac(three_.number, MULTI)
    assert firmware(rig) == (0, {})


def test_the_same_rule_twice_is_eexist_and_one_that_is_not_there_enoent(switch, three):
    one, two, _ = three
    switch.add_mac(one.number, MULTI)
    assert errno_of(switch.add_mac, one.number, MULTI) == EEXIST
    assert errno_of(switch.del_mac, two.number, MULTI) == ENOENT
    assert errno_of(switch.del_mac, one.number, B) == ENOENT


@pytest.mark.parametrize("mac", [bytes(6), b"", bytes(5)])
def test_an_address_that_is_none_is_einval(switch, three, mac):
    assert errno_of(switch.add_mac, three[0].number, mac) == EINVAL


def test_a_mac_on_a_vlan_takes_frames_of_that_vlan_only(rig, switch, three):
    one = three[0]
    switch.add_mac(one.number, A, 5)
    rig.send(tagged(5), tagged(6), plain(A, FAR))
    assert one.frames() == [tagged(5)]
    assert errno_of(switch.add_mac, one.number, A, 4096) == EINVAL


# VLANs.


def test_a_vsi_that_prunes_receives_the_vlans_that_it_is_a_member_of(rig, switch, three):
    one, two, _ = three
    for vsi in (one, two):
        switch.add_mac(vsi.number, MULTI)
        rig.props[vsi.number].update(VsiProperties.SW_FLAGS2.of(LAN_ENA=1, RX_VLAN_PRUNE_ENA=1))
    switch.add_vlan(one.number, 5)
    switch.add_vlan(two.number, 5)
    switch.add_vlan(two.number, 6)
    rig.send(tagged(5, MULTI), tagged(6, MULTI), tagged(7, MULTI))
    assert one.frames() == [tagged(5, MULTI)]
    assert two.frames() == [tagged(5, MULTI), tagged(6, MULTI)]
    switch.del_vlan(two.number, 5)
    rig.send(tagged(5, MULTI), tagged(6, MULTI))
    assert one.frames() == [tagged(5, MULTI)]
    assert two.frames() == [tagged(6, MULTI)]


def test_a_vsi_may_be_a_member_of_all_vlans_for_they_share_a_list(rig, switch, three):
    one, two, _ = three
    for vid in range(1200):
        switch.add_vlan(one.number, vid)
    assert firmware(rig) == (1200, {0: [one.number]})
    switch.add_vlan(two.number, 7)
    assert firmware(rig)[1] == {0: [one.number], 1: [one.number, two.number]}
    switch.del_vlan(two.number, 7)
    assert firmware(rig)[1] == {0: [one.number]}


# Promiscuous, default and ethertype rules.


def test_a_promiscuous_vsi_sees_frames_of_the_port_and_of_neighbours_of_each_kind(rig, switch, three):
    one, two, spy = three
    switch.add_mac(two.number, B)
    switch.set_promisc(spy.number, unicast=True, multicast=False)
    one.tx[0].send(plain(B, A))
    rig.send(plain(B, FAR), plain(MULTI, FAR))
    assert spy.frames() == [plain(B, A), plain(B, FAR)]
    switch.set_promisc(spy.number, unicast=False, multicast=True)
    rig.send(plain(B, FAR), plain(MULTI, FAR), plain(BROADCAST, FAR))
    assert spy.frames() == [plain(MULTI, FAR)]
    switch.set_promisc(spy.number, unicast=False, multicast=False, broadcast=True)
    rig.send(plain(MULTI, FAR), plain(BROADCAST, FAR))
    assert spy.frames() == [plain(BROADCAST, FAR)]
    switch.set_promisc(spy.number, unicast=False, multicast=False)
    assert switch.of(spy.number) == []


def test_two_promiscuous_vsis_share_the_rule(rig, switch, three):
    _, two, spy = three
    for vsi in (two, spy):
        switch.set_promisc(vsi.number, unicast=True, multicast=True)
    rig.send(plain(OTHER, FAR))
    assert [len(vsi.frames()) for vsi in three] == [0, 1, 1]
    switch.set_promisc(two.number, unicast=False, multicast=False)
    rig.send(plain(OTHER, FAR))
    assert [len(vsi.frames()) for vsi in three] == [0, 0, 1]


def test_a_vsi_promiscuous_on_a_vlan_sees_that_vlan_only(rig, switch, three):
    one = three[0]
    switch.set_promisc(one.number, unicast=True, multicast=False, vlan=5)
    rig.send(tagged(5, OTHER), tagged(6, OTHER))
    assert one.frames() == [tagged(5, OTHER)]


def test_the_default_vsi_gets_what_no_rule_is_about(rig, switch, three):
    one, two, _ = three
    switch.add_mac(one.number, A)
    switch.set_default(two.number, rx=True)
    rig.send(plain(A, FAR), plain(OTHER, FAR))
    assert one.frames() == [plain(A, FAR)]
    assert two.frames() == [plain(OTHER, FAR)]
    switch.set_default(two.number, rx=False)
    rig.send(plain(OTHER, FAR))
    assert two.frames() == []


def test_an_ethertype_is_dropped_for_as_long_as_any_vsi_wants_it_so(rig, switch, three):
    one, two, _ = three
    drop = Drop()
    switch.add_ethertype(one.number, 0x88B5, tx=True, action=drop)
    switch.add_ethertype(two.number, 0x88B5, tx=True, action=drop)
    one.tx[0].send(plain(FAR, A))
    switch.remove_vsi(one.number)
    two.tx[0].send(plain(FAR, B))
    assert rig.sent() == []
    switch.del_ethertype(two.number, 0x88B5, tx=True)
    two.tx[0].send(plain(FAR, B))
    assert rig.sent() == [plain(FAR, B)]


def test_a_rule_that_does_something_else_or_names_a_queue_is_not_shared(switch, three):
    one, two, _ = three
    switch.add_ethertype(one.number, 0x88B5, tx=False, action=ToQueue(one.first))
    assert errno_of(switch.add_ethertype, two.number, 0x88B5, tx=False) == EOPNOTSUPP
    assert (
        errno_of(switch.add_ethertype, two.number, 0x88B5, tx=False, action=ToQueue(one.first)) == EOPNOTSUPP
    )


# A VSI's end, failures, resets.


def test_nothing_of_a_vsi_is_left_when_its_rules_are_removed(rig, switch, three):
    one, two, _ = three
    before = firmware(rig)
    for vsi in (one, two):
        switch.add_mac(vsi.number, MULTI)
        switch.add_vlan(vsi.number, 5)
        switch.set_promisc(vsi.number, unicast=True, multicast=True)
    switch.add_mac(one.number, A)
    switch.remove_vsi(one.number)
    rig.send(plain(A, FAR), plain(MULTI, FAR))
    assert one.frames() == []
    assert switch.of(one.number) == []
    switch.remove_vsi(two.number)
    assert firmware(rig) == before


@pytest.mark.parametrize(
    "refused", [AqOpcode.ADD_SW_RULES, AqOpcode.UPDATE_SW_RULES, AqOpcode.ALLOC_RES], ids=lambda op: op.name
)
def test_a_refusal_of_firmware_leaves_everything_as_it_was(rig, switch, three, refused):
    one, two, _ = three
    switch.add_mac(one.number, MULTI)
    for step, call in enumerate(
        (lambda: switch.add_mac(two.number, MULTI), lambda: switch.add_vlan(two.number, 9))
    ):
        before = firmware(rig)
        rig.aq.refuse = {refused: 0}
        if (step, refused) == (0, AqOpcode.ADD_SW_RULES):
            continue
        with pytest.raises(RefusedError):
            call()
        assert firmware(rig) == before
        assert switch.of(two.number) == []
    rig.aq.refuse = {}
    switch.add_mac(two.number, MULTI)
    rig.send(plain(MULTI, FAR))
    assert [len(vsi.frames()) for vsi in three] == [1, 1, 0]


def test_an_update_that_is_refused_after_the_list_was_made_gives_the_list_back(rig, switch, three):
    one, two, _ = three
    switch.add_mac(one.number, MULTI)
    rig.aq.refuse = {AqOpcode.UPDATE_SW_RULES: 1}  # the list is filled, the rule is not updated
    with pytest.raises(RefusedError):
        switch.add_mac(two.number, MULTI)
    assert firmware(rig) == (1, {})


def test_all_rules_come_back_after_a_reset_of_the_function(rig, switch, three):
    one, two, _ = three
    for vsi in (one, two):
        switch.add_mac(vsi.number, MULTI)
        switch.add_vlan(vsi.number, 5)
    switch.add_mac(two.number, B)
    switch.set_promisc(one.number, unicast=False, multicast=True)
    before = firmware(rig)
    rig.after_reset(*three)
    switch.reset()
    assert firmware(rig) == (0, {})
    one.tx[0].send(plain(B, A))
    assert two.frames() == []
    assert rig.sent() == [plain(B, A)]
    switch.replay()
    assert firmware(rig)[0] == before[0]
    assert sorted(firmware(rig)[1].values()) == sorted(before[1].values())
    one.tx[0].send(plain(B, A))
    rig.send(plain(MULTI, FAR))
    assert two.frames() == [plain(B, A), plain(MULTI, FAR)]
    assert rig.sent() == []


def test_a_vsi_gets_its_rules_back_under_another_number(rig, switch, three):
    one, two, _ = three
    switch.add_mac(one.number, A)
    switch.add_mac(two.number, MULTI)
    rig.after_reset(*three)
    switch.reset()
    switch.replay(one.number, two.number)
    rig.send(plain(A, FAR), plain(MULTI, FAR))
    assert two.frames() == [plain(A, FAR)]


def test_a_replay_goes_on_after_a_refusal_and_tells_of_it(rig, switch, three):
    one, two, _ = three
    switch.add_mac(one.number, A)
    switch.add_mac(two.number, B)
    rig.after_reset(*three)
    switch.reset()
    rig.aq.refuse = {AqOpcode.ADD_SW_RULES: 0}
    with pytest.raises(RefusedError) as caught:
        switch.replay()
    assert caught.value.rc is AqRc.ENOSPC
    assert switch.of(one.number) == []
    rig.send(plain(B, FAR))
    assert two.frames() == [plain(B, FAR)]


def test_every_rule_can_be_seen(switch, three):
    switch.add_mac(three[0].number, B)
    assert switch.inspect() == [
        {
            "lookup": "MAC 02:00:00:00:00:02", "direction": "tx", "action": "ToVsi",
            "vsis": [three[0].number], "lan": False,
        }
    ]  # fmt: skip


def test_a_veb_rule_never_sends_out_what_a_vepa_rule_does(rig: Rig, switch, three):
    one, two, _ = three
    switch.add_mac(two.number, B)
    switch.set_veb(False)
    one.tx[0].send(plain(B, A))
    assert rig.sent() == [plain(B, A)]
    switch.set_veb(True)
    one.tx[0].send(plain(B, A))
    assert rig.sent() == []
