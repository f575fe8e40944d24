//! A capture file that several record into.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::sync::Arc;

use siov_port::Clock;
use siov_port::capture::{Direction, Interface, Reader, Recording};

fn interface(name: &str) -> Interface<'_> {
    Interface { name, mbps: 0, description: Some("for a test") }
}

/// How many frames of each interface, and the times of all.
fn read(recording: &Recording) -> (BTreeMap<(u32, Direction), u64>, Vec<u64>) {
    let mut reader = Reader::open(recording.path()).unwrap();
    let (mut counts, mut times) = (BTreeMap::new(), vec![]);
    while let Some(captured) = reader.read().unwrap() {
        times.push(captured.time);
        *counts.entry((captured.interface, captured.direction.unwrap())).or_default() += 1;
    }
    (counts, times)
}

#[test]
fn several_threads_record_into_one_file_and_every_frame_is_there_in_the_order_of_time() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.pcapng");
    let recording = Recording::create(path, Clock::real(), 1 << 24, Some("about it")).unwrap();
    let recording = Arc::new(recording);
    let each: u32 = 500;
    std::thread::scope(|scope| {
        for name in ["a", "b", "c"] {
            let number = recording.interface(&interface(name)).unwrap();
            let recording = Arc::clone(&recording);
            scope.spawn(move || {
                for n in 0..each {
                    let way = if n % 5 == 0 { Direction::Inbound } else { Direction::Outbound };
                    recording.record(number, way, &[0; 60], None);
                    if n % 64 == 0 {
                        recording.flush();
                    }
                }
                recording.flush();
            });
        }
    });
    let (counts, times) = read(&recording);
    for number in 0..3 {
        assert_eq!(counts[&(number, Direction::Inbound)], 100);
        assert_eq!(counts[&(number, Direction::Outbound)], 400);
    }
    assert!(times.is_sorted());
    let totals = recording.totals();
    assert_eq!(totals.interfaces.iter().map(|row| row.inbound).sum::<u64>(), 300);
    assert_eq!(totals.interfaces.iter().map(|row| row.outbound).sum::<u64>(), 1200);
    assert_eq!(totals.size, std::fs::metadata(recording.path()).unwrap().len());
}

#[test]
fn what_finds_no_room_is_counted_by_its_interface_and_said_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.pcapng");
    let recording = Recording::create(path, Clock::virtual_(), 1000, None).unwrap();
    let [a, b] = ["a", "b"].map(|name| recording.interface(&interface(name)).unwrap());
    for number in [a, b] {
        for _ in 0..20 {
            recording.record(number, Direction::Inbound, &[0; 60], None);
        }
    }
    recording.flush();
    let totals = recording.totals();
    let taken = totals.interfaces[0].inbound;
    assert!(taken > 0 && taken < 20);
    assert_eq!(totals.interfaces[0].dropped, 20 - taken);
    assert_eq!((totals.interfaces[1].inbound, totals.interfaces[1].dropped), (0, 20));
    assert!(totals.size <= totals.limit);
    assert!(totals.trouble.unwrap().contains("full at 1000 bytes"));
    assert_eq!(read(&recording).0[&(a, Direction::Inbound)], taken);
}

#[test]
fn a_frame_of_no_interface_is_not_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.pcapng");
    let recording = Recording::create(path, Clock::virtual_(), 1000, None).unwrap();
    recording.record(7, Direction::Inbound, &[0; 60], None);
    recording.flush();
    assert_eq!(read(&recording).1, []);
}
