//! The two plugs that lead nowhere: a sink, and a loopback.

use std::os::fd::BorrowedFd;

use crate::batch::Batch;
use crate::wake::Wake;
use crate::{Backend, Counters};

/// Takes every frame and gives none; its carrier is its own.
#[derive(Debug)]
pub struct Sink {
    up: bool,
    counters: Counters,
}

impl Default for Sink {
    fn default() -> Self {
        Self { up: true, counters: Counters::default() }
    }
}

impl Backend for Sink {
    fn kind(&self) -> &'static str {
        "sink"
    }

    fn send(&mut self, frame: &[u8]) -> bool {
        self.counters.take(frame, self.up, true)
    }

    fn receive(&mut self, _: usize, _: &mut dyn FnMut(&[u8])) -> usize {
        0
    }

    fn link(&self) -> bool {
        self.up
    }

    fn set_link(&mut self, up: bool) {
        self.up = up;
    }

    fn counters(&self) -> Counters {
        self.counters
    }

    fn inspect(&self) -> String {
        "takes everything, gives nothing".into()
    }
}

/// Gives back what it takes.
#[derive(Debug)]
pub struct Loopback {
    up: bool,
    queue: Batch,
    frames: usize,
    wake: Wake,
    counters: Counters,
}

impl Loopback {
    /// With room for a number of frames.
    ///
    /// # Errors
    /// That of the system, when it gives no eventfd.
    pub fn new(frames: usize) -> std::io::Result<Self> {
        let (queue, counters) = (Batch::default(), Counters::default());
        Ok(Self { up: true, queue, frames, wake: Wake::new()?, counters })
    }
}

impl Backend for Loopback {
    fn kind(&self) -> &'static str {
        "loopback"
    }

    fn send(&mut self, frame: &[u8]) -> bool {
        let room = self.queue.len() < self.frames;
        let taken = self.counters.take(frame, self.up, room);
        if taken {
            self.queue.push(frame);
        }
        taken
    }

    fn flush(&mut self) {
        if !self.queue.is_empty() {
            self.wake.signal();
        }
    }

    fn receive(&mut self, max: usize, each: &mut dyn FnMut(&[u8])) -> usize {
        let mut given = 0;
        while given < max
            && let Some(frame) = self.queue.pop()
        {
            self.counters.received(frame.len());
            each(frame);
            given += 1;
        }
        if self.queue.is_empty() {
            self.wake.quiet();
        }
        given
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.wake.fd())
    }

    fn link(&self) -> bool {
        self.up
    }

    fn set_link(&mut self, up: bool) {
        self.up = up;
    }

    fn counters(&self) -> Counters {
        self.counters
    }

    fn inspect(&self) -> String {
        format!("gives back what it takes, {} of {} frames wait", self.queue.len(), self.frames)
    }
}
