//! A cable between two ports of this process.
//!
//! Each direction is a bounded queue. A sender collects a batch by itself and hands it over at once;
//! a receiver takes all there is at once and works through it by itself. So the lock between them is
//! held for moments, and the receiver's eventfd is written only when it has found nothing before.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::batch::Batch;
use crate::wake::Wake;
use crate::{Backend, Counters};

/// How much a direction of a cable holds before it drops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Frames.
    pub frames: usize,
    /// Bytes of frames.
    pub bytes: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { frames: 1024, bytes: 2 << 20 }
    }
}

/// One end of a cable; the other one may be used by another thread.
#[derive(Debug)]
pub struct Cable {
    shared: Arc<Shared>,
    side: Side,
    collected: Batch,
    taken: Batch,
    counters: Counters,
    fd: OwnedFd,
}

#[derive(Clone, Copy, Debug)]
enum Side {
    A,
    B,
}

#[derive(Debug)]
struct Shared {
    bounds: Bounds,
    a: End,
    b: End,
}

/// What the two sides share of one of them: the way to it, and its part of the link.
#[derive(Debug)]
struct End {
    way: Mutex<Way>,
    /// Frames and bytes that were sent to it and are not received, wherever they are.
    frames: AtomicUsize,
    bytes: AtomicUsize,
    up: AtomicBool,
}

#[derive(Debug)]
struct Way {
    queue: Batch,
    wake: Wake,
    asleep: bool,
}

impl Cable {
    /// Both ends.
    ///
    /// # Errors
    /// That of the system, when it gives no eventfd.
    pub fn pair(bounds: Bounds) -> std::io::Result<(Self, Self)> {
        let shared = Arc::new(Shared { bounds, a: End::new()?, b: End::new()? });
        let a = Self::end(&shared, Side::A)?;
        Ok((a, Self::end(&shared, Side::B)?))
    }

    fn end(shared: &Arc<Shared>, side: Side) -> std::io::Result<Self> {
        let fd = shared.end(side).lock().wake.fd().try_clone_to_owned()?;
        let (collected, taken, counters) = Default::default();
        Ok(Self { shared: Arc::clone(shared), side, collected, taken, counters, fd })
    }

    fn here(&self) -> &End {
        self.shared.end(self.side)
    }

    fn there(&self) -> &End {
        match self.side {
            Side::A => &self.shared.b,
            Side::B => &self.shared.a,
        }
    }

    fn room(&self, bytes: usize) -> bool {
        let (peer, bounds) = (self.there(), self.shared.bounds);
        let queued = peer.bytes.load(Ordering::Acquire);
        peer.frames.load(Ordering::Acquire) < bounds.frames
            && queued.checked_add(bytes).is_some_and(|sum| sum <= bounds.bytes)
    }

    /// Takes over what has come; `false` if that is nothing, and then the next flush wakes us.
    fn refill(&mut self) -> bool {
        let mut way = self.shared.end(self.side).lock();
        way.wake.quiet();
        way.asleep = way.queue.is_empty();
        if way.asleep {
            return false;
        }
        self.taken.append(&mut way.queue);
        true
    }
}

impl Shared {
    fn end(&self, side: Side) -> &End {
        match side {
            Side::A => &self.a,
            Side::B => &self.b,
        }
    }
}

impl End {
    fn new() -> std::io::Result<Self> {
        let way = Way { queue: Batch::default(), wake: Wake::new()?, asleep: true };
        let (frames, bytes) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Ok(Self { way: Mutex::new(way), frames, bytes, up: AtomicBool::new(true) })
    }

    fn lock(&self) -> MutexGuard<'_, Way> {
        // Nothing panics while it is held; and whole frames would be left behind.
        self.way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Backend for Cable {
    fn kind(&self) -> &'static str {
        "cable"
    }

    fn send(&mut self, frame: &[u8]) -> bool {
        let taken = self.counters.take(frame, self.link(), self.room(frame.len()));
        if taken {
            self.there().frames.fetch_add(1, Ordering::AcqRel);
            self.there().bytes.fetch_add(frame.len(), Ordering::AcqRel);
            self.collected.push(frame);
        }
        taken
    }

    fn flush(&mut self) {
        if self.collected.is_empty() {
            return;
        }
        let peer = match self.side {
            Side::A => &self.shared.b,
            Side::B => &self.shared.a,
        };
        let mut way = peer.lock();
        way.queue.append(&mut self.collected);
        if way.asleep {
            way.asleep = false;
            way.wake.signal();
        }
    }

    fn receive(&mut self, max: usize, each: &mut dyn FnMut(&[u8])) -> usize {
        let (mut given, mut bytes) = (0, 0);
        while given < max {
            let Some(frame) = self.taken.pop() else {
                if self.refill() {
                    continue;
                }
                break;
            };
            given += 1;
            bytes += frame.len();
            self.counters.received(frame.len());
            each(frame);
        }
        self.here().frames.fetch_sub(given, Ordering::AcqRel);
        self.here().bytes.fetch_sub(bytes, Ordering::AcqRel);
        given
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.fd.as_fd())
    }

    fn link(&self) -> bool {
        self.here().up.load(Ordering::Acquire) && self.there().up.load(Ordering::Acquire)
    }

    fn set_link(&mut self, up: bool) {
        if self.here().up.swap(up, Ordering::AcqRel) != up {
            // Whoever sleeps on either side is to see it; its next receive ends the signal.
            self.here().lock().wake.signal();
            self.there().lock().wake.signal();
        }
    }

    fn counters(&self) -> Counters {
        self.counters
    }

    fn inspect(&self) -> String {
        let waits = |end: &End| end.frames.load(Ordering::Acquire);
        let Bounds { frames, bytes } = self.shared.bounds;
        format!(
            "holds {frames} frames or {bytes} bytes each way; {} wait here, {} there",
            waits(self.here()),
            waits(self.there())
        )
    }
}

impl Drop for Cable {
    /// Pulled out: the other side loses its carrier, but not the frames that are on the way.
    fn drop(&mut self) {
        self.flush();
        self.set_link(false);
    }
}
