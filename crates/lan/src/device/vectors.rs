//! The device's vectors: what raises them, when they may interrupt, and where their messages go.

use std::sync::{Arc, Mutex, PoisonError};

use siov_bus::Requester;
use siov_mem::Word;
use siov_port::Clock;

use super::map::VectorRegister;
use super::timers::SharedTimers;
use crate::interrupt::{
    Cause, Interrupts, MSIX_VECTORS, Message, Messages, Moderated, Ns, Oicr, Vector,
};

/// Moderation, storage of messages and the other causes, behind one lock; messages leave once it is let go.
pub(crate) struct Vectors {
    state: Mutex<State>,
    requester: Arc<Requester>,
    clock: Clock,
    /// Called when a timer runs out earlier than all did before: whoever sleeps until then has to know.
    nearer: Box<dyn Fn() + Send + Sync>,
}

#[derive(Debug)]
struct State {
    interrupts: Interrupts,
    timers: SharedTimers,
    messages: Messages,
    oicr: Oicr,
    /// PFINT_OICR_CTL.
    other: Cause,
    fired: Vec<Vector>,
}

impl Vectors {
    /// The vectors of a device with so many slots of interrupt message storage.
    pub fn new(
        requester: Arc<Requester>,
        clock: Clock,
        ims: u32,
        nearer: Box<dyn Fn() + Send + Sync>,
    ) -> Self {
        let state = State {
            interrupts: Interrupts::new(ims),
            timers: SharedTimers::default(),
            messages: Messages::new(ims),
            oicr: Oicr::default(),
            other: Cause::default(),
            fired: Vec::new(),
        };
        Self { state: Mutex::new(state), requester, clock, nearer }
    }

    /// Events have happened; those whose cause is not enabled interrupt nobody.
    pub fn raise(&self, causes: &[Cause]) {
        self.change(|state, now, _| {
            for cause in causes.iter().filter(|cause| cause.enabled) {
                state.look(cause.vector, now);
                state.interrupts.cause(cause.vector, cause.itr, now);
            }
        });
    }

    /// Bits of PFINT_OICR become set.
    pub fn raise_other(&self, bits: u32) {
        self.change(|state, now, _| {
            if state.oicr.raise(bits) {
                state.raise_other(now);
            }
        });
    }

    /// PFINT_OICR without the side effect of a read.
    pub fn other(&self) -> u32 {
        self.lock().oicr.peek()
    }

    /// A read of PFINT_OICR, which clears it.
    pub fn read_other(&self) -> u32 {
        self.lock().oicr.read()
    }

    /// A write of PFINT_OICR_ENA.
    pub fn enable_other(&self, mask: u32) {
        self.change(|state, now, _| {
            if state.oicr.enable(mask) {
                state.raise_other(now);
            }
        });
    }

    /// PFINT_OICR_CTL.
    pub fn set_other(&self, cause: Cause) {
        self.lock().other = cause;
    }

    /// A register of a vector, as software reads it.
    pub fn read(&self, vector: Vector, register: VectorRegister) -> u32 {
        let state = &mut *self.lock();
        state.look(vector, self.clock.now());
        match register {
            VectorRegister::DynCtl => state.interrupts.read_dyn_ctl(vector),
            VectorRegister::Itr(timer) => state.interrupts.itr(vector, timer),
            VectorRegister::Rate => state.interrupts.rate(vector),
        }
    }

    /// A write of software to a register of a vector.
    pub fn write(&self, vector: Vector, register: VectorRegister, value: u32) {
        self.change(|state, now, _| {
            state.look(vector, now);
            match register {
                VectorRegister::DynCtl => {
                    if state.interrupts.write_dyn_ctl(vector, value, now) {
                        state.messages.clear_pending(vector);
                    }
                }
                VectorRegister::Itr(timer) => state.interrupts.set_itr(vector, timer, value, now),
                VectorRegister::Rate => state.interrupts.set_rate(vector, value, now),
            }
            state.timers.show(vector, &state.interrupts);
        });
    }

