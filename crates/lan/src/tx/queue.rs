//! One transmit queue: its ring, its owner, what was reported.

use std::sync::atomic::{Ordering, fence};

use siov_bus::{Dma, DmaError, Iova, Pasid};
use siov_mem::Word;
use siov_spec::e810::{DTYPE, TX_DESC_BYTES, TxDoneQw1, TxQueueContext};
use siov_switch::VsiId;

use super::packet::MAX_DESCRIPTORS;
use crate::doorbell::TAIL_MASK;
use crate::interrupt::Cause;
use crate::malicious::Malice;
use crate::ring::Ring;

const STEP: usize = TX_DESC_BYTES as usize;

/// How a queue is set up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TxSetup {
    pub context: TxQueueContext,
    pub pasid: Option<Pasid>,
    pub cause: Cause,
}

/// A transmit queue that is enabled.
#[derive(Debug)]
pub(crate) struct TxQueue {
    pub number: u16,
    pub vsi: VsiId,
    pub pasid: Option<Pasid>,
    pub cause: Cause,
    pub ring: Ring,
    /// Segmentation is allowed.
    pub tso: bool,
    /// It waits for its turn already.
    pub queued: bool,
    /// Why it has stopped.
    pub stopped: Option<Malice>,
    /// Where software stores the tail without our being told.
    pub direct: Option<Word>,
}

impl TxQueue {
    /// A queue that begins at its ring's first entry; `None` for a context that no queue can have.
    pub fn new(number: u16, setup: &TxSetup) -> Option<Self> {
        let c = &setup.context;
        let ring = Ring::new(c.BASE().checked_mul(128)?, c.QLEN().into(), TX_DESC_BYTES)?;
        Some(Self {
            number,
            vsi: VsiId::new(c.SRC_VSI())?,
            pasid: setup.pasid,
            cause: setup.cause,
            ring,
            tso: c.TSO_ENA(),
            queued: false,
            stopped: None,
            direct: None,
        })
    }

    /// The tail that software has stored without our being told.
    pub fn stored(&self) -> Option<u32> {
        Some(self.direct.as_ref()?.load()? & TAIL_MASK)
    }

    /// Software says how far the ring is filled.
    pub fn set_tail(&mut self, tail: u32) -> Result<(), Malice> {
        if tail >= self.ring.len() {
            return Err(Malice::TailOutsideRing);
        }
        self.ring.tail = tail;
        Ok(())
    }

    /// Reads descriptors from the head on: `count` of them or what there is, also across the ring's end.
    pub fn fetch(
        &self,
        dma: &mut Dma<'_>,
        count: usize,
        bytes: &mut Vec<u8>,
        to: &mut Vec<[u64; 2]>,
    ) -> Result<(), DmaError> {
        let count = self.ring.pending().min(count.min(MAX_DESCRIPTORS) as u32);
        let first = self.ring.in_one_piece(self.ring.head, count);
        bytes.resize(count as usize * STEP, 0);
        let (one, two) = bytes.split_at_mut_checked(first as usize * STEP).unwrap_or_default();
        dma.read(self.pasid, self.ring.at(self.ring.head), one)?;
        dma.read(self.pasid, self.ring.at(0), two)?;
        to.clear();
        to.extend(bytes.chunks_exact(STEP).map(|descriptor| {
            let (low, high) = descriptor.split_at(STEP / 2);
            [qword(low), qword(high)]
        }));
        Ok(())
    }

    /// Writes the descriptor `n` places behind the head back as done.
    pub fn report(&self, dma: &mut Dma<'_>, n: usize) -> Result<(), DmaError> {
        let done = TxDoneQw1::default().with_DTYPE(DTYPE::DESC_DONE as u8);
        self.write_high(dma, n, done.0)
    }

    /// Writes the second quadword of the descriptor `n` places behind the head.
    pub fn write_high(&self, dma: &mut Dma<'_>, n: usize, value: u64) -> Result<(), DmaError> {
        let at = self.ring.at(self.ring.after(self.ring.head, n as u32));
        // Who finds the report finds what was done before it.
        fence(Ordering::Release);
        dma.write(self.pasid, Iova(at.0 + 8), &value.to_le_bytes())
    }
}

fn qword(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
