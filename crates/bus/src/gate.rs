//! A lock that is held for one batch after the other, and that others still get.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How often a worker lets others go first before it takes the lock all the same.
const PATIENCE: u32 = 64;

/// A mutex of a worker that takes it all the time. Control announces itself, so that it gets its turn.
#[derive(Debug, Default)]
pub struct Gate<T> {
    inner: Mutex<T>,
    announced: AtomicU32,
}

impl<T> Gate<T> {
    /// A gate for a value.
    pub const fn new(value: T) -> Self {
        Self { inner: Mutex::new(value), announced: AtomicU32::new(0) }
    }

    /// The value, for a batch: who has announced himself goes first.
    #[inline]
    pub fn batch(&self) -> MutexGuard<'_, T> {
        if self.announced.load(Ordering::Relaxed) != 0 {
            self.let_pass();
        }
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The value, for control: the batch under way ends first, and no other begins before.
    pub fn control(&self) -> MutexGuard<'_, T> {
        self.announced.fetch_add(1, Ordering::Relaxed);
        let guard = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        self.announced.fetch_sub(1, Ordering::Relaxed);
        guard
    }

    #[cold]
    fn let_pass(&self) {
        for _ in 0..PATIENCE {
            std::thread::yield_now();
            if self.announced.load(Ordering::Relaxed) == 0 {
                return;
            }
        }
    }
}
