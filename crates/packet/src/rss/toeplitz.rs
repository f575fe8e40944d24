//! The Toeplitz hash.

use super::INPUT_LEN;

/// Bytes of a hash key.
pub const KEY_LEN: usize = 52;

/// A Toeplitz key with its table: what each value of each half byte of the input adds to the hash.
///
/// Half bytes keep the table at 6 KiB, so that the tables of several VSIs stay in the first cache.
#[derive(Clone)]
pub struct Toeplitz {
    key: [u8; KEY_LEN],
    table: Box<[[[u32; 16]; 2]; INPUT_LEN]>,
}

impl std::fmt::Debug for Toeplitz {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Toeplitz").field("key", &self.key).finish_non_exhaustive()
    }
}

impl Toeplitz {
    /// The hash with `key`.
    #[must_use]
    pub fn new(key: &[u8; KEY_LEN]) -> Self {
        let mut table = Box::new([[[0; 16]; 2]; INPUT_LEN]);
        for (halves, window) in table.iter_mut().zip(key.windows(5)) {
            let window = window.iter().fold(0, |bits, byte| bits << 8 | u64::from(*byte));
            let [high, low] = halves;
            fill(high, window);
            fill(low, window << 4);
        }
        Self { key: *key, table }
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &[u8; KEY_LEN] {
        &self.key
    }

    /// The hash of up to 48 bytes; the rest does not count.
    #[must_use]
    #[inline]
    pub fn hash(&self, input: &[u8]) -> u32 {
        // The usual inputs have loops of known length: addresses of either version, with ports or
        // without.
        match input.len() {
            8 => self.hash_of(input.first_chunk::<8>()),
            12 => self.hash_of(input.first_chunk::<12>()),
            32 => self.hash_of(input.first_chunk::<32>()),
            36 => self.hash_of(input.first_chunk::<36>()),
            _ => self.hash_bytes(input),
        }
    }

    #[inline(always)]
    fn hash_of<const N: usize>(&self, input: Option<&[u8; N]>) -> u32 {
        input.map_or(0, |input| self.hash_bytes(input))
    }

    #[inline(always)]
    fn hash_bytes(&self, input: &[u8]) -> u32 {
        let mut hash = 0;
        for ([high, low], byte) in self.table.iter().zip(input) {
            let [h, l] = [usize::from(byte >> 4), usize::from(byte & 0x0F)];
            hash ^= high.get(h).copied().unwrap_or(0) ^ low.get(l).copied().unwrap_or(0);
        }
        hash
    }
}

/// The sums of the 32-bit windows that begin at the first four of a window's 40 bits.
fn fill(row: &mut [u32; 16], window: u64) {
    for (value, entry) in row.iter_mut().enumerate() {
        for bit in 0..4 {
            if value & (8 >> bit) != 0 {
                *entry ^= (window >> (8 - bit)) as u32;
            }
        }
    }
}
