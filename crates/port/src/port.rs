//! A port as both the NIC and the operator hold it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use thiserror::Error;

use crate::{Backend, Counters};

/// A backend and its lock, to be shared (`Arc`) by the workers of one NIC and by whoever looks.
pub struct Port {
    backend: Mutex<Box<dyn Backend>>,
    kind: &'static str,
    fd: Option<OwnedFd>,
    speed: u32,
    plugged: AtomicBool,
}

/// Another NIC has the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("this {0} is plugged into a port already; unplug it there first")]
pub struct InUse(pub &'static str);

impl Port {
    /// Ready to be plugged in; `speed` is what is reported, in Mbit/s, and nothing is slowed down to it.
    ///
    /// # Errors
    /// That of the system, when there are too many open files.
    pub fn new(backend: impl Backend + 'static, speed: u32) -> std::io::Result<Self> {
        let fd = backend.fd().map(|fd| fd.try_clone_to_owned()).transpose()?;
        let kind = backend.kind();
        let (backend, plugged) = (Mutex::new(Box::new(backend) as Box<_>), AtomicBool::new(false));
        Ok(Self { backend, kind, fd, speed, plugged })
    }

    /// The backend, for one batch: the other workers wait for it.
    pub fn lock(&self) -> MutexGuard<'_, Box<dyn Backend>> {
        // A panic elsewhere leaves queues of whole frames behind.
        self.backend.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The backend, unless another thread is at it.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, Box<dyn Backend>>> {
        self.backend.try_lock().ok()
    }

    /// What to poll for reading, without the lock; see [`Backend::fd`].
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.fd.as_ref().map(AsFd::as_fd)
    }

    /// What kind of backend it is, in one word.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// The link's speed, in Mbit/s.
    pub fn speed(&self) -> u32 {
        self.speed
    }

    /// Claims it for a NIC.
    ///
    /// # Errors
    /// [`InUse`] while another one has it.
    pub fn plug(&self) -> Result<(), InUse> {
        let before = self.plugged.swap(true, Ordering::AcqRel);
        if before { Err(InUse(self.kind)) } else { Ok(()) }
    }

    /// Gives it back.
    pub fn unplug(&self) {
        self.plugged.store(false, Ordering::Release);
    }

    /// Whether a NIC has it.
    pub fn is_plugged(&self) -> bool {
        self.plugged.load(Ordering::Acquire)
    }

    /// See [`Backend::link`].
    pub fn link(&self) -> bool {
        self.lock().link()
    }

    /// See [`Backend::set_link`].
    pub fn set_link(&self, up: bool) {
        self.lock().set_link(up);
    }

    /// See [`Backend::counters`].
    pub fn counters(&self) -> Counters {
        self.lock().counters()
    }
}
