//! The LAN engine: an E810-like adapter that knows nothing of any driver.
//!
//! A [`Nic`] is driven by its BARs and by the firmware behind its admin queue. Its workers own the queues: a
//! worker does a batch of descriptors at a time, and who changes something waits for the batch to end, so no
//! DMA by what was before is under way when a change is done. Nothing here waits for a guest.

pub mod bench;
mod causes;
mod datapath;
mod device;
mod direct;
mod doorbell;
mod engine;
pub mod interrupt;
mod lend;
pub mod mailbox;
mod malicious;
mod ports;
mod program;
mod receive;
mod ring;
mod rx;
mod shared;
mod stats;
mod tables;
mod tap;
mod transmit;
mod tx;
mod vsi;
mod worker;

pub use causes::{Line, Outcome, Sink, Stopped};
pub use datapath::{DataPath, Shape};
pub use device::{Allowed, Event, Forward, Nic, NicConfig, NicError, ResetKind, RuleKey};
pub use lend::lend;
pub use malicious::{Malice, Side};
pub use siov_bus::Geometry;
pub use siov_port::Clock;
pub use siov_switch::Space;
pub use stats::{PortCounters, VsiCounters};
pub use tables::Tables;
pub use tap::{Point, Tap};
pub use vsi::{QueueMap, Rss, Vlan, Vsi};
