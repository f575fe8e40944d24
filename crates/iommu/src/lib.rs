//! VT-d: what a remapping unit does with every request of a device.
//!
//! A [`Unit`] is driven by its registers alone, as software sees them, and finds its tables by walking host
//! memory. The modules follow the specification: tables and paging (3, 9), caches and invalidation (6),
//! interrupts (5), faults (7), registers (11). Every walk can be looked at through an [`Observer`]; nobody
//! looking costs nothing.

pub mod atc;
pub mod ats;
pub mod bench;
mod bounds;
pub mod cache;
mod caches;
mod config;
mod counters;
mod events;
mod fault;
mod interrupt;
mod invalidate;
mod observe;
mod pages;
mod paging;
mod permit;
mod queue;
mod rights;
mod tables;
mod translate;
mod types;
mod unit;

pub use cache::{Geometry, PartitionBy, Replacement};
pub use caches::{Caches, Geometries, IotlbEntry, PageKey, PasidKey, Tag};
pub use config::Config;
pub use counters::{Counters, Event, Filter};
pub use interrupt::Interrupt;
pub use observe::{CacheName, Observer, Step, Table};
pub use pages::PageRequest;
pub use paging::{FirstStage, Leaf, SecondStage};
pub use permit::Permit;
pub use tables::{ContextInfo, Directory, Next, PasidInfo, Stages};
pub use types::{Access, Did, Fault, Pasid, Request, RequestKind, Rid, Rights, Translation};
pub use unit::{DeviceInvalidation, Outbound, Unit};
