//! Frames whose every byte follows from their flow and number.

use crate::content::{fill, mix};

/// An Ethernet address.
pub type Mac = [u8; 6];

/// The port of a server that sends datagrams back (RFC 862).
pub(crate) const ECHO: u16 = 7;
/// The port of a server that takes datagrams (RFC 863).
pub(crate) const DISCARD: u16 = 9;
/// The port of a server that takes a stream.
pub(crate) const STREAM: u16 = 5001;

/// Begins the payload of a datagram.
const MAGIC: u32 = u32::from_le_bytes(*b"siov");
/// Magic, flow and number.
const STAMP: usize = 16;

const ETH: usize = 14;
const UDP: usize = 8;
const TCP: usize = 20;
const ACK: u8 = 0x10;
const PSH: u8 = 0x08;

/// What carries a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Datagrams, to an echo server or to one that takes them.
    Udp {
        /// They are sent back.
        echo: bool,
    },
    /// A stream of bytes.
    Tcp,
}

/// Who sends what to whom: the addresses of the headers follow from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    /// The sender.
    pub src: Mac,
    /// The receiver.
    pub dst: Mac,
    /// The flow's number among the sender's.
    pub id: u32,
    /// IPv6 instead of IPv4.
    pub v6: bool,
    /// UDP or TCP.
    pub transport: Transport,
    /// Determines the content, with all of the above.
    pub seed: u64,
}

impl Flow {
    /// Bytes of the network header.
    pub(crate) fn ip_len(&self) -> usize {
        if self.v6 { 40 } else { 20 }
    }

    /// Bytes of all headers.
    pub(crate) fn headers(&self) -> usize {
        ETH + self.ip_len() + if self.transport == Transport::Tcp { TCP } else { UDP }
    }

    /// The smallest datagram, in bytes of the frame.
    pub(crate) fn min_len(&self) -> usize {
        (self.headers() + STAMP).max(60)
    }

    fn content(&self) -> u64 {
        let mac = |mac: Mac| mac.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        let parts = [mac(self.src), mac(self.dst), u64::from(self.id)];
        parts.iter().fold(self.seed, |sum, part| mix(sum ^ part).wrapping_add(1))
    }

    fn ports(&self) -> (u16, u16) {
        let from = 1024 + (self.id % crate::sender::FLOWS) as u16;
        match self.transport {
            Transport::Udp { echo: true } => (from, ECHO),
            Transport::Udp { echo: false } => (from, DISCARD),
            Transport::Tcp => (from, STREAM),
        }
    }

    /// The sequence number of a stream's position.
    fn sequence(&self, offset: u64) -> u32 {
        (mix(self.content()) as u32).wrapping_add(offset as u32)
    }

    /// The position nearest to `near` that has this sequence number.
    pub(crate) fn offset(&self, sequence: u32, near: u64) -> u64 {
        let ahead = sequence.wrapping_sub(self.sequence(near)) as i32;
        near.saturating_add_signed(i64::from(ahead))
    }

    /// The same flow the other way round.
    fn back(&self) -> Self {
        Self { src: self.dst, dst: self.src, ..*self }
    }
}

/// What is left to the device, by a driver whose stack leaves it (CHECKSUM_PARTIAL).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Partial {
    /// The IPv4 header's checksum is zero, and its length too where segments are cut.
    pub ip: bool,
    /// The transport's checksum field holds the pseudo header's sum.
    pub l4: bool,
    /// Lengths are the device's: it cuts segments.
    pub lengths: bool,
}

/// Makes a datagram with `len` bytes, at least as many as the headers and the number take.
pub fn datagram(to: &mut Vec<u8>, flow: &Flow, number: u64, len: usize) {
    datagram_with(to, flow, number, len, Partial::default());
}

pub(crate) fn datagram_with(to: &mut Vec<u8>, flow: &Flow, number: u64, len: usize, left: Partial) {
    let len = len.max(flow.min_len());
    to.clear();
    to.resize(len, 0);
    let seed = mix(flow.content() ^ mix(number));
    let (head, payload) = to.split_at_mut(flow.headers());
    fill(payload, seed, 0);
    put(payload, 0, &MAGIC.to_le_bytes());
    put(payload, 4, &flow.id.to_le_bytes());
    put(payload, 8, &number.to_le_bytes());
    ip(head, flow, flow.ports().0, len, number as u16, left);
    let at = ETH + flow.ip_len();
    put(head, at + 4, &((len - at) as u16).to_be_bytes());
    finish(to, flow, left);
}

