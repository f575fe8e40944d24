//! From bytes to headers.

use crate::bytes::{be16, u8_at};
use crate::ip::{self, IPPROTO_GRE, IPPROTO_IPIP, IPPROTO_IPV6};
use crate::layer::{Fragment, L3, L4, Layer, Tags, Tunnel};
use crate::ptype;
use crate::tag::{Tag, is_tpid};

pub(crate) const ETH_P_IP: u16 = 0x0800;
pub(crate) const ETH_P_IPV6: u16 = 0x86DD;
/// Transparent Ethernet bridging: an Ethernet frame inside GRE or Geneve.
const ETH_P_TEB: u16 = 0x6558;

/// What was found in a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    /// The headers that come first.
    pub outer: Layer,
    /// The headers inside a tunnel; empty when `tunnel` is none.
    pub inner: Layer,
    /// The kind of tunnel.
    pub tunnel: Tunnel,
    /// Offset of the tunnel's own header (GRE, VXLAN, Geneve; for IP in IP the inner header's).
    pub tunnel_offset: u16,
    /// The packet type of a receive descriptor ([`ptype`]).
    pub ptype: u8,
}

impl Parsed {
    /// The layer whose addresses and ports identify the flow: the inner one of a tunnel.
    #[must_use]
    #[inline]
    pub fn innermost(&self) -> &Layer {
        if self.tunnel == Tunnel::None { &self.outer } else { &self.inner }
    }

    /// The outer VLAN tags, outermost first.
    #[must_use]
    pub fn tags(&self) -> &[Tag] {
        self.outer.tags.as_slice()
    }

    /// Offset of the first byte behind all recognised headers.
    #[must_use]
    pub fn payload(&self) -> usize {
        let layer = self.innermost();
        match layer.l3 {
            L3::None => usize::from(layer.l3_offset),
            _ => usize::from(layer.l4_offset) + usize::from(layer.l4_len),
        }
    }
}

/// The UDP destination ports that mean a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TunnelPorts {
    /// VXLAN (4789); 0 for none.
    pub vxlan: u16,
    /// Geneve (6081); 0 for none.
    pub geneve: u16,
}

impl Default for TunnelPorts {
    fn default() -> Self {
        Self { vxlan: 4789, geneve: 6081 }
    }
}

/// Parses a frame with the well-known tunnel ports.
#[must_use]
pub fn parse(frame: &[u8]) -> Parsed {
    parse_with(frame, TunnelPorts::default())
}

/// Parses a frame; a header that leaves it ends the parsing at the layer below.
#[must_use]
pub fn parse_with(frame: &[u8], ports: TunnelPorts) -> Parsed {
    let mut parsed = Parsed::default();
    if ethernet(frame, 0, &mut parsed.outer).is_some() {
        network(frame, &mut parsed.outer);
        if parsed.outer.l3 != L3::None {
            tunnel(frame, ports, &mut parsed);
        }
    }
    parsed.ptype = ptype::of(&parsed.outer, parsed.tunnel, &parsed.inner);
    parsed
}

/// Addresses, up to two tags and the type behind them.
#[inline]
fn ethernet(frame: &[u8], at: usize, layer: &mut Layer) -> Option<()> {
    let mut ethertype = be16(frame, at + 12)?;
    let mut next = at + 14;
    let mut tags = Tags::default();
    while is_tpid(ethertype) {
        // A tag that leaves the frame, or a third one, is the payload's type.
        let (Some(tci), Some(inside)) = (be16(frame, next), be16(frame, next + 2)) else {
            break;
        };
        if !tags.push(Tag { tpid: ethertype, tci }) {
            break;
        }
        ethertype = inside;
        next += 4;
    }
    layer.mac = at as u16;
    layer.has_mac = true;
    layer.tags = tags;
    layer.ethertype = ethertype;
    layer.l3_offset = next as u16;
    Some(())
}

