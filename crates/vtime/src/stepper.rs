//! The loop.

use std::sync::Arc;

use rustix::io::Errno;
use siov_bus::Bus;
use siov_iavf::{GuestLoop, LoopError, Parked};
use siov_lan::Nic;
use siov_port::Clock;
use thiserror::Error;

use crate::bells::Bells;
use crate::line::Pace;

/// Turns at one moment after which time goes on by `MOMENT`, whoever still has something to do.
const TURNS: u32 = 10_000;
const MOMENT: u64 = 1_000;

/// What goes wrong with the system; nothing that a guest does.
#[derive(Debug, Error)]
pub enum StepError {
    /// In the guests' loop.
    #[error("{0}")]
    Guests(#[from] LoopError),
    /// At an eventfd.
    #[error("{0}")]
    System(#[from] Errno),
}

/// Why it stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The time is over; all that is due until then, that moment included, is done.
    Time,
    /// So many moments are over.
    Moments,
    /// Guests stand still until they are resumed.
    Parked(Vec<Parked>),
    /// The host has something to do: firmware, a handler of an interrupt, a guest's driver.
    Host,
}

/// An adapter, and the speed of its port in Mbit/s.
pub struct Adapter {
    nic: Arc<Nic>,
    speed: u64,
    pace: Pace,
}

impl Adapter {
    /// That has carried nothing yet.
    pub fn new(nic: Arc<Nic>, speed: u64) -> Self {
        Self { nic, speed, pace: Pace::default() }
    }
}

/// Guests and adapters, always in the same order.
pub struct Stepper {
    clock: Clock,
    bus: Arc<Bus>,
    adapters: Vec<Adapter>,
    guests: Option<Arc<GuestLoop>>,
    bells: Option<Bells>,
}

impl Stepper {
    /// Without guests.
    pub fn new(clock: Clock, bus: Arc<Bus>, adapters: Vec<Adapter>) -> Self {
        Self { clock, bus, adapters, guests: None, bells: None }
    }

    /// The guests, or none any more.
    pub fn set_guests(&mut self, guests: Option<Arc<GuestLoop>>) {
        self.guests = guests;
    }

    /// The eventfds at which drivers in guests wait for their mailboxes.
    pub fn set_bells(&mut self, bells: Option<Bells>) {
        self.bells = bells;
    }

    /// Goes on until a time, for at most so many moments; `guests` stand still unless they are to go on.
    ///
    /// Whoever is told of the host's work does it and comes back: the moment goes on then.
    pub fn run(&mut self, until: u64, moments: u64, guests: bool) -> Result<Stop, StepError> {
        for _ in 0..moments {
            if let Some(stop) = self.moment(guests)? {
                return Ok(stop);
            }
            let now = self.clock.now();
            if now >= until {
                return Ok(Stop::Time);
            }
            let next = self.next(now, guests).map_or(until, |next| next.min(until));
            self.clock.advance(next.saturating_sub(now));
        }
        Ok(Stop::Moments)
    }

    /// All that is to be done now, until nobody has any more.
    fn moment(&mut self, guests: bool) -> Result<Option<Stop>, StepError> {
        for _ in 0..TURNS {
            let mut worked = false;
            // What timers let go now is an interrupt that a guest answers in this turn.
            self.adapters.iter().for_each(|adapter| adapter.nic.poll());
            if let Some(loop_) = self.guests.as_ref().filter(|_| guests) {
                let turn = loop_.step()?;
                worked |= turn.worked;
                if !turn.parked.is_empty() {
                    return Ok(Some(Stop::Parked(turn.parked)));
                }
            }
            let now = self.clock.now();
            for Adapter { nic, speed, pace } in &mut self.adapters {
                if pace.free_at() <= now {
                    let (busy, line) = nic.batch();
                    pace.carry(line, now, *speed);
                    worked |= busy;
                }
            }
            let firmware = self.adapters.iter().any(|adapter| adapter.nic.has_events());
            if firmware || self.bus.has_work() || guests && self.rung()? {
                return Ok(Some(Stop::Host));
            }
            if !worked {
                return Ok(None);
            }
        }
        self.clock.advance(MOMENT);
        Ok(None)
    }

    fn rung(&self) -> Result<bool, StepError> {
        Ok(self.bells.as_ref().map(Bells::any).transpose()?.unwrap_or(false))
    }

    /// When something is due next.
    fn next(&self, now: u64, guests: bool) -> Option<u64> {
        let free = self.adapters.iter().map(|adapter| adapter.pace.free_at());
        let timers = self.adapters.iter().filter_map(|adapter| adapter.nic.next_deadline());
        let rates = self.guests.iter().filter(|_| guests).filter_map(|guests| guests.wakes_at());
        free.chain(timers).chain(rates).filter(|at| *at > now).min()
    }
}
