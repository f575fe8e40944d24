//! Eventfds that somebody else reads, and that it is to be told of.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// Some eventfds, looked at together.
#[derive(Debug)]
pub struct Bells {
    epoll: OwnedFd,
    /// Kept open, so that they stay in the set.
    fds: Vec<Arc<OwnedFd>>,
}

impl Bells {
    /// These ones.
    pub fn new(fds: Vec<Arc<OwnedFd>>) -> Result<Self, Errno> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        for (number, fd) in fds.iter().enumerate() {
            epoll::add(&epoll, fd, EventData::new_u64(number as u64), EventFlags::IN)?;
        }
        Ok(Self { epoll, fds })
    }

    /// Whether one is signalled.
    pub fn any(&self) -> Result<bool, Errno> {
        if self.fds.is_empty() {
            return Ok(false);
        }
        let mut set = [PollFd::new(&self.epoll, PollFlags::IN)];
        match poll(&mut set, Some(&Timespec::default())) {
            Ok(ready) => Ok(ready > 0),
            Err(Errno::INTR) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
