//! Which packets hash over which fields.

use crate::field::{Field, Level};
use crate::layer::{Fragment, L3, L4, Layer};

/// The hash functions, numbered as virtchnl's `CONFIG_RSS_HFUNC` numbers them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Function {
    /// Toeplitz.
    #[default]
    ToeplitzAsymmetric = 0,
    /// "R", which no driver asks for; computed as Toeplitz.
    RAsymmetric = 1,
    /// Toeplitz with the exclusive or of source and destination in the place of both.
    ToeplitzSymmetric = 2,
    /// The exclusive or of all fields.
    XorSymmetric = 3,
}

/// The groups of packets that hash over fields of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Group {
    /// Not IP.
    L2,
    /// An IPv4 fragment.
    Ipv4Frag,
    /// IPv4 with another payload.
    Ipv4Other,
    /// UDP over IPv4.
    Ipv4Udp,
    /// TCP over IPv4.
    Ipv4Tcp,
    /// SCTP over IPv4.
    Ipv4Sctp,
    /// ESP over IPv4; without fields of its own it is [`Ipv4Other`](Self::Ipv4Other).
    Ipv4Esp,
    /// An IPv6 fragment.
    Ipv6Frag,
    /// IPv6 with another payload.
    Ipv6Other,
    /// UDP over IPv6.
    Ipv6Udp,
    /// TCP over IPv6.
    Ipv6Tcp,
    /// SCTP over IPv6.
    Ipv6Sctp,
    /// ESP over IPv6; without fields of its own it is [`Ipv6Other`](Self::Ipv6Other).
    Ipv6Esp,
}

const GROUPS: usize = 13;
const IPPROTO_ESP: u8 = 50;

impl Group {
    /// Every group, in order.
    pub const ALL: [Self; GROUPS] = [
        Self::L2,
        Self::Ipv4Frag,
        Self::Ipv4Other,
        Self::Ipv4Udp,
        Self::Ipv4Tcp,
        Self::Ipv4Sctp,
        Self::Ipv4Esp,
        Self::Ipv6Frag,
        Self::Ipv6Other,
        Self::Ipv6Udp,
        Self::Ipv6Tcp,
        Self::Ipv6Sctp,
        Self::Ipv6Esp,
    ];

    /// The group of a level's headers.
    #[must_use]
    #[inline]
    pub fn of(layer: &Layer) -> Self {
        let v4 = match layer.l3 {
            L3::None => return Self::L2,
            L3::V4 => true,
            L3::V6 => false,
        };
        let choose = |four, six| if v4 { four } else { six };
        match (layer.fragment, layer.l4) {
            (Fragment::First | Fragment::Later, _) => choose(Self::Ipv4Frag, Self::Ipv6Frag),
            (_, L4::Udp) => choose(Self::Ipv4Udp, Self::Ipv6Udp),
            (_, L4::Tcp) => choose(Self::Ipv4Tcp, Self::Ipv6Tcp),
            (_, L4::Sctp) => choose(Self::Ipv4Sctp, Self::Ipv6Sctp),
            _ if layer.protocol == IPPROTO_ESP => choose(Self::Ipv4Esp, Self::Ipv6Esp),
            _ => choose(Self::Ipv4Other, Self::Ipv6Other),
        }
    }
}

/// A set of fields, hashed in the order of [`Field`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FieldSet(u32);

impl FieldSet {
    /// The empty set: the group has no hash.
    pub const EMPTY: Self = Self(0);

    /// The set of `fields`.
    #[must_use]
    pub const fn of(fields: &[Field]) -> Self {
        let mut bits = 0;
        let mut rest = fields;
        while let [first, others @ ..] = rest {
            bits |= 1 << *first as u8;
            rest = others;
        }
        Self(bits)
    }

    /// Whether no field is in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The fields of both.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether `field` is in it.
    #[must_use]
    pub const fn contains(self, field: Field) -> bool {
        self.0 & 1 << field as u8 != 0
    }

    /// The fields, in their order.
    pub fn iter(self) -> impl Iterator<Item = Field> {
        Field::ALL.into_iter().filter(move |field| self.contains(*field))
    }
}

/// What a group hashes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Input {
    /// The fields; none for no hash.
    pub fields: FieldSet,
    /// Source and destination count the same, whatever the function.
    pub symmetric: bool,
}

/// Which packets hash over which fields, by group, for outer and inner headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The hash function.
    pub function: Function,
    outer: [Input; GROUPS],
    inner: [Input; GROUPS],
}

