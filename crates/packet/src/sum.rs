//! The ones'-complement sum of the Internet checksum (RFC 1071).

use crate::bytes::chunk;
use crate::layer::{L3, Layer};

/// A running sum: 64 bits with end-around carry, in the host's byte order until it is folded.
#[derive(Clone, Copy, Default)]
pub(crate) struct Sum(u64);

#[inline]
fn carry(a: u64, b: u64) -> u64 {
    let (sum, over) = a.overflowing_add(b);
    sum.wrapping_add(u64::from(over))
}

impl Sum {
    /// Adds bytes that begin at an even offset of what is summed; an odd last byte counts as if a
    /// zero followed.
    #[inline]
    pub(crate) fn add(self, bytes: &[u8]) -> Self {
        // Four independent sums: an addition with carry waits for the one before it.
        let mut lanes = [self.0, 0, 0, 0];
        let (blocks, rest) = bytes.as_chunks::<32>();
        for block in blocks {
            let (words, _) = block.as_chunks::<8>();
            for (lane, word) in lanes.iter_mut().zip(words) {
                *lane = carry(*lane, u64::from_ne_bytes(*word));
            }
        }
        let [a, b, c, d] = lanes;
        let mut sum = carry(carry(a, b), carry(c, d));
        let (words, rest) = rest.as_chunks::<8>();
        for word in words {
            sum = carry(sum, u64::from_ne_bytes(*word));
        }
        // The last bytes by halves, each one load: what is put together in memory is slow to read.
        let (four, rest) = rest.as_chunks::<4>();
        for word in four {
            sum = carry(sum, u64::from(u32::from_ne_bytes(*word)));
        }
        let (two, last) = rest.as_chunks::<2>();
        for word in two {
            sum = carry(sum, u64::from(u16::from_ne_bytes(*word)));
        }
        for byte in last {
            sum = carry(sum, u64::from(u16::from_ne_bytes([*byte, 0])));
        }
        Self(sum)
    }

    /// Adds a number of 16 or 32 bits, as it would stand in network order.
    #[inline]
    pub(crate) fn number(self, value: u32) -> Self {
        Self(carry(self.0, u64::from(value.to_be())))
    }

    /// The sum in 16 bits, as the number that stands in network order.
    #[inline]
    pub(crate) fn fold(self) -> u16 {
        let sum = (self.0 >> 32) + (self.0 & 0xFFFF_FFFF);
        let sum = (sum >> 32) + (sum & 0xFFFF_FFFF);
        let sum = (sum >> 16) + (sum & 0xFFFF);
        let sum = (sum >> 16) + (sum & 0xFFFF);
        let sum = (sum >> 16) + (sum & 0xFFFF);
        u16::from_be(sum as u16)
    }

    /// The checksum: the complement of the sum.
    #[inline]
    pub(crate) fn checksum(self) -> u16 {
        !self.fold()
    }
}

/// The sum of the pseudo header (RFC 9293 3.1, RFC 8200 8.1) of `length` bytes of `protocol`.
#[inline]
pub(crate) fn pseudo(frame: &[u8], layer: &Layer, protocol: u8, length: u32) -> Option<Sum> {
    let at = usize::from(layer.l3_offset);
    let sum = match layer.l3 {
        L3::V4 => Sum::default().add(chunk::<8>(frame, at + 12)?),
        L3::V6 => Sum::default().add(chunk::<32>(frame, at + 8)?),
        L3::None => return None,
    };
    Some(sum.number(length).number(u32::from(protocol)))
}
