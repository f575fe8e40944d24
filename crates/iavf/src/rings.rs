//! The queues of one virtual device: a pair of them shares a vector, and is polled as NAPI does.

use siov_spec::e810::bar0::GLINT_DYN_CTL;
use thiserror::Error;

use crate::cpu::{Cpu, Doorbell, Exit};
use crate::rx::{RxConfig, RxFrame, RxRing};
use crate::tx::{Ask, TxConfig, TxRing};

/// Frames that a poll takes from a queue before others have a turn (NAPI_POLL_WEIGHT).
const BUDGET: u32 = 64;
/// GLINT_DYN_CTL.ITR_INDX: the timers stay as they are.
const NO_ITR: u8 = 3;
/// The timer of the receive queue, as CONFIG_IRQ_MAP told the device.
const RX_ITR: u8 = 0;
/// Pairs of queues of a device (IAVF_MAX_REQ_QUEUES).
const PAIRS: usize = 256;

/// A pair of queues and their vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PairConfig {
    /// The transmit queue.
    pub tx: TxConfig,
    /// The receive queue.
    pub rx: RxConfig,
    /// Guest-virtual address of the vector's control register (DYN_CTLN).
    pub dyn_ctl: u64,
    /// Microseconds between interrupts, set each time the vector is enabled; `None` to leave the timer alone.
    pub itr: Option<u16>,
}

/// A pair that can't be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RingError {
    /// Descriptors.
    #[error("a ring has 64 to 8160 descriptors, a multiple of 32, not {0}")]
    Entries(u16),
    /// Bytes of a buffer.
    #[error("a buffer has 128 to 16256 bytes, a multiple of 128, not {0}")]
    Buffer(u32),
    /// An address.
    #[error(
        "{0:#x} is no place for a ring, a buffer or a register: rings begin at multiples of 128"
    )]
    Address(u64),
    /// Too many.
    #[error("a device has at most {PAIRS} pairs of queues")]
    Pairs,
}

/// What happened at the queues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RingCounters {
    /// Interrupts of queue vectors.
    pub interrupts: u64,
    /// Polls, of a pair each.
    pub polls: u64,
    /// Polls that left work for another one.
    pub exhausted: u64,
    /// Frames taken.
    pub rx_frames: u64,
    /// Frames given up because they were too long.
    pub rx_oversize: u64,
    /// Frames put into a queue.
    pub tx_frames: u64,
    /// Frames reported as done.
    pub tx_done: u64,
    /// Times that there was no room for a frame.
    pub tx_full: u64,
    /// Descriptors written back with another type than "done".
    pub tx_strange: u64,
    /// Writes to registers.
    pub doorbells: u64,
}

struct Pair {
    tx: TxRing,
    rx: RxRing,
    dyn_ctl: u64,
    itr: Option<u16>,
    scheduled: bool,
}

/// The queues of one virtual device.
#[derive(Default)]
pub struct Rings {
    pairs: Vec<Pair>,
    /// Registers to write once memory is as it should be, in order.
    pub(crate) bells: Vec<Doorbell>,
    pub(crate) counters: RingCounters,
}

impl Rings {
    /// Adds a pair; its number. Its first poll posts buffers and enables the vector.
    pub fn add(&mut self, config: &PairConfig) -> Result<usize, RingError> {
        check(config)?;
        if self.pairs.len() == PAIRS {
            return Err(RingError::Pairs);
        }
        let PairConfig { tx, rx, dyn_ctl, itr } = *config;
        let (tx, rx) = (TxRing::new(tx), RxRing::new(rx));
        self.pairs.push(Pair { tx, rx, dyn_ctl, itr, scheduled: true });
        Ok(self.pairs.len() - 1)
    }

    /// Gives up all pairs, and what was to be written to their registers; the counters stay.
    pub fn clear(&mut self) {
        self.counters = self.counters();
        self.pairs.clear();
        self.bells.clear();
    }

    /// How many pairs there are.
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// The vector of a pair has fired.
    pub fn interrupt(&mut self, pair: usize) {
        if let Some(pair) = self.pairs.get_mut(pair) {
            pair.scheduled = true;
            self.counters.interrupts += 1;
        }
    }

    /// Whether a pair is to be polled, or a register to be written.
    pub fn is_busy(&self) -> bool {
        !self.bells.is_empty() || self.pairs.iter().any(|pair| pair.scheduled)
    }

