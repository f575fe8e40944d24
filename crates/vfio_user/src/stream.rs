//! The receiving side of a connection: a stream cut into messages, with their descriptors.
//!
//! A register access should cost one receive. Reading as much as there is would do it, but file
//! descriptors arrive with a read, not with a byte, and must not go to the wrong message. So a
//! read reaches at most [`WINDOW`] bytes from the beginning of a message, or to the end of that
//! message if it is longer. That is enough, because of three facts:
//!
//! - Linux ends a read with the buffer (skb) that carried descriptors, and a sender's descriptors
//!   are on the first buffer of its `sendmsg` (net/unix/af_unix.c, `unix_stream_read_generic` and
//!   `unix_stream_sendmsg`). So no byte after theirs comes before they do, and what one read
//!   brings is for one message.
//! - A sender attaches descriptors to the first byte of a message. So they belong to a message
//!   that begins in the bytes of this read.
//! - The messages that take descriptors (`DMA_MAP`, `DEVICE_SET_IRQS`) have at least `WINDOW`
//!   bytes. So if several messages begin within the window, only the last can be one of those.
//!
//! Hence the rule: descriptors go to the last message that has begun.

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, recvmsg};

use crate::socket::Socket;
use crate::wire::{HEADER_SIZE, Header, MAX_MESSAGE, MAX_MSG_FDS};

/// Header and body of a `DEVICE_SET_IRQS`, and of a 4-byte `REGION_WRITE`.
const WINDOW: usize = 36;

/// Why there is no next message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The client has hung up, or we have.
    Closed,
    /// A message of a size that can't be, or cut off by the end of the stream.
    Lost,
}

/// A message, whole.
pub(crate) struct Message<'a> {
    pub(crate) header: Header,
    pub(crate) body: &'a [u8],
    /// `Err` if more came than we take; those are closed.
    pub(crate) fds: Result<Vec<OwnedFd>, Errno>,
}

pub(crate) struct Stream {
    socket: Arc<Socket>,
    /// What has been received and not been handed out, from the beginning of a message on.
    buffer: Vec<u8>,
    filled: usize,
    /// Bytes of the message that was handed out last, still at the front.
    taken: usize,
    fds: Vec<Arrival>,
}

/// Descriptors for the message that begins at `at` in the buffer.
struct Arrival {
    at: usize,
    fds: Result<Vec<OwnedFd>, Errno>,
}

impl Stream {
    pub(crate) fn new(socket: &Arc<Socket>) -> Stream {
        let socket = Arc::clone(socket);
        Stream { socket, buffer: vec![0; 4096], filled: 0, taken: 0, fds: Vec::new() }
    }

    /// Waits for the next message.
    pub(crate) fn next(&mut self) -> Result<Message<'_>, End> {
        self.drop_taken();
        let header = loop {
            if let Some(header) = self.header_at(0) {
                break header;
            }
            self.receive(WINDOW)?;
        };
        let size = header.size as usize;
        if !(HEADER_SIZE..=MAX_MESSAGE).contains(&size) {
            return Err(End::Lost);
        }
        if self.buffer.len() < size {
            self.buffer.resize(size, 0);
        }
        while self.filled < size {
            self.receive(size.max(WINDOW))?;
        }
        self.taken = size;
        let fds = self.take_fds(size);
        let body = self.buffer.get(HEADER_SIZE..size).unwrap_or_default();
        Ok(Message { header, body, fds })
    }

    /// Moves what lies behind the last message, at most a window, to the front.
    fn drop_taken(&mut self) {
        if self.taken == 0 {
            return;
        }
        self.buffer.copy_within(self.taken..self.filled, 0);
        self.filled -= self.taken;
        for arrival in &mut self.fds {
            arrival.at = arrival.at.saturating_sub(self.taken);
        }
        self.taken = 0;
    }

    fn take_fds(&mut self, size: usize) -> Result<Vec<OwnedFd>, Errno> {
        match self.fds.first() {
            Some(arrival) if arrival.at < size => self.fds.remove(0).fds,
            _ => Ok(Vec::new()),
        }
    }

    fn header_at(&self, at: usize) -> Option<Header> {
        self.buffer.get(at..self.filled).and_then(Header::parse)
    }

    /// Receives once, up to `end` bytes in the buffer.
    fn receive(&mut self, end: usize) -> Result<(), End> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_MSG_FDS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let room = self.buffer.get_mut(self.filled..end).ok_or(End::Lost)?;
        let received = loop {
            let mut parts = [IoSliceMut::new(room)];
            let flags = RecvFlags::CMSG_CLOEXEC;
            match recvmsg(self.socket.as_fd(), &mut parts, &mut control, flags) {
                Err(Errno::INTR) => {}
                other => break other.map_err(|_| End::Closed)?,
            }
        };
        if received.bytes == 0 {
            return Err(if self.filled == 0 { End::Closed } else { End::Lost });
        }
        self.filled += received.bytes;
        let mut fds = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                fds.extend(rights);
            }
        }
        if received.flags.contains(ReturnFlags::CTRUNC) {
            self.arrived(Err(Errno::INVAL));
        } else if !fds.is_empty() {
            self.arrived(Ok(fds));
        }
        Ok(())
    }

    fn arrived(&mut self, fds: Result<Vec<OwnedFd>, Errno>) {
        let at = self.last_begin();
        match self.fds.last_mut() {
            // A second lot for one message is more than a sender has to say.
            Some(arrival) if arrival.at == at => arrival.fds = Err(Errno::INVAL),
            _ => self.fds.push(Arrival { at, fds }),
        }
    }

    /// Where the last message begins that has begun.
    fn last_begin(&self) -> usize {
        let mut at = 0;
        while let Some(header) = self.header_at(at) {
            match at.checked_add((header.size as usize).max(HEADER_SIZE)) {
                Some(next) if next < self.filled => at = next,
                _ => break,
            }
        }
        at
    }
}
