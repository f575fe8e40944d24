//! The rules of the DMA table, and the table against a plain model.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use proptest::prelude::*;
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use siov_mem::{
    Backing, DirtyRun, DmaFault, DmaFaultReason, DmaTable, Iova, Perm, Region, TableError,
};

const PAGE: u64 = 4096;

fn memory(pages: u64) -> Backing {
    Backing::Region(Arc::new(Region::anonymous(pages * PAGE).unwrap()), 0)
}

fn table_with(maps: &[(u64, u64)]) -> DmaTable {
    let table = DmaTable::new(100);
    for &(page, pages) in maps {
        table.map(Iova(page * PAGE), pages * PAGE, Perm::READ_WRITE, memory(pages)).unwrap();
    }
    table
}

fn fault(iova: u64, reason: DmaFaultReason) -> Result<(), DmaFault> {
    Err(DmaFault { iova: Iova(iova), reason })
}

#[test]
fn a_map_of_no_whole_pages_is_refused() {
    let table = table_with(&[]);
    for (iova, size) in [(0, 0), (1, PAGE), (0, 1), (PAGE, PAGE + 1)] {
        assert_eq!(
            table.map(Iova(iova), size, Perm::READ, Backing::Messages),
            Err(TableError::Unaligned { iova: Iova(iova), size })
        );
    }
}

#[test]
fn a_map_may_end_with_the_address_space_but_not_wrap() {
    let table = table_with(&[]);
    let top = Iova(u64::MAX - (PAGE - 1));
    assert_eq!(table.map(top, PAGE, Perm::READ, Backing::Messages), Ok(()));
    assert_eq!(
        table.map(top, 2 * PAGE, Perm::READ, Backing::Messages),
        Err(TableError::Wraps { iova: top, size: 2 * PAGE })
    );
    assert_eq!(table.unmap(top, PAGE), Ok(PAGE));
}

#[test]
fn a_map_that_overlaps_another_is_refused_with_its_address() {
    let table = table_with(&[(4, 4)]);
    for (page, pages) in [(4, 4), (3, 2), (7, 1), (7, 4), (0, 100), (5, 1)] {
        assert_eq!(
            table.map(Iova(page * PAGE), pages * PAGE, Perm::READ, Backing::Messages),
            Err(TableError::Overlap(Iova(4 * PAGE)))
        );
    }
    assert_eq!(table.map(Iova(3 * PAGE), PAGE, Perm::READ, memory(1)), Ok(()));
    assert_eq!(table.map(Iova(8 * PAGE), PAGE, Perm::READ, memory(1)), Ok(()));
}

#[test]
fn a_map_without_permission_or_memory_enough_is_refused() {
    let table = table_with(&[]);
    assert_eq!(table.map(Iova(0), PAGE, Perm::NONE, memory(1)), Err(TableError::Perm));
    assert_eq!(
        table.map(Iova(0), 2 * PAGE, Perm::READ, memory(1)),
        Err(TableError::Short { size: 2 * PAGE, backed: PAGE })
    );
}

#[test]
fn the_map_over_the_limit_is_refused_and_fits_after_an_unmap() {
    let table = DmaTable::new(2);
    let map = |page: u64| table.map(Iova(page * PAGE), PAGE, Perm::READ, Backing::Messages);
    assert_eq!((map(0), map(1), map(2)), (Ok(()), Ok(()), Err(TableError::Full(2))));
    table.unmap(Iova(0), PAGE).unwrap();
    assert_eq!(map(2), Ok(()));
}

#[test]
fn two_maps_can_be_windows_of_one_region() {
    let region = Arc::new(Region::anonymous(8 * PAGE).unwrap());
    let table = DmaTable::new(10);
    let map = |page: u64, from: u64, pages: u64| {
        let backing = Backing::Region(Arc::clone(&region), from * PAGE);
        table.map(Iova(page * PAGE), pages * PAGE, Perm::READ_WRITE, backing)
    };
    assert_eq!((map(0, 3, 1), map(10, 2, 4)), (Ok(()), Ok(())));
    table.write(Iova(8), b"seen in both").unwrap();
    let mut seen = [0; 12];
    table.read(Iova(11 * PAGE + 8), &mut seen).unwrap();
    assert_eq!(&seen, b"seen in both");
    assert_eq!(map(20, 6, 3), Err(TableError::Short { size: 3 * PAGE, backed: 2 * PAGE }));
    assert_eq!(map(20, 9, 1), Err(TableError::Short { size: PAGE, backed: 0 }));
}

#[test]
fn an_unmap_takes_whole_maps_and_holes_but_splits_none() {
    let table = table_with(&[(0, 2), (4, 2), (6, 4)]);
    assert_eq!(table.unmap(Iova(PAGE), PAGE), Err(TableError::Splits(Iova(0))));
    assert_eq!(table.unmap(Iova(4 * PAGE), PAGE), Err(TableError::Splits(Iova(4 * PAGE))));
    assert_eq!(table.unmap(Iova(7 * PAGE), PAGE), Err(TableError::Splits(Iova(6 * PAGE))));
    assert_eq!(
        table.unmap(Iova(2 * PAGE), 2 * PAGE),
        Err(TableError::NotMapped { iova: Iova(2 * PAGE), size: 2 * PAGE })
    );
    assert_eq!(table.len(), 3, "a refused unmap takes nothing");
    assert_eq!(table.unmap(Iova(0), 6 * PAGE), Ok(4 * PAGE));
    assert_eq!(table.unmap_all(), 4 * PAGE);
    assert!(table.is_empty());
}

