//! What the firmware has to see: a doorbell of the admin queue, a reset that was asked for, trouble.

use std::collections::{HashSet, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::malicious::{Malice, Side};

/// A reset that software asked for, or that came with the bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
        /// Which kind of queue.
        side: Side,
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

/// What tells two events apart, so that one that is still to be taken isn't kept twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    AdminQueue,
    Reset(ResetKind),
    VsiReset(u16),
    Malicious(Side, u16),
    Mailbox(u16),
    Link(u8, bool),
}

impl Event {
    fn kind(&self) -> Kind {
        match *self {
            Self::AdminQueue => Kind::AdminQueue,
            Self::Reset(kind) => Kind::Reset(kind),
            Self::VsiReset(vsi) => Kind::VsiReset(vsi),
            Self::Malicious { side, queue, .. } => Kind::Malicious(side, queue),
            Self::Mailbox(vsi) => Kind::Mailbox(vsi),
            Self::Link { port, up } => Kind::Link(port, up),
        }
    }
}

/// Events in order, until the firmware takes them. Each kind waits once, so a guest that causes many keeps
/// nobody else's out, and there is an end to them.
#[derive(Debug, Default)]
pub(crate) struct Events {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    order: VecDeque<Event>,
    kinds: HashSet<Kind>,
}

impl Events {
    /// Adds an event, unless one of its kind waits.
    pub fn push(&self, event: Event) {
        let waiting = &mut *self.lock();
        if waiting.kinds.insert(event.kind()) {
            waiting.order.push_back(event);
            self.arrived.notify_all();
        }
    }

    /// Whether one waits.
    pub fn any(&self) -> bool {
        !self.lock().order.is_empty()
    }

    /// All that wait.
    pub fn take(&self) -> Vec<Event> {
        let waiting = &mut *self.lock();
        waiting.kinds.clear();
        waiting.order.drain(..).collect()
    }

    /// Waits for an event; whether there is one.
    pub fn wait(&self, timeout: Duration) -> bool {
        let empty = |waiting: &mut Waiting| waiting.order.is_empty();
        let waited = self.arrived.wait_timeout_while(self.lock(), timeout, empty);
        !waited.unwrap_or_else(PoisonError::into_inner).0.order.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_waits_once_and_keeps_no_other_out() {
        let events = Events::default();
        for vsi in (0..768).cycle().take(100_000) {
            events.push(Event::Mailbox(vsi));
        }
        events.push(Event::Reset(ResetKind::PFR));
        events.push(Event::Reset(ResetKind::PFR));
        let taken = events.take();
        assert_eq!(taken.len(), 769);
        assert_eq!(taken.last(), Some(&Event::Reset(ResetKind::PFR)));
        assert!(events.take().is_empty() && !events.wait(Duration::ZERO));
        events.push(Event::Mailbox(3));
        assert_eq!(events.take(), [Event::Mailbox(3)]);
    }
}
