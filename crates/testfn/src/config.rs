//! The configuration space, as the function itself looks at it.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use siov_spec::pcie::{common_header::COMMAND, express::DEVCTL, msix::CONTROL};
use siov_spec::{RegFile, Reset, Write};

/// A configuration space without a register that the function must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingRegister(&'static str);

impl fmt::Display for MissingRegister {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration space has no register {}", self.0)
    }
}

impl std::error::Error for MissingRegister {}

/// A configuration space that whoever composed it shares with the function.
#[derive(Clone, Debug)]
pub struct SharedConfig {
    regs: Arc<Mutex<RegFile>>,
    command: u16,
    devctl: u16,
    msix_control: u16,
}

/// What a write to the configuration space asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// A function-level reset.
    pub function_reset: bool,
    /// No requests any more: Bus Master Enable was cleared.
    pub bus_master_off: bool,
}

impl SharedConfig {
    /// Finds the registers by name.
    pub fn new(regs: Arc<Mutex<RegFile>>) -> Result<Self, MissingRegister> {
        let layout = Arc::clone(lock(&regs).layout());
        let id = |name: &'static str| layout.id(name).ok_or(MissingRegister(name));
        Ok(Self {
            command: id("COMMAND")?,
            devctl: id("Express.DEVCTL")?,
            msix_control: id("Msix.CONTROL")?,
            regs,
        })
    }

    /// Bytes.
    pub fn size(&self) -> u32 {
        lock(&self.regs).layout().size()
    }

    /// Reads as software does.
    pub fn read(&self, at: u32, data: &mut [u8]) {
        lock(&self.regs).read(at, data);
    }

    /// Writes as software does, and tells what was asked for.
    pub fn write(&self, at: u32, data: &[u8]) -> Effects {
        let mut regs = lock(&self.regs);
        let mut write = Write::new(at, data);
        let mut effects = Effects::default();
        while let Some(change) = regs.step(&mut write) {
            let devctl = change.id == self.devctl;
            effects.function_reset |= devctl && DEVCTL(change.written as u16).IFLR();
            let [before, now] = [change.old, change.new].map(|value| COMMAND(value as u16).BME());
            effects.bus_master_off |= change.id == self.command && before && !now;
        }
        effects
    }

    /// All but the sticky bits take their reset value.
    pub fn reset(&self) {
        lock(&self.regs).reset(Reset::Function);
    }

    /// Whether the function may issue requests.
    pub fn bus_master(&self) -> bool {
        COMMAND(lock(&self.regs).get(self.command, 0) as u16).BME()
    }

    /// MSI-X Message Control.
    pub fn msix(&self) -> CONTROL {
        CONTROL(lock(&self.regs).get(self.msix_control, 0) as u16)
    }
}

fn lock(regs: &Mutex<RegFile>) -> MutexGuard<'_, RegFile> {
    // A panic elsewhere leaves plain values behind, never half a change.
    regs.lock().unwrap_or_else(PoisonError::into_inner)
}
