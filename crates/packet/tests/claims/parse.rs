//! Which headers are found, and where.

use crate::common::*;
use siov_packet::{Fragment, L3, L4, Tag, Tunnel, TunnelPorts, parse, parse_with};

#[test]
fn tags_are_listed_from_the_outermost() {
    let parsed = parse(&frame(&[(0x88A8, 0x6064), (0x8100, 0x0C8)], IP4, UDP, b""));
    let tags = [Tag { tpid: 0x88A8, tci: 0x6064 }, Tag { tpid: 0x8100, tci: 0x0C8 }];
    assert_eq!(parsed.tags(), tags);
    assert_eq!((parsed.outer.ethertype, parsed.outer.l3_offset, parsed.ptype), (0x0800, 22, 24));
    assert_eq!((tags[0].vid(), tags[0].pcp()), (0x64, 3));
}

#[test]
fn a_third_tag_is_the_type_of_the_payload() {
    let tags = [(0x88A8, 1), (0x8100, 2), (0x8100, 3)];
    let parsed = parse(&frame(&tags, IP4, UDP, b""));
    assert_eq!((parsed.tags().len(), parsed.outer.ethertype, parsed.ptype), (2, 0x8100, 1));
}

#[test]
fn a_tag_that_leaves_the_frame_is_none() {
    let whole = eth(&[(0x9100, 1)], 0x0800, &[]);
    assert_eq!(parse(&whole).tags().len(), 1);
    for len in 14..18 {
        let parsed = parse(&whole[..len]);
        assert_eq!((parsed.tags().len(), parsed.outer.ethertype), (0, 0x9100));
    }
}

#[test]
fn ipv4_options_belong_to_the_header() {
    let packet = IP4.v4(UDP, 0, &[1; 40], &l4(IP4, UDP, (1, 2), b"abc"));
    let layer = parse(&eth(&[], 0x0800, &packet)).outer;
    assert_eq!((layer.l3_len, layer.l4_offset, layer.l4_len, layer.l4), (60, 74, 8, L4::Udp));
}

#[test]
fn padding_is_no_part_of_the_packet() {
    let mut bytes = frame(&[], IP4, UDP, b"x");
    let end = bytes.len() as u32;
    bytes.resize(60, 0);
    let layer = parse(&bytes).outer;
    assert_eq!((layer.l3_end, layer.length_lies), (end, false));
}

#[test]
fn a_wrong_version_or_short_header_length_is_no_ip() {
    for first in [0x55, 0x65, 0x44, 0x40] {
        let mut bytes = frame(&[], IP4, UDP, b"");
        bytes[14] = first;
        assert_eq!((parse(&bytes).outer.l3, parse(&bytes).ptype), (L3::None, 1));
    }
    let mut bytes = frame(&[], IP6, UDP, b"");
    bytes[14] = 0x45;
    assert_eq!((parse(&bytes).outer.l3, parse(&bytes).ptype), (L3::None, 1));
}

#[test]
fn a_header_that_leaves_the_frame_gives_the_type_of_the_layer_below() {
    for (ip, header, base) in [(IP4, 20, 22), (IP6, 40, 88)] {
        for (protocol, number) in [(UDP, 2), (TCP, 4), (SCTP, 5)] {
            let whole = frame(&[], ip, protocol, b"");
            let l4_end = 14 + header + l4_len(protocol);
            for len in 14..=whole.len() {
                let expected = match len {
                    _ if len < 14 + header => 1,
                    _ if len < l4_end => base + 1,
                    _ => base + number,
                };
                assert_eq!(parse(&whole[..len]).ptype, expected, "{protocol} {len}");
            }
        }
    }
}

#[test]
fn a_tunnel_that_leaves_the_frame_ends_at_the_last_whole_layer() {
    let whole = tunnelled(IP4, Way::Vxlan, &[], IP4, TCP, b"");
    let types: Vec<u8> = (0..=whole.len()).map(|len| parse(&whole[..len]).ptype).collect();
    let mut steps = types.clone();
    steps.dedup();
    // Ethernet, IPv4 with a payload, UDP, Ethernet in a tunnel, inner IPv4, inner TCP.
    assert_eq!(steps, [1, 23, 24, 58, 60, 63]);
    assert_eq!(types[14 + 20 + 8 + 8 + 13], 24);
    assert_eq!(types[14 + 20 + 8 + 8 + 14], 58);
}

#[test]
fn a_total_length_outside_header_and_frame_is_a_lie() {
    for (total, lies, l4) in [(19_u16, true, L4::None), (20, false, L4::None), (29, true, L4::Udp)]
    {
        let mut bytes = frame(&[], IP4, UDP, b"");
        bytes[16..18].copy_from_slice(&total.to_be_bytes());
        let layer = parse(&bytes).outer;
        assert_eq!((layer.length_lies, layer.l4), (lies, l4), "{total}");
    }
}

