//! What a parsed frame is made of.

use crate::tag::Tag;

/// Up to two VLAN tags, outermost first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tags {
    tags: [Tag; 2],
    count: u8,
}

impl Tags {
    /// Appends a tag inside the others; a third is not kept and gives false.
    pub(crate) fn push(&mut self, tag: Tag) -> bool {
        let Some(place) = self.tags.get_mut(usize::from(self.count)) else {
            return false;
        };
        *place = tag;
        self.count += 1;
        true
    }

    /// The tags, outermost first.
    #[must_use]
    pub fn as_slice(&self) -> &[Tag] {
        self.tags.get(..usize::from(self.count)).unwrap_or_default()
    }

    /// The tag next to the source address.
    #[must_use]
    pub fn outer(&self) -> Option<Tag> {
        self.as_slice().first().copied()
    }

    /// The number of tags, 0 to 2.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::from(self.count)
    }

    /// Whether there is no tag.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

/// The network header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum L3 {
    /// Not IP, or an IP header that leaves the frame.
    #[default]
    None,
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// Which part of a datagram an IP packet carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fragment {
    /// The whole datagram.
    #[default]
    None,
    /// The first part, with the transport header (also an IPv6 "atomic" fragment, RFC 6946).
    First,
    /// A later part, without a transport header.
    Later,
}

/// The transport header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum L4 {
    /// Another protocol, a fragment, or a header that leaves the packet.
    #[default]
    None,
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
    /// ICMP in IPv4 or ICMPv6 in IPv6.
    Icmp,
}

/// What lies between the outer and the inner headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tunnel {
    /// No tunnel: only the outer layer exists.
    #[default]
    None,
    /// An IP header directly inside an IP header.
    IpIp,
    /// GRE, also as NVGRE.
    Gre,
    /// UDP to the VXLAN port.
    Vxlan,
    /// UDP to the Geneve port.
    Geneve,
}

/// MAC, network and transport header of one level; offsets count bytes from the frame's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layer {
    /// Offset of the destination address, when [`has_mac`](Self::has_mac).
    pub mac: u16,
    /// Whether the level has an Ethernet header (the outer one has, unless the frame is a runt).
    pub has_mac: bool,
    /// The VLAN tags of that Ethernet header.
    pub tags: Tags,
    /// The type after the tags, or of the tunnel header when there is no Ethernet header; 0 if none.
    pub ethertype: u16,
    /// The kind of network header.
    pub l3: L3,
    /// Offset of the network header, or of what follows the Ethernet header when `l3` is none.
    pub l3_offset: u16,
    /// Bytes of the network header: IPv4 options and IPv6 extension headers included.
    pub l3_len: u16,
    /// Where the IP packet ends by its own length, at most the frame's end.
    pub l3_end: u32,
    /// The IP length is smaller than the header or larger than the frame.
    pub length_lies: bool,
    /// The fragment that it is.
    pub fragment: Fragment,
    /// IPv4's protocol, or the first next header of IPv6 that is no extension header.
    pub protocol: u8,
    /// An IPv6 destination options or routing header is present (`IPV6EXADD`).
    pub ipv6exadd: bool,
    /// An IPv6 routing header has segments left: the address in the pseudo header is another one.
    pub rerouted: bool,
    /// Offset of an IPv6 authentication header; 0 if none.
    pub ah: u16,
    /// The kind of transport header.
    pub l4: L4,
    /// Offset of what follows the network header.
    pub l4_offset: u16,
    /// Bytes of the transport header, TCP options included; 0 when `l4` is none.
    pub l4_len: u16,
}
