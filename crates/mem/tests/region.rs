//! What a region promises, and how it survives a file that shrinks.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use siov_mem::{Perm, Region, RegionError, RegionFault};

fn memfd(len: u64) -> OwnedFd {
    let fd = memfd_create("region", MemfdFlags::CLOEXEC).unwrap();
    ftruncate(&fd, len).unwrap();
    fd
}

fn shared(len: u64) -> (OwnedFd, Region) {
    let fd = memfd(len);
    let region = Region::map(fd.as_fd(), 0, len, Perm::READ_WRITE).unwrap();
    (fd, region)
}

#[test]
fn bytes_come_back_at_every_alignment_and_length() {
    let region = Region::anonymous(4096).unwrap();
    for offset in 0..16 {
        for len in 0..40usize {
            let data: Vec<u8> = (0..len).map(|i| (i * 7 + 1) as u8).collect();
            region.write(0, &[0xee; 64]).unwrap();
            region.write(offset, &data).unwrap();
            let mut back = vec![0; len];
            region.read(offset, &mut back).unwrap();
            assert_eq!(back, data);
            let mut around = [0; 64];
            region.read(0, &mut around).unwrap();
            let end = offset as usize + len;
            assert!(around[..offset as usize].iter().chain(&around[end..]).all(|b| *b == 0xee));
        }
    }
}

#[test]
fn words_are_in_the_byte_order_of_the_host() {
    let region = Region::anonymous(4096).unwrap();
    region.store_u32(8, 0x1122_3344).unwrap();
    region.store_u64(16, 0x1122_3344_5566_7788).unwrap();
    let mut bytes = [0; 16];
    region.read(8, &mut bytes).unwrap();
    assert_eq!(bytes[..4], 0x1122_3344u32.to_ne_bytes());
    assert_eq!(region.load_u32(8), Ok(0x1122_3344));
    assert_eq!(region.load_u64(16), Ok(0x1122_3344_5566_7788));
}

#[test]
fn an_access_that_leaves_the_region_is_a_fault_and_touches_nothing() {
    let region = Region::anonymous(4096).unwrap();
    let outside = RegionFault::OutOfBounds { offset: 4095, len: 2 };
    assert_eq!(region.write(4095, &[1, 2]), Err(outside));
    assert_eq!(region.read(4095, &mut [0; 1]), Ok(()));
    assert_eq!(region.load_u32(2), Err(RegionFault::Misaligned { offset: 2 }));
    assert!(matches!(region.load_u64(u64::MAX), Err(RegionFault::OutOfBounds { .. })));
    assert!(matches!(region.store_u64(4096, 0), Err(RegionFault::OutOfBounds { .. })));
}

#[test]
fn a_read_only_region_refuses_writes_instead_of_dying() {
    let fd = memfd(4096);
    let region = Region::map(fd.as_fd(), 0, 4096, Perm::READ).unwrap();
    assert_eq!(region.write(0, &[1]), Err(RegionFault::Denied));
    assert_eq!(region.store_u32(0, 1), Err(RegionFault::Denied));
    assert_eq!(region.read(0, &mut [0; 8]), Ok(()));
}

#[test]
fn two_mappings_of_one_file_see_the_same_bytes() {
    let (fd, region) = shared(8192);
    let second = Region::map(fd.as_fd(), 4096, 4096, Perm::READ).unwrap();
    region.write(4096, b"hello").unwrap();
    let mut back = [0; 5];
    second.read(0, &mut back).unwrap();
    assert_eq!(&back, b"hello");
}

#[test]
fn a_copy_between_regions_moves_every_byte_once() {
    let (_fd, from) = shared(1 << 20);
    let to = Region::anonymous(1 << 20).unwrap();
    let data: Vec<u8> = (0..300_001u32).map(|i| (i % 251) as u8).collect();
    from.write(13, &data).unwrap();
    from.copy_to(13, &to, 77, data.len() as u64).unwrap();
    let mut back = vec![0; data.len()];
    to.read(77, &mut back).unwrap();
    assert_eq!(back, data);
    assert!(matches!(from.copy_to(0, &to, 1, 1 << 20), Err(RegionFault::OutOfBounds { .. })));
}

