//! One worker's batch: what came in, then the transmit queues in turn.

use std::collections::VecDeque;
use std::sync::PoisonError;

use siov_bus::DmaPort;
use siov_switch::VsiId;

use crate::causes::{Outcome, Stopped};
use crate::malicious::{Malice, Side};
use crate::ports::WayOut;
use crate::program::Programming;
use crate::receive::{Batch, Frame, Receive};
use crate::shared::{Handed, Parcel, Shared};
use crate::stats::PORTS;
use crate::transmit::{Forward, Workbench, gather, send};
use crate::tx::{MAX_DESCRIPTORS, Packet, TxQueue};

/// Frames, copies of frames included, after which a batch takes no further packet.
const BUDGET: usize = 64;
/// The same for one queue, before the next has its turn.
const TURN: usize = 32;
/// Descriptors that are fetched at once.
const FETCH: usize = 32;
/// Frames that a batch takes from each port.
const ARRIVALS: usize = 64;
/// What a worker owns.
pub(crate) struct Engine {
    worker: usize,
    workers: usize,
    port: DmaPort,
    tx: Box<[Option<Box<TxQueue>>]>,
    /// Queues with something to send, in turn.
    ready: VecDeque<u16>,
    /// Queues whose doorbell is a page of shared memory.
    direct: Vec<u16>,
    pub forward: Forward,
    bench: Workbench,
    handed: Vec<Handed>,
    /// The filter that this batch ended with.
    pub programming: Option<Programming>,
}

impl Engine {
    /// A worker's share of so many queues.
    pub fn new(worker: usize, workers: usize, port: DmaPort, tx: usize, rx: usize) -> Self {
        Self {
            worker,
            workers,
            port,
            tx: (0..tx.div_ceil(workers)).map(|_| None).collect(),
            ready: VecDeque::new(),
            direct: Vec::new(),
            forward: Forward::new(Receive::new(rx, workers)),
            bench: Workbench::default(),
            handed: Vec::new(),
            programming: None,
        }
    }

    /// The place of a transmit queue of this worker.
    pub fn place(&mut self, queue: u16) -> Option<&mut Option<Box<TxQueue>>> {
        self.tx.get_mut(usize::from(queue) / self.workers)
    }

    /// Takes a transmit queue out; whether there was one.
    pub fn remove(&mut self, queue: u16) -> bool {
        self.set_direct(queue, false);
        self.ready.retain(|other| *other != queue);
        self.place(queue).is_some_and(|place| place.take().is_some())
    }

    /// A transmit queue of this worker, if it is enabled.
    pub fn queue(&mut self, queue: u16) -> Option<&mut TxQueue> {
        self.place(queue)?.as_deref_mut()
    }

    /// Takes out the transmit queues whose VSI is concerned; gives their numbers.
    pub fn take_queues(&mut self, concerned: impl Fn(VsiId) -> bool) -> Vec<u16> {
        let of = |place: &mut Option<Box<TxQueue>>| place.take_if(|queue| concerned(queue.vsi));
        let taken: Vec<u16> = self.tx.iter_mut().filter_map(of).map(|queue| queue.number).collect();
        self.direct.retain(|queue| !taken.contains(queue));
        self.ready.retain(|queue| !taken.contains(queue));
        taken
    }

    /// Polls a transmit queue's doorbell in shared memory from now on, or no more.
    pub fn set_direct(&mut self, queue: u16, direct: bool) {
        self.direct.retain(|other| *other != queue);
        if direct {
            self.direct.push(queue);
        }
    }

    /// Whether there are doorbells to poll.
    pub fn polls(&self) -> bool {
        !self.direct.is_empty()
    }

    /// Whether one of them has rung.
    pub fn is_rung(&self) -> bool {
        self.direct.iter().any(|number| {
            let queue = self.tx.get(usize::from(*number) / self.workers).and_then(Option::as_deref);
            queue.is_some_and(|queue| {
                queue.stopped.is_none()
                    && queue.stored().is_some_and(|tail| tail != queue.ring.tail)
            })
        })
    }

