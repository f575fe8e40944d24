//! Memory that somebody else may change, shrink or take away while we look at it.
//!
//! [`Region`] is a piece of mapped memory, our own or a guest's; every access to it is atomic by
//! words, so nothing here ever holds a plain reference to shared bytes. [`DmaTable`] gives the
//! regions of a guest their places in its I/O virtual address space. The addresses of the
//! different spaces are different types: [`Gva`], [`Gpa`], [`Iova`], [`Hpa`].
//!
//! A client may shrink the file behind a region after we mapped it. The touch then raises SIGBUS;
//! a handler puts empty memory under it, and the access ends in a fault instead of a dead server.

mod addr;
mod copy;
mod dirty;
mod dma_table;
mod fault;
mod files;
mod guard;
mod host;
mod perm;
mod region;
mod word;

pub use addr::{Gpa, Gva, Hpa, Iova, PAGE_SIZE};
pub use dirty::DirtyRun;
pub use dma_table::{Backing, DmaMapInfo, DmaTable, Place, Span};
pub use fault::{DmaFault, DmaFaultReason, TableError};
pub use files::MappedFiles;
pub use host::{GRANULE, HostFault, HostMemory, HostView, MAX_SIZE, PlaceError};
pub use perm::Perm;
pub use region::{Region, RegionError, RegionFault};
pub use word::Word;
