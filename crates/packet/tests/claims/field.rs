//! Facts B6: the fields of virtchnl's protocol headers.

use crate::common::*;
use siov_packet::field::{Field, Level, extract};
use siov_packet::parse;

fn get(bytes: &[u8], level: Level, field: Field) -> Option<(Vec<u8>, Vec<u8>)> {
    let value = extract(bytes, &parse(bytes), level, field)?;
    assert_eq!(value.bytes.len(), value.mask.len());
    Some((value.bytes.to_vec(), value.mask.to_vec()))
}

fn only(bytes: &[u8], field: Field) -> Option<Vec<u8>> {
    let (value, mask) = get(bytes, Level::Outer, field)?;
    Some(value.iter().zip(mask).map(|(byte, mask)| byte & mask).collect())
}

fn some(bytes: &[u8]) -> Option<Vec<u8>> {
    Some(bytes.to_vec())
}

#[test]
fn ethernet_fields() {
    let bytes = frame(&[(0x8100, 0xE123)], IP4, UDP, b"");
    assert_eq!(only(&bytes, Field::EthDst), some(&MAC_B));
    assert_eq!(only(&bytes, Field::EthSrc), some(&MAC_A));
    assert_eq!(only(&bytes, Field::EthEthertype), some(&[8, 0]));
}

#[test]
fn a_single_tag_is_the_customer_s_or_the_service_s_by_its_type() {
    for (tpid, field, other) in [
        (0x8100, Field::CVlanId, Field::SVlanId),
        (0x88A8, Field::SVlanId, Field::CVlanId),
        (0x9100, Field::SVlanId, Field::CVlanId),
    ] {
        let bytes = frame(&[(tpid, 0xE123)], IP4, UDP, b"");
        assert_eq!(get(&bytes, Level::Outer, field), Some((vec![0xE1, 0x23], vec![0x0F, 0xFF])));
        assert_eq!(only(&bytes, other), None);
    }
}

#[test]
fn of_two_tags_the_outer_is_the_service_s() {
    let bytes = frame(&[(0x8100, 0xE123), (0x8100, 0x4567)], IP4, UDP, b"");
    assert_eq!(only(&bytes, Field::SVlanId), some(&[1, 0x23]));
    assert_eq!(only(&bytes, Field::CVlanId), some(&[5, 0x67]));
    assert_eq!(only(&frame(&[], IP4, UDP, b""), Field::CVlanId), None);
}

#[test]
fn ip_fields() {
    let v4 = frame(&[], IP4, UDP, b"");
    assert_eq!(only(&v4, Field::Ipv4Src), some(&V4_A));
    assert_eq!(only(&v4, Field::Ipv4Dst), some(&V4_B));
    assert_eq!(get(&v4, Level::Outer, Field::Ipv4Dscp), Some((vec![0x28], vec![0xFC])));
    assert_eq!(only(&v4, Field::Ipv4Ttl), some(&[63]));
    assert_eq!(only(&v4, Field::Ipv4Prot), some(&[UDP]));
    let v6 = frame(&[], IP6, UDP, b"");
    assert_eq!(only(&v6, Field::Ipv6Src), some(&V6_A));
    assert_eq!(only(&v6, Field::Ipv6Dst), some(&V6_B));
    assert_eq!(only(&v6, Field::Ipv6Tc), some(&[0x0A, 0xB0]));
    assert_eq!(only(&v6, Field::Ipv6HopLimit), some(&[63]));
    assert_eq!(only(&v6, Field::Ipv6Prot), some(&[UDP]));
    assert_eq!((only(&v4, Field::Ipv6Src), only(&v6, Field::Ipv4Src)), (None, None));
}

#[test]
fn ports_belong_to_their_protocol() {
    let ports = [
        (TCP, Field::TcpSrcPort, Field::TcpDstPort),
        (UDP, Field::UdpSrcPort, Field::UdpDstPort),
        (SCTP, Field::SctpSrcPort, Field::SctpDstPort),
    ];
    for (protocol, _, _) in ports {
        let bytes = frame(&[], IP6, protocol, b"");
        for (other, src, dst) in ports {
            let there = other == protocol;
            assert_eq!(only(&bytes, src), there.then(|| vec![0x12, 0x34]));
            assert_eq!(only(&bytes, dst), there.then(|| vec![0x56, 0x78]));
        }
    }
}

