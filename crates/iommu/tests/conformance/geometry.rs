//! Caches of every shape: what stays, what makes room, and parts that leave each other alone.

use siov_iommu::cache::{Cache, Key};
use siov_iommu::{Config, Event, Geometries, Geometry, PartitionBy, Pasid, Replacement};

use crate::common::{DID, Machine, READ, RID, first_entry, fs, second_entry};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Number(u64);

impl Key for Number {
    fn spread(&self) -> u64 {
        self.0
    }

    fn partition(&self, by: PartitionBy) -> u32 {
        if by == PartitionBy::Domain { (self.0 >> 32) as u32 } else { 0 }
    }
}

fn one_set(ways: u32, replacement: Replacement) -> Cache<Number, u64> {
    let by = PartitionBy::Domain;
    Cache::new(Geometry::Sets { sets: 1, ways, replacement, partitions: 1, by })
}

fn fill(cache: &mut Cache<Number, u64>, numbers: impl IntoIterator<Item = u64>) {
    for n in numbers {
        cache.insert(Number(n), n * 10);
    }
}

/// Which number makes room for the next.
fn victim(cache: &mut Cache<Number, u64>) -> u64 {
    cache.insert(Number(99), 990).unwrap().0.0
}

#[test]
fn off_keeps_nothing_and_infinite_everything() {
    let mut off = Cache::new(Geometry::Off);
    fill(&mut off, 0..10);
    assert!(off.is_empty() && off.get(&Number(1)).is_none());
    let mut all = Cache::new(Geometry::Infinite);
    fill(&mut all, 0..10_000);
    assert_eq!((all.len(), all.get(&Number(1234))), (10_000, Some(&12_340)));
}

#[test]
fn lru_drops_what_was_not_used_for_the_longest_time() {
    let mut cache = one_set(4, Replacement::Lru);
    fill(&mut cache, 0..4);
    cache.get(&Number(0));
    cache.get(&Number(2));
    assert_eq!(victim(&mut cache), 1);
}

#[test]
fn fifo_drops_what_came_first_however_often_it_was_used() {
    let mut cache = one_set(4, Replacement::Fifo);
    fill(&mut cache, 0..4);
    cache.get(&Number(0));
    assert_eq!(victim(&mut cache), 0);
}

#[test]
fn lfu_drops_what_was_used_least_often() {
    let mut cache = one_set(4, Replacement::Lfu);
    fill(&mut cache, 0..4);
    for n in [0, 0, 0, 1, 2, 2, 3, 3] {
        cache.get(&Number(n));
    }
    assert_eq!(victim(&mut cache), 1);
}

#[test]
fn plru_goes_the_way_that_its_tree_points_to() {
    let mut cache = one_set(4, Replacement::Plru);
    fill(&mut cache, 0..4);
    // The root points away from 2 and 3, which came last; below it 0 was used before 1.
    assert_eq!(victim(&mut cache), 0);
    let mut cache = one_set(4, Replacement::Plru);
    fill(&mut cache, 0..4);
    cache.get(&Number(0));
    assert_eq!(victim(&mut cache), 2);
    for ways in [2, 8, 64] {
        let mut cache = one_set(ways, Replacement::Plru);
        for n in 0..1000 {
            cache.insert(Number(n), n);
            let evicted = cache.insert(Number(n + 1), n);
            assert!(evicted.is_none_or(|(key, _)| key.0 != n), "never the one just used");
        }
    }
}

