//! Receive side scaling: the hash of a frame's flow.

mod config;
mod toeplitz;

pub use config::{Config, FieldSet, Function, Group, Input};
pub use toeplitz::{KEY_LEN, Toeplitz};

use crate::field::{Field, extract_from};
use crate::layer::{L3, L4, Layer, Tunnel};
use crate::parse::Parsed;

/// The most bytes that a hash covers: a window of 32 key bits stands before each of their bits.
const INPUT_LEN: usize = 48;

const V4: FieldSet = FieldSet::of(&[Field::Ipv4Src, Field::Ipv4Dst]);
const V6: FieldSet = FieldSet::of(&[Field::Ipv6Src, Field::Ipv6Dst]);

/// The hash of a frame; `None` when its group has no fields or the frame lacks one of them.
#[must_use]
#[inline]
pub fn hash(frame: &[u8], parsed: &Parsed, config: &Config, key: &Toeplitz) -> Option<u32> {
    let (layer, input) = select(parsed, config)?;
    let symmetric = input.symmetric || config.function == Function::ToeplitzSymmetric;
    let mut bytes = Bytes { bytes: [0; INPUT_LEN], len: 0 };
    if config.function == Function::XorSymmetric {
        return xor(frame, layer, input.fields);
    }
    if addresses_and_ports(frame, layer, input.fields, symmetric, &mut bytes).is_none() {
        bytes.len = 0;
        any_fields(frame, layer, input.fields, symmetric, &mut bytes)?;
    }
    Some(key.hash(bytes.bytes.get(..bytes.len)?))
}

/// The headers of a tunnelled frame that count are the inner ones, if their group has fields.
#[inline]
fn select<'a>(parsed: &'a Parsed, config: &Config) -> Option<(&'a Layer, Input)> {
    if parsed.tunnel != Tunnel::None {
        let input = config.inner(Group::of(&parsed.inner));
        if !input.fields.is_empty() {
            return Some((&parsed.inner, input));
        }
    }
    let input = config.outer(Group::of(&parsed.outer));
    (!input.fields.is_empty()).then_some((&parsed.outer, input))
}

/// What is hashed, in the order of the fields.
struct Bytes {
    bytes: [u8; INPUT_LEN],
    len: usize,
}

impl Bytes {
    /// Appends what still has room.
    #[inline]
    fn push(&mut self, bytes: &[u8]) -> Option<()> {
        let room = self.bytes.get_mut(self.len..)?;
        let len = bytes.len().min(room.len());
        room.get_mut(..len)?.copy_from_slice(bytes.get(..len)?);
        self.len += len;
        Some(())
    }

    /// Makes the last two fields of `len` bytes each the same in both directions.
    #[inline]
    fn mirror(&mut self, len: usize) -> Option<()> {
        let pair = self.bytes.get_mut(..self.len)?.rchunks_exact_mut(2 * len).next()?;
        let (one, other) = pair.split_at_mut(len);
        for (one, other) in one.iter_mut().zip(other) {
            *one ^= *other;
            *other = *one;
        }
        Some(())
    }
}

/// The usual sets: both addresses, and both ports or none, lie next to each other.
#[inline]
fn addresses_and_ports(
    frame: &[u8],
    layer: &Layer,
    fields: FieldSet,
    symmetric: bool,
    out: &mut Bytes,
) -> Option<()> {
    let l3 = usize::from(layer.l3_offset);
    let (addresses, at, len) = match layer.l3 {
        L3::V4 => (V4, l3 + 12, 4),
        L3::V6 => (V6, l3 + 8, 16),
        L3::None => return None,
    };
    let ports = match layer.l4 {
        _ if fields == addresses => false,
        L4::None | L4::Icmp => return None,
        _ if fields == addresses.union(ports_of(layer.l4)) => true,
        _ => return None,
    };
    match len {
        4 => out.push(frame.get(at..)?.first_chunk::<8>()?)?,
        _ => out.push(frame.get(at..)?.first_chunk::<32>()?)?,
    }
    if symmetric {
        out.mirror(len)?;
    }
    if ports {
        out.push(frame.get(usize::from(layer.l4_offset)..)?.first_chunk::<4>()?)?;
        if symmetric {
            out.mirror(2)?;
        }
    }
    Some(())
}

const fn ports_of(l4: L4) -> FieldSet {
    match l4 {
        L4::Tcp => FieldSet::of(&[Field::TcpSrcPort, Field::TcpDstPort]),
        L4::Udp => FieldSet::of(&[Field::UdpSrcPort, Field::UdpDstPort]),
        L4::Sctp => FieldSet::of(&[Field::SctpSrcPort, Field::SctpDstPort]),
        L4::None | L4::Icmp => FieldSet::EMPTY,
    }
}

fn any_fields(
    frame: &[u8],
    layer: &Layer,
    fields: FieldSet,
    symmetric: bool,
    out: &mut Bytes,
) -> Option<()> {
    for field in fields.iter() {
        let value = extract_from(frame, layer, field)?;
        let other = mirror_of(field).filter(|other| symmetric && fields.contains(*other));
        let other = other.and_then(|other| extract_from(frame, layer, other));
        let mut masked = [0; 16];
        for (index, (to, (byte, mask))) in
            masked.iter_mut().zip(value.bytes.iter().zip(value.mask)).enumerate()
        {
            let mirrored = other.and_then(|other| other.bytes.get(index)).copied().unwrap_or(0);
            *to = (byte & mask) ^ mirrored;
        }
        out.push(masked.get(..value.bytes.len())?)?;
    }
    Some(())
}

/// The field that changes places with this one in the other direction of a flow.
fn mirror_of(field: Field) -> Option<Field> {
    Some(match field {
        Field::EthSrc => Field::EthDst,
        Field::EthDst => Field::EthSrc,
        Field::Ipv4Src => Field::Ipv4Dst,
        Field::Ipv4Dst => Field::Ipv4Src,
        Field::Ipv6Src => Field::Ipv6Dst,
        Field::Ipv6Dst => Field::Ipv6Src,
        Field::TcpSrcPort => Field::TcpDstPort,
        Field::TcpDstPort => Field::TcpSrcPort,
        Field::UdpSrcPort => Field::UdpDstPort,
        Field::UdpDstPort => Field::UdpSrcPort,
        Field::SctpSrcPort => Field::SctpDstPort,
        Field::SctpDstPort => Field::SctpSrcPort,
        _ => return None,
    })
}

/// Every field, right-aligned in words of 32 bits, in one exclusive or: source and destination
/// weigh the same.
fn xor(frame: &[u8], layer: &Layer, fields: FieldSet) -> Option<u32> {
    let mut hash = 0;
    for field in fields.iter() {
        let value = extract_from(frame, layer, field)?;
        let bytes = value.bytes.iter().zip(value.mask).map(|(byte, mask)| byte & mask);
        for (byte, place) in bytes.rev().zip([0, 8, 16, 24].into_iter().cycle()) {
            hash ^= u32::from(byte) << place;
        }
    }
    Some(hash)
}
