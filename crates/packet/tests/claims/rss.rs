//! Facts B8: hashes and what they cover.

use crate::common::*;
use siov_packet::field::{Field, Level};
use siov_packet::parse;
use siov_packet::rss::{Config, FieldSet, Function, Group, KEY_LEN, Toeplitz, hash};

/// The key of the published verification suite, with zeros where it has no bytes.
fn published() -> Toeplitz {
    const KEY: [u8; 40] = [
        0x6D, 0x5A, 0x56, 0xDA, 0x25, 0x5B, 0x0E, 0xC2, 0x41, 0x67, 0x25, 0x3D, 0x43, 0xA3, 0x8F,
        0xB0, 0xD0, 0xCA, 0x2B, 0xCB, 0xAE, 0x7B, 0x30, 0xB4, 0x77, 0xCB, 0x2D, 0xA3, 0x80, 0x30,
        0xF2, 0x0C, 0x6A, 0x42, 0xB7, 0x3B, 0xBE, 0xAC, 0x01, 0xFA,
    ];
    let mut key = [0; KEY_LEN];
    key[..40].copy_from_slice(&KEY);
    Toeplitz::new(&key)
}

/// Toeplitz bit by bit, as its definition has it.
fn plain(key: &[u8; KEY_LEN], input: &[u8]) -> u32 {
    let bit = |bytes: &[u8], n: usize| bytes[n / 8] >> (7 - n % 8) & 1;
    let mut hash = 0;
    for n in (0..input.len() * 8).filter(|n| bit(input, *n) == 1) {
        hash ^= (0..32).fold(0, |window, k| window << 1 | u32::from(bit(key, n + k)));
    }
    hash
}

fn v6(groups: [u16; 8]) -> [u8; 16] {
    let mut bytes = [0; 16];
    for (index, group) in groups.iter().enumerate() {
        bytes[2 * index..2 * index + 2].copy_from_slice(&group.to_be_bytes());
    }
    bytes
}

/// Source, destination, ports (source first), hash of the addresses, hash with TCP ports.
fn vectors() -> Vec<(Ip, (u16, u16), u32, u32)> {
    let four = |src, dst| Ip::V4(src, dst);
    let six = |src, dst| Ip::V6(v6(src), v6(dst));
    vec![
        (four([66, 9, 149, 187], [161, 142, 100, 80]), (2794, 1766), 0x323E_8FC2, 0x51CC_C178),
        (four([199, 92, 111, 2], [65, 69, 140, 83]), (14230, 4739), 0xD718_262A, 0xC626_B0EA),
        (four([24, 19, 198, 95], [12, 22, 207, 184]), (12898, 38024), 0xD2D0_A5DE, 0x5C2B_394A),
        (four([38, 27, 205, 30], [209, 142, 163, 6]), (48228, 2217), 0x8298_9176, 0xAFC7_327F),
        (four([153, 39, 163, 191], [202, 188, 127, 2]), (44251, 1303), 0x5D18_09C5, 0x10E8_28A2),
        (
            six(
                [0x3FFE, 0x2501, 0x200, 0x1FFF, 0, 0, 0, 7],
                [0x3FFE, 0x2501, 0x200, 3, 0, 0, 0, 1],
            ),
            (2794, 1766),
            0x2CC1_8CD5,
            0x4020_7D3D,
        ),
        (
            six(
                [0x3FFE, 0x501, 8, 0, 0x260, 0x97FF, 0xFE40, 0xEFAB],
                [0xFF02, 0, 0, 0, 0, 0, 0, 1],
            ),
            (14230, 4739),
            0x0F0C_461C,
            0xDDE5_1BBF,
        ),
        (
            six(
                [0x3FFE, 0x1900, 0x4545, 3, 0x200, 0xF8FF, 0xFE21, 0x67CF],
                [0xFE80, 0, 0, 0, 0x200, 0xF8FF, 0xFE21, 0x67CF],
            ),
            (44251, 38024),
            0x4B61_E985,
            0x02D1_FEEF,
        ),
    ]
}

fn tcp(ip: Ip, ports: (u16, u16)) -> Vec<u8> {
    eth(&[], ip.ethertype(), &ip.packet(TCP, &l4(ip, TCP, ports, b"")))
}

