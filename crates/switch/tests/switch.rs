//! Claims about the switch, one for each rule.

use siov_switch::{
    Action, Class, Direction, DropReason, Header, ListId, Lookup, MAX_RULES, Override, QueueTarget,
    Rule, RuleError, RuleId, Switch, SwitchVsi, Targets, VsiId, VsiSet,
};

const OUTSIDE: [u8; 6] = [0x02, 0xee, 0, 0, 0, 1];
const MULTICAST: [u8; 6] = [0x01, 0, 0x5e, 0, 0, 1];
const BROADCAST: [u8; 6] = [0xff; 6];

fn vsi(number: u16) -> VsiId {
    VsiId::new(number).unwrap()
}

fn mac(number: u16) -> [u8; 6] {
    let [high, low] = number.to_be_bytes();
    [0x02, 0, 0, 0, high, low]
}

fn veb() -> SwitchVsi {
    SwitchVsi { allow_lb: true, src_prune: true, lan_ena: true, ..SwitchVsi::default() }
}

fn tx(lookup: Lookup, action: Action, lan_en: bool) -> Rule {
    Rule { port: 0, direction: Direction::Tx, lookup, action, lb_en: true, lan_en }
}

fn rx(lookup: Lookup, action: Action) -> Rule {
    Rule { port: 0, direction: Direction::Rx, lookup, action, lb_en: false, lan_en: false }
}

/// VSIs 1, 2, 3 of a VEB, each with its address, all on the broadcast list.
fn three() -> Switch {
    let mut switch = Switch::new(7);
    for number in 1..=3 {
        switch.set_vsi(vsi(number), veb());
        let own = tx(Lookup::Mac(mac(number)), Action::Vsi(vsi(number)), false);
        switch.add_rule(own).unwrap();
    }
    switch.set_list(ListId(0), (1..=3).map(vsi).collect()).unwrap();
    switch.add_rule(tx(Lookup::Mac(BROADCAST), Action::VsiList(ListId(0)), true)).unwrap();
    switch
}

fn frame(src: [u8; 6], dst: [u8; 6]) -> Header {
    Header { dst, src, vid: None, pcp: 0, ethertype: 0x0800 }
}

fn received(switch: &Switch, header: &Header) -> Targets {
    let mut out = Targets::new();
    switch.receive(0, header, &mut out);
    out
}

fn sent(switch: &Switch, from: u16, header: &Header) -> Targets {
    sent_over(switch, from, header, Override::None)
}

fn sent_over(switch: &Switch, from: u16, header: &Header, over: Override) -> Targets {
    let mut out = Targets::new();
    switch.transmit(vsi(from), header, over, &mut out);
    out
}

fn numbers(out: &Targets) -> Vec<u16> {
    out.vsis().iter().map(VsiId::number).collect()
}

fn with_flags(switch: &mut Switch, number: u16, change: impl Fn(&mut SwitchVsi)) {
    let mut properties = *switch.vsi(vsi(number)).unwrap();
    change(&mut properties);
    switch.set_vsi(vsi(number), properties);
}

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
fn a_vlan_rule_forwards_nothing() {
    let mut switch = three();
    switch.add_rule(tx(Lookup::Vlan(5), Action::Vsi(vsi(1)), true)).unwrap();
    let out = received(&switch, &Header { vid: Some(5), ..frame(OUTSIDE, mac(9)) });
    assert_eq!(out.dropped(), Some(DropReason::NoDestination));
}

#[test]
fn an_address_on_its_vlan_hides_the_address_alone_for_unicast() {
    let mut switch = three();
    switch.add_rule(tx(Lookup::MacVlan(mac(1), 5), Action::Vsi(vsi(2)), false)).unwrap();
    let on = |vid| Header { vid, ..frame(OUTSIDE, mac(1)) };
    assert_eq!(numbers(&received(&switch, &on(Some(5)))), [2]);
    assert_eq!(numbers(&received(&switch, &on(Some(6)))), [1]);
    assert_eq!(numbers(&received(&switch, &on(None))), [1]);
}

