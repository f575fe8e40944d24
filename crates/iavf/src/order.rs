//! What is missing, came twice, or late: by numbers of frames, and by positions in a stream of bytes.

/// What a number tells that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was due.
    InOrder,
    /// So many before it are missing.
    Gap(u64),
    /// It had been missing.
    Late,
    /// It had come before; or so long ago that nobody remembers.
    Again,
}

const WORDS: usize = 64;
/// How far back it is remembered what came.
const WINDOW: u64 = WORDS as u64 * 64;

/// The numbers of a flow, from 0 on.
#[derive(Clone, Debug)]
pub struct Order {
    next: u64,
    missing: u64,
    seen: [u64; WORDS],
}

impl Default for Order {
    fn default() -> Self {
        Self { next: 0, missing: 0, seen: [0; WORDS] }
    }
}

impl Order {
    /// The number that is due.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// How many below that have not come.
    pub fn missing(&self) -> u64 {
        self.missing
    }

    /// A number has arrived.
    pub fn take(&mut self, number: u64) -> Verdict {
        if number >= self.next {
            let gap = number - self.next;
            for n in self.next.max(number.saturating_sub(WINDOW))..number {
                self.mark(n, false);
            }
            self.mark(number, true);
            self.next = number.saturating_add(1);
            self.missing = self.missing.saturating_add(gap);
            return if gap == 0 { Verdict::InOrder } else { Verdict::Gap(gap) };
        }
        if self.next - number > WINDOW || self.has(number) {
            return Verdict::Again;
        }
        self.mark(number, true);
        self.missing -= 1;
        Verdict::Late
    }

    fn has(&self, number: u64) -> bool {
        let word = self.seen.get((number / 64) as usize % WORDS).copied().unwrap_or(0);
        word >> (number % 64) & 1 != 0
    }

    fn mark(&mut self, number: u64, seen: bool) {
        if let Some(word) = self.seen.get_mut((number / 64) as usize % WORDS) {
            let bit = 1 << (number % 64);
            *word = if seen { *word | bit } else { *word & !bit };
        }
    }
}

/// Holes that are remembered; older ones stay missing for good.
const HOLES: usize = 1024;

/// The bytes of a stream, from position 0 on.
#[derive(Clone, Debug, Default)]
pub struct Ranges {
    next: u64,
    missing: u64,
    holes: Vec<(u64, u64)>,
}

impl Ranges {
    /// The position that is due.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Bytes below that have not come.
    pub fn missing(&self) -> u64 {
        self.missing
    }

    /// Bytes `from` up to `end` have arrived; the gap is counted in bytes.
    pub fn take(&mut self, from: u64, end: u64) -> Verdict {
        if from >= self.next {
            let gap = from - self.next;
            if gap > 0 {
                if self.holes.len() == HOLES {
                    self.holes.remove(0);
                }
                self.holes.push((self.next, from));
            }
            self.next = end;
            self.missing += gap;
            return if gap == 0 { Verdict::InOrder } else { Verdict::Gap(gap) };
        }
        let (mut filled, mut left) = (0, Vec::with_capacity(self.holes.len() + 1));
        for &(start, stop) in &self.holes {
            let (a, b) = (start.max(from), stop.min(end));
            if a >= b {
                left.push((start, stop));
                continue;
            }
            filled += b - a;
            left.extend([(start, a), (b, stop)].into_iter().filter(|(start, stop)| start < stop));
        }
        left.truncate(HOLES);
        self.holes = left;
        self.missing = self.missing.saturating_sub(filled);
        self.next = self.next.max(end);
        if filled == 0 { Verdict::Again } else { Verdict::Late }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Verdict::{Again, Gap, InOrder, Late};

    #[test]
    fn numbers_are_told_to_be_due_missing_late_or_known() {
        let mut order = Order::default();
        let told = [0, 1, 4, 3, 3, 2, 1, 5].map(|n| order.take(n));
        assert_eq!(told, [InOrder, InOrder, Gap(2), Late, Again, Late, Again, InOrder]);
        assert_eq!((order.next(), order.missing()), (6, 0));
    }

    #[test]
    fn a_number_that_is_too_old_counts_as_known_and_stays_missing() {
        let mut order = Order::default();
        order.take(10_000);
        assert_eq!(order.take(10_000 - WINDOW), Again);
        assert_eq!(order.take(10_001 - WINDOW), Late);
        assert_eq!(order.missing(), 9_999);
    }

    #[test]
    fn what_was_seen_a_window_ago_is_not_taken_for_what_is_missing_now() {
        let mut order = Order::default();
        assert!((0..WINDOW).all(|n| order.take(n) == InOrder));
        assert_eq!(order.take(WINDOW + 2), Gap(2));
        assert_eq!(order.take(WINDOW + 1), Late);
    }

    #[test]
    fn bytes_are_missing_until_they_come() {
        let mut ranges = Ranges::default();
        assert_eq!(ranges.take(0, 100), InOrder);
        assert_eq!(ranges.take(200, 300), Gap(100));
        assert_eq!(ranges.take(150, 200), Late);
        assert_eq!(ranges.missing(), 50);
        assert_eq!(ranges.take(150, 200), Again);
        assert_eq!(ranges.take(90, 160), Late);
        assert_eq!((ranges.next(), ranges.missing()), (300, 0));
    }
}