fn hash_of(bytes: &[u8], config: &Config) -> Option<u32> {
    hash(bytes, &parse(bytes), config, &published())
}

#[test]
fn the_published_vectors_come_out() {
    let config = Config::default();
    for (ip, ports, addresses, with_ports) in vectors() {
        assert_eq!(hash_of(&tcp(ip, ports), &config), Some(with_ports));
        let other = eth(&[], ip.ethertype(), &ip.packet(253, &[0; 8]));
        assert_eq!(hash_of(&other, &config), Some(addresses));
    }
}

#[test]
fn the_table_gives_what_the_definition_gives_for_every_length() {
    let key: [u8; KEY_LEN] = std::array::from_fn(|n| (n * 89 + 31) as u8);
    let toeplitz = Toeplitz::new(&key);
    for len in 0..=48 {
        let input: Vec<u8> = (0..len).map(|n| (n * 151 + len) as u8).collect();
        assert_eq!(toeplitz.hash(&input), plain(&key, &input), "{len}");
    }
}

#[test]
fn tcp_udp_and_sctp_hash_over_addresses_and_ports() {
    let (ip, ports, _, expected) = vectors()[0];
    for protocol in [TCP, UDP, SCTP] {
        let bytes = eth(&[], 0x0800, &ip.packet(protocol, &l4(ip, protocol, ports, b"abc")));
        assert_eq!(hash_of(&bytes, &Config::default()), Some(expected));
    }
}

#[test]
fn fragments_and_icmp_hash_over_addresses_only() {
    let (ip, ports, expected, _) = vectors()[0];
    let udp = l4(ip, UDP, ports, &[0; 16]);
    for bytes in [ip.v4(UDP, 0x2000, &[], &udp), ip.v4(UDP, 0x0002, &[], &udp), ip.packet(1, &udp)]
    {
        assert_eq!(hash_of(&eth(&[], 0x0800, &bytes), &Config::default()), Some(expected));
    }
}

#[test]
fn a_frame_that_is_not_ip_has_no_hash() {
    assert_eq!(hash_of(&eth(&[], 0x0806, &[0; 46]), &Config::default()), None);
}

#[test]
fn the_bits_of_the_hash_enable_bitmap_choose_groups() {
    let bytes = tcp(IP4, (1, 2));
    for (bit, hashed) in [(33, true), (32, true), (31, false), (35, false), (43, false)] {
        let config = Config::from_hena(1 << bit);
        assert_eq!(hash_of(&bytes, &config).is_some(), hashed, "{bit}");
    }
    let groups: [(u8, Group); 10] = [
        (31, Group::Ipv4Udp),
        (33, Group::Ipv4Tcp),
        (34, Group::Ipv4Sctp),
        (35, Group::Ipv4Other),
        (36, Group::Ipv4Frag),
        (41, Group::Ipv6Udp),
        (43, Group::Ipv6Tcp),
        (44, Group::Ipv6Sctp),
        (45, Group::Ipv6Other),
        (46, Group::Ipv6Frag),
    ];
    for (bit, _) in groups {
        let config = Config::from_hena(1 << bit);
        for (other, group) in groups {
            assert_eq!(!config.outer(group).fields.is_empty(), other == bit, "{bit} {group:?}");
        }
    }
}

#[test]
fn symmetric_toeplitz_covers_the_exclusive_or_of_both_directions() {
    let there = Ip::V6(V6_A, V6_B);
    let back = Ip::V6(V6_B, V6_A);
    let mut by_function = Config::default();
    by_function.function = Function::ToeplitzSymmetric;
    let mut by_group = Config::default();
    let fields = by_group.outer(Group::Ipv6Tcp).fields;
    by_group.set(Level::Outer, Group::Ipv6Tcp, fields, true);
    let addresses: Vec<u8> = V6_A.iter().zip(V6_B).map(|(a, b)| a ^ b).collect();
    let input = cat(&[&addresses, &addresses, &[0, 3, 0, 3]]);
    for config in [by_function, by_group] {
        let hash = hash_of(&tcp(there, (1, 2)), &config);
        assert_eq!(hash, Some(plain(published().key(), &input)));
        assert_eq!(hash, hash_of(&tcp(back, (2, 1)), &config));
    }
    assert_ne!(
        hash_of(&tcp(there, (1, 2)), &Config::default()),
        hash_of(&tcp(back, (2, 1)), &Config::default())
    );
}

