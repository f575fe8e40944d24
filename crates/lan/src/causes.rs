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
}

impl Outcome {
    /// Forgets everything; the room stays.
    pub fn clear(&mut self) {
        self.causes.clear();
        self.stopped.clear();
        (self.more, self.busy) = (false, false);
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