    /// Counters.
    pub fn counters(&self) -> RingCounters {
        let mut counters = self.counters;
        counters.rx_oversize += self.pairs.iter().map(|pair| pair.rx.oversize).sum::<u64>();
        counters.tx_strange += self.pairs.iter().map(|pair| pair.tx.strange).sum::<u64>();
        counters
    }

    /// Frames in transmit queues that were not reported yet.
    pub fn under_way(&self) -> usize {
        self.pairs.iter().map(|pair| pair.tx.under_way()).sum()
    }

    /// Polls every pair that is scheduled: takes back what was sent, hands over what was received, posts buffers, and
    /// enables the vector of a pair that has nothing more.
    pub fn poll(
        &mut self,
        cpu: &mut Cpu<'_, '_>,
        mut receive: impl FnMut(usize, &[u8], &RxFrame),
    ) -> Result<(), Exit> {
        for (number, pair) in self.pairs.iter_mut().enumerate().filter(|(_, pair)| pair.scheduled) {
            self.counters.polls += 1;
            self.counters.tx_done += pair.tx.clean(cpu)?;
            let mut left = BUDGET;
            while left > 0
                && let Some(told) = pair.rx.poll(cpu)?
            {
                receive(number, pair.rx.frame(), &told);
                pair.rx.done();
                self.counters.rx_frames += 1;
                left -= 1;
            }
            pair.rx.refill(cpu, &mut self.bells)?;
            if left == 0 {
                self.counters.exhausted += 1;
                continue;
            }
            let enable = GLINT_DYN_CTL(0).with_INTENA(true);
            let enable = match pair.itr {
                None => enable.with_ITR_INDX(NO_ITR),
                Some(us) => enable.with_ITR_INDX(RX_ITR).with_INTERVAL((us / 2) & 0xFFF),
            };
            self.bells.push(Doorbell { at: pair.dyn_ctl, value: enable.0 });
            pair.scheduled = false;
        }
        Ok(())
    }

    /// Whether the queue of a flow has room for a frame.
    pub(crate) fn has_room(&self, flow: u32, len: usize, ask: &Ask) -> bool {
        let pair = self.pairs.get((flow as usize).checked_rem(self.pairs.len()).unwrap_or(0));
        pair.is_some_and(|pair| pair.tx.needed(len, ask) <= pair.tx.room())
    }

    /// Puts a frame into the queue of its flow; `false` when that has no room.
    pub fn send(
        &mut self,
        cpu: &mut Cpu<'_, '_>,
        flow: u32,
        frame: &[u8],
        ask: &Ask,
    ) -> Result<bool, Exit> {
        let number = (flow as usize).checked_rem(self.pairs.len()).unwrap_or(0);
        let Some(pair) = self.pairs.get_mut(number) else { return Ok(false) };
        let sent = pair.tx.send(cpu, frame, ask)?;
        let counter = if sent { &mut self.counters.tx_frames } else { &mut self.counters.tx_full };
        *counter += 1;
        Ok(sent)
    }

    /// Has the tails of transmit queues written.
    pub fn tell(&mut self) {
        self.pairs.iter_mut().for_each(|pair| pair.tx.tell(&mut self.bells));
    }
}

fn check(config: &PairConfig) -> Result<(), RingError> {
    let PairConfig { tx, rx, dyn_ctl, .. } = config;
    for entries in [tx.entries, rx.entries] {
        if !(64..=8160).contains(&entries) || !entries.is_multiple_of(32) {
            return Err(RingError::Entries(entries));
        }
    }
    for buffer in [tx.buffer, rx.buffer] {
        if !(128..=16_256).contains(&buffer) || !buffer.is_multiple_of(128) {
            return Err(RingError::Buffer(buffer));
        }
    }
    let end = |at: u64, entries: u16, size: u32| {
        at.checked_add(u64::from(entries) * u64::from(size)).is_none_or(|end| end > 1 << 52)
    };
    let rings = [(tx.ring, tx.entries, 16), (rx.ring, rx.entries, 32)];
    let buffers = [(tx.buffers, tx.entries, tx.buffer), (rx.buffers, rx.entries, rx.buffer)];
    for (at, entries, size) in rings.into_iter().chain(buffers) {
        if !at.is_multiple_of(128) || end(at, entries, size) {
            return Err(RingError::Address(at));
        }
    }
    let registers = [tx.tail, rx.tail, *dyn_ctl];
    registers
        .iter()
        .find(|at| !at.is_multiple_of(4))
        .map_or(Ok(()), |at| Err(RingError::Address(*at)))
}
