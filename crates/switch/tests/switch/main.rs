//! Claims about the switch, one for each rule.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;
mod recipes;
mod tables;
mod ways;
