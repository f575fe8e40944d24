//! The ring side of an embedded guest's `iavf` driver, and traffic that is checked at its receiver.
//!
//! A guest's [`Rings`] lie in its own memory, and everything here reaches them the guest's way: an address goes
//! through the guest's tables and EPT of a [`siov_mmu::Core`], so that accessed and dirty flags and the
//! page-modification log see what the driver does, and a doorbell goes to wherever EPT maps its page. What the
//! core can't do is a VM exit, told as an [`Exit`]: whoever hosts the guest sees to it, and the driver goes on.
//!
//! A [`GuestLoop`] drives many guests on one thread. It polls while there is work, and sleeps until the interrupt of
//! a queue comes. Traffic carries its flow, its number and bytes that follow from both, so a receiver knows what
//! every byte of a frame has to be, and whether a frame is missing, came twice, late or changed.

mod check;
mod content;
mod cpu;
mod frame;
mod guest;
mod latency;
mod order;
mod replay;
mod rings;
mod run;
mod rx;
mod sender;
mod tx;

pub use check::{Checked, Checker, Kind};
pub use content::fill;
pub use cpu::{Cpu, Doorbell, Exit, Mmio, Vcpu};
pub use frame::{Flow, Mac, Transport, datagram, segment};
pub use guest::{Guest, GuestConfig, GuestResults, Totals};
pub use latency::Latency;
pub use order::{Order, Ranges, Verdict};
pub use replay::{ReplayCheck, ReplayError, load_frames};
pub use rings::{PairConfig, RingCounters, RingError, Rings};
pub use run::{GuestLoop, LoopError, Parked, Turn};
pub use rx::{RxConfig, RxFrame, RxRing, Rxdid};
pub use sender::{Load, Sender, SenderResults, Traffic};
pub use tx::{Ask, L4, Tag, Tso, TxConfig, TxRing};