#[test]
fn symmetric_hashes_of_unusual_sets_are_the_same_in_both_directions() {
    let fields = FieldSet::of(&[Field::TcpSrcPort, Field::TcpDstPort, Field::Ipv4Ttl]);
    let mut config = Config::default();
    config.set(Level::Outer, Group::Ipv4Tcp, fields, true);
    let hash = hash_of(&tcp(IP4, (1, 2)), &config);
    assert_eq!(hash, Some(plain(published().key(), &[63, 0, 3, 0, 3])));
    assert_eq!(hash, hash_of(&tcp(IP4, (2, 1)), &config));
}

#[test]
fn the_xor_hash_is_the_exclusive_or_of_addresses_and_ports() {
    let mut config = Config::default();
    config.function = Function::XorSymmetric;
    let expected = u32::from_be_bytes(V4_A) ^ u32::from_be_bytes(V4_B) ^ 0x1111 ^ 0x0234;
    assert_eq!(hash_of(&tcp(IP4, (0x1111, 0x0234)), &config), Some(expected));
    let back = Ip::V4(V4_B, V4_A);
    assert_eq!(hash_of(&tcp(back, (0x0234, 0x1111)), &config), Some(expected));
}

#[test]
fn fields_are_hashed_in_their_order_with_their_masks() {
    let mut config = Config::empty();
    let fields = [Field::TcpDstPort, Field::CVlanId, Field::EthSrc];
    config.set(Level::Outer, Group::Ipv4Tcp, FieldSet::of(&fields), false);
    let bytes = frame(&[(0x8100, 0xE123)], IP4, TCP, b"");
    let input = cat(&[&MAC_A, &[0x01, 0x23], &[0x56, 0x78]]);
    assert_eq!(hash_of(&bytes, &config), Some(plain(published().key(), &input)));
    assert_eq!(hash_of(&frame(&[], IP4, TCP, b""), &config), None);
}

#[test]
fn a_tunnel_hashes_its_inner_headers_or_else_the_outer_ones() {
    let (ip, ports, _, expected) = vectors()[0];
    let inside = eth(&[], 0x0800, &ip.packet(TCP, &l4(ip, TCP, ports, b"")));
    let (number, bytes) = Way::Vxlan.wrap(IP6, ip, &inside);
    let bytes = eth(&[], 0x86DD, &IP6.packet(number, &bytes));
    let mut config = Config::default();
    assert_eq!(hash_of(&bytes, &config), Some(expected));
    config.set(Level::Inner, Group::Ipv4Tcp, FieldSet::EMPTY, false);
    let outer = cat(&[&V6_A, &V6_B, &0xC000_u16.to_be_bytes(), &4789_u16.to_be_bytes()]);
    assert_eq!(hash_of(&bytes, &config), Some(plain(published().key(), &outer)));
}

#[test]
fn esp_hashes_its_parameter_index_and_without_it_the_addresses() {
    let bytes = eth(&[], 0x0800, &IP4.packet(50, &[1, 2, 3, 4, 0, 0, 0, 0]));
    let key = published();
    assert_eq!(hash_of(&bytes, &Config::default()), Some(plain(key.key(), &[1, 2, 3, 4])));
    let config = Config::from_hena(1 << 35);
    assert_eq!(hash_of(&bytes, &config), Some(plain(key.key(), &cat(&[&V4_A, &V4_B]))));
    let bytes = eth(&[], 0x86DD, &IP6.packet(50, &[1, 2, 3, 4, 0, 0, 0, 0]));
    assert_eq!(hash_of(&bytes, &config), None);
    let config = Config::from_hena(1 << 45);
    assert_eq!(hash_of(&bytes, &config), Some(plain(key.key(), &cat(&[&V6_A, &V6_B]))));
}

#[test]
fn sctp_inside_a_tunnel_hashes_over_addresses_only() {
    for (inner, addresses) in [(IP4, cat(&[&V4_A, &V4_B])), (IP6, cat(&[&V6_A, &V6_B]))] {
        let bytes = tunnelled(IP4, Way::Vxlan, &[], inner, SCTP, b"");
        let expected = plain(published().key(), &addresses);
        assert_eq!(hash_of(&bytes, &Config::default()), Some(expected));
    }
}
