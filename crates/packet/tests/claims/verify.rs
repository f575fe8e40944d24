//! Facts C2.1: what the status and error bits of a received frame say.

use crate::common::*;
use siov_packet::{Checks, parse, verify};

fn check(bytes: &[u8]) -> Checks {
    verify(bytes, &parse(bytes))
}

const GOOD: Checks = Checks {
    l3l4p: true,
    ipe: false,
    l4e: false,
    eipe: false,
    eudpe: false,
    ipv6exadd: false,
    int_udp0: false,
    ext_udp0: false,
};

#[test]
fn the_crc32c_of_the_tests_is_the_published_one() {
    assert_eq!(plain_crc32c(b"123456789"), 0xE306_9283);
}

#[test]
fn right_checksums_of_every_length_are_good() {
    for ip in [IP4, IP6] {
        for protocol in [TCP, UDP, SCTP] {
            for len in 0..100 {
                let payload: Vec<u8> = (0..len).map(|n: u8| n.wrapping_mul(37)).collect();
                assert_eq!(check(&frame(&[], ip, protocol, &payload)), GOOD, "{protocol} {len}");
            }
        }
    }
}

#[test]
fn any_flipped_bit_of_ip_and_transport_is_an_error() {
    for protocol in [TCP, UDP, SCTP] {
        let good = frame(&[], IP4, protocol, b"an odd payload!");
        for at in 14 + 12..good.len() {
            let mut bytes = good.clone();
            bytes[at] ^= 0x20;
            let checks = check(&bytes);
            let header = at < 14 + 20;
            let udp_none = protocol == UDP && parse(&bytes).ptype != 24;
            assert_eq!(checks.ipe, header, "{protocol} {at}");
            let covered = !header || protocol != SCTP;
            let recognised = parse(&bytes).ptype != 23;
            assert_eq!(checks.l4e, covered && recognised, "{protocol} {at} {udp_none}");
        }
    }
}

#[test]
fn frames_without_ip_are_not_looked_at() {
    assert_eq!(check(&eth(&[], 0x0806, &[0; 46])), Checks::default());
}

#[test]
fn fragments_have_only_their_ip_header_checked() {
    let packet = IP4.v4(UDP, 0x2000, &[], &[0xFF; 32]);
    assert_eq!(check(&eth(&[], 0x0800, &packet)), GOOD);
}

#[test]
fn icmp_has_only_its_ip_header_checked() {
    assert_eq!(check(&eth(&[], 0x0800, &IP4.packet(1, &[0xFF; 32]))), GOOD);
}

#[test]
fn padding_does_not_count() {
    for protocol in [TCP, UDP, SCTP] {
        let mut bytes = frame(&[], IP4, protocol, b"x");
        bytes.extend([0xEE; 9]);
        assert_eq!(check(&bytes), GOOD);
    }
}

#[test]
fn a_udp_checksum_of_0_is_none_in_ipv4_and_an_error_in_ipv6() {
    for (ip, error) in [(IP4, false), (IP6, true)] {
        let udp = l4_without_checksum(UDP, (1, 2), b"data");
        let checks = check(&eth(&[], ip.ethertype(), &ip.packet(UDP, &udp)));
        assert_eq!((checks.l4e, checks.int_udp0), (error, true));
    }
}

#[test]
fn a_udp_sum_of_0_is_sent_as_ffff_and_is_good() {
    // The payload that makes the checksum come out as zero.
    let udp = l4(IP4, UDP, (1, 2), &[0, 0]);
    let payload = [udp[6], udp[7]];
    let udp = l4(IP4, UDP, (1, 2), &payload);
    assert_eq!(udp[6..8], [0xFF, 0xFF]);
    assert_eq!(check(&eth(&[], 0x0800, &IP4.packet(UDP, &udp))), GOOD);
}

#[test]
fn a_udp_length_outside_the_packet_is_an_error_and_a_shorter_one_counts() {
    let mut short = l4(IP4, UDP, (1, 2), b"data");
    short.extend(b"behind");
    assert_eq!(check(&eth(&[], 0x0800, &IP4.packet(UDP, &short))), GOOD);
    for length in [0_u16, 7, 13] {
        let mut udp = l4(IP4, UDP, (1, 2), b"data");
        udp[4..6].copy_from_slice(&length.to_be_bytes());
        assert!(check(&eth(&[], 0x0800, &IP4.packet(UDP, &udp))).l4e, "{length}");
    }
}

