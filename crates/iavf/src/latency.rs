//! How long things take, in buckets.

/// Buckets for each power of two.
const STEPS: u64 = 16;
const BUCKETS: usize = 64 * STEPS as usize;

/// Durations in nanoseconds, to about 6 %.
#[derive(Clone, Debug)]
pub struct Latency {
    buckets: Vec<u64>,
    count: u64,
    sum: u128,
    min: u64,
    max: u64,
}

impl Default for Latency {
    fn default() -> Self {
        Self { buckets: vec![0; BUCKETS], count: 0, sum: 0, min: u64::MAX, max: 0 }
    }
}

impl Latency {
    /// One more.
    pub fn add(&mut self, ns: u64) {
        if let Some(bucket) = self.buckets.get_mut(index(ns)) {
            *bucket += 1;
        }
        self.count += 1;
        self.sum += u128::from(ns);
        self.min = self.min.min(ns);
        self.max = self.max.max(ns);
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The shortest; 0 without any.
    pub fn min(&self) -> u64 {
        if self.count == 0 { 0 } else { self.min }
    }

    /// The longest.
    pub fn max(&self) -> u64 {
        self.max
    }

    /// The mean; 0 without any.
    pub fn mean(&self) -> f64 {
        if self.count == 0 { 0.0 } else { self.sum as f64 / self.count as f64 }
    }

    /// What a part (0 to 1) of them did not exceed, to the bucket; 0 without any.
    pub fn quantile(&self, part: f64) -> u64 {
        let wanted = (part.clamp(0.0, 1.0) * self.count as f64).ceil().max(1.0) as u64;
        let mut sum = 0;
        for (n, count) in self.buckets.iter().enumerate() {
            sum += count;
            if sum >= wanted {
                return upper(n).clamp(self.min(), self.max);
            }
        }
        self.max
    }

    /// The buckets that hold something: the longest duration that belongs there, and how many do.
    pub fn histogram(&self) -> Vec<(u64, u64)> {
        let each = self.buckets.iter().enumerate();
        each.filter(|(_, count)| **count > 0).map(|(n, count)| (upper(n), *count)).collect()
    }
}

fn index(ns: u64) -> usize {
    if ns < STEPS {
        return ns as usize;
    }
    let power = u64::from(ns.ilog2());
    ((power - 3) * STEPS + (ns >> (power - 4)) - STEPS) as usize
}

fn upper(index: usize) -> u64 {
    let index = index as u64;
    if index < STEPS {
        return index;
    }
    let (power, step) = (index / STEPS + 3, index % STEPS);
    let first = (u128::from(STEPS + step + 1) << (power - 4)) - 1;
    u64::try_from(first).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_what_lies_between_its_neighbours_ends() {
        for ns in (0..5000).chain([1 << 40, (1 << 40) + 12345, u64::MAX]) {
            let n = index(ns);
            assert!(n < BUCKETS && ns <= upper(n), "{ns}");
            assert!(n == 0 || ns > upper(n - 1), "{ns}");
        }
    }

    #[test]
    fn quantiles_are_exact_to_a_sixteenth() {
        let mut latency = Latency::default();
        (1..=10_000).for_each(|n| latency.add(n * 100));
        for (part, exact) in [(0.5, 500_000.0), (0.99, 990_000.0)] {
            let found = latency.quantile(part) as f64;
            assert!((exact..=exact * 1.0625).contains(&found), "{part}: {found}");
        }
        assert_eq!((latency.min(), latency.max(), latency.count()), (100, 1_000_000, 10_000));
    }
}
