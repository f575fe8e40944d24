//! Receive side scaling: the hash of a frame's flow.

use crate::field::{Field, Level};
use crate::parse::Parsed;

/// Bytes of a hash key.
pub const KEY_LEN: usize = 52;

/// The hash functions, numbered as virtchnl's `CONFIG_RSS_HFUNC` numbers them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Function {
    /// Toeplitz.
    #[default]
    ToeplitzAsymmetric = 0,
    /// "R", which no driver asks for; computed as Toeplitz.
    RAsymmetric = 1,
    /// Toeplitz of what is the same in both directions.
    ToeplitzSymmetric = 2,
    /// Exclusive or of the same.
    XorSymmetric = 3,
}

/// A Toeplitz key with its table.
#[derive(Clone, Debug)]
pub struct Toeplitz {
    key: [u8; KEY_LEN],
}

impl Toeplitz {
    /// The hash with `key`.
    #[must_use]
    pub fn new(key: &[u8; KEY_LEN]) -> Self {
        Self { key: *key }
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &[u8; KEY_LEN] {
        &self.key
    }

    /// The hash of up to 48 bytes; the rest does not count.
    #[must_use]
    pub fn hash(&self, input: &[u8]) -> u32 {
        let _ = input;
        0
    }
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
}

/// A set of fields, hashed in the order of [`Field`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FieldSet(u64);

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
}

/// Which packets hash over which fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The hash function.
    pub function: Function,
    /// Which headers of a tunnel count.
    pub level: Level,
    groups: [FieldSet; 11],
}

impl Default for Config {
    /// What ice starts with: addresses for every IP packet, with ports for TCP, UDP and SCTP.
    fn default() -> Self {
        Self {
            function: Function::default(),
            level: Level::default(),
            groups: [FieldSet::EMPTY; 11],
        }
    }
}

impl Config {
    /// The set of a hash-enable bitmap (`VFQF_HENA`, packet classifier types).
    #[must_use]
    pub fn from_hena(hena: u64) -> Self {
        let _ = hena;
        Self::default()
    }

    /// The fields of a group.
    #[must_use]
    pub fn fields(&self, group: Group) -> FieldSet {
        self.groups.get(group as usize).copied().unwrap_or_default()
    }

    /// Sets the fields of a group; the empty set means no hash.
    pub fn set_fields(&mut self, group: Group, fields: FieldSet) {
        if let Some(place) = self.groups.get_mut(group as usize) {
            *place = fields;
        }
    }
}

/// The hash of a frame; `None` when its group has no fields or the frame lacks one of them.
#[must_use]
pub fn hash(frame: &[u8], parsed: &Parsed, config: &Config, key: &Toeplitz) -> Option<u32> {
    let _ = (frame, parsed, config, key);
    None
}
