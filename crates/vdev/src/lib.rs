//! A composed virtual device: what any access of a guest to it does.
//!
//! Whoever composes it (VDCM) gives it a configuration space and a table of [`Trap`]s: double words of BAR 0
//! that go to registers of the parent, or are kept here. Everything else in BAR 0 reads as [`DEAD`] and
//! takes no write; pages that a guest reaches directly never come here. An access takes one look-up and no
//! lock that is held for long. What the host has to do itself it is told by notices, of which there are at
//! most as many as registers.

mod bus;
mod config;
mod msix;
mod traps;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use siov_spec::e810::bar0::VSIGEN_RSTAT;
use siov_spec::vdev::{MSIX_PBA, ResetState};
use siov_spec::{RegFile, Reset};
use thiserror::Error;

pub use siov_spec::vdev::DEAD;
pub use traps::{Action, Trap, TrapError};

use config::Config;
use msix::MsixTable;
use traps::{Found, Shadow, Traps};

/// Regions, by VFIO's numbers.
pub mod region {
    /// BAR 0.
    pub const BAR0: u32 = 0;
    /// The BAR of the MSI-X structures.
    pub const MSIX: u32 = 3;
    /// The configuration space.
    pub const CONFIG: u32 = 7;
}

/// The way to the parent's registers: double words at physical addresses.
pub trait Mmio: Send + Sync {
    /// Reads one; `None` where nothing answers.
    fn read32(&self, hpa: u64) -> Option<u32>;

    /// Writes one; false where nothing answers.
    fn write32(&self, hpa: u64, value: u32) -> bool;
}

/// How far the virtual device's own life is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It works.
    Active,
    /// It works, and its reset has not been declared done: RSTAT is one short of active.
    Resetting,
    /// It answers nothing, and RSTAT says that a reset is in progress.
    Disabled,
}

/// An access that the virtual device has no place for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refused {
    /// It has no such region, or one that the VMM emulates.
    #[error("region {0} can't be read or written; 0 (BAR 0) and 7 (configuration space) can")]
    Region(u32),
    /// The range leaves the region.
    #[error("{count} bytes at {offset:#x} leave region {region}, which has {size:#x} bytes")]
    Range {
        /// Which region.
        region: u32,
        /// First byte.
        offset: u64,
        /// Bytes.
        count: usize,
        /// Bytes of the region.
        size: u64,
    },
}

/// What a virtual device is made of.
pub struct Parts {
    /// The configuration space, shared with whoever composed it.
    pub config: Arc<Mutex<RegFile>>,
    /// Whether the register `Express.DEVCTL` asks for function-level resets.
    pub function_reset: bool,
    /// Bytes of BAR 0.
    pub bar0_size: u32,
    /// What is trapped in BAR 0.
    pub traps: Vec<Trap>,
    /// Bytes of the BAR of the MSI-X structures, and vectors in its table; `None` when the VMM emulates it.
    pub msix: Option<(u32, u32)>,
    /// The way to the parent's registers.
    pub mmio: Arc<dyn Mmio>,
    /// Called when there is a notice and there was none; from any thread, and must not wait.
    pub bell: Option<Box<dyn Fn() + Send + Sync>>,
}

/// What a guest did that the host has to act on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notices {
    /// A function-level reset was asked for; the virtual device is disabled until the host has done it.
    pub function_reset: bool,
    /// Shadow registers that were written, by offset, with their last value.
    pub written: BTreeMap<u32, u32>,
}

/// Accesses that found nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Double words, or parts of some, that read as [`DEAD`].
    pub dead_reads: u64,
    /// Writes of such that were dropped.
    pub dropped_writes: u64,
}

/// A composed virtual device.
pub struct Vdev {
    config: Config,
    bar0_size: u32,
    traps: Traps,
    msix: Option<(u32, MsixTable)>,
    mmio: Arc<dyn Mmio>,
    bell: Option<Box<dyn Fn() + Send + Sync>>,
    /// Held for reading while an access is forwarded, so that none is under way once it has been changed.
    state: RwLock<State>,
    notices: Mutex<Notices>,
    dead_reads: AtomicU64,
    dropped_writes: AtomicU64,
}

