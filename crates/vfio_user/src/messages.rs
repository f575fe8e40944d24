//! Commands of ours to the client, `DMA_READ` and `DMA_WRITE`, and the replies they wait for.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration;

use rustix::io::Errno;
use siov_mem::Iova;

use crate::client::lock;
use crate::dma::DmaError;
use crate::socket::Socket;
use crate::wire::{Command, Fields, HEADER_SIZE, Header};

/// More commands under way than this, and the device is doing something wrong.
const MAX_WAITING: usize = 1024;

#[derive(Debug)]
pub(crate) struct Messages {
    socket: Arc<Socket>,
    /// Who reads the replies, and so can't wait for one.
    reader: ThreadId,
    timeout: Duration,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    closed: bool,
    next_id: u16,
    by_id: HashMap<u16, Arc<Slot>>,
}

#[derive(Debug)]
struct Slot {
    iova: Iova,
    count: u64,
    command: Command,
    reply: Mutex<Option<Result<Vec<u8>, DmaError>>>,
    came: Condvar,
}

/// A command that was sent; its reply is still to come.
#[derive(Debug)]
pub(crate) struct Ticket {
    id: u16,
    slot: Arc<Slot>,
}

impl Messages {
    pub(crate) fn new(socket: Arc<Socket>, timeout: Duration) -> Messages {
        let reader = thread::current().id();
        Messages { socket, reader, timeout, waiting: Mutex::default() }
    }

    /// Sends a command for `count` bytes at `iova`; `data` is what a `DMA_WRITE` carries.
    pub(crate) fn send(
        &self,
        command: Command,
        iova: Iova,
        count: u64,
        data: &[u8],
    ) -> Result<Ticket, DmaError> {
        if thread::current().id() == self.reader {
            return Err(DmaError::WouldDeadlock(iova));
        }
        let slot = Slot { iova, count, command, reply: Mutex::default(), came: Condvar::new() };
        let ticket = self.register(Arc::new(slot))?;
        let size = u32::try_from(HEADER_SIZE + 16 + data.len()).unwrap_or(u32::MAX);
        let header = Header { id: ticket.id, command: command as u16, size, ..Header::default() };
        let mut head = header.encode().to_vec();
        head.extend(iova.0.to_ne_bytes());
        head.extend(count.to_ne_bytes());
        if self.socket.send(&head, data, None).is_err() {
            lock(&self.waiting).by_id.remove(&ticket.id);
            return Err(DmaError::Disconnected);
        }
        Ok(ticket)
    }

    /// Waits for the reply, and gives the data of a `DMA_READ`.
    pub(crate) fn wait(&self, ticket: &Ticket) -> Result<Vec<u8>, DmaError> {
        let slot = &ticket.slot;
        let (mut reply, _) = slot
            .came
            .wait_timeout_while(lock(&slot.reply), self.timeout, |reply| reply.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        reply.take().unwrap_or_else(|| {
            drop(reply);
            lock(&self.waiting).by_id.remove(&ticket.id);
            Err(DmaError::Timeout(slot.iova))
        })
    }

    /// Hands a reply to whoever waits for it; `false` if nobody does.
    pub(crate) fn reply(&self, header: &Header, body: &[u8]) -> bool {
        let mut waiting = lock(&self.waiting);
        let known = waiting.by_id.get(&header.id);
        if known.is_none_or(|slot| slot.command as u16 != header.command) {
            return false;
        }
        let Some(slot) = waiting.by_id.remove(&header.id) else { return false };
        drop(waiting);
        let result = slot.result(header, body);
        slot.finish(result);
        true
    }

    /// Wakes everybody who waits: there will be no reply.
    pub(crate) fn close(&self) {
        let slots: Vec<_> = {
            let mut waiting = lock(&self.waiting);
            waiting.closed = true;
            waiting.by_id.drain().collect()
        };
        for (_, slot) in slots {
            slot.finish(Err(DmaError::Disconnected));
        }
    }

    fn register(&self, slot: Arc<Slot>) -> Result<Ticket, DmaError> {
        let mut waiting = lock(&self.waiting);
        if waiting.closed {
            return Err(DmaError::Disconnected);
        }
        if waiting.by_id.len() >= MAX_WAITING {
            return Err(DmaError::Busy);
        }
        // Ends: fewer ids are taken than there are.
        while waiting.by_id.contains_key(&waiting.next_id) {
            waiting.next_id = waiting.next_id.wrapping_add(1);
        }
        let id = waiting.next_id;
        waiting.next_id = id.wrapping_add(1);
        waiting.by_id.insert(id, Arc::clone(&slot));
        Ok(Ticket { id, slot })
    }
}

impl Slot {
    fn finish(&self, result: Result<Vec<u8>, DmaError>) {
        *lock(&self.reply) = Some(result);
        self.came.notify_one();
    }

    fn result(&self, header: &Header, body: &[u8]) -> Result<Vec<u8>, DmaError> {
        let failed = |errno| DmaError::Client { iova: self.iova, errno };
        if header.is_error() {
            let errno = i32::try_from(header.error).ok().filter(|errno| (1..4096).contains(errno));
            return Err(failed(errno.map_or(Errno::IO, Errno::from_raw_os_error)));
        }
        if self.command == Command::DmaWrite {
            return Ok(Vec::new());
        }
        let mut fields = Fields(body);
        let whole = fields.u64() == Some(self.iova.0)
            && fields.u64() == Some(self.count)
            && fields.rest().len() as u64 == self.count;
        if whole { Ok(fields.rest().to_vec()) } else { Err(failed(Errno::PROTO)) }
    }
}
