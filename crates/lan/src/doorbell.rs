//! Doorbells: the tails that software writes, and which Tx queues have been rung.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// The bits of a tail: QTX_COMM_DBELL.TAIL and QRX_TAIL.TAIL are 12:0.
pub(crate) const TAIL_MASK: u32 = 0x1FFF;

/// The tail of each queue as it was written last, and a bit for each Tx queue that was rung since.
#[derive(Debug)]
pub(crate) struct Doorbells {
    tx: Box<[AtomicU32]>,
    rx: Box<[AtomicU32]>,
    rung: Box<[Rung]>,
}

/// The rung queues of one worker, in two levels: a bit of `words` for a queue, a bit of `summary` for a word.
#[derive(Debug)]
struct Rung {
    summary: [AtomicU64; 4],
    words: Box<[AtomicU64]>,
}

fn words<T: Default>(count: usize) -> Box<[T]> {
    (0..count).map(|_| T::default()).collect()
}

impl Doorbells {
    /// Doorbells of so many queues, shared out over `workers`.
    pub fn new(tx: usize, rx: usize, workers: usize) -> Self {
        let rung = || Rung { summary: Default::default(), words: words(tx.div_ceil(64)) };
        Self { tx: words(tx), rx: words(rx), rung: (0..workers).map(|_| rung()).collect() }
    }

    /// Software rings a Tx queue of this worker.
    pub fn ring(&self, worker: usize, queue: usize, tail: u32) {
        let (Some(place), Some(rung)) = (self.tx.get(queue), self.rung.get(worker)) else { return };
        place.store(tail, Ordering::Release);
        if let Some(word) = rung.words.get(queue / 64) {
            word.fetch_or(1 << (queue % 64), Ordering::Release);
        }
        if let Some(summary) = rung.summary.get(queue / 4096) {
            summary.fetch_or(1 << (queue / 64 % 64), Ordering::Release);
        }
    }

    /// A Tx queue begins anew: what was rung before is forgotten.
    pub fn forget_tx(&self, queue: usize) {
        if let Some(place) = self.tx.get(queue) {
            place.store(0, Ordering::Release);
        }
    }

    /// The tail of a Tx queue as it was written last.
    pub fn tx_tail(&self, queue: usize) -> u32 {
        self.tx.get(queue).map_or(0, |tail| tail.load(Ordering::Acquire))
    }

    /// Software writes the tail of an Rx queue.
    pub fn set_rx_tail(&self, queue: usize, tail: u32) {
        if let Some(place) = self.rx.get(queue) {
            place.store(tail, Ordering::Release);
        }
    }

    /// The tail of an Rx queue as it was written last.
    pub fn rx_tail(&self, queue: usize) -> u32 {
        self.rx.get(queue).map_or(0, |tail| tail.load(Ordering::Acquire))
    }

    /// Whether a Tx queue of this worker has been rung since the last look.
    pub fn any(&self, worker: usize) -> bool {
        let rung = self.rung.get(worker);
        rung.is_some_and(|rung| rung.summary.iter().any(|word| word.load(Ordering::Acquire) != 0))
    }

    /// Hands each Tx queue of this worker that was rung since the last look to `each`.
    pub fn take(&self, worker: usize, mut each: impl FnMut(usize)) {
        let Some(rung) = self.rung.get(worker) else { return };
        for (high, summary) in rung.summary.iter().enumerate() {
            if summary.load(Ordering::Relaxed) == 0 {
                continue;
            }
            for middle in bits(summary.swap(0, Ordering::Acquire)) {
                let Some(word) = rung.words.get(high * 64 + middle) else { continue };
                for low in bits(word.swap(0, Ordering::Acquire)) {
                    each(high * 4096 + middle * 64 + low);
                }
            }
        }
    }
}

fn bits(mut word: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = word.trailing_zeros();
        word &= word.wrapping_sub(1);
        (bit < 64).then_some(bit as usize)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rung(doorbells: &Doorbells, worker: usize) -> Vec<usize> {
        let mut found = vec![];
        doorbells.take(worker, |queue| found.push(queue));
        found
    }

    #[test]
    fn each_rung_queue_is_handed_out_once_to_its_worker() {
        let doorbells = Doorbells::new(16384, 2048, 2);
        for queue in [0, 63, 64, 4095, 4096, 16383] {
            doorbells.ring(1, queue, queue as u32);
        }
        doorbells.ring(1, 64, 7);
        assert!(!doorbells.any(0) && doorbells.any(1));
        assert_eq!(rung(&doorbells, 1), [0, 63, 64, 4095, 4096, 16383]);
        assert_eq!(doorbells.tx_tail(64), 7);
        assert!(!doorbells.any(1) && rung(&doorbells, 1).is_empty());
    }

    #[test]
    fn a_queue_that_does_not_exist_is_nobody() {
        let doorbells = Doorbells::new(64, 8, 1);
        doorbells.ring(0, 64, 1);
        doorbells.set_rx_tail(8, 1);
        assert_eq!((doorbells.any(0), doorbells.rx_tail(8)), (false, 0));
    }
}
