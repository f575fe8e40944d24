//! A set-associative cache with least-recently-used replacement: the shape of every TLB and
//! paging-structure cache here.

use crate::Shape;

/// A tag that no space has: the line is empty.
const EMPTY: u64 = u64::MAX;

/// The bits of [`Line::page`] that hold the PCID.
const PCID: u64 = 0xfff;

/// What a line is found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    /// The page number, and in bits 11:0 the PCID.
    pub page: u64,
    /// The address space: see [`crate::tlb::space`].
    pub space: u64,
}

impl Key {
    /// The key of a page number in an address space.
    #[inline]
    pub fn new(page: u64, pcid: u16, space: u64) -> Key {
        Key { page: page << 12 | u64::from(pcid), space }
    }

    /// The PCID.
    pub fn pcid(self) -> u16 {
        (self.page & PCID) as u16
    }
}

#[derive(Clone, Copy, Debug)]
struct Line<V> {
    key: Key,
    /// The bits of the page that must agree: a global mapping answers for every PCID.
    mask: u64,
    used: u64,
    value: V,
}

/// Lines with keys, `ways` of them for each set; none at all when the shape is [`Shape::OFF`].
#[derive(Clone, Debug)]
pub(crate) struct Assoc<V> {
    lines: Vec<Line<V>>,
    set_mask: usize,
    ways: usize,
    live: usize,
    clock: u64,
}

impl<V: Copy + Default> Assoc<V> {
    /// An empty cache.
    pub fn new(shape: Shape) -> Assoc<V> {
        let key = Key { page: 0, space: EMPTY };
        let line = Line { key, mask: !0, used: 0, value: V::default() };
        let (sets, ways) = (shape.sets(), shape.ways());
        Assoc { lines: vec![line; sets * ways], set_mask: sets - 1, ways, live: 0, clock: 0 }
    }

    /// Lines that hold something.
    pub fn live(&self) -> usize {
        self.live
    }

    /// What is cached for a key, which becomes the most recently used of its set.
    #[inline]
    pub fn find(&mut self, key: Key) -> Option<V> {
        if self.live == 0 {
            return None;
        }
        let clock = self.clock + 1;
        let line = self.set(key)?.iter_mut().find(|line| line.answers(key))?;
        line.used = clock;
        let value = line.value;
        self.clock = clock;
        Some(value)
    }

    /// Puts a value in, over what the same key has or over the least recently used line.
    #[inline]
    pub fn put(&mut self, key: Key, global: bool, value: V) {
        if self.ways > 0 {
            self.replace(key, global, value);
        }
    }

    fn replace(&mut self, key: Key, global: bool, value: V) {
        self.clock += 1;
        let clock = self.clock;
        let Some(set) = self.set(key) else { return };
        let same = set.iter().position(|line| line.answers(key));
        let rank = |line: &Line<V>| if line.key.space == EMPTY { 0 } else { line.used };
        let place = same.or_else(|| (0..set.len()).min_by_key(|n| set.get(*n).map(rank)));
        let Some(line) = place.and_then(|n| set.get_mut(n)) else { return };
        let fresh = line.key.space == EMPTY;
        *line = Line { key, mask: if global { !PCID } else { !0 }, used: clock, value };
        self.live += usize::from(fresh);
    }

    /// Empties the lines that `doomed` picks (key, whether global, value); how many there were.
    pub fn drop_if(&mut self, mut doomed: impl FnMut(Key, bool, &V) -> bool) -> u64 {
        if self.live == 0 {
            return 0;
        }
        let before = self.live;
        for line in &mut self.lines {
            if line.key.space != EMPTY && doomed(line.key, line.mask != !0, &line.value) {
                line.key.space = EMPTY;
                self.live -= 1;
            }
        }
        (before - self.live) as u64
    }

    /// Empties the lines that answer for a key; how many there were.
    pub fn drop_key(&mut self, key: Key) -> u64 {
        let mut dropped = 0;
        for line in self.set(key).into_iter().flatten().filter(|line| line.answers(key)) {
            line.key.space = EMPTY;
            dropped += 1;
        }
        self.live -= dropped;
        dropped as u64
    }

    #[inline]
    fn set(&mut self, key: Key) -> Option<&mut [Line<V>]> {
        let number = (key.page >> 12) as usize & self.set_mask;
        let start = number * self.ways;
        self.lines.get_mut(start..start + self.ways)
    }
}

impl<V> Line<V> {
    #[inline]
    fn answers(&self, key: Key) -> bool {
        (self.key.page ^ key.page) & self.mask == 0 && self.key.space == key.space
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn cache(sets: usize, ways: usize) -> Assoc<u64> {
        Assoc::new(Shape::new(sets, ways).unwrap())
    }

    fn key(page: u64) -> Key {
        Key::new(page, 0, 1)
    }

    #[test]
    fn the_least_recently_used_line_of_a_set_gives_way() {
        let mut cache = cache(2, 2);
        cache.put(key(0), false, 10);
        cache.put(key(2), false, 12);
        assert_eq!(cache.find(key(0)), Some(10));
        cache.put(key(4), false, 14);
        assert_eq!(cache.find(key(0)), Some(10));
        assert_eq!(cache.find(key(2)), None);
        assert_eq!(cache.find(key(4)), Some(14));
        assert_eq!(cache.live(), 2);
    }

    #[test]
    fn a_key_has_one_line() {
        let mut cache = cache(1, 4);
        cache.put(key(7), false, 1);
        cache.put(key(7), false, 2);
        assert_eq!((cache.find(key(7)), cache.live()), (Some(2), 1));
        assert_eq!(cache.drop_key(key(7)), 1);
        assert_eq!((cache.find(key(7)), cache.live()), (None, 0));
    }

    #[test]
    fn a_global_line_answers_for_every_pcid_of_its_space_only() {
        let mut cache = cache(1, 4);
        cache.put(Key::new(7, 1, 1), true, 1);
        cache.put(Key::new(8, 1, 1), false, 2);
        assert_eq!(cache.find(Key::new(7, 2, 1)), Some(1));
        assert_eq!(cache.find(Key::new(7, 1, 2)), None);
        assert_eq!(cache.find(Key::new(8, 2, 1)), None);
    }

    #[test]
    fn a_cache_that_is_off_keeps_nothing() {
        let mut cache: Assoc<u64> = Assoc::new(Shape::OFF);
        cache.put(key(1), false, 1);
        assert_eq!((cache.find(key(1)), cache.live()), (None, 0));
    }
}
