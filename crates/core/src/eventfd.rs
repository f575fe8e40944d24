//! Eventfds for Python, each one file of the process however many hold it.

use std::collections::HashMap;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use rustix::event::{EventfdFlags, eventfd};
use rustix::io::read;
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};

/// Those that are ours, by number. One that is gone does not upgrade, so its number may have become another's.
static OURS: Mutex<Option<HashMap<RawFd, Weak<OwnedFd>>>> = Mutex::new(None);

/// An eventfd that is closed when nobody holds it: Python, a vector that signals it, who waits for it.
#[pyclass(frozen, module = "siov._core", name = "EventFd")]
pub struct PyEventFd {
    fd: Arc<OwnedFd>,
}

#[pymethods]
impl PyEventFd {
    #[new]
    fn new() -> PyResult<Self> {
        let fd = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)
            .map_err(|error| PyOSError::new_err((error.raw_os_error(), error.to_string())))?;
        let fd = Arc::new(fd);
        let mut ours = OURS.lock().unwrap_or_else(PoisonError::into_inner);
        ours.get_or_insert_default().insert(fd.as_raw_fd(), Arc::downgrade(&fd));
        Ok(Self { fd })
    }

    fn fileno(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    fn take(&self) -> bool {
        read(&*self.fd, &mut [0u8; 8]).is_ok()
    }
}

/// A file that Python names by its number: one of ours as it is, a foreign one as a file of our own.
///
/// The number of a foreign one is no file to borrow, so the kernel looks it up.
pub fn hold(fd: RawFd) -> PyResult<Arc<OwnedFd>> {
    let ours = OURS.lock().unwrap_or_else(PoisonError::into_inner);
    let ours = ours.as_ref().and_then(|ours| ours.get(&fd)?.upgrade());
    if let Some(ours) = ours {
        return Ok(ours);
    }
    let ourselves = pidfd_open(getpid(), PidfdFlags::empty());
    let found = ourselves.and_then(|pid| pidfd_getfd(pid, fd, PidfdGetfdFlags::empty()));
    found.map(Arc::new).map_err(|error| PyOSError::new_err(format!("file {fd}: {error}")))
}
