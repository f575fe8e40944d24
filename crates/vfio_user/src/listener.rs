//! The socket that clients connect to: taken, stale, ours.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, Shutdown, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, connect,
    listen, shutdown, socket_with,
};
use thiserror::Error;

/// The longest path of a UNIX socket, in bytes: `sun_path` less its NUL.
const MAX_PATH: usize = 107;

/// Why an endpoint could not be bound to a path.
#[derive(Debug, Error)]
pub enum BindError {
    /// The path does not fit into a socket address.
    #[error("socket path {path:?} has {len} bytes; a UNIX socket takes {MAX_PATH} at most")]
    TooLong {
        /// The path.
        path: PathBuf,
        /// Its bytes.
        len: usize,
    },
    /// A server listens there.
    #[error("socket path {0:?} is taken by another server; stop it or choose another path")]
    Taken(PathBuf),
    /// Something else than a socket is there.
    #[error("{0:?} exists and is no socket; choose another path")]
    NotASocket(PathBuf),
    /// The device's layout makes no sense to a client.
    #[error("the device can't be served: {0}")]
    Layout(#[from] crate::LayoutError),
    /// The operating system said no.
    #[error("socket path {path:?}: {source}")]
    Os {
        /// The path.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

/// A listening socket, whose file goes when it is dropped.
#[derive(Debug)]
pub(crate) struct Listener {
    fd: OwnedFd,
    path: PathBuf,
    /// Device and inode of our socket file, so that nobody else's is removed.
    file: Option<(u64, u64)>,
}

impl Listener {
    pub(crate) fn bind(path: &Path) -> Result<Listener, BindError> {
        let len = path.as_os_str().as_bytes().len();
        if len > MAX_PATH {
            return Err(BindError::TooLong { path: path.to_owned(), len });
        }
        let os = |errno: Errno| BindError::Os { path: path.to_owned(), source: errno.into() };
        let address = SocketAddrUnix::new(path).map_err(os)?;
        let fd = new_socket(SocketFlags::CLOEXEC).map_err(os)?;
        match bind(&fd, &address) {
            Err(Errno::ADDRINUSE) => {
                check_stale(path, &address)?;
                remove(path, None);
                match bind(&fd, &address) {
                    // Somebody was quicker.
                    Err(Errno::ADDRINUSE) => return Err(BindError::Taken(path.to_owned())),
                    other => other.map_err(os)?,
                }
            }
            other => other.map_err(os)?,
        }
        let listener = Listener { fd, path: path.to_owned(), file: identity(path) };
        listen(&listener.fd, 16).map_err(os)?;
        Ok(listener)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn accept(&self) -> Result<OwnedFd, Errno> {
        accept_with(&self.fd, SocketFlags::CLOEXEC)
    }

    /// Ends `accept`, now and for ever.
    pub(crate) fn shutdown(&self) {
        let _ = shutdown(&self.fd, Shutdown::Both);
    }

    /// Removes the socket file, if it still is the one that was made here.
    pub(crate) fn remove_file(&self) {
        if self.file.is_some() {
            remove(&self.path, self.file);
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.remove_file();
    }
}

fn new_socket(flags: SocketFlags) -> Result<OwnedFd, Errno> {
    socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
}

/// Whether the file is a socket that nobody listens on any more.
fn check_stale(path: &Path, address: &SocketAddrUnix) -> Result<(), BindError> {
    let os = |errno: Errno| BindError::Os { path: path.to_owned(), source: errno.into() };
    match std::fs::symlink_metadata(path) {
        Ok(file) if file.file_type().is_socket() => {}
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        _ => return Err(BindError::NotASocket(path.to_owned())),
    }
    // A server whose queue is full is alive too, and must not hold us up.
    let probe = new_socket(SocketFlags::CLOEXEC | SocketFlags::NONBLOCK).map_err(os)?;
    match connect(&probe, address) {
        Err(Errno::CONNREFUSED | Errno::NOENT) => Ok(()),
        Ok(()) | Err(Errno::AGAIN | Errno::PROTOTYPE) => Err(BindError::Taken(path.to_owned())),
        Err(errno) => Err(os(errno)),
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::symlink_metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

fn remove(path: &Path, only: Option<(u64, u64)>) {
    if only.is_none() || identity(path) == only {
        let _ = std::fs::remove_file(path);
    }
}
