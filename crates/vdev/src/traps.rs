//! Which double words of BAR 0 are trapped, and what becomes of an access to each.

use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};

use thiserror::Error;

/// A trapped double word, or a row of `count` of them `stride` bytes apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trap {
    /// Byte offset of the first in BAR 0.
    pub at: u32,
    /// How many.
    pub count: u32,
    /// Bytes from one to the next.
    pub stride: u32,
    /// What an access does.
    pub action: Action,
}

/// What an access to a trapped double word does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It goes to a register of the parent; a direction without an address finds nothing.
    Forward {
        /// Physical address of the first one's register, for reads.
        read: Option<u64>,
        /// The same for writes.
        write: Option<u64>,
        /// Bytes from one's register to the next one's.
        stride: u64,
    },
    /// The state of a reset: writes are ignored.
    Rstat {
        /// Physical address of VSIGEN_RSTAT of the virtual device's VSI.
        hpa: u64,
    },
    /// A register that is kept here.
    Shadow {
        /// Value after a reset.
        reset: u32,
        /// Bits that a write stores.
        rw: u32,
        /// Whether reading clears it.
        read_clears: bool,
        /// Whether the host is told of writes.
        notify: bool,
    },
}

/// Traps that contradict each other or the BAR.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TrapError {
    /// A double word lies at multiples of four.
    #[error("the trap at {0:#x} is not made of aligned double words")]
    Alignment(u32),
    /// Nothing there, past the BAR, or addresses that wrap.
    #[error("the trap at {0:#x} is empty, leaves BAR 0, or forwards past the end of memory")]
    Range(u32),
    /// Two traps for one offset.
    #[error("the trap at {0:#x} overlaps the one before it")]
    Overlap(u32),
}

/// A trapped double word, found.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Found<'a> {
    Forward { read: Option<u64>, write: Option<u64> },
    Rstat { hpa: u64 },
    Shadow(Shadow<'a>),
}

/// A register that is kept here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shadow<'a> {
    value: &'a AtomicU32,
    rw: u32,
    pub read_clears: bool,
    pub notify: bool,
}

impl Shadow<'_> {
    pub fn read(&self) -> u32 {
        if self.read_clears { self.value.swap(0, Ordering::AcqRel) } else { self.get() }
    }

    /// Stores what a guest wrote, and gives what is there now.
    pub fn write(&self, written: u32) -> u32 {
        let change = |old: u32| Some(old & !self.rw | written & self.rw);
        let old = self.value.fetch_update(Ordering::AcqRel, Ordering::Acquire, change);
        old.unwrap_or_else(|same| same) & !self.rw | written & self.rw
    }

    pub fn get(&self) -> u32 {
        self.value.load(Ordering::Acquire)
    }

    pub fn set(&self, value: u32) {
        self.value.store(value, Ordering::Release);
    }

    pub fn or(&self, bits: u32) {
        self.value.fetch_or(bits, Ordering::AcqRel);
    }
}

#[derive(Debug)]
struct Row {
    trap: Trap,
    end: u32,
    /// Of a shadow, one for each double word.
    values: Box<[AtomicU32]>,
}

/// The traps of a BAR, by offset.
#[derive(Debug)]
pub(crate) struct Traps(Vec<Row>);

impl Traps {
    pub fn new(size: u32, traps: impl IntoIterator<Item = Trap>) -> Result<Self, TrapError> {
        let mut rows: Vec<Row> = vec![];
        let mut traps: Vec<Trap> = traps.into_iter().collect();
        traps.sort_by_key(|trap| trap.at);
        for trap in traps {
            let at = trap.at;
            if !at.is_multiple_of(4) || !trap.stride.is_multiple_of(4) || trap.stride == 0 {
                return Err(TrapError::Alignment(at));
            }
            let end = end_of(&trap).filter(|end| *end <= size).ok_or(TrapError::Range(at))?;
            if rows.last().is_some_and(|before| before.end > at) {
                return Err(TrapError::Overlap(at));
            }
            let values = match trap.action {
                Action::Shadow { reset, .. } => {
                    (0..trap.count).map(|_| AtomicU32::new(reset)).collect()
                }
                _ => Box::default(),
            };
            rows.push(Row { trap, end, values });
        }
        Ok(Self(rows))
    }

    /// What is trapped at an offset.
    pub fn find(&self, at: u32) -> Option<Found<'_>> {
        let behind = self.0.partition_point(|row| row.trap.at <= at);
        let row = self.0.get(behind.checked_sub(1)?)?;
        let past = at - row.trap.at;
        if at >= row.end || !past.is_multiple_of(row.trap.stride) {
            return None;
        }
        let index = past / row.trap.stride;
        match row.trap.action {
            Action::Forward { read, write, stride } => {
                // That no address wraps was seen when the table was made.
                let hpa = |base: u64| base.wrapping_add(stride.wrapping_mul(index.into()));
                Some(Found::Forward { read: read.map(hpa), write: write.map(hpa) })
            }
            Action::Rstat { hpa } => Some(Found::Rstat { hpa }),
            Action::Shadow { rw, read_clears, notify, .. } => {
                let value = row.values.get(index as usize)?;
                Some(Found::Shadow(Shadow { value, rw, read_clears, notify }))
            }
        }
    }

    /// The double words of a range whose writes are forwarded, and where to.
    pub fn forwarded(&self, range: Range<u32>) -> impl Iterator<Item = (u32, u64)> {
        range.step_by(4).filter_map(|at| match self.find(at)? {
            Found::Forward { write: Some(hpa), .. } => Some((at, hpa)),
            _ => None,
        })
    }

    /// Every shadow takes its reset value.
    pub fn reset(&self) {
        for row in &self.0 {
            if let Action::Shadow { reset, .. } = row.trap.action {
                row.values.iter().for_each(|value| value.store(reset, Ordering::Release));
            }
        }
    }

    /// Each trap.
    pub fn iter(&self) -> impl Iterator<Item = &Trap> {
        self.0.iter().map(|row| &row.trap)
    }
}

/// The offset behind a row, if it is one.
fn end_of(trap: &Trap) -> Option<u32> {
    let last = trap.count.checked_sub(1)?;
    if let Action::Forward { read, write, stride } = trap.action {
        for base in [read, write].into_iter().flatten() {
            base.checked_add(stride.checked_mul(last.into())?)?.checked_add(4)?;
        }
    }
    trap.at.checked_add(trap.stride.checked_mul(last)?)?.checked_add(4)
}
