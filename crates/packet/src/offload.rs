//! What a transmit descriptor asks for a frame that leaves in one piece.

mod layout;
mod violation;

pub use violation::{MSS_MAX, MSS_MIN, Violation};

use crate::bytes::put;
use crate::crc;
use crate::sum::Sum;
use crate::tag::{Tag, insert_tag};
pub(crate) use layout::Layout;

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

impl Iipt {
    /// The value of the descriptor's 2 bits; higher bits don't count.
    #[must_use]
    pub fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::None,
            1 => Self::Ipv6,
            2 => Self::Ipv4,
            _ => Self::Ipv4Csum,
        }
    }
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

impl L4t {
    /// The value of the descriptor's 2 bits; higher bits don't count.
    #[must_use]
    pub fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::None,
            1 => Self::Tcp,
            2 => Self::Sctp,
            _ => Self::Udp,
        }
    }
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

impl Eipt {
    /// The value of the descriptor's 2 bits; higher bits don't count.
    #[must_use]
    pub fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::None,
            1 => Self::Ipv6,
            2 => Self::Ipv4,
            _ => Self::Ipv4Csum,
        }
    }
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

impl L4tunt {
    /// The value of the descriptor's 2 bits; higher bits don't count.
    #[must_use]
    pub fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            1 => Self::Udp,
            2 => Self::Gre,
            _ => Self::None,
        }
    }
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

/// Does the checksums of one frame and inserts its tags; `tso` does not count here. The frame is
/// unchanged when a rule is broken.
///
/// A TCP or UDP checksum field holds the sum of the pseudo header beforehand.
///
/// # Errors
/// The first rule that the descriptors break.
pub fn offload(frame: &mut Vec<u8>, ask: &Offload) -> Result<(), Violation> {
    let layout = Layout::new(frame, ask)?;
    // The outer checksum covers the inner ones, so those come first.
    if ask.iipt == Iipt::Ipv4Csum {
        ipv4_checksum(frame, layout.l3, layout.l4);
    }
    match ask.l4t {
        L4t::None => {}
        L4t::Tcp => l4_checksum(frame, layout.l4, layout.l3_end, TCP_CHECKSUM, 0),
        L4t::Udp => l4_checksum(frame, layout.l4, layout.l3_end, UDP_CHECKSUM, 0),
        L4t::Sctp => {
            let packet = frame.get(layout.l4..layout.l3_end).unwrap_or_default();
            if let Some(sum) = crc::sctp(packet) {
                put(frame, layout.l4 + 8, sum);
            }
        }
    }
    if let Some(outer) = ask.tunnel {
        if outer.eipt == Eipt::Ipv4Csum {
            ipv4_checksum(frame, layout.outer_l3, layout.outer_l4);
        }
        if outer.l4t_cs {
            l4_checksum(frame, layout.outer_l4, layout.outer_end, UDP_CHECKSUM, 0);
        }
    }
    insert_tags(frame, ask);
    Ok(())
}

/// Where the checksum stands in a TCP header.
pub(crate) const TCP_CHECKSUM: usize = 16;
/// Where the checksum stands in a UDP header.
pub(crate) const UDP_CHECKSUM: usize = 6;

/// Both tags go next to the addresses, `l2tag2` outermost.
pub(crate) fn insert_tags(frame: &mut Vec<u8>, ask: &Offload) {
    for tag in [ask.l2tag1, ask.l2tag2].into_iter().flatten() {
        insert_tag(frame, 0, tag);
    }
}

/// Computes the checksum of the IPv4 header in `at..end`, whatever its field holds.
#[inline]
pub(crate) fn ipv4_checksum(frame: &mut [u8], at: usize, end: usize) {
    put(frame, at + 10, [0; 2]);
    let sum = Sum::default().add(frame.get(at..end).unwrap_or_default());
    put(frame, at + 10, sum.checksum().to_be_bytes());
}

/// Computes the checksum of `at..end`, whose field, `field` bytes behind `at`, holds the sum of the
/// pseudo header without `length`. A result of 0 is sent as 0xFFFF in UDP, where 0 means "none".
#[inline]
pub(crate) fn l4_checksum(frame: &mut [u8], at: usize, end: usize, field: usize, length: u32) {
    let sum = Sum::default().number(length).add(frame.get(at..end).unwrap_or_default());
    let sum = match sum.checksum() {
        0 if field == UDP_CHECKSUM => 0xFFFF,
        sum => sum,
    };
    put(frame, at + field, sum.to_be_bytes());
}
