"""The switch: rules, VEB and VEPA, what a VSI may send and gets to see (ice_switch.c, ice_lib.c)."""

import pytest

from siov._core import Port
from siov.spec.e810 import AqRc, RecipeId, SingleAction, VsiProperties

from .driver import BROADCAST, E810Driver, Properties, forward, to_queue
from .frames import TOEPLITZ_KEY, A, B, plain, udp_frame
from .machine import Machine

FAR = bytes([2, 0xFA, 0, 0, 0, 1])
OTHER = bytes([2, 0, 0, 0, 0, 0x77])
MULTI = bytes([1, 0, 0x5E, 0, 0, 1])


def switch(vsi, *, allow=1, local=1, prune=1, lan=1, vlan=0):
    flags = VsiProperties.SW_FLAGS.of(ALLOW_LB=allow, LOCAL_LB=local, SRC_PRUNE=prune)
    more = VsiProperties.SW_FLAGS2.of(LAN_ENA=lan, RX_VLAN_PRUNE_ENA=vlan)
    vsi.update(Properties().valid("SW_VALID").set(flags).set(more))


def security(vsi, **flags):
    vsi.set("SECURITY_VALID", VsiProperties.SEC_FLAGS.of(**flags))


# Look-ups.


def test_a_rule_with_lan_enable_sends_out_as_well(nic, wire):
    one, two = nic.vsi(1), nic.vsi(2, rule=False)
    nic.add_mac(two, B, lan=True)
    one.tx[0].send(plain())
    assert two.frames() == [plain()]
    assert wire.take() == [plain()]


def test_a_rule_without_loopback_does_not_reach_a_neighbour_but_the_port_still_does(nic, wire, machine):
    one, two = nic.vsi(1), nic.vsi(2, rule=False)
    nic.rule(RecipeId.MAC, forward(two.number, lan=True, loopback=False), tx=True, source=two.number, mac=B)
    one.tx[0].send(plain())
    assert two.frames() == []
    assert wire.take() == [plain()]
    wire.send(machine, plain())
    assert two.frames() == [plain()]


def test_a_mac_vlan_rule_takes_frames_of_that_vlan_only(nic, wire, machine):
    vsi = nic.vsi(1, rule=False)
    nic.add_mac(vsi, A, vlan=5)
    five, six = plain(A, FAR, tags=((0x8100, 5),)), plain(A, FAR, tags=((0x8100, 6),))
    wire.send(machine, five, six, plain(A, FAR))
    assert vsi.frames() == [five]


def test_the_priority_of_a_tag_is_no_part_of_its_vlan(nic, wire, machine):
    vsi = nic.vsi(1, rule=False)
    nic.add_mac(vsi, A, vlan=5)
    frame = plain(A, FAR, tags=((0x8100, 0xE005),))
    wire.send(machine, frame)
    assert vsi.frames() == [frame]


def test_an_ethertype_rule_takes_all_frames_of_it(nic, wire, machine):
    vsi = nic.vsi(1, rule=False)
    nic.rule(RecipeId.ETHERTYPE, forward(vsi.number), ethertype=0x88B5)
    wire.send(machine, plain(OTHER, FAR), udp_frame(dst=OTHER, src=FAR))
    assert vsi.frames() == [plain(OTHER, FAR)]


def test_an_ethertype_rule_looks_behind_a_tag(nic, wire, machine):
    vsi = nic.vsi(1, rule=False)
    nic.rule(RecipeId.ETHERTYPE, forward(vsi.number), ethertype=0x88B5)
    frame = plain(OTHER, FAR, tags=((0x8100, 9),))
    wire.send(machine, frame)
    assert vsi.frames() == [frame]


def test_a_promiscuous_rule_takes_all_addresses_of_its_kind(nic, wire, machine):
    vsi = nic.vsi(1, rule=False)
    nic.rule(RecipeId.PROMISC, forward(vsi.number), mac=MULTI)
    wire.send(machine, plain(OTHER, FAR), plain(MULTI, FAR), plain(b"\x33\x33" + bytes(4), FAR))
    assert vsi.frames() == [plain(MULTI, FAR), plain(b"\x33\x33" + bytes(4), FAR)]


def test_a_frame_is_copied_to_its_owner_and_to_who_is_promiscuous_once_each(nic, wire, machine):
    owner, spy = nic.vsi(1), nic.vsi(2)
    nic.rule(RecipeId.PROMISC, forward(spy.number), mac=bytes(6))
    wire.send(machine, plain(A, FAR), plain(B, FAR))
    assert owner.frames() == [plain(A, FAR)]
    assert spy.frames() == [plain(A, FAR), plain(B, FAR)]


def test_the_default_rule_takes_what_no_other_rule_takes(nic, wire, machine):
    owner, default = nic.vsi(1), nic.vsi(2, rule=False, promiscuous=True)
    wire.send(machine, plain(A, FAR), plain(OTHER, FAR))
    assert owner.frames() == [plain(A, FAR)]
    assert default.frames() == [plain(OTHER, FAR)]


