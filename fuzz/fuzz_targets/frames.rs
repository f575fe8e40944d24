//! Frames of a sender's choice into everything that reads one: the parser keeps what it finds inside the frame,
//! checksums and hashes are those of a plain computation, offloads and segments change only what they may.
#![no_main]

use libfuzzer_sys::fuzz_target;
use siov_packet::field::{Field, Level, extract};
use siov_packet::rss::{Config, FieldSet, Function, Group, KEY_LEN, Toeplitz, hash};
use siov_packet::{
    Eipt, Fragment, Iipt, L3, L4, L4t, L4tunt, Layer, Offload, Outer, Parsed, Scratch, Tag, Tso,
    Tunnel, insert_tag, offload, parse, ptype, segment, strip_tag, verify,
};

#[path = "frames/build.rs"]
mod build;
mod input;
#[path = "frames/plain.rs"]
mod plain;

use input::Input;

const LEVELS: [Level; 3] = [Level::Outer, Level::Inner, Level::Innermost];

fuzz_target!(|data: &[u8]| {
    let mut input = Input(data);
    let how = input.u8();
    let frame = if how & 1 == 0 { input.0.to_vec() } else { build::frame(&mut input) };
    let parsed = parse(&frame);
    stays_inside(&frame, &parsed);
    padding_changes_nothing(&frame, &parsed);
    assert_eq!(verify(&frame, &parsed), plain::verify(&frame, &parsed));
    fields_and_hashes(&mut input, &frame, &parsed);
    tags_come_and_go(&mut input, &frame);
    asks_of_any_kind(&mut input, &frame);
    checksums_come_out_right(&frame, &parsed);
    segments_come_out_right(&mut input, &frame, &parsed);
});

fn stays_inside(frame: &[u8], parsed: &Parsed) {
    let len = frame.len();
    assert!(parsed.ptype < ptype::COUNT);
    assert!(parsed.payload() <= len);
    assert!(parsed.tags().len() <= 2);
    let layers = [Some(&parsed.outer), (parsed.tunnel != Tunnel::None).then_some(&parsed.inner)];
    for layer in layers.into_iter().flatten() {
        layer_stays_inside(len, layer);
    }
    if parsed.tunnel == Tunnel::None {
        assert_eq!(parsed.inner, Layer::default());
    } else {
        assert_ne!(parsed.outer.l3, L3::None);
        assert_eq!(parsed.outer.fragment, Fragment::None);
        assert!(parsed.inner.l3_end <= parsed.outer.l3_end);
        assert!(parsed.tunnel_offset >= parsed.outer.l4_offset);
        assert!(u32::from(parsed.tunnel_offset) <= parsed.outer.l3_end);
    }
}

fn layer_stays_inside(len: usize, layer: &Layer) {
    assert!(usize::from(layer.l3_offset) <= len);
    if layer.has_mac {
        let tags = 4 * layer.tags.len() as u16;
        assert_eq!(layer.l3_offset, layer.mac + 14 + tags);
    }
    if layer.l3 == L3::None {
        assert_eq!((layer.l4, layer.l4_len), (L4::None, 0));
        return;
    }
    assert!(layer.l3_len >= if layer.l3 == L3::V4 { 20 } else { 40 });
    assert_eq!(layer.l4_offset, layer.l3_offset + layer.l3_len);
    assert!(u32::from(layer.l4_offset) <= layer.l3_end);
    assert!(layer.l3_end as usize <= len);
    assert!(u32::from(layer.l4_offset) + u32::from(layer.l4_len) <= layer.l3_end);
    if layer.fragment != Fragment::None {
        assert_eq!(layer.l4, L4::None);
    }
}

/// What lies behind an IP packet that tells its own length is the link's padding.
fn padding_changes_nothing(frame: &[u8], parsed: &Parsed) {
    if parsed.outer.l3 != L3::None && !parsed.outer.length_lies {
        let mut longer = frame.to_vec();
        longer.extend([0xA5; 46]);
        assert_eq!(&parse(&longer), parsed);
        assert_eq!(verify(&longer, parsed), verify(frame, parsed));
    }
}

