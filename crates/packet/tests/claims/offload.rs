//! Facts C1: checksums without segmentation, tags, and the rules that descriptors must keep.

use crate::common::*;
use siov_packet::{
    Eipt, Iipt, L4t, L4tunt, Offload, Outer, Tag, Violation, offload, parse, verify,
};

fn l4t(protocol: u8) -> L4t {
    match protocol {
        TCP => L4t::Tcp,
        UDP => L4t::Udp,
        _ => L4t::Sctp,
    }
}

/// What a driver asks for a frame without a tunnel.
fn ask(ip: Ip, protocol: u8) -> Offload {
    let (iplen, iipt) = if ip == IP4 { (20, Iipt::Ipv4Csum) } else { (40, Iipt::Ipv6) };
    let l4len = if protocol == TCP { 20 } else { l4_len(protocol) as u16 };
    Offload { maclen: 14, iplen, l4len, iipt, l4t: l4t(protocol), ..Offload::default() }
}

/// A finished frame as a driver hands it over: seeds in the checksum fields.
fn seeded(done: &[u8], ip: Ip, protocol: u8, l3: usize) -> Vec<u8> {
    let mut bytes = done.to_vec();
    let l4 = l3 + if matches!(ip, Ip::V4(..)) { 20 } else { 40 };
    if matches!(ip, Ip::V4(..)) {
        bytes[l3 + 10..l3 + 12].fill(0x77);
    }
    let field = match protocol {
        TCP => l4 + 16,
        UDP => l4 + 6,
        _ => {
            bytes[l4 + 8..l4 + 12].fill(0x99);
            return bytes;
        }
    };
    let seed = ip.pseudo(protocol, done.len() - l4);
    bytes[field..field + 2].copy_from_slice(&seed.to_be_bytes());
    bytes
}

#[test]
fn checksums_come_out_as_software_would_compute_them() {
    for ip in [IP4, IP6] {
        for protocol in [TCP, UDP, SCTP] {
            for len in 0..70 {
                let payload: Vec<u8> = (0..len).map(|n: u8| n.wrapping_mul(59)).collect();
                let done = frame(&[], ip, protocol, &payload);
                let mut bytes = seeded(&done, ip, protocol, 14);
                assert_eq!(offload(&mut bytes, &ask(ip, protocol)), Ok(()));
                assert_eq!(bytes, done, "{ip:?} {protocol} {len}");
            }
        }
    }
}

#[test]
fn padding_behind_the_packet_is_not_covered() {
    for protocol in [TCP, UDP, SCTP] {
        let done = frame(&[], IP4, protocol, b"x");
        let mut bytes = seeded(&done, IP4, protocol, 14);
        bytes.extend([0xEE; 7]);
        offload(&mut bytes, &ask(IP4, protocol)).unwrap();
        assert_eq!(bytes[..done.len()], done);
    }
}

#[test]
fn iipt_2_leaves_the_ipv4_checksum_to_software() {
    let done = frame(&[], IP4, UDP, b"x");
    let mut bytes = seeded(&done, IP4, UDP, 14);
    offload(&mut bytes, &Offload { iipt: Iipt::Ipv4, ..ask(IP4, UDP) }).unwrap();
    assert_eq!(bytes[24..26], [0x77, 0x77]);
    assert_eq!(bytes[26..], done[26..]);
}

#[test]
fn l4t_0_leaves_the_l4_checksum_to_software() {
    let done = frame(&[], IP4, UDP, b"x");
    let mut bytes = done.clone();
    bytes[24..26].fill(0);
    offload(&mut bytes, &Offload { l4t: L4t::None, ..ask(IP4, UDP) }).unwrap();
    assert_eq!(bytes, done);
}

#[test]
fn a_udp_checksum_that_comes_out_as_0_is_sent_as_ffff() {
    let udp = l4(IP4, UDP, (1, 2), &[0, 0]);
    let done = eth(&[], 0x0800, &IP4.packet(UDP, &l4(IP4, UDP, (1, 2), &[udp[6], udp[7]])));
    let mut bytes = seeded(&done, IP4, UDP, 14);
    offload(&mut bytes, &ask(IP4, UDP)).unwrap();
    assert_eq!(bytes[40..42], [0xFF, 0xFF]);
}

#[test]
fn nothing_asked_nothing_done() {
    for len in [0, 13, 14, 60] {
        let mut bytes = vec![0x5A; len];
        assert_eq!(offload(&mut bytes, &Offload { maclen: 14, ..Offload::default() }), Ok(()));
        assert_eq!(bytes, vec![0x5A; len]);
    }
}

