//! Rules, lists and VSIs come and go.

use siov_switch::{
    Action, Direction, DropReason, ListId, Lookup, MAX_RULES, Override, Rule, RuleError, RuleId,
    SwitchVsi, Targets, VsiId, VsiSet,
};

use crate::common::*;

#[test]
fn a_freed_vsi_neither_sends_nor_receives() {
    let mut switch = three();
    switch.free_vsi(vsi(2));
    assert_eq!(sent(&switch, 2, &frame(mac(2), mac(1))).dropped(), Some(DropReason::NoSource));
    assert_eq!(numbers(&received(&switch, &frame(OUTSIDE, BROADCAST))), [1, 3]);
    let out = received(&switch, &frame(OUTSIDE, mac(2)));
    assert_eq!(out.dropped(), Some(DropReason::NoDestination));
}

#[test]
fn the_rules_of_one_port_do_not_reach_another() {
    let mut switch = three();
    switch.set_vsi(vsi(9), SwitchVsi { port: 1, ..veb() });
    let out = sent(&switch, 9, &frame(mac(9), mac(1)));
    assert_eq!((numbers(&out), out.port()), (vec![], Some(1)));
    let mut out = Targets::new();
    switch.receive(1, &frame(OUTSIDE, mac(1)), &mut out);
    assert_eq!(out.dropped(), Some(DropReason::NoDestination));
}

#[test]
fn a_second_rule_for_the_same_frames_is_refused_with_the_first_ones_index() {
    let mut switch = three();
    let again = tx(Lookup::Mac(mac(1)), Action::Vsi(vsi(2)), false);
    assert_eq!(switch.add_rule(again), Err(RuleError::Exists(RuleId(0))));
    let other_way = Rule { direction: Direction::Rx, ..again };
    assert_eq!(switch.add_rule(other_way), Err(RuleError::Exists(RuleId(0))));
    switch.add_rule(tx(Lookup::Dflt, Action::Vsi(vsi(1)), true)).unwrap();
    switch.add_rule(rx(Lookup::Dflt, Action::Vsi(vsi(1)))).unwrap();
    switch.add_rule(Rule { port: 1, ..again }).unwrap();
}

#[test]
fn a_removed_rules_index_is_given_again() {
    let mut switch = three();
    assert_eq!(switch.remove_rule(RuleId(1)).unwrap().lookup, Lookup::Mac(mac(2)));
    assert_eq!(switch.remove_rule(RuleId(1)), Err(RuleError::NoRule(RuleId(1))));
    assert_eq!(sent(&switch, 1, &frame(mac(1), mac(2))).port(), Some(0));
    let rule = tx(Lookup::Mac(mac(8)), Action::Vsi(vsi(2)), false);
    assert_eq!(switch.add_rule(rule), Ok(RuleId(1)));
    assert_eq!(switch.rule(RuleId(1)), Some(&rule));
}

#[test]
fn numbers_out_of_range_are_refused() {
    let mut switch = three();
    let action = Action::Vsi(vsi(1));
    assert_eq!(switch.add_rule(tx(Lookup::Vlan(4096), action, true)), Err(RuleError::Range));
    let far = Rule { port: 8, ..tx(Lookup::Dflt, action, true) };
    assert_eq!(switch.add_rule(far), Err(RuleError::Range));
    assert_eq!(switch.set_list(ListId(1024), VsiSet::new()), Err(RuleError::Range));
    assert_eq!(VsiId::new(768), None);
    let mut out = Targets::new();
    switch.receive(200, &frame(OUTSIDE, mac(1)), &mut out);
    assert_eq!(out.dropped(), Some(DropReason::NoDestination));
}

#[test]
fn a_rule_needs_its_list_and_a_list_in_use_stays() {
    let mut switch = three();
    let action = Action::VsiList(ListId(4));
    let rule = tx(Lookup::Mac(MULTICAST), action, true);
    assert_eq!(switch.add_rule(rule), Err(RuleError::NoList(ListId(4))));
    assert_eq!(
        switch.update_rule(RuleId(0), action, true, false),
        Err(RuleError::NoList(ListId(4)))
    );
    assert_eq!(switch.remove_list(ListId(0)), Err(RuleError::ListInUse(RuleId(3))));
    switch.remove_rule(RuleId(3)).unwrap();
    assert_eq!(switch.remove_list(ListId(0)), Ok(()));
    assert_eq!(switch.remove_list(ListId(0)), Err(RuleError::NoList(ListId(0))));
}

#[test]
fn every_rule_of_a_list_follows_its_change() {
    let mut switch = three();
    switch.add_rule(tx(Lookup::Mac(MULTICAST), Action::VsiList(ListId(0)), true)).unwrap();
    assert!(switch.list_mut(ListId(0)).unwrap().remove(vsi(2)));
    for dst in [MULTICAST, BROADCAST] {
        assert_eq!(numbers(&received(&switch, &frame(OUTSIDE, dst))), [1, 3]);
    }
}

#[test]
fn the_table_of_rules_has_an_end() {
    let mut switch = three();
    let rule =
        |n: u16| tx(Lookup::Mac([0x06, 0, 0, 0, (n >> 8) as u8, n as u8]), Action::Drop, false);
    let added = (0..u16::MAX).map(|n| switch.add_rule(rule(n))).take_while(Result::is_ok).count();
    assert_eq!(added + 4, MAX_RULES);
    assert_eq!(switch.add_rule(rule(u16::MAX)), Err(RuleError::Full));
    switch.remove_rule(RuleId(100)).unwrap();
    assert_eq!(switch.add_rule(rule(u16::MAX)), Ok(RuleId(100)));
}

#[test]
fn a_clone_is_a_switch_of_its_own() {
    let mut switch = three();
    let before = switch.clone();
    switch.remove_rule(RuleId(0)).unwrap();
    switch.free_vsi(vsi(2));
    switch.list_mut(ListId(0)).unwrap().clear();
    assert_eq!(numbers(&received(&before, &frame(OUTSIDE, mac(1)))), [1]);
    assert_eq!(numbers(&received(&before, &frame(OUTSIDE, BROADCAST))), [1, 2, 3]);
    assert!(received(&switch, &frame(OUTSIDE, BROADCAST)).vsis().is_empty());
}

#[test]
fn targets_carry_nothing_from_one_frame_to_the_next() {
    let switch = three();
    let mut out = Targets::new();
    switch.transmit(vsi(1), &frame(mac(1), BROADCAST), Override::None, &mut out);
    switch.receive(0, &frame(OUTSIDE, mac(9)), &mut out);
    assert_eq!(out, received(&switch, &frame(OUTSIDE, mac(9))));
}

#[test]
fn the_flags_are_where_the_vsi_properties_have_them() {
    let all = SwitchVsi::from_flags(3, 0xe0, 0x19, 0x15);
    assert!(all.allow_lb && all.local_lb && all.src_prune && all.lan_ena && all.rx_vlan_prune);
    assert!(all.rx_pass_prune && all.allow_dest_ovrd && all.mac_anti_spoof && all.tx_vlan_prune);
    assert_eq!(
        SwitchVsi::from_flags(3, 0x1f, 0xe6, 0xea),
        SwitchVsi { port: 3, ..SwitchVsi::default() }
    );
    assert_eq!(SwitchVsi::from_flags(0, 0x80, 0x10, 0), SwitchVsi { allow_lb: false, ..veb() });
}
