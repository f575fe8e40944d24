//! Page-modification logging (SDM 3C 29.3.6).

use siov_mem::{Gpa, Hpa, PAGE_SIZE};
use siov_spec::ept::PmlEntry;

use crate::walk::Walk;
use crate::{Fault, Pml, Probe, Step};

/// Bytes of an entry of the log.
const ENTRY: u64 = size_of::<u64>() as u64;

impl Pml {
    /// Entries of the log.
    pub const ENTRIES: u16 = (PAGE_SIZE / ENTRY) as u16;

    /// Whether the next entry would lie outside the log.
    pub const fn is_full(&self) -> bool {
        self.index.0 >= Pml::ENTRIES
    }

    /// How many entries were written since the index was 511.
    pub const fn logged(&self) -> u16 {
        if self.is_full() { Pml::ENTRIES } else { Pml::ENTRIES - 1 - self.index.0 }
    }
}

impl<P: Probe> Walk<'_, '_, P> {
    /// Whether a flag of EPT may be set now. The log is looked at before an accessed flag is set as well as
    /// before a dirty one.
    pub fn check_pml(&self) -> Result<(), Fault> {
        let full = self.core.pml.is_some_and(|pml| pml.is_full());
        if full { Err(Fault::PmlFull) } else { Ok(()) }
    }

    /// A dirty flag of EPT went from 0 to 1.
    pub fn log_dirty(&mut self, gpa: Gpa) {
        let core = &mut *self.core;
        let Some(pml) = core.pml.as_mut().filter(|pml| !pml.is_full()) else { return };
        let (entry, index) = (gpa.0 & !PmlEntry::RSVD, pml.index.0);
        let at = Hpa(pml.address + u64::from(index) * ENTRY);
        if self.view.store_u64(at, entry).is_err() {
            core.counters.bus_aborts += 1;
        }
        pml.index.0 = index.wrapping_sub(1);
        core.counters.pml_entries += 1;
        self.probe.step(Step::Pml { gpa: Gpa(entry), index });
    }
}