#[test]
fn a_tcp_header_is_as_long_as_its_data_offset_tells() {
    for (offset, l4, len) in
        [(0x50, L4::Tcp, 20), (0x80, L4::Tcp, 32), (0x40, L4::None, 0), (0x90, L4::None, 0)]
    {
        let mut bytes = frame(&[], IP4, TCP, b"");
        bytes[14 + 20 + 12] = offset;
        let layer = parse(&bytes).outer;
        assert_eq!((layer.l4, layer.l4_len), (l4, len));
    }
}

/// Extension headers of 8, 16, 24 and, for AH, 24 bytes.
const HOP: [u8; 8] = [0, 0, 1, 4, 0, 0, 0, 0];

fn chain(headers: &[(u8, Vec<u8>)], last: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (index, (_, header)) in headers.iter().enumerate() {
        let next = headers.get(index + 1).map_or(last, |(kind, _)| *kind);
        bytes.push(next);
        bytes.extend(&header[1..]);
    }
    bytes.extend(payload);
    let first = headers.first().map_or(last, |(kind, _)| *kind);
    eth(&[], 0x86DD, &IP6.packet(first, &bytes))
}

fn units(len: usize) -> Vec<u8> {
    let mut header = vec![0; len];
    header[1] = (len / 8 - 1) as u8;
    header
}

#[test]
fn extension_headers_belong_to_the_ipv6_header() {
    let mut ah = vec![0; 24];
    ah[1] = 4;
    let headers = [(0, units(8)), (60, units(16)), (43, units(24)), (51, ah)];
    let layer = parse(&chain(&headers, UDP, &l4(IP6, UDP, (1, 2), b""))).outer;
    assert_eq!((layer.l3_len, layer.l4, layer.protocol), (40 + 8 + 16 + 24 + 24, L4::Udp, UDP));
    assert_eq!((layer.ah, layer.ipv6exadd), (14 + 40 + 8 + 16 + 24, true));
}

#[test]
fn only_destination_options_and_routing_headers_count_as_ipv6exadd() {
    for (kind, expected) in [(0, false), (60, true), (43, true), (51, false)] {
        let bytes = chain(&[(kind, HOP.to_vec())], UDP, &l4(IP6, UDP, (1, 2), &[0; 8]));
        assert_eq!(parse(&bytes).outer.ipv6exadd, expected, "{kind}");
    }
}

#[test]
fn eight_extension_headers_are_followed_and_a_ninth_is_not() {
    let udp = l4(IP6, UDP, (1, 2), b"");
    let many = |count| vec![(60, units(8)); count];
    assert_eq!(parse(&chain(&many(8), UDP, &udp)).ptype, 90);
    assert_eq!(parse(&chain(&many(9), UDP, &udp)).ptype, 89);
}

#[test]
fn an_extension_header_that_leaves_the_packet_is_an_unknown_payload() {
    let mut long = units(8);
    long[1] = 9;
    let parsed = parse(&chain(&[(0, long)], UDP, &l4(IP6, UDP, (1, 2), b"")));
    assert_eq!((parsed.ptype, parsed.outer.l3_len, parsed.outer.protocol), (89, 40, 0));
}

#[test]
fn an_atomic_fragment_is_a_fragment() {
    let bytes = chain(&[(44, vec![0; 8])], UDP, &l4(IP6, UDP, (1, 2), b""));
    let parsed = parse(&bytes);
    assert_eq!((parsed.ptype, parsed.outer.fragment), (88, Fragment::First));
}

#[test]
fn nothing_follows_the_fragment_header_of_a_later_fragment() {
    let mut header = vec![0; 8];
    header[3] = 8;
    let layer = parse(&chain(&[(44, header)], 60, &[0; 16])).outer;
    assert_eq!((layer.fragment, layer.protocol, layer.l3_len), (Fragment::Later, 60, 48));
    assert!(!layer.ipv6exadd);
}

#[test]
fn gre_with_any_of_checksum_key_and_sequence_number_is_followed() {
    for flags in [0, 0x8000, 0x2000, 0x1000, 0xA000, 0xB000_u16] {
        let parsed = parse(&tunnelled(IP4, Way::Gre { flags }, &[], IP6, TCP, b""));
        assert_eq!((parsed.tunnel, parsed.ptype), (Tunnel::Gre, 55), "{flags:04x}");
    }
}

