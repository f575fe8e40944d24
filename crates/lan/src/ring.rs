//! A ring of descriptors in the memory of whoever drives the queue.

use siov_bus::Iova;

/// Where a ring is, and how far hardware and software have come.
///
/// Entries `head` up to but not including `tail` belong to hardware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ring {
    base: u64,
    /// Descriptors; never 0.
    len: u32,
    /// Bytes of a descriptor.
    step: u32,
    pub head: u32,
    pub tail: u32,
}

impl Ring {
    /// An empty ring; `None` without a descriptor or at the end of the address space.
    pub fn new(base: u64, len: u32, step: u32) -> Option<Self> {
        let bytes = u64::from(len).checked_mul(step.into()).filter(|bytes| *bytes > 0)?;
        base.checked_add(bytes)?;
        Some(Self { base, len, step, head: 0, tail: 0 })
    }

    /// How many entries there are.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// The entries that belong to hardware.
    pub fn pending(&self) -> u32 {
        if self.tail >= self.head {
            self.tail - self.head
        } else {
            self.len - self.head + self.tail
        }
    }

    /// The address of an entry.
    pub fn at(&self, index: u32) -> Iova {
        Iova(self.base + u64::from(index) * u64::from(self.step))
    }

    /// The entry `count` places behind another one.
    pub fn after(&self, index: u32, count: u32) -> u32 {
        let next = index + count;
        if next >= self.len { next - self.len } else { next }
    }

    /// How many of `count` entries from an index on lie in one piece.
    pub fn in_one_piece(&self, index: u32, count: u32) -> u32 {
        count.min(self.len - index)
    }

    /// Hardware is done with so many entries.
    pub fn advance(&mut self, count: u32) {
        self.head = self.after(self.head, count);
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that finds nothing fails")]
mod tests {
    use super::*;

    #[test]
    fn entries_from_head_up_to_tail_belong_to_hardware_across_the_end() {
        let mut ring = Ring::new(0x1000, 64, 16).unwrap();
        assert_eq!(ring.pending(), 0);
        (ring.head, ring.tail) = (60, 4);
        assert_eq!(ring.pending(), 8);
        assert_eq!(ring.in_one_piece(60, 8), 4);
        ring.advance(8);
        assert_eq!((ring.head, ring.pending()), (4, 0));
    }

    #[test]
    fn a_ring_that_leaves_the_address_space_is_none() {
        assert_eq!(Ring::new(u64::MAX - 100, 64, 16), None);
        assert_eq!(Ring::new(0, 0, 16), None);
    }
}
