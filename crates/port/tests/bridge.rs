//! A bridge learns, floods, filters and forgets; with reflective relay it sends back.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use common::{between, frame, readable, received};
use siov_port::{Backend, Bounds, Bridge, BridgeConfig, BridgePort, Clock, Reason};

const A: [u8; 6] = [2, 0, 0, 0, 0, 1];
const B: [u8; 6] = [2, 0, 0, 0, 0, 2];
const C: [u8; 6] = [2, 0, 0, 0, 0, 3];
const ALL: [u8; 6] = [0xFF; 6];
const GROUP: [u8; 6] = [1, 0, 0x5E, 0, 0, 1];

fn bridge(reflective_relay: bool) -> (Vec<BridgePort>, Clock) {
    let clock = Clock::virtual_();
    let config = BridgeConfig { ports: 3, reflective_relay, aging: 100, ..BridgeConfig::default() };
    (Bridge::ports(config, clock.clone()).unwrap(), clock)
}

/// How many copies come out of each port.
fn sent(ports: &mut [BridgePort], from: usize, dst: [u8; 6], src: [u8; 6]) -> Vec<usize> {
    let frame = between(dst, src);
    ports[from].send(&frame);
    ports[from].flush();
    let came = ports.iter_mut().map(|port| received(port, 9)).collect::<Vec<_>>();
    assert!(came.iter().flatten().all(|one| *one == frame));
    came.iter().map(Vec::len).collect()
}

#[test]
fn an_unknown_station_and_every_group_is_flooded_but_not_back() {
    let (mut ports, _) = bridge(false);
    for dst in [B, ALL, GROUP] {
        assert_eq!(sent(&mut ports, 0, dst, A), [0, 1, 1]);
    }
}

#[test]
fn a_station_that_was_heard_gets_its_frames_alone() {
    let (mut ports, _) = bridge(false);
    sent(&mut ports, 1, ALL, B);
    assert_eq!(sent(&mut ports, 0, B, A), [0, 1, 0]);
    assert_eq!(sent(&mut ports, 2, A, C), [1, 0, 0]);
    sent(&mut ports, 2, ALL, B);
    assert_eq!(sent(&mut ports, 0, B, A), [0, 0, 1]);
}

#[test]
fn a_frame_for_a_station_on_its_own_port_is_filtered_without_reflective_relay() {
    let (mut ports, _) = bridge(false);
    sent(&mut ports, 0, ALL, B);
    assert_eq!(sent(&mut ports, 0, B, A), [0, 0, 0]);
    let counted = ports[0].counters();
    assert_eq!((counted.sent, counted.dropped(Reason::Filtered)), (1, 1));
}

#[test]
fn a_frame_for_a_station_on_its_own_port_comes_back_with_reflective_relay() {
    let (mut ports, _) = bridge(true);
    sent(&mut ports, 0, ALL, B);
    assert_eq!(sent(&mut ports, 0, B, A), [1, 0, 0]);
    assert!(ports[0].set_reflective_relay(false));
    assert_eq!(sent(&mut ports, 0, B, A), [0, 0, 0]);
}

#[test]
fn groups_and_unknown_stations_are_reflected_and_flooded() {
    let (mut ports, _) = bridge(true);
    for dst in [C, ALL, GROUP] {
        assert_eq!(sent(&mut ports, 0, dst, A), [1, 1, 1]);
    }
    // Reflection is of the port that a frame comes from.
    ports[0].set_reflective_relay(false);
    assert_eq!(sent(&mut ports, 1, ALL, B), [1, 1, 1]);
    assert_eq!(sent(&mut ports, 0, ALL, A), [0, 1, 1]);
}

#[test]
fn a_station_of_which_nothing_came_for_the_aging_time_is_flooded_to_again() {
    let (mut ports, clock) = bridge(false);
    sent(&mut ports, 1, ALL, B);
    clock.advance(99);
    assert_eq!(sent(&mut ports, 0, B, A), [0, 1, 0]);
    clock.advance(1);
    assert_eq!(sent(&mut ports, 0, B, A), [0, 1, 1]);
}

#[test]
fn a_group_is_never_learned_as_a_source() {
    let (mut ports, _) = bridge(false);
    sent(&mut ports, 1, ALL, GROUP);
    assert_eq!(sent(&mut ports, 0, GROUP, A), [0, 1, 1]);
}

#[test]
fn the_table_is_bounded_and_old_stations_make_room() {
    let clock = Clock::virtual_();
    let config = BridgeConfig { ports: 2, stations: 2, aging: 100, ..BridgeConfig::default() };
    let mut ports = Bridge::ports(config, clock.clone()).unwrap();
    sent(&mut ports, 1, ALL, A);
    clock.advance(50);
    sent(&mut ports, 1, ALL, B);
    sent(&mut ports, 1, ALL, C);
    assert_eq!(sent(&mut ports, 1, B, GROUP), [0, 0]);
    assert_eq!(sent(&mut ports, 1, C, GROUP), [1, 0]);
    clock.advance(50);
    sent(&mut ports, 1, ALL, C);
    assert_eq!(sent(&mut ports, 1, C, GROUP), [0, 0]);
    assert_eq!(sent(&mut ports, 1, A, GROUP), [1, 0]);
}

#[test]
fn a_port_whose_link_is_down_gets_nothing_and_loses_its_stations() {
    let (mut ports, _) = bridge(false);
    sent(&mut ports, 1, ALL, B);
    ports[1].set_link(false);
    assert!(ports[0].link() && !ports[1].link());
    assert_eq!(sent(&mut ports, 0, B, A), [0, 0, 1]);
    assert_eq!(ports[1].counters().dropped(Reason::LinkDown), 1);
    assert_eq!(sent(&mut ports, 1, A, B), [0, 0, 0]);
    ports[1].set_link(true);
    assert_eq!(sent(&mut ports, 0, B, A), [0, 1, 1]);
}

#[test]
fn what_waits_for_a_port_is_bounded_in_frames_and_bytes() {
    let bounds = Bounds { frames: 3, bytes: 1000 };
    let config = BridgeConfig { ports: 2, bounds, ..BridgeConfig::default() };
    let mut ports = Bridge::ports(config, Clock::virtual_()).unwrap();
    (0..4).for_each(|_| assert!(ports[0].send(&between(ALL, A))));
    assert_eq!(ports[1].counters().dropped(Reason::Overflow), 1);
    ports[0].flush();
    assert_eq!(received(&mut ports[1], 1).len(), 1);
    ports[0].send(&between(ALL, A));
    ports[0].send(&between(ALL, A));
    assert_eq!(ports[1].counters().dropped(Reason::Overflow), 2);
    assert_eq!(received(&mut ports[1], 9).len(), 3);
    ports[0].send(&frame(0, 999));
    ports[0].send(&between(ALL, A));
    assert_eq!(ports[1].counters().dropped(Reason::Overflow), 3);
}

#[test]
fn a_flush_wakes_the_ports_that_got_something() {
    let (mut ports, _) = bridge(false);
    ports[1].send(&between(ALL, B));
    assert!(!readable(&ports[0]));
    ports[1].flush();
    assert!(readable(&ports[0]) && !readable(&ports[1]) && readable(&ports[2]));
    received(&mut ports[0], 9);
    received(&mut ports[2], 9);
    assert!(!readable(&ports[0]));
    ports[2].send(&between(B, C));
    ports[2].flush();
    assert!(!readable(&ports[0]) && readable(&ports[1]));
}
