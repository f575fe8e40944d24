//! What holds for all tables and all orders of events.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

#[path = "../common/mod.rs"]
mod common;
mod cost;
mod space;
mod stale;
mod walks;
mod world;
