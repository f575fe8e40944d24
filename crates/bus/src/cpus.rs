//! Where interrupt messages end: at a vector of a CPU.

use std::collections::{HashMap, VecDeque};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::BusError;

/// Vectors that may be pending at a time; destinations come from devices, so there is an end to them.
const MAX_PENDING: usize = 1 << 16;

/// How long a waiter looks before it sleeps.
const SPIN: Duration = Duration::from_micros(150);

/// What takes the interrupts of a vector.
#[derive(Debug)]
pub enum Target {
    /// An eventfd is signalled; its owner may be anybody, and never holds us up.
    Eventfd(Arc<OwnedFd>),
    /// A number goes up.
    Count(Arc<AtomicU64>),
}

/// A vector whose interrupts wait for the host's handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The CPU (APIC id).
    pub destination: u32,
    /// Its vector.
    pub vector: u8,
    /// How many messages came since it was taken last.
    pub messages: u64,
}

/// How many vectors are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// With a target.
    pub connected: usize,
    /// Waiting for the host's handlers.
    pub pending: usize,
    /// Messages that were dropped because too many vectors were pending.
    pub lost: u64,
}

/// Destination and vector.
type Line = (u32, u8);

/// The CPUs' side of interrupts. A vector without a target is kept for the host's handlers, once however
/// many messages come for it, as a CPU's IRR does (Intel SDM 3A 11.8.4).
#[derive(Debug, Default)]
pub struct Cpus {
    state: Mutex<State>,
    /// Whether one is pending, for who looks without the lock; written with it held.
    any: AtomicBool,
    arrived: Condvar,
}

#[derive(Debug, Default)]
struct State {
    targets: HashMap<Line, Target>,
    order: VecDeque<Line>,
    messages: HashMap<Line, u64>,
    lost: u64,
}

impl Cpus {
    /// Gives a vector a target; the one before is let go.
    pub fn connect(&self, destination: u32, vector: u8, target: Target) -> Result<(), BusError> {
        if let Target::Eventfd(fd) = &target {
            siov_eventfd::check(fd).map_err(|_| BusError::NotAnEventfd)?;
        }
        self.lock().targets.insert((destination, vector), target);
        Ok(())
    }

    /// Takes the target of a vector away; whether there was one.
    pub fn disconnect(&self, destination: u32, vector: u8) -> bool {
        self.lock().targets.remove(&(destination, vector)).is_some()
    }

    /// A message has arrived.
    pub fn deliver(&self, destination: u32, vector: u8) {
        let line = (destination, vector);
        let mut state = self.lock();
        match state.targets.get(&line) {
            Some(Target::Eventfd(fd)) => return siov_eventfd::signal(fd),
            Some(Target::Count(count)) => {
                count.fetch_add(1, Ordering::Relaxed);
                return;
            }
            None => {}
        }
        if let Some(messages) = state.messages.get_mut(&line) {
            *messages = messages.saturating_add(1);
        } else if state.order.len() < MAX_PENDING {
            state.messages.insert(line, 1);
            state.order.push_back(line);
            self.any.store(true, Ordering::Release);
            drop(state);
            self.arrived.notify_all();
        } else {
            state.lost = state.lost.saturating_add(1);
        }
    }

    /// At most `max` pending vectors, in the order in which they became so.
    pub fn take(&self, max: usize) -> Vec<Pending> {
        let mut state = self.lock();
        let State { order, messages, .. } = &mut *state;
        if max >= order.len() {
            self.any.store(false, Ordering::Release);
        }
        let lines = order.drain(..max.min(order.len()));
        let pending = |line: Line| Pending {
            destination: line.0,
            vector: line.1,
            messages: messages.remove(&line).unwrap_or(0),
        };
        lines.map(pending).collect()
    }

    /// Waits until a vector is pending, at most this long; whether one is.
    ///
    /// Who answers interrupts is soon asked again: for a moment it looks instead of sleeping, for to be woken
    /// takes longer than that.
    pub fn wait(&self, timeout: Duration) -> bool {
        let end = Instant::now() + timeout.min(SPIN);
        while !self.any.load(Ordering::Acquire) && Instant::now() < end {
            std::hint::spin_loop();
        }
        let idle = |state: &mut State| state.order.is_empty();
        let (state, _) = self
            .arrived
            .wait_timeout_while(self.lock(), timeout, idle)
            .unwrap_or_else(PoisonError::into_inner);
        !state.order.is_empty()
    }

    /// How many vectors are in which state.
    pub fn counted(&self) -> Counted {
        let state = self.lock();
        let (connected, pending) = (state.targets.len(), state.order.len());
        Counted { connected, pending, lost: state.lost }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
