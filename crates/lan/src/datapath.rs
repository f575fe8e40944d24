//! The workers together, as control sees them.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;

use siov_bus::{Gate, Requester};
use siov_mem::Word;
use siov_port::{Clock, InUse, Port};
use siov_switch::{DropReason, FlowTable, VsiId};

use crate::causes::{Line, Outcome, Sink};
use crate::direct::DirectTails;
use crate::doorbell::TAIL_MASK;
use crate::engine::Engine;
use crate::interrupt::Cause;
use crate::lend::is_lent;
use crate::rx::{RxQueue, RxSetup};
use crate::shared::Shared;
use crate::stats::{PortCounters, VsiCounters};
use crate::tables::Tables;
use crate::tx::{TxQueue, TxSetup};
use crate::worker::Worker;

/// How many queues a data path has, and how many workers share them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Doorbells of transmit queues.
    pub tx: usize,
    /// Receive queues.
    pub rx: usize,
    /// Workers, one or more.
    pub workers: usize,
}

/// Queues, switch and ports of a device.
///
/// What changes something waits for the batch that is under way: when it returns, no DMA of what was before
/// comes any more.
pub struct DataPath {
    shared: Arc<Shared>,
    engines: Vec<Arc<Gate<Engine>>>,
    /// Read by who does a worker's batches for it: none of them is left when the workers have been stopped.
    running: RwLock<Option<Running>>,
    direct: DirectTails,
}

struct Running {
    stop: Arc<AtomicBool>,
    workers: Vec<Arc<Worker>>,
    threads: Vec<JoinHandle<()>>,
}

impl fmt::Debug for DataPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataPath").field("workers", &self.engines.len()).finish_non_exhaustive()
    }
}

impl DataPath {
    /// Everything off; each worker has a shard of the requester's device TLB.
    pub fn new(
        requester: &Requester,
        tables: Tables,
        flows: FlowTable,
        clock: Clock,
        shape: Shape,
    ) -> Self {
        let Shape { tx, rx, workers } = shape;
        let workers = workers.max(1);
        let engine = |n| Arc::new(Gate::new(Engine::new(n, workers, requester.port(), tx, rx)));
        Self {
            engines: (0..workers).map(engine).collect(),
            shared: Arc::new(Shared::new(tables, flows, clock, tx, rx, workers)),
            running: RwLock::new(None),
            direct: DirectTails::default(),
        }
    }

    fn engine(&self, queue: u16) -> Option<&Gate<Engine>> {
        self.engines.get(usize::from(queue) % self.engines.len()).map(|engine| &**engine)
    }

    /// A transmit queue's doorbell rings: wakes its worker, or on a thread that is lent does its work.
    #[inline]
    pub fn ring(&self, queue: u32, tail: u32) {
        let worker = queue as usize % self.engines.len();
        if let Some(word) = self.direct.tx(queue) {
            word.store(tail);
        }
        self.shared.doorbells.ring(worker, queue as usize, tail & TAIL_MASK);
        if !(is_lent() && self.help(worker)) {
            self.shared.wake(worker);
        }
    }

    /// Does a worker's next batches; false when it has to be woken: more is left, or the workers stop.
    fn help(&self, worker: usize) -> bool {
        let Ok(running) = self.running.try_read() else { return false };
        let worker = running.as_ref().and_then(|running| running.workers.get(worker));
        worker.is_some_and(|worker| worker.help())
    }

    /// What a transmit queue's doorbell holds.
    pub fn tx_tail(&self, queue: u32) -> u32 {
        let stored = self.direct.tx(queue).and_then(|word| word.load());
        stored.unwrap_or_else(|| self.shared.doorbells.tx_tail(queue as usize))
    }

    /// Software posts receive buffers.
    pub fn set_rx_tail(&self, queue: u32, tail: u32) {
        if let Some(word) = self.direct.rx(queue) {
            word.store(tail);
        }
        self.shared.doorbells.set_rx_tail(queue as usize, tail & TAIL_MASK);
    }

    /// What a receive queue's tail holds.
    pub fn rx_tail(&self, queue: u32) -> u32 {
        let stored = self.direct.rx(queue).and_then(|word| word.load());
        stored.unwrap_or_else(|| self.shared.doorbells.rx_tail(queue as usize))
    }