    /// Has a vector's timer be a word of shared memory, or no more.
    pub fn share(&self, vector: Vector, timer: u32, word: Option<Word>) {
        self.change(|state, now, _| {
            state.timers.set(vector, timer, word, &mut state.interrupts, now);
        });
    }

    /// GLINT_CTL.DIS_AUTOMASK.
    pub fn set_automask(&self, automask: bool) {
        self.lock().interrupts.set_automask(automask);
    }

    /// MSI-X Enable and Function Mask; a function that may not master the bus is as good as masked.
    pub fn set_control(&self, enable: bool, mask: bool) {
        self.change(|state, _, messages| state.messages.set_control(enable, mask, messages));
    }

    /// Reads of BAR 3.
    pub fn read_bar3(&self, offset: u64, data: &mut [u8]) {
        self.lock().messages.read_bar3(offset, data);
    }

    /// Writes to BAR 3.
    pub fn write_bar3(&self, offset: u64, data: &[u8]) {
        self.change(|state, _, messages| state.messages.write_bar3(offset, data, messages));
    }

    /// Reads of interrupt message storage.
    pub fn read_ims(&self, offset: u64, data: &mut [u8]) {
        self.lock().messages.read_ims(offset, data);
    }

    /// Writes to interrupt message storage.
    pub fn write_ims(&self, offset: u64, data: &[u8]) {
        self.change(|state, _, messages| state.messages.write_ims(offset, data, messages));
    }

    /// Lets go what the timers held back until now.
    pub fn poll(&self) {
        self.change(|state, now, _| {
            state.timers.look_at_all(&mut state.interrupts, now);
            state.interrupts.poll(now);
        });
    }

    /// When a timer runs out next.
    pub fn next_deadline(&self) -> Option<Ns> {
        self.lock().interrupts.next_deadline()
    }

    /// What became of events.
    pub fn moderated(&self) -> Moderated {
        self.lock().interrupts.moderated()
    }

    /// Vectors as after a reset: no event waits, nothing is enabled, no timer set.
    pub fn reset(&self, vectors: impl IntoIterator<Item = Vector>) {
        let mut state = self.lock();
        for vector in vectors {
            state.interrupts.reset(vector.0..vector.0.saturating_add(1));
            state.timers.forget([vector]);
            state.messages.clear_pending(vector);
        }
    }

    /// All vectors, the other causes, and with `messages` the MSI-X table and interrupt message storage.
    pub fn reset_all(&self, ims: u32, messages: bool) {
        let mut state = self.lock();
        state.interrupts.reset(0..MSIX_VECTORS.saturating_add(ims));
        state.timers.forget_all();
        state.interrupts.set_automask(true);
        state.oicr.reset();
        state.other = Cause::default();
        if messages {
            state.messages.reset();
        }
    }

    /// Does something at the present time, then sends the messages that come of it.
    fn change(&self, change: impl FnOnce(&mut State, Ns, &mut Vec<Message>)) {
        let mut messages = Vec::new();
        let nearer = {
            let state = &mut *self.lock();
            let before = state.interrupts.next_deadline();
            change(state, self.clock.now(), &mut messages);
            if state.interrupts.has_fired() {
                state.interrupts.take_fired(&mut state.fired);
                let fired = state.fired.drain(..);
                messages.extend(fired.filter_map(|vector| state.messages.fire(vector)));
            }
            let now = state.interrupts.next_deadline();
            now.is_some_and(|now| before.is_none_or(|before| now < before))
        };
        if nearer {
            (self.nearer)();
        }
        for message in messages {
            self.requester.message(message.address, message.data);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn look(&mut self, vector: Vector, now: Ns) {
        self.timers.look(vector, &mut self.interrupts, now);
    }

    fn raise_other(&mut self, now: Ns) {
        if self.other.enabled {
            self.interrupts.cause(self.other.vector, self.other.itr, now);
        }
    }
}