#[test]
fn l2tag2_goes_outside_l2tag1_and_both_outside_the_tags_in_memory() {
    let (one, two) = (Tag { tpid: 0x8100, tci: 5 }, Tag { tpid: 0x88A8, tci: 6 });
    let done = frame(&[(0x8100, 7)], IP4, UDP, b"x");
    let mut bytes = seeded(&done, IP4, UDP, 18);
    let tags = Offload { maclen: 18, l2tag1: Some(one), l2tag2: Some(two), ..ask(IP4, UDP) };
    offload(&mut bytes, &tags).unwrap();
    assert_eq!(bytes, frame(&[(0x88A8, 6), (0x8100, 5), (0x8100, 7)], IP4, UDP, b"x"));
    let mut bytes = frame(&[], IP4, UDP, b"x");
    offload(&mut bytes, &Offload { l2tag1: Some(one), ..Offload::default() }).unwrap();
    assert_eq!(parse(&bytes).tags(), [one]);
}

fn outer(ip: Ip, way: Way) -> Outer {
    let v4 = ip == IP4;
    Outer {
        eipt: if v4 { Eipt::Ipv4Csum } else { Eipt::Ipv6 },
        eiplen: if v4 { 20 } else { 40 },
        l4tunt: match way {
            Way::IpIp => L4tunt::None,
            Way::Gre { .. } | Way::Nvgre => L4tunt::Gre,
            _ => L4tunt::Udp,
        },
        l4tunlen: (way.len() + if way.carries_mac() { 14 } else { 0 }) as u16,
        eip_noinc: false,
        l4t_cs: way.port().is_some(),
    }
}

#[test]
fn inner_and_outer_checksums_of_a_tunnel_come_out() {
    let ways = [Way::IpIp, Way::Gre { flags: 0x2000 }, Way::Nvgre, Way::Vxlan, Way::GeneveIp];
    for outer_ip in [IP4, IP6] {
        for inner in [IP4, IP6] {
            for way in ways {
                for protocol in [TCP, UDP, SCTP] {
                    let done = tunnelled(outer_ip, way, &[], inner, protocol, b"seven77");
                    let tunnel = outer(outer_ip, way);
                    let l3 = usize::from(14 + tunnel.eiplen + tunnel.l4tunlen);
                    let mut bytes = seeded(&done, inner, protocol, l3);
                    if outer_ip == IP4 {
                        bytes[24..26].fill(0x33);
                    }
                    if tunnel.l4t_cs {
                        let l4 = 14 + usize::from(tunnel.eiplen);
                        let seed = outer_ip.pseudo(UDP, done.len() - l4);
                        bytes[l4 + 6..l4 + 8].copy_from_slice(&seed.to_be_bytes());
                    }
                    let ask = Offload { tunnel: Some(tunnel), ..ask(inner, protocol) };
                    assert_eq!(offload(&mut bytes, &ask), Ok(()), "{outer_ip:?} {way:?}");
                    assert_eq!(bytes, done, "{outer_ip:?} {way:?} {inner:?} {protocol}");
                    assert!(!verify(&bytes, &parse(&bytes)).eudpe);
                }
            }
        }
    }
}

#[test]
fn an_ipv6_checksum_covers_what_is_behind_the_extension_headers() {
    let tcp = l4(IP6, TCP, (1, 2), b"data");
    let options = [TCP, 0, 1, 4, 0, 0, 0, 0];
    let done = eth(&[], 0x86DD, &IP6.packet(60, &cat(&[&options, &tcp])));
    let mut bytes = done.clone();
    bytes[14 + 48 + 16..14 + 48 + 18].copy_from_slice(&IP6.pseudo(TCP, tcp.len()).to_be_bytes());
    offload(&mut bytes, &Offload { iplen: 48, ..ask(IP6, TCP) }).unwrap();
    assert_eq!(bytes, done);
}

fn refused(bytes: &[u8], ask: Offload) -> Violation {
    let mut copy = bytes.to_vec();
    let violation = offload(&mut copy, &ask).unwrap_err();
    assert_eq!(copy, bytes, "a refused frame is unchanged");
    assert!(!violation.to_string().is_empty());
    violation
}

#[test]
fn headers_shorter_than_they_can_be_are_refused() {
    let bytes = frame(&[], IP4, TCP, b"");
    let good = ask(IP4, TCP);
    for bad in [
        Offload { maclen: 12, ..good },
        Offload { iplen: 16, ..good },
        Offload { l4len: 16, ..good },
        Offload { iipt: Iipt::Ipv6, iplen: 36, ..good },
    ] {
        assert_eq!(refused(&bytes, bad), Violation::HeaderShort);
    }
}

#[test]
fn headers_that_leave_the_frame_are_refused() {
    let bytes = frame(&[], IP4, UDP, b"");
    for bad in [
        Offload { maclen: 254, ..ask(IP4, UDP) },
        Offload { iplen: 508, ..ask(IP4, UDP) },
        Offload { l4len: 12, ..ask(IP4, UDP) },
    ] {
        assert!(matches!(refused(&bytes, bad), Violation::HeaderOutside { len: 42, .. }));
    }
    let tunnel = Outer { eipt: Eipt::Ipv4, eiplen: 20, l4tunlen: 254, ..Outer::default() };
    let bad = Offload { tunnel: Some(tunnel), ..ask(IP4, UDP) };
    assert!(matches!(refused(&bytes, bad), Violation::HeaderOutside { end: 288, .. }));
}

