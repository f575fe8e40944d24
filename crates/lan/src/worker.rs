//! A worker's thread: batches while there is something to do, asleep when there is not.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use siov_bus::Gate;

use crate::causes::{Outcome, Sink};
use crate::engine::Engine;
use crate::shared::Shared;

/// How often an idle worker looks before it sleeps.
const SPINS: u32 = 200;
/// The first sleep of a worker that polls doorbells in memory, and the longest.
const NAP: Duration = Duration::from_micros(50);
const LONGEST_NAP: Duration = Duration::from_millis(1);
/// The longest sleep of any: what has no file descriptor may have changed.
const SLEEP: Duration = Duration::from_secs(1);

/// Wakes a worker that sleeps, and costs nothing while it does not.
#[derive(Debug)]
pub(crate) struct Wake {
    /// None when the system had none left: then the worker only naps.
    fd: Option<OwnedFd>,
    asleep: AtomicBool,
}

impl Default for Wake {
    fn default() -> Self {
        let fd = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC).ok();
        Self { fd, asleep: AtomicBool::new(false) }
    }
}

impl Wake {
    /// Wakes the worker, if it sleeps or is about to.
    pub fn wake(&self) {
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed)
            && self.asleep.swap(false, Ordering::AcqRel)
            && let Some(fd) = &self.fd
        {
            // It can't be full: only a sleeper is woken, once.
            let _ = rustix::io::write(fd, &1u64.to_ne_bytes());
        }
    }

    fn about_to_sleep(&self) {
        self.asleep.store(true, Ordering::SeqCst);
        // Before the last look: who puts something there after it, finds us asleep.
        fence(Ordering::SeqCst);
    }

    /// Not asleep any more. A waker may be about to write still: then the next sleep ends at once, and reads.
    fn awake(&self) {
        self.asleep.store(false, Ordering::Release);
        if let Some(fd) = &self.fd {
            let _ = rustix::io::read(fd, &mut [0; 8]);
        }
    }
}

/// What a worker's thread runs.
pub(crate) struct Worker {
    pub number: usize,
    pub engine: Arc<Gate<Engine>>,
    pub shared: Arc<Shared>,
    pub sink: Arc<dyn Sink>,
    pub stop: Arc<AtomicBool>,
}

impl Worker {
    /// Works until it is told to stop.
    pub fn run(&self) {
        let mut outcome = Outcome::default();
        let (mut idle, mut nap) = (0, NAP);
        while !self.stop.load(Ordering::Acquire) {
            outcome.clear();
            let polls = {
                let mut engine = self.engine.batch();
                engine.run(&self.shared, &mut outcome);
                engine.polls()
            };
            self.sink.take(&outcome);
            if self.number == 0 && self.sink.deadline().is_some_and(|at| at <= self.now()) {
                self.sink.poll();
            }
            if outcome.busy || outcome.more {
                (idle, nap) = (0, NAP);
            } else if idle < SPINS {
                idle += 1;
                std::hint::spin_loop();
            } else {
                let woken = self.sleep(if polls { nap } else { SLEEP });
                if self.number == 0 {
                    // A link may have gone up or down: what a port is plugged into wakes us for that, too.
                    self.sink.poll();
                }
                nap = if woken { NAP } else { (nap * 2).min(LONGEST_NAP) };
            }
        }
    }

    fn now(&self) -> u64 {
        self.shared.clock.now()
    }

    /// Sleeps until something comes, at most this long; whether something came.
    fn sleep(&self, at_most: Duration) -> bool {
        let Some(wake) = self.shared.waker(self.number) else { return false };
        wake.about_to_sleep();
        let something = self.shared.doorbells.any(self.number)
            || self.shared.has_handed(self.number)
            || self.stop.load(Ordering::Acquire);
        if something {
            wake.awake();
            return true;
        }
        let ports = self.shared.ports.all();
        let mine =
            ports.iter().enumerate().filter(|(n, _)| n % self.shared.workers() == self.number);
        let mine: Vec<_> = mine.filter_map(|(_, port)| port.as_ref()).collect();
        let deadlines = mine.iter().filter_map(|port| port.lock().deadline());
        let timer = if self.number == 0 { self.sink.deadline() } else { None };
        let next = deadlines.chain(timer).min();
        let until = next.map(|at| Duration::from_nanos(at.saturating_sub(self.now())));
        let time = Timespec::try_from(until.map_or(at_most, |until| until.min(at_most))).ok();
        let wake_fd = wake.fd.as_ref().map(AsFd::as_fd);
        let fds = mine.iter().filter_map(|port| port.fd()).chain(wake_fd);
        let mut fds: Vec<_> = fds.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        let ready = poll(&mut fds, time.as_ref()).unwrap_or(0);
        wake.awake();
        ready > 0
    }
}
