//! When a vector interrupts: enable bits, throttling timers and rate limit.

use std::collections::BTreeSet;
use std::ops::Range;

use siov_spec::e810::VECTORS;
use siov_spec::e810::bar0::{GLINT_DYN_CTL, GLINT_ITR, GLINT_RATE};

use super::cause::{Itr, Vector};

/// A time, or a stretch of time, in nanoseconds.
pub type Ns = u64;

/// Unit of GLINT_ITR and of INTERVAL.
const ITR_UNIT: Ns = 2_000;
/// Unit of INTRL.
const INTRL_UNIT: Ns = 4_000;

/// The registers and the state of one vector.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    dyn_ctl: GLINT_DYN_CTL,
    itr: [GLINT_ITR; 3],
    rate: GLINT_RATE,
    /// Events that wait, a bit for each timer.
    waiting: u8,
    /// In `fired`.
    fired: bool,
    /// When the last message was due.
    last: Option<Ns>,
    /// Its entry in `deadlines`.
    deadline: Option<Ns>,
}

impl State {
    /// When the vector's next message is due; `None` without an event, or while disabled.
    fn due(&self, now: Ns) -> Option<Ns> {
        if self.waiting == 0 || !self.dyn_ctl.INTENA() {
            return None;
        }
        let Some(last) = self.last else { return Some(now) };
        let timers = self.itr.iter().zip(0..).filter(|(_, i)| self.waiting & 1 << i != 0);
        let itr = timers.map(|(itr, _)| Ns::from(itr.INTERVAL()) * ITR_UNIT).min();
        let itr = if self.waiting & Itr::None.bit() != 0 { 0 } else { itr.unwrap_or(0) };
        Some(last.saturating_add(itr.max(self.rate_interval())))
    }

    fn rate_interval(&self) -> Ns {
        if self.rate.INTRL_ENA() { Ns::from(self.rate.INTERVAL()) * INTRL_UNIT } else { 0 }
    }
}

/// What became of events, since the device was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moderated {
    /// Events, those that software made among them.
    pub events: u64,
    /// Interrupts: each takes all events of its vector with it.
    pub interrupts: u64,
    /// Interrupts that had to wait for a timer (ITR) or for the rate limit (INTRL).
    pub delayed: u64,
    /// Events that found their vector disabled, and wait until its driver enables it.
    pub disabled: u64,
}

impl Moderated {
    fn event(&mut self, vector: GLINT_DYN_CTL) {
        self.events += 1;
        self.disabled += u64::from(!vector.INTENA());
    }
}

/// The vectors of a device: which events wait, and until when.
///
/// Time comes as an argument; whoever owns the clock calls [`poll`](Self::poll) when
/// [`next_deadline`](Self::next_deadline) has come. Vectors without a waiting event cost nothing.
#[derive(Debug)]
pub struct Interrupts {
    vectors: Vec<State>,
    /// One entry for each vector that waits for its timers: never more than there are vectors.
    deadlines: BTreeSet<(Ns, Vector)>,
    fired: Vec<Vector>,
    automask: bool,
    moderated: Moderated,
}

impl Interrupts {
    /// All MSI-X vectors and `ims` slots of interrupt message storage, as after a core reset.
    pub fn new(ims: u32) -> Self {
        let count = Vector(VECTORS.saturating_add(ims)).index();
        Self {
            vectors: vec![State::default(); count],
            deadlines: BTreeSet::new(),
            fired: Vec::new(),
            automask: true,
            moderated: Moderated::default(),
        }
    }

    /// An event for a vector: it interrupts now, later, or when the vector is enabled. No such vector: nobody.
    pub fn cause(&mut self, vector: Vector, itr: Itr, now: Ns) {
        if let Some(state) = self.vectors.get_mut(vector.index()) {
            state.waiting |= itr.bit();
            self.moderated.event(state.dyn_ctl);
            self.settle(vector, now);
        }
    }

    /// What software reads from GLINT_DYN_CTL: INTENA as it is now, the write-only fields as 0.
    pub fn read_dyn_ctl(&self, vector: Vector) -> u32 {
        self.vectors.get(vector.index()).map_or(0, |state| state.dyn_ctl.0)
    }

    /// A write of GLINT_DYN_CTL; true when CLEARPBA asks to clear the vector's pending bit.
    #[must_use]
    pub fn write_dyn_ctl(&mut self, vector: Vector, value: u32, now: Ns) -> bool {
        let Some(state) = self.vectors.get_mut(vector.index()) else { return false };
        let write = GLINT_DYN_CTL(value);
        let old = state.dyn_ctl;
        let intena = if write.INTENA_MSK() { old } else { write }.INTENA();
        let software = if write.SW_ITR_INDX_ENA() { write } else { old }.SW_ITR_INDX();
        let kept = GLINT_DYN_CTL(value & GLINT_DYN_CTL::RW_MASK);
        state.dyn_ctl = kept.with_INTENA(intena).with_SW_ITR_INDX(software);
        if let Some(itr) = state.itr.get_mut(usize::from(write.ITR_INDX())) {
            *itr = itr.with_INTERVAL(write.INTERVAL());
        }
        if write.SWINT_TRIG() {
            state.waiting |= Itr::from_index(software.into()).bit();
            self.moderated.event(state.dyn_ctl);
        }
        self.settle(vector, now);
        write.CLEARPBA()
    }

