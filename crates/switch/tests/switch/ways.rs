//! Inside, outside, and what keeps a frame from either.

use siov_switch::{Action, DropReason, Header, ListId, Lookup, Override, RuleId};

use crate::common::*;

#[test]
fn a_known_unicast_address_stays_inside() {
    let out = sent(&three(), 1, &frame(mac(1), mac(2)));
    assert_eq!((numbers(&out), out.port(), out.dropped()), (vec![2], None, None));
}

#[test]
fn an_unknown_unicast_address_goes_to_the_port_only() {
    let out = sent(&three(), 1, &frame(mac(1), OUTSIDE));
    assert_eq!((numbers(&out), out.port(), out.dropped()), (vec![], Some(0), None));
}

#[test]
fn a_broadcast_goes_to_the_others_inside_and_to_the_port() {
    let out = sent(&three(), 1, &frame(mac(1), BROADCAST));
    assert_eq!((numbers(&out), out.port()), (vec![2, 3], Some(0)));
    assert!(out.source_pruned().contains(vsi(1)));
}

#[test]
fn a_multicast_that_nobody_asked_for_goes_to_the_port() {
    let out = sent(&three(), 1, &frame(mac(1), MULTICAST));
    assert_eq!((numbers(&out), out.port()), (vec![], Some(0)));
}

#[test]
fn a_vsi_of_a_vepa_sends_everything_to_the_port() {
    let mut switch = three();
    with_flags(&mut switch, 1, |flags| flags.allow_lb = false);
    for dst in [mac(2), mac(1), BROADCAST, OUTSIDE] {
        let out = sent(&switch, 1, &frame(mac(1), dst));
        assert_eq!((numbers(&out), out.port()), (vec![], Some(0)));
    }
}

#[test]
fn lan_en_on_a_unicast_address_sends_a_copy_out_too() {
    let mut switch = three();
    switch.update_rule(RuleId(1), Action::Vsi(vsi(2)), true, true).unwrap();
    let out = sent(&switch, 1, &frame(mac(1), mac(2)));
    assert_eq!((numbers(&out), out.port()), (vec![2], Some(0)));
}

#[test]
fn without_lb_en_a_rule_gives_nothing_to_a_vsi_inside() {
    let mut switch = three();
    switch.update_rule(RuleId(1), Action::Vsi(vsi(2)), false, true).unwrap();
    let out = sent(&switch, 1, &frame(mac(1), mac(2)));
    assert_eq!((numbers(&out), out.port()), (vec![], Some(0)));
    assert_eq!(numbers(&received(&switch, &frame(OUTSIDE, mac(2)))), [2]);
}

#[test]
fn a_vsi_gets_its_own_frame_only_with_local_lb_and_without_source_pruning() {
    for (local_lb, src_prune) in [(false, false), (false, true), (true, true), (true, false)] {
        let mut switch = three();
        with_flags(&mut switch, 1, |flags| {
            (flags.local_lb, flags.src_prune) = (local_lb, src_prune);
        });
        let out = sent(&switch, 1, &frame(mac(1), mac(1)));
        let mine = local_lb && !src_prune;
        assert_eq!(out.vsis().contains(vsi(1)), mine);
        assert_eq!(out.dropped(), (!mine).then_some(DropReason::SourcePrune));
    }
}

#[test]
fn a_frame_from_the_port_goes_to_the_owner_of_its_address() {
    let out = received(&three(), &frame(OUTSIDE, mac(3)));
    assert_eq!((numbers(&out), out.port(), out.dropped()), (vec![3], None, None));
}

#[test]
fn a_frame_from_the_port_for_nobody_is_dropped() {
    let out = received(&three(), &frame(OUTSIDE, mac(9)));
    assert_eq!((numbers(&out), out.dropped()), (vec![], Some(DropReason::NoDestination)));
}

#[test]
fn a_reflected_broadcast_does_not_come_back_to_its_sender() {
    let out = received(&three(), &frame(mac(2), BROADCAST));
    assert_eq!(numbers(&out), [1, 3]);
    assert_eq!(out.source_pruned().iter().collect::<Vec<_>>(), [vsi(2)]);
}

#[test]
fn without_source_pruning_a_reflected_broadcast_comes_back() {
    let mut switch = three();
    with_flags(&mut switch, 2, |flags| flags.src_prune = false);
    assert_eq!(numbers(&received(&switch, &frame(mac(2), BROADCAST))), [1, 2, 3]);
}

#[test]
fn a_reflected_frame_whose_sender_is_the_only_receiver_is_a_source_prune() {
    let out = received(&three(), &frame(mac(2), mac(2)));
    assert_eq!((numbers(&out), out.dropped()), (vec![], Some(DropReason::SourcePrune)));
}

#[test]
fn anti_spoofing_lets_only_own_source_addresses_through() {
    let mut switch = three();
    with_flags(&mut switch, 1, |flags| flags.mac_anti_spoof = true);
    assert_eq!(sent(&switch, 1, &frame(mac(1), OUTSIDE)).dropped(), None);
    for spoofed in [mac(2), OUTSIDE] {
        let out = sent(&switch, 1, &frame(spoofed, mac(2)));
        assert_eq!((out.dropped(), out.port()), (Some(DropReason::AntiSpoof), None));
        assert!(out.vsis().is_empty());
    }
    assert_eq!(sent(&switch, 2, &frame(OUTSIDE, OUTSIDE)).dropped(), None);
}

