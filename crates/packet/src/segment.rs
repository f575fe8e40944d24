//! Segmentation of TCP (TSO) and UDP (USO).

use crate::bytes::{be16, chunk, put, u8_at};
use crate::offload::{
    Eipt, Iipt, L4t, L4tunt, Layout, MSS_MAX, MSS_MIN, Offload, TCP_CHECKSUM, Tso, UDP_CHECKSUM,
    Violation, insert_tags, ipv4_checksum, l4_checksum,
};

/// The memory that [`segment()`] builds its frames in; kept between packets.
#[derive(Debug, Default)]
pub struct Scratch {
    frame: Vec<u8>,
}

/// Cuts `frame` (headers and all payload) into segments, each handed to `emit`, finished: tags
/// inserted, lengths and checksums right. Returns how many.
///
/// The L4 checksum field holds the sum of the pseudo header without the length beforehand.
///
/// # Errors
/// The first rule that the descriptors break; nothing was emitted then.
pub fn segment(
    frame: &[u8],
    ask: &Offload,
    scratch: &mut Scratch,
    mut emit: impl FnMut(&[u8]),
) -> Result<u32, Violation> {
    let (layout, tso) = check(frame, ask)?;
    let (header, payload) = frame.split_at_checked(layout.payload).unwrap_or_default();
    let out = &mut scratch.frame;
    out.clear();
    out.extend_from_slice(header);
    insert_tags(out, ask);
    let template = Template { header, ask, layout, shift: out.len() - header.len() };
    let header_len = out.len();
    let mut part = Part { index: 0, sent: 0, last: false };
    for piece in payload.chunks(usize::from(tso.mss)) {
        out.truncate(header_len);
        out.extend_from_slice(piece);
        part.last = part.sent as usize + piece.len() == payload.len();
        template.finish(out, part);
        emit(out);
        part.index += 1;
        part.sent += piece.len() as u32;
    }
    Ok(part.index)
}

fn check(frame: &[u8], ask: &Offload) -> Result<(Layout, Tso), Violation> {
    let tso = ask.tso.unwrap_or_default();
    if !(MSS_MIN..=MSS_MAX).contains(&tso.mss) {
        return Err(Violation::Mss { mss: tso.mss });
    }
    if !matches!(ask.l4t, L4t::Tcp | L4t::Udp) || ask.iipt == Iipt::None {
        return Err(Violation::TsoProtocol);
    }
    let layout = Layout::new(frame, ask)?;
    let found = (frame.len() - layout.payload) as u32;
    if found != tso.len || found == 0 {
        return Err(Violation::TsoLen { found, told: tso.len });
    }
    Ok((layout, tso))
}

/// Which piece of the payload a segment carries.
#[derive(Clone, Copy)]
struct Part {
    index: u32,
    sent: u32,
    last: bool,
}

/// What every segment is made from; `shift` bytes of tags stand before the network header now.
struct Template<'a> {
    header: &'a [u8],
    ask: &'a Offload,
    layout: Layout,
    shift: usize,
}

const FIN: u8 = 0x01;
const PSH: u8 = 0x08;
const CWR: u8 = 0x80;

impl Template<'_> {
    /// Fills in what differs between segments, from the inside out: outer checksums cover the rest.
    fn finish(&self, out: &mut [u8], part: Part) {
        let layout = &self.layout;
        let version = if self.ask.iipt == Iipt::Ipv6 { Eipt::Ipv6 } else { Eipt::Ipv4 };
        self.network(out, layout.l3, version, part.index);
        if self.ask.iipt == Iipt::Ipv4Csum {
            ipv4_checksum(out, layout.l3 + self.shift, layout.l4 + self.shift);
        }
        if self.ask.l4t == L4t::Tcp {
            self.tcp(out, part);
            self.checksum(out, layout.l4, TCP_CHECKSUM);
        } else {
            self.udp_length(out, layout.l4);
            self.checksum(out, layout.l4, UDP_CHECKSUM);
        }
        let Some(outer) = self.ask.tunnel.filter(|outer| outer.eipt != Eipt::None) else {
            return;
        };
        let increment = if outer.eip_noinc { 0 } else { part.index };
        self.network(out, layout.outer_l3, outer.eipt, increment);
        if outer.eipt == Eipt::Ipv4Csum {
            ipv4_checksum(out, layout.outer_l3 + self.shift, layout.outer_l4 + self.shift);
        }
        if outer.l4tunt == L4tunt::Udp {
            self.udp_length(out, layout.outer_l4);
            if outer.l4t_cs {
                self.checksum(out, layout.outer_l4, UDP_CHECKSUM);
            }
        }
    }

    /// The length of an IP header at `at` of the template, and IPv4's identification.
    fn network(&self, out: &mut [u8], at: usize, version: Eipt, increment: u32) {
        let place = at + self.shift;
        let total = out.len().saturating_sub(place);
        if version == Eipt::Ipv6 {
            put(out, place + 4, (total.saturating_sub(40) as u16).to_be_bytes());
            return;
        }
        let id = be16(self.header, at + 4).unwrap_or(0).wrapping_add(increment as u16);
        put(out, place + 2, (total as u16).to_be_bytes());
        put(out, place + 4, id.to_be_bytes());
    }

    fn tcp(&self, out: &mut [u8], part: Part) {
        let at = self.layout.l4;
        let place = at + self.shift;
        let sequence = chunk(self.header, at + 4).map_or(0, |bytes| u32::from_be_bytes(*bytes));
        let mut flags = u8_at(self.header, at + 13).unwrap_or(0);
        if !part.last {
            flags &= !(FIN | PSH);
        }
        if part.index != 0 {
            flags &= !CWR;
        }
        put(out, place + 4, sequence.wrapping_add(part.sent).to_be_bytes());
        put(out, place + 13, [flags]);
    }

    fn udp_length(&self, out: &mut [u8], at: usize) {
        let length = out.len().saturating_sub(at + self.shift) as u16;
        put(out, at + self.shift + 4, length.to_be_bytes());
    }

    /// The checksum of a header at `at` of the template and all behind it; the template's field
    /// holds the pseudo header without the length.
    fn checksum(&self, out: &mut [u8], at: usize, field: usize) {
        let place = at + self.shift;
        let seed = chunk::<2>(self.header, at + field).copied().unwrap_or_default();
        put(out, place + field, seed);
        let end = out.len();
        l4_checksum(out, place, end, field, end.saturating_sub(place) as u32);
    }
}
