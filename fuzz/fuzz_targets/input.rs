//! A fuzzer's bytes, taken from the front; past the end they are zeros.

use std::sync::Arc;

use siov_mem::{HostMemory, Hpa, Region};

pub struct Input<'a>(pub &'a [u8]);

impl Input<'_> {
    #[allow(dead_code)] // not every target needs it
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn u8(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    pub fn u64(&mut self) -> u64 {
        (0..8).fold(0, |word, n| word | u64::from(self.u8()) << (8 * n))
    }

    /// A number with few bytes, of all sizes: a byte shifted by as many bits as another one says.
    pub fn sparse(&mut self) -> u64 {
        let (value, shift) = (self.u8(), self.u8());
        u64::from(value) << (shift % 64)
    }
}

/// Host memory of so many bytes from 0.
#[allow(dead_code)] // not every target needs it
pub fn memory(bytes: u64) -> HostMemory {
    let memory = HostMemory::new(1 << 30);
    let region = Region::anonymous(bytes).expect("memory for the fuzzer");
    memory.place(Hpa(0), Arc::new(region)).expect("an empty space");
    memory
}
