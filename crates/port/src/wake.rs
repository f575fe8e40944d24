//! An eventfd that is written only when it is quiet.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::{read, write};

/// Readable between `signal` and `quiet`; both cost a system call only when they change that.
#[derive(Debug)]
pub(crate) struct Wake {
    fd: OwnedFd,
    signalled: bool,
}

impl Wake {
    pub(crate) fn new() -> std::io::Result<Self> {
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { fd, signalled: false })
    }

    pub(crate) fn signal(&mut self) {
        if !self.signalled {
            self.signalled = write(&self.fd, &1u64.to_ne_bytes()).is_ok();
        }
    }

    pub(crate) fn quiet(&mut self) {
        if self.signalled {
            let _ = read(&self.fd, &mut [0; 8]);
            self.signalled = false;
        }
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
