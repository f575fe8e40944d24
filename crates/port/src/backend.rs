//! What everything that a port can be plugged into has in common.

use std::os::fd::BorrowedFd;

use crate::Counters;

/// The longest frame that any backend carries, in bytes: QEMU's `NET_BUFSIZE` is 4 KiB + 64 KiB, but
/// no frame of its devices is longer than 64 KiB with a header of 14 bytes.
pub const FRAME_MAX: usize = 65_550;
/// The shortest, in bytes: an Ethernet header.
pub const FRAME_MIN: usize = 14;

/// Where frames go to and come from.
///
/// One user at a time calls it, from any thread: a [`Port`](crate::Port) sees to that. Nothing here
/// waits, and nothing is allocated for a frame.
pub trait Backend: Send {
    /// What kind it is, in one word.
    fn kind(&self) -> &'static str;

    /// Takes a frame (Ethernet, without FCS); `false` if it was dropped, which is counted.
    ///
    /// The other side may see it only after [`flush`](Self::flush).
    fn send(&mut self, frame: &[u8]) -> bool;

    /// Ends a batch: what was sent is on its way, and who sleeps on the other side is woken.
    fn flush(&mut self) {}

    /// Hands at most `max` frames to `each`, in order, and says how many.
    ///
    /// When there were fewer than `max`, [`fd`](Self::fd) is readable from the next one on. After
    /// `max` there may be more of which the fd says nothing: ask again before sleeping. A call may
    /// also do work that waits for the fd, so answer a readable fd with one, link or no link.
    fn receive(&mut self, max: usize, each: &mut dyn FnMut(&[u8])) -> usize;

    /// What to poll for reading: a frame has come, or the link has changed. Stays the same for life;
    /// `None` if frames never come by themselves.
    fn fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// When, by the clock that it was given, [`receive`](Self::receive) has something that the fd does
    /// not tell about, in nanoseconds.
    fn deadline(&self) -> Option<u64> {
        None
    }

    /// Whether there is a carrier: both sides are there, and neither has taken the link down.
    fn link(&self) -> bool;

    /// Takes this side's part of the link up or down; up is what it begins with.
    fn set_link(&mut self, up: bool);

    /// What was sent, received and dropped since it was made.
    fn counters(&self) -> Counters;

    /// What went wrong outside, in one sentence, once each time it begins; at most one is kept.
    fn take_event(&mut self) -> Option<String> {
        None
    }

    /// Turns a bridge's reflective relay on or off at its port; `false` from what is no bridge.
    fn set_reflective_relay(&mut self, _on: bool) -> bool {
        false
    }

    /// What it is plugged into and how that fares, in one line.
    fn inspect(&self) -> String;
}