    /// A batch; what it leaves for others is in `outcome`.
    pub fn run(&mut self, shared: &Shared, outcome: &mut Outcome) {
        self.ring(shared, outcome);
        shared.take_handed(self.worker, ARRIVALS, &mut self.handed);
        let ports = shared.ports.all();
        self.batch(shared, outcome, |engine, batch| {
            engine.take_handed(batch);
            engine.take_arrivals(batch, &ports);
            let mut way = WayOut::new(&ports);
            engine.send(batch, &mut way);
        });
        self.program(shared, outcome);
        self.evict(shared);
        self.forward.receive.finish(outcome);
        outcome.more |= !self.ready.is_empty() || shared.has_handed(self.worker);
    }

    /// Does something with the tables held still and a batch of DMA open.
    pub(crate) fn batch(
        &mut self,
        shared: &Shared,
        outcome: &mut Outcome,
        work: impl FnOnce(&mut Self, &mut Batch<'_, '_>),
    ) {
        let tables = shared.tables.read().unwrap_or_else(PoisonError::into_inner);
        let flows = shared.flows.read().unwrap_or_else(PoisonError::into_inner);
        let Some(stats) = shared.stats(self.worker) else { return };
        let port = self.port.clone();
        let mut batch = Batch {
            shared,
            worker: self.worker,
            stats,
            tables: &tables,
            flows: &flows,
            taps: tables.taps(),
            dma: port.begin(),
            outcome,
        };
        work(self, &mut batch);
        if let Some(taps) = batch.taps {
            taps.flush();
        }
    }

    /// Takes the doorbells that rang.
    fn ring(&mut self, shared: &Shared, outcome: &mut Outcome) {
        let Self { tx, ready, workers, direct, .. } = self;
        let mut rung = |number: usize| {
            let Some(Some(queue)) = tx.get_mut(number / *workers) else { return };
            let tail = queue.stored().unwrap_or_else(|| shared.doorbells.tx_tail(number));
            if queue.stopped.is_some() || tail == queue.ring.tail {
                return;
            }
            if let Err(malice) = queue.set_tail(tail) {
                stop(queue, malice, outcome);
            } else if !queue.queued {
                queue.queued = true;
                ready.push_back(queue.number);
            }
        };
        shared.doorbells.take(self.worker, &mut rung);
        for number in direct {
            rung(usize::from(*number));
        }
    }

    fn take_handed(&mut self, batch: &mut Batch<'_, '_>) {
        for Handed { queue, vsi, what } in self.handed.drain(..) {
            batch.outcome.busy = true;
            match what {
                Parcel::Report(qwords) => self.forward.receive.report(batch, queue, vsi, qwords),
                Parcel::Frame { choice, bytes, class, loopback } => {
                    let parsed = siov_packet::parse(&bytes);
                    let checks = siov_packet::verify(&bytes, &parsed);
                    let frame = Frame { bytes: &bytes, parsed: &parsed, checks, class, loopback };
                    self.forward.receive.fill(batch, queue, vsi, &choice, frame);
                }
            }
        }
    }

    fn take_arrivals(
        &mut self,
        batch: &mut Batch<'_, '_>,
        ports: &[Option<std::sync::Arc<siov_port::Port>>; PORTS],
    ) {
        for (number, port) in (0u8..).zip(ports) {
            let Some(port) = port else { continue };
            if usize::from(number) % self.workers != self.worker {
                continue;
            }
            let forward = &mut self.forward;
            let mut backend = port.lock();
            let count =
                backend.receive(ARRIVALS, &mut |bytes| forward.arrive(batch, number, bytes));
            backend.flush();
            batch.outcome.busy |= count > 0;
            batch.outcome.more |= count == ARRIVALS;
        }
    }

    fn send(&mut self, batch: &mut Batch<'_, '_>, way: &mut WayOut<'_>) {
        let mut budget = BUDGET;
        while budget > 0 && self.programming.is_none() {
            let Some(number) = self.ready.pop_front() else { break };
            let index = usize::from(number) / self.workers;
            let Some(mut queue) = self.tx.get_mut(index).and_then(Option::take) else { continue };
            batch.outcome.busy = true;
            let turn = budget.min(TURN);
            match self.serve(batch, way, &mut queue, turn) {
                Ok(done) => budget -= done.min(budget),
                Err(malice) => {
                    batch.stats.send_error(queue.vsi.index());
                    stop(&mut queue, malice, batch.outcome);
                }
            }
            queue.queued = queue.stopped.is_none() && queue.ring.pending() > 0;
            if queue.queued {
                self.ready.push_back(number);
            }
            if let Some(place) = self.tx.get_mut(index) {
                *place = Some(queue);
            }
        }
    }

