//! Throttling timers in shared memory: software stores an interval without our being told.

use std::collections::HashMap;

use siov_mem::Word;

use crate::interrupt::{Interrupts, Ns, Vector};

const TIMERS: usize = 3;

/// The words in the place of vectors' timers.
///
/// They are looked at when a vector's timers matter: an event comes for it, software accesses another of its
/// registers, or time has passed. What changes a timer otherwise is shown in its word.
#[derive(Debug, Default)]
pub(crate) struct SharedTimers(HashMap<Vector, [Option<Timer>; TIMERS]>);

#[derive(Debug)]
struct Timer {
    word: Word,
    /// What was found there last, or put there.
    seen: u32,
    /// What the register held then.
    held: u32,
}

impl SharedTimers {
    /// A timer is a word from now on, which shows its value; or none any more.
    pub fn set(
        &mut self,
        vector: Vector,
        timer: u32,
        word: Option<Word>,
        interrupts: &mut Interrupts,
        now: Ns,
    ) {
        self.look(vector, interrupts, now);
        let held = interrupts.itr(vector, timer);
        let timers = self.0.entry(vector).or_default();
        if let Some(place) = timers.get_mut(timer as usize) {
            *place = word.map(|word| Timer { word, seen: held, held });
            place.iter().for_each(|timer| timer.word.store(held));
        }
        self.0.retain(|_, timers| timers.iter().any(Option::is_some));
    }

    /// Takes what software has stored for a vector.
    pub fn look(&mut self, vector: Vector, interrupts: &mut Interrupts, now: Ns) {
        if !self.0.is_empty()
            && let Some(timers) = self.0.get_mut(&vector)
        {
            take(vector, timers, interrupts, now);
        }
    }

    /// The same for all vectors.
    pub fn look_at_all(&mut self, interrupts: &mut Interrupts, now: Ns) {
        for (vector, timers) in &mut self.0 {
            take(*vector, timers, interrupts, now);
        }
    }

    /// Shows what a vector's timers have become otherwise.
    pub fn show(&mut self, vector: Vector, interrupts: &Interrupts) {
        if self.0.is_empty() {
            return;
        }
        for (number, timer) in (0..).zip(self.0.get_mut(&vector).into_iter().flatten()) {
            let held = interrupts.itr(vector, number);
            if let Some(timer) = timer.as_mut().filter(|timer| timer.held != held) {
                (timer.seen, timer.held) = (held, held);
                timer.word.store(held);
            }
        }
    }

    /// Vectors have been reset, and whatever was stored before is forgotten.
    pub fn forget(&mut self, vectors: impl IntoIterator<Item = Vector>) {
        for vector in vectors {
            for timer in self.0.get_mut(&vector).into_iter().flatten().flatten() {
                (timer.seen, timer.held) = (0, 0);
                timer.word.store(0);
            }
        }
    }

    /// All of them have been.
    pub fn forget_all(&mut self) {
        let vectors: Vec<Vector> = self.0.keys().copied().collect();
        self.forget(vectors);
    }
}

fn take(vector: Vector, timers: &mut [Option<Timer>], interrupts: &mut Interrupts, now: Ns) {
    for (number, timer) in (0..).zip(timers) {
        let Some(timer) = timer else { continue };
        if let Some(stored) = timer.word.load().filter(|stored| *stored != timer.seen) {
            interrupts.set_itr(vector, number, stored, now);
            (timer.seen, timer.held) = (stored, interrupts.itr(vector, number));
        }
    }
}