#[test]
fn an_address_owned_on_one_vlan_is_spoofed_on_another() {
    let mut switch = three();
    with_flags(&mut switch, 1, |flags| flags.mac_anti_spoof = true);
    let own = mac(77);
    switch.add_rule(tx(Lookup::MacVlan(own, 5), Action::Vsi(vsi(1)), false)).unwrap();
    let on = |vid| Header { vid, ..frame(own, OUTSIDE) };
    assert_eq!(sent(&switch, 1, &on(Some(5))).dropped(), None);
    assert_eq!(sent(&switch, 1, &on(Some(6))).dropped(), Some(DropReason::AntiSpoof));
    assert_eq!(sent(&switch, 1, &on(None)).dropped(), Some(DropReason::AntiSpoof));
}

#[test]
fn a_vsi_that_prunes_sends_only_on_its_vlans() {
    let mut switch = three();
    with_flags(&mut switch, 1, |flags| flags.tx_vlan_prune = true);
    switch.add_rule(tx(Lookup::Vlan(5), Action::Vsi(vsi(1)), true)).unwrap();
    switch.add_rule(tx(Lookup::Vlan(6), Action::Vsi(vsi(2)), true)).unwrap();
    let on = |vid| Header { vid, ..frame(mac(1), OUTSIDE) };
    assert_eq!(sent(&switch, 1, &on(Some(5))).port(), Some(0));
    for vid in [Some(6), Some(7), None] {
        assert_eq!(sent(&switch, 1, &on(vid)).dropped(), Some(DropReason::TxVlanPrune));
    }
}

#[test]
fn an_untagged_frame_is_on_vlan_0() {
    let mut switch = three();
    with_flags(&mut switch, 1, |flags| (flags.tx_vlan_prune, flags.rx_vlan_prune) = (true, true));
    switch.add_rule(tx(Lookup::Vlan(0), Action::Vsi(vsi(1)), true)).unwrap();
    assert_eq!(sent(&switch, 1, &frame(mac(1), OUTSIDE)).port(), Some(0));
    assert_eq!(numbers(&received(&switch, &frame(OUTSIDE, mac(1)))), [1]);
}

#[test]
fn a_vsi_that_prunes_receives_only_from_its_vlans() {
    let mut switch = three();
    for number in [1, 2] {
        with_flags(&mut switch, number, |flags| flags.rx_vlan_prune = true);
    }
    switch.set_list(ListId(5), [vsi(1), vsi(3)].into_iter().collect()).unwrap();
    switch.add_rule(tx(Lookup::Vlan(5), Action::VsiList(ListId(5)), true)).unwrap();
    let on = |dst, vid| Header { vid: Some(vid), ..frame(OUTSIDE, dst) };
    assert_eq!(numbers(&received(&switch, &on(BROADCAST, 5))), [1, 3]);
    assert_eq!(numbers(&received(&switch, &on(BROADCAST, 6))), [3]);
    let out = received(&switch, &on(mac(2), 5));
    assert_eq!((numbers(&out), out.dropped()), (vec![], Some(DropReason::RxVlanPrune)));
    assert!(out.vlan_pruned().contains(vsi(2)));
    let inside = Header { vid: Some(5), ..frame(mac(3), mac(2)) };
    assert_eq!(sent(&switch, 3, &inside).dropped(), Some(DropReason::RxVlanPrune));
}

#[test]
fn the_override_needs_its_permission() {
    let mut switch = three();
    for over in [Override::Uplink, Override::Local, Override::Vsi(2)] {
        let out = sent_over(&switch, 1, &frame(mac(1), mac(3)), over);
        assert_eq!(out.dropped(), Some(DropReason::Override));
    }
    with_flags(&mut switch, 1, |flags| flags.allow_dest_ovrd = true);
    let go = |over, dst| sent_over(&switch, 1, &frame(mac(1), dst), over);
    let up = go(Override::Uplink, mac(3));
    assert_eq!((numbers(&up), up.port()), (vec![], Some(0)));
    let one = go(Override::Vsi(2), mac(3));
    assert_eq!((numbers(&one), one.port()), (vec![2], None));
    let local = go(Override::Local, BROADCAST);
    assert_eq!((numbers(&local), local.port()), (vec![2, 3], None));
    assert_eq!(go(Override::Local, OUTSIDE).dropped(), Some(DropReason::NoDestination));
    for number in [9, 768, 1023, u16::MAX] {
        assert_eq!(go(Override::Vsi(number), mac(3)).dropped(), Some(DropReason::NoDestination));
    }
}

#[test]
fn without_lan_ena_nothing_leaves() {
    let mut switch = three();
    with_flags(&mut switch, 1, |flags| flags.lan_ena = false);
    let out = sent(&switch, 1, &frame(mac(1), OUTSIDE));
    assert_eq!((out.port(), out.dropped()), (None, Some(DropReason::LanDisabled)));
    let out = sent(&switch, 1, &frame(mac(1), BROADCAST));
    assert_eq!((numbers(&out), out.port(), out.dropped()), (vec![2, 3], None, None));
}
