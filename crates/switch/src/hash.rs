//! A keyed hash for keys that guests choose (addresses, flows): without the seed nobody can aim for collisions.

use std::hash::{BuildHasher, Hasher};

/// A secret, spread over two multipliers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seed {
    start: u64,
    factor: u64,
}

impl Seed {
    /// A hash of its own for every seed.
    pub fn new(seed: u64) -> Self {
        let start = mix(seed);
        Self { start, factor: mix(start) | 1 }
    }
}

/// SplitMix64's finalizer: every bit of the result hangs on every bit of the seed.
fn mix(seed: u64) -> u64 {
    let mut x = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

impl BuildHasher for Seed {
    type Hasher = Folded;

    #[inline]
    fn build_hasher(&self) -> Folded {
        Folded { state: self.start, factor: self.factor }
    }
}

/// A folded 64 by 64 multiplication for each word.
pub(crate) struct Folded {
    state: u64,
    factor: u64,
}

impl Hasher for Folded {
    #[inline]
    fn write_u64(&mut self, word: u64) {
        let wide = u128::from(self.state ^ word).wrapping_mul(u128::from(self.factor));
        self.state = wide as u64 ^ (wide >> 64) as u64;
        self.factor = self.factor.rotate_left(23);
    }

    #[inline]
    fn write_u8(&mut self, byte: u8) {
        self.write_u64(u64::from(byte));
    }

    #[inline]
    fn write_u16(&mut self, word: u16) {
        self.write_u64(u64::from(word));
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            for (to, from) in word.iter_mut().zip(chunk) {
                *to = *from;
            }
            self.write_u64(u64::from_le_bytes(word));
        }
        self.write_u64(bytes.len() as u64);
    }

    #[inline]
    fn finish(&self) -> u64 {
        // One fold leaves a lattice when keys are evenly spaced.
        let mixed = self.state.wrapping_mul(self.factor);
        mixed ^ mixed >> 29
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn hash(seed: Seed, word: u64) -> u64 {
        let mut hasher = seed.build_hasher();
        hasher.write_u64(word);
        hasher.finish()
    }

    /// The most keys that share one of 4,096 places, by the low bits and by the high bits of the hash.
    fn crowd(seed: Seed, words: &[u64]) -> usize {
        let places = [|hash: u64| hash as usize % 4096, |hash: u64| (hash >> 52) as usize];
        let most = places.map(|place| {
            let mut count = vec![0; 4096];
            words.iter().for_each(|word| count[place(hash(seed, *word))] += 1);
            count.into_iter().max().unwrap_or(0)
        });
        most.into_iter().max().unwrap_or(0)
    }

    #[test]
    fn addresses_of_any_pattern_spread() {
        let patterns: [fn(u64) -> u64; 5] = [
            |n| n << 16,
            |n| n << 24 | 5,
            |n| n << 40,
            |n| n.reverse_bits(),
            |n| (n * 0x0101_0101_0101) << 16,
        ];
        for seed in 0..200 {
            for pattern in patterns {
                let words: Vec<u64> = (0..4096).map(pattern).collect();
                let most = crowd(Seed::new(seed), &words);
                assert!(most < 16, "{most} keys in one place with seed {seed}");
            }
        }
    }

    #[test]
    fn a_flood_made_for_one_seed_spreads_under_another() {
        let flood: Vec<u64> = (0..)
            .map(|n: u64| n << 16)
            .filter(|n| hash(Seed::new(1), *n).is_multiple_of(4096))
            .take(1000)
            .collect();
        assert_eq!(crowd(Seed::new(1), &flood), 1000);
        for seed in 2..20 {
            assert!(crowd(Seed::new(seed), &flood) < 12);
        }
    }
}
