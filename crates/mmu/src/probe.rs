//! Watching a translation: every step, told as it happens.

use siov_mem::{Gpa, Gva, Hpa};

use crate::PageSize;

/// Whose tables a step is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// The guest's paging structures: GVA to GPA.
    Guest,
    /// EPT: GPA to HPA.
    Ept,
}

/// A step of a translation. Steps between [`Gpa`](Step::Gpa) and [`Hpa`](Step::Hpa) belong to that guest
/// physical address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The TLB has a usable translation: there is no walk.
    TlbHit {
        /// What was asked for.
        gva: Gva,
        /// Where it lies.
        hpa: Hpa,
        /// The size of the mapping.
        size: PageSize,
    },
    /// A paging-structure cache knows the table, so that the levels above are skipped.
    PscHit {
        /// Whose tables.
        stage: Stage,
        /// The level of the entry that was cached (2 is the page directory).
        level: u8,
        /// The address of the next table: a GPA for the guest with EPT, else an HPA.
        table: u64,
    },
    /// A guest physical address is to be translated: of a table's entry, or at last of the page.
    Gpa {
        /// The address.
        gpa: Gpa,
        /// The level of the guest's entry that lies there; `None` for the final address.
        entry_level: Option<u8>,
    },
    /// The cached guest-physical translations know the address.
    GpaTlbHit {
        /// What was asked for.
        gpa: Gpa,
    },
    /// The guest physical address is translated.
    Hpa {
        /// Where it lies.
        hpa: Hpa,
    },
    /// An entry was read from memory.
    Entry {
        /// Whose tables.
        stage: Stage,
        /// 1 for the page table, up to 5.
        level: u8,
        /// Which of the 512 entries.
        index: u16,
        /// Where the entry lies.
        at: Hpa,
        /// What was there.
        raw: u64,
    },
    /// Accessed and dirty flags were set in an entry.
    Set {
        /// Whose tables.
        stage: Stage,
        /// The level.
        level: u8,
        /// Where the entry lies.
        at: Hpa,
        /// The bits that were set.
        bits: u64,
    },
    /// An entry of the page-modification log was written.
    Pml {
        /// The page.
        gpa: Gpa,
        /// The index in the log.
        index: u16,
    },
    /// The walk met a fault with the help of caches, and starts again without.
    Restart,
}

/// Somebody who watches translations. The default does nothing and costs nothing.
pub trait Probe {
    /// A step was taken.
    #[inline(always)]
    fn step(&mut self, step: Step) {
        let _ = step;
    }
}

/// Nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Probe for Silent {}

/// The steps, kept.
impl Probe for Vec<Step> {
    fn step(&mut self, step: Step) {
        self.push(step);
    }
}
