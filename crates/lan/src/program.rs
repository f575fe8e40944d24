//! Filter-program descriptors: what they do to the flow director, and how that is reported.

use std::sync::PoisonError;

use siov_spec::e810::{FltrWbQw1, PCMD, RxFlexQw0};
use siov_switch::{Addr, CompReport, FlowError, Pcmd, Program};

use crate::causes::Outcome;
use crate::engine::{Engine, stop};
use crate::malicious::Malice;
use crate::shared::Shared;

/// The profile of a receive descriptor that reports a filter's programming.
const FDIR_RXDID: u8 = 0x40;

/// A filter to be programmed. Its queue goes on when that is done.
#[derive(Debug)]
pub(crate) struct Programming {
    pub program: Program,
    /// The training packet.
    pub packet: Vec<u8>,
    pub queue: u16,
    /// Descriptors of the queue that are done with it, and whether to report the last.
    pub count: usize,
    pub report: bool,
}

impl Programming {
    /// What the programming VSI's receive queue is told, if it is to hear of it.
    fn result(&self, result: Result<Addr, FlowError>) -> Option<[u64; 4]> {
        let wanted = match self.program.comp_report {
            CompReport::None => false,
            CompReport::OnFail => result.is_err(),
            CompReport::Always => true,
        };
        let done = match self.program.pcmd {
            Pcmd::Add => PCMD::ADD,
            Pcmd::Remove => PCMD::REMOVE,
        };
        let word = FltrWbQw1::default().with_DD(true).with_PROG_ID(done as u8);
        let word = match result {
            Ok(addr) => word.with_FLT_ADDR(addr.0),
            Err(error) => word.with_FAIL(true).with_FAIL_PROF(error.is_profile()),
        };
        let head = RxFlexQw0::default().with_RXDID(FDIR_RXDID);
        wanted.then_some([head.0, word.0, 0, 0])
    }
}

impl Engine {
    /// Programs the filter that the batch ended with, with no lock of a batch held, and tells how that went.
    pub fn program(&mut self, shared: &Shared, outcome: &mut Outcome) {
        let Some(job) = self.programming.take() else { return };
        let parsed = siov_packet::parse(&job.packet);
        let result = {
            let mut flows = shared.flows.write().unwrap_or_else(PoisonError::into_inner);
            flows.program(&job.program, &job.packet, &parsed)
        };
        self.batch(shared, outcome, |engine, batch| {
            let Some(queue) = engine.queue(job.queue) else { return };
            let vsi = queue.vsi;
            let mut written = Ok(());
            if job.report {
                written = queue.report(&mut batch.dma, job.count - 1);
                batch.outcome.cause(queue.cause);
            }
            queue.ring.advance(job.count as u32);
            if let Err(error) = written {
                stop(queue, Malice::Memory(error), batch.outcome);
            }
            let relative = if job.program.comp_q { job.program.qindex } else { 0 };
            let receiver = batch.tables.vsi(vsi).and_then(|vsi| vsi.queues.queue(relative));
            if let (Some(receiver), Some(qwords)) = (receiver, job.result(result)) {
                engine.forward.receive.tell(batch, receiver, vsi, qwords);
            }
        });
    }

    /// Removes filters whose connections have ended.
    pub fn evict(&mut self, shared: &Shared) {
        let evicted = &mut self.forward.receive.evicted;
        if evicted.is_empty() {
            return;
        }
        let mut flows = shared.flows.write().unwrap_or_else(PoisonError::into_inner);
        for (addr, stamp) in evicted.drain(..) {
            flows.evict(addr, stamp);
        }
    }
}
