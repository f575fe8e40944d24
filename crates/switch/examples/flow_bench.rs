//! What a flow look-up costs with few and with many filters:
//! `cargo run --release -p siov-switch --example flow_bench`.

use std::hint::black_box;
use std::time::Instant;

use siov_packet::field::{Field, Level};
use siov_packet::{Parsed, parse};
use siov_switch::{FlowTable, MAX_FLOWS, Profile, Program, Ptypes, Space, VsiId};

/// A TCP packet of one of 65,536 connections.
fn packet(n: u16) -> (Vec<u8>, Parsed) {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
    frame.extend([0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    frame.extend(n.to_be_bytes());
    frame.extend([0, 80, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x10, 0, 0, 0, 0, 0, 0]);
    let parsed = parse(&frame);
    (frame, parsed)
}

fn table(vsi: VsiId, filters: u16) -> FlowTable {
    let size = Space { guaranteed: MAX_FLOWS, best_effort: 0 };
    let mut table = FlowTable::new(size, 0x5eed);
    let fields = [Field::Ipv4Src, Field::Ipv4Dst, Field::TcpSrcPort, Field::TcpDstPort];
    let profile = Profile {
        fields: fields.map(|field| (Level::Innermost, field)).to_vec(),
        ptypes: Ptypes::ALL,
        vsis: [vsi].into_iter().collect(),
    };
    table.set_profile(1, Some(profile));
    table.set_vsi_size(vsi, size);
    let program = Program { fd_vsi: vsi.number(), to_q_pri: 3, ..Program::default() };
    for n in 0..filters {
        let (frame, parsed) = packet(n);
        let _ = table.program(&program, &frame, &parsed);
    }
    table
}

fn measure(name: &str, packets: &[(Vec<u8>, Parsed)], mut one: impl FnMut(&[u8], &Parsed) -> bool) {
    // Short, and the best of many, so that others on the machine disturb little.
    const ROUNDS: usize = 32_768;
    let mut best = f64::MAX;
    let mut found = 0;
    for _ in 0..200 {
        let start = Instant::now();
        found = 0;
        for (frame, parsed) in packets.iter().cycle().take(ROUNDS) {
            found += usize::from(black_box(one(frame, parsed)));
        }
        best = best.min(start.elapsed().as_nanos() as f64 / ROUNDS as f64);
    }
    println!("{name:<44} {best:8.1} ns  ({}% found)", found * 100 / ROUNDS);
}

fn main() {
    let Some(vsi) = VsiId::new(300) else { return };
    for filters in [16, 1024, MAX_FLOWS] {
        let table = table(vsi, filters);
        // The same few packets for every size: what a bigger table costs, not what a colder cache does.
        let there: Vec<_> = (0..16).map(packet).collect();
        let other: Vec<_> = (40_000..40_016).map(packet).collect();
        measure(&format!("4-tuple, {filters} filters, hit"), &there, |frame, parsed| {
            table.find(vsi, frame, parsed).is_some()
        });
        measure(&format!("4-tuple, {filters} filters, miss"), &other, |frame, parsed| {
            table.find(vsi, frame, parsed).is_some()
        });
        let all: Vec<_> = (0..filters).map(packet).collect();
        measure(&format!("4-tuple, {filters} filters, each in turn"), &all, |frame, parsed| {
            table.find(vsi, frame, parsed).is_some()
        });
    }
}