const ADDRESSES_V4: [Field; 2] = [Field::Ipv4Src, Field::Ipv4Dst];
const ADDRESSES_V6: [Field; 2] = [Field::Ipv6Src, Field::Ipv6Dst];

/// The groups, each with the bits of the hash-enable bitmap that ask for it, and its usual fields.
const USUAL: [(Group, &[u8], FieldSet); 10] = {
    let v4 = FieldSet::of(&ADDRESSES_V4);
    let v6 = FieldSet::of(&ADDRESSES_V6);
    let tcp = FieldSet::of(&[Field::TcpSrcPort, Field::TcpDstPort]);
    let udp = FieldSet::of(&[Field::UdpSrcPort, Field::UdpDstPort]);
    let sctp = FieldSet::of(&[Field::SctpSrcPort, Field::SctpDstPort]);
    [
        (Group::Ipv4Frag, &[36], v4),
        (Group::Ipv4Other, &[35], v4),
        (Group::Ipv4Udp, &[29, 30, 31], v4.union(udp)),
        (Group::Ipv4Tcp, &[32, 33], v4.union(tcp)),
        (Group::Ipv4Sctp, &[34], v4.union(sctp)),
        (Group::Ipv6Frag, &[46], v6),
        (Group::Ipv6Other, &[45], v6),
        (Group::Ipv6Udp, &[39, 40, 41], v6.union(udp)),
        (Group::Ipv6Tcp, &[42, 43], v6.union(tcp)),
        (Group::Ipv6Sctp, &[44], v6.union(sctp)),
    ]
};

impl Default for Config {
    /// What ice starts with: addresses of every IP packet, with ports for TCP, UDP and, outside
    /// tunnels, SCTP; the parameter index of ESP outside tunnels.
    fn default() -> Self {
        let mut config = Self::from_hena(u64::MAX);
        config.set(Level::Inner, Group::Ipv4Sctp, FieldSet::of(&ADDRESSES_V4), false);
        config.set(Level::Inner, Group::Ipv6Sctp, FieldSet::of(&ADDRESSES_V6), false);
        let spi = FieldSet::of(&[Field::EspSpi]);
        config.set(Level::Outer, Group::Ipv4Esp, spi, false);
        config.set(Level::Outer, Group::Ipv6Esp, spi, false);
        config
    }
}

/// ESP without fields of its own is one of the other payloads.
#[inline]
fn resolve(inputs: &[Input; GROUPS], group: Group) -> Input {
    let of = |group: Group| inputs.get(group as usize).copied().unwrap_or_default();
    match (group, of(group)) {
        (Group::Ipv4Esp, input) if input.fields.is_empty() => of(Group::Ipv4Other),
        (Group::Ipv6Esp, input) if input.fields.is_empty() => of(Group::Ipv6Other),
        (_, input) => input,
    }
}

impl Config {
    /// No group has fields: nothing is hashed.
    #[must_use]
    pub fn empty() -> Self {
        let none = [Input::default(); GROUPS];
        Self { function: Function::default(), outer: none, inner: none }
    }

    /// The groups of a hash-enable bitmap (`VFQF_HENA`, one bit per packet classifier type) with
    /// their usual fields.
    #[must_use]
    pub fn from_hena(hena: u64) -> Self {
        let mut config = Self::empty();
        for (group, bits, fields) in USUAL {
            if bits.iter().any(|bit| hena >> bit & 1 != 0) {
                config.set(Level::Innermost, group, fields, false);
            }
        }
        config
    }

    /// What a group hashes in outer headers.
    #[must_use]
    #[inline]
    pub fn outer(&self, group: Group) -> Input {
        resolve(&self.outer, group)
    }

    /// What a group hashes in the headers inside a tunnel.
    #[must_use]
    #[inline]
    pub fn inner(&self, group: Group) -> Input {
        resolve(&self.inner, group)
    }

    /// Sets what a group hashes at a level, [`Innermost`](Level::Innermost) meaning both; the empty
    /// set means no hash outside tunnels, and the hash of the outer headers inside.
    pub fn set(&mut self, level: Level, group: Group, fields: FieldSet, symmetric: bool) {
        let input = Input { fields, symmetric };
        let index = group as usize;
        if let (Level::Outer | Level::Innermost, Some(place)) = (level, self.outer.get_mut(index)) {
            *place = input;
        }
        if let (Level::Inner | Level::Innermost, Some(place)) = (level, self.inner.get_mut(index)) {
            *place = input;
        }
    }
}
