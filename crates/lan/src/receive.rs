//! From the switch into a receive queue.

use siov_bus::Dma;
use siov_packet::{Checks, Parsed, is_tpid};
use siov_port::capture::Direction;
use siov_switch::{Class, FlowCounters, FlowTable, Program, QueueTarget, VsiId};

use crate::causes::{Outcome, Stopped};
use crate::malicious::{Malice, Side};
use crate::rx::{Choice, Delivery, Meta, RxQueue, select};
use crate::shared::{Handed, Parcel, Shared};
use crate::stats::Stats;
use crate::tables::Tables;
use crate::tap::{Point, Taps};
use crate::vsi::{OnReceipt, Vsi};

/// What a batch has in hand.
pub(crate) struct Batch<'a, 'd> {
    pub shared: &'a Shared,
    pub worker: usize,
    pub stats: &'a Stats,
    pub tables: &'a Tables,
    pub flows: &'a FlowTable,
    pub taps: Option<&'a Taps>,
    pub dma: Dma<'d>,
    pub outcome: &'a mut Outcome,
}

impl Batch<'_, '_> {
    /// A frame has passed there; `why` it goes no further, if it does not.
    #[inline]
    pub fn passed(
        &self,
        point: Point,
        direction: Direction,
        frame: &[u8],
        why: Option<&'static str>,
    ) {
        if let Some(taps) = self.taps {
            taps.passed(point, direction, frame, why);
        }
    }

    /// A frame has not passed there.
    #[inline]
    pub fn missed(&self, point: Point, direction: Direction, frame: &[u8], why: &'static str) {
        if let Some(taps) = self.taps {
            taps.missed(point, direction, frame, why);
        }
    }

    /// A frame did not reach a VSI.
    fn undelivered(&self, vsi: VsiId, frame: &[u8], why: &'static str) {
        self.missed(Point::Vsi(vsi), Direction::Inbound, frame, why);
    }
}

/// A frame with what is known of it.
#[derive(Clone, Copy)]
pub(crate) struct Frame<'a> {
    pub bytes: &'a [u8],
    pub parsed: &'a Parsed,
    pub checks: Checks,
    pub class: Class,
    /// It came from a VSI of this device.
    pub loopback: bool,
}

/// The receive queues of a worker, and what it needs to fill them.
#[derive(Debug)]
pub(crate) struct Receive {
    queues: Box<[Option<Box<RxQueue>>]>,
    workers: usize,
    /// A frame without its tags, or with its check sequence.
    changed: Vec<u8>,
    /// Queues whose cause is noted.
    raised: Vec<u16>,
    /// Filters whose connections ended.
    pub evicted: Vec<(siov_switch::Addr, u32)>,
    pub counted: FlowCounters,
}

impl Receive {
    /// A worker's share of so many queues.
    pub fn new(queues: usize, workers: usize) -> Self {
        Self {
            queues: (0..queues.div_ceil(workers)).map(|_| None).collect(),
            workers,
            changed: Vec::new(),
            raised: Vec::new(),
            evicted: Vec::new(),
            counted: FlowCounters::default(),
        }
    }

    /// The place of a queue of this worker.
    pub fn place(&mut self, queue: u16) -> Option<&mut Option<Box<RxQueue>>> {
        self.queues.get_mut(usize::from(queue) / self.workers)
    }

    /// A queue of this worker, if it is enabled.
    pub fn queue(&mut self, queue: u16) -> Option<&mut RxQueue> {
        self.place(queue)?.as_deref_mut()
    }

    /// Takes out the queues whose VSI is concerned; gives their places among this worker's.
    pub fn take_queues(&mut self, concerned: impl Fn(VsiId) -> bool) -> Vec<usize> {
        let places = self.queues.iter_mut().enumerate();
        let taken =
            places.filter_map(|(n, place)| place.take_if(|queue| concerned(queue.vsi)).map(|_| n));
        taken.collect()
    }

    /// A frame for a VSI: finds its queue, which may be another worker's.
    pub fn deliver(
        &mut self,
        batch: &mut Batch<'_, '_>,
        vsi: VsiId,
        target: Option<QueueTarget>,
        frame: Frame<'_>,
    ) {
        let Some(known) = batch.tables.vsi(vsi) else {
            batch.undelivered(vsi, frame.bytes, "there is no such VSI");
            return batch.stats.no_descriptor(vsi.index());
        };
        let mut choice = match target.filter(|target| target.vsi == vsi) {
            Some(target) => by_rule(known, target, frame),
            None => select(known, batch.flows, frame.bytes, frame.parsed),
        };
        if let Some(program) = choice.counted.take() {
            self.count(&program, frame.bytes.len());
        }
        self.evicted.extend(choice.evict.take());
        if choice.dropped {
            batch.undelivered(vsi, frame.bytes, "a flow director filter drops it");
            return batch.stats.filtered(vsi.index());
        }
        let stats = batch.stats;
        let Some(queue) = choice.queue else {
            batch.undelivered(vsi, frame.bytes, "the VSI has no such queue");
            return stats.no_descriptor(vsi.index());
        };
        let owner = usize::from(queue) % self.workers;
        if owner == batch.worker {
            self.fill(batch, queue, vsi, &choice, frame);
        } else if !batch.shared.hand(owner, Handed::frame(queue, vsi, &choice, frame)) {
            batch.undelivered(vsi, frame.bytes, "the queue's worker has too many");
            stats.no_descriptor(vsi.index());
        }
    }

