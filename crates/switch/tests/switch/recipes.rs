//! What each recipe matches, and how they join.

use siov_switch::{Action, Class, DropReason, Header, Lookup, Override, QueueTarget, RuleId};

use crate::common::*;

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
fn the_override_to_the_port_passes_drop_rules() {
    let mut switch = three();
    with_flags(&mut switch, 1, |flags| flags.allow_dest_ovrd = true);
    switch.add_rule(tx(Lookup::Ethertype(0x88cc), Action::Drop, false)).unwrap();
    let lldp = Header { ethertype: 0x88cc, ..frame(mac(1), MULTICAST) };
    assert_eq!(sent_over(&switch, 1, &lldp, Override::Uplink).port(), Some(0));
}
