//! While threads write through a page, software moves it and invalidates: once that is settled, the page that
//! was there before is never touched again.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use common::{DATA, Rig, pasid};
use proptest::prelude::*;
use proptest::test_runner::{Config as Proptest, TestRunner};
use siov_bus::{DmaPort, Geometry, Iova};
use siov_iommu::Config;

const PAGE: u64 = 4096;
const WORKERS: usize = 2;
const SPACES: u32 = 3;
const PAGES: u64 = 4;

/// Where page `n` of a space is in its round.
fn home(space: u32, n: u64, round: u64) -> u64 {
    let slot = u64::from(space) * PAGES + n;
    DATA + (slot * 2 + round % 2) * PAGE
}

fn work(port: &DmaPort, worker: usize, stop: &AtomicBool, begun: &Barrier, done: &AtomicU64) {
    let mark = [worker as u8 + 1; 8];
    let mut n = 0u64;
    begun.wait();
    while !stop.load(Ordering::Relaxed) {
        let mut dma = port.begin();
        for _ in 0..16 {
            n += 1;
            let space = 1 + (n % u64::from(SPACES)) as u32;
            let at = Iova(n / 3 % PAGES * PAGE + worker as u64 * 8);
            dma.write(pasid(space), at, &mark).unwrap();
        }
        drop(dma);
        done.fetch_add(1, Ordering::Relaxed);
    }
}

/// Moves pages round by round; an error says which page was written after it was taken away.
fn hunt(moves: &[(u32, u64)], ats: bool, geometry: Geometry) -> Result<(), String> {
    let mut rig = Rig::new(&Config::default());
    for (space, n) in (1..=SPACES).flat_map(|space| (0..PAGES).map(move |n| (space, n))) {
        rig.map(space, n * PAGE, Some(home(space, n, 0)), true);
    }
    let requester = rig.requester(geometry);
    requester.set_ats(ats);
    let ports: Vec<DmaPort> = (0..WORKERS).map(|_| requester.port()).collect();
    let (stop, done) = (AtomicBool::new(false), AtomicU64::new(0));
    let begun = Barrier::new(WORKERS + 1);
    let mut rounds = [[0u64; PAGES as usize]; SPACES as usize + 1];
    std::thread::scope(|scope| {
        for (worker, port) in ports.iter().enumerate() {
            let (stop, begun, done) = (&stop, &begun, &done);
            scope.spawn(move || work(port, worker, stop, begun, done));
        }
        begun.wait();
        let mut result = Ok(());
        for (space, n) in moves {
            let round = &mut rounds[*space as usize][*n as usize];
            let old = home(*space, *n, *round);
            *round += 1;
            rig.map(*space, n * PAGE, Some(home(*space, *n, *round)), true);
            rig.invalidate(*space, n * PAGE);
            // Clean from here on: a write by the old translation would leave its mark.
            rig.put(old, &[0; WORKERS]);
            let seen = done.load(Ordering::Relaxed);
            while done.load(Ordering::Relaxed) < seen + 4 {
                std::thread::yield_now();
            }
            if rig.bytes(old, 8 * WORKERS) != [0; 8 * WORKERS] {
                result = Err(format!("page {n} of space {space} was written at {old:#x}"));
                break;
            }
        }
        stop.store(true, Ordering::Relaxed);
        result
    })
}

#[test]
fn no_write_reaches_a_page_that_was_taken_away_once_the_invalidation_is_settled() {
    let config = Proptest { cases: 24, failure_persistence: None, ..Proptest::default() };
    let moves = proptest::collection::vec((1..=SPACES, 0..PAGES), 1..60);
    let geometry = prop_oneof![
        Just(Geometry::Infinite),
        Just(Geometry::sets(2, 2)),
        Just(Geometry::full(3)),
        Just(Geometry::Off),
    ];
    let strategy = (moves, prop::bool::weighted(0.8), geometry);
    let run = |(moves, ats, geometry): (Vec<_>, _, _)| {
        hunt(&moves, ats, geometry).map_err(TestCaseError::fail)
    };
    TestRunner::new(config).run(&strategy, run).unwrap();
}
