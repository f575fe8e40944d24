//! The BAR of the MSI-X structures, for a VMM that does not emulate them itself.

use std::sync::atomic::{AtomicU32, Ordering};

use siov_spec::pcie::msix_entry::{ADDRESS_LO, VECTOR_CONTROL};

/// Double words of a table entry.
const ENTRY: usize = 4;

/// A plain table: it keeps what is written and sends nothing; no vector is ever pending in it.
///
/// Vectors reach the guest by eventfd, and whoever wants them masked takes the eventfd away.
#[derive(Debug)]
pub(crate) struct MsixTable(Box<[AtomicU32]>);

impl MsixTable {
    pub fn new(vectors: u32) -> Self {
        let table = Self((0..vectors as usize * ENTRY).map(|_| AtomicU32::new(0)).collect());
        table.reset();
        table
    }

    /// The double word of an offset; zero past the table.
    pub fn read(&self, at: u32) -> u32 {
        self.0.get(at as usize / 4).map_or(0, |word| word.load(Ordering::Relaxed))
    }

    pub fn write(&self, at: u32, value: u32) {
        let index = at as usize / 4;
        let mask = match index % ENTRY {
            0 => ADDRESS_LO::RW_MASK,
            3 => VECTOR_CONTROL::RW_MASK,
            _ => u32::MAX,
        };
        if let Some(word) = self.0.get(index) {
            word.store(value & mask, Ordering::Relaxed);
        }
    }

    /// All vectors masked.
    pub fn reset(&self) {
        for (index, word) in self.0.iter().enumerate() {
            let value = if index % ENTRY == 3 { VECTOR_CONTROL::RESET } else { 0 };
            word.store(value, Ordering::Relaxed);
        }
    }
}