/// Makes a piece of a stream: `len` bytes from position `offset` on.
pub fn segment(to: &mut Vec<u8>, flow: &Flow, offset: u64, len: usize, push: bool) {
    segment_with(to, flow, offset, len, push, offset as u16, Partial::default());
}

pub(crate) fn segment_with(
    to: &mut Vec<u8>,
    flow: &Flow,
    offset: u64,
    len: usize,
    push: bool,
    ident: u16,
    left: Partial,
) {
    let headers = flow.headers();
    to.clear();
    to.resize(headers + len, 0);
    let (head, payload) = to.split_at_mut(headers);
    fill(payload, flow.content(), offset);
    ip(head, flow, flow.ports().0, headers + len, ident, left);
    tcp(head, flow, flow.sequence(offset), 0, if push { ACK | PSH } else { ACK });
    finish(to, flow, left);
}

/// Makes what a receiver of a stream sends back: it has the bytes up to `offset`.
pub(crate) fn ack(to: &mut Vec<u8>, flow: &Flow, offset: u64) {
    let back = flow.back();
    let headers = flow.headers();
    to.clear();
    to.resize(headers, 0);
    ip(to, &back, STREAM, headers, offset as u16, Partial::default());
    tcp(to, flow, 0, flow.sequence(offset), ACK);
    let ports = flow.ports();
    let at = ETH + flow.ip_len();
    put(to, at, &ports.1.to_be_bytes());
    put(to, at + 2, &ports.0.to_be_bytes());
    finish(to, &back, Partial::default());
    // Short frames are padded on their way.
    to.resize(headers.max(60), 0);
}

fn tcp(head: &mut [u8], flow: &Flow, sequence: u32, acknowledged: u32, flags: u8) {
    let at = ETH + flow.ip_len();
    put(head, at + 4, &sequence.to_be_bytes());
    put(head, at + 8, &acknowledged.to_be_bytes());
    put(head, at + 12, &[0x50, flags, 0xFF, 0xFF]);
}

fn ip(head: &mut [u8], flow: &Flow, from: u16, len: usize, ident: u16, left: Partial) {
    let (_, service) = flow.ports();
    put(head, 0, &flow.dst);
    put(head, 6, &flow.src);
    let protocol = if flow.transport == Transport::Tcp { 6 } else { 17 };
    let inside = |header: usize| if left.lengths { 0 } else { (len - ETH - header) as u16 };
    if flow.v6 {
        put(head, 12, &[0x86, 0xDD, 0x60]);
        put(head, 18, &inside(40).to_be_bytes());
        put(head, 20, &[protocol, 64]);
        for (at, mac) in [(22, flow.src), (38, flow.dst)] {
            put(head, at, &[0xFD]);
            put(head, at + 10, &mac);
        }
    } else {
        put(head, 12, &[8, 0, 0x45, 0]);
        put(head, 16, &inside(0).to_be_bytes());
        put(head, 18, &ident.to_be_bytes());
        put(head, 20, &[0x40, 0, 64, protocol]);
        for (at, mac) in [(26, flow.src), (30, flow.dst)] {
            let [_, _, _, a, b, c] = mac;
            put(head, at, &[10, a, b, c]);
        }
        if !left.ip {
            let sum = !ones_sum(head.get(ETH..ETH + 20).unwrap_or_default(), 0);
            put(head, 24, &sum.to_be_bytes());
        }
    }
    let at = ETH + flow.ip_len();
    put(head, at, &from.to_be_bytes());
    put(head, at + 2, &service.to_be_bytes());
}

/// The transport's checksum: of all, or of what the device does not add.
fn finish(frame: &mut [u8], flow: &Flow, left: Partial) {
    let (start, len) = if flow.v6 { (22, 32) } else { (26, 8) };
    let at = ETH + flow.ip_len();
    let tcp = flow.transport == Transport::Tcp;
    let field = at + if tcp { 16 } else { 6 };
    let length = if left.lengths { 0 } else { (frame.len() - at) as u32 };
    let first = length + if tcp { 6 } else { 17 };
    let pseudo = ones_sum(frame.get(start..start + len).unwrap_or_default(), first);
    let sum = if left.l4 {
        pseudo
    } else {
        let sum = !ones_sum(frame.get(at..).unwrap_or_default(), u32::from(pseudo));
        if sum == 0 && !tcp { 0xFFFF } else { sum }
    };
    put(frame, field, &sum.to_be_bytes());
}

