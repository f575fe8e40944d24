//! The bytes of a payload: a sequence that its seed determines, of which any part can be made at once.

/// Mixes 64 bits (SplitMix64's output function).
#[inline]
pub(crate) const fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

/// Word `n` of the sequence.
#[inline]
const fn word(seed: u64, n: u64) -> u64 {
    mix(seed.wrapping_add(n.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15)))
}

/// Puts the bytes of the sequence from `offset` on.
pub fn fill(to: &mut [u8], seed: u64, offset: u64) {
    let (mut n, skip) = (offset / 8, (offset % 8) as usize);
    let (head, rest) = to.split_at_mut(if skip == 0 { 0 } else { to.len().min(8 - skip) });
    if !head.is_empty() {
        let bytes = word(seed, n).to_le_bytes();
        head.iter_mut().zip(bytes.iter().skip(skip)).for_each(|(to, from)| *to = *from);
        n += 1;
    }
    for chunk in rest.chunks_mut(8) {
        let bytes = word(seed, n).to_le_bytes();
        chunk.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        n += 1;
    }
}

/// A generator of numbers for sizes and flows.
#[derive(Clone, Debug)]
pub(crate) struct Random(pub u64);

impl Random {
    /// The next number below `bound`, which is above 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        // The upper half of the product is as even as the number is.
        ((u128::from(mix(self.0)) * u128::from(bound)) >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_that_part_of_the_whole_wherever_it_begins() {
        let mut whole = [0; 100];
        fill(&mut whole, 7, 0);
        for at in 0..40 {
            for len in 0..40 {
                let mut part = vec![0; len];
                fill(&mut part, 7, at as u64);
                assert_eq!(Some(part.as_slice()), whole.get(at..at + len));
            }
        }
    }

    #[test]
    fn another_seed_gives_other_bytes() {
        let (mut one, mut other) = ([0; 64], [0; 64]);
        fill(&mut one, 1, 0);
        fill(&mut other, 2, 0);
        assert_ne!(one, other);
    }
}