impl Vdev {
    /// A virtual device of these parts, active; an error names a trap that can't be.
    pub fn new(parts: Parts) -> Result<Self, TrapError> {
        Ok(Self {
            config: Config::new(parts.config, parts.function_reset),
            bar0_size: parts.bar0_size,
            traps: Traps::new(parts.bar0_size, parts.traps)?,
            msix: parts.msix.map(|(size, vectors)| (size, MsixTable::new(vectors))),
            mmio: parts.mmio,
            bell: parts.bell,
            state: RwLock::new(State::Active),
            notices: Mutex::default(),
            dead_reads: AtomicU64::new(0),
            dropped_writes: AtomicU64::new(0),
        })
    }

    /// Bytes of a region; 0 for one that can't be read or written.
    pub fn region_size(&self, region: u32) -> u64 {
        match region {
            region::BAR0 => self.bar0_size.into(),
            region::CONFIG => self.config.size().into(),
            region::MSIX => self.msix.as_ref().map_or(0, |(size, _)| (*size).into()),
            _ => 0,
        }
    }

    /// Fills `data` from a region, as the guest reads it.
    pub fn read(&self, region: u32, offset: u64, data: &mut [u8]) -> Result<(), Refused> {
        let at = self.check(region, offset, data.len())?;
        match (region, &self.msix) {
            (region::BAR0, _) => {
                let state = self.state();
                read_words(at, data, DEAD, |at| self.read_bar0(*state, at));
            }
            (region::MSIX, Some((_, table))) => {
                read_words(at, data, 0, |at| if at < MSIX_PBA { table.read(at) } else { 0 });
            }
            _ => self.config.read(at, data),
        }
        Ok(())
    }

    /// Writes `data` to a region, as the guest does.
    pub fn write(&self, region: u32, offset: u64, data: &[u8]) -> Result<(), Refused> {
        let at = self.check(region, offset, data.len())?;
        match (region, &self.msix) {
            (region::BAR0, _) => {
                let state = self.state();
                write_words(at, data, |at, value| self.write_bar0(*state, at, value));
            }
            (region::MSIX, Some((_, table))) => write_words(at, data, |at, value| {
                if let (Some(value), true) = (value, at < MSIX_PBA) {
                    table.write(at, value);
                }
            }),
            _ => {
                if self.config.write(at, data) {
                    self.function_reset();
                }
            }
        }
        Ok(())
    }

    /// Changes the state; when this returns, no access by the old one is under way.
    pub fn set_state(&self, state: State) {
        *self.state_mut() = state;
    }

    /// The state.
    pub fn get_state(&self) -> State {
        *self.state()
    }

    /// The value of a shadow register, as the host sees it; `None` if none lies there.
    pub fn shadow(&self, at: u32) -> Option<u32> {
        self.find_shadow(at).map(|shadow| shadow.get())
    }

    /// Sets a shadow register, as the host does; false if none lies there.
    pub fn set_shadow(&self, at: u32, value: u32) -> bool {
        self.find_shadow(at).map(|shadow| shadow.set(value)).is_some()
    }

    /// Sets bits of a shadow register; false if none lies there.
    pub fn or_shadow(&self, at: u32, bits: u32) -> bool {
        self.find_shadow(at).map(|shadow| shadow.or(bits)).is_some()
    }

    /// Shadow registers and the MSI-X table as they were made; notices are forgotten.
    pub fn reset(&self) {
        self.traps.reset();
        if let Some((_, table)) = &self.msix {
            table.reset();
        }
        self.take_notices();
    }

    /// The configuration space after power-on, or after a function-level reset.
    pub fn reset_config(&self, reset: Reset) {
        self.config.reset(reset);
    }

    /// Whether the guest lets the virtual device answer memory requests, and issue some.
    pub fn enabled(&self) -> (bool, bool) {
        let command = self.config.command();
        (command.MSE(), command.BME())
    }

    /// What the guest did since the last call.
    pub fn take_notices(&self) -> Notices {
        std::mem::take(&mut *self.notices())
    }

    /// The double words of a range of BAR 0 that a write reaches in the parent: offset, and physical address.
    pub fn forwarded(&self, range: std::ops::Range<u32>) -> impl Iterator<Item = (u32, u64)> {
        self.traps.forwarded(range)
    }

    /// Accesses that found nothing.
    pub fn counted(&self) -> Counted {
        Counted {
            dead_reads: self.dead_reads.load(Ordering::Relaxed),
            dropped_writes: self.dropped_writes.load(Ordering::Relaxed),
        }
    }

    /// What is trapped, by offset.
    pub fn traps(&self) -> impl Iterator<Item = &Trap> {
        self.traps.iter()
    }

