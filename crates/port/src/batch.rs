//! Frames one after another in one buffer, which is kept when they are gone.

/// A queue of frames: filled at its end, emptied from its front, refilled when empty.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    taken: usize,
}

impl Batch {
    /// Frames that wait.
    pub(crate) fn len(&self) -> usize {
        self.ends.len().saturating_sub(self.taken)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes of all that wait.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(self.start()..).unwrap_or_default()
    }

    /// The length of the first one.
    pub(crate) fn front(&self) -> Option<usize> {
        let end = self.ends.get(self.taken)?;
        end.checked_sub(self.start())
    }

    pub(crate) fn push(&mut self, frame: &[u8]) {
        self.push_parts(frame, &[]);
    }

    /// Puts two parts behind the rest as one frame.
    pub(crate) fn push_parts(&mut self, first: &[u8], second: &[u8]) {
        if self.is_empty() {
            self.clear();
        }
        if self.taken > 64 && self.taken > self.len() {
            self.compact();
        }
        self.bytes.extend_from_slice(first);
        self.bytes.extend_from_slice(second);
        self.ends.push(self.bytes.len());
    }

    pub(crate) fn pop(&mut self) -> Option<&[u8]> {
        let end = self.ends.get(self.taken).copied()?;
        let start = self.start();
        self.taken += 1;
        self.bytes.get(start..end)
    }

    /// Moves all frames of another one behind those that are here.
    pub(crate) fn append(&mut self, other: &mut Batch) {
        if self.is_empty() {
            std::mem::swap(self, other);
        } else {
            while let Some(frame) = other.pop() {
                self.push(frame);
            }
        }
        other.clear();
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.taken = 0;
    }

    /// Where the first waiting frame begins.
    fn start(&self) -> usize {
        self.taken.checked_sub(1).and_then(|last| self.ends.get(last)).copied().unwrap_or(0)
    }

    /// Gives up the room of the frames that are gone, which are more than those that wait.
    fn compact(&mut self) {
        let start = self.start();
        self.bytes.drain(..start);
        self.ends.drain(..self.taken);
        for end in &mut self.ends {
            *end = end.saturating_sub(start);
        }
        self.taken = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_that_is_never_empty_keeps_its_order_and_gives_up_the_room_behind_it() {
        let mut queue = Batch::default();
        (0..10u16).for_each(|n| queue.push(&n.to_be_bytes()));
        for n in 10..10_000u16 {
            queue.push_parts(&n.to_be_bytes(), &[7]);
            let mut expected = (n - 10).to_be_bytes().to_vec();
            expected.extend((n >= 20).then_some(7));
            assert_eq!(queue.front(), Some(expected.len()));
            assert_eq!(queue.pop(), Some(&*expected));
            assert!(queue.bytes.len() < 1000 && queue.bytes().len() <= 30);
        }
        assert_eq!(queue.len(), 10);
    }
}
