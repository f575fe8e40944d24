//! Capture files: pcapng written and read (draft-ietf-opsawg-pcapng), classic pcap read.
//!
//! Written here and not with the crate `pcap-file`: an error has to name its place in the file, memory
//! has to stay bounded on any file, nothing is allocated for a frame, and a file has to be whole
//! whenever somebody looks. Its release that heeds `if_tsresol` is still a candidate, too.

mod format;
mod plug;
mod reader;
mod recording;
mod writer;

use std::io;
use std::path::PathBuf;

use thiserror::Error;

pub use plug::{Capture, Pace, Replay};
pub use reader::{Captured, Reader};
pub use recording::{Recorded, Recording, Totals};
pub use writer::{Interface, Lost, Packet, Writer};

/// The way of a frame, seen from the port (`epb_flags`, bits 1:0).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// To the port.
    Inbound,
    /// From the port.
    Outbound,
}

/// Why a capture file can't be used.
#[derive(Debug, Error)]
pub enum CaptureError {
    /// The system refused it.
    #[error("{path}: {error}")]
    Os {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// It makes no sense.
    #[error("{path}, byte {at}: {damage}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The first byte of the block or record that makes no sense.
        at: u64,
        /// What is wrong with it.
        damage: Damage,
    },
}

/// What is wrong with a block or record of a capture file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Damage {
    /// It begins like neither format.
    #[error("this is neither a pcapng nor a pcap file")]
    Foreign,
    /// It is a pipe or a folder.
    #[error("only a regular file can be a capture")]
    NoFile,
    /// The file ends in the middle of it.
    #[error("the file ends within a block or record")]
    Truncated,
    /// A length that can't be.
    #[error("a block or record can't be {0} bytes long")]
    Length(u32),
    /// The two lengths of a block.
    #[error("a block that begins as {0} bytes long ends as {1} bytes long")]
    Trailer(u32, u32),
    /// Neither order of bytes.
    #[error("{0:#010x} is no byte-order magic")]
    ByteOrder(u32),
    /// A version from the future.
    #[error("version {0} of the format is not known")]
    Version(u16),
    /// Something else than Ethernet.
    #[error("link type {0} is not Ethernet, which is 1")]
    LinkType(u32),
    /// A frame of an interface that was not described.
    #[error("there is no interface {0} in the section")]
    Interface(u32),
    /// More interfaces than anybody has.
    #[error("a section with more than {0} interfaces")]
    Interfaces(usize),
}
