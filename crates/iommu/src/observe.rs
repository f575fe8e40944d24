//! What a walk tells whoever looks on: the tables it reads, the caches it asks.

use siov_mem::Hpa;

/// A table of the unit, or a level of a paging structure (1 is the lowest).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Table {
    /// VT-d 9.1.
    Root,
    /// VT-d 9.2.
    ScalableRoot,
    /// VT-d 9.3.
    Context,
    /// VT-d 9.4.
    ScalableContext,
    /// VT-d 9.5.
    PasidDirectory,
    /// VT-d 9.6.
    PasidTable,
    /// VT-d 9.7.
    FirstStage(u8),
    /// VT-d 9.8.
    SecondStage(u8),
}

/// A cache of the unit (VT-d 6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CacheName {
    /// Context entries, by source-id.
    Context,
    /// PASID table entries.
    Pasid,
    /// Translations.
    Iotlb,
    /// First-stage paging structures, by the level of the entry that is known.
    FirstStage(u8),
    /// Second-stage paging structures, by the level of the entry that is known.
    SecondStage(u8),
}

/// One table entry that a walk has read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step<'a> {
    /// Which table.
    pub table: Table,
    /// Which of its entries.
    pub index: u32,
    /// Where the entry is.
    pub at: Hpa,
    /// What it says, lowest double word first.
    pub raw: &'a [u64],
}

/// Looks on at a walk. The unit is generic over it, so that a walk nobody looks at costs nothing.
pub trait Observer {
    /// Whether anything is done with what is told.
    const LOOKS: bool = true;

    /// An entry was read.
    fn step(&mut self, step: Step<'_>) {
        let _ = step;
    }

    /// A cache was asked.
    fn asked(&mut self, cache: CacheName, hit: bool) {
        let _ = (cache, hit);
    }
}

impl Observer for () {
    const LOOKS: bool = false;
}
