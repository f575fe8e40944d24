//! The rules that the descriptors of a packet must keep.

use thiserror::Error;

/// The smallest segment size in bytes; drivers segment by themselves below it.
pub const MSS_MIN: u16 = 64;
/// The largest segment size in bytes.
pub const MSS_MAX: u16 = 9668;

/// A rule that a descriptor broke; hardware counts it as a malicious driver event and drops the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Violation {
    /// A header length is shorter than the header can be.
    #[error("a header of the descriptor is shorter than that header can be")]
    HeaderShort,
    /// The headers are longer than the frame.
    #[error("the headers of the descriptor end at byte {end} of a frame of {len}")]
    HeaderOutside {
        /// Where the headers end, in bytes.
        end: u32,
        /// The frame's bytes.
        len: u32,
    },
    /// The IP version is not the one that IIPT or EIPT tells.
    #[error("the IP header is not of the version that the descriptor tells")]
    IpVersion,
    /// The IP header's own length is not the descriptor's.
    #[error("the IP header has {found} bytes and the descriptor tells {told}")]
    IpLength {
        /// Bytes as the header tells.
        found: u16,
        /// Bytes as the descriptor tells.
        told: u16,
    },
    /// The IP header carries another protocol than L4T or L4TUNT tells.
    #[error("the IP header carries protocol {found}, not what the descriptor tells")]
    Protocol {
        /// The protocol in the header.
        found: u8,
    },
    /// L4 work without an IP header, or a tunnel without an outer IP header.
    #[error("the descriptor asks for the checksum of a header that it does not tell")]
    NoHeader,
    /// The segment size is below [`MSS_MIN`] or above [`MSS_MAX`].
    #[error("a segment size of {mss} bytes is not in {MSS_MIN}..={MSS_MAX}")]
    Mss {
        /// The segment size in bytes.
        mss: u16,
    },
    /// The payload's length is not what `TSO_LEN` tells, or there is none.
    #[error("TSO_LEN tells {told} bytes of payload and the packet has {found}")]
    TsoLen {
        /// Bytes in the frame behind its headers.
        found: u32,
        /// Bytes as the descriptor tells.
        told: u32,
    },
    /// Segmentation of something else than TCP or UDP over IP.
    #[error("segmentation of a packet that is neither TCP nor UDP over IP")]
    TsoProtocol,
}