    /// GLINT_ITR(index).
    pub fn itr(&self, vector: Vector, index: u32) -> u32 {
        let state = self.vectors.get(vector.index());
        state.and_then(|state| state.itr.get(index as usize)).map_or(0, |itr| itr.0)
    }

    /// A write of GLINT_ITR(index).
    pub fn set_itr(&mut self, vector: Vector, index: u32, value: u32, now: Ns) {
        let state = self.vectors.get_mut(vector.index());
        if let Some(itr) = state.and_then(|state| state.itr.get_mut(index as usize)) {
            *itr = GLINT_ITR(value & GLINT_ITR::RW_MASK);
            self.settle(vector, now);
        }
    }

    /// GLINT_RATE.
    pub fn rate(&self, vector: Vector) -> u32 {
        self.vectors.get(vector.index()).map_or(0, |state| state.rate.0)
    }

    /// A write of GLINT_RATE.
    pub fn set_rate(&mut self, vector: Vector, value: u32, now: Ns) {
        if let Some(state) = self.vectors.get_mut(vector.index()) {
            state.rate = GLINT_RATE(value & GLINT_RATE::RW_MASK);
            self.settle(vector, now);
        }
    }

    /// GLINT_CTL.DIS_AUTOMASK: with `false`, a message leaves INTENA as it is.
    pub fn set_automask(&mut self, automask: bool) {
        self.automask = automask;
    }

    /// Whether the vector is in the mode that writes descriptors back without an interrupt (WB_ON_ITR).
    pub fn writes_back_on_itr(&self, vector: Vector) -> bool {
        GLINT_DYN_CTL(self.read_dyn_ctl(vector)).WB_ON_ITR()
    }

    /// What became of events.
    pub fn moderated(&self) -> Moderated {
        self.moderated
    }

    /// Let go what is due.
    pub fn poll(&mut self, now: Ns) {
        while let Some(&(due, vector)) = self.deadlines.first() {
            if due > now {
                break;
            }
            self.settle(vector, now);
        }
    }

    /// When [`poll`](Self::poll) next has something to do.
    pub fn next_deadline(&self) -> Option<Ns> {
        self.deadlines.first().map(|(due, _)| *due)
    }

    /// Move the vectors that interrupt to `to`, in order; each at most once, however many events it had.
    pub fn take_fired(&mut self, to: &mut Vec<Vector>) {
        for vector in &self.fired {
            if let Some(state) = self.vectors.get_mut(vector.index()) {
                state.fired = false;
            }
        }
        to.append(&mut self.fired);
    }

    /// Whether [`take_fired`](Self::take_fired) has something to move.
    pub fn has_fired(&self) -> bool {
        !self.fired.is_empty()
    }

    /// Bring vectors to their state after a core reset: their events and what has fired are gone.
    pub fn reset(&mut self, vectors: Range<u32>) {
        for vector in vectors.clone().map(Vector) {
            let Some(state) = self.vectors.get_mut(vector.index()) else { break };
            if let Some(due) = std::mem::take(state).deadline {
                self.deadlines.remove(&(due, vector));
            }
        }
        self.fired.retain(|vector| !vectors.contains(&vector.0));
    }

    /// Fire the vector, or have it wait for its timers, as its state now asks.
    fn settle(&mut self, vector: Vector, now: Ns) {
        let Some(state) = self.vectors.get_mut(vector.index()) else { return };
        let due = state.due(now);
        let waits = due.filter(|due| *due > now);
        if state.deadline != waits {
            if let Some(old) = state.deadline {
                self.deadlines.remove(&(old, vector));
            }
            if let Some(new) = waits {
                self.deadlines.insert((new, vector));
            }
        }
        // An event can come after the timers ran out, and be looked at in time: then it is due now.
        let on_time = state.deadline;
        state.deadline = waits;
        self.moderated.delayed += u64::from(on_time.is_none() && waits.is_some());
        if due.is_none() || waits.is_some() {
            return;
        }
        state.last = Some(on_time.filter(|at| *at <= now).unwrap_or(now));
        state.waiting = 0;
        self.moderated.interrupts += 1;
        if self.automask {
            state.dyn_ctl = state.dyn_ctl.with_INTENA(false);
        }
        if !state.fired {
            state.fired = true;
            self.fired.push(vector);
        }
    }
}