#[test]
fn an_access_across_maps_is_split_where_they_meet() {
    let table = table_with(&[(1, 1), (2, 1)]);
    let data: Vec<u8> = (0..=255).collect();
    table.write(Iova(2 * PAGE - 100), &data).unwrap();
    let mut back = [0; 256];
    table.read(Iova(2 * PAGE - 100), &mut back).unwrap();
    assert_eq!(&back[..], &data[..]);
    let mut second = [0; 156];
    table.read(Iova(2 * PAGE), &mut second).unwrap();
    assert_eq!(&second[..], &data[100..]);
}

#[test]
fn an_access_into_a_hole_names_the_first_address_of_the_hole() {
    let table = table_with(&[(1, 1)]);
    let missing = DmaFaultReason::NotMapped;
    assert_eq!(table.read(Iova(2 * PAGE - 4), &mut [0; 8]), fault(2 * PAGE, missing));
    assert_eq!(table.write(Iova(0), &[0; 8]), fault(0, missing));
    assert_eq!(table.read(Iova(0), &mut []), Ok(()), "nothing is accessed, nothing can fault");
}

#[test]
fn an_access_past_the_end_of_the_space_is_a_fault() {
    let table = table_with(&[(u64::MAX / PAGE, 1)]);
    assert_eq!(table.write(Iova(u64::MAX - 3), &[1; 4]), Ok(()));
    assert_eq!(
        table.write(Iova(u64::MAX - 3), &[1; 5]),
        fault(u64::MAX, DmaFaultReason::NotMapped)
    );
}

#[test]
fn an_access_that_the_map_does_not_allow_is_a_fault() {
    let table = table_with(&[]);
    table.map(Iova(0), PAGE, Perm::READ, memory(1)).unwrap();
    table.map(Iova(PAGE), PAGE, Perm::WRITE, memory(1)).unwrap();
    table.map(Iova(2 * PAGE), PAGE, Perm::READ, Backing::Messages).unwrap();
    assert_eq!(table.write(Iova(8), &[1]), fault(8, DmaFaultReason::Denied));
    assert_eq!(table.read(Iova(PAGE), &mut [1]), fault(PAGE, DmaFaultReason::Denied));
    assert_eq!(table.read(Iova(2 * PAGE), &mut [1]), fault(2 * PAGE, DmaFaultReason::NotShared));
    assert_eq!(table.store_u32(Iova(2), 1), fault(2, DmaFaultReason::Misaligned));
}

#[test]
fn a_map_whose_file_shrank_faults_and_says_so() {
    let fd = memfd_create("guest", MemfdFlags::CLOEXEC).unwrap();
    ftruncate(&fd, 4 * PAGE).unwrap();
    let region = Region::map(fd.as_fd(), 0, 4 * PAGE, Perm::READ_WRITE).unwrap();
    let table = DmaTable::new(1);
    table
        .map(Iova(0x10000), 4 * PAGE, Perm::READ_WRITE, Backing::Region(Arc::new(region), 0))
        .unwrap();
    ftruncate(&fd, 0).unwrap();
    assert_eq!(table.load_u64(Iova(0x10008)).map(drop), fault(0x10008, DmaFaultReason::Poisoned));
    assert!(table.maps()[0].poisoned);
}

#[test]
fn written_pages_are_harvested_once_as_runs() {
    let table = table_with(&[(1, 1)]);
    table.write(Iova(PAGE), &[1]).unwrap();
    table.track_dirty(true);
    assert_eq!(table.harvest_dirty(), [], "what came before tracking does not count");
    table.map(Iova(2 * PAGE), 40_000 * PAGE, Perm::READ_WRITE, memory(40_000)).unwrap();
    table.map(Iova(50_000 * PAGE), PAGE, Perm::READ_WRITE, Backing::Messages).unwrap();
    table.write(Iova(3 * PAGE - 1), &[0; 2]).unwrap();
    table.store_u32(Iova(65 * PAGE), 1).unwrap();
    table.write(Iova(40_001 * PAGE), &[1]).unwrap();
    table.read(Iova(9 * PAGE), &mut [0; 9]).unwrap();
    let run = |page: u64, pages: u64| DirtyRun { iova: Iova(page * PAGE), len: pages * PAGE };
    assert_eq!(table.harvest_dirty(), [run(2, 2), run(65, 1), run(40_001, 1)]);
    assert_eq!(table.harvest_dirty(), []);
    table.write(Iova(PAGE), &[1]).unwrap();
    table.track_dirty(false);
    assert_eq!(table.harvest_dirty(), []);
}

