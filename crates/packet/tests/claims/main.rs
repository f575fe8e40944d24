//! Each rule of frames and descriptors, one test.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

#[path = "../common/mod.rs"]
mod common;
mod field;
mod offload;
mod parse;
mod ptype;
mod rss;
mod segment;
mod tag;
mod verify;