    /// Enables a transmit queue, from its ring's first entry on; false for a context no queue can have.
    pub(crate) fn tx_enable(&self, queue: u16, setup: &TxSetup) -> bool {
        let Some(mut new) = TxQueue::new(queue, setup) else { return false };
        self.shared.doorbells.forget_tx(queue.into());
        new.direct = self.direct.tx(queue.into());
        let direct = new.direct.as_ref().map(|word| word.store(0)).is_some();
        let Some(engine) = self.engine(queue) else { return false };
        let mut engine = engine.control();
        let placed = engine.place(queue).map(|place| *place = Some(Box::new(new))).is_some();
        engine.set_direct(queue, direct && placed);
        drop(engine);
        if direct {
            self.shared.wake(usize::from(queue) % self.engines.len());
        }
        placed
    }

    /// Disables a transmit queue; whether it was enabled.
    pub fn tx_disable(&self, queue: u16) -> bool {
        let Some(engine) = self.engine(queue) else { return false };
        engine.control().remove(queue)
    }

    /// Where hardware is in a transmit queue; `None` when it is disabled.
    pub fn tx_head(&self, queue: u16) -> Option<u32> {
        self.engine(queue)?.control().queue(queue).map(|queue| queue.ring.head)
    }

    /// Enables a receive queue, from its ring's first entry on; false for a context no queue can have.
    pub(crate) fn rx_enable(&self, queue: u16, setup: &RxSetup) -> bool {
        let Some(mut new) = RxQueue::new(setup) else { return false };
        new.direct = self.direct.rx(queue.into());
        let Some(engine) = self.engine(queue) else { return false };
        let mut engine = engine.control();
        let place = engine.forward.receive.place(queue);
        place.map(|place| *place = Some(Box::new(new))).is_some()
    }

    /// Disables a receive queue; whether it was enabled.
    pub fn rx_disable(&self, queue: u16) -> bool {
        let Some(engine) = self.engine(queue) else { return false };
        let mut engine = engine.control();
        self.shared.drop_handed(usize::from(queue) % self.engines.len(), |of| of == queue);
        engine.forward.receive.place(queue).is_some_and(|place| place.take().is_some())
    }

    /// What a transmit queue's reports raise.
    pub fn set_tx_cause(&self, queue: u16, cause: Cause) {
        if let Some(engine) = self.engine(queue)
            && let Some(queue) = engine.control().queue(queue)
        {
            queue.cause = cause;
        }
    }

    /// What a receive queue's frames raise.
    pub fn set_rx_cause(&self, queue: u16, cause: Cause) {
        if let Some(engine) = self.engine(queue)
            && let Some(queue) = engine.control().forward.receive.queue(queue)
        {
            queue.cause = cause;
        }
    }

    /// Has a transmit queue's tail be polled in shared memory, also when it is enabled anew; `None`: no more.
    pub(crate) fn set_direct_tx(&self, queue: u16, word: Option<Word>) {
        self.direct.set_tx(queue, word.clone());
        let Some(gate) = self.engine(queue) else { return };
        let mut engine = gate.control();
        let direct = word.is_some();
        if let Some(found) = engine.queue(queue) {
            found.direct = word;
            engine.set_direct(queue, direct);
        }
        drop(engine);
        self.shared.wake(usize::from(queue) % self.engines.len());
    }

    /// Has a receive queue's tail be read from shared memory, also when it is enabled anew; `None`: no more.
    pub(crate) fn set_direct_rx(&self, queue: u16, word: Option<Word>) {
        self.direct.set_rx(queue, word.clone());
        if let Some(gate) = self.engine(queue)
            && let Some(found) = gate.control().forward.receive.queue(queue)
        {
            found.direct = word;
        }
    }

    /// Disables the queues of a VSI, or of all with `None`; gives the numbers of both kinds.
    pub fn stop_queues(&self, vsi: Option<VsiId>) -> (Vec<u16>, Vec<u16>) {
        let (mut tx, mut rx) = (vec![], vec![]);
        let concerned = |of: VsiId| vsi.is_none_or(|vsi| vsi == of);
        for (worker, engine) in self.engines.iter().enumerate() {
            let mut engine = engine.control();
            tx.extend(engine.take_queues(concerned));
            let queues = engine.forward.receive.take_queues(concerned);
            let number = |index: usize| (index * self.engines.len() + worker) as u16;
            let stopped: Vec<u16> = queues.into_iter().map(number).collect();
            self.shared.drop_handed(worker, |of| stopped.contains(&of));
            rx.extend(stopped);
        }
        (tx, rx)
    }

