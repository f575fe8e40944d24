//! Transmit queues: descriptors become packets, packets become frames.

mod packet;
mod queue;

pub(crate) use packet::{Ask, MAX_DESCRIPTORS, Packet};
pub(crate) use queue::{TxQueue, TxSetup};
