//! One receive queue: its ring, the buffers fetched ahead, and the writing back.

use std::sync::atomic::{Ordering, fence};

use siov_bus::{Dma, DmaError, Iova, Pasid};
use siov_mem::Word;
use siov_spec::e810::{RX_DESC_BYTES, RXQ_MAX_BUFFERS, RxQueueContext, bar0::QRXFLXP_CNTXT};
use siov_switch::VsiId;

use super::writeback::{Format, Meta};
use crate::doorbell::{Doorbells, TAIL_MASK};
use crate::interrupt::Cause;
use crate::ring::Ring;

/// Descriptors that are fetched at once.
const AHEAD: u32 = 32;
const STEP: usize = RX_DESC_BYTES as usize;
/// The tail's bits that hardware takes no account of.
const TAIL_GRANULE: u32 = 8;

/// How software has set a queue up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RxSetup {
    pub context: RxQueueContext,
    pub profile: QRXFLXP_CNTXT,
    pub vsi: VsiId,
    pub pasid: Option<Pasid>,
    pub cause: Cause,
}

/// How the delivery of a frame ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    Done,
    /// No buffers.
    NoDescriptor,
    /// Longer than the queue takes.
    TooLong,
    /// Its memory can't be reached: the queue has to stop.
    Fault(DmaError),
}

/// A receive queue that is enabled.
#[derive(Debug)]
pub(crate) struct RxQueue {
    pub vsi: VsiId,
    pub cause: Cause,
    /// Its cause has been noted in this batch.
    pub raised: bool,
    /// A descriptor has the outermost tag in L2TAG1; else in L2TAG2_2ND.
    pub l2tsel: bool,
    /// A tag that is reported stays in the frame too.
    pub keeps_tag: bool,
    /// The frame check sequence goes into the buffer.
    pub keeps_crc: bool,
    /// Where software stores the tail without our being told.
    pub direct: Option<Word>,
    pasid: Option<Pasid>,
    ring: Ring,
    buffer: u32,
    max: u32,
    rxdid: u8,
    format: Format,
    /// Addresses of the buffers of the entries from `ring.head` on.
    ahead: [u64; AHEAD as usize],
    fetched: u32,
    next: u32,
}

impl RxQueue {
    /// A queue that begins at its ring's first entry; `None` for a context that no queue can have.
    pub fn new(setup: &RxSetup) -> Option<Self> {
        let c = &setup.context;
        let base = (u64::from(c.BASE_HI()) << 32 | u64::from(c.BASE_LO())).checked_mul(128)?;
        let ring = Ring::new(base, c.QLEN().into(), RX_DESC_BYTES)?;
        let buffer = u32::from(c.DBUF()) * 128;
        if buffer == 0 || !c.DSIZE() {
            return None;
        }
        let rxdid = setup.profile.RXDID_IDX();
        Some(Self {
            vsi: setup.vsi,
            cause: setup.cause,
            raised: false,
            l2tsel: c.L2TSEL(),
            keeps_tag: c.SHOWIV(),
            keeps_crc: !c.CRCSTRIP(),
            direct: None,
            pasid: setup.pasid,
            ring,
            buffer,
            max: u32::from(c.RXMAX()).min(buffer * RXQ_MAX_BUFFERS),
            rxdid,
            format: Format::of(rxdid),
            ahead: [0; AHEAD as usize],
            fetched: 0,
            next: 0,
        })
    }

    /// The tail that software wrote last, wherever it writes it.
    pub fn tail(&self, doorbells: &Doorbells, number: u16) -> u32 {
        match &self.direct {
            Some(word) => word.load().unwrap_or(0) & TAIL_MASK,
            None => doorbells.rx_tail(number.into()),
        }
    }

    /// Puts a frame into buffers and writes their descriptors; `tail` is what software wrote last.
    pub fn deliver(&mut self, dma: &mut Dma<'_>, tail: u32, frame: &[u8], meta: &Meta) -> Delivery {
        let len = frame.len() as u32;
        if len > self.max {
            return Delivery::TooLong;
        }
        let count = len.div_ceil(self.buffer).max(1);
        self.ring.tail = tail / TAIL_GRANULE * TAIL_GRANULE;
        if self.ring.tail >= self.ring.len() || self.ring.pending() < count {
            return Delivery::NoDescriptor;
        }
        self.put(dma, frame, meta, count).map_or_else(Delivery::Fault, |()| Delivery::Done)
    }

    /// Uses an entry for a report of the flow director; false when there is none.
    pub fn report(
        &mut self,
        dma: &mut Dma<'_>,
        tail: u32,
        qwords: [u64; 4],
    ) -> Result<bool, DmaError> {
        self.ring.tail = tail / TAIL_GRANULE * TAIL_GRANULE;
        if self.ring.tail >= self.ring.len() || self.ring.pending() == 0 {
            return Ok(false);
        }
        let index = self.ring.head;
        self.next_buffer(dma)?;
        self.write_back(dma, index, qwords)?;
        Ok(true)
    }

    fn put(
        &mut self,
        dma: &mut Dma<'_>,
        frame: &[u8],
        meta: &Meta,
        count: u32,
    ) -> Result<(), DmaError> {
        let first = self.ring.head;
        let mut parts = frame.chunks(self.buffer as usize);
        for _ in 0..count {
            let address = self.next_buffer(dma)?;
            dma.write(self.pasid, Iova(address), parts.next().unwrap_or_default())?;
        }
        let mut left = frame.len() as u32;
        for n in 0..count {
            let len = left.min(self.buffer);
            left -= len;
            let eof = n + 1 == count;
            let qwords = meta.descriptor(self.format, self.rxdid, len as u16, eof);
            self.write_back(dma, self.ring.after(first, n), qwords)?;
        }
        Ok(())
    }

    /// The address of the next entry's buffer; the entry is used then.
    fn next_buffer(&mut self, dma: &mut Dma<'_>) -> Result<u64, DmaError> {
        if self.next == self.fetched {
            self.fetch(dma)?;
        }
        let address = self.ahead.get(self.next as usize).copied().unwrap_or(0);
        self.next += 1;
        self.ring.advance(1);
        Ok(address)
    }

    fn fetch(&mut self, dma: &mut Dma<'_>) -> Result<(), DmaError> {
        let head = self.ring.head;
        let count = self.ring.in_one_piece(head, self.ring.pending().min(AHEAD));
        let mut bytes = [0; AHEAD as usize * STEP];
        let bytes = bytes.get_mut(..count as usize * STEP).unwrap_or_default();
        dma.read(self.pasid, self.ring.at(head), bytes)?;
        for (address, descriptor) in self.ahead.iter_mut().zip(bytes.chunks_exact(STEP)) {
            *address = descriptor.first_chunk().map_or(0, |qword| u64::from_le_bytes(*qword));
        }
        (self.fetched, self.next) = (count, 0);
        Ok(())
    }

    /// A reader that finds DD finds all the rest: the qword with DD goes last, in one store.
    fn write_back(
        &self,
        dma: &mut Dma<'_>,
        index: u32,
        [q0, q1, q2, q3]: [u64; 4],
    ) -> Result<(), DmaError> {
        let at = self.ring.at(index);
        let mut bytes = [0; STEP];
        for (to, from) in bytes.chunks_exact_mut(8).zip([q0, 0, q2, q3]) {
            to.copy_from_slice(&from.to_le_bytes());
        }
        dma.write(self.pasid, at, &bytes)?;
        fence(Ordering::Release);
        dma.write(self.pasid, Iova(at.0 + 8), &q1.to_le_bytes())
    }
}
