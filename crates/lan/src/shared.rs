//! What the workers of a device share.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};

use siov_port::Clock;
use siov_switch::{Class, FlowTable, VsiId};

use crate::doorbell::Doorbells;
use crate::ports::Ports;
use crate::receive::Frame;
use crate::rx::Choice;
use crate::stats::Stats;
use crate::tables::Tables;
use crate::worker::Wake;

/// How many frames may wait for another worker.
const INBOX: usize = 4096;

/// Something on its way to a receive queue of another worker.
#[derive(Debug)]
pub(crate) struct Handed {
    pub queue: u16,
    pub vsi: VsiId,
    pub what: Parcel,
}

/// What is handed over.
#[derive(Debug)]
pub(crate) enum Parcel {
    /// A frame, and why it goes to that queue.
    Frame { choice: Choice, bytes: Vec<u8>, class: Class, loopback: bool },
    /// The result of a filter-program descriptor.
    Report([u64; 4]),
}

impl Handed {
    /// A copy of a frame.
    pub fn frame(queue: u16, vsi: VsiId, choice: &Choice, frame: Frame<'_>) -> Self {
        let Frame { bytes, class, loopback, .. } = frame;
        let what = Parcel::Frame { choice: *choice, bytes: bytes.to_vec(), class, loopback };
        Self { queue, vsi, what }
    }
}

/// One worker, as the others see it.
#[derive(Debug, Default)]
struct Peer {
    inbox: Mutex<VecDeque<Handed>>,
    waiting: AtomicBool,
    stats: Stats,
    wake: Wake,
}

/// The shared side of a data path.
pub(crate) struct Shared {
    pub tables: RwLock<Tables>,
    pub flows: RwLock<FlowTable>,
    pub ports: Ports,
    pub doorbells: Doorbells,
    pub clock: Clock,
    peers: Box<[Peer]>,
}

impl Shared {
    /// For so many queues and workers.
    pub fn new(
        tables: Tables,
        flows: FlowTable,
        clock: Clock,
        tx: usize,
        rx: usize,
        workers: usize,
    ) -> Self {
        Self {
            tables: RwLock::new(tables),
            flows: RwLock::new(flows),
            ports: Ports::default(),
            doorbells: Doorbells::new(tx, rx, workers),
            clock,
            peers: (0..workers).map(|_| Peer::default()).collect(),
        }
    }

    /// How many workers there are.
    pub fn workers(&self) -> usize {
        self.peers.len()
    }

    /// A worker's counters.
    pub fn stats(&self, worker: usize) -> Option<&Stats> {
        self.peers.get(worker).map(|peer| &peer.stats)
    }

    /// All workers' counters.
    pub fn all_stats(&self) -> impl Iterator<Item = &Stats> {
        self.peers.iter().map(|peer| &peer.stats)
    }

    /// Wakes a worker, if it sleeps.
    pub fn wake(&self, worker: usize) {
        if let Some(peer) = self.peers.get(worker) {
            peer.wake.wake();
        }
    }

    /// What wakes a worker.
    pub fn waker(&self, worker: usize) -> Option<&Wake> {
        self.peers.get(worker).map(|peer| &peer.wake)
    }

    /// Hands a frame to another worker; false when too many wait there.
    pub fn hand(&self, worker: usize, frame: Handed) -> bool {
        let Some(peer) = self.peers.get(worker) else { return false };
        let mut inbox = peer.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        if inbox.len() >= INBOX {
            return false;
        }
        inbox.push_back(frame);
        drop(inbox);
        if !peer.waiting.swap(true, Ordering::AcqRel) {
            peer.wake.wake();
        }
        true
    }

    /// Forgets the frames that wait for queues of a worker which are no more: a later owner must not get them.
    pub fn drop_handed(&self, worker: usize, gone: impl Fn(u16) -> bool) {
        if let Some(peer) = self.peers.get(worker) {
            let mut inbox = peer.inbox.lock().unwrap_or_else(PoisonError::into_inner);
            inbox.retain(|handed| !gone(handed.queue));
        }
    }

    /// Whether frames wait for a worker.
    pub fn has_handed(&self, worker: usize) -> bool {
        self.peers.get(worker).is_some_and(|peer| peer.waiting.load(Ordering::Acquire))
    }

    /// Moves at most `max` of the frames that wait for a worker.
    pub fn take_handed(&self, worker: usize, max: usize, to: &mut Vec<Handed>) {
        let Some(peer) = self.peers.get(worker).filter(|_| self.has_handed(worker)) else { return };
        let mut inbox = peer.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        let count = inbox.len().min(max);
        to.extend(inbox.drain(..count));
        peer.waiting.store(!inbox.is_empty(), Ordering::Release);
    }
}
