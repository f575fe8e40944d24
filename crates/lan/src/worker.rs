//! A worker's thread: batches while there is something to do, asleep when there is not.

use std::num::NonZeroU64;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::thread::set_current_timer_slack;
use siov_bus::Gate;

use crate::causes::{Outcome, Sink};
use crate::engine::Engine;
use crate::shared::Shared;

/// How often an idle worker looks before it sleeps.
const SPINS: u32 = 200;
/// A worker that polls doorbells in memory sleeps for this part of the time that it has been idle: so it finds
/// one late by so much of the pause before it at most, and the longer nothing comes, the less it looks.
const PART: u32 = 16;
/// The shortest of these sleeps, and the longest.
const NAP: Duration = Duration::from_micros(50);
const LONGEST_NAP: Duration = Duration::from_millis(2);
/// How many batches another thread does for a worker at a time: its own guest waits meanwhile.
const ROUNDS: u32 = 4;
/// By how many nanoseconds a sleep may be longer: throttling timers count in 2 us.
const SLACK: u64 = 1_000;
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
    number: usize,
    engine: Arc<Gate<Engine>>,
    shared: Arc<Shared>,
    sink: Arc<dyn Sink>,
    stop: Arc<AtomicBool>,
    /// Another thread does its batches.
    helped: AtomicBool,
    /// One has done so since the worker slept last.
    relieved: AtomicBool,
}

/// What a batch leaves.
struct Left {
    busy: bool,
    more: bool,
    polls: bool,
}

impl Worker {
    /// A worker that does nothing yet.
    pub fn new(
        number: usize,
        engine: Arc<Gate<Engine>>,
        shared: Arc<Shared>,
        sink: Arc<dyn Sink>,
        stop: Arc<AtomicBool>,
    ) -> Self {
        let (helped, relieved) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { number, engine, shared, sink, stop, helped, relieved }
    }

    /// Works until it is told to stop.
    pub fn run(&self) {
        // Else the kernel lets timers be late by 50 us, which is as long as they commonly run.
        let _ = set_current_timer_slack(NonZeroU64::new(SLACK));
        let mut outcome = Outcome::default();
        let (mut idle, mut since) = (0, Instant::now());
        while !self.stop.load(Ordering::Acquire) {
            let left = self.batch(&mut outcome);
            if left.busy || left.more {
                idle = 0;
                continue;
            }
            if idle == 0 {
                since = Instant::now();
            }
            if idle < SPINS && !self.relieved.load(Ordering::Relaxed) {
                idle += 1;
                std::hint::spin_loop();
            } else {
                self.relieved.store(false, Ordering::Relaxed);
                self.rest(left.polls, since);
                if self.number == 0 {
                    // A link may have gone up or down: what a port is plugged into wakes us for that, too.
                    self.sink.poll();
                }
            }
        }
    }

    /// Does the next batches on the thread that rang a doorbell; false when the worker has to do the rest.
    ///
    /// A second such thread leaves its doorbell to the first, which looks again when it is done.
    pub fn help(&self) -> bool {
        let mut outcome = Outcome::default();
        let mut rounds = 0;
        while !self.helped.swap(true, Ordering::AcqRel) {
            self.relieved.store(true, Ordering::Relaxed);
            let mut more = true;
            while more && rounds < ROUNDS && !self.stop.load(Ordering::Acquire) {
                more = self.batch(&mut outcome).more;
                rounds += 1;
            }
            // What others rang before they found us here is seen now: both sides exchange the same word.
            self.helped.swap(false, Ordering::AcqRel);
            if more || rounds >= ROUNDS {
                return false;
            }
            if !self.shared.doorbells.any(self.number) {
                break;
            }
        }
        true
    }

    fn batch(&self, outcome: &mut Outcome) -> Left {
        outcome.clear();
        let polls = {
            let mut engine = self.engine.batch();
            engine.run(&self.shared, outcome);
            engine.polls()
        };
        self.sink.take(outcome);
        if self.number == 0 && self.sink.deadline().is_some_and(|at| at <= self.now()) {
            self.sink.poll();
        }
        Left { busy: outcome.busy, more: outcome.more, polls }
    }

    fn now(&self) -> u64 {
        self.shared.clock.now()
    }

    /// Sleeps until there may be something to do; with doorbells to poll, since when it has been idle counts.
    fn rest(&self, polls: bool, since: Instant) {
        if !polls {
            self.sleep(SLEEP);
            return;
        }
        let begun = Instant::now();
        while begun.elapsed() < SLEEP
            && !self.sleep((since.elapsed() / PART).clamp(NAP, LONGEST_NAP))
            && !self.engine.batch().is_rung()
        {}
    }

    /// Sleeps until something comes or is due, at most this long; whether it has.
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
        ready > 0 || until.is_some_and(|until| until <= at_most)
    }
}