    /// A frame for a queue of this worker.
    pub fn fill(
        &mut self,
        batch: &mut Batch<'_, '_>,
        number: u16,
        vsi: VsiId,
        choice: &Choice,
        frame: Frame<'_>,
    ) {
        let stats = batch.stats;
        let (Some(known), Some(Some(queue))) =
            (batch.tables.vsi(vsi), self.queues.get_mut(usize::from(number) / self.workers))
        else {
            batch.undelivered(vsi, frame.bytes, NOT_ENABLED);
            return stats.no_descriptor(vsi.index());
        };
        if queue.vsi != vsi {
            batch.undelivered(vsi, frame.bytes, NOT_ENABLED);
            return stats.no_descriptor(vsi.index());
        }
        let mut meta = Meta::of(frame.parsed, frame.checks, frame.class, frame.loopback);
        (meta.hash, meta.mark) = (choice.hash, choice.mark);
        let double = batch.tables.double_vlan;
        let bytes = arrange(&mut self.changed, queue, known, double, frame, &mut meta);
        let tail = queue.tail(&batch.shared.doorbells, number);
        match queue.deliver(&mut batch.dma, tail, bytes, &meta) {
            Delivery::Done => {
                batch.passed(Point::Vsi(vsi), Direction::Inbound, frame.bytes, None);
                stats.received(vsi.index(), frame.class, frame.bytes.len());
                if !queue.raised {
                    queue.raised = true;
                    self.raised.push(number);
                }
            }
            Delivery::NoDescriptor => {
                batch.undelivered(vsi, frame.bytes, "there is no receive buffer");
                stats.no_descriptor(vsi.index());
            }
            Delivery::TooLong => {
                batch.undelivered(vsi, frame.bytes, "it is longer than the queue takes");
                stats.receive_error(vsi.index());
            }
            Delivery::Fault(error) => {
                batch.undelivered(vsi, frame.bytes, "the queue's memory can't be reached");
                stats.no_descriptor(vsi.index());
                let malice = Malice::Memory(error);
                batch.outcome.stopped.push(Stopped { side: Side::Rx, queue: number, vsi, malice });
                self.stop(batch, number);
            }
        }
    }

    /// A queue of this worker is no more; what it got before is worth an interrupt.
    fn stop(&mut self, batch: &mut Batch<'_, '_>, number: u16) {
        if let Some(queue) = self.place(number).and_then(Option::take)
            && queue.raised
        {
            batch.outcome.cause(queue.cause);
        }
    }

    /// The result of a filter-program descriptor, into a queue of a VSI, which may be another worker's.
    pub fn tell(&mut self, batch: &mut Batch<'_, '_>, queue: u16, vsi: VsiId, qwords: [u64; 4]) {
        let owner = usize::from(queue) % self.workers;
        if owner == batch.worker {
            self.report(batch, queue, vsi, qwords);
        } else {
            // A full inbox loses it, as a receive queue without buffers does.
            let _ = batch.shared.hand(owner, Handed { queue, vsi, what: Parcel::Report(qwords) });
        }
    }

    /// The result of a filter-program descriptor, into a queue of this worker.
    pub fn report(&mut self, batch: &mut Batch<'_, '_>, number: u16, vsi: VsiId, qwords: [u64; 4]) {
        let Some(queue) = self.queue(number).filter(|queue| queue.vsi == vsi) else { return };
        let tail = queue.tail(&batch.shared.doorbells, number);
        match queue.report(&mut batch.dma, tail, qwords) {
            Ok(false) => {}
            Ok(true) if queue.raised => {}
            Ok(true) => {
                queue.raised = true;
                self.raised.push(number);
            }
            Err(error) => {
                let malice = Malice::Memory(error);
                batch.outcome.stopped.push(Stopped { side: Side::Rx, queue: number, vsi, malice });
                self.stop(batch, number);
            }
        }
    }

