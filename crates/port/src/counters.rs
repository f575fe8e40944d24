//! How many frames went which way, and why others did not.

use crate::{FRAME_MAX, FRAME_MIN};

/// Why a frame was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The link was down, or nobody was on the other side.
    LinkDown,
    /// The other side reads too slowly.
    Overflow,
    /// Shorter than an Ethernet header, or longer than [`FRAME_MAX`](crate::FRAME_MAX).
    Length,
    /// The other side sent what can't be a frame.
    Malformed,
    /// The system refused it: a full disk, a device that is gone.
    Os,
    /// The capture has reached its limit.
    Limit,
    /// The bridge had nowhere to send it: its station is on the port that it came from.
    Filtered,
}

impl Reason {
    /// All of them.
    pub const ALL: [Reason; 7] = [
        Reason::LinkDown,
        Reason::Overflow,
        Reason::Length,
        Reason::Malformed,
        Reason::Os,
        Reason::Limit,
        Reason::Filtered,
    ];

    /// Its name in statistics.
    pub const fn name(self) -> &'static str {
        match self {
            Reason::LinkDown => "link_down",
            Reason::Overflow => "overflow",
            Reason::Length => "length",
            Reason::Malformed => "malformed",
            Reason::Os => "os",
            Reason::Limit => "limit",
            Reason::Filtered => "filtered",
        }
    }
}

/// What a backend has counted since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames taken from the port.
    pub sent: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Frames given to the port.
    pub received: u64,
    /// Their bytes.
    pub received_bytes: u64,
    dropped: [u64; Reason::ALL.len()],
}

impl Counters {
    /// Frames dropped for a reason.
    pub fn dropped(&self, reason: Reason) -> u64 {
        self.dropped.get(reason as usize).copied().unwrap_or(0)
    }

    /// Frames dropped for any reason.
    pub fn dropped_total(&self) -> u64 {
        self.dropped.iter().fold(0, |sum, n| sum.wrapping_add(*n))
    }

    /// Counts a frame that is to be sent: as sent, or as dropped for want of a link, a fit length or room.
    pub(crate) fn take(&mut self, frame: &[u8], link: bool, room: bool) -> bool {
        let reason = if !link {
            Reason::LinkDown
        } else if !(FRAME_MIN..=FRAME_MAX).contains(&frame.len()) {
            Reason::Length
        } else if !room {
            Reason::Overflow
        } else {
            self.sent(frame.len());
            return true;
        };
        self.drop(reason);
        false
    }

    pub(crate) fn sent(&mut self, bytes: usize) {
        self.sent = self.sent.wrapping_add(1);
        self.sent_bytes = self.sent_bytes.wrapping_add(bytes as u64);
    }

    /// Frames that were counted as sent, and then they were not.
    pub(crate) fn unsend(&mut self, frames: u64, bytes: u64) {
        self.sent = self.sent.wrapping_sub(frames);
        self.sent_bytes = self.sent_bytes.wrapping_sub(bytes);
    }

    pub(crate) fn received(&mut self, bytes: usize) {
        self.received = self.received.wrapping_add(1);
        self.received_bytes = self.received_bytes.wrapping_add(bytes as u64);
    }

    pub(crate) fn add_received(&mut self, other: &Counters) {
        self.received = self.received.wrapping_add(other.received);
        self.received_bytes = self.received_bytes.wrapping_add(other.received_bytes);
    }

    pub(crate) fn drop(&mut self, reason: Reason) {
        self.drop_many(reason, 1);
    }

    pub(crate) fn drop_many(&mut self, reason: Reason, frames: u64) {
        if let Some(count) = self.dropped.get_mut(reason as usize) {
            *count = count.wrapping_add(frames);
        }
    }
}
