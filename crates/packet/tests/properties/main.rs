//! What holds for all frames.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

#[path = "../common/mod.rs"]
mod common;

use common::*;
use proptest::collection::vec;
use proptest::prelude::*;
use siov_packet::field::{Field, Level, extract};
use siov_packet::rss::{self, Config, Function, KEY_LEN, Toeplitz};
use siov_packet::{
    Eipt, Iipt, L3, L4, L4t, L4tunt, Layer, MSS_MIN, Offload, Outer, Parsed, Scratch, Tag, Tso,
    Tunnel, insert_tag, offload, parse, ptype, segment, strip_tag, verify,
};

fn any_tag() -> impl Strategy<Value = (u16, u16)> {
    (prop_oneof![Just(0x8100), Just(0x88A8), Just(0x9100)], any::<u16>())
}

fn any_ip() -> impl Strategy<Value = Ip> {
    prop_oneof![
        any::<([u8; 4], [u8; 4])>().prop_map(|(src, dst)| Ip::V4(src, dst)),
        any::<([u8; 16], [u8; 16])>().prop_map(|(src, dst)| Ip::V6(src, dst)),
    ]
}

fn any_protocol() -> impl Strategy<Value = u8> {
    prop_oneof![Just(TCP), Just(UDP), Just(SCTP)]
}

fn any_way() -> impl Strategy<Value = Way> {
    let flags = prop_oneof![Just(0), Just(0x2000), Just(0x8000), Just(0xB000)];
    prop_oneof![
        Just(Way::IpIp),
        flags.prop_map(|flags| Way::Gre { flags }),
        Just(Way::Nvgre),
        Just(Way::Vxlan),
        (0..64_usize).prop_map(|options| Way::Geneve { options }),
        Just(Way::GeneveIp),
    ]
}

fn data(max: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..max)
}

/// A frame of each kind, the plain ones as likely as the tunnelled.
fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let plain = (vec(any_tag(), 0..3), any_ip(), any_protocol(), data(200))
        .prop_map(|(tags, ip, protocol, data)| frame(&tags, ip, protocol, &data));
    let tunnel = (any_ip(), any_way(), vec(any_tag(), 0..2), any_ip(), any_protocol(), data(200))
        .prop_map(|(outer, way, tags, inner, protocol, data)| {
            tunnelled(outer, way, &tags, inner, protocol, &data)
        });
    prop_oneof![plain, tunnel]
}

/// A frame with a few bytes changed and its end cut off: headers everywhere, and lies in them.
fn broken_frame() -> impl Strategy<Value = Vec<u8>> {
    let changes = vec((any::<prop::sample::Index>(), any::<u8>()), 0..6);
    (any_frame(), changes, any::<prop::sample::Index>(), any::<bool>()).prop_map(
        |(mut bytes, changes, end, cut)| {
            for (at, value) in changes {
                let at = at.index(bytes.len().min(120));
                bytes[at] = value;
            }
            if cut {
                bytes.truncate(end.index(bytes.len() + 1));
            }
            bytes
        },
    )
}

fn any_outer() -> impl Strategy<Value = Outer> {
    (0..4_u8, prop_oneof![Just(20), Just(40), (0..128_u16).prop_map(|n| n * 4)], 0..4_u8, 0..64_u16)
        .prop_flat_map(|(eipt, eiplen, l4tunt, half)| {
            any::<(bool, bool)>().prop_map(move |(eip_noinc, l4t_cs)| Outer {
                eipt: Eipt::from_bits(eipt),
                eiplen,
                l4tunt: L4tunt::from_bits(l4tunt),
                l4tunlen: half * 2,
                eip_noinc,
                l4t_cs,
            })
        })
}