fn fields_and_hashes(input: &mut Input<'_>, frame: &[u8], parsed: &Parsed) {
    for level in LEVELS {
        for field in Field::ALL {
            let Some(value) = extract(frame, parsed, level, field) else { continue };
            assert_eq!(value.bytes.len(), value.mask.len());
            assert!((1..=16).contains(&value.bytes.len()));
            let (start, end) = (frame.as_ptr() as usize, frame.as_ptr() as usize + frame.len());
            let at = value.bytes.as_ptr() as usize;
            assert!(start <= at && at + value.bytes.len() <= end);
        }
    }
    let mut key = [0; KEY_LEN];
    key.fill_with(|| input.u8());
    let table = Toeplitz::new(&key);
    let mut bytes = [0; 48];
    bytes.fill_with(|| input.u8());
    let len = usize::from(input.u8()) % 49;
    assert_eq!(table.hash(&bytes[..len]), plain::toeplitz(&key, &bytes[..len]));

    let mut config = Config::from_hena(input.u64());
    let chosen: Vec<Field> = Field::ALL.into_iter().filter(|_| input.u8() & 7 == 0).collect();
    let own = FieldSet::of(&chosen);
    let group = Group::ALL[usize::from(input.u8()) % Group::ALL.len()];
    config.set(LEVELS[usize::from(input.u8()) % 3], group, own, false);
    assert_eq!(hash(frame, parsed, &config, &table), plain::hash(frame, parsed, &config, &key));
    for function in [Function::ToeplitzSymmetric, Function::XorSymmetric] {
        let mut config = Config::default();
        config.function = function;
        let there = hash(frame, parsed, &config, &table);
        if let Some(back) = plain::answer(frame, parsed) {
            assert_eq!(hash(&back, &parse(&back), &config, &table), there, "{function:?}");
        }
    }
}

fn tags_come_and_go(input: &mut Input<'_>, frame: &[u8]) {
    let tag = Tag { tpid: 0x8100, tci: input.u64() as u16 };
    let position = usize::from(input.u8()) % 3;
    let mut changed = frame.to_vec();
    if insert_tag(&mut changed, position, tag) {
        assert_eq!(changed.len(), frame.len() + 4);
        assert_eq!(strip_tag(&mut changed, position, &[0x8100]), Some(tag));
    }
    assert_eq!(changed, frame);
}

fn any_ask(input: &mut Input<'_>, parsed: &Parsed) -> Offload {
    let (kind, tags) = (input.u8(), input.u8());
    let near = |input: &mut Input<'_>, right: u16| match input.u8() {
        0..200 => right,
        other => u16::from(other) * 4,
    };
    let (outer, inner) = (&parsed.outer, parsed.innermost());
    let tunnelled = parsed.tunnel != Tunnel::None;
    let mut ask = Offload {
        maclen: near(input, outer.l3_offset),
        iplen: near(input, inner.l3_len),
        l4len: near(input, inner.l4_len),
        iipt: Iipt::from_bits(kind),
        l4t: L4t::from_bits(kind >> 2),
        ..Offload::default()
    };
    if kind & 0x80 != 0 || tunnelled {
        ask.tunnel = Some(Outer {
            eipt: Eipt::from_bits(kind >> 4),
            eiplen: near(input, outer.l3_len),
            l4tunt: L4tunt::from_bits(tags),
            l4tunlen: near(input, inner.l3_offset.saturating_sub(outer.l4_offset)),
            eip_noinc: tags & 4 != 0,
            l4t_cs: tags & 8 != 0,
        });
    }
    let tag = |tci: u16| Some(Tag { tpid: 0x8100, tci });
    ask.l2tag1 = if tags & 16 != 0 { tag(input.u64() as u16) } else { None };
    ask.l2tag2 = if tags & 32 != 0 { tag(input.u64() as u16) } else { None };
    ask
}

/// Whatever a descriptor asks, the frame grows by its tags only, and a refusal leaves it as it was.
fn asks_of_any_kind(input: &mut Input<'_>, frame: &[u8]) {
    let parsed = parse(frame);
    let mut ask = any_ask(input, &parsed);
    let tags = [ask.l2tag1, ask.l2tag2].into_iter().flatten().count();
    let mut changed = frame.to_vec();
    match offload(&mut changed, &ask) {
        Err(_) => assert_eq!(changed, frame),
        Ok(()) if frame.len() >= 12 => {
            assert_eq!(changed.len(), frame.len() + 4 * tags);
            assert_eq!(changed[..12], frame[..12]);
            if let Some(tag) = ask.l2tag2.or(ask.l2tag1) {
                assert_eq!(changed[12..16], [0x81, 0, (tag.tci >> 8) as u8, tag.tci as u8]);
            }
        }
        Ok(()) => assert_eq!(changed.len(), frame.len()),
    }
    let payload = frame.len().saturating_sub(parsed.payload()) as u32;
    let len = if input.u8() & 7 == 0 { u32::from(input.u8()) } else { payload };
    let mss = input.sparse() as u16;
    ask.tso = Some(Tso { mss, len });
    let (mut count, mut bytes, mut longest) = (0, 0, 0);
    let done = segment(frame, &ask, &mut Scratch::default(), |one| {
        count += 1;
        bytes += one.len();
        longest = longest.max(one.len());
    });
    match done {
        Err(_) => assert_eq!(count, 0),
        Ok(told) => {
            let header = frame.len() - len as usize + 4 * tags;
            assert_eq!((told, count), (len.div_ceil(mss.into()), told));
            assert_eq!(bytes, len as usize + count as usize * header);
            assert!(longest <= header + usize::from(mss));
        }
    }
}

