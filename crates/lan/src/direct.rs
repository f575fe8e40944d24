//! Tails in shared memory: software stores them without our being told, and we look.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use siov_mem::Word;

/// Where the tail of a queue lies, by queue; a queue gets its word when it is enabled.
#[derive(Debug, Default)]
pub(crate) struct DirectTails {
    /// Whether there are any: a doorbell that rings looks here only then.
    any: AtomicBool,
    words: Mutex<Words>,
}

#[derive(Debug, Default)]
struct Words {
    tx: HashMap<u16, Word>,
    rx: HashMap<u16, Word>,
}

impl DirectTails {
    /// The word of a transmit queue's tail.
    pub fn tx(&self, queue: u32) -> Option<Word> {
        self.find(|words| &words.tx, queue)
    }

    /// The word of a receive queue's tail.
    pub fn rx(&self, queue: u32) -> Option<Word> {
        self.find(|words| &words.rx, queue)
    }

    /// From now on a transmit queue's tail is there, or not in shared memory any more.
    pub fn set_tx(&self, queue: u16, word: Option<Word>) {
        self.set(|words| &mut words.tx, queue, word);
    }

    /// The same of a receive queue's.
    pub fn set_rx(&self, queue: u16, word: Option<Word>) {
        self.set(|words| &mut words.rx, queue, word);
    }

    fn find(&self, kind: impl Fn(&Words) -> &HashMap<u16, Word>, queue: u32) -> Option<Word> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        kind(&self.lock()).get(&u16::try_from(queue).ok()?).cloned()
    }

    fn set(
        &self,
        kind: impl Fn(&mut Words) -> &mut HashMap<u16, Word>,
        queue: u16,
        word: Option<Word>,
    ) {
        let mut words = self.lock();
        let of = kind(&mut words);
        match word {
            Some(word) => of.insert(queue, word),
            None => of.remove(&queue),
        };
        self.any.store(!words.tx.is_empty() || !words.rx.is_empty(), Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, Words> {
        self.words.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
