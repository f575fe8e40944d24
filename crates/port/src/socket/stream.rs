//! `-netdev stream`: one peer at a time, on either side of a UNIX stream socket.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::io::{Errno, read};
use rustix::net::{
    RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, accept_with, connect, listen,
    recv, send,
};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

use super::framing::{Decoder, Encoder, TooLong};
use super::{bind_at, named, unix_socket};
use crate::poll::Poll;
use crate::{Backend, Counters, Reason};

/// Seconds from one attempt to connect to the next.
const RETRY: i64 = 1;

/// The port's end. The link is up while a peer is there.
#[derive(Debug)]
pub struct Stream {
    path: PathBuf,
    way: Way,
    peer: Option<OwnedFd>,
    poll: Poll,
    decoder: Decoder,
    encoder: Encoder,
    /// Whether `poll` waits for room to write.
    writing: bool,
    room: usize,
    up: bool,
    counters: Counters,
    peers: u64,
    event: Option<String>,
}

/// How to come to a peer.
#[derive(Debug)]
enum Way {
    Listen(OwnedFd),
    /// A timer until the next attempt.
    Connect(OwnedFd),
}

impl Stream {
    /// Listens at a path; takes one peer at a time, and the next one when it is gone. At most `room`
    /// bytes wait for a peer that reads slowly.
    ///
    /// # Errors
    /// That of the system, with the path: another process listens there, or the path is too long.
    pub fn listen(path: impl AsRef<Path>, room: usize) -> io::Result<Self> {
        let path = path.as_ref();
        let socket = bind_at(path, SocketType::STREAM)?;
        listen(&socket, 1).map_err(|errno| named(path, errno))?;
        let poll = Poll::new()?;
        poll.add(&socket)?;
        Ok(Self::new(path, Way::Listen(socket), poll, room))
    }

    /// Connects to who listens at a path, now or as soon as there is one; again when it is gone.
    ///
    /// # Errors
    /// That of the system; nobody listening is none.
    pub fn connect(path: impl AsRef<Path>, room: usize) -> io::Result<Self> {
        let path = path.as_ref();
        SocketAddrUnix::new(path).map_err(|errno| named(path, errno))?;
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        let poll = Poll::new()?;
        poll.add(&timer)?;
        let mut stream = Self::new(path, Way::Connect(timer), poll, room);
        stream.try_connect();
        Ok(stream)
    }

    fn new(path: &Path, way: Way, poll: Poll, room: usize) -> Self {
        Self {
            path: path.to_owned(),
            way,
            peer: None,
            poll,
            decoder: Decoder::new(),
            encoder: Encoder::default(),
            writing: false,
            room,
            up: true,
            counters: Counters::default(),
            peers: 0,
            event: None,
        }
    }

    /// Looks for a peer, if there is none and it is time to.
    fn meet(&mut self) {
        if self.peer.is_some() {
            return;
        }
        match &self.way {
            Way::Listen(socket) => {
                let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
                if let Ok(peer) = accept_with(socket, flags) {
                    self.poll.remove(socket); // the next one has to wait, and not wake us
                    self.take(peer);
                }
            }
            Way::Connect(timer) => {
                if read(timer, &mut [0; 8]).is_ok() {
                    self.try_connect();
                }
            }
        }
    }

    fn try_connect(&mut self) {
        let connected = || -> Result<OwnedFd, Errno> {
            let socket = unix_socket(SocketType::STREAM)?;
            connect(&socket, &SocketAddrUnix::new(&self.path)?)?;
            Ok(socket)
        };
        match connected() {
            Ok(peer) => self.take(peer),
            Err(_) => self.set_timer(),
        }
    }

    fn set_timer(&self) {
        if let Way::Connect(timer) = &self.way {
            let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
            let once = Timespec { tv_sec: RETRY, tv_nsec: 0 };
            let time = Itimerspec { it_interval: zero, it_value: once };
            let _ = timerfd_settime(timer, TimerfdTimerFlags::empty(), &time);
        }
    }

    fn take(&mut self, peer: OwnedFd) {
        if self.poll.add(&peer).is_ok() {
            self.peers = self.peers.wrapping_add(1);
            self.peer = Some(peer);
            self.poll.wake.signal(); // the link is up
        } else {
            self.part_from(None);
        }
    }

