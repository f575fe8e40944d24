//! The registers and VM-execution controls that translation depends on.

use std::num::NonZeroU16;

use siov_spec::ept::{Cr0, Cr3, Cr4, Efer, Eptp, PmlIndex};
use siov_spec::vtd::MemoryType;

use crate::Model;

/// Control registers of a core in 64-bit mode, with paging on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ControlRegs {
    /// CR0.
    pub cr0: Cr0,
    /// CR3, with bit 63 clear.
    pub cr3: Cr3,
    /// CR4.
    pub cr4: Cr4,
    /// IA32_EFER.
    pub efer: Efer,
}

impl ControlRegs {
    /// The current PCID: 0 without CR4.PCIDE.
    pub const fn pcid(&self) -> u16 {
        if self.cr4.PCIDE() { self.cr3.PCID() } else { 0 }
    }

    /// Levels of the guest's tables.
    pub const fn levels(&self) -> u8 {
        if self.cr4.LA57() { 5 } else { 4 }
    }

    /// Whether the address is canonical: the upper bits repeat the highest that is translated.
    #[inline]
    pub const fn is_canonical(&self, address: u64) -> bool {
        let unused = if self.cr4.LA57() { 64 - 57 } else { 64 - 48 };
        (((address << unused) as i64) >> unused) as u64 == address
    }
}

/// `#GP(0)`: the instruction is refused, and nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GeneralProtection;

/// Page-modification logging, as the VMCS sets it up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pml {
    /// Host physical address of the log, 4 KiB aligned.
    pub address: u64,
    /// The next entry, counting down.
    pub index: PmlIndex,
}

impl Pml {
    /// An empty log.
    pub const fn new(address: u64) -> Pml {
        Pml { address, index: PmlIndex(PmlIndex::RESET) }
    }
}

/// What a VM entry loads and a VM exit stores, as far as translation goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vmcs {
    /// The guest-state area.
    pub guest: ControlRegs,
    /// The VPID; `None` without "enable VPID".
    pub vpid: Option<NonZeroU16>,
    /// The EPT pointer; `None` without "enable EPT".
    pub eptp: Option<Eptp>,
    /// The page-modification log; `None` without "enable PML".
    pub pml: Option<Pml>,
}

/// Why a VM entry fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryError {
    /// There was a VM entry before, and no VM exit yet.
    NonRoot,
    /// The EPT pointer is not one that a VM entry accepts.
    Eptp(Eptp),
    /// PML without EPT, or a log that is not aligned or beyond the physical address width.
    Pml(u64),
    /// CR3 has bits set that are reserved.
    GuestCr3(Cr3),
}

impl Model {
    /// Bits of a physical address that this core has.
    pub(crate) fn address_mask(&self) -> u64 {
        (1 << self.maxphyaddr.clamp(36, 52)) - 1
    }

    /// Bits 51:MAXPHYADDR, which are reserved in every entry and pointer.
    pub(crate) fn beyond(&self) -> u64 {
        Cr3(0).with_ADDR(!0).0 & !self.address_mask()
    }

    /// Whether CR3 could hold this. Bits 62:52 and those beyond the address width are reserved.
    pub(crate) fn accepts_cr3(&self, cr3: Cr3) -> bool {
        cr3.0 & (Cr3::RSVD | self.beyond()) == 0
    }

    /// Whether a VM entry accepts this EPT pointer (SDM 27.2.1.1).
    pub(crate) fn accepts_eptp(&self, eptp: Eptp) -> bool {
        let memory_type = u64::from(eptp.MT());
        let known = [MemoryType::UC, MemoryType::WB].map(|kind| kind as u64);
        known.contains(&memory_type)
            && matches!(eptp.PWL(), 3 | 4)
            && !eptp.SSS()
            && eptp.0 & (Eptp::RSVD | self.beyond()) == 0
    }

    /// The checks of a VM entry, as far as translation goes.
    pub(crate) fn check(&self, vmcs: &Vmcs) -> Result<(), EntryError> {
        if let Some(eptp) = vmcs.eptp.filter(|eptp| !self.accepts_eptp(*eptp)) {
            return Err(EntryError::Eptp(eptp));
        }
        let misplaced = |address: u64| address & (0xfff | !self.address_mask()) != 0;
        if let Some(pml) = vmcs.pml
            && (vmcs.eptp.is_none() || misplaced(pml.address))
        {
            return Err(EntryError::Pml(pml.address));
        }
        let cr3 = vmcs.guest.cr3;
        if cr3.NOFLUSH() || !self.accepts_cr3(cr3) {
            return Err(EntryError::GuestCr3(cr3));
        }
        Ok(())
    }
}
