//! Changes and frames from a small world, so that they meet.

use proptest::collection::btree_set;
use proptest::prelude::*;
use siov_switch::{
    Action, Class, Direction, Header, ListId, Lookup, Override, QueueTarget, Rule, SwitchVsi, VsiId,
};

use crate::slow::Set;

#[derive(Clone, Debug)]
pub enum Op {
    SetVsi(u16, SwitchVsi),
    FreeVsi(u16),
    Add(Rule),
    Update(u16, Action, bool, bool),
    Remove(u16),
    SetList(u16, Set),
    Toggle(u16, u16),
    RemoveList(u16),
}

#[derive(Clone, Debug)]
pub enum Probe {
    Receive(u8, Header),
    Transmit(u16, Header, Override),
}

pub fn id(number: u16) -> VsiId {
    VsiId::new(number).unwrap()
}

pub fn any_vsi() -> impl Strategy<Value = u16> {
    prop_oneof![0u16..5, Just(64), Just(767)]
}

pub fn any_mac() -> impl Strategy<Value = [u8; 6]> {
    let multicast = [1, 0, 0x5e, 0, 0, 9];
    prop_oneof![
        6 => (0u8..4).prop_map(|n| [2, 0, 0, 0, 0, n]),
        1 => Just(multicast),
        1 => Just([0xff; 6]),
    ]
}

pub fn any_vid() -> impl Strategy<Value = u16> {
    prop_oneof![Just(0u16), Just(5), Just(4095)]
}

pub fn any_ethertype() -> impl Strategy<Value = u16> {
    prop_oneof![Just(0x0800u16), Just(0x88cc)]
}

pub fn any_class() -> impl Strategy<Value = Class> {
    prop_oneof![Just(Class::Unicast), Just(Class::Multicast), Just(Class::Broadcast)]
}

pub fn any_lookup() -> impl Strategy<Value = Lookup> {
    prop_oneof![
        4 => any_mac().prop_map(Lookup::Mac),
        3 => (any_mac(), any_vid()).prop_map(|(mac, vid)| Lookup::MacVlan(mac, vid)),
        3 => any_vid().prop_map(Lookup::Vlan),
        1 => any_ethertype().prop_map(Lookup::Ethertype),
        1 => (any_ethertype(), any_mac()).prop_map(|(of, mac)| Lookup::EthertypeMac(of, mac)),
        2 => any_class().prop_map(Lookup::Promisc),
        2 => (any_class(), any_vid()).prop_map(|(class, vid)| Lookup::PromiscVlan(class, vid)),
        1 => Just(Lookup::Dflt),
    ]
}

pub fn any_action() -> impl Strategy<Value = Action> {
    prop_oneof![
        6 => any_vsi().prop_map(|vsi| Action::Vsi(id(vsi))),
        4 => (0u16..3).prop_map(|list| Action::VsiList(ListId(list))),
        2 => (any_vsi(), 0u16..9).prop_map(|(vsi, queue)| {
            Action::Queue(QueueTarget { vsi: id(vsi), queue, region: 1 })
        }),
        1 => Just(Action::Drop),
        1 => Just(Action::Other),
    ]
}

pub fn any_rule() -> impl Strategy<Value = Rule> {
    let direction = prop_oneof![Just(Direction::Rx), Just(Direction::Tx)];
    let parts = (0u8..2, direction, any_lookup(), any_action(), any::<bool>(), any::<bool>());
    parts.prop_map(|(port, direction, lookup, action, lb_en, lan_en)| Rule {
        port,
        direction,
        lookup,
        action,
        lb_en,
        lan_en,
    })
}

pub fn any_op() -> impl Strategy<Value = Op> {
    let flags = (0u8..2, any::<u8>(), any::<u8>(), any::<u8>(), any::<u8>());
    let properties = flags.prop_map(|(port, sw_flags, sw_flags2, sec_flags, mild)| {
        // Security bits together leave few frames alive.
        SwitchVsi::from_flags(port, sw_flags, sw_flags2, sec_flags & mild)
    });
    prop_oneof![
        4 => (any_vsi(), properties).prop_map(|(vsi, properties)| Op::SetVsi(vsi, properties)),
        1 => any_vsi().prop_map(Op::FreeVsi),
        8 => any_rule().prop_map(Op::Add),
        3 => (0u16..20, any_action(), any::<bool>(), any::<bool>())
            .prop_map(|(number, action, lb, lan)| Op::Update(number, action, lb, lan)),
        2 => (0u16..20).prop_map(Op::Remove),
        3 => (0u16..3, btree_set(any_vsi(), 0..5)).prop_map(|(list, set)| Op::SetList(list, set)),
        2 => (0u16..3, any_vsi()).prop_map(|(list, vsi)| Op::Toggle(list, vsi)),
        1 => (0u16..3).prop_map(Op::RemoveList),
    ]
}

pub fn any_probe() -> impl Strategy<Value = Probe> {
    let header = (any_mac(), any_mac(), proptest::option::of(any_vid()), any_ethertype());
    let header =
        header.prop_map(|(dst, src, vid, ethertype)| Header { dst, src, vid, pcp: 0, ethertype });
    let over = prop_oneof![
        6 => Just(Override::None),
        1 => Just(Override::Uplink),
        1 => Just(Override::Local),
        1 => prop_oneof![any_vsi(), any::<u16>()].prop_map(Override::Vsi),
    ];
    (0u8..2, any_vsi(), any::<bool>(), header, over).prop_map(|(port, from, rx, header, over)| {
        if rx { Probe::Receive(port, header) } else { Probe::Transmit(from, header, over) }
    })
}
