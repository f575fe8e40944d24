//! What the tests of all backends need.
#![allow(dead_code, clippy::unwrap_used, clippy::indexing_slicing)] // each test binary uses some of it

use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use siov_port::Backend;

/// A frame whose first byte tells which one it is.
pub fn frame(n: u8, bytes: usize) -> Vec<u8> {
    let mut frame = vec![0x5a; bytes];
    if let Some(first) = frame.first_mut() {
        *first = n;
    }
    frame
}

pub fn received(backend: &mut dyn Backend, max: usize) -> Vec<Vec<u8>> {
    let mut frames = vec![];
    let said = backend.receive(max, &mut |frame| frames.push(frame.to_vec()));
    assert_eq!(said, frames.len());
    frames
}

/// Whether its fd is readable within a time.
pub fn wait(backend: &dyn Backend, time: Duration) -> bool {
    let fd = backend.fd().unwrap();
    let time = Timespec::try_from(time).unwrap();
    poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&time)).unwrap() == 1
}

pub fn readable(backend: &dyn Backend) -> bool {
    wait(backend, Duration::ZERO)
}

/// An Ethernet frame between two stations.
pub fn between(dst: [u8; 6], src: [u8; 6]) -> Vec<u8> {
    [&dst[..], &src[..], &[0x08, 0x00], &[0x5a; 46]].concat()
}
