//! A TAP of the host: `/dev/net/tun` with `IFF_TAP | IFF_NO_PI`, opened by `siov.hw.tap`.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::{Errno, read, write};

use crate::poll::Poll;
use crate::{Backend, Counters, FRAME_MAX, FRAME_MIN, Reason};

/// The queue of a TAP; each read and each write is a frame.
#[derive(Debug)]
pub struct Tap {
    name: String,
    /// `None` once the device is gone.
    queue: Option<OwnedFd>,
    poll: Poll,
    buffer: Box<[u8]>,
    up: bool,
    counters: Counters,
    event: Option<String>,
}

impl Tap {
    /// Takes the descriptor of an attached queue; `name` is the interface's, for people.
    ///
    /// # Errors
    /// That of the system, for a descriptor that can't be polled or made non-blocking.
    pub fn new(queue: OwnedFd, name: impl Into<String>) -> io::Result<Self> {
        fcntl_setfl(&queue, fcntl_getfl(&queue)? | OFlags::NONBLOCK)?;
        let poll = Poll::new()?;
        poll.add(&queue)?;
        Ok(Self {
            name: name.into(),
            queue: Some(queue),
            poll,
            buffer: vec![0; FRAME_MAX + 1].into(),
            up: true,
            counters: Counters::default(),
            event: None,
        })
    }

    fn put(&self, frame: &[u8]) -> Result<(), Reason> {
        let Some(queue) = &self.queue else { return Err(Reason::LinkDown) };
        match write(queue, frame) {
            Ok(_) => Ok(()),
            Err(Errno::AGAIN | Errno::NOBUFS | Errno::NOMEM) => Err(Reason::Overflow),
            Err(Errno::IO) => Err(Reason::LinkDown), // the interface is down
            Err(_) => Err(Reason::Os),
        }
    }

    /// Lets go of a device that won't come back, and whose descriptor would wake us for ever.
    fn lose(&mut self, errno: Errno) {
        if let Some(queue) = self.queue.take() {
            self.poll.remove(&queue);
            self.poll.wake.signal();
            self.event = Some(format!("the TAP {} is gone: {}", self.name, io::Error::from(errno)));
        }
    }
}

impl Backend for Tap {
    fn kind(&self) -> &'static str {
        "tap"
    }

    fn send(&mut self, frame: &[u8]) -> bool {
        let before = self.counters;
        if !self.counters.take(frame, self.link(), true) {
            return false;
        }
        let put = self.put(frame);
        if let Err(reason) = put {
            self.counters = before;
            self.counters.drop(reason);
        }
        put.is_ok()
    }

    fn receive(&mut self, max: usize, each: &mut dyn FnMut(&[u8])) -> usize {
        self.poll.wake.quiet();
        let mut given = 0;
        while given < max
            && let Some(queue) = &self.queue
        {
            let bytes = match read(queue, &mut *self.buffer) {
                Ok(0) => {
                    self.lose(Errno::NODEV);
                    break;
                }
                Ok(bytes) => bytes,
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => break,
                Err(errno) => {
                    self.lose(errno);
                    break;
                }
            };
            let frame = self.buffer.get(..bytes).unwrap_or_default();
            if !(FRAME_MIN..=FRAME_MAX).contains(&bytes) {
                self.counters.drop(Reason::Length);
            } else if !self.up {
                self.counters.drop(Reason::LinkDown);
            } else {
                self.counters.received(bytes);
                each(frame);
                given += 1;
            }
        }
        given
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.poll.fd())
    }

    fn link(&self) -> bool {
        self.up && self.queue.is_some()
    }

    fn set_link(&mut self, up: bool) {
        if self.up != up {
            self.up = up;
            self.poll.wake.signal();
        }
    }

    fn counters(&self) -> Counters {
        self.counters
    }

    fn take_event(&mut self) -> Option<String> {
        self.event.take()
    }

    fn inspect(&self) -> String {
        let state = if self.queue.is_some() { "attached to" } else { "has lost" };
        format!("{state} the TAP {}", self.name)
    }
}
