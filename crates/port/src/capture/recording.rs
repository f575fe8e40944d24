//! One file that many record into at once, each as an interface of its own.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{CaptureError, Direction, Interface, Packet, Writer};
use crate::Clock;

/// What an interface has recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    /// What the interface is called.
    pub name: String,
    /// Frames to the interface that the file took.
    pub inbound: u64,
    /// Frames from the interface that the file took.
    pub outbound: u64,
    /// Frames for which there was no room.
    pub dropped: u64,
}

/// What a recording is like at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Bytes of the file.
    pub size: u64,
    /// Bytes that it may have.
    pub limit: u64,
    /// Frames of those taken that the disk refused.
    pub lost: u64,
    /// Its interfaces, by number.
    pub interfaces: Vec<Recorded>,
    /// What went wrong last, in one sentence.
    pub trouble: Option<String>,
}

#[derive(Debug)]
struct Inner {
    writer: Writer,
    interfaces: Vec<Recorded>,
    lost: u64,
    trouble: Option<String>,
}

/// A capture file with its clock. When it is full, frames are dropped and counted; nobody waits but for
/// another one who writes.
#[derive(Debug)]
pub struct Recording {
    clock: Clock,
    path: PathBuf,
    limit: u64,
    inner: Mutex<Inner>,
}

impl Recording {
    /// Begins a file of at most `limit` bytes, with something said about the whole of it.
    ///
    /// # Errors
    /// Those of [`Writer::create`].
    pub fn create(
        path: impl AsRef<Path>,
        clock: Clock,
        limit: u64,
        comment: Option<&str>,
    ) -> Result<Self, CaptureError> {
        let path = path.as_ref().to_owned();
        let writer = Writer::commented(&path, limit, comment)?;
        let inner = Inner { writer, interfaces: vec![], lost: 0, trouble: None };
        Ok(Self { clock, path, limit, inner: Mutex::new(inner) })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an interface and gives its number.
    ///
    /// # Errors
    /// That of the system.
    pub fn interface(&self, interface: &Interface<'_>) -> Result<u32, CaptureError> {
        let mut inner = self.inner();
        let number = inner.writer.describe(interface)?;
        inner.interfaces.push(Recorded { name: interface.name.to_owned(), ..Recorded::default() });
        Ok(number)
    }

    /// Records a frame with the time it is now; when there is no room, it is counted instead.
    pub fn record(
        &self,
        interface: u32,
        direction: Direction,
        frame: &[u8],
        comment: Option<&str>,
    ) {
        let mut inner = self.inner();
        // With the lock held: in a file, time does not go back.
        let time = self.clock.now();
        let packet = Packet { interface, time, direction: Some(direction), frame, comment };
        let taken = inner.writer.packet(&packet);
        inner.look_after();
        let Some(row) = inner.interfaces.get_mut(interface as usize) else { return };
        let counter = match (taken, direction) {
            (Err(_), _) => &mut row.dropped,
            (Ok(()), Direction::Inbound) => &mut row.inbound,
            (Ok(()), Direction::Outbound) => &mut row.outbound,
        };
        *counter = counter.wrapping_add(1);
    }

    /// Puts into the file what was recorded up to now.
    pub fn flush(&self) {
        let mut inner = self.inner();
        inner.writer.flush();
        inner.look_after();
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What there is in it.
    pub fn totals(&self) -> Totals {
        let inner = self.inner();
        Totals {
            size: inner.writer.size(),
            limit: self.limit,
            lost: inner.lost,
            interfaces: inner.interfaces.clone(),
            trouble: inner.trouble.clone(),
        }
    }
}

impl Inner {
    fn look_after(&mut self) {
        self.lost = self.lost.wrapping_add(self.writer.take_lost().frames);
        if let Some(event) = self.writer.take_event() {
            self.trouble = Some(event);
        }
    }
}
