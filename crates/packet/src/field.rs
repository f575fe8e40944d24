//! Header fields as filters and hashes use them, named as virtchnl names them.

use crate::bytes::{be16, u8_at};
use crate::ip::IPPROTO_AH;
use crate::layer::{Fragment, L3, L4, Layer, Tunnel};
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
    /// IPv6 next header of the fixed header, extension header or not.
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
    /// PDU type of a GTP-U PDU session container, 4 bits.
    GtpuEhPdu,
    /// QoS flow identifier of a GTP-U PDU session container, 6 bits.
    GtpuEhQfi,
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

impl Field {
    /// Every field, in order.
    pub const ALL: [Self; 30] = [
        Self::EthSrc,
        Self::EthDst,
        Self::EthEthertype,
        Self::SVlanId,
        Self::CVlanId,
        Self::Ipv4Src,
        Self::Ipv4Dst,
        Self::Ipv4Dscp,
        Self::Ipv4Ttl,
        Self::Ipv4Prot,
        Self::Ipv6Src,
        Self::Ipv6Dst,
        Self::Ipv6Tc,
        Self::Ipv6HopLimit,
        Self::Ipv6Prot,
        Self::TcpSrcPort,
        Self::TcpDstPort,
        Self::UdpSrcPort,
        Self::UdpDstPort,
        Self::SctpSrcPort,
        Self::SctpDstPort,
        Self::GtpuTeid,
        Self::GtpuEhPdu,
        Self::GtpuEhQfi,
        Self::L2tpv3SessId,
        Self::EspSpi,
        Self::AhSpi,
        Self::PppoeSessId,
        Self::PfcpSField,
        Self::PfcpSeid,
    ];
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
const VID: [u8; 2] = [0x0F, 0xFF];
const IPPROTO_ESP: u8 = 50;
const IPPROTO_L2TP: u8 = 115;
const ETH_P_8021Q: u16 = 0x8100;
const ETH_P_PPP_SES: u16 = 0x8864;
const PORT_GTPU: u16 = 2152;
const PORT_PFCP: u16 = 8805;

/// The field of a frame; `None` when the frame has no such header.
#[must_use]
#[inline]
pub fn extract<'a>(
    frame: &'a [u8],
    parsed: &Parsed,
    level: Level,
    field: Field,
) -> Option<Value<'a>> {
    extract_from(frame, layer_of(parsed, level)?, field)
}

/// The headers of a level; `None` for the inner ones of a frame without a tunnel.
pub(crate) fn layer_of(parsed: &Parsed, level: Level) -> Option<&Layer> {
    match (level, parsed.tunnel) {
        (Level::Outer, _) | (Level::Innermost, Tunnel::None) => Some(&parsed.outer),
        (Level::Inner, Tunnel::None) => None,
        (Level::Inner | Level::Innermost, _) => Some(&parsed.inner),
    }
}

pub(crate) fn extract_from<'a>(frame: &'a [u8], layer: &Layer, field: Field) -> Option<Value<'a>> {
    let (at, mask) = locate(frame, layer, field)?;
    let bytes = frame.get(at..at + mask.len())?;
    Some(Value { bytes, mask })
}

fn full(at: usize, len: usize) -> Option<(usize, &'static [u8])> {
    Some((at, FULL.get(..len)?))
}

fn locate(frame: &[u8], layer: &Layer, field: Field) -> Option<(usize, &'static [u8])> {
    let l3 = usize::from(layer.l3_offset);
    match field {
        Field::EthSrc | Field::EthDst | Field::EthEthertype | Field::SVlanId | Field::CVlanId => {
            ethernet(layer, field)
        }
        Field::Ipv4Src | Field::Ipv4Dst | Field::Ipv4Dscp | Field::Ipv4Ttl | Field::Ipv4Prot => {
            ipv4(layer, field)
        }
        Field::Ipv6Src | Field::Ipv6Dst | Field::Ipv6Tc | Field::Ipv6HopLimit | Field::Ipv6Prot => {
            ipv6(layer, field)
        }
        Field::TcpSrcPort => port(layer, L4::Tcp, 0),
        Field::TcpDstPort => port(layer, L4::Tcp, 2),
        Field::UdpSrcPort => port(layer, L4::Udp, 0),
        Field::UdpDstPort => port(layer, L4::Udp, 2),
        Field::SctpSrcPort => port(layer, L4::Sctp, 0),
        Field::SctpDstPort => port(layer, L4::Sctp, 2),
        Field::GtpuTeid | Field::GtpuEhPdu | Field::GtpuEhQfi => gtpu(frame, layer, field),
        Field::PfcpSField | Field::PfcpSeid => pfcp(frame, layer, field),
        Field::L2tpv3SessId => over_ip(layer, IPPROTO_L2TP, 0),
        Field::EspSpi => over_ip(layer, IPPROTO_ESP, 0),
        Field::AhSpi if layer.ah != 0 => full(usize::from(layer.ah) + 4, 4),
        Field::AhSpi => over_ip(layer, IPPROTO_AH, 4),
        Field::PppoeSessId if layer.ethertype == ETH_P_PPP_SES => full(l3 + 2, 2),
        Field::PppoeSessId => None,
    }
}

