//! `-netdev dgram`: two UNIX datagram sockets, each of which knows the other's path.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketAddrUnix, SocketType, recv, sendto};

use super::{bind_at, named};
use crate::poll::Poll;
use crate::{Backend, Counters, FRAME_MAX, FRAME_MIN, Reason};

/// The port's socket. Nothing tells whether the other one is there: the link is up while the port has
/// it up, and what nobody is there to take is dropped as such.
#[derive(Debug)]
pub struct Dgram {
    path: PathBuf,
    peer: PathBuf,
    address: SocketAddrUnix,
    socket: OwnedFd,
    poll: Poll,
    /// One byte more than a frame has, to know a longer one by.
    buffer: Box<[u8]>,
    up: bool,
    counters: Counters,
}

impl Dgram {
    /// Receives at one path and sends to another.
    ///
    /// # Errors
    /// That of the system, with the path: another process has it, or it is too long.
    pub fn new(path: impl AsRef<Path>, peer: impl AsRef<Path>) -> io::Result<Self> {
        let (path, peer) = (path.as_ref().to_owned(), peer.as_ref().to_owned());
        let address = SocketAddrUnix::new(&peer).map_err(|errno| named(&peer, errno))?;
        let (socket, poll) = (bind_at(&path, SocketType::DGRAM)?, Poll::new()?);
        poll.add(&socket)?;
        let (buffer, counters) = (vec![0; FRAME_MAX + 1].into(), Counters::default());
        Ok(Self { path, peer, address, socket, poll, buffer, up: true, counters })
    }

    fn put(&self, frame: &[u8]) -> Result<(), Reason> {
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        match sendto(&self.socket, frame, flags, &self.address) {
            Ok(_) => Ok(()),
            Err(Errno::AGAIN | Errno::NOBUFS | Errno::NOMEM) => Err(Reason::Overflow),
            Err(Errno::NOENT | Errno::CONNREFUSED | Errno::CONNRESET) => Err(Reason::LinkDown),
            Err(_) => Err(Reason::Os),
        }
    }
}

impl Backend for Dgram {
    fn kind(&self) -> &'static str {
        "dgram"
    }

    fn send(&mut self, frame: &[u8]) -> bool {
        let before = self.counters;
        if !self.counters.take(frame, self.up, true) {
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
        while given < max {
            let bytes = match recv(&self.socket, &mut *self.buffer, RecvFlags::DONTWAIT) {
                Ok((bytes, _)) => bytes,
                Err(Errno::INTR) => continue,
                Err(_) => break,
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
        self.up
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

    fn inspect(&self) -> String {
        format!("receives at {}, sends to {}", self.path.display(), self.peer.display())
    }
}

impl Drop for Dgram {
    fn drop(&mut self) {
        let _ = rustix::fs::unlink(&self.path);
    }
}
