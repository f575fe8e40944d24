//! The packet types of a receive descriptor: the 154 of the common "OS default" package.
//!
//! Each IP version owns 66 consecutive numbers: 7 without a tunnel, then two blocks of 7 for the
//! inner IP versions under each kind of tunnel, with one number before them for "no inner IP".

use crate::field::Level;
use crate::layer::{Fragment, L3, L4, Layer, Tunnel};
use crate::rss::Group;

/// The number of packet types.
pub const COUNT: u8 = 154;
/// An Ethernet frame of no other type.
pub const MAC_PAY: u8 = 1;
/// IEEE 1588 over Ethernet.
pub const MAC_PTP: u8 = 2;
/// Link layer discovery.
pub const MAC_LLDP: u8 = 6;
/// ARP.
pub const MAC_ARP: u8 = 11;
/// The first of the types with an outer IPv4 header.
pub const IPV4: u8 = 22;
/// The first of the types with an outer IPv6 header.
pub const IPV6: u8 = 88;

const FRAG: u8 = 0;
const PAY: u8 = 1;
const UDP: u8 = 2;
const TCP: u8 = 4;
const SCTP: u8 = 5;
const ICMP: u8 = 6;

/// Offsets, inside the numbers of an outer IP version, of the inner IPv4 block by kind of tunnel.
const IP_IP: u8 = 7;
const GRENAT: u8 = 22;
const GRENAT_MAC: u8 = 37;
const GRENAT_MAC_VLAN: u8 = 52;
/// From the inner IPv4 block to the inner IPv6 block.
const TO_V6: u8 = 7;

fn l2(ethertype: u16) -> u8 {
    match ethertype {
        0x88F7 => MAC_PTP,
        0x88CC => MAC_LLDP,
        0x0806 => MAC_ARP,
        _ => MAC_PAY,
    }
}

fn payload(layer: &Layer) -> u8 {
    match (layer.fragment, layer.l4) {
        (Fragment::First | Fragment::Later, _) => FRAG,
        (_, L4::None) => PAY,
        (_, L4::Udp) => UDP,
        (_, L4::Tcp) => TCP,
        (_, L4::Sctp) => SCTP,
        (_, L4::Icmp) => ICMP,
    }
}

pub(crate) fn of(outer: &Layer, tunnel: Tunnel, inner: &Layer) -> u8 {
    let base = match outer.l3 {
        L3::None => return l2(outer.ethertype),
        L3::V4 => IPV4,
        L3::V6 => IPV6,
    };
    let block = match tunnel {
        Tunnel::None => return base + payload(outer),
        Tunnel::IpIp => IP_IP,
        _ if !inner.has_mac => GRENAT,
        _ if inner.tags.is_empty() => GRENAT_MAC,
        _ => GRENAT_MAC_VLAN,
    };
    match inner.l3 {
        // A tunnel with nothing known inside has the number before its blocks.
        L3::None => base + block - 1,
        L3::V4 => base + block + payload(inner),
        L3::V6 => base + block + TO_V6 + payload(inner),
    }
}

/// The packet types whose headers at a level are of a group.
pub fn of_group(group: Group, level: Level) -> impl Iterator<Item = u8> {
    let (first, payloads): (u8, &'static [u8]) = match group {
        Group::L2 => (0, &[]),
        Group::Ipv4Frag => (IPV4, &[FRAG]),
        Group::Ipv4Other => (IPV4, &[PAY, ICMP]),
        Group::Ipv4Esp => (IPV4, &[PAY]),
        Group::Ipv4Udp => (IPV4, &[UDP]),
        Group::Ipv4Tcp => (IPV4, &[TCP]),
        Group::Ipv4Sctp => (IPV4, &[SCTP]),
        Group::Ipv6Frag => (IPV6, &[FRAG]),
        Group::Ipv6Other => (IPV6, &[PAY, ICMP]),
        Group::Ipv6Esp => (IPV6, &[PAY]),
        Group::Ipv6Udp => (IPV6, &[UDP]),
        Group::Ipv6Tcp => (IPV6, &[TCP]),
        Group::Ipv6Sctp => (IPV6, &[SCTP]),
    };
    let l2: &'static [u8] =
        if group == Group::L2 { &[MAC_PAY, MAC_PTP, MAC_LLDP, MAC_ARP] } else { &[] };
    let inner_block = if first == IPV6 { TO_V6 } else { 0 };
    let alone = payloads.iter().map(move |payload| first + payload);
    let tunnelled = payloads.iter().flat_map(move |payload| {
        let blocks = [IP_IP, GRENAT, GRENAT_MAC, GRENAT_MAC_VLAN];
        let outer = [IPV4, IPV6];
        outer.into_iter().flat_map(move |outer| {
            blocks.into_iter().map(move |block| outer + block + inner_block + payload)
        })
    });
    let alone = l2.iter().copied().chain(alone);
    let (outside, inside) = (level != Level::Inner, level != Level::Outer);
    alone.filter(move |_| outside).chain(tunnelled.filter(move |_| inside))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_has_the_packet_types_of_its_level() {
        let of = |group, level| of_group(group, level).collect::<Vec<_>>();
        assert_eq!(of(Group::Ipv4Udp, Level::Outer), [24]);
        assert_eq!(of(Group::Ipv6Tcp, Level::Outer), [92]);
        assert_eq!(of(Group::Ipv4Tcp, Level::Inner), [33, 48, 63, 78, 99, 114, 129, 144]);
        assert_eq!(of(Group::Ipv6Udp, Level::Innermost).len(), 9);
        assert_eq!(of(Group::L2, Level::Inner), []);
    }

    #[test]
    fn no_packet_type_of_a_group_is_past_the_last() {
        let all = Group::ALL.into_iter().flat_map(|group| of_group(group, Level::Innermost));
        assert!(all.into_iter().all(|ptype| ptype < COUNT));
    }
}