/// The IP header that the layer's type announces, and the transport header in it.
#[inline]
fn network(frame: &[u8], layer: &mut Layer) {
    let at = usize::from(layer.l3_offset);
    let found = match layer.ethertype {
        ETH_P_IP => ip::v4(frame, at, layer),
        ETH_P_IPV6 => ip::v6(frame, at, layer),
        _ => None,
    };
    if found.is_some() {
        ip::transport(frame, layer);
    }
}

/// What a tunnel's own header says: its kind, its bytes, and the type of what is inside.
struct Inside {
    tunnel: Tunnel,
    header: usize,
    ethertype: u16,
}

fn tunnel(frame: &[u8], ports: TunnelPorts, parsed: &mut Parsed) {
    if parsed.outer.fragment != Fragment::None {
        return;
    }
    let after_ip = usize::from(parsed.outer.l4_offset);
    // Nothing inside reaches beyond the outer packet.
    let Some(packet) = frame.get(..parsed.outer.l3_end as usize) else { return };
    let (at, inside) = match (parsed.outer.l4, parsed.outer.protocol) {
        (L4::Udp, _) => (after_ip + 8, udp_tunnel(packet, after_ip, ports)),
        (L4::None, IPPROTO_GRE) => (after_ip, gre(packet, after_ip)),
        (L4::None, IPPROTO_IPIP) => (after_ip, ip_in_ip(ETH_P_IP)),
        (L4::None, IPPROTO_IPV6) => (after_ip, ip_in_ip(ETH_P_IPV6)),
        _ => return,
    };
    let Some(inside) = inside else { return };
    let start = at + inside.header;
    let mut inner = Layer::default();
    if inside.ethertype == ETH_P_TEB {
        if ethernet(packet, start, &mut inner).is_none() {
            return;
        }
    } else {
        inner.ethertype = inside.ethertype;
        inner.l3_offset = start as u16;
    }
    network(packet, &mut inner);
    if inside.tunnel == Tunnel::IpIp && inner.l3 == L3::None {
        return;
    }
    parsed.inner = inner;
    parsed.tunnel = inside.tunnel;
    parsed.tunnel_offset = at as u16;
}

fn ip_in_ip(ethertype: u16) -> Option<Inside> {
    Some(Inside { tunnel: Tunnel::IpIp, header: 0, ethertype })
}

/// GRE (RFC 2784, 2890): version 0, with checksum, key and sequence number, without routing.
fn gre(packet: &[u8], at: usize) -> Option<Inside> {
    let flags = be16(packet, at)?;
    let ethertype = be16(packet, at + 2)?;
    if flags & 0x4007 != 0 {
        return None;
    }
    let optional = (flags & 0xB000).count_ones() as usize;
    let header = 4 + 4 * optional;
    (at + header <= packet.len()).then_some(Inside { tunnel: Tunnel::Gre, header, ethertype })
}

fn udp_tunnel(packet: &[u8], udp: usize, ports: TunnelPorts) -> Option<Inside> {
    match be16(packet, udp + 2)? {
        0 => None,
        port if port == ports.vxlan => {
            Some(Inside { tunnel: Tunnel::Vxlan, header: 8, ethertype: ETH_P_TEB })
        }
        port if port == ports.geneve => geneve(packet, udp + 8),
        _ => None,
    }
}

/// Geneve (RFC 8926): version 0, options counted in words.
fn geneve(packet: &[u8], at: usize) -> Option<Inside> {
    let first = u8_at(packet, at)?;
    let ethertype = be16(packet, at + 2)?;
    let header = 8 + 4 * usize::from(first & 0x3F);
    let known = matches!(ethertype, ETH_P_TEB | ETH_P_IP | ETH_P_IPV6);
    let whole = at + header <= packet.len();
    (first >> 6 == 0 && known && whole).then_some(Inside {
        tunnel: Tunnel::Geneve,
        header,
        ethertype,
    })
}