def test_a_drop_rule_drops(nic, wire, machine):
    vsi = nic.vsi(1, rule=False)
    nic.rule(RecipeId.MAC, SingleAction.of(VALID=1, DROP=1), mac=A)
    wire.send(machine, plain(A, FAR))
    assert vsi.frames() == []
    assert vsi.counter("GLV_RDPC") == 0


def test_a_rule_to_a_queue_goes_by_rss(nic, wire, machine):
    vsi = nic.vsi(1, queues=4, rule=False)
    nic.rss(vsi, bytes(64), TOEPLITZ_KEY)
    nic.rule(RecipeId.MAC, to_queue(vsi.first + 2), mac=A)
    wire.send(machine, udp_frame(dst=A, src=FAR))
    assert [len(vsi.frames(n)) for n in range(4)] == [0, 0, 1, 0]


def test_a_rule_that_is_changed_or_removed_works_so_at_once(nic, wire, machine):
    one, two = nic.vsi(1, rule=False), nic.vsi(2, rule=False)
    rule = nic.add_mac(one, OTHER)
    wire.send(machine, plain(OTHER, FAR))
    nic.update_rule(rule, forward(two.number))
    wire.send(machine, plain(OTHER, FAR))
    nic.remove_rule(rule)
    wire.send(machine, plain(OTHER, FAR))
    assert (len(one.frames()), len(two.frames())) == (1, 1)


def test_two_rules_for_the_same_are_refused(nic):
    one, two = nic.vsi(1), nic.vsi(2)
    nic.rule(RecipeId.MAC, forward(two.number), tx=True, source=one.number, mac=A, expect=AqRc.EEXIST)


def test_a_freed_vsi_gets_nothing_and_its_address_is_unknown(nic, wire):
    one, two = nic.vsi(1), nic.vsi(2)
    nic.disable_tx(two.tx[0])
    nic.free_vsi(two)
    before = two.rx[0].raw(0)
    one.tx[0].send(plain())
    assert wire.take() == [plain()]
    assert two.rx[0].raw(0) == before


# VEB and VEPA.


def test_in_a_veb_frames_between_vsis_stay_inside(nic, wire):
    one, two = nic.vsi(1), nic.vsi(2)
    one.tx[0].send(plain())
    assert two.frames() == [plain()]
    assert wire.take() == []


def vepa(nic, *vsis):
    """As ice does it: no VSI allows loopback, all rules send out."""
    for vsi in vsis:
        switch(vsi, allow=0, local=0)


def test_in_a_vepa_a_frame_to_a_neighbour_goes_out(nic, wire):
    one, two = nic.vsi(1, rule=False), nic.vsi(2, rule=False)
    nic.add_mac(one, A, lan=True)
    nic.add_mac(two, B, lan=True)
    vepa(nic, one, two)
    one.tx[0].send(plain())
    assert two.frames() == []
    assert wire.take() == [plain()]


def test_in_a_vepa_a_bridge_that_sends_back_brings_frames_to_the_neighbour():
    from siov._core import Clock

    [port] = Port.bridge(1, Clock(virtual=True), reflective_relay=True)
    nic = E810Driver(Machine(port=port))
    one, two = nic.vsi(1, rule=False), nic.vsi(2, rule=False)
    nic.add_mac(one, A, lan=True)
    nic.add_mac(two, B, lan=True)
    vepa(nic, one, two)
    one.tx[0].send(plain())
    nic.machine.pump()
    assert two.frames() == [plain()]
    assert one.frames() == []


def test_in_a_vepa_the_senders_own_broadcast_that_comes_back_is_pruned(nic, wire, machine):
    """SRC_PRUNE: a frame from the port whose source is one's own address is one's own."""
    one, two = nic.vsi(1), nic.vsi(2)
    nic.broadcast(one, two)
    vepa(nic, one, two)
    wire.send(machine, plain(BROADCAST, A))
    assert one.frames() == []
    assert two.frames() == [plain(BROADCAST, A)]


def test_without_source_pruning_it_is_received(nic, wire, machine):
    one, two = nic.vsi(1), nic.vsi(2)
    nic.broadcast(one, two)
    switch(one, prune=0)
    wire.send(machine, plain(BROADCAST, A))
    assert one.frames() == [plain(BROADCAST, A)]


def test_a_vsi_without_lan_enable_reaches_no_port(nic, wire):
    one, two = nic.vsi(1), nic.vsi(2)
    switch(one, lan=0)
    one.tx[0].send(plain(FAR, A), plain())
    assert wire.take() == []
    assert two.frames() == [plain()]


def test_a_sender_that_allows_no_loopback_reaches_no_neighbour(nic, wire):
    one, two = nic.vsi(1), nic.vsi(2)
    switch(one, allow=0, local=0)
    one.tx[0].send(plain())
    assert two.frames() == []


# Security.