    /// Sends packets of a queue until about `turn` frames have come of them; gives how many did.
    fn serve(
        &mut self,
        batch: &mut Batch<'_, '_>,
        way: &mut WayOut<'_>,
        queue: &mut TxQueue,
        turn: usize,
    ) -> Result<usize, Malice> {
        let mut reported = false;
        let result = self.serve_until(batch, way, queue, turn, &mut reported);
        // Whatever ended it: what was reported before is worth an interrupt.
        if reported {
            batch.outcome.cause(queue.cause);
        }
        result
    }

    fn serve_until(
        &mut self,
        batch: &mut Batch<'_, '_>,
        way: &mut WayOut<'_>,
        queue: &mut TxQueue,
        turn: usize,
        reported: &mut bool,
    ) -> Result<usize, Malice> {
        let mut done = 0;
        let mut window = FETCH;
        let mut result = Ok(());
        'fetch: while done < turn && queue.ring.pending() > 0 && self.programming.is_none() {
            let Workbench { bytes, descriptors, .. } = &mut self.bench;
            queue.fetch(&mut batch.dma, window, bytes, descriptors)?;
            let descriptors = std::mem::take(&mut self.bench.descriptors);
            let mut at = 0;
            while done < turn && at < descriptors.len() && self.programming.is_none() {
                let rest = descriptors.get(at..).unwrap_or_default();
                match self.packet(batch, way, queue, rest) {
                    Ok(None) => break,
                    Ok(Some(packet)) => {
                        at += packet.count;
                        done += self.forward.take_work().max(1);
                        if packet.ask.report && self.programming.is_none() {
                            queue.report(&mut batch.dma, packet.count - 1)?;
                            *reported = true;
                        }
                        if self.programming.is_none() {
                            queue.ring.advance(packet.count as u32);
                        }
                    }
                    Err(malice) => {
                        result = Err(malice);
                        break;
                    }
                }
            }
            let fetched = descriptors.len();
            self.bench.descriptors = descriptors;
            if result.is_err() {
                break 'fetch;
            }
            if at == 0 && self.programming.is_none() {
                if fetched as u32 == queue.ring.pending() || window >= MAX_DESCRIPTORS {
                    result = Err(Malice::NoEndOfPacket);
                    break;
                }
                window = MAX_DESCRIPTORS;
            }
        }
        result.map(|()| done)
    }

    /// Sends the packet that these descriptors begin with.
    fn packet(
        &mut self,
        batch: &mut Batch<'_, '_>,
        way: &mut WayOut<'_>,
        queue: &TxQueue,
        descriptors: &[[u64; 2]],
    ) -> Result<Option<Packet>, Malice> {
        let Some(packet) = Packet::next(descriptors)? else { return Ok(None) };
        gather(batch, queue, &packet, descriptors, &mut self.bench.frame)?;
        if let Some((program, _)) = packet.ask.program {
            let vsi = batch.tables.vsi(queue.vsi).filter(|vsi| vsi.programs_flows);
            // A filter-program descriptor names any VSI: those of a guest may name its own.
            let own = program.fd_vsi == queue.vsi.number();
            if !vsi.is_some_and(|vsi| own || vsi.is_functions) {
                return Err(Malice::ProgrammingOff);
            }
            self.programming = Some(Programming {
                program,
                packet: self.bench.frame.clone(),
                queue: queue.number,
                count: packet.count,
                report: packet.ask.report,
            });
        }
        if !packet.ask.dummy {
            send(&mut self.forward, batch, way, queue, &packet.ask, &mut self.bench)?;
        }
        Ok(Some(packet))
    }
}

/// A queue has broken a rule.
pub(crate) fn stop(queue: &mut TxQueue, malice: Malice, outcome: &mut Outcome) {
    queue.stopped = Some(malice);
    outcome.stopped.push(Stopped { side: Side::Tx, queue: queue.number, vsi: queue.vsi, malice });
}
