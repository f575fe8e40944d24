//! The time that a machine's devices share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A clock in nanoseconds that never goes back; clones are the same clock.
///
/// The real one begins at the time of day and then goes at the monotonic clock's pace, so that its
/// values are timestamps too. The virtual one begins at 0 and stands still until it is advanced.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    Real { began: Instant, at: u64 },
    Virtual(Arc<AtomicU64>),
}

impl Clock {
    /// The real time.
    pub fn real() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(Source::Real { began: Instant::now(), at: nanoseconds(since_epoch.as_nanos()) })
    }

    /// A time that only [`advance`](Self::advance) moves.
    pub fn virtual_() -> Self {
        Self(Source::Virtual(Arc::new(AtomicU64::new(0))))
    }

    /// Nanoseconds.
    pub fn now(&self) -> u64 {
        match &self.0 {
            Source::Real { began, at } => {
                at.saturating_add(nanoseconds(began.elapsed().as_nanos()))
            }
            Source::Virtual(now) => now.load(Ordering::Acquire),
        }
    }

    /// Whether it stands still until it is advanced.
    pub fn is_virtual(&self) -> bool {
        matches!(self.0, Source::Virtual(_))
    }

    /// Moves a virtual clock on, up to the end of time at most, and gives its new time; real time
    /// can't be moved.
    pub fn advance(&self, by: u64) -> u64 {
        let Source::Virtual(now) = &self.0 else { return self.now() };
        let moved = |time: u64| Some(time.saturating_add(by));
        now.fetch_update(Ordering::AcqRel, Ordering::Acquire, moved).unwrap_or(0);
        self.now()
    }
}

fn nanoseconds(many: u128) -> u64 {
    u64::try_from(many).unwrap_or(u64::MAX)
}
