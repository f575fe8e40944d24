//! Facts C2.2: the packet types.

use crate::common::*;
use siov_packet::{Fragment, L3, parse, ptype};

const PROTOCOLS: [(u8, u8); 4] = [(UDP, 2), (TCP, 4), (SCTP, 5), (253, 1)];

fn icmp(ip: Ip) -> u8 {
    if ip == IP4 { 1 } else { 58 }
}

fn base(ip: Ip) -> u8 {
    if ip == IP4 { 22 } else { 88 }
}

#[test]
fn each_transport_of_each_ip_version_has_its_number() {
    for ip in [IP4, IP6] {
        for (protocol, offset) in PROTOCOLS {
            assert_eq!(parse(&frame(&[], ip, protocol, b"data")).ptype, base(ip) + offset);
        }
        let packet = ip.packet(icmp(ip), &[8, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(parse(&eth(&[], ip.ethertype(), &packet)).ptype, base(ip) + 6);
    }
}

#[test]
fn icmp_of_the_other_ip_version_is_an_unknown_payload() {
    let v4 = eth(&[], 0x0800, &IP4.packet(58, &[0; 8]));
    let v6 = eth(&[], 0x86DD, &IP6.packet(1, &[0; 8]));
    assert_eq!((parse(&v4).ptype, parse(&v6).ptype), (23, 89));
}

#[test]
fn frames_that_are_not_ip_have_the_numbers_of_layer_2() {
    for (ethertype, number) in
        [(0x0806, 11), (0x88CC, 6), (0x88F7, 2), (0x88B5, 1), (0x0040, 1), (0x8847, 1)]
    {
        assert_eq!(parse(&eth(&[], ethertype, &[0; 46])).ptype, number);
        assert_eq!(parse(&eth(&[(0x8100, 5)], ethertype, &[0; 46])).ptype, number);
    }
}

#[test]
fn every_fragment_has_the_number_of_fragments() {
    let udp = l4(IP4, UDP, (1, 2), &[0; 64]);
    for (fragment, kind) in
        [(0x2000, Fragment::First), (0x2008, Fragment::Later), (8, Fragment::Later)]
    {
        let parsed = parse(&eth(&[], 0x0800, &IP4.v4(UDP, fragment, &[], &udp)));
        assert_eq!((parsed.ptype, parsed.outer.fragment), (22, kind));
        let header = [
            UDP,
            0,
            (fragment >> 5) as u8,
            (fragment << 3) as u8 | (fragment >> 13) as u8,
            0,
            0,
            0,
            9,
        ];
        let parsed = parse(&eth(&[], 0x86DD, &IP6.packet(44, &cat(&[&header, &udp]))));
        assert_eq!((parsed.ptype, parsed.outer.fragment), (88, kind));
    }
}

#[test]
fn a_frame_too_short_for_an_ethernet_header_is_a_frame_of_no_kind() {
    for len in 0..14 {
        let parsed = parse(&vec![0; len]);
        assert_eq!((parsed.ptype, parsed.outer.has_mac), (ptype::MAC_PAY, false));
    }
}

/// The first number of a block, by outer IP, way, tag and inner IP; from libie's table.
const BLOCKS: [(Ip, Way, bool, Ip, u8); 16] = {
    const GRE: Way = Way::Gre { flags: 0 };
    [
        (IP4, Way::IpIp, false, IP4, 29),
        (IP4, Way::IpIp, false, IP6, 36),
        (IP4, GRE, false, IP4, 44),
        (IP4, GRE, false, IP6, 51),
        (IP4, Way::Vxlan, false, IP4, 59),
        (IP4, Way::Vxlan, false, IP6, 66),
        (IP4, Way::Vxlan, true, IP4, 74),
        (IP4, Way::Vxlan, true, IP6, 81),
        (IP6, Way::IpIp, false, IP4, 95),
        (IP6, Way::IpIp, false, IP6, 102),
        (IP6, GRE, false, IP4, 110),
        (IP6, GRE, false, IP6, 117),
        (IP6, Way::Vxlan, false, IP4, 125),
        (IP6, Way::Vxlan, false, IP6, 132),
        (IP6, Way::Vxlan, true, IP4, 140),
        (IP6, Way::Vxlan, true, IP6, 147),
    ]
};

#[test]
fn each_tunnel_has_its_block_of_numbers() {
    for (outer, way, tag, inner, first) in BLOCKS {
        let tags: &[(u16, u16)] = if tag { &[(0x8100, 7)] } else { &[] };
        for (protocol, offset) in PROTOCOLS {
            let frame = tunnelled(outer, way, tags, inner, protocol, b"payload");
            assert_eq!(parse(&frame).ptype, first + offset, "{outer:?} {way:?} {tags:?} {inner:?}");
        }
    }
}

#[test]
fn an_inner_fragment_has_the_first_number_of_its_block() {
    for (outer, way, tag, inner, first) in BLOCKS {
        let mut inside = match inner {
            IP4 => inner.v4(UDP, 0x2000, &[], &[0; 16]),
            _ => inner.packet(44, &[UDP, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0]),
        };
        if way.carries_mac() {
            let tags: &[(u16, u16)] = if tag { &[(0x88A8, 7)] } else { &[] };
            inside = eth(tags, inner.ethertype(), &inside);
        }
        let (number, bytes) = way.wrap(outer, inner, &inside);
        let frame = eth(&[], outer.ethertype(), &outer.packet(number, &bytes));
        assert_eq!(parse(&frame).ptype, first);
    }
}

#[test]
fn a_tunnel_with_nothing_known_inside_has_the_number_before_its_blocks() {
    for outer in [IP4, IP6] {
        let arp = eth(&[], 0x0806, &[0; 28]);
        let tagged = eth(&[(0x8100, 1)], 0x0806, &[0; 28]);
        let unknown_gre = cat(&[&[0, 0, 0x88, 0xB5], &[0; 20]]);
        for (number, bytes, first) in [
            (47, unknown_gre, 43),
            (Way::Vxlan.wrap(outer, IP4, &arp).0, Way::Vxlan.wrap(outer, IP4, &arp).1, 58),
            (UDP, Way::Vxlan.wrap(outer, IP4, &tagged).1, 73),
        ] {
            let parsed = parse(&eth(&[], outer.ethertype(), &outer.packet(number, &bytes)));
            assert_eq!(parsed.ptype, first - 22 + base(outer));
            assert_eq!(parsed.inner.l3, L3::None);
        }
    }
}
