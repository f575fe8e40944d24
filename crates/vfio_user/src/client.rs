//! A client, as its device sees it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::dma::Dma;
use crate::irqs::Irqs;
use crate::messages::Messages;
use crate::socket::Socket;
use crate::version::Version;
use crate::{IrqLayout, Limits};

/// The memory and the interrupts of a client, to be used from any thread.
///
/// When the client goes, the handle stays valid: DMA ends in [`DmaError`](crate::DmaError), and
/// interrupts go nowhere.
#[derive(Debug)]
pub struct Client {
    dma: Dma,
    irqs: Irqs,
    socket: Arc<Socket>,
    connected: AtomicBool,
    /// Whether the device has taken it.
    attached: AtomicBool,
    version: OnceLock<Version>,
}

impl Client {
    /// To be called on the thread that will read the client's messages.
    pub(crate) fn new(socket: Arc<Socket>, irqs: &[IrqLayout], limits: &Limits) -> Client {
        let messages = Messages::new(Arc::clone(&socket), limits.dma_timeout);
        Client {
            dma: Dma::new(messages, limits),
            irqs: Irqs::new(irqs),
            socket,
            connected: AtomicBool::new(true),
            attached: AtomicBool::new(false),
            version: OnceLock::new(),
        }
    }

    /// The client's memory.
    pub fn dma(&self) -> &Dma {
        &self.dma
    }

    /// The client's interrupts.
    pub fn irqs(&self) -> &Irqs {
        &self.irqs
    }

    /// Whether the client is still there.
    pub fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Acquire)
    }

    /// Ends the connection, as after a failure that the device can't recover from.
    pub fn disconnect(&self) {
        self.socket.shutdown();
    }

    pub(crate) fn socket(&self) -> &Arc<Socket> {
        &self.socket
    }

    pub(crate) fn version(&self) -> Option<&Version> {
        self.version.get()
    }

    pub(crate) fn is_attached(&self) -> bool {
        self.attached.load(Ordering::Acquire)
    }

    pub(crate) fn set_attached(&self) {
        self.attached.store(true, Ordering::Release);
    }

    pub(crate) fn agree(&self, version: Version) {
        self.dma.limit_transfers(version.max_data_xfer_size);
        let _ = self.version.set(version);
    }

    /// Gives back all that the client brought, once no access to it is under way any more.
    pub(crate) fn close(&self) {
        self.connected.store(false, Ordering::Release);
        self.socket.shutdown();
        self.dma.close();
        self.irqs.close();
    }
}

/// Locks; what a panic elsewhere left behind is still whole, because nothing here breaks half-way.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
