//! Files that are played: at once or by their timestamps, once or again and again.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use std::path::Path;

use common::{frame, received};
use siov_port::capture::{Capture, Pace, Packet, Replay, Writer};
use siov_port::{Backend, Clock, Reason};

fn packet(interface: u32, time: u64, frame: &[u8]) -> Packet<'_> {
    Packet { interface, time, direction: None, frame, comment: None }
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// A file with a frame at each time.
fn written(path: &Path, times: &[u64]) {
    let mut writer = Writer::create(path, 1 << 20).unwrap();
    let interface = writer.interface("port0", 1000).unwrap();
    for (n, time) in times.iter().enumerate() {
        writer.packet(&packet(interface, *time, &frame(n as u8, 60))).unwrap();
    }
}

#[test]
fn a_replay_gives_its_frames_as_fast_as_asked() {
    let dir = folder();
    written(&dir.path().join("a"), &[5_000_000_000, 9_000_000_000, 1]);
    let replay = Replay::open(dir.path().join("a"), Pace::AtOnce, false).unwrap();
    let mut plug = Capture::new(Clock::virtual_(), None, Some(replay)).unwrap();
    assert!(common::readable(&plug));
    assert_eq!(received(&mut plug, 2), [frame(0, 60), frame(1, 60)]);
    assert_eq!(received(&mut plug, 2), [frame(2, 60)]);
    assert_eq!((received(&mut plug, 2).len(), plug.deadline()), (0, None));
}

#[test]
fn a_paced_replay_keeps_the_distances_of_its_timestamps() {
    let dir = folder();
    written(&dir.path().join("a"), &[5_000, 5_100, 5_050, 5_400]);
    let clock = Clock::virtual_();
    clock.advance(70);
    let replay = Replay::open(dir.path().join("a"), Pace::Timestamps, false).unwrap();
    let mut plug = Capture::new(clock.clone(), None, Some(replay)).unwrap();
    assert_eq!(received(&mut plug, 9), [frame(0, 60)]);
    assert_eq!(plug.deadline(), Some(170));
    clock.advance(99);
    assert_eq!(received(&mut plug, 9).len(), 0);
    clock.advance(1);
    assert_eq!(received(&mut plug, 9), [frame(1, 60), frame(2, 60)]);
    assert_eq!(plug.deadline(), Some(470));
    clock.advance(1000);
    assert_eq!(received(&mut plug, 9), [frame(3, 60)]);
    assert_eq!(plug.deadline(), None);
}

#[test]
fn a_repeated_replay_begins_again_after_its_last_distance() {
    let dir = folder();
    written(&dir.path().join("a"), &[0, 3_000]);
    let clock = Clock::virtual_();
    let replay = Replay::open(dir.path().join("a"), Pace::Timestamps, true).unwrap();
    let mut plug = Capture::new(clock.clone(), None, Some(replay)).unwrap();
    let mut came = vec![];
    for time in 0..12 {
        came.extend(received(&mut plug, 9).iter().map(|frame| (time, frame[0])));
        clock.advance(1_000);
    }
    assert_eq!(came, [(0, 0), (3, 1), (6, 0), (9, 1)]);
}

#[test]
fn a_timestamp_before_its_predecessors_does_not_turn_a_replay_back() {
    let dir = folder();
    written(&dir.path().join("a"), &[0, 5_000, 1_000]);
    let clock = Clock::virtual_();
    let replay = Replay::open(dir.path().join("a"), Pace::Timestamps, true).unwrap();
    let mut plug = Capture::new(clock.clone(), None, Some(replay)).unwrap();
    assert_eq!(received(&mut plug, 9).len(), 1);
    clock.advance(5_000);
    assert_eq!(received(&mut plug, 9).len(), 2);
    assert_eq!(plug.deadline(), Some(6_000));
}

#[test]
fn a_repeated_file_without_fit_frames_ends() {
    let dir = folder();
    let mut writer = Writer::create(dir.path().join("a"), 1 << 20).unwrap();
    let interface = writer.interface("a", 1).unwrap();
    writer.packet(&packet(interface, 0, &[0; 13])).unwrap();
    drop(writer);
    let replay = Replay::open(dir.path().join("a"), Pace::AtOnce, true).unwrap();
    let mut plug = Capture::new(Clock::virtual_(), None, Some(replay)).unwrap();
    assert_eq!(received(&mut plug, 9).len(), 0);
    assert_eq!(plug.counters().dropped(Reason::Length), 1);
}

#[test]
fn damage_further_in_ends_a_replay_with_an_event() {
    let dir = folder();
    let path = dir.path().join("a");
    written(&path, &[0, 1]);
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    let replay = Replay::open(&path, Pace::AtOnce, true).unwrap();
    let mut plug = Capture::new(Clock::virtual_(), None, Some(replay)).unwrap();
    assert_eq!(received(&mut plug, 9), [frame(0, 60)]);
    assert!(plug.take_event().unwrap().ends_with(": the file ends within a block or record"));
    assert_eq!(received(&mut plug, 9).len(), 0);
}

#[test]
fn a_replay_waits_while_its_link_is_down() {
    let dir = folder();
    written(&dir.path().join("a"), &[0]);
    let replay = Replay::open(dir.path().join("a"), Pace::AtOnce, false).unwrap();
    let mut plug = Capture::new(Clock::virtual_(), None, Some(replay)).unwrap();
    plug.set_link(false);
    assert_eq!((received(&mut plug, 9).len(), plug.deadline()), (0, None));
    plug.set_link(true);
    assert!(common::readable(&plug));
    assert_eq!(received(&mut plug, 9).len(), 1);
}
