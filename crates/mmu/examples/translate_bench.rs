//! Translations a second on one core: TLB hits, cold walks with all caches off, and what lies between.
//!
//! `cargo run --release -p siov-mmu --example translate_bench`
#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[path = "../tests/common/mod.rs"]
#[allow(unused_imports)]
mod common;

use std::hint::black_box;
use std::time::Instant;

use common::{ALL, Machine, NESTED, PLAIN, RWX, WB};
use siov_mem::Gva;
use siov_mmu::{Access, Geometry};

const PAGES: u64 = 64;

fn machine(kind: (u8, Option<u8>)) -> Machine {
    let machine = Machine::new(kind);
    for page in 0..PAGES {
        let gpa = 0x4000_0000 + page * 4096;
        machine.map(page * 4096, gpa, 1, ALL);
        if machine.ept_levels.is_some() {
            machine.ept_map(gpa, 0x8000_0000 + page * 4096, 1, RWX | WB);
        }
    }
    machine
}

/// One line of the result, if the name holds the first argument; the second argument divides the rounds.
fn run(name: &str, kind: (u8, Option<u8>), geometry: Geometry, pages: u64, ad: bool, rounds: u64) {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|wanted| !name.contains(wanted.as_str())) {
        return;
    }
    let rounds = rounds / arguments.get(1).map_or(1, |divisor| divisor.parse().unwrap());
    let machine = machine(kind);
    let vmcs = if ad { machine.vmcs_ad(false) } else { machine.vmcs() };
    let mut core = machine.core_with(geometry, &vmcs);
    let view = machine.memory.view();
    for page in 0..pages {
        core.access(&view, Gva(page * 4096), Access::READ).unwrap();
    }
    let (mut best, mut reads) = (0.0_f64, 0);
    for _ in 0..5 {
        let start = Instant::now();
        for n in 0..rounds {
            let gva = Gva((n % pages) * 4096 + (n & 0xff8));
            let done = core.access(&view, black_box(gva), Access::READ).unwrap();
            reads = black_box(done).reads;
        }
        best = best.max(rounds as f64 / start.elapsed().as_secs_f64());
    }
    println!("{name:40} {:8.2} million/s  {reads:2} reads each", best / 1e6);
}

fn main() {
    run("TLB hit, one page", NESTED, Geometry::default(), 1, false, 20_000_000);
    run("TLB hit, 64 pages", NESTED, Geometry::default(), PAGES, false, 20_000_000);
    run("cold 4x4 walk, all caches off", NESTED, Geometry::OFF, PAGES, false, 2_000_000);
    run("cold 4x4 walk, EPT A/D", NESTED, Geometry::OFF, PAGES, true, 2_000_000);
    run("cold 5x5 walk", (5, Some(5)), Geometry::OFF, PAGES, false, 2_000_000);
    run("cold 4-level walk, no EPT", PLAIN, Geometry::OFF, PAGES, false, 5_000_000);
    let no_tlb = Geometry {
        dtlb: siov_mmu::TlbShape::OFF,
        itlb: siov_mmu::TlbShape::OFF,
        ..Geometry::default()
    };
    run("TLB miss, other caches warm", NESTED, no_tlb, PAGES, false, 5_000_000);
}
