//! Facts C1, "TSO rules".

use crate::common::*;
use siov_packet::{
    Eipt, Iipt, L4t, L4tunt, Offload, Outer, Scratch, Tag, Tso, Violation, parse, segment, verify,
};

const MSS: u16 = 100;
const FLAGS: usize = 13;
const CWR_PSH_FIN_ACK: u8 = 0x80 | 0x10 | 0x08 | 0x01;

fn payload(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n * 7 + n / 256) as u8).collect()
}

/// A frame as the driver prepares it: no lengths, seeds without the length.
fn prepared(ip: Ip, protocol: u8, payload: &[u8]) -> (Vec<u8>, Offload) {
    let mut bytes = frame(&[], ip, protocol, payload);
    let (iplen, iipt) = if ip == IP4 { (20, Iipt::Ipv4Csum) } else { (40, Iipt::Ipv6) };
    prepare(&mut bytes, ip, protocol, 14);
    let ask = Offload {
        maclen: 14,
        iplen,
        l4len: l4_len(protocol) as u16,
        iipt,
        l4t: if protocol == TCP { L4t::Tcp } else { L4t::Udp },
        tso: Some(Tso { mss: MSS, len: payload.len() as u32 }),
        ..Offload::default()
    };
    (bytes, ask)
}

fn prepare(bytes: &mut [u8], ip: Ip, protocol: u8, l3: usize) {
    let l4 = if matches!(ip, Ip::V4(..)) {
        bytes[l3 + 2..l3 + 4].fill(0);
        bytes[l3 + 10..l3 + 12].fill(0);
        l3 + 20
    } else {
        bytes[l3 + 4..l3 + 6].fill(0);
        l3 + 40
    };
    let field = if protocol == TCP { l4 + 16 } else { l4 + 6 };
    bytes[field..field + 2].copy_from_slice(&ip.pseudo(protocol, 0).to_be_bytes());
}

fn cut(bytes: &[u8], ask: &Offload) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    let count = segment(bytes, ask, &mut Scratch::default(), |out| frames.push(out.to_vec()));
    assert_eq!(count, Ok(frames.len() as u32));
    for frame in &frames {
        let checks = verify(frame, &parse(frame));
        let errors = [checks.ipe, checks.l4e, checks.eipe, checks.eudpe];
        assert!(checks.l3l4p && errors == [false; 4], "{checks:?}");
    }
    frames
}

fn joined(frames: &[Vec<u8>]) -> Vec<u8> {
    frames.iter().flat_map(|frame| frame[parse(frame).payload()..].to_vec()).collect()
}

#[test]
fn the_segments_carry_the_payload_in_order_and_verify() {
    for ip in [IP4, IP6] {
        for protocol in [TCP, UDP] {
            for len in [1, 99, 100, 101, 200, 1234] {
                let data = payload(len);
                let (bytes, ask) = prepared(ip, protocol, &data);
                let frames = cut(&bytes, &ask);
                assert_eq!(frames.len(), len.div_ceil(100));
                assert_eq!(joined(&frames), data);
                assert!(frames.iter().all(|frame| !parse(frame).outer.length_lies));
            }
        }
    }
}

#[test]
fn one_segment_is_the_frame_that_software_would_have_built() {
    for ip in [IP4, IP6] {
        for protocol in [TCP, UDP] {
            let (bytes, ask) = prepared(ip, protocol, &payload(64));
            assert_eq!(cut(&bytes, &ask), [frame(&[], ip, protocol, &payload(64))]);
        }
    }
}

#[test]
fn the_identification_counts_up_and_wraps() {
    let (mut bytes, ask) = prepared(IP4, UDP, &payload(250));
    bytes[18..20].copy_from_slice(&[0xFF, 0xFE]);
    let ids: Vec<[u8; 2]> = cut(&bytes, &ask).iter().map(|out| [out[18], out[19]]).collect();
    assert_eq!(ids, [[0xFF, 0xFE], [0xFF, 0xFF], [0, 0]]);
}

#[test]
fn the_tcp_sequence_number_counts_the_payload_and_wraps() {
    let (bytes, ask) = prepared(IP4, TCP, &payload(300));
    let frames = cut(&bytes, &ask);
    let sequence: Vec<u32> =
        frames.iter().map(|out| u32::from_be_bytes(out[38..42].try_into().unwrap())).collect();
    assert_eq!(sequence, [0xFFFF_FF00, 0xFFFF_FF64, 0xFFFF_FFC8]);
    let (bytes, ask) = prepared(IP4, TCP, &payload(301));
    assert_eq!(cut(&bytes, &ask)[3][38..42], [0, 0, 0, 0x2C]);
}

