//! The same computations, as plain as can be: byte by byte, bit by bit.

use siov_packet::field::{Field, Level, extract};
use siov_packet::rss::{Config, Function, Group, KEY_LEN};
use siov_packet::{Checks, L3, L4, Layer, Parsed, Tunnel};

/// RFC 1071, a word at a time.
fn sum(bytes: &[u8]) -> u32 {
    let words =
        bytes.chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0)));
    words.fold(0, |sum, word| fold(sum + word))
}

fn fold(sum: u32) -> u32 {
    if sum > 0xFFFF { (sum & 0xFFFF) + (sum >> 16) } else { sum }
}

fn pseudo(frame: &[u8], layer: &Layer, length: usize) -> u32 {
    let at = usize::from(layer.l3_offset);
    let addresses =
        if layer.l3 == L3::V4 { &frame[at + 12..at + 20] } else { &frame[at + 8..at + 40] };
    let protocol = if layer.l4 == L4::Tcp { 6 } else { 17 };
    let length = fold((length >> 16) as u32 + (length & 0xFFFF) as u32);
    fold(fold(sum(addresses) + length) + protocol)
}

fn be16(frame: &[u8], at: usize) -> usize {
    usize::from(frame[at]) << 8 | usize::from(frame[at + 1])
}

/// Whether the transport checksum is right, and whether a UDP checksum was left out.
fn l4(frame: &[u8], layer: &Layer) -> (bool, bool) {
    let (at, end) = (usize::from(layer.l4_offset), layer.l3_end as usize);
    match layer.l4 {
        L4::None | L4::Icmp => (true, false),
        L4::Tcp => {
            let right = fold(pseudo(frame, layer, end - at) + sum(&frame[at..end])) == 0xFFFF;
            (!layer.length_lies && (layer.rerouted || right), false)
        }
        L4::Udp => {
            let (length, absent) = (be16(frame, at + 4), be16(frame, at + 6) == 0);
            if length < 8 || at + length > end {
                return (false, absent);
            }
            let covered = &frame[at..at + length];
            let right = fold(pseudo(frame, layer, length) + sum(covered)) == 0xFFFF;
            (absent || layer.rerouted || right, absent)
        }
        L4::Sctp => {
            let mut packet = frame[at..end].to_vec();
            packet[8..12].fill(0);
            let right = crc32c(&packet).to_le_bytes() == frame[at + 8..at + 12];
            (!layer.length_lies && right, false)
        }
    }
}

fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = !0u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = crc >> 1 ^ if crc & 1 != 0 { 0x82F6_3B78 } else { 0 };
        }
    }
    !crc
}

fn ip_is_wrong(frame: &[u8], layer: &Layer) -> bool {
    let at = usize::from(layer.l3_offset);
    layer.l3 == L3::V4
        && (layer.length_lies || sum(&frame[at..at + usize::from(layer.l3_len)]) != 0xFFFF)
}

/// The checks of every checksum there is.
pub fn verify(frame: &[u8], parsed: &Parsed) -> Checks {
    let (outer, layer) = (&parsed.outer, parsed.innermost());
    if outer.l3 == L3::None {
        return Checks::default();
    }
    let (right, absent) = l4(frame, layer);
    let mut checks = Checks {
        l3l4p: true,
        ipe: ip_is_wrong(frame, layer),
        l4e: !right || absent && layer.l3 == L3::V6,
        ipv6exadd: layer.ipv6exadd || outer.ipv6exadd,
        int_udp0: absent,
        ..Checks::default()
    };
    if parsed.tunnel != Tunnel::None {
        let (right, absent) = l4(frame, outer);
        (checks.eipe, checks.eudpe, checks.ext_udp0) = (ip_is_wrong(frame, outer), !right, absent);
    }
    checks
}

/// The Toeplitz hash, a bit at a time (MS-RSS).
pub fn toeplitz(key: &[u8; KEY_LEN], bytes: &[u8]) -> u32 {
    let bit = |bytes: &[u8], n: usize| bytes[n / 8] >> (7 - n % 8) & 1;
    let mut hash = 0;
    for n in (0..bytes.len() * 8).filter(|n| bit(bytes, *n) == 1) {
        hash ^= (0..32).fold(0, |window, k| window << 1 | u32::from(bit(key, n + k)));
    }
    hash
}

/// The hash over fields one after the other, with a function that isn't symmetric.
pub fn hash(frame: &[u8], parsed: &Parsed, config: &Config, key: &[u8; KEY_LEN]) -> Option<u32> {
    assert_eq!(config.function, Function::ToeplitzAsymmetric);
    let inner = config.inner(Group::of(&parsed.inner)).fields;
    let (level, fields) = if parsed.tunnel != Tunnel::None && !inner.is_empty() {
        (Level::Inner, inner)
    } else {
        (Level::Outer, config.outer(Group::of(&parsed.outer)).fields)
    };
    if fields.is_empty() {
        return None;
    }
    let mut bytes = vec![];
    for field in fields.iter() {
        let value = extract(frame, parsed, level, field)?;
        bytes.extend(value.bytes.iter().zip(value.mask).map(|(byte, mask)| byte & mask));
    }
    bytes.truncate(48);
    Some(toeplitz(key, &bytes))
}

/// The frame that goes the other way: addresses and ports of all levels change places.
pub fn answer(frame: &[u8], parsed: &Parsed) -> Option<Vec<u8>> {
    let mut back = frame.to_vec();
    let mut swap = |at: usize, len: usize| {
        for n in at..at + len {
            back.swap(n, n + len);
        }
    };
    for layer in [&parsed.outer, &parsed.inner] {
        if layer.has_mac {
            swap(layer.mac.into(), 6);
        }
        match layer.l3 {
            L3::None => {}
            L3::V4 => swap(usize::from(layer.l3_offset) + 12, 4),
            L3::V6 => swap(usize::from(layer.l3_offset) + 8, 16),
        }
        if matches!(layer.l4, L4::Tcp | L4::Udp | L4::Sctp) {
            swap(layer.l4_offset.into(), 2);
        }
    }
    // A port that means something may have come to stand where it means it.
    let again = siov_packet::parse(&back);
    let known = |parsed: &Parsed| {
        let of = |field| extract(frame, parsed, Level::Innermost, field).is_some();
        Field::ALL.map(of)
    };
    (again == *parsed && known(&again) == known(parsed)).then_some(back)
}

/// A UDP header covers what is left of its packet.
pub fn fit_udp_length(frame: &mut [u8], layer: &Layer) {
    if layer.l4 == L4::Udp {
        let length = (layer.l3_end as usize - usize::from(layer.l4_offset)) as u16;
        let at = usize::from(layer.l4_offset) + 4;
        frame[at..at + 2].copy_from_slice(&length.to_be_bytes());
    }
}

/// The pseudo header's sum into the checksum's field, with the length or without.
pub fn seed(frame: &mut [u8], layer: &Layer, length: bool) {
    let at = usize::from(layer.l4_offset);
    let place = match layer.l4 {
        L4::Tcp => at + 16,
        L4::Udp => at + 6,
        _ => return,
    };
    let length = if length { layer.l3_end as usize - at } else { 0 };
    let sum = pseudo(frame, layer, length) as u16;
    frame[place..place + 2].copy_from_slice(&sum.to_be_bytes());
}
