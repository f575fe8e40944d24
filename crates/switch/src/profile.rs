//! Profiles: which fields of which packets make a flow's key.

use siov_packet::Parsed;
use siov_packet::field::{self, Field, Level};

use crate::set::VsiSet;

/// How many bytes a key has at most: the 24 words of the flow director's field vector.
pub const KEY_MAX: usize = 48;

/// A set of packet types.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ptypes([u64; 4]);

impl Ptypes {
    /// All of them.
    pub const ALL: Self = Self([u64::MAX; 4]);

    /// Puts one in.
    pub fn insert(&mut self, ptype: u8) {
        if let Some(word) = self.0.get_mut(usize::from(ptype / 64)) {
            *word |= 1 << (ptype % 64);
        }
    }

    /// Whether one is in it.
    pub fn contains(&self, ptype: u8) -> bool {
        self.0.get(usize::from(ptype / 64)).is_some_and(|word| word >> (ptype % 64) & 1 == 1)
    }
}

impl FromIterator<u8> for Ptypes {
    fn from_iter<I: IntoIterator<Item = u8>>(ptypes: I) -> Self {
        let mut set = Self::default();
        ptypes.into_iter().for_each(|ptype| set.insert(ptype));
        set
    }
}

/// What firmware sets for a profile number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// The fields of the key, in order.
    pub fields: Vec<(Level, Field)>,
    /// The packets that it is for.
    pub ptypes: Ptypes,
    /// The VSIs that use it.
    pub vsis: VsiSet,
}

/// The bytes of a profile's fields in a packet, with whose they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub vsi: u16,
    pub profile: u8,
    len: u8,
    bytes: [u8; KEY_MAX],
}

impl std::hash::Hash for Key {
    /// Only the words in use; the rest is zero.
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        let owner = u64::from(self.vsi) | u64::from(self.profile) << 16 | u64::from(self.len) << 24;
        state.write_u64(owner);
        let words = usize::from(self.len).div_ceil(8);
        for word in self.bytes.as_chunks::<8>().0.iter().take(words) {
            state.write_u64(u64::from_le_bytes(*word));
        }
    }
}

impl Key {
    /// The key of a packet; `None` when it lacks a field or the fields exceed [`KEY_MAX`].
    ///
    /// `swap`: the packet is seen from the transmitter, its network and transport source and destination
    /// reversed.
    pub fn new(
        vsi: u16,
        number: u8,
        profile: &Profile,
        frame: &[u8],
        parsed: &Parsed,
        swap: bool,
    ) -> Option<Self> {
        let mut key = Self { vsi, profile: number, len: 0, bytes: [0; KEY_MAX] };
        for (level, field) in &profile.fields {
            let field = if swap { counterpart(*field) } else { *field };
            key.push(field::extract(frame, parsed, *level, field)?)?;
        }
        Some(key)
    }

    fn push(&mut self, value: field::Value<'_>) -> Option<()> {
        let start = usize::from(self.len);
        let end = start + value.bytes.len();
        let to = self.bytes.get_mut(start..end)?;
        for ((to, byte), mask) in to.iter_mut().zip(value.bytes).zip(value.mask) {
            *to = byte & mask;
        }
        self.len = end as u8;
        Some(())
    }
}

/// The field that a transmitter has in a field's place.
fn counterpart(field: Field) -> Field {
    match field {
        Field::Ipv4Src => Field::Ipv4Dst,
        Field::Ipv4Dst => Field::Ipv4Src,
        Field::Ipv6Src => Field::Ipv6Dst,
        Field::Ipv6Dst => Field::Ipv6Src,
        Field::TcpSrcPort => Field::TcpDstPort,
        Field::TcpDstPort => Field::TcpSrcPort,
        Field::UdpSrcPort => Field::UdpDstPort,
        Field::UdpDstPort => Field::UdpSrcPort,
        Field::SctpSrcPort => Field::SctpDstPort,
        Field::SctpDstPort => Field::SctpSrcPort,
        other => other,
    }
}
