//! Files that are mapped once, and how much of them.
#![allow(clippy::unwrap_used)]

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{MemfdFlags, Mode, OFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use rustix::io::Errno;
use siov_mem::{MappedFiles, Perm, RegionError};

const PAGE: u64 = 4096;
const ACCESS: RegionError = RegionError::Os(Errno::ACCESS);

fn memfd(pages: u64) -> OwnedFd {
    let fd = memfd_create("files", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
    ftruncate(&fd, pages * PAGE).unwrap();
    fd
}

fn read_only(fd: &OwnedFd) -> OwnedFd {
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(fd));
    rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).unwrap()
}

#[test]
fn windows_of_one_file_share_one_mapping_until_the_last_goes() {
    let files = MappedFiles::new(10, 1 << 30);
    let fd = memfd(16);
    let (first, at) = files.map(fd.as_fd(), 2 * PAGE, PAGE, Perm::READ_WRITE).unwrap();
    assert_eq!(at, 2 * PAGE);
    let again = fd.try_clone().unwrap();
    let (second, at) = files.map(again.as_fd(), 5 * PAGE, PAGE, Perm::READ).unwrap();
    assert!(Arc::ptr_eq(&first, &second) && at == 5 * PAGE);
    let weak = Arc::downgrade(&first);
    drop((first, second));
    assert!(weak.upgrade().is_none());
    assert!(files.map(fd.as_fd(), 0, PAGE, Perm::READ).is_ok());
}

#[test]
fn a_file_that_grew_is_mapped_again() {
    let files = MappedFiles::new(10, 1 << 30);
    let fd = memfd(1);
    let (small, _) = files.map(fd.as_fd(), 0, PAGE, Perm::READ).unwrap();
    assert!(matches!(
        files.map(fd.as_fd(), 0, 2 * PAGE, Perm::READ),
        Err(RegionError::BeyondFile { .. })
    ));
    ftruncate(&fd, 4 * PAGE).unwrap();
    let (large, at) = files.map(fd.as_fd(), 3 * PAGE, PAGE, Perm::READ).unwrap();
    assert_eq!((small.len(), large.len(), at), (PAGE, 4 * PAGE, 3 * PAGE));
}

#[test]
fn a_poisoned_mapping_is_not_used_again() {
    let files = MappedFiles::new(10, 1 << 30);
    let fd = memfd(4);
    let (lost, _) = files.map(fd.as_fd(), 0, PAGE, Perm::READ_WRITE).unwrap();
    ftruncate(&fd, 0).unwrap();
    lost.write(0, &[1]).unwrap_err();
    ftruncate(&fd, 4 * PAGE).unwrap();
    let (fresh, at) = files.map(fd.as_fd(), PAGE, PAGE, Perm::READ_WRITE).unwrap();
    assert_eq!(fresh.write(at, &[1]), Ok(()));
}

#[test]
fn a_descriptor_for_reading_gives_no_right_to_write_what_another_one_mapped() {
    let files = MappedFiles::new(10, 1 << 30);
    let fd = memfd(4);
    let reader = read_only(&fd);
    assert_eq!(files.map(reader.as_fd(), 0, PAGE, Perm::READ_WRITE).unwrap_err(), ACCESS);
    let (_held, _) = files.map(fd.as_fd(), 0, PAGE, Perm::READ_WRITE).unwrap();
    assert_eq!(files.map(reader.as_fd(), 0, PAGE, Perm::WRITE).unwrap_err(), ACCESS);
    assert!(files.map(reader.as_fd(), 0, PAGE, Perm::READ).is_ok());
}

#[test]
fn a_file_sealed_against_writing_can_be_read() {
    let files = MappedFiles::new(10, 1 << 30);
    let fd = memfd(4);
    fcntl_add_seals(&fd, SealFlags::WRITE).unwrap();
    assert!(files.map(fd.as_fd(), 0, PAGE, Perm::READ_WRITE).is_err());
    let (region, at) = files.map(fd.as_fd(), PAGE, PAGE, Perm::READ).unwrap();
    assert_eq!(region.read(at, &mut [0; 8]), Ok(()));
}

#[test]
fn the_file_over_the_limit_is_refused_and_fits_after_another_went() {
    let files = MappedFiles::new(2, 1 << 30);
    let fds = [memfd(1), memfd(1), memfd(1)];
    let map = |i: usize| files.map(fds.get(i).unwrap().as_fd(), 0, PAGE, Perm::READ);
    let (first, second) = (map(0).unwrap(), map(1).unwrap());
    assert_eq!(map(2).unwrap_err(), RegionError::TooMany(2));
    assert!(map(1).is_ok(), "it is mapped already");
    drop(first);
    assert!(map(2).is_ok());
    drop(second);
}

#[test]
fn a_file_larger_than_the_room_is_mapped_as_far_as_needed() {
    let files = MappedFiles::new(10, 8 * PAGE);
    let huge = memfd(1 << 30);
    let (part, at) = files.map(huge.as_fd(), 100 * PAGE, 6 * PAGE, Perm::READ).unwrap();
    assert_eq!((part.len(), at), (6 * PAGE, 0));
    let refused = files.map(huge.as_fd(), 0, 3 * PAGE, Perm::READ).unwrap_err();
    assert_eq!(refused, RegionError::TooLarge(8 * PAGE));
    assert!(files.map(memfd(2).as_fd(), 0, PAGE, Perm::READ).is_ok());
}

#[test]
fn an_offset_inside_a_page_is_refused_even_if_the_file_is_mapped() {
    let files = MappedFiles::new(10, 1 << 30);
    let fd = memfd(4);
    let (_held, _) = files.map(fd.as_fd(), 0, PAGE, Perm::READ).unwrap();
    for (offset, len) in [(1, PAGE), (u64::MAX - 4095, 2 * PAGE)] {
        let refused = files.map(fd.as_fd(), offset, len, Perm::READ).unwrap_err();
        assert_eq!(refused, RegionError::Size { offset, len });
    }
}
