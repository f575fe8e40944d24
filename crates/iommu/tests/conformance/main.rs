//! One scenario per clause of the specification, on a unit that is driven by its registers alone.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

#[path = "../common/mod.rs"]
mod common;

mod ats;
mod caching;
mod counters;
mod devtlb;
mod faults;
mod first;
mod geometry;
mod handshakes;
mod interrupts;
mod invalidation;
mod legacy;
mod nested;
mod pri;
mod queue;
mod scalable;
mod second;