    /// Ends a batch: the causes of the queues that got frames are handed over.
    pub fn finish(&mut self, outcome: &mut Outcome) {
        let mut raised = std::mem::take(&mut self.raised);
        let others = outcome.causes.len();
        for number in raised.drain(..) {
            if let Some(queue) = self.queue(number) {
                queue.raised = false;
                outcome.cause(queue.cause);
            }
        }
        self.raised = raised;
        // Who waits for a frame hears of it before who only gets descriptors back.
        outcome.causes.rotate_left(others);
    }

    fn count(&mut self, program: &Program, bytes: usize) {
        self.counted.count(program, bytes as u64);
    }
}

const NOT_ENABLED: &str = "the queue is not enabled";

/// The queue that a switch rule names, within the VSI.
fn by_rule(vsi: &Vsi, target: QueueTarget, frame: Frame<'_>) -> Choice {
    let hash = siov_packet::rss::hash(frame.bytes, frame.parsed, &vsi.rss.config, &vsi.rss.key);
    let in_group = hash.unwrap_or(0) & ((1u32 << target.region.min(7)) - 1);
    let queue = vsi.queues.queue(target.queue.saturating_add(in_group as u16));
    Choice { queue, hash, ..Choice::default() }
}

/// The frame as the queue takes it: tags taken out and reported, check sequence appended.
fn arrange<'a>(
    changed: &'a mut Vec<u8>,
    queue: &RxQueue,
    vsi: &Vsi,
    double: bool,
    frame: Frame<'a>,
    meta: &mut Meta,
) -> &'a [u8] {
    let tags = frame.parsed.tags();
    // Without double VLANs the first tag is the inner one; with them it is the outer one, if it is of its kind.
    let outer = double && tags.first().is_some_and(|tag| tag.tpid == vsi.vlan.outer_tpid);
    let inner_at = usize::from(outer);
    let take_outer = outer && vsi.vlan.outer != OnReceipt::Keep;
    let inner = tags.get(inner_at).filter(|tag| is_tpid(tag.tpid));
    let inner = inner.filter(|_| vsi.vlan.inner != OnReceipt::Keep);
    let shown_outer = tags.first().filter(|_| take_outer && vsi.vlan.outer == OnReceipt::Report);
    let shown_inner = inner.filter(|_| vsi.vlan.inner == OnReceipt::Report);
    let (first, second) = match shown_outer {
        Some(_) => (shown_outer, shown_inner),
        None => (shown_inner, None),
    };
    let (one, two) = (first.map(|tag| tag.tci), second.map(|tag| tag.tci));
    (meta.tag1, meta.tag2) = if queue.l2tsel { (one, two) } else { (two, one) };
    meta.crc = queue.keeps_crc;
    let cuts = usize::from(take_outer) + usize::from(inner.is_some());
    let cut_from = 12 + if take_outer { 0 } else { 4 * inner_at };
    let cut = if queue.keeps_tag { 0 } else { 4 * cuts };
    if cut == 0 && !queue.keeps_crc {
        return frame.bytes;
    }
    changed.clear();
    changed.extend_from_slice(frame.bytes.get(..cut_from).unwrap_or(frame.bytes));
    changed.extend_from_slice(frame.bytes.get(cut_from + cut..).unwrap_or_default());
    if queue.keeps_crc {
        changed.extend_from_slice(&crc32fast::hash(changed).to_le_bytes());
    }
    changed
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use siov_spec::e810::{RxQueueContext, bar0::QRXFLXP_CNTXT};

    use super::*;
    use crate::interrupt::{Cause, Itr, Vector};
    use crate::rx::RxSetup;

    fn cause(vector: u32) -> Cause {
        Cause { vector: Vector(vector), itr: Itr::None, enabled: true }
    }

    #[test]
    fn who_got_frames_is_interrupted_before_who_has_sent_some() {
        let mut receive = Receive::new(4, 1);
        for queue in [1, 2] {
            let setup = RxSetup {
                context: RxQueueContext([0; 4]).with_QLEN(64).with_DBUF(16).with_DSIZE(true),
                profile: QRXFLXP_CNTXT(0),
                vsi: VsiId::new(5).unwrap(),
                pasid: None,
                cause: cause(10 + u32::from(queue)),
            };
            *receive.place(queue).unwrap() = Some(Box::new(RxQueue::new(&setup).unwrap()));
            receive.raised.push(queue);
        }
        let mut outcome = Outcome::default();
        [1, 2].into_iter().for_each(|vector| outcome.cause(cause(vector)));
        receive.finish(&mut outcome);
        let vectors: Vec<u32> = outcome.causes.iter().map(|cause| cause.vector.0).collect();
        assert_eq!(vectors, [11, 12, 1, 2]);
    }
}