#[test]
fn fin_and_psh_are_only_on_the_last_and_cwr_only_on_the_first() {
    for (len, expected) in
        [(100, vec![0x99]), (200, vec![0x90, 0x19]), (201, vec![0x90, 0x10, 0x19])]
    {
        let (mut bytes, ask) = prepared(IP6, TCP, &payload(len));
        bytes[54 + FLAGS] = CWR_PSH_FIN_ACK;
        let flags: Vec<u8> = cut(&bytes, &ask).iter().map(|out| out[54 + FLAGS]).collect();
        assert_eq!(flags, expected);
    }
}

#[test]
fn each_datagram_has_its_own_udp_length() {
    let (bytes, ask) = prepared(IP4, UDP, &payload(150));
    let lengths: Vec<[u8; 2]> = cut(&bytes, &ask).iter().map(|out| [out[38], out[39]]).collect();
    assert_eq!(lengths, [[0, 108], [0, 58]]);
}

#[test]
fn tags_are_inserted_into_every_segment() {
    let (bytes, ask) = prepared(IP4, TCP, &payload(250));
    let (one, two) = (Tag { tpid: 0x8100, tci: 5 }, Tag { tpid: 0x88A8, tci: 6 });
    let tagged = Offload { l2tag1: Some(one), l2tag2: Some(two), ..ask };
    let frames = cut(&bytes, &tagged);
    for (frame, plain) in frames.iter().zip(cut(&bytes, &ask)) {
        assert_eq!(parse(frame).tags(), [two, one]);
        assert_eq!(frame[20..], plain[12..]);
    }
}

#[test]
fn the_scratch_may_be_used_again() {
    let mut scratch = Scratch::default();
    let mut lengths = Vec::new();
    for len in [300, 50] {
        let (bytes, ask) = prepared(IP6, TCP, &payload(len));
        segment(&bytes, &ask, &mut scratch, |out| lengths.push(out.len())).unwrap();
    }
    assert_eq!(lengths, [186, 186, 186, 136]);
}

/// A tunnelled frame as the driver prepares it, with the outer checksum asked for.
fn prepared_tunnel(outer: Ip, way: Way, inner: Ip, data: &[u8]) -> (Vec<u8>, Offload) {
    let mut bytes = tunnelled(outer, way, &[], inner, TCP, data);
    let v4 = outer == IP4;
    let tunnel = Outer {
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
    };
    let l4 = 14 + usize::from(tunnel.eiplen);
    if v4 {
        bytes[16..18].fill(0);
        bytes[24..26].fill(0);
    } else {
        bytes[18..20].fill(0);
    }
    if way.port().is_some() {
        bytes[l4 + 4..l4 + 6].fill(0);
        bytes[l4 + 6..l4 + 8].copy_from_slice(&outer.pseudo(UDP, 0).to_be_bytes());
    }
    prepare(&mut bytes, inner, TCP, l4 + usize::from(tunnel.l4tunlen));
    let (_, ask) = prepared(inner, TCP, data);
    (bytes, Offload { tunnel: Some(tunnel), ..ask })
}

#[test]
fn the_outer_headers_of_a_tunnel_fit_each_segment() {
    let ways = [Way::IpIp, Way::Gre { flags: 0x3000 }, Way::Nvgre, Way::Vxlan, Way::GeneveIp];
    for outer in [IP4, IP6] {
        for inner in [IP4, IP6] {
            for way in ways {
                let data = payload(333);
                let (bytes, ask) = prepared_tunnel(outer, way, inner, &data);
                let frames = cut(&bytes, &ask);
                assert_eq!((frames.len(), joined(&frames)), (4, data));
                for frame in &frames {
                    let parsed = parse(frame);
                    assert!(!parsed.outer.length_lies && !parsed.inner.length_lies);
                    assert_eq!(parsed.outer.l3_end as usize, frame.len());
                }
            }
        }
    }
}

#[test]
fn one_segment_of_a_tunnel_is_the_frame_that_software_would_have_built() {
    for outer in [IP4, IP6] {
        let (bytes, ask) = prepared_tunnel(outer, Way::Vxlan, IP4, &payload(80));
        assert_eq!(cut(&bytes, &ask), [tunnelled(outer, Way::Vxlan, &[], IP4, TCP, &payload(80))]);
    }
}

#[test]
fn noinc_keeps_the_outer_identification_and_not_the_inner() {
    let (bytes, ask) = prepared_tunnel(IP4, Way::Vxlan, IP4, &payload(200));
    let inner = 14 + 20 + 16 + 14 + 4;
    for (eip_noinc, second) in [(false, 0xF0), (true, 0xEF)] {
        let tunnel = ask.tunnel.map(|outer| Outer { eip_noinc, ..outer });
        let frames = cut(&bytes, &Offload { tunnel, ..ask });
        assert_eq!((frames[0][19], frames[1][19]), (0xEF, second));
        assert_eq!((frames[0][inner + 1], frames[1][inner + 1]), (0xEF, 0xF0));
    }
}

