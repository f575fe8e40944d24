//! What the data path of an Ethernet adapter does to one frame, as pure functions on bytes.
//!
//! [`parse`] finds the headers and the packet type; [`verify`] checks the checksums of a received
//! frame; [`offload()`] and [`segment()`] do what a transmit descriptor asks for; [`rss`] hashes and
//! [`field`] cuts out the header fields that filters match. Nothing here holds state, allocates per
//! frame or trusts a byte: a length that lies ends the parsing, never the program.

mod bytes;
mod crc;
pub mod field;
mod ip;
mod layer;
mod offload;
mod parse;
pub mod ptype;
pub mod rss;
mod segment;
mod sum;
mod tag;
mod verify;

pub use layer::{Fragment, L3, L4, Layer, Tags, Tunnel};
pub use offload::{
    Eipt, Iipt, L4t, L4tunt, MSS_MAX, MSS_MIN, Offload, Outer, Tso, Violation, offload,
};
pub use parse::{Parsed, TunnelPorts, parse, parse_with};
pub use segment::{Scratch, segment};
pub use tag::{Tag, insert_tag, is_tpid, strip_tag};
pub use verify::{Checks, verify};
