//! One word of shared memory in the place of a register.

use std::sync::Arc;

use crate::Region;

/// A 32-bit word of a region, which others store into without our being told.
#[derive(Clone, Debug)]
pub struct Word {
    region: Arc<Region>,
    offset: u64,
}

impl Word {
    /// The word at this offset; `None` where the region has no aligned one that can be read and written.
    pub fn new(region: Arc<Region>, offset: u64) -> Option<Self> {
        let there = region.perm().allows(crate::Perm::READ_WRITE) && offset.is_multiple_of(4);
        let inside = offset.checked_add(4).is_some_and(|end| end <= region.len());
        (there && inside).then_some(Self { region, offset })
    }

    /// What is there now; `None` when the memory has gone.
    #[inline]
    pub fn load(&self) -> Option<u32> {
        self.region.load_u32(self.offset).ok()
    }

    /// Changes it; nothing when the memory has gone.
    pub fn store(&self, value: u32) {
        // Who cut the memory short has nothing to read there.
        let _ = self.region.store_u32(self.offset, value);
    }
}
