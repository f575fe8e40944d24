//! UNIX sockets with the framing of QEMU's network back ends (qemu-options, `-netdev`).
//!
//! `stream`: each frame behind its length, 4 bytes with the most significant first. `dgram`: each
//! frame is a datagram.

mod dgram;
mod framing;
mod stream;

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, socket_with,
};

pub use dgram::Dgram;
pub use stream::Stream;

fn unix_socket(kind: SocketType) -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    socket_with(AddressFamily::UNIX, kind, flags, None)
}

/// Binds at a path, which may hold a socket that its owner left behind.
fn bind_at(path: &Path, kind: SocketType) -> io::Result<OwnedFd> {
    let bound = || -> Result<OwnedFd, Errno> {
        let (socket, address) = (unix_socket(kind)?, SocketAddrUnix::new(path)?);
        match bind(&socket, &address) {
            Err(Errno::ADDRINUSE) => (),
            other => return other.map(|()| socket),
        }
        // A file that is no socket refuses a connection, too.
        let left = std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
        if !left || connect(unix_socket(kind)?, &address) != Err(Errno::CONNREFUSED) {
            return Err(Errno::ADDRINUSE);
        }
        rustix::fs::unlink(path)?;
        bind(&socket, &address).map(|()| socket)
    };
    bound().map_err(|errno| named(path, errno))
}

fn named(path: &Path, errno: Errno) -> io::Error {
    let error = io::Error::from(errno);
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