#[test]
fn gre_with_routing_or_of_another_version_is_an_unknown_payload() {
    for flags in [0x4000, 0x0001, 0x2001_u16] {
        let parsed = parse(&tunnelled(IP4, Way::Gre { flags }, &[], IP4, TCP, b""));
        assert_eq!((parsed.tunnel, parsed.ptype), (Tunnel::None, 23), "{flags:04x}");
    }
}

#[test]
fn geneve_options_are_skipped_and_ip_may_follow_at_once() {
    for (way, number) in [(Way::Geneve { options: 63 }, 63), (Way::GeneveIp, 48)] {
        let parsed = parse(&tunnelled(IP4, way, &[], IP4, TCP, b""));
        assert_eq!((parsed.tunnel, parsed.ptype), (Tunnel::Geneve, number));
    }
}

#[test]
fn the_ports_of_tunnels_are_configurable_and_0_means_none() {
    let bytes = tunnelled(IP4, Way::Vxlan, &[], IP4, TCP, b"");
    assert_eq!(parse_with(&bytes, TunnelPorts { vxlan: 0, geneve: 6081 }).ptype, 24);
    let mut moved = bytes;
    moved[14 + 20 + 2..14 + 20 + 4].copy_from_slice(&8472_u16.to_be_bytes());
    assert_eq!(parse(&moved).ptype, 24);
    assert_eq!(parse_with(&moved, TunnelPorts { vxlan: 8472, geneve: 0 }).ptype, 63);
    moved[14 + 20 + 2..14 + 20 + 4].fill(0);
    assert_eq!(parse_with(&moved, TunnelPorts { vxlan: 0, geneve: 0 }).ptype, 24);
}

#[test]
fn a_tunnel_in_a_tunnel_is_an_unknown_payload() {
    let inner = IP4.packet(47, &[0, 0, 8, 0, 0, 0, 0, 0]);
    let bytes = eth(&[], 0x0800, &IP4.packet(4, &inner));
    assert_eq!(parse(&bytes).ptype, 30);
}

#[test]
fn a_fragmented_tunnel_is_a_fragment() {
    let (_, bytes) = Way::Vxlan.wrap(IP4, IP4, &frame(&[], IP4, TCP, b""));
    let parsed = parse(&eth(&[], 0x0800, &IP4.v4(UDP, 0x2000, &[], &bytes)));
    assert_eq!((parsed.tunnel, parsed.ptype), (Tunnel::None, 22));
}

#[test]
fn the_inner_headers_end_where_the_outer_packet_ends() {
    let mut bytes = tunnelled(IP4, Way::IpIp, &[], IP4, UDP, b"12345678");
    bytes[16..18].copy_from_slice(&(20 + 20 + 8_u16).to_be_bytes());
    let inner = parse(&bytes).inner;
    assert_eq!((inner.l3_end, inner.length_lies), (14 + 48, true));
}

#[test]
fn a_packet_shorter_than_its_header_ends_with_the_header() {
    let mut bytes = frame(&[], IP4, UDP, b"data");
    bytes[16..18].copy_from_slice(&[0, 3]);
    assert_eq!(parse(&bytes).outer.l3_end, 34);
}

#[test]
fn a_fragment_of_ip_in_ip_or_gre_is_a_fragment() {
    let inner = IP4.packet(UDP, &l4(IP4, UDP, (1, 2), b""));
    for (protocol, bytes) in [(4, inner.clone()), (47, cat(&[&[0, 0, 8, 0], &inner]))] {
        let parsed = parse(&eth(&[], 0x0800, &IP4.v4(protocol, 0x2000, &[], &bytes)));
        assert_eq!((parsed.tunnel, parsed.ptype), (Tunnel::None, 22));
    }
}

#[test]
fn ip_in_ip_without_a_whole_inner_header_is_an_unknown_payload() {
    for (protocol, len) in [(4, 19), (41, 39)] {
        let parsed = parse(&eth(&[], 0x0800, &IP4.packet(protocol, &vec![0x45; len])));
        assert_eq!((parsed.tunnel, parsed.ptype), (Tunnel::None, 23));
    }
}

#[test]
fn geneve_of_another_version_is_udp() {
    let mut bytes = tunnelled(IP4, Way::GeneveIp, &[], IP4, TCP, b"");
    assert_eq!(parse(&bytes).ptype, 48);
    bytes[14 + 20 + 8] = 0x40;
    assert_eq!(parse(&bytes).ptype, 24);
}

#[test]
fn headers_far_into_a_large_frame_are_payload() {
    let mut bytes = frame(&[], IP6, UDP, &[0; 300_000 - 62]);
    bytes[18..20].fill(0xFF);
    bytes[20] = 60;
    for at in (54..300_000 - 2040).step_by(2048) {
        bytes[at] = 60;
        bytes[at + 1] = 255;
    }
    assert_eq!(parse(&bytes).ptype, 89);
}