    /// Ends with the peer; what waits for it is lost.
    fn lose(&mut self, why: &str) {
        let Some(peer) = self.peer.take() else { return };
        self.event = Some(format!("{}: {why}", self.path.display()));
        self.part_from(Some(peer));
    }

    fn part_from(&mut self, peer: Option<OwnedFd>) {
        if let Some(peer) = peer {
            self.poll.remove(&peer);
        }
        let (frames, bytes) = self.encoder.clear();
        self.counters.unsend(frames, bytes);
        self.counters.drop_many(Reason::LinkDown, frames);
        self.decoder.clear();
        self.writing = false;
        self.poll.wake.signal();
        match &self.way {
            Way::Listen(socket) => {
                let _ = self.poll.add(socket);
            }
            Way::Connect(_) => self.set_timer(),
        }
    }

    /// Writes as much as the socket takes now.
    fn write_out(&mut self) {
        while let Some(peer) = &self.peer {
            let waiting = self.encoder.bytes();
            if waiting.is_empty() {
                break;
            }
            match send(peer, waiting, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
                Ok(bytes) => self.encoder.taken(bytes),
                Err(Errno::INTR) => (),
                Err(Errno::AGAIN) => break,
                Err(_) => self.lose("the peer is gone"),
            }
        }
        let waits = !self.encoder.bytes().is_empty();
        if let Some(peer) = &self.peer
            && waits != self.writing
        {
            self.writing = self.poll.writing(peer, waits).is_ok() && waits;
        }
    }

    /// Reads more of the stream; `false` if there is nothing now, or nobody any more.
    fn fill(&mut self) -> bool {
        let Some(peer) = &self.peer else { return false };
        match recv(peer, self.decoder.room(), RecvFlags::DONTWAIT) {
            Ok((0, _)) => self.lose("the peer is gone"),
            Ok((bytes, _)) => {
                self.decoder.filled(bytes);
                return true;
            }
            Err(Errno::INTR) => return true,
            Err(Errno::AGAIN) => (),
            Err(_) => self.lose("the peer is gone"),
        }
        false
    }

    fn has_room(&self, frame: &[u8]) -> bool {
        let waiting = self.encoder.bytes().len();
        frame.len().saturating_add(4).saturating_add(waiting) <= self.room
    }

    fn count_short(&mut self) {
        let short = std::mem::take(&mut self.decoder.short);
        self.counters.drop_many(Reason::Length, short);
    }
}

impl Backend for Stream {
    fn kind(&self) -> &'static str {
        "stream"
    }

    fn send(&mut self, frame: &[u8]) -> bool {
        if !self.has_room(frame) {
            self.write_out();
        }
        let taken = self.counters.take(frame, self.link(), self.has_room(frame));
        if taken {
            self.encoder.push(frame);
        }
        taken
    }

    fn flush(&mut self) {
        self.write_out();
    }

    fn receive(&mut self, max: usize, each: &mut dyn FnMut(&[u8])) -> usize {
        self.poll.wake.quiet();
        self.meet();
        self.write_out();
        let mut given = 0;
        while given < max {
            match self.decoder.next() {
                Ok(Some(frame)) if self.up => {
                    self.counters.received(frame.len());
                    each(frame);
                    given += 1;
                }
                Ok(Some(_)) => self.counters.drop(Reason::LinkDown),
                Ok(None) => {
                    if !self.fill() {
                        break;
                    }
                }
                Err(TooLong(length)) => {
                    self.counters.drop(Reason::Malformed);
                    self.lose(&format!("the peer announced a frame of {length} bytes"));
                    break;
                }
            }
        }
        self.count_short();
        given
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.poll.fd())
    }

    fn link(&self) -> bool {
        self.up && self.peer.is_some()
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
        let way = match self.way {
            Way::Listen(_) => "listens at",
            Way::Connect(_) => "connects to",
        };
        let peer = if self.peer.is_some() { "a peer" } else { "no peer" };
        let waits = self.encoder.bytes().len();
        let path = self.path.display();
        format!("{way} {path}, {peer} ({} so far), {waits} of {} bytes wait", self.peers, self.room)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.write_out();
        if matches!(self.way, Way::Listen(_)) {
            let _ = rustix::fs::unlink(&self.path);
        }
    }
}
