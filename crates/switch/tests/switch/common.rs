//! A small VEB, and what it does with a frame.

use siov_switch::{
    Action, Direction, Header, ListId, Lookup, Override, Rule, Switch, SwitchVsi, Targets, VsiId,
};

pub const OUTSIDE: [u8; 6] = [0x02, 0xee, 0, 0, 0, 1];
pub const MULTICAST: [u8; 6] = [0x01, 0, 0x5e, 0, 0, 1];
pub const BROADCAST: [u8; 6] = [0xff; 6];

pub fn vsi(number: u16) -> VsiId {
    VsiId::new(number).unwrap()
}

pub fn mac(number: u16) -> [u8; 6] {
    let [high, low] = number.to_be_bytes();
    [0x02, 0, 0, 0, high, low]
}

pub fn veb() -> SwitchVsi {
    SwitchVsi { allow_lb: true, src_prune: true, lan_ena: true, ..SwitchVsi::default() }
}

pub fn tx(lookup: Lookup, action: Action, lan_en: bool) -> Rule {
    Rule { port: 0, direction: Direction::Tx, lookup, action, lb_en: true, lan_en }
}

pub fn rx(lookup: Lookup, action: Action) -> Rule {
    Rule { port: 0, direction: Direction::Rx, lookup, action, lb_en: false, lan_en: false }
}

/// VSIs 1, 2, 3 of a VEB, each with its address, all on the broadcast list.
pub fn three() -> Switch {
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

pub fn frame(src: [u8; 6], dst: [u8; 6]) -> Header {
    Header { dst, src, vid: None, pcp: 0, ethertype: 0x0800 }
}

pub fn received(switch: &Switch, header: &Header) -> Targets {
    let mut out = Targets::new();
    switch.receive(0, header, &mut out);
    out
}

pub fn sent(switch: &Switch, from: u16, header: &Header) -> Targets {
    sent_over(switch, from, header, Override::None)
}

pub fn sent_over(switch: &Switch, from: u16, header: &Header, over: Override) -> Targets {
    let mut out = Targets::new();
    switch.transmit(vsi(from), header, over, &mut out);
    out
}

pub fn numbers(out: &Targets) -> Vec<u16> {
    out.vsis().iter().map(VsiId::number).collect()
}

pub fn with_flags(switch: &mut Switch, number: u16, change: impl Fn(&mut SwitchVsi)) {
    let mut properties = *switch.vsi(vsi(number)).unwrap();
    change(&mut properties);
    switch.set_vsi(vsi(number), properties);
}
