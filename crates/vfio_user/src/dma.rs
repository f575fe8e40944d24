//! The client's memory, as a device reaches it: mapped where it is shared, by messages elsewhere.

use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use rustix::io::Errno;
use siov_mem::{
    Backing, DirtyRun, DmaFault, DmaFaultReason, DmaMapInfo, DmaTable, Iova, MappedFiles, Perm,
    Place, RegionError, Span, TableError,
};
use thiserror::Error;

use crate::device::DmaMapped;
use crate::messages::{Messages, Ticket};
use crate::request::{DmaMap, DmaUnmap};
use crate::wire::{Command, Header, MAX_DATA_XFER_SIZE};
use crate::{Device, Limits};

/// What a copy moves at a time.
const STRIDE: usize = 64 * 1024;

/// Why a DMA access failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DmaError {
    /// The address is not mapped, or not for this.
    #[error(transparent)]
    Fault(#[from] DmaFault),
    /// The client answered a message with an errno.
    #[error("the client failed DMA at {iova}: {errno}")]
    Client {
        /// First address of the message.
        iova: Iova,
        /// What the client said.
        errno: Errno,
    },
    /// The client did not answer in time.
    #[error("the client did not answer DMA at {0}")]
    Timeout(Iova),
    /// The memory is reached by messages, and the caller is the thread that reads the replies.
    #[error("DMA at {0} takes a message to the client, for which this thread can't wait")]
    WouldDeadlock(Iova),
    /// Too many messages are under way.
    #[error("too many DMA messages are under way")]
    Busy,
    /// Whoever wanted the access wants it no more.
    #[error("DMA was given up at {0}")]
    GivenUp(Iova),
    /// The client is gone.
    #[error("the client is gone")]
    Disconnected,
}

/// The I/O virtual address space of a client; every method can be called from any thread.
///
/// Memory that the client does not share is reached by messages to it. That may take long, and is
/// an error on the thread that runs the endpoint.
#[derive(Debug)]
pub struct Dma {
    table: DmaTable,
    files: MappedFiles,
    messages: Messages,
    max_transfer: AtomicU32,
    messages_sent: AtomicU64,
    closed: AtomicBool,
}

/// A part of an access: done, or under way in a message.
enum Step {
    Done(usize),
    Sent(usize, Ticket),
}

impl Dma {
    pub(crate) fn new(messages: Messages, limits: &Limits) -> Dma {
        Dma {
            table: DmaTable::new(limits.max_dma_maps),
            files: MappedFiles::new(limits.max_shared_files, limits.max_shared_bytes),
            messages,
            max_transfer: AtomicU32::new(MAX_DATA_XFER_SIZE),
            messages_sent: AtomicU64::new(0),
            closed: AtomicBool::new(false),
        }
    }

    /// Fills `to` from `iova` on.
    pub fn read(&self, iova: Iova, to: &mut [u8]) -> Result<(), DmaError> {
        self.read_while(iova, to, || true)
    }

    /// Like [`read`](Self::read), but only as long as `go` says so; else it is
    /// [`GivenUp`](DmaError::GivenUp).
    ///
    /// It is asked while the map is held. So whoever makes it say no and then calls
    /// [`fence`](Self::fence) knows that nothing is read and no message is sent any more.
    pub fn read_while(
        &self,
        iova: Iova,
        to: &mut [u8],
        go: impl Fn() -> bool,
    ) -> Result<(), DmaError> {
        let mut rest = to;
        let mut at = iova;
        while !rest.is_empty() {
            // The message goes out while the table is held, so before the reply to an unmap.
            let step = self.visit(at, rest.len(), Perm::READ, |span| match span.place {
                _ if !go() => Err(DmaError::GivenUp(at)),
                Place::Region(..) => Ok(Step::Done(span.read(rest)?)),
                Place::Messages => self.send(Command::DmaRead, span.iova, span.len, &[]),
            })?;
            let len = match step {
                Step::Done(len) => len,
                Step::Sent(len, ticket) => {
                    let data = self.messages.wait(&ticket)?;
                    if let Some(part) = rest.get_mut(..data.len()) {
                        part.copy_from_slice(&data);
                    }
                    len
                }
            };
            rest = rest.get_mut(len..).unwrap_or_default();
            at = advance(at, len, rest.is_empty())?;
        }
        Ok(())
    }

    /// Puts `from` at `iova`; when it returns, the client's memory has it.
    pub fn write(&self, iova: Iova, from: &[u8]) -> Result<(), DmaError> {
        self.write_while(iova, from, || true)
    }

    /// Like [`write`](Self::write), but only as long as `go` says so, as in
    /// [`read_while`](Self::read_while): after the fence nothing is written any more.
    pub fn write_while(
        &self,
        iova: Iova,
        from: &[u8],
        go: impl Fn() -> bool,
    ) -> Result<(), DmaError> {
        let mut rest = from;
        let mut at = iova;
        while !rest.is_empty() {
            let step = self.visit(at, rest.len(), Perm::WRITE, |span| match span.place {
                _ if !go() => Err(DmaError::GivenUp(at)),
                Place::Region(..) => Ok(Step::Done(span.write(rest)?)),
                Place::Messages => self.send(Command::DmaWrite, span.iova, span.len, rest),
            })?;
            let len = match step {
                Step::Done(len) => len,
                Step::Sent(len, ticket) => self.messages.wait(&ticket).map(|_| len)?,
            };
            rest = rest.get(len..).unwrap_or_default();
            at = advance(at, len, rest.is_empty())?;
        }
        Ok(())
    }

