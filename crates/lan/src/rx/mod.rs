//! Receive queues: buffers that software posted, and what comes back in their descriptors.

mod queue;
mod select;
mod writeback;

pub(crate) use queue::{Delivery, RxQueue, RxSetup};
pub(crate) use select::{Choice, select};
pub(crate) use writeback::Meta;
