//! A device on a socket.

use std::fmt;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::io::Errno;
use siov_mem::DmaMapInfo;
use thiserror::Error;

use crate::client::lock;
use crate::connection::Connection;
use crate::counters::{Counting, count};
use crate::irqs::IrqState;
use crate::listener::{BindError, Listener};
use crate::socket::Socket;
use crate::stream::Stream;
use crate::{Client, Counters, Device, DeviceLayout};

/// What a client may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// DMA maps at a time.
    pub max_dma_maps: usize,
    /// Files of shared memory at a time; each takes one mapping of the process.
    pub max_shared_files: usize,
    /// Bytes of those files.
    pub max_shared_bytes: u64,
    /// How long it may leave our messages unread before it is disconnected.
    pub send_timeout: Duration,
    /// How long a device waits for the reply to a DMA message.
    pub dma_timeout: Duration,
}

impl Default for Limits {
    /// 65,535 maps, as VFIO; 128 files of 4 TiB; 5 s, as QEMU itself waits; 10 s.
    fn default() -> Limits {
        Limits {
            max_dma_maps: 65_535,
            max_shared_files: 128,
            max_shared_bytes: 1 << 42,
            send_timeout: Duration::from_secs(5),
            dma_timeout: Duration::from_secs(10),
        }
    }
}

/// Why an endpoint could not run.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EndpointError {
    /// Another thread runs it.
    #[error("the endpoint at {0:?} is running already")]
    Running(PathBuf),
    /// The thread that takes in clients could not be started.
    #[error("the endpoint at {path:?} can't take in clients: {error}")]
    Thread {
        /// Its socket.
        path: PathBuf,
        /// What the operating system said.
        error: String,
    },
}

/// An endpoint as it can be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointState {
    /// Its socket.
    pub path: PathBuf,
    /// Whether a thread runs it.
    pub running: bool,
    /// Whether a client is connected.
    pub connected: bool,
    /// Major and minor version agreed with the client.
    pub version: Option<(u16, u16)>,
    /// The client's DMA maps, by ascending address.
    pub maps: Vec<DmaMapInfo>,
    /// The vectors in use.
    pub irqs: Vec<IrqState>,
    /// How often this client's eventfds were signalled.
    pub irq_signals: u64,
    /// DMA messages sent to this client.
    pub dma_messages: u64,
    /// Everything counted since the endpoint was bound.
    pub counters: Counters,
}

/// A device on a UNIX socket, for one client at a time.
///
/// One thread runs it, and calls the device; another takes in clients meanwhile, to turn away all
/// but one. A client that goes leaves nothing behind, and the next one is welcome.
pub struct Endpoint {
    device: Arc<dyn Device>,
    layout: DeviceLayout,
    limits: Limits,
    listener: Listener,
    counting: Counting,
    running: AtomicBool,
    door: Mutex<Door>,
    /// Signalled whenever the door changes.
    changed: Condvar,
}

/// What the two threads of an endpoint tell each other.
#[derive(Default)]
struct Door {
    stopping: bool,
    /// A connection that waits to be served.
    next: Option<OwnedFd>,
    current: Option<Arc<Client>>,
}

impl Endpoint {
    /// Makes the socket at `path`; a socket that a dead server left there is replaced.
    pub fn bind(path: impl AsRef<Path>, device: Arc<dyn Device>) -> Result<Endpoint, BindError> {
        Self::bind_with(path, device, Limits::default())
    }

    /// The same, with limits of one's own.
    pub fn bind_with(
        path: impl AsRef<Path>,
        device: Arc<dyn Device>,
        limits: Limits,
    ) -> Result<Endpoint, BindError> {
        let layout = device.layout();
        layout.check()?;
        Ok(Endpoint {
            device,
            layout,
            limits,
            listener: Listener::bind(path.as_ref())?,
            counting: Counting::default(),
            running: AtomicBool::new(false),
            door: Mutex::default(),
            changed: Condvar::new(),
        })
    }

    /// The path of the socket.
    pub fn path(&self) -> &Path {
        self.listener.path()
    }