#[test]
fn a_region_longer_than_its_file_is_refused() {
    let fd = memfd(4096);
    assert_eq!(
        Region::map(fd.as_fd(), 0, 8192, Perm::READ).unwrap_err(),
        RegionError::BeyondFile { end: 8192, file: 4096 }
    );
    assert!(matches!(
        Region::map(fd.as_fd(), u64::MAX - 4095, 4096, Perm::READ).unwrap_err(),
        RegionError::Size { .. }
    ));
}

#[test]
fn something_that_is_no_memory_is_refused() {
    let (reader, _writer) = rustix::pipe::pipe().unwrap();
    let refused = Region::map(reader.as_fd(), 0, 4096, Perm::READ).unwrap_err();
    assert_eq!(refused, RegionError::Os(rustix::io::Errno::NODEV));
}

#[test]
fn touching_a_file_that_shrank_is_a_fault_not_the_end_of_the_process() {
    let (fd, region) = shared(64 * 4096);
    region.write(0, &[1; 64 * 4096]).unwrap();
    ftruncate(&fd, 4096).unwrap();
    assert_eq!(region.read(0, &mut [0; 4096]), Ok(()), "the page that is left is still good");
    assert_eq!(region.read(5 * 4096, &mut [0; 8]), Err(RegionFault::Poisoned));
    assert!(region.poisoned());
    assert_eq!(region.write(0, &[1]), Err(RegionFault::Poisoned), "poison is for good");
    assert_eq!(region.load_u32(0), Err(RegionFault::Poisoned));
}

#[test]
fn a_write_to_a_file_that_shrank_is_a_fault_too() {
    let (fd, region) = shared(1 << 20);
    ftruncate(&fd, 0).unwrap();
    assert_eq!(region.write(0, &vec![7; 1 << 20]), Err(RegionFault::Poisoned));
    let (fd, region) = shared(4096);
    ftruncate(&fd, 0).unwrap();
    assert_eq!(region.store_u64(8, 1), Err(RegionFault::Poisoned));
}

#[test]
fn one_files_loss_leaves_the_neighbours_alone() {
    let (_kept, good) = shared(16 * 4096);
    let (lost, bad) = shared(16 * 4096);
    let (_kept2, good2) = shared(16 * 4096);
    good.write(0, &[3; 16 * 4096]).unwrap();
    ftruncate(&lost, 0).unwrap();
    assert_eq!(bad.read(0, &mut [0]), Err(RegionFault::Poisoned));
    assert!(!good.poisoned() && !good2.poisoned());
    let mut back = [0; 16 * 4096];
    good.read(0, &mut back).unwrap();
    assert!(back.iter().all(|b| *b == 3));
}

#[test]
fn a_file_that_grows_and_shrinks_all_the_time_never_kills() {
    let fd = memfd(16 * 4096);
    let stop = AtomicBool::new(false);
    let mut faults = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                ftruncate(&fd, 4096).unwrap();
                ftruncate(&fd, 16 * 4096).unwrap();
            }
        });
        let begin = Instant::now();
        for i in 0.. {
            if i > 500 && (faults > 0 || begin.elapsed() > Duration::from_secs(10)) {
                break;
            }
            let Ok(region) = Region::map(fd.as_fd(), 0, 16 * 4096, Perm::READ_WRITE) else {
                continue;
            };
            let mut buf = [0; 3 * 4096];
            for _ in 0..4 {
                let offset = i % 13 * 4096;
                faults += usize::from(region.write(offset, &buf).is_err());
                faults += usize::from(region.read(offset, &mut buf).is_err());
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(faults > 0, "the race never hit");
}

#[test]
fn a_region_that_is_dropped_leaves_no_mapping() {
    let count =
        || std::fs::read_to_string("/proc/self/maps").unwrap().matches("a-name-of-its-own").count();
    let fd = memfd_create("a-name-of-its-own", MemfdFlags::CLOEXEC).unwrap();
    ftruncate(&fd, 4096).unwrap();
    let regions: Vec<Region> =
        (0..100).map(|_| Region::map(fd.as_fd(), 0, 4096, Perm::READ).unwrap()).collect();
    assert_eq!(count(), 100);
    drop(regions);
    assert_eq!(count(), 0);
}
