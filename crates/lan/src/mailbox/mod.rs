//! The mailboxes: messages between a virtual device (a VSI) and the PF's driver.
//!
//! Each VSI has a page with a send queue (ATQ) and a receive queue (ARQ), the PF has the PF_MBX registers. A
//! message (opcode 0x0801 to the PF, 0x0802 to a VSI) goes by DMA out of the sender's buffer into the buffer
//! that the receiver posted: with the VSI's PASID on its side, without one on the PF's.
//!
//! # The rules
//! - A queue runs while its LEN has ENABLE and not CRIT. Nothing is fetched before its tail is written: drivers
//!   enable a queue before they tell where it is.
//! - Entries H up to but not including T belong to the device, which advances H.
//! - To a full PF queue a VSI's message waits in its own ring until the PF posts buffers; VSIs take turns. To a
//!   full VSI queue the PF's message fails with EBUSY and sets ARQLEN.OVFL there, so that no guest holds up
//!   the PF. To a queue that doesn't run it fails with ENOSYS, which ice expects of a VF without a driver.
//! - A malformed descriptor completes with an error code and moves nothing. What can't be reached by DMA, or a
//!   head or tail outside its ring, sets CRIT in that queue's LEN, and VFE in the PF's.
//! - With GL_MBX_PASID.PASID_MODE a VSI without a PASID reaches no memory. No source tells what hardware does;
//!   a guest must not reach what the PF's driver maps.
//!
//! The error codes are those of the admin queue; which one hardware gives for which mistake is known for ENOSYS
//! alone.

mod descriptor;
mod dma;
mod registers;
mod transfer;

pub use registers::{Queue, Register};
pub use transfer::{Mailboxes, Outcome, Stop};

use siov_iommu::Pasid;
use siov_mem::Iova;

/// Whose mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    /// The function: PF_MBX_*.
    Pf,
    /// A VSI: VSI_MBX_*.
    Vsi(u16),
}

/// A DMA that reached nothing, or not all; whoever did it has recorded why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreachable;

/// How a mailbox reaches memory.
pub trait Memory {
    /// Fill `to` from an address on.
    fn read(&mut self, pasid: Option<Pasid>, from: Iova, to: &mut [u8]) -> Result<(), Unreachable>;
    /// Put `from` at an address.
    fn write(&mut self, pasid: Option<Pasid>, to: Iova, from: &[u8]) -> Result<(), Unreachable>;
}
