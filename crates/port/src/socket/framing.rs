//! Frames behind their lengths, however the stream cuts them.

use crate::batch::Batch;
use crate::{FRAME_MAX, FRAME_MIN};

/// Room for two of the longest frames, so that a read seldom finds little of it.
const ROOM: usize = 2 * (FRAME_MAX + 4);

/// A length that no frame has; the stream can't be followed any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooLong(pub u32);

/// Makes frames of the bytes of a stream.
#[derive(Debug)]
pub(super) struct Decoder {
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    /// Frames too short to be any, which were passed over.
    pub(super) short: u64,
}

impl Decoder {
    pub(super) fn new() -> Self {
        Self { buffer: vec![0; ROOM].into(), start: 0, end: 0, short: 0 }
    }

    /// Where to read the next bytes to; never empty after `next` gave nothing.
    pub(super) fn room(&mut self) -> &mut [u8] {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        self.buffer.get_mut(self.end..).unwrap_or_default()
    }

    /// So many bytes were read there.
    pub(super) fn filled(&mut self, bytes: usize) {
        self.end = self.end.saturating_add(bytes).min(self.buffer.len());
    }

    /// The next whole frame.
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>, TooLong> {
        loop {
            let have = self.buffer.get(self.start..self.end).unwrap_or_default();
            let Some(prefix) = have.first_chunk() else { return Ok(None) };
            let announced = u32::from_be_bytes(*prefix);
            let length = announced as usize;
            if length > FRAME_MAX {
                return Err(TooLong(announced));
            }
            if have.len() < 4 + length {
                return Ok(None);
            }
            let frame = self.start + 4..self.start + 4 + length;
            self.start = frame.end;
            if length >= FRAME_MIN {
                return Ok(self.buffer.get(frame));
            }
            self.short = self.short.wrapping_add(1);
        }
    }

    pub(super) fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
    }
}

/// Keeps frames until the stream has taken them.
#[derive(Debug, Default)]
pub(super) struct Encoder {
    waiting: Batch,
    /// Bytes of the first one, its length included, that are gone.
    gone: usize,
}

impl Encoder {
    pub(super) fn push(&mut self, frame: &[u8]) {
        self.waiting.push_parts(&(frame.len() as u32).to_be_bytes(), frame);
    }

    /// Bytes that wait.
    pub(super) fn bytes(&self) -> &[u8] {
        self.waiting.bytes().get(self.gone..).unwrap_or_default()
    }

    /// So many were taken.
    pub(super) fn taken(&mut self, bytes: usize) {
        self.gone = self.gone.saturating_add(bytes);
        while let Some(first) = self.waiting.front()
            && first <= self.gone
        {
            self.gone -= first;
            self.waiting.pop();
        }
    }

    /// Forgets everything: how many frames, and their bytes.
    pub(super) fn clear(&mut self) -> (u64, u64) {
        let (mut frames, mut bytes) = (0, 0);
        while let Some(frame) = self.waiting.pop() {
            (frames, bytes) = (frames + 1, bytes + (frame.len() as u64).saturating_sub(4));
        }
        self.gone = 0;
        (frames, bytes)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn frames_survive_any_cut_of_the_stream_on_both_sides(
            frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..30),
            cuts in prop::collection::vec(1..300usize, 1..20),
        ) {
            let (mut encoder, mut decoder) = (Encoder::default(), Decoder::new());
            frames.iter().for_each(|frame| encoder.push(frame));
            let (mut came, mut cuts) = (vec![], cuts.iter().cycle());
            while !encoder.bytes().is_empty() {
                let waiting = encoder.bytes();
                let bytes = waiting.len().min(*cuts.next().unwrap());
                decoder.room()[..bytes].copy_from_slice(&waiting[..bytes]);
                decoder.filled(bytes);
                encoder.taken(bytes);
                while let Some(frame) = decoder.next().unwrap() {
                    came.push(frame.to_vec());
                }
            }
            let short = frames.iter().filter(|frame| frame.len() < FRAME_MIN).count();
            prop_assert_eq!(decoder.short, short as u64);
            let fit: Vec<_> = frames.into_iter().filter(|frame| frame.len() >= FRAME_MIN).collect();
            prop_assert_eq!(came, fit);
        }

        #[test]
        fn any_bytes_are_frames_or_too_long(chunks in prop::collection::vec(
            prop::collection::vec(any::<u8>(), 0..100), 0..20))
        {
            let mut decoder = Decoder::new();
            for chunk in chunks {
                prop_assert!(decoder.room().len() >= chunk.len());
                decoder.room()[..chunk.len()].copy_from_slice(&chunk);
                decoder.filled(chunk.len());
                loop {
                    match decoder.next() {
                        Ok(Some(frame)) => prop_assert!(frame.len() <= FRAME_MAX),
                        Ok(None) => break,
                        Err(TooLong(length)) => {
                            prop_assert!(length as usize > FRAME_MAX);
                            return Ok(());
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn the_longest_frame_fits_behind_most_of_another_one() {
        let (mut encoder, mut decoder) = (Encoder::default(), Decoder::new());
        (0..3).for_each(|_| encoder.push(&[1; FRAME_MAX]));
        let mut came = 0;
        while !encoder.bytes().is_empty() {
            let room = decoder.room();
            let bytes = room.len().min(encoder.bytes().len());
            assert!(bytes > 0);
            room[..bytes].copy_from_slice(&encoder.bytes()[..bytes]);
            decoder.filled(bytes);
            encoder.taken(bytes);
            while decoder.next().unwrap().is_some() {
                came += 1;
            }
        }
        assert_eq!(came, 3);
    }

    #[test]
    fn what_was_not_taken_is_counted_when_it_is_forgotten() {
        for (taken, left) in [(63, (3, 180)), (64, (2, 120)), (74, (2, 120)), (192, (0, 0))] {
            let mut encoder = Encoder::default();
            (0..3).for_each(|_| encoder.push(&[1; 60]));
            encoder.taken(taken);
            assert_eq!(encoder.clear(), left);
            assert_eq!(encoder.bytes(), []);
        }
    }
}