/// What a frame claims to be, so that it can be made anew and compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// A datagram of a flow.
    Datagram {
        /// The flow, as the sender knows it.
        flow: Flow,
        /// Its number.
        number: u64,
        /// It comes back from the server.
        reply: bool,
    },
    /// A piece of a stream.
    Segment {
        /// The flow; its number is not known to be the sender's beyond the port.
        flow: Flow,
        /// The sequence number.
        sequence: u32,
        /// The IPv4 identification.
        ident: u16,
        /// The push flag.
        push: bool,
        /// Bytes of the stream, as the IP header tells.
        len: usize,
    },
    /// An acknowledgement of a stream.
    Ack {
        /// The flow, as the sender of the stream knows it.
        flow: Flow,
        /// The sequence number.
        sequence: u32,
    },
}

/// What a frame claims to be; `None` when it is none of ours.
pub(crate) fn claim(frame: &[u8], seed: u64) -> Option<Claim> {
    let (dst, src) = (part::<6>(frame, 0)?, part::<6>(frame, 6)?);
    let (v6, protocol) = match be16(frame, 12)? {
        0x0800 if frame.get(ETH) == Some(&0x45) => (false, *frame.get(23)?),
        0x86DD => (true, *frame.get(20)?),
        _ => return None,
    };
    let at = ETH + if v6 { 40 } else { 20 };
    let (from, to) = (be16(frame, at)?, be16(frame, at + 2)?);
    let echo = from == ECHO || to == ECHO;
    let transport = if protocol == 6 { Transport::Tcp } else { Transport::Udp { echo } };
    let mut flow = Flow { src, dst, id: 0, v6, transport, seed };
    match protocol {
        17 if [from, to].iter().any(|port| [ECHO, DISCARD].contains(port)) => {
            let payload = frame.get(flow.headers()..)?;
            let magic = u32::from_le_bytes(part(payload, 0)?);
            flow.id = u32::from_le_bytes(part(payload, 4)?);
            let number = u64::from_le_bytes(part(payload, 8)?);
            let reply = from == ECHO;
            let flow = if reply { flow.back() } else { flow };
            (magic == MAGIC).then_some(Claim::Datagram { flow, number, reply })
        }
        6 if to == STREAM => {
            flow.id = u32::from(from.checked_sub(1024)?);
            let sequence = u32::from_be_bytes(part(frame, at + 4)?);
            let ident = if v6 { 0 } else { be16(frame, 18)? };
            let push = *frame.get(at + 13)? & PSH != 0;
            // A short frame is padded, so the IP header tells how long the packet is.
            let packet = if v6 { be16(frame, 18)?.saturating_add(40) } else { be16(frame, 16)? };
            let len = (ETH + usize::from(packet)).checked_sub(flow.headers())?;
            Some(Claim::Segment { flow, sequence, ident, push, len })
        }
        6 if from == STREAM => {
            flow.id = u32::from(to.checked_sub(1024)?);
            let sequence = u32::from_be_bytes(part(frame, at + 8)?);
            Some(Claim::Ack { flow: flow.back(), sequence })
        }
        _ => None,
    }
}

/// Turns a datagram round: who sent it is who gets it. No checksum changes.
pub(crate) fn swap(frame: &mut [u8]) {
    let v6 = be16(frame, 12) == Some(0x86DD);
    let (start, len, at) = if v6 { (22, 16, 54) } else { (26, 4, 34) };
    for (from, len) in [(0, 6), (start, len), (at, 2)] {
        let Some(pair) = frame.get_mut(from..from + 2 * len) else { return };
        pair.rotate_left(len);
    }
}

/// The sum of 16-bit words in ones' complement, as big-endian numbers, with `first` added.
pub(crate) fn ones_sum(bytes: &[u8], first: u32) -> u16 {
    let mut sum = u64::from(first);
    let mut chunks = bytes.chunks_exact(4);
    for chunk in &mut chunks {
        sum += u64::from(u32::from_be_bytes(part(chunk, 0).unwrap_or_default()));
    }
    match *chunks.remainder() {
        [a] => sum += u64::from(a) << 8,
        [a, b] => sum += u64::from(a) << 8 | u64::from(b),
        [a, b, c] => sum += (u64::from(a) << 8 | u64::from(b)) + (u64::from(c) << 8),
        _ => {}
    }
    while sum >> 16 != 0 {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    sum as u16
}

fn put(to: &mut [u8], at: usize, bytes: &[u8]) {
    to.iter_mut().skip(at).zip(bytes).for_each(|(to, from)| *to = *from);
}

fn part<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    part(bytes, at).map(u16::from_be_bytes)
}
