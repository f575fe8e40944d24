//! Header fields as filters and hashes use them, named as virtchnl names them.

use crate::layer::{L3, L4, Layer, Tunnel};
use crate::parse::Parsed;

/// A header field. The order is the order in which a hash takes the fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Field {
    /// Ethernet source address, 6 bytes.
    EthSrc,
    /// Ethernet destination address, 6 bytes.
    EthDst,
    /// Ethernet type behind the tags, 2 bytes.
    EthEthertype,
    /// VLAN id of the service tag (0x88A8, 0x9100, or the outer of two), 12 bits.
    SVlanId,
    /// VLAN id of the customer tag (0x8100, or the inner of two), 12 bits.
    CVlanId,
    /// IPv4 source address.
    Ipv4Src,
    /// IPv4 destination address.
    Ipv4Dst,
    /// IPv4 DSCP, the upper 6 bits of the type of service.
    Ipv4Dscp,
    /// IPv4 time to live.
    Ipv4Ttl,
    /// IPv4 protocol.
    Ipv4Prot,
    /// IPv6 source address.
    Ipv6Src,
    /// IPv6 destination address.
    Ipv6Dst,
    /// IPv6 traffic class, 8 bits across 2 bytes.
    Ipv6Tc,
    /// IPv6 hop limit.
    Ipv6HopLimit,
    /// The protocol behind IPv6 extension headers: the byte that names it.
    Ipv6Prot,
    /// TCP source port.
    TcpSrcPort,
    /// TCP destination port.
    TcpDstPort,
    /// UDP source port.
    UdpSrcPort,
    /// UDP destination port.
    UdpDstPort,
    /// SCTP source port.
    SctpSrcPort,
    /// SCTP destination port.
    SctpDstPort,
    /// GTP-U tunnel endpoint id (UDP port 2152), 4 bytes.
    GtpuTeid,
    /// L2TPv3 session id directly over IP (protocol 115), 4 bytes.
    L2tpv3SessId,
    /// ESP security parameters index (protocol 50), 4 bytes.
    EspSpi,
    /// AH security parameters index (protocol 51), 4 bytes.
    AhSpi,
    /// PPPoE session id (type 0x8864), 2 bytes.
    PppoeSessId,
    /// PFCP flags with the S bit (UDP port 8805), 1 bit.
    PfcpSField,
    /// PFCP session endpoint id, 8 bytes, when the S bit is set.
    PfcpSeid,
}

/// Which headers of a tunnelled frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Level {
    /// The outermost headers.
    Outer,
    /// The headers inside a tunnel; nothing when there is none.
    Inner,
    /// The inner headers of a tunnel, else the only ones.
    #[default]
    Innermost,
}

/// Where a field lies, and which of its bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value<'a> {
    /// The bytes that hold the field, in network order.
    pub bytes: &'a [u8],
    /// A mask of the same length; zeros are bits of other fields.
    pub mask: &'static [u8],
}

const FULL: [u8; 16] = [0xFF; 16];

/// The field of a frame; `None` when the frame has no such header.
#[must_use]
#[inline]
pub fn extract<'a>(
    frame: &'a [u8],
    parsed: &Parsed,
    level: Level,
    field: Field,
) -> Option<Value<'a>> {
    let layer = match (level, parsed.tunnel) {
        (Level::Outer, _) | (Level::Innermost, Tunnel::None) => &parsed.outer,
        (Level::Inner, Tunnel::None) => return None,
        (Level::Inner | Level::Innermost, _) => &parsed.inner,
    };
    let (at, mask) = locate(frame, layer, field)?;
    let bytes = frame.get(at..at + mask.len())?;
    Some(Value { bytes, mask })
}

fn full(at: usize, len: usize) -> Option<(usize, &'static [u8])> {
    Some((at, FULL.get(..len)?))
}

fn locate(frame: &[u8], layer: &Layer, field: Field) -> Option<(usize, &'static [u8])> {
    let mac = usize::from(layer.mac);
    let l3 = usize::from(layer.l3_offset);
    let l4 = usize::from(layer.l4_offset);
    let needs = match field {
        Field::EthSrc | Field::EthDst | Field::EthEthertype | Field::SVlanId | Field::CVlanId => {
            layer.has_mac
        }
        Field::Ipv4Src | Field::Ipv4Dst | Field::Ipv4Dscp | Field::Ipv4Ttl | Field::Ipv4Prot => {
            layer.l3 == L3::V4
        }
        Field::Ipv6Src | Field::Ipv6Dst | Field::Ipv6Tc | Field::Ipv6HopLimit | Field::Ipv6Prot => {
            layer.l3 == L3::V6
        }
        Field::TcpSrcPort | Field::TcpDstPort => layer.l4 == L4::Tcp,
        Field::UdpSrcPort | Field::UdpDstPort => layer.l4 == L4::Udp,
        Field::SctpSrcPort | Field::SctpDstPort => layer.l4 == L4::Sctp,
        _ => true,
    };
    if !needs {
        return None;
    }
    match field {
        Field::EthDst => full(mac, 6),
        Field::EthSrc => full(mac + 6, 6),
        Field::EthEthertype => full(mac + 12 + 4 * layer.tags.len(), 2),
        Field::Ipv4Src => full(l3 + 12, 4),
        Field::Ipv4Dst => full(l3 + 16, 4),
        Field::Ipv4Dscp => Some((l3 + 1, &[0xFC])),
        Field::Ipv4Ttl => full(l3 + 8, 1),
        Field::Ipv4Prot => full(l3 + 9, 1),
        Field::Ipv6Src => full(l3 + 8, 16),
        Field::Ipv6Dst => full(l3 + 24, 16),
        Field::Ipv6Tc => Some((l3, &[0x0F, 0xF0])),
        Field::Ipv6HopLimit => full(l3 + 7, 1),
        Field::TcpSrcPort | Field::UdpSrcPort | Field::SctpSrcPort => full(l4, 2),
        Field::TcpDstPort | Field::UdpDstPort | Field::SctpDstPort => full(l4 + 2, 2),
        _ => {
            let _ = frame;
            None
        }
    }
}
