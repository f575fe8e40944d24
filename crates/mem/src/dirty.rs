//! Which pages were written: a bitmap that grows only where something was.

use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Iova, PAGE_SIZE};

/// A run of pages that were written since the last harvest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirtyRun {
    /// Address of the first page.
    pub iova: Iova,
    /// Bytes in the run, a multiple of the page size.
    pub len: u64,
}

const LEAF_WORDS: usize = 512;
const LEAF_PAGES: u64 = LEAF_WORDS as u64 * 64;

/// One bit for each page of a map; a leaf of 512 words stands for 128 MiB.
pub(crate) struct DirtyBitmap {
    leaves: Box<[OnceLock<Box<[AtomicU64]>>]>,
}

impl DirtyBitmap {
    pub(crate) fn new(size: u64) -> DirtyBitmap {
        let leaves = size.div_ceil(PAGE_SIZE).div_ceil(LEAF_PAGES);
        DirtyBitmap { leaves: (0..leaves).map(|_| OnceLock::new()).collect() }
    }

    /// Marks the pages that hold `len` bytes at `offset`.
    ///
    /// To be called after the write: a harvest that comes between takes the page once too often,
    /// the other way round it would lose the write.
    pub(crate) fn mark(&self, offset: u64, len: u64) {
        if len == 0 {
            return;
        }
        for page in offset / PAGE_SIZE..=(offset + (len - 1)) / PAGE_SIZE {
            let (leaf, bit) = (page / LEAF_PAGES, page % LEAF_PAGES);
            let Some(leaf) = usize::try_from(leaf).ok().and_then(|i| self.leaves.get(i)) else {
                return;
            };
            let words = leaf.get_or_init(|| (0..LEAF_WORDS).map(|_| AtomicU64::new(0)).collect());
            if let Some(word) = usize::try_from(bit / 64).ok().and_then(|i| words.get(i)) {
                word.fetch_or(1 << (bit % 64), Ordering::Release);
            }
        }
    }

    /// Takes all marks away, and gives each run of pages that had one.
    pub(crate) fn harvest(&self, base: Iova, runs: &mut Vec<DirtyRun>) {
        let mut open: Option<Range<u64>> = None;
        for (i, leaf) in self.leaves.iter().enumerate() {
            let Some(words) = leaf.get() else { continue };
            for (j, word) in words.iter().enumerate() {
                let mut bits = match word.load(Ordering::Relaxed) {
                    0 => continue,
                    _ => word.swap(0, Ordering::Acquire),
                };
                let first = i as u64 * LEAF_PAGES + j as u64 * 64;
                while bits != 0 {
                    let page = first + u64::from(bits.trailing_zeros());
                    bits &= bits - 1;
                    match &mut open {
                        Some(run) if run.end == page => run.end += 1,
                        _ => {
                            close(base, open.take(), runs);
                            open = Some(page..page + 1);
                        }
                    }
                }
            }
        }
        close(base, open, runs);
    }
}

fn close(base: Iova, run: Option<Range<u64>>, runs: &mut Vec<DirtyRun>) {
    if let Some(run) = run
        && let Some(iova) = base.checked_add(run.start * PAGE_SIZE)
    {
        runs.push(DirtyRun { iova, len: (run.end - run.start) * PAGE_SIZE });
    }
}
