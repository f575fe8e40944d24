//! What a batch leaves for others to do: vectors to raise, queues that stopped.

use siov_switch::VsiId;

use crate::interrupt::Cause;
use crate::malicious::{Malice, Side};

/// A queue that was stopped for what it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// Which kind of queue.
    pub side: Side,
    /// Its number in the device.
    pub queue: u16,
    /// Whose it was.
    pub vsi: VsiId,
    /// Why.
    pub malice: Malice,
}

/// What a batch did.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Causes that happened, each once.
    pub causes: Vec<Cause>,
    /// Queues that stopped.
    pub stopped: Vec<Stopped>,
    /// Whether there is more to do at once.
    pub more: bool,
    /// Whether anything was done.
    pub busy: bool,
    /// What frames take up of the line.
    pub line: Line,
}

/// How much of the line's time, in octets, frames of a batch take: with preamble, check sequence and the gap
/// behind them (IEEE 802.3 3.1.1 and 4.4.2). What stays within the device passes its pipeline once, too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// Frames that VSIs sent.
    pub sent: u64,
    /// Frames that came in at a port.
    pub received: u64,
}

impl Line {
    /// Octets before, behind and between frames.
    const AROUND: u64 = 8 + 4 + 12;
    /// The shortest frame, without its check sequence.
    const SHORTEST: u64 = 60;

    /// The octets of a frame of so many bytes, given without its check sequence.
    pub(crate) fn of(bytes: usize) -> u64 {
        (bytes as u64).max(Self::SHORTEST) + Self::AROUND
    }

    /// Adds those of another batch.
    pub fn add(&mut self, other: Self) {
        self.sent = self.sent.saturating_add(other.sent);
        self.received = self.received.saturating_add(other.received);
    }
}

impl Outcome {
    /// Forgets everything; the room stays.
    pub fn clear(&mut self) {
        self.causes.clear();
        self.stopped.clear();
        (self.more, self.busy) = (false, false);
        self.line = Line::default();
    }

    /// A cause has happened; what is not enabled interrupts nobody.
    pub fn cause(&mut self, cause: Cause) {
        if cause.enabled && !self.causes.contains(&cause) {
            self.causes.push(cause);
        }
    }
}

/// Who takes what a batch leaves.
pub trait Sink: Send + Sync {
    /// Raise vectors, tell of stopped queues; no lock of a worker is held.
    fn take(&self, outcome: &Outcome);
    /// When a timer of the sink runs out next, in nanoseconds of the clock.
    fn deadline(&self) -> Option<u64>;
    /// A timer may have run out.
    fn poll(&self);
}
