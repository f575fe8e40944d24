//! What the firmware has to see: a doorbell of the admin queue, a reset that was asked for, trouble.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::malicious::Malice;

/// How many events wait for the firmware at most; more are lost, and counted.
const MAX_EVENTS: usize = 4096;

/// A reset that software asked for, or that came with the bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetKind {
    /// Of the function.
    PFR,
    /// Of the core.
    CORER,
    /// Of the device, its PCI Express and management parts aside.
    GLOBR,
    /// Of the device with its firmware.
    EMPR,
    /// A function-level reset by configuration cycle.
    FLR,
}

impl ResetKind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::PFR, Self::CORER, Self::GLOBR, Self::EMPR, Self::FLR];

    /// The specification's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PFR => "PFR",
            Self::CORER => "CORER",
            Self::GLOBR => "GLOBR",
            Self::EMPR => "EMPR",
            Self::FLR => "FLR",
        }
    }
}

/// Something for the firmware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A tail or a length of the admin queue was written.
    AdminQueue,
    /// A reset was asked for.
    Reset(ResetKind),
    /// VSIGEN_RTRIG.VMSWR was set.
    VsiReset(u16),
    /// A queue broke a rule, or its memory could not be reached, and has stopped.
    Malicious {
        /// Whose queue.
        vsi: u16,
        /// Its number in the device.
        queue: u16,
        /// Why.
        malice: Malice,
    },
    /// A mailbox stopped (CRIT in its LEN).
    Mailbox(u16),
    /// What a port is plugged into has a link, or none any more.
    Link {
        /// The port.
        port: u8,
        /// Whether there is one.
        up: bool,
    },
}

/// Events in order, until the firmware takes them.
#[derive(Debug, Default)]
pub(crate) struct Events {
    queue: Mutex<VecDeque<Event>>,
    arrived: Condvar,
}

impl Events {
    /// Adds an event, unless it is the same as the last one.
    pub fn push(&self, event: Event) {
        let mut queue = self.lock();
        if queue.back() != Some(&event) && queue.len() < MAX_EVENTS {
            queue.push_back(event);
            self.arrived.notify_all();
        }
    }

    /// All that wait.
    pub fn take(&self) -> Vec<Event> {
        self.lock().drain(..).collect()
    }

    /// Waits for an event; whether there is one.
    pub fn wait(&self, timeout: Duration) -> bool {
        let empty = |queue: &mut VecDeque<Event>| queue.is_empty();
        let waited = self.arrived.wait_timeout_while(self.lock(), timeout, empty);
        !waited.unwrap_or_else(PoisonError::into_inner).0.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Event>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
