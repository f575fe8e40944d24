//! Threads that do a worker's batches themselves instead of waking it.
//!
//! To wake a worker takes longer than what a doorbell mostly asks for. So a thread that has nothing better to
//! do until its guest rings again, such as a vfio-user endpoint's, lends itself: it takes the next batches of
//! the worker on the spot, and the worker sleeps on.

use std::cell::Cell;

thread_local! {
    static LENT: Cell<bool> = const { Cell::new(false) };
}

/// Does `work`, in which a doorbell that rings is answered by this thread before the write to it returns.
///
/// A thread that generates traffic itself should not: it would have no worker beside it.
pub fn lend<T>(work: impl FnOnce() -> T) -> T {
    struct Back(bool);
    impl Drop for Back {
        fn drop(&mut self) {
            LENT.set(self.0);
        }
    }
    let _back = Back(LENT.replace(true));
    work()
}

/// Whether this thread is lent.
pub(crate) fn is_lent() -> bool {
    LENT.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_lent_while_it_does_the_work_and_no_other_is() {
        lend(|| {
            lend(|| assert!(is_lent()));
            assert!(is_lent());
            std::thread::scope(|scope| {
                scope.spawn(|| assert!(!is_lent()));
            });
        });
        assert!(!is_lent());
    }

    #[test]
    fn it_is_no_longer_lent_when_the_work_has_panicked() {
        let panics = || lend(|| std::panic::resume_unwind(Box::new("of the work")));
        assert!(std::panic::catch_unwind(panics).is_err());
        assert!(!is_lent());
    }
}