/// Descriptors that are right as often as wrong.
fn any_ask() -> impl Strategy<Value = Offload> {
    let lengths = (
        prop_oneof![Just(14), Just(18), (0..128_u16).prop_map(|n| n * 2)],
        prop_oneof![Just(20), Just(40), (0..128_u16).prop_map(|n| n * 4)],
        prop_oneof![Just(8), Just(20), (0..16_u16).prop_map(|n| n * 4)],
    );
    let tags = (prop::option::of(any_tag()), prop::option::of(any_tag()));
    let tso = prop::option::of((0..400_u16, 0..400_u32));
    (lengths, 0..4_u8, 0..4_u8, prop::option::of(any_outer()), tso, tags).prop_map(
        |((maclen, iplen, l4len), iipt, l4t, tunnel, tso, (one, two))| Offload {
            maclen,
            iplen,
            l4len,
            iipt: Iipt::from_bits(iipt),
            l4t: L4t::from_bits(l4t),
            tunnel,
            tso: tso.map(|(mss, len)| Tso { mss, len }),
            l2tag1: one.map(|(tpid, tci)| Tag { tpid, tci }),
            l2tag2: two.map(|(tpid, tci)| Tag { tpid, tci }),
        },
    )
}

/// Everything that a layer tells lies inside the frame, in order.
fn inside(bytes: &[u8], layer: &Layer) {
    let (l3, l4) = (usize::from(layer.l3_offset), usize::from(layer.l4_offset));
    let end = layer.l3_end as usize;
    if layer.l3 != L3::None {
        assert_eq!(l4, l3 + usize::from(layer.l3_len));
        assert!(l4 <= end && end <= bytes.len());
        assert!(l4 + usize::from(layer.l4_len) <= end);
    } else {
        assert_eq!((layer.l4, layer.l4_len), (L4::None, 0));
    }
}

