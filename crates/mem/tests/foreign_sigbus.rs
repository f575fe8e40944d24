//! A SIGBUS that is none of ours goes where it went before; in processes of their own.
#![allow(clippy::unwrap_used, unsafe_code)]

use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};
use std::ptr;

use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use siov_mem::{Perm, Region};

/// Runs the named test of this file alone, with `SIOV_CHILD` set.
fn child(test: &str) -> ExitStatus {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env("SIOV_CHILD", "1")
        .output()
        .unwrap()
        .status
}

fn is_child() -> bool {
    std::env::var_os("SIOV_CHILD").is_some()
}

fn install_the_guard() {
    let fd = memfd_create("guard", MemfdFlags::CLOEXEC).unwrap();
    ftruncate(&fd, 4096).unwrap();
    drop(Region::map(fd.as_fd(), 0, 4096, Perm::READ).unwrap());
}

/// Touches a page of an empty file, in a mapping that no region knows.
fn fault() {
    let fd = memfd_create("empty", MemfdFlags::CLOEXEC).unwrap();
    // SAFETY: a fresh mapping; the read is what the test is about.
    unsafe {
        let at = libc::mmap(
            ptr::null_mut(),
            4096,
            libc::PROT_READ,
            libc::MAP_SHARED,
            std::os::fd::AsRawFd::as_raw_fd(&fd),
            0,
        );
        assert_ne!(at, libc::MAP_FAILED);
        ptr::read_volatile(at.cast::<u8>());
    }
}

#[test]
fn a_foreign_fault_still_ends_the_process_with_sigbus() {
    if is_child() {
        install_the_guard();
        fault();
        return;
    }
    let status = child("a_foreign_fault_still_ends_the_process_with_sigbus");
    assert_eq!(status.signal(), Some(libc::SIGBUS));
}

extern "C" fn leave_with_42(_: libc::c_int) {
    // SAFETY: _exit is async-signal-safe.
    unsafe { libc::_exit(42) };
}

#[test]
fn a_foreign_fault_reaches_the_handler_that_was_there_before() {
    if is_child() {
        // SAFETY: the handler only leaves the process.
        unsafe { libc::signal(libc::SIGBUS, leave_with_42 as *const () as usize) };
        install_the_guard();
        fault();
        return;
    }
    let status = child("a_foreign_fault_reaches_the_handler_that_was_there_before");
    assert_eq!(status.code(), Some(42));
}

extern "C" fn do_nothing(_: libc::c_int) {}

#[test]
fn a_handler_that_does_not_help_is_not_asked_for_ever() {
    if is_child() {
        // SAFETY: the handler does nothing.
        unsafe { libc::signal(libc::SIGBUS, do_nothing as *const () as usize) };
        install_the_guard();
        fault();
        return;
    }
    let status = child("a_handler_that_does_not_help_is_not_asked_for_ever");
    assert_eq!(status.signal(), Some(libc::SIGBUS));
}

#[test]
fn the_guard_works_again_after_somebody_replaced_its_handler() {
    if is_child() {
        install_the_guard();
        // SAFETY: the handler only leaves the process.
        unsafe { libc::signal(libc::SIGBUS, leave_with_42 as *const () as usize) };
        let fd = memfd_create("late", MemfdFlags::CLOEXEC).unwrap();
        ftruncate(&fd, 4096).unwrap();
        let region = Region::map(fd.as_fd(), 0, 4096, Perm::READ).unwrap();
        ftruncate(&fd, 0).unwrap();
        assert!(region.read(0, &mut [0]).is_err());
        return;
    }
    let status = child("the_guard_works_again_after_somebody_replaced_its_handler");
    assert_eq!(status.code(), Some(0));
}