#[test]
fn an_unmap_waits_for_the_access_that_is_under_way() {
    let table = table_with(&[(0, 1)]);
    let inside = AtomicBool::new(false);
    let order = AtomicU64::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            table
                .visit(Iova(0), 1, Perm::READ, |_| {
                    inside.store(true, Ordering::SeqCst);
                    std::thread::sleep(std::time::Duration::from_millis(50));
                    order.compare_exchange(0, 1, Ordering::SeqCst, Ordering::SeqCst).ok();
                })
                .unwrap();
        });
        while !inside.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        table.unmap(Iova(0), PAGE).unwrap();
        order.compare_exchange(0, 2, Ordering::SeqCst, Ordering::SeqCst).ok();
    });
    assert_eq!(order.load(Ordering::SeqCst), 1);
}

#[test]
fn readers_on_other_threads_see_a_map_whole_or_not_at_all() {
    let table = DmaTable::new(10);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut buf = [0; 64];
                while !stop.load(Ordering::Relaxed) {
                    match table.read(Iova(PAGE), &mut buf) {
                        Ok(()) => assert!(buf.iter().all(|b| *b == 0x5a)),
                        Err(e) => assert_eq!(e.reason, DmaFaultReason::NotMapped),
                    }
                }
            });
        }
        for _ in 0..2000 {
            let region = Region::anonymous(PAGE).unwrap();
            region.write(0, &[0x5a; 64]).unwrap();
            table.map(Iova(PAGE), PAGE, Perm::READ, Backing::Region(Arc::new(region), 0)).unwrap();
            table.unmap(Iova(PAGE), PAGE).unwrap();
        }
        stop.store(true, Ordering::Relaxed);
    });
}

/// The same rules said as plainly as possible: one entry for each page.
#[derive(Default)]
struct Model {
    pages: BTreeMap<u64, u64>,
    bytes: BTreeMap<u64, u8>,
}

impl Model {
    fn map(&mut self, page: u64, pages: u64) -> bool {
        let free = pages > 0 && (page..page + pages).all(|p| !self.pages.contains_key(&p));
        if free {
            self.pages.extend((page..page + pages).map(|p| (p, page)));
        }
        free
    }

    fn unmap(&mut self, page: u64, pages: u64) -> bool {
        let range = page..page + pages;
        let owners: Vec<u64> = self.pages.range(range.clone()).map(|(_, o)| *o).collect();
        let whole = self.pages.iter().all(|(p, o)| range.contains(p) || !owners.contains(o));
        if owners.is_empty() || !whole {
            return false;
        }
        self.pages.retain(|p, _| !range.contains(p));
        self.bytes.retain(|a, _| !range.contains(&(a / PAGE)));
        true
    }

    /// Writes as far as memory reaches, and gives the address where it does not.
    fn write(&mut self, at: u64, data: &[u8]) -> Option<u64> {
        for (a, byte) in (at..).zip(data) {
            if !self.pages.contains_key(&(a / PAGE)) {
                return Some(a);
            }
            self.bytes.insert(a, *byte);
        }
        None
    }
}

#[derive(Clone, Debug)]
enum Op {
    Map(u64, u64),
    Unmap(u64, u64),
    Write(u64, Vec<u8>),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let data = prop::collection::vec(any::<u8>(), 1..300);
    let near = (0..24u64, -150..150i64);
    let op = prop_oneof![
        (0..24u64, 0..6u64).prop_map(|(p, n)| Op::Map(p, n)),
        (0..24u64, 1..10u64).prop_map(|(p, n)| Op::Unmap(p, n)),
        (near, data)
            .prop_map(|((p, d), data)| Op::Write((p * PAGE).saturating_add_signed(d), data)),
    ];
    prop::collection::vec(op, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_table_does_what_the_model_does(ops in ops()) {
        let table = DmaTable::new(1000);
        let mut model = Model::default();
        for op in ops {
            match op {
                Op::Map(p, n) => {
                    let backing = if n == 0 { Backing::Messages } else { memory(n) };
                    let done = table.map(Iova(p * PAGE), n * PAGE, Perm::READ_WRITE, backing);
                    prop_assert_eq!(done.is_ok(), model.map(p, n), "{:?}", done);
                }
                Op::Unmap(p, n) => {
                    let done = table.unmap(Iova(p * PAGE), n * PAGE);
                    prop_assert_eq!(done.is_ok(), model.unmap(p, n), "{:?}", done);
                }
                Op::Write(at, data) => {
                    let fault = table.write(Iova(at), &data).err().map(|f| f.iova.0);
                    prop_assert_eq!(fault, model.write(at, &data));
                }
            }
            let mapped: u64 = table.maps().iter().map(|m| m.size / PAGE).sum();
            prop_assert_eq!(mapped, model.pages.len() as u64);
        }
        for (at, byte) in &model.bytes {
            let mut back = [0];
            table.read(Iova(*at), &mut back).unwrap();
            prop_assert_eq!(back[0], *byte);
        }
    }
}