#[test]
fn a_packet_that_is_cut_off_has_errors_in_both_layers() {
    for protocol in [TCP, UDP, SCTP] {
        let whole = frame(&[], IP4, protocol, b"payload");
        let checks = check(&whole[..whole.len() - 1]);
        assert!(checks.ipe && checks.l4e, "{protocol}");
    }
}

#[test]
fn ipv6_without_a_header_checksum_has_no_ip_error() {
    let whole = frame(&[], IP6, TCP, b"payload");
    let checks = check(&whole[..whole.len() - 1]);
    assert!(!checks.ipe && checks.l4e);
}

#[test]
fn ipv6exadd_tells_of_destination_options() {
    let tcp = l4(IP6, TCP, (1, 2), b"");
    let mut options = vec![TCP, 0, 1, 4, 0, 0, 0, 0];
    options.extend(&tcp);
    let checks = check(&eth(&[], 0x86DD, &IP6.packet(60, &options)));
    assert_eq!(checks, Checks { ipv6exadd: true, ..GOOD });
}

#[test]
fn a_routing_header_with_segments_left_hides_the_last_address_so_l4_is_not_judged() {
    let tcp = l4(IP4, TCP, (1, 2), b"");
    for (left, error) in [(0, true), (1, false)] {
        let mut routing = vec![TCP, 0, 4, left, 0, 0, 0, 0];
        routing.extend(&tcp);
        assert_eq!(check(&eth(&[], 0x86DD, &IP6.packet(43, &routing))).l4e, error);
    }
}

#[test]
fn inner_and_outer_errors_of_a_tunnel_have_their_own_bits() {
    let inner = 14 + 20 + 8 + 8 + 14;
    let good = tunnelled(IP4, Way::Vxlan, &[], IP4, TCP, b"data");
    assert_eq!(check(&good), GOOD);
    // Outer TTL, outer UDP source port, inner TTL, inner TCP port.
    for (at, eipe, eudpe, ipe, l4e) in [
        (14 + 8, true, false, false, false),
        (14 + 20, false, true, false, false),
        (inner + 8, false, true, true, false),
        (inner + 20, false, true, false, true),
    ] {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        assert_eq!(check(&bytes), Checks { eipe, eudpe, ipe, l4e, ..GOOD }, "{at}");
    }
}

#[test]
fn a_tunnel_may_leave_the_outer_udp_checksum_out_also_over_ipv6() {
    for (outer, header) in [(IP4, 20), (IP6, 40)] {
        let mut bytes = tunnelled(outer, Way::Vxlan, &[], IP4, TCP, b"data");
        bytes[14 + header + 6..14 + header + 8].fill(0);
        assert_eq!(check(&bytes), Checks { ext_udp0: true, ..GOOD });
    }
}

#[test]
fn a_total_length_beyond_the_frame_is_an_error_of_both_layers_unless_udp_tells_its_own() {
    for (protocol, l4e) in [(TCP, true), (SCTP, true), (UDP, false)] {
        let mut bytes = frame(&[], IP4, protocol, b"payload");
        bytes[17] += 4;
        let checks = check(&bytes);
        assert_eq!((checks.ipe, checks.l4e), (true, l4e), "{protocol}");
    }
    // Two bytes are cut off whose absence the sum does not show: the length makes up for it.
    let whole = frame(&[], IP4, TCP, &[1, 2, 0xFF, 0xFD]);
    assert!(check(&whole[..whole.len() - 2]).l4e);
}

#[test]
fn a_udp_length_below_the_header_is_an_error_even_if_the_sum_fits() {
    let mut udp = vec![0, 0, 0, 2, 0, 6, 0x12, 0x34];
    let sum = plain_sum(&cat(&[&IP4.pseudo(UDP, 6).to_be_bytes(), &udp[..6]]));
    udp[..2].copy_from_slice(&(!sum).to_be_bytes());
    assert!(check(&eth(&[], 0x0800, &IP4.packet(UDP, &udp))).l4e);
}

#[test]
fn ipv6exadd_tells_of_the_outer_header_of_a_tunnel_too() {
    let inner = IP4.packet(TCP, &l4(IP4, TCP, (1, 2), b""));
    let bytes = cat(&[&[4, 0, 1, 4, 0, 0, 0, 0], &inner]);
    let checks = check(&eth(&[], 0x86DD, &IP6.packet(60, &bytes)));
    assert_eq!(checks, Checks { ipv6exadd: true, ..GOOD });
}