#[test]
fn levels_choose_between_outer_and_inner_headers() {
    let plain = frame(&[], IP4, UDP, b"");
    assert_eq!(get(&plain, Level::Inner, Field::Ipv4Src), None);
    assert!(get(&plain, Level::Innermost, Field::Ipv4Src).is_some());
    let inner = Ip::V4([1, 1, 1, 1], [2, 2, 2, 2]);
    let tunnel = tunnelled(IP4, Way::Vxlan, &[], inner, TCP, b"");
    let src = |level| get(&tunnel, level, Field::Ipv4Src).unwrap().0;
    assert_eq!(src(Level::Outer), V4_A);
    assert_eq!((src(Level::Inner), src(Level::Innermost)), (vec![1; 4], vec![1; 4]));
}

#[test]
fn fields_directly_over_ip() {
    let payload = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
    for ip in [IP4, IP6] {
        let over = |protocol| eth(&[], ip.ethertype(), &ip.packet(protocol, &payload));
        assert_eq!(only(&over(50), Field::EspSpi), some(&[1, 2, 3, 4]));
        assert_eq!(only(&over(115), Field::L2tpv3SessId), some(&[1, 2, 3, 4]));
        assert_eq!(only(&over(51), Field::EspSpi), None);
    }
    let v4 = eth(&[], 0x0800, &IP4.packet(51, &payload));
    assert_eq!(only(&v4, Field::AhSpi), some(&[5, 6, 7, 8]));
    let ah = cat(&[&[UDP, 4, 0, 0, 9, 9, 9, 9], &[0; 16], &l4(IP6, UDP, (1, 2), b"")]);
    assert_eq!(only(&eth(&[], 0x86DD, &IP6.packet(51, &ah)), Field::AhSpi), some(&[9; 4]));
}

#[test]
fn gtp_u_fields() {
    let gtp = [0x34, 0xFF, 0, 0, 0xCA, 0xFE, 0xBA, 0xBE, 0, 0, 0, 0x85, 1, 0x1F, 0xC9, 0];
    let bytes = eth(&[], 0x0800, &IP4.packet(UDP, &l4(IP4, UDP, (9, 2152), &gtp)));
    assert_eq!(only(&bytes, Field::GtpuTeid), some(&[0xCA, 0xFE, 0xBA, 0xBE]));
    assert_eq!(only(&bytes, Field::GtpuEhPdu), some(&[0x10]));
    assert_eq!(only(&bytes, Field::GtpuEhQfi), some(&[0x09]));
    assert_eq!(parse(&bytes).ptype, 24);
    let mut plain = gtp;
    plain[0] = 0x30;
    let bytes = eth(&[], 0x0800, &IP4.packet(UDP, &l4(IP4, UDP, (9, 2152), &plain)));
    assert_eq!(only(&bytes, Field::GtpuEhQfi), None);
    let bytes = eth(&[], 0x0800, &IP4.packet(UDP, &l4(IP4, UDP, (9, 2153), &gtp)));
    assert_eq!(only(&bytes, Field::GtpuTeid), None);
}

#[test]
fn pfcp_and_pppoe_fields() {
    let pfcp = [0x21, 50, 0, 12, 1, 2, 3, 4, 5, 6, 7, 8];
    let bytes = eth(&[], 0x0800, &IP4.packet(UDP, &l4(IP4, UDP, (9, 8805), &pfcp)));
    assert_eq!(get(&bytes, Level::Outer, Field::PfcpSField), Some((vec![0x21], vec![1])));
    assert_eq!(only(&bytes, Field::PfcpSeid), some(&[1, 2, 3, 4, 5, 6, 7, 8]));
    let bytes = eth(&[], 0x8864, &[0x11, 0, 0xAB, 0xCD, 0, 2, 0, 0x21]);
    assert_eq!(only(&bytes, Field::PppoeSessId), some(&[0xAB, 0xCD]));
}

#[test]
fn a_field_that_leaves_the_frame_is_none() {
    assert_eq!(only(&eth(&[], 0x8864, &[0x11, 0, 0xAB]), Field::PppoeSessId), None);
    assert_eq!(only(&eth(&[], 0x0800, &IP4.packet(50, &[1, 2, 3])), Field::EspSpi), None);
}

#[test]
fn a_later_fragment_has_no_fields_behind_the_ip_header() {
    let at = |fragment| eth(&[], 0x0800, &IP4.v4(50, fragment, &[], &[1, 2, 3, 4]));
    assert_eq!(only(&at(0x2000), Field::EspSpi), some(&[1, 2, 3, 4]));
    assert_eq!(only(&at(0x0001), Field::EspSpi), None);
}

#[test]
fn gtp_of_another_version_has_no_fields() {
    let gtp = [0x54, 0xFF, 0, 0, 1, 2, 3, 4];
    let bytes = eth(&[], 0x0800, &IP4.packet(UDP, &l4(IP4, UDP, (9, 2152), &gtp)));
    assert_eq!(only(&bytes, Field::GtpuTeid), None);
}
