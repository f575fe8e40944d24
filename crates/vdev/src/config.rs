//! The configuration space of a virtual device, as the guest reaches it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use siov_spec::pcie::express::DEVCTL;
use siov_spec::pcie::type0;
use siov_spec::{RegFile, Reset, Write};

/// Where the six base address registers lie.
const BARS: std::ops::Range<u64> = 0x10..0x28;

/// A configuration space that whoever composed it shares with the virtual device.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    regs: Arc<Mutex<RegFile>>,
    /// Device Control, where a function-level reset can be asked for with it.
    devctl: Option<u16>,
    size: u32,
}

impl Config {
    /// A function-level reset is there with the register `Express.DEVCTL` and `function_reset`.
    pub fn new(regs: Arc<Mutex<RegFile>>, function_reset: bool) -> Self {
        let (devctl, size) = {
            let regs = lock(&regs);
            (regs.layout().id("Express.DEVCTL").filter(|_| function_reset), regs.layout().size())
        };
        Self { regs, devctl, size }
    }

    pub fn size(&self) -> u32 {
        self.size
    }

    pub fn read(&self, at: u32, data: &mut [u8]) {
        lock(&self.regs).read(at, data);
    }

    /// Writes as the guest does; true if that asked for a function-level reset.
    ///
    /// A base address register is written as a whole: a write of part of one is dropped.
    pub fn write(&self, at: u32, data: &[u8]) -> bool {
        let (from, end) = (u64::from(at), u64::from(at).saturating_add(data.len() as u64));
        let cuts = |edge: u64| BARS.contains(&edge) && !edge.is_multiple_of(4);
        if cuts(from) || cuts(end) {
            return false;
        }
        let mut regs = lock(&self.regs);
        let mut write = Write::new(at, data);
        let mut reset = false;
        while let Some(change) = regs.step(&mut write) {
            reset |= Some(change.id) == self.devctl && DEVCTL(change.written as u16).IFLR();
        }
        reset
    }

    pub fn reset(&self, reset: Reset) {
        lock(&self.regs).reset(reset);
    }

    /// The command register.
    pub fn command(&self) -> type0::COMMAND {
        let mut bytes = [0; 2];
        self.read(type0::COMMAND::AT, &mut bytes);
        type0::COMMAND(u16::from_le_bytes(bytes))
    }
}

fn lock(regs: &Mutex<RegFile>) -> MutexGuard<'_, RegFile> {
    // A panic elsewhere leaves plain values behind, never half a change.
    regs.lock().unwrap_or_else(PoisonError::into_inner)
}
