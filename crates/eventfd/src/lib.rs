//! Signalling an eventfd of a client without ever waiting for that client.
//!
//! A write to a full eventfd waits until somebody reads it, unless the file is non-blocking. That
//! flag belongs to the file, which the client has too: it can clear the flag between our setting
//! it and our write, and then not even its death ends the wait. The kernel's own way to signal an
//! eventfd never waits: it adds one, and at the limit nothing. An asynchronous operation (aio) that
//! names an eventfd ends with such a signal, also when the operation itself fails. So the signal
//! here is an asynchronous read of no bytes. Where that can't be had, it is a write after all.
#![allow(unsafe_code)] // rustix leaves aio out

use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr;
use std::sync::OnceLock;

use libc::{c_long, c_ulong};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::{Errno, write};

/// Operations whose end nobody has looked at yet; each is looked at at once.
const IN_FLIGHT: c_long = 128;
const PREAD: u16 = 0;
const RESFD: u32 = 1;

/// `struct iocb` of linux/aio_abi.h, for a little-endian machine.
#[repr(C)]
#[derive(Default)]
struct Operation {
    data: u64,
    key: u32,
    rw_flags: i32,
    opcode: u16,
    priority: i16,
    fd: u32,
    buffer: u64,
    bytes: u64,
    offset: i64,
    reserved: u64,
    flags: u32,
    eventfd: u32,
}

/// `struct io_event` of linux/aio_abi.h.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Ended {
    data: u64,
    operation: u64,
    result: i64,
    result2: i64,
}

/// `EINVAL` for anything but an eventfd: a write to it could block, kill us or fill a disk.
pub fn check(fd: &OwnedFd) -> Result<(), Errno> {
    // The kernel prints a file that has a path with a leading slash, so no file can pass as one.
    let name = std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()));
    match name {
        Ok(name) if name.as_os_str() == "anon_inode:[eventfd]" => Ok(()),
        _ => Err(Errno::INVAL),
    }
}

/// Adds one to the eventfd, unless it is full: then its owner has all it needs to wake up.
pub fn signal(eventfd: &OwnedFd) {
    if !signal_by_aio(eventfd) && unblock(eventfd).is_ok() {
        let _ = write(eventfd, &1u64.to_ne_bytes());
    }
}

/// `false` if the kernel did not take the operation, and so did not signal.
fn signal_by_aio(eventfd: &OwnedFd) -> bool {
    let Some(context) = context() else { return false };
    let fd = eventfd.as_raw_fd().unsigned_abs();
    let mut operation =
        Operation { opcode: PREAD, fd, flags: RESFD, eventfd: fd, ..Operation::default() };
    let mut operations = [&raw mut operation];
    // SAFETY: one valid operation, which the kernel copies; it reads 0 bytes, so to nowhere.
    let taken = unsafe {
        libc::syscall(libc::SYS_io_submit, context, 1 as c_long, operations.as_mut_ptr())
    };
    let mut ended = [Ended::default(); 8];
    // SAFETY: the kernel writes at most the 8 events there is room for, and does not wait for any.
    unsafe {
        libc::syscall(
            libc::SYS_io_getevents,
            context,
            0 as c_long,
            ended.len() as c_long,
            ended.as_mut_ptr(),
            ptr::null_mut::<libc::timespec>(),
        )
    };
    taken == 1
}

/// The process's context of asynchronous operations, made once; `None` if the kernel refuses it.
fn context() -> Option<c_ulong> {
    static CONTEXT: OnceLock<Option<c_ulong>> = OnceLock::new();
    *CONTEXT.get_or_init(|| {
        let mut context: c_ulong = 0;
        // SAFETY: the kernel writes the context's handle to the place it is given.
        let made = unsafe { libc::syscall(libc::SYS_io_setup, IN_FLIGHT, &raw mut context) };
        (cfg!(target_endian = "little") && made == 0).then_some(context)
    })
}

/// Makes writes fail instead of wait, until the client takes the flag back.
fn unblock(fd: &OwnedFd) -> Result<(), Errno> {
    let flags = fcntl_getfl(fd)?;
    if flags.contains(OFlags::NONBLOCK) {
        Ok(())
    } else {
        fcntl_setfl(fd, flags | OFlags::NONBLOCK)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use rustix::event::{EventfdFlags, eventfd};
    use rustix::io::read;

    fn count(fd: &OwnedFd) -> u64 {
        let mut value = [0; 8];
        read(fd, &mut value).unwrap();
        u64::from_ne_bytes(value)
    }

    #[test]
    fn every_signal_adds_one_without_a_change_of_flags() {
        let fd = eventfd(0, EventfdFlags::CLOEXEC).unwrap();
        (0..1000).for_each(|_| assert!(signal_by_aio(&fd)));
        assert_eq!(count(&fd), 1000);
        assert!(!fcntl_getfl(&fd).unwrap().contains(OFlags::NONBLOCK));
    }

    #[test]
    fn a_full_blocking_eventfd_stays_full_and_nobody_waits() {
        let fd = eventfd(0, EventfdFlags::CLOEXEC).unwrap();
        write(&fd, &(u64::MAX - 1).to_ne_bytes()).unwrap();
        (0..10).for_each(|_| assert!(signal_by_aio(&fd)));
        assert_eq!(count(&fd), u64::MAX);
    }

    #[test]
    fn signals_from_many_threads_all_count() {
        let fd = eventfd(0, EventfdFlags::CLOEXEC).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..2000).for_each(|_| signal(&fd)));
            }
        });
        assert_eq!(count(&fd), 16_000);
    }
}
