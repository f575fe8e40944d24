//! What a look-up costs: `cargo run --release -p siov-switch --example switch_bench`.

use std::hint::black_box;
use std::time::Instant;

use siov_switch::{
    Action, Class, Direction, Header, ListId, Lookup, Override, Rule, Switch, SwitchVsi, Targets,
    VsiId,
};

const VSIS: u16 = 256;
/// Short, and the best of many, so that others on the machine disturb little.
const ROUNDS: u32 = 25_600;

fn mac(n: u16) -> [u8; 6] {
    let [high, low] = n.to_be_bytes();
    [0x02, 0, 0, 0x10, high, low]
}

fn rule(lookup: Lookup, action: Action, lan_en: bool) -> Rule {
    Rule { port: 0, direction: Direction::Tx, lookup, action, lb_en: true, lan_en }
}

/// VSIs with SRC_PRUNE and anti-spoofing, an address and a broadcast list each; VLANs when asked.
fn switch(vlans: bool) -> Switch {
    let mut switch = Switch::new(0x5eed);
    let all: Vec<VsiId> = (0..VSIS).filter_map(VsiId::new).collect();
    for vsi in &all {
        let sw_flags2 = 0x10 | u8::from(vlans);
        switch.set_vsi(*vsi, SwitchVsi::from_flags(0, 0xe0, sw_flags2, 0x04));
        let lookup = match vlans {
            true => Lookup::MacVlan(mac(vsi.number()), 7),
            false => Lookup::Mac(mac(vsi.number())),
        };
        let _ = switch.add_rule(rule(lookup, Action::Vsi(*vsi), false));
    }
    let _ = switch.set_list(ListId(0), all.into_iter().collect());
    let list = Action::VsiList(ListId(0));
    let _ = switch.add_rule(rule(Lookup::Mac([0xff; 6]), list, true));
    let _ = switch.add_rule(rule(Lookup::Vlan(7), list, false));
    switch
}

/// Frames made beforehand, a power of two of them, each with its sender.
fn headers(vid: Option<u16>, src: Option<[u8; 6]>, dst: Option<[u8; 6]>) -> Vec<(VsiId, Header)> {
    let header = |from: VsiId| {
        let to = from.number().wrapping_mul(97) % VSIS;
        let (src, dst) = (src.unwrap_or(mac(from.number())), dst.unwrap_or(mac(to)));
        (from, Header { dst, src, vid, pcp: 0, ethertype: 0x0800 })
    };
    (0..VSIS).filter_map(VsiId::new).map(header).collect()
}

fn measure(
    name: &str,
    rounds: u32,
    headers: &[(VsiId, Header)],
    mut one: impl FnMut(VsiId, &Header, &mut Targets),
) {
    let mut out = Targets::new();
    let mut best = f64::MAX;
    for _ in 0..300 {
        let start = Instant::now();
        for _ in 0..rounds / u32::from(VSIS) {
            for (from, header) in headers {
                one(*from, header, &mut out);
                black_box(&out);
            }
        }
        best = best.min(start.elapsed().as_nanos() as f64 / f64::from(rounds));
    }
    println!("{name:<60} {best:8.1} ns");
}

fn main() {
    let outside = Some([0x02, 0xee, 0, 0, 0, 1]);
    for vlans in [false, true] {
        let switch = switch(vlans);
        let (vid, tag) = if vlans { (Some(7), "MAC_VLAN, pruned") } else { (None, "MAC") };
        let inbound = headers(vid, outside, None);
        measure(&format!("receive, unicast by {tag}"), ROUNDS, &inbound, |_, header, out| {
            switch.receive(0, header, out);
        });
        let local = headers(vid, None, None);
        let name = format!("transmit, local unicast by {tag}, anti-spoof");
        measure(&name, ROUNDS, &local, |from, header, out| {
            switch.transmit(from, header, Override::None, out);
        });
    }
    let mut switch = switch(false);
    let outbound = headers(None, None, outside);
    measure("transmit, unicast to the port", ROUNDS, &outbound, |from, header, out| {
        switch.transmit(from, header, Override::None, out);
    });
    let broadcast = headers(None, outside, Some([0xff; 6]));
    measure("receive, broadcast to 256 VSIs", ROUNDS, &broadcast, |_, header, out| {
        switch.receive(0, header, out);
        black_box(out.vsis().iter().map(VsiId::index).sum::<usize>());
    });
    let promisc = Lookup::Promisc(Class::Unicast);
    let rx = Rule { direction: Direction::Rx, ..rule(promisc, Action::VsiList(ListId(0)), true) };
    let _ = switch.add_rule(rx);
    let name = "receive, unicast with 256 promiscuous VSIs";
    measure(name, ROUNDS, &headers(None, outside, None), |_, header, out| {
        switch.receive(0, header, out);
    });
}