#[test]
fn random_victims_are_the_same_in_every_run_and_reach_every_way() {
    let run = || {
        let mut cache = one_set(4, Replacement::Random);
        fill(&mut cache, 0..4);
        (4..200).map(|n| cache.insert(Number(n), n).unwrap().0.0).collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
    let first: std::collections::HashSet<u64> = run().into_iter().filter(|n| *n < 4).collect();
    assert_eq!(first.len(), 4);
}

#[test]
fn a_key_that_is_there_is_replaced_and_takes_no_second_place() {
    for replacement in [
        Replacement::Lru,
        Replacement::Plru,
        Replacement::Lfu,
        Replacement::Fifo,
        Replacement::Random,
    ] {
        let mut cache = one_set(4, replacement);
        fill(&mut cache, 0..4);
        assert_eq!(cache.insert(Number(2), 7), Some((Number(2), 20)));
        assert_eq!((cache.len(), cache.get(&Number(2))), (4, Some(&7)), "{replacement:?}");
        assert!((0..4).all(|n| cache.get(&Number(n)).is_some()));
    }
}

#[test]
fn what_is_dropped_leaves_room_that_is_used_first() {
    let mut cache = one_set(4, Replacement::Lru);
    fill(&mut cache, 0..4);
    cache.retain(|key, _| key.0 != 2);
    assert_eq!(cache.len(), 3);
    assert!(cache.insert(Number(9), 90).is_none_or(|(key, _)| key.0 == 2));
    assert!([0, 1, 3, 9].iter().all(|n| cache.get(&Number(*n)).is_some()));
    let mut entries = cache.entries();
    entries.sort_by_key(|(key, _)| key.0);
    assert_eq!(entries, [(Number(0), 0), (Number(1), 10), (Number(3), 30), (Number(9), 90)]);
}

#[test]
fn a_cache_never_holds_more_than_its_sets_times_its_ways() {
    for (sets, ways, entries) in [(1, 1, 1), (4, 2, 8), (5, 3, 24), (64, 8, 512)] {
        let mut cache = Cache::new(Geometry::sets(sets, ways));
        fill(&mut cache, 0..100_000);
        assert_eq!(cache.len(), entries, "{sets} sets, {ways} ways");
    }
}

#[test]
fn partitions_of_a_cache_leave_each_other_alone() {
    let by = PartitionBy::Domain;
    let replacement = Replacement::Lru;
    let mut cache = Cache::new(Geometry::Sets { sets: 4, ways: 2, replacement, partitions: 4, by });
    let quiet = [1 << 32, 1 << 32 | 1];
    fill(&mut cache, quiet);
    fill(&mut cache, (0..1000).chain((2 << 32)..(2 << 32) + 1000));
    assert!(quiet.iter().all(|n| cache.get(&Number(*n)).is_some()));
    assert_eq!(cache.len(), 6);
}

/// A machine whose IOTLB is split, with two PASIDs in two domains.
fn split(partitions: u32, by: PartitionBy, first: bool) -> (Machine, [Pasid; 2]) {
    let replacement = Replacement::Lru;
    let iotlb = Geometry::Sets { sets: 8, ways: 2, replacement, partitions, by };
    let caches = Geometries { iotlb, ..Geometries::default() };
    let mut m = Machine::scalable(&Config { caches, ..Config::default() }, second_entry(0, 4));
    let pasids = [Pasid(2), Pasid(3)];
    for pasid in pasids {
        let top = m.page();
        let (entry, leaf) = if first {
            (first_entry(top, 4), fs as fn(u64) -> u64)
        } else {
            (second_entry(top, 4), crate::common::ss as fn(u64) -> u64)
        };
        for page in 0..256 {
            m.map(top, 4, page << 12, 1, leaf(page << 12), leaf);
        }
        m.put_pasid(RID, pasid, entry.with_DID(DID + pasid.0 as u16));
    }
    (m, pasids)
}

/// How many of the quiet one's pages are still cached after the other went through all of its own.
fn survivors(mut m: Machine, [quiet, noisy]: [Pasid; 2]) -> u64 {
    let pages = 4;
    for page in 0..pages {
        m.access(RID, Some(quiet), page << 12, READ).unwrap();
    }
    for page in 0..256 {
        m.access(RID, Some(noisy), page << 12, READ).unwrap();
    }
    let before = m.unit.counters().get(Event::IotlbHit);
    for page in 0..pages {
        m.access(RID, Some(quiet), page << 12, READ).unwrap();
    }
    m.unit.counters().get(Event::IotlbHit) - before
}

#[test]
fn a_noisy_domain_cannot_evict_another_partitions_translations() {
    let (m, pasids) = split(1, PartitionBy::Domain, false);
    assert_eq!(survivors(m, pasids), 0, "without partitions it can");
    let (m, pasids) = split(2, PartitionBy::Domain, false);
    assert!(survivors(m, pasids) >= 3, "its own pages may collide with each other");
}

#[test]
fn a_noisy_pasid_cannot_evict_another_partitions_translations() {
    let (m, pasids) = split(1, PartitionBy::Pasid, true);
    assert_eq!(survivors(m, pasids), 0);
    let (m, pasids) = split(2, PartitionBy::Pasid, true);
    assert!(survivors(m, pasids) >= 3);
}

#[test]
fn every_geometry_translates_the_same() {
    let geometries = [
        Geometry::Off,
        Geometry::Infinite,
        Geometry::full(1),
        Geometry::full(7),
        Geometry::sets(3, 5),
        Geometry::Sets {
            sets: 2,
            ways: 3,
            replacement: Replacement::Plru,
            partitions: 2,
            by: PartitionBy::Pasid,
        },
    ];
    for one in geometries {
        let caches = Geometries {
            context: one,
            pasid: one,
            iotlb: one,
            first: one,
            second: one,
            interrupt: one,
        };
        let mut m = Machine::scalable(&Config { caches, ..Config::default() }, second_entry(0, 4));
        for n in 0..6u32 {
            let top = m.page();
            for page in 0..8 {
                let to = (u64::from(n) << 20) + (page << 12);
                m.map(top, 4, page << 30, 1, fs(to), fs);
            }
            m.put_pasid(RID, Pasid(n), first_entry(top, 4));
        }
        for round in 0..3 {
            for n in 0..6u32 {
                for page in 0..8u64 {
                    let done = m.access(RID, Some(Pasid(n)), page << 30 | 0xABC, READ).unwrap();
                    let expected = (u64::from(n) << 20) + (page << 12) + 0xABC;
                    assert_eq!(done.hpa.0, expected, "{one:?}, round {round}");
                }
            }
        }
    }
}
