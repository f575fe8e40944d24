//! One fd for life, over fds that come and go.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::epoll::{self, EventData, EventFlags};

use crate::wake::Wake;

/// An epoll instance with an eventfd of its own in it.
#[derive(Debug)]
pub(crate) struct Poll {
    epoll: OwnedFd,
    pub(crate) wake: Wake,
}

impl Poll {
    pub(crate) fn new() -> io::Result<Self> {
        let poll = Self { epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?, wake: Wake::new()? };
        poll.add(poll.wake.fd())?;
        Ok(poll)
    }

    pub(crate) fn add(&self, fd: impl AsFd) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, fd, EventData::new_u64(0), EventFlags::IN)?)
    }

    /// Whether the room for writing is waited for, too.
    pub(crate) fn writing(&self, fd: impl AsFd, wanted: bool) -> io::Result<()> {
        let out = if wanted { EventFlags::OUT } else { EventFlags::empty() };
        Ok(epoll::modify(&self.epoll, fd, EventData::new_u64(0), EventFlags::IN | out)?)
    }

    pub(crate) fn remove(&self, fd: impl AsFd) {
        let _ = epoll::delete(&self.epoll, fd);
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}
