//! Accesses of a guest, by the way that its own addresses take.

use std::sync::{Mutex, PoisonError};

use siov_bus::Bus;
use siov_mem::{Gva, HostView, Hpa, PAGE_SIZE};
use siov_mmu::{Access, Core, Fault};

/// A virtual CPU that somebody else may want too: to bring its guest out, or to flush its TLBs.
pub trait Vcpu: Send + Sync {
    /// Calls `turn` once with the core, which is nobody else's meanwhile.
    fn with(&self, turn: &mut dyn FnMut(&mut Core));
}

impl Vcpu for Mutex<Core> {
    fn with(&self, turn: &mut dyn FnMut(&mut Core)) {
        turn(&mut self.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// What answers at physical addresses where no memory is.
pub trait Mmio: Send + Sync {
    /// A write of 32 bits; `false` when nobody answers, which a CPU does not notice.
    fn write32(&self, at: Hpa, value: u32) -> bool;
}

impl Mmio for Bus {
    fn write32(&self, at: Hpa, value: u32) -> bool {
        self.mmio_write(at, &value.to_le_bytes()).is_some()
    }
}

/// Why a guest stopped: the host is to see to it, and to have the guest go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Somebody brought the guest out, as the interrupt of another CPU does.
    NotRunning,
    /// The core could not do an access. An EPT violation at a register is the trap of an access to a device:
    /// `value` is then what was to be written there.
    Fault {
        /// What stopped it.
        fault: Fault,
        /// The value of a write to a register.
        value: Option<u32>,
    },
}

/// A register that is to be written once the guest's memory is as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doorbell {
    /// Its guest-virtual address.
    pub at: u64,
    /// What is written.
    pub value: u32,
}

/// A core that runs a guest whose kernel has all of its physical memory mapped in a row from `direct_map` on.
pub struct Cpu<'a, 'v> {
    /// The core.
    pub core: &'a mut Core,
    /// Physical memory, which holds still.
    pub view: &'a HostView<'v>,
    /// Where guest-physical address 0 is in the guest's virtual addresses.
    pub direct_map: u64,
}

impl Cpu<'_, '_> {
    /// The aligned 64-bit word at a guest-physical address; all ones where nothing is.
    #[inline]
    pub fn load_u64(&mut self, gpa: u64) -> Result<u64, Exit> {
        let hpa = self.translate(gpa, Access::READ)?;
        Ok(self.view.load_u64(hpa).unwrap_or(u64::MAX))
    }

    /// Sets the aligned 64-bit word at a guest-physical address; nothing happens where nothing is.
    #[inline]
    pub fn store_u64(&mut self, gpa: u64, value: u64) -> Result<(), Exit> {
        let hpa = self.translate(gpa, Access::WRITE)?;
        let _ = self.view.store_u64(hpa, value);
        Ok(())
    }

    /// Fills `to` from a guest-physical address on, page by page; all ones where nothing is.
    #[inline]
    pub fn read(&mut self, gpa: u64, to: &mut [u8]) -> Result<(), Exit> {
        let (mut at, mut rest) = (gpa, to);
        while !rest.is_empty() {
            let (part, after) = rest.split_at_mut(in_page(at, rest.len()));
            let hpa = self.translate(at, Access::READ)?;
            if self.view.read(hpa, part).is_err() {
                part.fill(0xFF);
            }
            at = at.wrapping_add(part.len() as u64);
            rest = after;
        }
        Ok(())
    }

    /// Puts `from` at a guest-physical address, page by page; nothing happens where nothing is.
    #[inline]
    pub fn write(&mut self, gpa: u64, from: &[u8]) -> Result<(), Exit> {
        let (mut at, mut rest) = (gpa, from);
        while !rest.is_empty() {
            let (part, after) = rest.split_at(in_page(at, rest.len()));
            let hpa = self.translate(at, Access::WRITE)?;
            let _ = self.view.write(hpa, part);
            at = at.wrapping_add(part.len() as u64);
            rest = after;
        }
        Ok(())
    }

    /// Where a write to a register goes.
    pub fn register(&mut self, doorbell: &Doorbell) -> Result<Hpa, Exit> {
        let found = self.core.access(self.view, Gva(doorbell.at), Access::WRITE);
        let exit = |fault| Exit::Fault { fault, value: Some(doorbell.value) };
        found.map(|done| done.hpa).map_err(exit)
    }

    #[inline]
    fn translate(&mut self, gpa: u64, access: Access) -> Result<Hpa, Exit> {
        let gva = Gva(self.direct_map.wrapping_add(gpa));
        let found = self.core.access(self.view, gva, access);
        found.map(|done| done.hpa).map_err(|fault| Exit::Fault { fault, value: None })
    }
}

/// How many of `len` bytes from an address on lie in its page.
#[inline]
fn in_page(at: u64, len: usize) -> usize {
    len.min((PAGE_SIZE - at % PAGE_SIZE) as usize)
}
