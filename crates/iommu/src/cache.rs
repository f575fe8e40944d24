//! A set-associative cache with a choice of replacement, the shape of every cache of the unit.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};

/// Which entry of a full set makes room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Replacement {
    /// The one that was not used for the longest time.
    #[default]
    Lru,
    /// About that, by a tree of bits that point away from what was used (the ways a power of two).
    Plru,
    /// The one that was used least often.
    Lfu,
    /// The one that came first.
    Fifo,
    /// Any, by a generator that always starts the same.
    Random,
}

/// What splits a cache that is shared into parts that can't disturb each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PartitionBy {
    /// The domain id.
    #[default]
    Domain,
    /// The PASID.
    Pasid,
}

/// How large a cache is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Geometry {
    /// Nothing is ever kept.
    Off,
    /// Nothing ever makes room.
    Infinite,
    /// `sets` (a power of two) of `ways` each, split into `partitions` (a power of two) of the sets.
    Sets {
        /// Number of sets.
        sets: u32,
        /// Entries in each.
        ways: u32,
        /// Which entry makes room.
        replacement: Replacement,
        /// How many parts the sets are split into.
        partitions: u32,
        /// What a key's part goes by.
        by: PartitionBy,
    },
}

impl Geometry {
    /// `entries` in all, fully associative, LRU.
    pub const fn full(entries: u32) -> Self {
        Self::Sets {
            sets: 1,
            ways: entries,
            replacement: Replacement::Lru,
            partitions: 1,
            by: PartitionBy::Domain,
        }
    }

    /// `sets` of `ways`, LRU.
    pub const fn sets(sets: u32, ways: u32) -> Self {
        Self::Sets {
            sets,
            ways,
            replacement: Replacement::Lru,
            partitions: 1,
            by: PartitionBy::Domain,
        }
    }
}

/// What a cache needs of its keys.
pub trait Key: Copy + Eq + Hash {
    /// Bits that spread over the sets.
    fn spread(&self) -> u64;

    /// Which partition the key belongs to, of as many as there may be.
    fn partition(&self, by: PartitionBy) -> u32 {
        let _ = by;
        0
    }
}

/// Keys with their values, as many as the geometry holds.
#[derive(Clone, Debug)]
pub struct Cache<K, V> {
    body: Body<K, V>,
}

#[derive(Clone, Debug)]
enum Body<K, V> {
    Off,
    Infinite(HashMap<K, V, BuildHasherDefault<Spread>>),
    Sets(Box<Sets<K, V>>),
}

#[derive(Clone, Debug)]
struct Sets<K, V> {
    /// Keys apart from values: a look-up goes through the keys of a set, and touches one value.
    keys: Vec<Option<K>>,
    values: Vec<Option<V>>,
    /// When a line was used last or came in, or how often it was used: what the replacement goes by.
    ranks: Vec<u32>,
    ways: usize,
    /// Sets in one partition, minus 1.
    set_mask: u64,
    partition_mask: u32,
    by: PartitionBy,
    replacement: Replacement,
    /// For each set, the bits of the PLRU tree.
    trees: Vec<u64>,
    clock: u32,
    random: u32,
}

impl<K: Key, V: Copy> Cache<K, V> {
    /// An empty cache. Sets and partitions are rounded up to powers of two, ways to 1 at least.
    pub fn new(geometry: Geometry) -> Self {
        let body = match geometry {
            Geometry::Off => Body::Off,
            Geometry::Infinite => Body::Infinite(HashMap::default()),
            Geometry::Sets { sets, ways, replacement, partitions, by } => {
                let partitions = partitions.max(1).next_power_of_two();
                let sets = sets.max(partitions).next_power_of_two();
                let ways = ways.max(1) as usize;
                Body::Sets(Box::new(Sets {
                    keys: vec![None; sets as usize * ways],
                    values: vec![None; sets as usize * ways],
                    ranks: vec![0; sets as usize * ways],
                    ways,
                    set_mask: u64::from(sets / partitions) - 1,
                    partition_mask: partitions - 1,
                    by,
                    replacement,
                    trees: vec![0; sets as usize],
                    clock: 0,
                    random: 0x9E37_79B9,
                }))
            }
        };
        Self { body }
    }

    /// Whether nothing is ever kept.
    #[inline]
    pub fn is_off(&self) -> bool {
        matches!(self.body, Body::Off)
    }

    /// The value of a key, if it is here.
    #[inline]
    pub fn get(&mut self, key: &K) -> Option<&V> {
        match &mut self.body {
            Body::Off => None,
            Body::Infinite(map) => map.get(key),
            Body::Sets(sets) => sets.get(key),
        }
    }

    /// Keeps a value; what had the key before is replaced, and what made room is given back.
    pub fn insert(&mut self, key: K, value: V) -> Option<(K, V)> {
        match &mut self.body {
            Body::Off => None,
            Body::Infinite(map) => map.insert(key, value).map(|old| (key, old)),
            Body::Sets(sets) => sets.insert(key, value),
        }
    }

    /// Drops all that `keep` says no to.
    pub fn retain(&mut self, mut keep: impl FnMut(&K, &V) -> bool) {
        match &mut self.body {
            Body::Off => {}
            Body::Infinite(map) => map.retain(|key, value| keep(key, value)),
            Body::Sets(sets) => {
                for (key, value) in sets.keys.iter_mut().zip(&sets.values) {
                    key.take_if(|key| value.as_ref().is_none_or(|value| !keep(key, value)));
                }
            }
        }
    }