/// The lengths and kinds that a driver would put into descriptors for a frame; `None` for one that it
/// would not offload.
fn honest(parsed: &Parsed) -> Option<Offload> {
    let (outer, inner) = (&parsed.outer, parsed.innermost());
    let l4t = match inner.l4 {
        L4::Tcp => L4t::Tcp,
        L4::Udp => L4t::Udp,
        L4::Sctp => L4t::Sctp,
        L4::None | L4::Icmp => return None,
    };
    // A length of zero, or one that lies, is for the device to fill in: that is segmentation.
    let odd = |layer: &Layer| layer.rerouted || layer.length_lies || layer.ah != 0;
    if odd(inner) || odd(outer) {
        return None;
    }
    let mut ask = Offload {
        maclen: outer.l3_offset,
        iplen: inner.l3_len,
        l4len: inner.l4_len,
        iipt: if inner.l3 == L3::V4 { Iipt::Ipv4Csum } else { Iipt::Ipv6 },
        l4t,
        ..Offload::default()
    };
    let l4tunt = match parsed.tunnel {
        Tunnel::None => return Some(ask),
        Tunnel::IpIp => L4tunt::None,
        Tunnel::Gre => L4tunt::Gre,
        Tunnel::Vxlan | Tunnel::Geneve => L4tunt::Udp,
    };
    ask.tunnel = Some(Outer {
        eipt: if outer.l3 == L3::V4 { Eipt::Ipv4Csum } else { Eipt::Ipv6 },
        eiplen: outer.l3_len,
        l4tunt,
        l4tunlen: inner.l3_offset - outer.l4_offset,
        eip_noinc: false,
        l4t_cs: l4tunt == L4tunt::Udp,
    });
    Some(ask)
}

/// With the pseudo header's sum in the field, as a driver leaves it, the receiver finds nothing wrong.
fn checksums_come_out_right(frame: &[u8], parsed: &Parsed) {
    let Some(ask) = honest(parsed) else { return };
    let mut frame = frame.to_vec();
    let (outer, inner) = (&parsed.outer, parsed.innermost());
    plain::fit_udp_length(&mut frame, inner);
    plain::seed(&mut frame, inner, true);
    if ask.tunnel.is_some_and(|outer| outer.l4t_cs) {
        plain::fit_udp_length(&mut frame, outer);
        plain::seed(&mut frame, outer, true);
    }
    offload(&mut frame, &ask).expect("what the parser found is there");
    let checks = verify(&frame, &parse(&frame));
    assert_eq!(parse(&frame), *parsed);
    assert!(!(checks.ipe || checks.l4e || checks.eipe || checks.eudpe), "{checks:?}");
}

/// Segments carry the payload in order, and the receiver finds nothing wrong with any.
fn segments_come_out_right(input: &mut Input<'_>, frame: &[u8], parsed: &Parsed) {
    let Some(mut ask) = honest(parsed) else { return };
    let (outer, inner) = (&parsed.outer, parsed.innermost());
    if !matches!(inner.l4, L4::Tcp | L4::Udp) {
        return;
    }
    let mut frame = frame[..inner.l3_end as usize].to_vec();
    plain::seed(&mut frame, inner, false);
    if ask.tunnel.is_some_and(|outer| outer.l4t_cs) {
        plain::seed(&mut frame, outer, false);
    }
    let headers = parsed.payload();
    let len = (frame.len() - headers) as u32;
    let mss = 64 + u16::from(input.u8());
    ask.tso = Some(Tso { mss, len });
    let mut payload: Vec<u8> = vec![];
    let told = segment(&frame, &ask, &mut Scratch::default(), |one| {
        let again = parse(one);
        let checks = verify(one, &again);
        assert!(!(checks.ipe || checks.l4e || checks.eipe || checks.eudpe), "{checks:?}");
        assert_eq!((again.ptype, again.payload()), (parsed.ptype, headers));
        assert_eq!(again.innermost().l3_end as usize, one.len());
        payload.extend(&one[headers..]);
    });
    match told {
        Ok(told) => {
            assert_eq!(told, len.div_ceil(mss.into()));
            assert_eq!(payload, frame[headers..]);
        }
        Err(error) => assert_eq!(len, 0, "{error}"),
    }
}