fn ethernet(layer: &Layer, field: Field) -> Option<(usize, &'static [u8])> {
    let mac = usize::from(layer.mac);
    let tags = layer.tags.as_slice();
    if !layer.has_mac {
        return None;
    }
    match field {
        Field::EthDst => full(mac, 6),
        Field::EthSrc => full(mac + 6, 6),
        Field::EthEthertype => full(mac + 12 + 4 * tags.len(), 2),
        Field::SVlanId => match tags {
            [_, _] => Some((mac + 14, &VID)),
            [only] if only.tpid != ETH_P_8021Q => Some((mac + 14, &VID)),
            _ => None,
        },
        _ => match tags {
            [_, _] => Some((mac + 18, &VID)),
            [only] if only.tpid == ETH_P_8021Q => Some((mac + 14, &VID)),
            _ => None,
        },
    }
}

fn ipv4(layer: &Layer, field: Field) -> Option<(usize, &'static [u8])> {
    let at = usize::from(layer.l3_offset);
    if layer.l3 != L3::V4 {
        return None;
    }
    match field {
        Field::Ipv4Src => full(at + 12, 4),
        Field::Ipv4Dst => full(at + 16, 4),
        Field::Ipv4Dscp => Some((at + 1, &[0xFC])),
        Field::Ipv4Ttl => full(at + 8, 1),
        _ => full(at + 9, 1),
    }
}

fn ipv6(layer: &Layer, field: Field) -> Option<(usize, &'static [u8])> {
    let at = usize::from(layer.l3_offset);
    if layer.l3 != L3::V6 {
        return None;
    }
    match field {
        Field::Ipv6Src => full(at + 8, 16),
        Field::Ipv6Dst => full(at + 24, 16),
        Field::Ipv6Tc => Some((at, &[0x0F, 0xF0])),
        Field::Ipv6HopLimit => full(at + 7, 1),
        _ => full(at + 6, 1),
    }
}

fn port(layer: &Layer, l4: L4, at: usize) -> Option<(usize, &'static [u8])> {
    (layer.l4 == l4).then_some(())?;
    full(usize::from(layer.l4_offset) + at, 2)
}

/// Four bytes of what follows the IP header, when that is `protocol` and its first fragment.
fn over_ip(layer: &Layer, protocol: u8, at: usize) -> Option<(usize, &'static [u8])> {
    let first = layer.l3 != L3::None && layer.fragment != Fragment::Later;
    (first && layer.protocol == protocol).then_some(())?;
    full(usize::from(layer.l4_offset) + at, 4)
}

/// Where the payload of a UDP datagram to `port` begins.
fn udp_payload(frame: &[u8], layer: &Layer, port: u16) -> Option<usize> {
    let at = usize::from(layer.l4_offset);
    (layer.l4 == L4::Udp && be16(frame, at + 2)? == port).then_some(at + 8)
}

/// GTPv1-U (3GPP TS 29.281 5.1) and its PDU session container (TS 38.415 5.5.2).
fn gtpu(frame: &[u8], layer: &Layer, field: Field) -> Option<(usize, &'static [u8])> {
    let at = udp_payload(frame, layer, PORT_GTPU)?;
    let flags = u8_at(frame, at)?;
    (flags >> 5 == 1).then_some(())?;
    if field == Field::GtpuTeid {
        return full(at + 4, 4);
    }
    let container = flags & 0x04 != 0 && u8_at(frame, at + 11)? == 0x85;
    match field {
        _ if !container => None,
        Field::GtpuEhPdu => Some((at + 13, &[0xF0])),
        _ => Some((at + 14, &[0x3F])),
    }
}

/// PFCP (3GPP TS 29.244 7.2.2).
fn pfcp(frame: &[u8], layer: &Layer, field: Field) -> Option<(usize, &'static [u8])> {
    let at = udp_payload(frame, layer, PORT_PFCP)?;
    let session = u8_at(frame, at)? & 1 != 0;
    match field {
        Field::PfcpSField => Some((at, &[0x01])),
        _ if session => full(at + 4, 8),
        _ => None,
    }
}
