//! The CPU's side of address translation: what happens to an address that a guest's instruction names.
//!
//! A [`Core`] takes a guest virtual address through the guest's own tables to a guest physical address,
//! and that through EPT to a host physical address; every entry of the guest's tables lies at a guest
//! physical address and is itself translated, so that a cold walk of 4 by 4 levels reads memory 24
//! times. Its TLBs and paging-structure caches hold what the SDM allows them to hold and forget what it
//! says they must. The vocabulary and the rules are those of the Intel SDM: volume 3A chapter 4
//! (paging) and 3C chapter 29 (EPT, VPIDs, page-modification logging).
//!
//! Nothing that a guest puts in its tables stops the core: it becomes a [`Fault`], as data. An address
//! where no memory is reads as all ones, as from a bus that nobody answers, and takes no writes.
//!
//! Watch a translation with a [`Probe`]: it hears of each step from the same code that all accesses take.

mod access;
mod assoc;
mod core;
mod counters;
mod ept;
mod guest;
mod invalidate;
mod pml;
mod probe;
mod regs;
mod rights;
mod shape;
mod tlb;
mod walk;

pub use self::core::{Core, CoreState, Live};
pub use access::{Access, Fault, Kind, Mode, PageSize, Translation};
pub use counters::{Counters, Flushes};
pub use invalidate::VmFail;
pub use probe::{Probe, Silent, Stage, Step};
pub use regs::{ControlRegs, EntryError, GeneralProtection, Pml, Vmcs};
pub use shape::{Geometry, Model, PscShape, Shape, ShapeError, TlbShape};
