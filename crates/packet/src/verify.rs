//! The checksums of a received frame.

use crate::bytes::{be16, chunk};
use crate::crc;
use crate::ip::{IPPROTO_TCP, IPPROTO_UDP};
use crate::layer::{L3, L4, Layer, Tunnel};
use crate::parse::Parsed;
use crate::sum::{Sum, pseudo};

/// The checks of a receive descriptor's status and error bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checks {
    /// L3 and L4 integrity was looked at (`L3L4P`): the frame is IP.
    pub l3l4p: bool,
    /// The (inner) IPv4 header checksum is wrong or its lengths lie.
    pub ipe: bool,
    /// The (inner) TCP, UDP or SCTP checksum is wrong, or the data that it covers is not all there.
    pub l4e: bool,
    /// The outer IPv4 header checksum of a tunnel is wrong or its lengths lie.
    pub eipe: bool,
    /// The outer UDP checksum of a tunnel is wrong.
    pub eudpe: bool,
    /// An IPv6 header with destination options or a routing header.
    pub ipv6exadd: bool,
    /// The (inner) UDP header has no checksum (`INT_UDP_0`).
    pub int_udp0: bool,
    /// The outer UDP header of a tunnel has no checksum (`EXT_UDP_0`).
    pub ext_udp0: bool,
}

/// Checks every checksum that the parsed headers have.
#[must_use]
#[inline]
pub fn verify(frame: &[u8], parsed: &Parsed) -> Checks {
    let outer = &parsed.outer;
    if outer.l3 == L3::None {
        return Checks::default();
    }
    let layer = parsed.innermost();
    let (l4, udp0) = l4(frame, layer);
    // IPv6 has no checksum of its own, so its UDP needs one (RFC 8200 8.1).
    let missing = udp0 && layer.l3 == L3::V6;
    let mut checks = Checks {
        l3l4p: true,
        ipe: !ip(frame, layer),
        l4e: !l4 || missing,
        ipv6exadd: layer.ipv6exadd,
        int_udp0: udp0,
        ..Checks::default()
    };
    if parsed.tunnel != Tunnel::None {
        // A tunnel may leave the outer checksum out, also over IPv6 (RFC 6935).
        let (l4, udp0) = self::l4(frame, outer);
        checks.eipe = !ip(frame, outer);
        checks.eudpe = !l4;
        checks.ext_udp0 = udp0;
        checks.ipv6exadd |= outer.ipv6exadd;
    }
    checks
}

/// Whether an IPv4 header is right; everything else has nothing to be wrong.
#[inline]
fn ip(frame: &[u8], layer: &Layer) -> bool {
    if layer.l3 != L3::V4 {
        return true;
    }
    let at = usize::from(layer.l3_offset);
    let header = frame.get(at..at + usize::from(layer.l3_len)).unwrap_or_default();
    !layer.length_lies && Sum::default().add(header).fold() == 0xFFFF
}

/// Whether the transport checksum is right, and whether it is a UDP checksum that was left out.
#[inline]
fn l4(frame: &[u8], layer: &Layer) -> (bool, bool) {
    let at = usize::from(layer.l4_offset);
    if matches!(layer.l4, L4::None | L4::Icmp) {
        return (true, false);
    }
    let Some(packet) = frame.get(at..layer.l3_end as usize) else {
        return (false, false);
    };
    match layer.l4 {
        L4::Udp => udp(frame, layer, packet),
        L4::Tcp => (!layer.length_lies && sums_up(frame, layer, IPPROTO_TCP, packet), false),
        _ => {
            let told = chunk::<4>(packet, 8).copied();
            (!layer.length_lies && crc::sctp(packet) == told, false)
        }
    }
}

/// UDP covers as much as its own length tells, which may be less than the IP packet.
#[inline]
fn udp(frame: &[u8], layer: &Layer, packet: &[u8]) -> (bool, bool) {
    let length = usize::from(be16(packet, 4).unwrap_or(0));
    let Some(datagram) = packet.get(..length).filter(|_| length >= 8) else {
        return (false, be16(packet, 6) == Some(0));
    };
    if be16(packet, 6) == Some(0) {
        return (true, true);
    }
    (sums_up(frame, layer, IPPROTO_UDP, datagram), false)
}

/// Whether pseudo header and `bytes`, which hold the checksum, sum up to all ones.
#[inline]
fn sums_up(frame: &[u8], layer: &Layer, protocol: u8, bytes: &[u8]) -> bool {
    let sum = pseudo(frame, layer, protocol, bytes.len() as u32);
    layer.rerouted || sum.is_some_and(|sum| sum.add(bytes).fold() == 0xFFFF)
}