fn exercise(bytes: &[u8]) {
    let parsed: Parsed = parse(bytes);
    assert!((1..ptype::COUNT).contains(&parsed.ptype));
    inside(bytes, &parsed.outer);
    inside(bytes, &parsed.inner);
    assert!(parsed.tunnel != Tunnel::None || parsed.inner == Layer::default());
    let _ = verify(bytes, &parsed);
    let key = Toeplitz::new(&[0x5A; KEY_LEN]);
    for function in
        [Function::ToeplitzAsymmetric, Function::ToeplitzSymmetric, Function::XorSymmetric]
    {
        let mut config = Config::default();
        config.function = function;
        let is_ip = parsed.outer.l3 != L3::None;
        let esp = parsed.outer.protocol == 50;
        let hash = rss::hash(bytes, &parsed, &config, &key);
        assert!(hash.is_some() == is_ip || esp);
    }
    for field in Field::ALL {
        for level in [Level::Outer, Level::Inner, Level::Innermost] {
            let _ = extract(bytes, &parsed, level, field);
        }
    }
    let mut copy = bytes.to_vec();
    strip_tag(&mut copy, 0, &[0x8100]);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in data(300)) {
        exercise(&bytes);
    }

    #[test]
    fn no_broken_frame_makes_it_panic(bytes in broken_frame()) {
        exercise(&bytes);
    }

    #[test]
    fn no_descriptor_makes_it_panic(bytes in broken_frame(), ask in any_ask()) {
        let mut copy = bytes.clone();
        if offload(&mut copy, &ask).is_err() {
            prop_assert_eq!(&copy, &bytes);
        }
        let mut emitted = 0;
        let result = segment(&bytes, &ask, &mut Scratch::default(), |_| emitted += 1);
        prop_assert_eq!(result.unwrap_or(0), emitted);
    }

    #[test]
    fn a_built_frame_is_parsed_as_it_was_built(
        tags in vec(any_tag(), 0..3), ip in any_ip(), protocol in any_protocol(), data in data(300),
    ) {
        let bytes = frame(&tags, ip, protocol, &data);
        let parsed = parse(&bytes);
        let told: Vec<(u16, u16)> = parsed.tags().iter().map(|tag| (tag.tpid, tag.tci)).collect();
        prop_assert_eq!(told, tags);
        prop_assert_eq!(&bytes[parsed.payload()..], &data[..]);
        prop_assert_eq!(parsed.outer.protocol, protocol);
        prop_assert_eq!(parsed.outer.l3_end as usize, bytes.len());
        let checks = verify(&bytes, &parsed);
        prop_assert!(checks.l3l4p && !checks.ipe && !checks.l4e);
    }

    #[test]
    fn a_built_tunnel_is_parsed_as_it_was_built(
        outer in any_ip(), way in any_way(), tags in vec(any_tag(), 0..3),
        inner in any_ip(), protocol in any_protocol(), data in data(300),
    ) {
        // A Geneve or VXLAN port can come by chance only as the fixed one.
        let bytes = tunnelled(outer, way, &tags, inner, protocol, &data);
        let parsed = parse(&bytes);
        prop_assert!(parsed.tunnel != Tunnel::None);
        prop_assert_eq!(&bytes[parsed.payload()..], &data[..]);
        prop_assert_eq!(parsed.inner.tags.len(), if way.carries_mac() { tags.len() } else { 0 });
        prop_assert_eq!(usize::from(parsed.inner.l3_offset),
            usize::from(parsed.outer.l4_offset) + way.len()
            + if way.carries_mac() { 14 + 4 * tags.len() } else { 0 });
        let checks = verify(&bytes, &parsed);
        prop_assert!(checks.l3l4p && !checks.ipe && !checks.l4e && !checks.eipe && !checks.eudpe);
    }

    #[test]
    fn one_changed_byte_of_a_packet_is_seen(
        ip in any_ip(), protocol in any_protocol(), data in data(100),
        at in any::<prop::sample::Index>(), change in 1..=255_u8,
    ) {
        let mut bytes = frame(&[], ip, protocol, &data);
        let l4 = usize::from(parse(&bytes).outer.l4_offset);
        let at = l4 + at.index(bytes.len() - l4);
        bytes[at] ^= change;
        let parsed = parse(&bytes);
        let checks = verify(&bytes, &parsed);
        prop_assert!(checks.l4e || parsed.outer.l4 == L4::None || checks.int_udp0);
    }

    #[test]
    fn what_is_stripped_is_what_was_inserted(bytes in any_frame(), tag in any_tag()) {
        let mut copy = bytes.clone();
        let tag = Tag { tpid: tag.0, tci: tag.1 };
        prop_assert!(insert_tag(&mut copy, 0, tag));
        prop_assert_eq!(strip_tag(&mut copy, 0, &[tag.tpid]), Some(tag));
        prop_assert_eq!(copy, bytes);
    }

    #[test]
    fn segments_carry_all_the_payload_and_verify(
        ip in any_ip(), tcp in any::<bool>(), tags in vec(any_tag(), 0..3),
        data in vec(any::<u8>(), 1..3000), mss in MSS_MIN..1500,
    ) {
        let protocol = if tcp { TCP } else { UDP };
        let mut bytes = frame(&tags, ip, protocol, &data);
        let parsed = parse(&bytes);
        let l4 = usize::from(parsed.outer.l4_offset);
        let field = l4 + if tcp { 16 } else { 6 };
        bytes[field..field + 2].copy_from_slice(&ip.pseudo(protocol, 0).to_be_bytes());
        let ask = Offload {
            maclen: parsed.outer.l3_offset,
            iplen: parsed.outer.l3_len,
            l4len: parsed.outer.l4_len,
            iipt: if parsed.outer.l3 == L3::V4 { Iipt::Ipv4Csum } else { Iipt::Ipv6 },
            l4t: if tcp { L4t::Tcp } else { L4t::Udp },
            tso: Some(Tso { mss, len: data.len() as u32 }),
            ..Offload::default()
        };
        let mut payload = Vec::new();
        let mut good = true;
        let count = segment(&bytes, &ask, &mut Scratch::default(), |out| {
            let parsed = parse(out);
            let checks = verify(out, &parsed);
            good &= checks.l3l4p && !checks.ipe && !checks.l4e && !parsed.outer.length_lies;
            if tcp {
                let sequence = u32::from_be_bytes(out[l4 + 4..l4 + 8].try_into().unwrap());
                good &= sequence == 0xFFFF_FF00_u32.wrapping_add(payload.len() as u32);
            }
            payload.extend_from_slice(&out[parsed.payload()..]);
        });
        prop_assert!(good);
        prop_assert_eq!(count, Ok(data.len().div_ceil(usize::from(mss)) as u32));
        prop_assert_eq!(payload, data);
    }
}
