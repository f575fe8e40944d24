//! The sending side of a connection: whole messages, from any thread, never for ever.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, Shutdown, send, sendmsg, shutdown,
};

use crate::client::lock;

#[derive(Debug)]
pub(crate) struct Socket {
    fd: OwnedFd,
    timeout: Duration,
    /// Held while a message goes out, so that messages don't mix.
    sending: Mutex<()>,
    stalled: AtomicBool,
}

impl Socket {
    /// A connection whose client may leave our messages unread for `timeout` at most.
    pub(crate) fn new(fd: OwnedFd, timeout: Duration) -> Result<Socket, Errno> {
        set_socket_timeout(&fd, Timeout::Send, Some(timeout))?;
        Ok(Socket { fd, timeout, sending: Mutex::new(()), stalled: AtomicBool::new(false) })
    }

    /// Sends a message, in two parts for the sake of those who have its data elsewhere.
    ///
    /// If it can't be sent as a whole the stream is of no use any more, and is shut down.
    pub(crate) fn send(
        &self,
        head: &[u8],
        data: &[u8],
        fd: Option<BorrowedFd<'_>>,
    ) -> Result<(), Errno> {
        let _whole_message = lock(&self.sending);
        let sent = self.send_parts(head, data, fd);
        if let Err(errno) = sent {
            self.stalled.fetch_or(errno == Errno::AGAIN, Ordering::Relaxed);
            self.shutdown();
        }
        sent
    }

    fn send_parts(
        &self,
        mut head: &[u8],
        mut data: &[u8],
        mut fd: Option<BorrowedFd<'_>>,
    ) -> Result<(), Errno> {
        let begin = Instant::now();
        while !(head.is_empty() && data.is_empty()) {
            let sent = match (fd, data) {
                (None, []) => send(&self.fd, head, SendFlags::NOSIGNAL),
                _ => self.send_vectored(head, data, fd),
            };
            let sent = match sent {
                Err(Errno::INTR) => continue,
                other => other?,
            };
            // The descriptor rides on the first byte.
            fd = None;
            data = data.get(sent.saturating_sub(head.len())..).unwrap_or_default();
            head = head.get(sent..).unwrap_or_default();
            // A part was sent before the time was over; the rest gets no time of its own.
            if !(head.is_empty() && data.is_empty()) && begin.elapsed() >= self.timeout {
                return Err(Errno::AGAIN);
            }
        }
        Ok(())
    }

    fn send_vectored(
        &self,
        head: &[u8],
        data: &[u8],
        fd: Option<BorrowedFd<'_>>,
    ) -> Result<usize, Errno> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let fds = fd.as_slice();
        if !fds.is_empty() {
            control.push(SendAncillaryMessage::ScmRights(fds));
        }
        let parts = [IoSlice::new(head), IoSlice::new(data)];
        sendmsg(&self.fd, &parts, &mut control, SendFlags::NOSIGNAL)
    }

    /// Ends the connection in both directions; whoever waits in it wakes up.
    pub(crate) fn shutdown(&self) {
        let _ = shutdown(&self.fd, Shutdown::Both);
    }

    /// Whether the connection was ended because the client left our messages unread.
    pub(crate) fn stalled(&self) -> bool {
        self.stalled.load(Ordering::Relaxed)
    }

    /// Whether the client has hung up, even if we have not read so far yet.
    pub(crate) fn hung_up(&self) -> bool {
        let mut fds = [PollFd::new(&self.fd, PollFlags::RDHUP)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut fds, Some(&now)).is_ok_and(|ready| ready > 0)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