    /// Looks at VSIs, switch and ports.
    pub fn look<T>(&self, look: impl FnOnce(&Tables) -> T) -> T {
        look(&self.shared.tables.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes VSIs, switch or ports.
    pub fn change<T>(&self, change: impl FnOnce(&mut Tables) -> T) -> T {
        change(&mut self.shared.tables.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// Looks at the flow director's filters.
    pub fn look_flows<T>(&self, look: impl FnOnce(&FlowTable) -> T) -> T {
        look(&self.shared.flows.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the flow director's filters or profiles.
    pub fn change_flows<T>(&self, change: impl FnOnce(&mut FlowTable) -> T) -> T {
        change(&mut self.shared.flows.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// How many packets or bytes a filter counter has counted.
    pub fn flow_counter(&self, counter: u16) -> u64 {
        let counters = self.engines.iter().map(|engine| {
            let engine = engine.control();
            let counted = &engine.forward.receive.counted;
            counted.packets(counter).wrapping_add(counted.bytes(counter))
        });
        counters.fold(0, u64::wrapping_add)
    }

    /// Plugs a port in; what was there before is unplugged.
    pub fn plug(&self, number: u8, port: Option<Arc<Port>>) -> Result<(), InUse> {
        if let Some(port) = &port {
            port.plug()?;
        }
        self.shared.ports.set(number, port);
        for worker in 0..self.engines.len() {
            self.shared.wake(worker);
        }
        Ok(())
    }

    /// What a port is plugged into.
    pub fn port(&self, number: u8) -> Option<Arc<Port>> {
        self.shared.ports.get(number)
    }

    /// A VSI's counters.
    pub fn vsi_counters(&self, vsi: VsiId) -> VsiCounters {
        let mut sum = VsiCounters::default();
        self.shared.all_stats().for_each(|stats| stats.add_vsi(vsi.index(), &mut sum));
        sum
    }

    /// A port's counters.
    pub fn port_counters(&self, port: u8) -> PortCounters {
        let mut sum = PortCounters::default();
        self.shared.all_stats().for_each(|stats| stats.add_port(port.into(), &mut sum));
        sum
    }

    /// What the switch dropped, by reason.
    pub fn drops(&self) -> [u64; DropReason::ALL.len()] {
        let mut sums = [0; DropReason::ALL.len()];
        self.shared.all_stats().for_each(|stats| stats.add_drops(&mut sums));
        sums
    }

    /// One batch of each worker, on this thread: whether any had something to do, and what it took of the line.
    pub fn pump(&self, sink: &dyn Sink) -> (bool, Line) {
        let (mut busy, mut line) = (false, Line::default());
        let mut outcome = Outcome::default();
        for engine in &self.engines {
            outcome.clear();
            engine.batch().run(&self.shared, &mut outcome);
            sink.take(&outcome);
            busy |= outcome.busy || outcome.more;
            line.add(outcome.line);
        }
        (busy, line)
    }

    /// Gives each worker a thread; nothing when they have one.
    pub fn start(&self, sink: &Arc<dyn Sink>) -> std::io::Result<()> {
        let mut running = self.running.write().unwrap_or_else(PoisonError::into_inner);
        if running.is_some() {
            return Ok(());
        }
        let stop = Arc::new(AtomicBool::new(false));
        let mut started = Running { stop: Arc::clone(&stop), workers: vec![], threads: vec![] };
        for (number, engine) in self.engines.iter().enumerate() {
            let worker = Arc::new(Worker::new(
                number,
                Arc::clone(engine),
                Arc::clone(&self.shared),
                Arc::clone(sink),
                Arc::clone(&stop),
            ));
            started.workers.push(Arc::clone(&worker));
            let builder = std::thread::Builder::new().name(format!("lan-worker-{number}"));
            match builder.spawn(move || worker.run()) {
                Ok(thread) => started.threads.push(thread),
                Err(error) => {
                    self.end(started);
                    return Err(error);
                }
            }
        }
        *running = Some(started);
        Ok(())
    }

    /// Ends the workers' threads; when this returns, none is left.
    pub fn stop(&self) {
        let running = self.running.write().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(running) = running {
            self.end(running);
        }
    }

    /// What tells the first worker, who looks after timers, that one is due earlier than it was.
    pub(crate) fn timer_waker(&self) -> Box<dyn Fn() + Send + Sync> {
        let shared = Arc::clone(&self.shared);
        Box::new(move || shared.wake(0))
    }

    /// What software wrote into the tails of receive queues is forgotten.
    pub fn forget_rx_tails(&self, queues: impl IntoIterator<Item = u16>) {
        for queue in queues {
            self.set_rx_tail(queue.into(), 0);
        }
    }

    fn end(&self, running: Running) {
        running.stop.store(true, Ordering::Release);
        for worker in 0..self.engines.len() {
            self.shared.wake(worker);
        }
        for thread in running.threads {
            // A panic of the thread has been printed already.
            let _ = thread.join();
        }
    }
}

impl Drop for DataPath {
    fn drop(&mut self) {
        self.stop();
    }
}
