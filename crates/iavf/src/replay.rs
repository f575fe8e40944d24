//! Frames of a capture, and whether they arrive as they were sent.

use std::path::Path;

use siov_port::capture::{CaptureError, Reader};
use thiserror::Error;

use crate::frame::Mac;
use crate::order::{Order, Verdict};

/// Frames of a capture that are kept, and their bytes.
const FRAMES: usize = 1 << 20;
const BYTES: usize = 1 << 30;
/// How far from where it is due a frame is looked for.
const NEAR: u64 = 256;

/// Why a capture can't be replayed.
#[derive(Debug, Error)]
pub enum ReplayError {
    /// The file.
    #[error("{0}")]
    Capture(#[from] CaptureError),
    /// Nothing to send.
    #[error("{0} has no frames that can be sent (60 to 9,728 bytes, captured whole)")]
    Empty(String),
    /// Too much.
    #[error("{0} has more than {FRAMES} frames or {BYTES} bytes; cut it with editcap")]
    TooLarge(String),
}

/// The frames of a capture in order; shorter ones are padded to 60 bytes, and the addresses replaced if asked for.
pub fn load_frames(
    path: impl AsRef<Path>,
    addresses: Option<(Mac, Mac)>,
) -> Result<Vec<Vec<u8>>, ReplayError> {
    let path = path.as_ref();
    let name = || path.display().to_string();
    let mut reader = Reader::open(path)?;
    let (mut frames, mut bytes) = (vec![], 0);
    while let Some(captured) = reader.read()? {
        if !(14..=9728).contains(&captured.frame.len()) {
            continue;
        }
        let mut frame = captured.frame.to_vec();
        if let Some((from, to)) = addresses {
            let both = to.into_iter().chain(from);
            frame.iter_mut().zip(both).for_each(|(byte, new)| *byte = new);
        }
        frame.resize(frame.len().max(60), 0);
        bytes += frame.len();
        frames.push(frame);
        if frames.len() > FRAMES || bytes > BYTES {
            return Err(ReplayError::TooLarge(name()));
        }
    }
    if frames.is_empty() { Err(ReplayError::Empty(name())) } else { Ok(frames) }
}

/// Compares what arrives with what was sent, over and over from the first to the last.
#[derive(Clone, Debug)]
pub struct ReplayCheck {
    frames: std::sync::Arc<[Vec<u8>]>,
    order: Order,
}

impl ReplayCheck {
    /// For these frames.
    pub fn new(frames: std::sync::Arc<[Vec<u8>]>) -> Self {
        Self { frames, order: Order::default() }
    }

    /// What a frame is: it is looked for near where the next one is due, ahead and then behind; `None` when it is
    /// none of these. Of frames that are sent over and over, what lies nearer is believed.
    pub fn take(&mut self, frame: &[u8]) -> Option<Verdict> {
        let due = self.order.next();
        let is = |number: &u64| {
            let at = number.checked_rem(self.frames.len() as u64).unwrap_or(0);
            self.frames.get(at as usize).is_some_and(|one| one.as_slice() == frame)
        };
        let near = (self.frames.len() as u64 / 2).clamp(1, NEAR);
        let ahead = (due..due.saturating_add(near)).find(is);
        let found = ahead.or_else(|| (due.saturating_sub(near)..due).rev().find(is));
        found.map(|number| self.order.take(number))
    }

    /// The number of the next frame, and how many are missing below.
    pub fn progress(&self) -> (u64, u64) {
        (self.order.next(), self.order.missing())
    }
}