def test_anti_spoofing_drops_frames_with_a_foreign_source(nic, wire):
    one, two = nic.vsi(1), nic.vsi(2)
    security(one, ENA_MAC_ANTI_SPOOF=1)
    one.tx[0].send(plain(B, FAR), plain(FAR, B), plain(B, A))
    assert two.frames() == [plain(B, A)]
    assert wire.take() == []


def test_without_it_any_source_goes(nic):
    one, two = nic.vsi(1), nic.vsi(2)
    one.tx[0].send(plain(B, FAR))
    assert two.frames() == [plain(B, FAR)]


def test_anti_spoofing_lets_every_address_of_the_vsi_pass(nic):
    one, two = nic.vsi(1), nic.vsi(2)
    nic.add_mac(one, OTHER)
    security(one, ENA_MAC_ANTI_SPOOF=1)
    one.tx[0].send(plain(B, OTHER))
    assert two.frames() == [plain(B, OTHER)]


def test_vlan_pruning_keeps_frames_of_other_vlans_away(nic, wire, machine):
    one, two = nic.vsi(1), nic.vsi(2)
    nic.vlan(5, one)
    nic.vlan(6, two)
    switch(one, vlan=1)
    five, six = plain(A, FAR, tags=((0x8100, 5),)), plain(A, FAR, tags=((0x8100, 6),))
    wire.send(machine, five, six)
    assert one.frames() == [five]


def test_a_member_of_several_vlans_gets_them_all(nic, wire, machine):
    one = nic.vsi(1)
    nic.vlan(5, one)
    nic.vlan(6, one)
    switch(one, vlan=1)
    five, six = plain(A, FAR, tags=((0x8100, 5),)), plain(A, FAR, tags=((0x8100, 6),))
    wire.send(machine, five, six)
    assert one.frames() == [five, six]


def test_without_vlan_pruning_all_vlans_arrive(nic, wire, machine):
    one = nic.vsi(1)
    six = plain(A, FAR, tags=((0x8100, 6),))
    wire.send(machine, six)
    assert one.frames() == [six]


def test_a_vsi_that_prunes_on_sending_sends_only_its_vlans(nic, wire):
    one = nic.vsi(1)
    nic.vlan(5, one)
    security(one, TX_VLAN_PRUNE_ENA=1)
    five, six = plain(FAR, A, tags=((0x8100, 5),)), plain(FAR, A, tags=((0x8100, 6),))
    one.tx[0].send(five, six)
    assert wire.take() == [five]


# The descriptor's override.


@pytest.mark.parametrize("allowed", [True, False])
def test_a_descriptor_overrides_the_switch_only_where_the_vsi_may(nic, wire, allowed):
    from siov.spec.e810 import SWTCH

    one, two = nic.vsi(1), nic.vsi(2)
    security(one, ALLOW_DEST_OVRD=int(allowed))
    one.tx[0].ctx(SWTCH=SWTCH.UPLINK)
    one.tx[0].send(plain())
    if allowed:
        assert wire.take() == [plain()]
        assert two.frames() == []
    else:
        assert wire.take() == []


def test_an_override_names_the_vsi_in_the_low_bits_of_mss(nic, wire):
    from siov.spec.e810 import SWTCH

    one, two, three = nic.vsi(1), nic.vsi(2), nic.vsi(3)
    security(one, ALLOW_DEST_OVRD=1)
    one.tx[0].ctx(SWTCH=SWTCH.VSI, MSS=three.number)
    one.tx[0].send(plain())
    assert three.frames() == [plain()]
    assert two.frames() == []
    assert wire.take() == []


def test_local_keeps_a_frame_inside(nic, wire):
    from siov.spec.e810 import SWTCH

    one, two = nic.vsi(1), nic.vsi(2)
    nic.broadcast(one, two)
    security(one, ALLOW_DEST_OVRD=1)
    one.tx[0].ctx(SWTCH=SWTCH.LOCAL)
    one.tx[0].send(plain(BROADCAST, A))
    assert two.frames() == [plain(BROADCAST, A)]
    assert wire.take() == []


def test_a_frame_to_oneself_comes_back_only_with_local_loopback_and_without_source_pruning(nic):
    for local, prune, arrives in ((1, 0, True), (1, 1, False), (0, 0, False)):
        machine_nic = E810Driver(Machine())
        one = machine_nic.vsi(1)
        switch(one, local=local, prune=prune)
        one.tx[0].send(plain(A, A))
        assert bool(one.frames()) is arrives, (local, prune)


def test_a_rule_to_a_queue_that_no_vsi_has_is_refused(nic):
    """Queues that the device has, but the properties of no VSI name."""
    one = nic.vsi(1)
    nic.rule(RecipeId.DFLT, to_queue(2047), expect=AqRc.EINVAL)
    rule = nic.rule(RecipeId.DFLT, to_queue(one.first))
    with pytest.raises(AssertionError, match="EINVAL"):
        nic.update_rule(rule, to_queue(2047), tx=False)
    nic.remove_rule(rule, tx=False)