    /// Copies `len` bytes in ascending order; what was copied before an error stays copied.
    pub fn copy(&self, from: Iova, to: Iova, len: u64) -> Result<(), DmaError> {
        let mut buffer = vec![0; usize::try_from(len).unwrap_or(STRIDE).min(STRIDE)];
        let mut done = 0;
        while done < len {
            let stride = (len - done).min(STRIDE as u64);
            let part = usize::try_from(stride).ok().and_then(|n| buffer.get_mut(..n));
            let part = part.unwrap_or_default();
            self.read(offset(from, done)?, part)?;
            self.write(offset(to, done)?, part)?;
            done += stride;
        }
        Ok(())
    }

    /// Waits for the accesses to shared memory that are under way, and the messages that are being sent.
    pub fn fence(&self) {
        self.table.fence();
    }

    /// The maps, for the atomic accesses of shared memory and for dirty tracking.
    pub fn table(&self) -> &DmaTable {
        &self.table
    }

    /// Every map, by ascending address.
    pub fn maps(&self) -> Vec<DmaMapInfo> {
        self.table.maps()
    }

    /// The pages written since the last harvest; see [`DmaTable::track_dirty`].
    pub fn harvest_dirty(&self) -> Vec<DirtyRun> {
        self.table.harvest_dirty()
    }

    /// How many messages went to the client for memory that it does not share.
    pub fn messages_sent(&self) -> u64 {
        self.messages_sent.load(Ordering::Relaxed)
    }

    pub(crate) fn limit_transfers(&self, bytes: u32) {
        self.max_transfer.store(bytes, Ordering::Relaxed);
    }

    /// Maps memory that comes with a file, or without, once `device` has taken it.
    pub(crate) fn map(
        &self,
        map: DmaMap,
        fd: Option<BorrowedFd<'_>>,
        device: &dyn Device,
    ) -> Result<(), Errno> {
        let DmaMap { perm, offset, iova, size } = map;
        self.table.check(iova, size, perm).map_err(table_errno)?;
        let file = fd.map(|fd| self.files.map(fd, offset, size, perm)).transpose();
        let file = file.map_err(region_errno)?;
        let shared = file.as_ref().map(|(region, at)| (region, *at));
        device.dma_mapped(&DmaMapped { iova, size, perm, shared })?;
        let backing = file.map_or(Backing::Messages, |(region, at)| Backing::Region(region, at));
        // One thread maps for a client, so what was checked is so still.
        self.table.map(iova, size, perm, backing).map_err(table_errno)
    }

    /// Unmaps, and returns when neither our own accesses nor the device's reach the memory any more.
    pub(crate) fn unmap(&self, unmap: DmaUnmap, device: &dyn Device) -> Result<(), Errno> {
        let DmaUnmap { all, iova, size } = unmap;
        if all {
            self.table.unmap_all();
            return device.dma_unmapped(Iova(0), Iova(u64::MAX));
        }
        self.table.unmap(iova, size).map_err(table_errno)?;
        device.dma_unmapped(iova, Iova(iova.0.saturating_add(size - 1)))
    }

    pub(crate) fn reply(&self, header: &Header, body: &[u8]) -> bool {
        self.messages.reply(header, body)
    }

    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.messages.close();
        self.table.unmap_all();
    }

    fn visit(
        &self,
        iova: Iova,
        len: usize,
        access: Perm,
        visit: impl FnOnce(Span<'_>) -> Result<Step, DmaError>,
    ) -> Result<Step, DmaError> {
        match self.table.visit(iova, len as u64, access, visit) {
            Ok(step) => step,
            Err(_) if self.closed.load(Ordering::Acquire) => Err(DmaError::Disconnected),
            Err(fault) => Err(fault.into()),
        }
    }

    fn send(&self, command: Command, iova: Iova, len: u64, data: &[u8]) -> Result<Step, DmaError> {
        let count = len.min(self.max_transfer.load(Ordering::Relaxed).into());
        let bytes = usize::try_from(count).unwrap_or(0);
        let part = data.get(..bytes).unwrap_or_default();
        let ticket = self.messages.send(command, iova, count, part)?;
        self.messages_sent.fetch_add(1, Ordering::Relaxed);
        Ok(Step::Sent(bytes, ticket))
    }
}

fn offset(base: Iova, bytes: u64) -> Result<Iova, DmaFault> {
    let past_the_end = DmaFault { iova: Iova(u64::MAX), reason: DmaFaultReason::NotMapped };
    base.checked_add(bytes).ok_or(past_the_end)
}

/// The address behind a part that is done; past the end of the space only nothing may be left.
fn advance(iova: Iova, len: usize, done: bool) -> Result<Iova, DmaFault> {
    if done { Ok(iova) } else { offset(iova, len as u64) }
}

fn table_errno(error: TableError) -> Errno {
    match error {
        TableError::Overlap(_) => Errno::EXIST,
        TableError::Full(_) => Errno::NOSPC,
        TableError::NotMapped { .. } => Errno::NOENT,
        TableError::Unaligned { .. }
        | TableError::Wraps { .. }
        | TableError::Perm
        | TableError::Short { .. }
        | TableError::Splits(_) => Errno::INVAL,
    }
}

fn region_errno(error: RegionError) -> Errno {
    match error {
        RegionError::Os(errno) => errno,
        RegionError::TooMany(_) | RegionError::TooLarge(_) => Errno::NOMEM,
        RegionError::Size { .. }
        | RegionError::Perm
        | RegionError::BeyondFile { .. }
        | RegionError::Fuse => Errno::INVAL,
    }
}
