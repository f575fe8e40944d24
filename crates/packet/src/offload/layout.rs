//! Where a descriptor says the headers are, after a look at whether they are there.

use super::{Eipt, Iipt, L4t, L4tunt, Offload, Violation};
use crate::ip::{self, IPPROTO_AH, IPPROTO_GRE, IPPROTO_SCTP, IPPROTO_TCP, IPPROTO_UDP};
use crate::layer::{L3, Layer};

/// Offsets in the frame as it is in memory.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Layout {
    pub outer_l3: usize,
    /// The tunnel's header, or the inner IP header when there is none between.
    pub outer_l4: usize,
    /// Where the outer IP packet ends.
    pub outer_end: usize,
    pub l3: usize,
    pub l4: usize,
    /// Where the (inner) IP packet ends.
    pub l3_end: usize,
    /// The first byte behind all headers.
    pub payload: usize,
}

/// The shortest Ethernet header.
const MAC: usize = 14;

impl Layout {
    /// Follows the lengths of `ask` through `frame`.
    pub(crate) fn new(frame: &[u8], ask: &Offload) -> Result<Self, Violation> {
        let mut layout = Self::default();
        let mut at = usize::from(ask.maclen);
        let outer = ask.tunnel.unwrap_or_default();
        if ask.iipt == Iipt::None && outer.eipt == Eipt::None {
            let l4_work = ask.l4t != L4t::None || outer.l4t_cs;
            return if l4_work { Err(Violation::NoHeader) } else { Ok(layout) };
        }
        if at < MAC {
            return Err(Violation::HeaderShort);
        }
        layout.outer_l3 = at;
        if outer.eipt != Eipt::None {
            let version = if outer.eipt == Eipt::Ipv6 { L3::V6 } else { L3::V4 };
            let protocol = tunnel_protocol(outer.l4tunt);
            layout.outer_end = network(frame, at, version, outer.eiplen, protocol)?;
            at += usize::from(outer.eiplen);
            layout.outer_l4 = at;
            at += usize::from(outer.l4tunlen);
            at_least(outer.l4tunlen, protocol.map_or(0, |(_, header)| header))?;
        } else if outer.l4tunt != L4tunt::None || outer.l4t_cs {
            return Err(Violation::NoHeader);
        }
        if outer.l4t_cs && outer.l4tunt != L4tunt::Udp {
            return Err(Violation::NoHeader);
        }
        inside(frame, at)?;
        layout.l3 = at;
        layout.l4 = at;
        layout.payload = at;
        match ask.iipt {
            Iipt::None if ask.l4t != L4t::None => Err(Violation::NoHeader),
            Iipt::None => Ok(layout),
            Iipt::Ipv6 => layout.inner(frame, ask, L3::V6),
            Iipt::Ipv4 | Iipt::Ipv4Csum => layout.inner(frame, ask, L3::V4),
        }
    }

    fn inner(mut self, frame: &[u8], ask: &Offload, version: L3) -> Result<Self, Violation> {
        let protocol = l4_protocol(ask.l4t);
        self.l3_end = network(frame, self.l3, version, ask.iplen, protocol)?;
        self.l4 = self.l3 + usize::from(ask.iplen);
        self.payload = self.l4;
        if let Some((_, header)) = protocol {
            at_least(ask.l4len, header)?;
            self.payload += usize::from(ask.l4len);
            inside(frame, self.payload)?;
        }
        Ok(self)
    }
}

/// The protocol number of a tunnel, and the least bytes of its header.
fn tunnel_protocol(l4tunt: L4tunt) -> Option<(u8, u16)> {
    match l4tunt {
        L4tunt::None => None,
        L4tunt::Udp => Some((IPPROTO_UDP, 8)),
        L4tunt::Gre => Some((IPPROTO_GRE, 4)),
    }
}

/// The protocol number of a transport, and the least bytes of its header.
fn l4_protocol(l4t: L4t) -> Option<(u8, u16)> {
    match l4t {
        L4t::None => None,
        L4t::Tcp => Some((IPPROTO_TCP, 20)),
        L4t::Sctp => Some((IPPROTO_SCTP, 12)),
        L4t::Udp => Some((IPPROTO_UDP, 8)),
    }
}

fn at_least(told: u16, header: u16) -> Result<(), Violation> {
    if told < header { Err(Violation::HeaderShort) } else { Ok(()) }
}

fn inside(frame: &[u8], end: usize) -> Result<(), Violation> {
    if end <= frame.len() {
        return Ok(());
    }
    Err(Violation::HeaderOutside { end: end as u32, len: frame.len() as u32 })
}

/// Compares an IP header with what the descriptor tells of it; gives where its packet ends by its
/// own length, or the frame's end when that length is not filled in.
fn network(
    frame: &[u8],
    at: usize,
    version: L3,
    told: u16,
    protocol: Option<(u8, u16)>,
) -> Result<usize, Violation> {
    at_least(told, if version == L3::V4 { 20 } else { 40 })?;
    inside(frame, at + usize::from(told))?;
    let mut layer = Layer::default();
    let found = match version {
        L3::V4 => ip::v4(frame, at, &mut layer),
        _ => ip::v6(frame, at, &mut layer),
    };
    found.ok_or(Violation::IpVersion)?;
    // What the parser does not follow may stand between: an authentication header of IPv4, or
    // extension headers when the length that bounds them is not filled in.
    let more = layer.l3_len < told && (version == L3::V6 || layer.protocol == IPPROTO_AH);
    if layer.l3_len != told && !more {
        return Err(Violation::IpLength { found: layer.l3_len, told });
    }
    let expected = protocol.is_none_or(|(number, _)| number == layer.protocol);
    if !more && !expected {
        return Err(Violation::Protocol { found: layer.protocol });
    }
    let end = layer.l3_end as usize;
    Ok(if end > at + usize::from(told) { end } else { frame.len() })
}
