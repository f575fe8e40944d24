//! The copy engine: one job at a time, on its own thread, given up when the function is reset.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use siov_mem::Iova;
use siov_vfio_user::{Client, DmaError};

/// Bytes that are read before they are written.
const STRIDE: u64 = 64 * 1024;

/// What to copy; without a client no request can be issued.
#[derive(Debug)]
pub(crate) struct Job {
    pub src: u64,
    pub dst: u64,
    pub len: u64,
    pub client: Option<Arc<Client>>,
}

/// Which reset-free stretch of time a job belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket(u64);

#[derive(Debug, Default)]
pub(crate) struct Engine {
    queue: Mutex<Queue>,
    wake: Condvar,
    /// Counts resets: a job of an older count must not touch memory any more.
    epoch: AtomicU64,
}

#[derive(Debug, Default)]
struct Queue {
    job: Option<Job>,
    quit: bool,
}

impl Engine {
    /// Hands over a job.
    pub fn start(&self, job: Job) {
        self.lock().job = Some(job);
        self.wake.notify_one();
    }

    /// Gives up the job that waits or runs. Memory accesses that are under way may still end.
    pub fn cancel(&self) {
        self.lock().job = None;
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }

    /// Has [`next`](Self::next) end.
    pub fn quit(&self) {
        self.cancel();
        self.lock().quit = true;
        self.wake.notify_one();
    }

    /// Whether no reset came since the ticket was given.
    pub fn is_current(&self, ticket: Ticket) -> bool {
        self.epoch.load(Ordering::SeqCst) == ticket.0
    }

    /// Waits for a job; `None` when it is time to go.
    pub fn next(&self) -> Option<(Job, Ticket)> {
        let mut queue = self.lock();
        loop {
            if queue.quit {
                return None;
            }
            if let Some(job) = queue.job.take() {
                return Some((job, Ticket(self.epoch.load(Ordering::SeqCst))));
            }
            queue = self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Copies as long as no reset comes and `allowed` holds; an error is the first address that failed.
    pub fn copy(&self, job: &Job, ticket: Ticket, allowed: impl Fn() -> bool) -> Result<(), u64> {
        let Some(client) = &job.client else { return Err(job.src) };
        let go = || self.is_current(ticket) && allowed();
        let mut buffer = vec![0; job.len.min(STRIDE) as usize];
        let mut done = 0;
        while done < job.len {
            let part = (job.len - done).min(STRIDE) as usize;
            let Some(data) = buffer.get_mut(..part) else { break };
            let from = job.src.checked_add(done).ok_or(u64::MAX)?;
            let to = job.dst.checked_add(done).ok_or(u64::MAX)?;
            let read = client.dma().read_while(Iova(from), data, go);
            read.map_err(|error| address(error, from))?;
            let write = client.dma().write_while(Iova(to), data, go);
            write.map_err(|error| address(error, to))?;
            done += part as u64;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where an access failed, or began when that can't be told.
fn address(error: DmaError, began: u64) -> u64 {
    match error {
        DmaError::Fault(fault) => fault.iova.0,
        DmaError::Client { iova, .. }
        | DmaError::Timeout(iova)
        | DmaError::GivenUp(iova)
        | DmaError::WouldDeadlock(iova) => iova.0,
        DmaError::Busy | DmaError::Disconnected => began,
    }
}