#[test]
fn a_multicast_address_on_its_vlan_adds_to_the_address_alone() {
    let mut switch = three();
    switch.add_rule(tx(Lookup::Mac(MULTICAST), Action::Vsi(vsi(1)), true)).unwrap();
    switch.add_rule(tx(Lookup::MacVlan(MULTICAST, 5), Action::Vsi(vsi(2)), true)).unwrap();
    let header = Header { vid: Some(5), ..frame(OUTSIDE, MULTICAST) };
    assert_eq!(numbers(&received(&switch, &header)), [1, 2]);
}

#[test]
fn a_promiscuous_vsi_gets_a_copy_besides_the_owner() {
    let mut switch = three();
    switch.add_rule(rx(Lookup::Promisc(Class::Unicast), Action::Vsi(vsi(3)))).unwrap();
    assert_eq!(numbers(&received(&switch, &frame(OUTSIDE, mac(1)))), [1, 3]);
    assert_eq!(numbers(&received(&switch, &frame(OUTSIDE, mac(9)))), [3]);
    assert!(received(&switch, &frame(OUTSIDE, MULTICAST)).vsis().is_empty());
}

#[test]
fn promiscuous_rules_are_for_one_direction() {
    let mut switch = three();
    switch.add_rule(rx(Lookup::Promisc(Class::Unicast), Action::Vsi(vsi(3)))).unwrap();
    assert_eq!(numbers(&sent(&switch, 1, &frame(mac(1), mac(2)))), [2]);
    switch.add_rule(tx(Lookup::Promisc(Class::Unicast), Action::Vsi(vsi(3)), true)).unwrap();
    assert_eq!(numbers(&sent(&switch, 1, &frame(mac(1), mac(2)))), [2, 3]);
}

#[test]
fn a_promiscuous_vsi_does_not_make_local_traffic_leave() {
    let mut switch = three();
    switch.add_rule(tx(Lookup::Promisc(Class::Unicast), Action::Vsi(vsi(3)), true)).unwrap();
    assert_eq!(sent(&switch, 1, &frame(mac(1), mac(2))).port(), None);
    let out = sent(&switch, 1, &frame(mac(1), OUTSIDE));
    assert_eq!((numbers(&out), out.port()), (vec![3], Some(0)));
}

#[test]
fn a_promiscuous_rule_on_a_vlan_is_for_that_vlan() {
    let mut switch = three();
    let lookup = Lookup::PromiscVlan(Class::Multicast, 5);
    switch.add_rule(rx(lookup, Action::Vsi(vsi(3)))).unwrap();
    let on = |vid| Header { vid: Some(vid), ..frame(OUTSIDE, MULTICAST) };
    assert_eq!(numbers(&received(&switch, &on(5))), [3]);
    assert!(received(&switch, &on(6)).vsis().is_empty());
}

#[test]
fn broadcast_is_no_multicast_to_a_promiscuous_rule() {
    let mut switch = three();
    let mut class = |class, to| switch.add_rule(rx(Lookup::Promisc(class), Action::Vsi(vsi(to))));
    class(Class::Multicast, 3).unwrap();
    class(Class::Broadcast, 2).unwrap();
    switch.remove_rule(RuleId(3)).unwrap();
    assert_eq!(numbers(&received(&switch, &frame(OUTSIDE, BROADCAST))), [2]);
    assert_eq!(numbers(&received(&switch, &frame(OUTSIDE, MULTICAST))), [3]);
}

#[test]
fn the_default_takes_only_what_nothing_else_matched() {
    let mut switch = three();
    switch.add_rule(rx(Lookup::Dflt, Action::Vsi(vsi(3)))).unwrap();
    assert_eq!(numbers(&received(&switch, &frame(OUTSIDE, mac(1)))), [1]);
    assert_eq!(numbers(&received(&switch, &frame(OUTSIDE, mac(9)))), [3]);
    switch.add_rule(tx(Lookup::Dflt, Action::Vsi(vsi(3)), true)).unwrap();
    let out = sent(&switch, 1, &frame(mac(1), OUTSIDE));
    assert_eq!((numbers(&out), out.port()), (vec![3], Some(0)));
}

