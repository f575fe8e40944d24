//! What can be wrong with a map, and with an access.

use thiserror::Error;

use crate::Iova;

/// Why a map or unmap was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TableError {
    /// Address or size is no multiple of the page size, or the size is 0.
    #[error("{size:#x} bytes at {iova} are not whole pages")]
    Unaligned {
        /// First address.
        iova: Iova,
        /// Bytes.
        size: u64,
    },
    /// The range goes past the end of the address space.
    #[error("{size:#x} bytes at {iova} wrap around the end of the address space")]
    Wraps {
        /// First address.
        iova: Iova,
        /// Bytes.
        size: u64,
    },
    /// The map allows neither reading nor writing.
    #[error("a map needs to be readable or writable")]
    Perm,
    /// The memory behind the map is shorter than the map.
    #[error("a map of {size:#x} bytes has only {backed:#x} bytes behind it")]
    Short {
        /// Bytes of the map.
        size: u64,
        /// Bytes of the region behind it.
        backed: u64,
    },
    /// Some of the range is mapped already.
    #[error("the range overlaps the map at {0}")]
    Overlap(Iova),
    /// The table is full.
    #[error("{0} maps are the limit")]
    Full(usize),
    /// No map lies in the range.
    #[error("nothing is mapped in {size:#x} bytes at {iova}")]
    NotMapped {
        /// First address.
        iova: Iova,
        /// Bytes.
        size: u64,
    },
    /// The range begins or ends inside a map.
    #[error("the range would split the map at {0}")]
    Splits(Iova),
}

/// A DMA access that failed: where, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("DMA fault at {iova}: {reason}")]
pub struct DmaFault {
    /// The first address that could not be accessed; what comes before it was.
    pub iova: Iova,
    /// What was wrong with it.
    pub reason: DmaFaultReason,
}

/// Why a DMA access failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DmaFaultReason {
    /// Nothing is mapped there, or the access goes past the end of the address space.
    #[error("not mapped")]
    NotMapped,
    /// The map does not allow the access.
    #[error("not allowed")]
    Denied,
    /// The memory behind the map was taken away.
    #[error("its memory was taken away")]
    Poisoned,
    /// The memory has no file behind it that we could map.
    #[error("its memory is not shared")]
    NotShared,
    /// An atomic access is misaligned, or lies across two maps.
    #[error("not aligned")]
    Misaligned,
}
