//! The architecture as data, for Rust: words with accessors, blocks with offsets and masks, all generated
//! from `src/siov/spec`, and the [`RegFile`] that serves any block of registers.

#[rustfmt::skip]
mod generated;
pub mod layout;
pub mod regfile;

pub use generated::*;
pub use layout::{Layout, LayoutError};
pub use regfile::{Change, RegFile, Reset, Write};
