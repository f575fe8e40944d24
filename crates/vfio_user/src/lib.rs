//! The server end of vfio-user: a device in this process, served to a VMM over a UNIX socket.
//!
//! A [`Device`] says what its regions and interrupts are, and handles accesses. An [`Endpoint`]
//! gives it a socket and runs the protocol. The [`Client`] that comes in reaches the device as a
//! handle: its memory ([`Dma`]) and its interrupts ([`Irqs`]), usable from any thread.
//!
//! The protocol is vfio-user 0.0 as QEMU's documentation specifies it and QEMU 11.1 speaks it.
//! What a client does wrong is answered with an errno; only a stream that can't be followed any
//! more (a message size that makes no sense, replies that are never read) ends the connection.

pub mod bench;
mod client;
mod connection;
mod counters;
mod device;
mod dma;
mod endpoint;
mod irqs;
mod listener;
mod messages;
mod request;
mod socket;
mod stream;
mod version;
mod wire;

pub use client::Client;
pub use counters::Counters;
pub use device::{
    Device, DeviceLayout, DmaMapped, IrqChange, IrqLayout, LayoutError, RegionLayout, RegionMmap,
    SparseArea, pci,
};
pub use dma::{Dma, DmaError};
pub use endpoint::{Endpoint, EndpointError, EndpointState, Limits};
pub use irqs::{Delivery, IrqState, Irqs, NoSuchIrq};
pub use listener::BindError;
pub use request::{DmaMap, DmaUnmap, RegionAccess, Request, SetIrqs, WriteMulti};
pub use rustix::io::Errno;
pub use siov_mem::Iova;
pub use wire::{Command, HEADER_SIZE, Header};