#[test]
fn a_drop_rule_wins_over_every_other() {
    let mut switch = three();
    switch.add_rule(tx(Lookup::Ethertype(0x88cc), Action::Drop, false)).unwrap();
    switch.add_rule(rx(Lookup::Ethertype(0x88cc), Action::Vsi(vsi(1)))).unwrap();
    let lldp = |src, dst| Header { ethertype: 0x88cc, ..frame(src, dst) };
    for from in 1..=3 {
        let out = sent(&switch, from, &lldp(mac(from), BROADCAST));
        assert_eq!((out.dropped(), out.port()), (Some(DropReason::Rule), None));
        assert!(out.vsis().is_empty());
    }
    assert_eq!(numbers(&received(&switch, &lldp(OUTSIDE, MULTICAST))), [1]);
}

#[test]
fn drop_rules_hold_in_a_vepa() {
    let mut switch = three();
    with_flags(&mut switch, 1, |flags| flags.allow_lb = false);
    switch.add_rule(tx(Lookup::Ethertype(0x8808), Action::Drop, false)).unwrap();
    let pause = Header { ethertype: 0x8808, ..frame(mac(1), MULTICAST) };
    assert_eq!(sent(&switch, 1, &pause).dropped(), Some(DropReason::Rule));
}

#[test]
fn an_ethertype_with_an_address_matches_both() {
    let mut switch = three();
    switch.add_rule(rx(Lookup::EthertypeMac(0x88f7, MULTICAST), Action::Vsi(vsi(2)))).unwrap();
    let ptp = Header { ethertype: 0x88f7, ..frame(OUTSIDE, MULTICAST) };
    assert_eq!(numbers(&received(&switch, &ptp)), [2]);
    assert!(received(&switch, &frame(OUTSIDE, MULTICAST)).vsis().is_empty());
    assert_eq!(numbers(&received(&switch, &Header { dst: BROADCAST, ..ptp })), [1, 2, 3]);
}

#[test]
fn an_action_other_matches_nothing() {
    let mut switch = three();
    switch.add_rule(rx(Lookup::Dflt, Action::Vsi(vsi(3)))).unwrap();
    switch.add_rule(tx(Lookup::Mac(mac(9)), Action::Other, true)).unwrap();
    assert_eq!(numbers(&received(&switch, &frame(OUTSIDE, mac(9)))), [3]);
}

#[test]
fn a_rule_to_a_queue_names_the_queue_for_its_vsi() {
    let mut switch = three();
    let queue = QueueTarget { vsi: vsi(2), queue: 40, region: 2 };
    switch.add_rule(rx(Lookup::Ethertype(0x88f7), Action::Queue(queue))).unwrap();
    let ptp = Header { ethertype: 0x88f7, ..frame(OUTSIDE, mac(1)) };
    let out = received(&switch, &ptp);
    assert_eq!((numbers(&out), out.queue()), (vec![1, 2], Some(queue)));
    let own = received(&switch, &Header { src: mac(2), ..ptp });
    assert_eq!((numbers(&own), own.queue()), (vec![1], None));
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
fn the_override_to_the_port_passes_drop_rules() {
    let mut switch = three();
    with_flags(&mut switch, 1, |flags| flags.allow_dest_ovrd = true);
    switch.add_rule(tx(Lookup::Ethertype(0x88cc), Action::Drop, false)).unwrap();
    let lldp = Header { ethertype: 0x88cc, ..frame(mac(1), MULTICAST) };
    assert_eq!(sent_over(&switch, 1, &lldp, Override::Uplink).port(), Some(0));
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