#[test]
fn an_iipt_of_the_other_version_is_refused() {
    let v4 = frame(&[], IP4, UDP, &[0; 64]);
    assert_eq!(refused(&v4, ask(IP6, UDP)), Violation::IpVersion);
    assert_eq!(refused(&frame(&[], IP6, UDP, b""), ask(IP4, UDP)), Violation::IpVersion);
    let tunnel = Outer { eipt: Eipt::Ipv6, eiplen: 40, ..Outer::default() };
    let bad = Offload { tunnel: Some(tunnel), ..ask(IP4, UDP) };
    assert_eq!(refused(&v4, bad), Violation::IpVersion);
}

#[test]
fn an_ip_length_that_is_not_the_header_s_is_refused() {
    let bytes = frame(&[], IP4, UDP, &[0; 16]);
    let bad = Offload { iplen: 24, ..ask(IP4, UDP) };
    assert_eq!(refused(&bytes, bad), Violation::IpLength { found: 20, told: 24 });
    let options = cat(&[&[UDP, 0, 1, 4, 0, 0, 0, 0], &l4(IP6, UDP, (1, 2), b"")]);
    let bytes = eth(&[], 0x86DD, &IP6.packet(60, &options));
    assert_eq!(refused(&bytes, ask(IP6, UDP)), Violation::IpLength { found: 48, told: 40 });
}

#[test]
fn an_l4t_of_another_protocol_is_refused() {
    for ip in [IP4, IP6] {
        let bytes = frame(&[], ip, UDP, &[0; 32]);
        assert_eq!(refused(&bytes, ask(ip, TCP)), Violation::Protocol { found: UDP });
    }
    let bytes = tunnelled(IP4, Way::Nvgre, &[], IP4, UDP, b"");
    let tunnel = Outer { l4tunt: L4tunt::Udp, l4t_cs: false, ..outer(IP4, Way::Nvgre) };
    let bad = Offload { tunnel: Some(tunnel), ..ask(IP4, UDP) };
    assert_eq!(refused(&bytes, bad), Violation::Protocol { found: 47 });
}

#[test]
fn work_on_a_header_that_is_not_told_is_refused() {
    let bytes = frame(&[], IP4, UDP, &[0; 32]);
    let good = ask(IP4, UDP);
    let no_outer = |outer| Offload { tunnel: Some(outer), ..good };
    for bad in [
        Offload { iipt: Iipt::None, ..good },
        no_outer(Outer { l4tunt: L4tunt::Udp, ..Outer::default() }),
        no_outer(Outer { l4t_cs: true, ..Outer::default() }),
        no_outer(Outer { eipt: Eipt::Ipv4, eiplen: 20, l4t_cs: true, ..Outer::default() }),
    ] {
        assert_eq!(refused(&bytes, bad), Violation::NoHeader);
    }
}

#[test]
fn the_bits_of_a_descriptor_mean_what_the_facts_say() {
    assert_eq!(
        [0, 1, 2, 3].map(Iipt::from_bits),
        [Iipt::None, Iipt::Ipv6, Iipt::Ipv4, Iipt::Ipv4Csum]
    );
    assert_eq!([0, 1, 2, 3].map(L4t::from_bits), [L4t::None, L4t::Tcp, L4t::Sctp, L4t::Udp]);
    assert_eq!(
        [0, 1, 2, 3].map(Eipt::from_bits),
        [Eipt::None, Eipt::Ipv6, Eipt::Ipv4, Eipt::Ipv4Csum]
    );
    assert_eq!([0, 1, 2].map(L4tunt::from_bits), [L4tunt::None, L4tunt::Udp, L4tunt::Gre]);
}

#[test]
fn an_authentication_header_may_stand_behind_an_ipv4_header() {
    let tcp = l4(IP4, TCP, (1, 2), b"data");
    let ah = cat(&[&[TCP, 4], &[0; 22]]);
    let done = eth(&[], 0x0800, &IP4.packet(51, &cat(&[&ah, &tcp])));
    let mut bytes = done.clone();
    bytes[14 + 44 + 16..14 + 44 + 18].copy_from_slice(&IP4.pseudo(TCP, tcp.len()).to_be_bytes());
    offload(&mut bytes, &Offload { iplen: 44, iipt: Iipt::Ipv4, ..ask(IP4, TCP) }).unwrap();
    assert_eq!(bytes, done);
}

#[test]
fn a_tunnel_length_shorter_than_the_tunnel_s_header_is_refused() {
    for (way, short) in [(Way::Nvgre, 2), (Way::Vxlan, 6)] {
        let bytes = tunnelled(IP4, way, &[], IP4, UDP, b"");
        let tunnel = Outer { l4tunlen: short, ..outer(IP4, way) };
        let bad = Offload { tunnel: Some(tunnel), ..ask(IP4, UDP) };
        assert_eq!(refused(&bytes, bad), Violation::HeaderShort);
    }
}
