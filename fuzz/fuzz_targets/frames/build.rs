//! Frames that are nearly right: headers one upon the other, with lengths that fit unless they are to lie.

use crate::input::Input;

/// A frame of a few headers, with the rest of the input's next bytes as its payload.
pub fn frame(input: &mut Input<'_>) -> Vec<u8> {
    let shape = input.u64();
    let len = usize::from(input.u8()) * if shape >> 60 == 0 { 100 } else { 1 };
    let mut bytes: Vec<u8> =
        (0..len.min(20_000)).map(|n| input.u8().wrapping_add(n as u8)).collect();
    let lie = if shape >> 56 & 15 == 15 { input.u8() } else { 0 };
    if shape & 8 != 0 {
        bytes = stack(input, shape >> 16, lie, bytes);
        let proto;
        (bytes, proto) = tunnel(shape >> 4, bytes);
        bytes = ip(input, shape >> 40, lie, proto, bytes);
    } else {
        bytes = stack(input, shape >> 16, lie, bytes);
    }
    let version = bytes.first().map_or(0, |first| first >> 4);
    ethernet(shape, if version == 6 { 0x86DD } else { 0x0800 }, bytes)
}

/// An IP packet with a transport header.
fn stack(input: &mut Input<'_>, shape: u64, lie: u8, payload: Vec<u8>) -> Vec<u8> {
    let port = |input: &mut Input<'_>| match input.u8() {
        0 => 4789u16,
        1 => 6081,
        2 => 2152,
        3 => 8805,
        other => u16::from(other) << 4,
    };
    let mut head = vec![];
    head.extend(port(input).to_be_bytes());
    head.extend(port(input).to_be_bytes());
    let protocol = match shape & 7 {
        0..3 => {
            let options = (shape >> 3 & 1) as u8 * 2;
            head.extend([1, 2, 3, 4, 5, 6, 7, 8, (5 + options) << 4, input.u8(), 1, 0, 0, 0, 0, 0]);
            head.extend(vec![1; usize::from(options) * 4]);
            6
        }
        3..5 => {
            head.extend((8 + payload.len() as u16).wrapping_add(lie.into()).to_be_bytes());
            head.extend([input.u8(), input.u8()]);
            17
        }
        5 => {
            head.extend([0; 8]);
            132
        }
        6 => 50,
        _ => input.u8(),
    };
    ip(input, shape >> 4, lie, protocol, [head, payload].concat())
}

fn ip(input: &mut Input<'_>, shape: u64, lie: u8, protocol: u8, payload: Vec<u8>) -> Vec<u8> {
    let mut head = vec![];
    if shape & 1 == 0 {
        let options = (shape >> 1 & 3 == 3).then_some(2u8).unwrap_or(0);
        let len = (20 + 4 * u16::from(options) + payload.len() as u16).wrapping_add(lie.into());
        let fragment = if shape >> 3 & 15 == 15 { input.u8() << 5 } else { 0x40 };
        head.extend([0x45 + options, 0]);
        head.extend(len.to_be_bytes());
        head.extend([input.u8(), 1, fragment, 0, 64, protocol, input.u8(), input.u8()]);
        head.extend([10, 0, input.u8(), 1, 10, 0, input.u8(), 2]);
        head.extend(vec![1; usize::from(options) * 4]);
    } else {
        let mut extensions = vec![];
        let mut next = protocol;
        for n in 0..shape >> 1 & 3 {
            let kind = [0, 43, 44, 60, 51][(shape >> (3 + 3 * n)) as usize % 5];
            extensions = [vec![next, 0, 0, input.u8() & 1, 0, 0, 0, 0], extensions].concat();
            next = kind;
        }
        let len = ((extensions.len() + payload.len()) as u16).wrapping_add(lie.into());
        head.extend([0x60, 0, 0, 0]);
        head.extend(len.to_be_bytes());
        head.extend([next, 64]);
        head.extend([0xFD; 15]);
        head.push(input.u8());
        head.extend([0xFD; 15]);
        head.push(input.u8());
        head.extend(extensions);
    }
    [head, payload].concat()
}

/// A tunnel's header before an IP packet, and the protocol that carries it.
fn tunnel(shape: u64, inner: Vec<u8>) -> (Vec<u8>, u8) {
    let version = inner.first().map_or(0, |first| first >> 4);
    let ethertype: u16 = if version == 6 { 0x86DD } else { 0x0800 };
    let udp = |port: u16, head: Vec<u8>, inner: Vec<u8>| {
        let mut bytes = vec![0x80, 0];
        bytes.extend(port.to_be_bytes());
        bytes.extend((8 + (head.len() + inner.len()) as u16).to_be_bytes());
        bytes.extend([0, 0]);
        [bytes, head, inner].concat()
    };
    match shape & 7 {
        0 => (inner, if version == 6 { 41 } else { 4 }),
        1 => ([vec![0, 0], ethertype.to_be_bytes().to_vec(), inner].concat(), 47),
        2 => {
            let inside = ethernet(shape >> 3, ethertype, inner);
            ([vec![0x20, 0, 0x65, 0x58, 0, 0, 0, 1], inside].concat(), 47)
        }
        3 | 4 => {
            let inside = ethernet(shape >> 3, ethertype, inner);
            (udp(4789, vec![8, 0, 0, 0, 0, 0, 1, 0], inside), 17)
        }
        5 => {
            let head = [vec![1, 0], ethertype.to_be_bytes().to_vec(), vec![0; 8]].concat();
            (udp(6081, head, inner), 17)
        }
        _ => {
            let inside = ethernet(shape >> 3, ethertype, inner);
            (udp(6081, vec![0, 0, 0x65, 0x58, 0, 0, 1, 0], inside), 17)
        }
    }
}

fn ethernet(shape: u64, ethertype: u16, payload: Vec<u8>) -> Vec<u8> {
    let mut head = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    match shape & 3 {
        0 | 1 => {}
        2 => head.extend([0x81, 0, 0x20, 0x64]),
        _ => head.extend([0x88, 0xA8, 0, 0x64, 0x81, 0, 0, 0x65]),
    }
    head.extend(ethertype.to_be_bytes());
    [head, payload].concat()
}
