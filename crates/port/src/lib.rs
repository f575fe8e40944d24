//! What a port of a NIC can be plugged into.
//!
//! A [`Backend`] takes frames and gives frames: a cable to another port, a capture file, a
//! TAP of the host, a socket that QEMU's network back ends speak, a bridge, or nothing. A [`Port`] is
//! what both the NIC and the operator hold of one.
//!
//! A frame is an Ethernet frame without its FCS. No backend ever waits: what can't be taken at once
//! is dropped and counted, by [`Reason`].

mod backend;
mod batch;
mod bridge;
mod cable;
pub mod capture;
mod clock;
mod counters;
mod plain;
mod poll;
mod port;
mod socket;
mod tap;
mod wake;

pub use backend::{Backend, FRAME_MAX, FRAME_MIN};
pub use bridge::{Bridge, BridgeConfig, BridgePort};
pub use cable::{Bounds, Cable};
pub use clock::Clock;
pub use counters::{Counters, Reason};
pub use plain::{Loopback, Sink};
pub use port::{InUse, Port};
pub use socket::{Dgram, Stream};
pub use tap::Tap;
