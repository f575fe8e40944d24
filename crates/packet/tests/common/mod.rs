//! Frames built the plain way: what the crate does fast, this does one byte or bit at a time.
#![allow(dead_code, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

pub const MAC_A: [u8; 6] = [0x02, 0, 0, 0, 0, 0x0A];
pub const MAC_B: [u8; 6] = [0x02, 0, 0, 0, 0, 0x0B];
pub const V4_A: [u8; 4] = [10, 1, 2, 3];
pub const V4_B: [u8; 4] = [192, 168, 77, 9];
pub const V6_A: [u8; 16] = [0x20, 1, 0xD, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xA];
pub const V6_B: [u8; 16] = [0x20, 1, 0xD, 0xB8, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 0xB];
pub const TCP: u8 = 6;
pub const UDP: u8 = 17;
pub const SCTP: u8 = 132;

pub fn cat(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// The ones'-complement sum in 16 bits, not complemented.
pub fn plain_sum(bytes: &[u8]) -> u16 {
    let mut sum = 0_u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    sum as u16
}

pub fn plain_crc32c(bytes: &[u8]) -> u32 {
    let mut crc = !0_u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82F6_3B78 } else { crc >> 1 };
        }
    }
    !crc
}

pub fn eth(tags: &[(u16, u16)], ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = cat(&[&MAC_B, &MAC_A]);
    for (tpid, tci) in tags {
        frame.extend(tpid.to_be_bytes());
        frame.extend(tci.to_be_bytes());
    }
    frame.extend(ethertype.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The addresses and the version of an IP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ip {
    V4([u8; 4], [u8; 4]),
    V6([u8; 16], [u8; 16]),
}

pub const IP4: Ip = Ip::V4(V4_A, V4_B);
pub const IP6: Ip = Ip::V6(V6_A, V6_B);

impl Ip {
    pub fn ethertype(self) -> u16 {
        match self {
            Self::V4(..) => 0x0800,
            Self::V6(..) => 0x86DD,
        }
    }

    /// The number that an outer IP header or a tunnel announces this one with.
    pub fn protocol(self) -> u8 {
        match self {
            Self::V4(..) => 4,
            Self::V6(..) => 41,
        }
    }

    pub fn addresses(self) -> Vec<u8> {
        match self {
            Self::V4(src, dst) => cat(&[&src, &dst]),
            Self::V6(src, dst) => cat(&[&src, &dst]),
        }
    }

    /// The sum of the pseudo header.
    pub fn pseudo(self, protocol: u8, len: usize) -> u16 {
        let tail = [(len as u32).to_be_bytes(), [0, 0, 0, protocol]].concat();
        plain_sum(&cat(&[&self.addresses(), &tail]))
    }

    /// A packet without options.
    pub fn packet(self, protocol: u8, payload: &[u8]) -> Vec<u8> {
        match self {
            Self::V4(..) => self.v4(protocol, 0x4000, &[], payload),
            Self::V6(..) => self.v6(protocol, payload.len(), payload),
        }
    }

    pub fn v4(self, protocol: u8, fragment: u16, options: &[u8], payload: &[u8]) -> Vec<u8> {
        let header = 20 + options.len();
        let mut packet = vec![0x40 | (header / 4) as u8, 0x28];
        packet.extend(((header + payload.len()) as u16).to_be_bytes());
        packet.extend([0xBE, 0xEF]);
        packet.extend(fragment.to_be_bytes());
        packet.extend([63, protocol, 0, 0]);
        packet.extend(self.addresses());
        packet.extend(options);
        let sum = !plain_sum(&packet);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
        packet.extend(payload);
        packet
    }

    pub fn v6(self, next: u8, len: usize, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x6A, 0xB1, 0x23, 0x45];
        packet.extend((len as u16).to_be_bytes());
        packet.extend([next, 63]);
        packet.extend(self.addresses());
        packet.extend(payload);
        packet
    }
}

/// A transport header with `payload` and the checksum that `ip` gives it.
pub fn l4(ip: Ip, protocol: u8, ports: (u16, u16), payload: &[u8]) -> Vec<u8> {
    let mut bytes = l4_without_checksum(protocol, ports, payload);
    let at = match protocol {
        TCP => 16,
        UDP => 6,
        SCTP => {
            let crc = plain_crc32c(&bytes);
            bytes[8..12].copy_from_slice(&crc.to_le_bytes());
            return bytes;
        }
        _ => return bytes,
    };
    let sum = plain_sum(&cat(&[&ip.pseudo(protocol, bytes.len()).to_be_bytes(), &bytes]));
    let sum = if protocol == UDP && sum == 0xFFFF { 0xFFFF } else { !sum };
    bytes[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    bytes
}

/// The same with a checksum field of zero; other protocols than the three get a bare payload.
pub fn l4_without_checksum(protocol: u8, (src, dst): (u16, u16), payload: &[u8]) -> Vec<u8> {
    let mut bytes = cat(&[&src.to_be_bytes(), &dst.to_be_bytes()]);
    match protocol {
        TCP => {
            bytes.extend(0xFFFF_FF00_u32.to_be_bytes());
            bytes.extend([0, 0, 0, 1, 0x80, 0x99, 0x10, 0, 0, 0, 0, 0]);
            bytes.extend([1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]);
        }
        UDP => {
            bytes.extend(((payload.len() + 8) as u16).to_be_bytes());
            bytes.extend([0, 0]);
        }
        SCTP => bytes.extend([0, 0, 0, 7, 0, 0, 0, 0]),
        _ => bytes.clear(),
    }
    bytes.extend(payload);
    bytes
}

/// Bytes of the transport header that [`l4`] builds.
pub fn l4_len(protocol: u8) -> usize {
    match protocol {
        TCP => 32,
        UDP => 8,
        SCTP => 12,
        _ => 0,
    }
}

/// A whole frame.
pub fn frame(tags: &[(u16, u16)], ip: Ip, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let transport = l4(ip, protocol, (0x1234, 0x5678), payload);
    eth(tags, ip.ethertype(), &ip.packet(protocol, &transport))
}

/// The kinds of tunnel headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    IpIp,
    Gre { flags: u16 },
    Nvgre,
    Vxlan,
    Geneve { options: usize },
    GeneveIp,
}

impl Way {
    pub fn carries_mac(self) -> bool {
        matches!(self, Self::Nvgre | Self::Vxlan | Self::Geneve { .. })
    }

    /// The outer UDP port, if there is one.
    pub fn port(self) -> Option<u16> {
        match self {
            Self::Vxlan => Some(4789),
            Self::Geneve { .. } | Self::GeneveIp => Some(6081),
            _ => None,
        }
    }

    /// Bytes from the end of the outer IP header to what is inside.
    pub fn len(self) -> usize {
        match self {
            Self::IpIp => 0,
            Self::Gre { flags } => 4 + 4 * (flags & 0xB000).count_ones() as usize,
            Self::Nvgre => 8,
            Self::Vxlan | Self::GeneveIp => 16,
            Self::Geneve { options } => 16 + 4 * options,
        }
    }

    /// The outer payload around `inside`, which is an Ethernet frame or an IP packet of `inner`.
    pub fn wrap(self, outer: Ip, inner: Ip, inside: &[u8]) -> (u8, Vec<u8>) {
        let gre = |flags: u16, ethertype: u16| {
            let mut bytes = cat(&[&flags.to_be_bytes(), &ethertype.to_be_bytes()]);
            bytes.resize(4 + 4 * (flags & 0xB000).count_ones() as usize, 0x5A);
            bytes.extend(inside);
            (47, bytes)
        };
        let geneve = |options: usize, ethertype: u16| {
            let mut bytes = vec![options as u8, 0];
            bytes.extend(ethertype.to_be_bytes());
            bytes.resize(8 + 4 * options, 0);
            bytes.extend(inside);
            (UDP, l4(outer, UDP, (0xC000, 6081), &bytes))
        };
        match self {
            Self::IpIp => (inner.protocol(), inside.to_vec()),
            Self::Gre { flags } => gre(flags, inner.ethertype()),
            Self::Nvgre => gre(0x2000, 0x6558),
            Self::Vxlan => {
                let bytes = cat(&[&[8, 0, 0, 0, 0, 1, 2, 0], inside]);
                (UDP, l4(outer, UDP, (0xC000, 4789), &bytes))
            }
            Self::Geneve { options } => geneve(options, 0x6558),
            Self::GeneveIp => geneve(0, inner.ethertype()),
        }
    }
}

/// A whole frame with a tunnel; `tags` are those of the inner Ethernet header.
pub fn tunnelled(
    outer: Ip,
    way: Way,
    tags: &[(u16, u16)],
    inner: Ip,
    protocol: u8,
    payload: &[u8],
) -> Vec<u8> {
    let transport = l4(inner, protocol, (0x1234, 0x5678), payload);
    let mut inside = inner.packet(protocol, &transport);
    if way.carries_mac() {
        inside = eth(tags, inner.ethertype(), &inside);
    }
    let (number, bytes) = way.wrap(outer, inner, &inside);
    eth(&[], outer.ethertype(), &outer.packet(number, &bytes))
}