    /// Drops everything.
    pub fn clear(&mut self) {
        self.retain(|_, _| false);
    }

    /// Every entry, in no order.
    pub fn entries(&self) -> Vec<(K, V)> {
        match &self.body {
            Body::Off => vec![],
            Body::Infinite(map) => map.iter().map(|(key, value)| (*key, *value)).collect(),
            Body::Sets(sets) => sets.entries().collect(),
        }
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        match &self.body {
            Body::Off => 0,
            Body::Infinite(map) => map.len(),
            Body::Sets(sets) => sets.keys.iter().flatten().count(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<K: Key, V: Copy> Sets<K, V> {
    fn entries(&self) -> impl Iterator<Item = (K, V)> {
        self.keys.iter().zip(&self.values).filter_map(|(key, value)| Some(((*key)?, (*value)?)))
    }

    #[inline]
    fn set_of(&self, key: &K) -> usize {
        let set = mix(key.spread()) & self.set_mask;
        if self.partition_mask == 0 {
            return set as usize;
        }
        let part = u64::from(key.partition(self.by) & self.partition_mask) * (self.set_mask + 1);
        (part + set) as usize
    }

    #[inline(always)] // three of these are on the way of every translation
    fn get(&mut self, key: &K) -> Option<&V> {
        let set = self.set_of(key);
        let first = set * self.ways;
        let keys = self.keys.get(first..first + self.ways)?;
        let way = keys.iter().position(|have| have.as_ref() == Some(key))?;
        match self.replacement {
            Replacement::Lru => {
                self.clock = self.clock.wrapping_add(1);
                *self.ranks.get_mut(first + way)? = self.clock;
            }
            Replacement::Lfu => {
                let rank = self.ranks.get_mut(first + way)?;
                *rank = rank.saturating_add(1);
            }
            Replacement::Plru => self.touch(set, way),
            Replacement::Fifo | Replacement::Random => {}
        }
        self.values.get(first + way)?.as_ref()
    }

    fn insert(&mut self, key: K, value: V) -> Option<(K, V)> {
        let set = self.set_of(&key);
        let way = self.way_for(set, &key);
        let at = set * self.ways + way;
        self.clock = self.clock.wrapping_add(1);
        *self.ranks.get_mut(at)? =
            if self.replacement == Replacement::Lfu { 1 } else { self.clock };
        if self.replacement == Replacement::Plru {
            self.touch(set, way);
        }
        let evicted = self.keys.get_mut(at)?.replace(key);
        let old = self.values.get_mut(at)?.replace(value);
        Some((evicted?, old?))
    }

    /// The way that has the key, else a free one, else the one that makes room.
    fn way_for(&mut self, set: usize, key: &K) -> usize {
        let lines = set * self.ways..(set + 1) * self.ways;
        let keys = self.keys.get(lines.clone()).unwrap_or_default();
        let found = keys.iter().position(|have| have.as_ref() == Some(key));
        if let Some(way) = found.or_else(|| keys.iter().position(Option::is_none)) {
            return way;
        }
        let ranks = self.ranks.get(lines).unwrap_or_default().iter().enumerate();
        let clock = self.clock;
        match self.replacement {
            Replacement::Lru | Replacement::Fifo => {
                let oldest = ranks.max_by_key(|(_, rank)| clock.wrapping_sub(**rank));
                oldest.map_or(0, |(way, _)| way)
            }
            Replacement::Lfu => ranks.min_by_key(|(_, rank)| **rank).map_or(0, |(way, _)| way),
            Replacement::Plru => self.pointed_to(set),
            Replacement::Random => {
                // xorshift32 (Marsaglia 2003): the same run gives the same victims.
                self.random ^= self.random << 13;
                self.random ^= self.random >> 17;
                self.random ^= self.random << 5;
                self.random as usize % self.ways
            }
        }
    }

    /// Points the tree's bits on the way to `way` to the other side.
    fn touch(&mut self, set: usize, way: usize) {
        let levels = self.ways.next_power_of_two().trailing_zeros();
        let Some(tree) = self.trees.get_mut(set) else { return };
        let mut node = 1u64;
        for level in (0..levels).rev() {
            let right = way >> level & 1 == 1;
            let bit = 1u64 << (node & 63);
            *tree = if right { *tree & !bit } else { *tree | bit };
            node = node << 1 | u64::from(right);
        }
    }

    /// The way that the tree's bits lead to.
    fn pointed_to(&self, set: usize) -> usize {
        let levels = self.ways.next_power_of_two().trailing_zeros();
        let tree = self.trees.get(set).copied().unwrap_or(0);
        let mut node = 1u64;
        for _ in 0..levels {
            node = node << 1 | (tree >> (node & 63) & 1);
        }
        let way = (node - (1 << levels)) as usize;
        way.min(self.ways - 1)
    }
}

/// Spreads keys whose low bits repeat (multiplicative hashing, Knuth 6.4).
#[inline]
fn mix(bits: u64) -> u64 {
    bits.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32
}

/// A hasher for keys of a few machine words, which come from a guest at most through this cache.
#[derive(Clone, Default)]
pub struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(word.into());
    }

    fn write_u16(&mut self, word: u16) {
        self.write_u64(word.into());
    }

    fn write_u8(&mut self, word: u8) {
        self.write_u64(word.into());
    }
}