#[test]
fn an_outer_udp_checksum_that_is_not_asked_for_stays() {
    let (mut bytes, ask) = prepared_tunnel(IP4, Way::Vxlan, IP4, &payload(200));
    bytes[40..42].fill(0);
    let tunnel = ask.tunnel.map(|outer| Outer { l4t_cs: false, ..outer });
    for frame in cut(&bytes, &Offload { tunnel, ..ask }) {
        assert_eq!(frame[40..42], [0, 0]);
    }
}

#[test]
fn ipv6_extension_headers_are_copied() {
    let data = payload(250);
    let options = [TCP, 0, 1, 4, 0, 0, 0, 0];
    let tcp = l4(IP6, TCP, (1, 2), &data);
    let mut bytes = eth(&[], 0x86DD, &IP6.packet(0, &cat(&[&options, &tcp])));
    bytes[18..20].fill(0);
    bytes[14 + 48 + 16..14 + 48 + 18].copy_from_slice(&IP6.pseudo(TCP, 0).to_be_bytes());
    let (_, ask) = prepared(IP6, TCP, &data);
    let frames = cut(&bytes, &Offload { iplen: 48, ..ask });
    assert_eq!(joined(&frames), data);
    assert_eq!(frames[2][18..20], (8 + 32 + 50_u16).to_be_bytes());
}

fn refused(bytes: &[u8], ask: Offload) -> Violation {
    segment(bytes, &ask, &mut Scratch::default(), |_| panic!("a refused packet is not sent"))
        .unwrap_err()
}

#[test]
fn a_segment_size_outside_the_range_is_refused() {
    let (bytes, ask) = prepared(IP4, TCP, &payload(300));
    for (mss, good) in
        [(0, false), (63, false), (64, true), (9668, true), (9669, false), (16383, false)]
    {
        let ask = Offload { tso: Some(Tso { mss, len: 300 }), ..ask };
        let result = segment(&bytes, &ask, &mut Scratch::default(), |_| {});
        assert_eq!(result.is_ok(), good, "{mss}");
        if !good {
            assert_eq!(result, Err(Violation::Mss { mss }));
        }
    }
    assert_eq!(refused(&bytes, Offload { tso: None, ..ask }), Violation::Mss { mss: 0 });
}

#[test]
fn a_tso_len_that_is_not_the_payload_s_is_refused() {
    let (bytes, ask) = prepared(IP4, TCP, &payload(300));
    for told in [0, 299, 301] {
        let ask = Offload { tso: Some(Tso { mss: MSS, len: told }), ..ask };
        assert_eq!(refused(&bytes, ask), Violation::TsoLen { found: 300, told });
    }
    let (bytes, ask) = prepared(IP4, TCP, &[]);
    assert_eq!(refused(&bytes, ask), Violation::TsoLen { found: 0, told: 0 });
}

#[test]
fn only_tcp_and_udp_over_ip_are_segmented() {
    let (bytes, ask) = prepared(IP4, TCP, &payload(300));
    for bad in [
        Offload { l4t: L4t::None, ..ask },
        Offload { l4t: L4t::Sctp, ..ask },
        Offload { iipt: Iipt::None, ..ask },
    ] {
        assert_eq!(refused(&bytes, bad), Violation::TsoProtocol);
    }
}

#[test]
fn the_rules_of_headers_hold_for_segmentation_too() {
    let (bytes, ask) = prepared(IP4, TCP, &payload(300));
    assert_eq!(
        refused(&bytes, Offload { iipt: Iipt::Ipv6, iplen: 40, ..ask }),
        Violation::IpVersion
    );
    assert!(matches!(refused(&bytes[..60], ask), Violation::HeaderOutside { .. }));
    let udp = Offload { l4t: L4t::Udp, ..ask };
    assert_eq!(refused(&bytes, udp), Violation::Protocol { found: TCP });
}

#[test]
fn ipv4_headers_whose_checksum_is_software_s_keep_it() {
    let (bytes, ask) = prepared_tunnel(IP4, Way::Vxlan, IP4, &payload(150));
    let inner = 14 + 20 + 16 + 14;
    let tunnel = ask.tunnel.map(|outer| Outer { eipt: Eipt::Ipv4, l4t_cs: false, ..outer });
    let ask = Offload { tunnel, iipt: Iipt::Ipv4, ..ask };
    let mut lengths = Vec::new();
    segment(&bytes, &ask, &mut Scratch::default(), |out| {
        assert_eq!((&out[24..26], &out[inner + 10..inner + 12]), (&[0, 0][..], &[0, 0][..]));
        lengths.push((out[17], out[inner + 3]));
    })
    .unwrap();
    assert_eq!(lengths, [(202, 152), (152, 102)]);
}