    fn read_bar0(&self, state: State, at: u32) -> u32 {
        let value = match self.traps.find(at) {
            Some(Found::Rstat { hpa }) => Some(self.rstat(state, hpa) as u32),
            _ if state == State::Disabled => None,
            // Where nothing answers, a bus reads all ones.
            Some(Found::Forward { read: Some(hpa), .. }) => {
                Some(self.mmio.read32(hpa).unwrap_or(u32::MAX))
            }
            Some(Found::Shadow(shadow)) => Some(shadow.read()),
            Some(Found::Forward { read: None, .. }) | None => None,
        };
        value.unwrap_or_else(|| {
            self.dead_reads.fetch_add(1, Ordering::Relaxed);
            DEAD
        })
    }

    /// A write to the double word at `at`: the whole of it, or `None` for a part.
    fn write_bar0(&self, state: State, at: u32, value: Option<u32>) {
        let found = self.traps.find(at).filter(|_| state != State::Disabled);
        match (found, value) {
            (Some(Found::Forward { write: Some(hpa), .. }), Some(value)) => {
                // A posted write tells nobody that it was lost.
                self.mmio.write32(hpa, value);
            }
            (Some(Found::Shadow(shadow)), Some(value)) => {
                shadow.write(value);
                if shadow.notify {
                    self.tell(|notices| {
                        // Of two writers the one that comes last here sees what both have left.
                        notices.written.insert(at, shadow.get());
                    });
                }
            }
            (Some(Found::Rstat { .. }), _) => {}
            _ => {
                self.dropped_writes.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn rstat(&self, state: State, hpa: u64) -> ResetState {
        let done = || VSIGEN_RSTAT(self.mmio.read32(hpa).unwrap_or(0)).VMRD();
        match state {
            State::Disabled => ResetState::INPROGRESS,
            _ if !done() => ResetState::INPROGRESS,
            State::Resetting => ResetState::COMPLETED,
            State::Active => ResetState::VFACTIVE,
        }
    }

    /// The guest asked for a function-level reset: nothing is answered until the host has done it.
    fn function_reset(&self) {
        self.set_state(State::Disabled);
        self.config.reset(Reset::Function);
        self.tell(|notices| notices.function_reset = true);
    }

    fn tell(&self, what: impl FnOnce(&mut Notices)) {
        let first = {
            let mut notices = self.notices();
            let first = *notices == Notices::default();
            what(&mut notices);
            first
        };
        if let Some(bell) = self.bell.as_ref().filter(|_| first) {
            bell();
        }
    }

    fn check(&self, region: u32, offset: u64, count: usize) -> Result<u32, Refused> {
        let size = self.region_size(region);
        if size == 0 {
            return Err(Refused::Region(region));
        }
        let end = offset.checked_add(count as u64).filter(|end| *end <= size);
        let at = end.and_then(|_| u32::try_from(offset).ok());
        at.ok_or(Refused::Range { region, offset, count, size })
    }

    fn find_shadow(&self, at: u32) -> Option<Shadow<'_>> {
        match self.traps.find(at)? {
            Found::Shadow(shadow) => Some(shadow),
            _ => None,
        }
    }

    // A panic elsewhere leaves plain values behind, never half a change.

    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn notices(&self) -> MutexGuard<'_, Notices> {
        self.notices.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Vdev {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.get_state();
        f.debug_struct("Vdev").field("state", &state).field("traps", &self.traps).finish()
    }
}

/// Reads the aligned double words of a range with `word`; of parts of one, the bytes of `hole`.
fn read_words(at: u32, data: &mut [u8], hole: u32, mut word: impl FnMut(u32) -> u32) {
    let mut at = at;
    let mut rest = data;
    while !rest.is_empty() {
        let skip = (at % 4) as usize;
        let count = rest.len().min(4 - skip);
        let (now, later) = rest.split_at_mut(count);
        let value = if count == 4 { word(at) } else { hole };
        for (to, from) in now.iter_mut().zip(value.to_le_bytes().iter().skip(skip)) {
            *to = *from;
        }
        at = at.wrapping_add(count as u32);
        rest = later;
    }
}

/// Gives the aligned double words of a range to `word`; parts of one as `None`, at the double word they are in.
fn write_words(at: u32, data: &[u8], mut word: impl FnMut(u32, Option<u32>)) {
    let mut at = at;
    let mut rest = data;
    while !rest.is_empty() {
        let count = rest.len().min(4 - (at % 4) as usize);
        let (now, later) = rest.split_at(count);
        word(at & !3, <[u8; 4]>::try_from(now).ok().map(u32::from_le_bytes));
        at = at.wrapping_add(count as u32);
        rest = later;
    }
}
