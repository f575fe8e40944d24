//! IPv4 and IPv6 headers.

use crate::bytes::{be16, chunk, u8_at};
use crate::layer::{Fragment, L3, L4, Layer};

pub(crate) const IPPROTO_HOPOPTS: u8 = 0;
pub(crate) const IPPROTO_ICMP: u8 = 1;
pub(crate) const IPPROTO_IPIP: u8 = 4;
pub(crate) const IPPROTO_TCP: u8 = 6;
pub(crate) const IPPROTO_UDP: u8 = 17;
pub(crate) const IPPROTO_IPV6: u8 = 41;
pub(crate) const IPPROTO_ROUTING: u8 = 43;
pub(crate) const IPPROTO_FRAGMENT: u8 = 44;
pub(crate) const IPPROTO_GRE: u8 = 47;
pub(crate) const IPPROTO_AH: u8 = 51;
pub(crate) const IPPROTO_ICMPV6: u8 = 58;
pub(crate) const IPPROTO_DSTOPTS: u8 = 60;
pub(crate) const IPPROTO_SCTP: u8 = 132;

/// Extension headers that are followed; a packet with more is IPv6 with an unknown payload.
const EXTENSIONS: usize = 8;
/// Headers lie in the first bytes of a frame; what is farther is payload, and offsets fit 16 bits.
const REACH: usize = 0xF000;

/// Parses the IPv4 header at `at`; `None` when it is none or leaves the frame.
#[inline]
pub(crate) fn v4(frame: &[u8], at: usize, layer: &mut Layer) -> Option<()> {
    let head: &[u8; 20] = chunk(frame, at)?;
    let [vihl, _, len0, len1, _, _, frag0, frag1, _, protocol, ..] = *head;
    let header = usize::from(vihl & 0x0F) * 4;
    if vihl >> 4 != 4 || header < 20 || at + header > frame.len().min(REACH) {
        return None;
    }
    let total = usize::from(u16::from_be_bytes([len0, len1]));
    let flags = u16::from_be_bytes([frag0, frag1]);
    layer.l3 = L3::V4;
    layer.fragment = match (flags & 0x1FFF, flags & 0x2000) {
        (0, 0) => Fragment::None,
        (0, _) => Fragment::First,
        _ => Fragment::Later,
    };
    layer.protocol = protocol;
    extent(frame, at, header, total, layer);
    Some(())
}

/// Parses the IPv6 header at `at` and the extension headers that follow.
#[inline]
pub(crate) fn v6(frame: &[u8], at: usize, layer: &mut Layer) -> Option<()> {
    let head: &[u8; 40] = chunk(frame, at)?;
    let [version, _, _, _, len0, len1, next, ..] = *head;
    if version >> 4 != 6 || at + 40 > REACH {
        return None;
    }
    let total = usize::from(u16::from_be_bytes([len0, len1])) + 40;
    layer.l3 = L3::V6;
    layer.protocol = next;
    extent(frame, at, 40, total, layer);
    if is_extension(next) {
        extensions(frame, layer);
    }
    Some(())
}

/// Where header and packet end. A packet that is shorter than its header has an empty payload.
fn extent(frame: &[u8], at: usize, header: usize, total: usize, layer: &mut Layer) {
    let end = (at + total.max(header)).min(frame.len());
    layer.length_lies = total < header || at + total > frame.len();
    layer.l3_offset = at as u16;
    layer.l3_len = header as u16;
    layer.l3_end = end as u32;
    layer.l4_offset = (at + header) as u16;
}

fn is_extension(next: u8) -> bool {
    matches!(
        next,
        IPPROTO_HOPOPTS | IPPROTO_ROUTING | IPPROTO_FRAGMENT | IPPROTO_DSTOPTS | IPPROTO_AH
    )
}

/// Follows the extension headers as far as they are whole and few, and nothing of them is in
/// another fragment; `layer.protocol` is then what follows the last one.
fn extensions(frame: &[u8], layer: &mut Layer) {
    let end = (layer.l3_end as usize).min(REACH);
    for _ in 0..EXTENSIONS {
        let at = usize::from(layer.l4_offset);
        let kind = layer.protocol;
        if !is_extension(kind) || layer.fragment == Fragment::Later {
            return;
        }
        let (Some(next), Some(units)) = (u8_at(frame, at), u8_at(frame, at + 1)) else {
            return;
        };
        let len = match kind {
            IPPROTO_FRAGMENT => 8,
            IPPROTO_AH => (usize::from(units) + 2) * 4,
            _ => (usize::from(units) + 1) * 8,
        };
        if at + len > end {
            return;
        }
        match kind {
            IPPROTO_FRAGMENT => {
                let offset = be16(frame, at + 2).unwrap_or(0) & 0xFFF8;
                layer.fragment = if offset == 0 { Fragment::First } else { Fragment::Later };
            }
            IPPROTO_AH => layer.ah = at as u16,
            IPPROTO_DSTOPTS => layer.ipv6exadd = true,
            IPPROTO_ROUTING => {
                layer.ipv6exadd = true;
                layer.rerouted |= u8_at(frame, at + 3) != Some(0);
            }
            _ => {}
        }
        layer.protocol = next;
        layer.l3_len += len as u16;
        layer.l4_offset += len as u16;
    }
}

/// Recognises the transport header, if all of it is inside the IP packet and it is no fragment.
#[inline]
pub(crate) fn transport(frame: &[u8], layer: &mut Layer) {
    if layer.fragment != Fragment::None {
        return;
    }
    let at = usize::from(layer.l4_offset);
    let (l4, len) = match (layer.protocol, layer.l3) {
        (IPPROTO_TCP, _) => match u8_at(frame, at + 12) {
            Some(offset) if offset >= 0x50 => (L4::Tcp, usize::from(offset >> 4) * 4),
            _ => return,
        },
        (IPPROTO_UDP, _) => (L4::Udp, 8),
        (IPPROTO_SCTP, _) => (L4::Sctp, 12),
        // ICMP and ICMPv6 share type, code and checksum; the rest depends on the type.
        (IPPROTO_ICMP, L3::V4) | (IPPROTO_ICMPV6, L3::V6) => (L4::Icmp, 4),
        _ => return,
    };
    if at + len <= (layer.l3_end as usize).min(REACH) {
        layer.l4 = l4;
        layer.l4_len = len as u16;
    }
}