    /// Serves clients on this thread until [`stop`](Self::stop); then the socket file is gone.
    pub fn run(&self) -> Result<(), EndpointError> {
        if self.running.swap(true, Ordering::AcqRel) {
            return Err(EndpointError::Running(self.path().to_owned()));
        }
        let result = thread::scope(|scope| {
            // Also when the device panics: else the scope would wait for a client for ever.
            let _stop = OnDrop(|| self.stop());
            thread::Builder::new()
                .name("vfio-user-door".into())
                .spawn_scoped(scope, || self.take_in())
                .map_err(|e| EndpointError::Thread {
                    path: self.path().to_owned(),
                    error: e.to_string(),
                })?;
            while let Some(client) = self.next_client() {
                self.serve(&client);
            }
            Ok(())
        });
        self.listener.remove_file();
        self.running.store(false, Ordering::Release);
        result
    }

    /// Disconnects the client and ends [`run`](Self::run), for good; from any thread.
    pub fn stop(&self) {
        let mut door = lock(&self.door);
        door.stopping = true;
        door.next = None;
        if let Some(client) = &door.current {
            client.disconnect();
        }
        self.listener.shutdown();
        self.changed.notify_all();
    }

    /// How things stand.
    pub fn inspect(&self) -> EndpointState {
        let client = lock(&self.door).current.clone();
        let version = client.as_ref().and_then(|client| client.version().copied());
        EndpointState {
            path: self.path().to_owned(),
            running: self.running.load(Ordering::Acquire),
            connected: client.is_some(),
            version: version.map(|version| (version.major, version.minor)),
            maps: client.as_ref().map(|client| client.dma().maps()).unwrap_or_default(),
            irqs: client.as_ref().map(|client| client.irqs().state()).unwrap_or_default(),
            irq_signals: client.as_ref().map_or(0, |client| client.irqs().signals()),
            dma_messages: client.as_ref().map_or(0, |client| client.dma().messages_sent()),
            counters: self.counting.snapshot(),
        }
    }

    fn serve(&self, client: &Arc<Client>) {
        count(&self.counting.connections);
        let _gone = OnDrop(|| {
            client.close();
            if client.is_attached() {
                self.device.detached();
            }
            lock(&self.door).current = None;
            self.changed.notify_all();
        });
        let mut connection = Connection {
            device: &*self.device,
            layout: self.layout.clone(),
            limits: &self.limits,
            counting: &self.counting,
            client,
            reply: Vec::new(),
        };
        connection.serve(Stream::new(client.socket()));
    }

    fn next_client(&self) -> Option<Arc<Client>> {
        let mut door = lock(&self.door);
        loop {
            if door.stopping {
                return None;
            }
            if let Some(connection) = door.next.take()
                && let Ok(socket) = Socket::new(connection, self.limits.send_timeout)
            {
                let client = Client::new(Arc::new(socket), &self.layout.irqs, &self.limits);
                let client = Arc::new(client);
                door.current = Some(Arc::clone(&client));
                self.changed.notify_all();
                return Some(client);
            }
            door = self.wait(door);
        }
    }

    /// Takes in one client, and closes the door on all that come while it is there.
    fn take_in(&self) {
        loop {
            match self.listener.accept() {
                Ok(connection) => self.let_in(connection),
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                // Out of descriptors, perhaps: others may free some.
                Err(_) => self.pause(Duration::from_millis(20)),
            }
            if lock(&self.door).stopping {
                return;
            }
        }
    }

    fn let_in(&self, connection: OwnedFd) {
        let mut door = lock(&self.door);
        loop {
            let Door { stopping, next, current } = &*door;
            match current {
                _ if *stopping => return,
                // One that has hung up is about to be noticed: the place is as good as free.
                Some(client) if !client.socket().hung_up() => {
                    count(&self.counting.refused);
                    return;
                }
                None if next.is_none() => break,
                _ => door = self.wait(door),
            }
        }
        door.next = Some(connection);
        self.changed.notify_all();
    }

    fn pause(&self, time: Duration) {
        let door = lock(&self.door);
        if !door.stopping {
            drop(self.changed.wait_timeout(door, time));
        }
    }

    fn wait<'d>(&self, door: MutexGuard<'d, Door>) -> MutexGuard<'d, Door> {
        self.changed.wait(door).unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Endpoint").field(&self.path()).finish()
    }
}

/// Does something at the end of a scope, however it is left.
struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
