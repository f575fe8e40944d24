//! A device's way up: its DMA reaches host memory, its interrupt messages the CPUs.
//!
//! A [`Requester`] is one function's interface to the [`Bus`]. Each of its workers has a [`DmaPort`], with a
//! shard of the function's device TLB; what a worker does at a time is a batch, a [`Dma`]. A batch sees the
//! address spaces as they were or as they have become, never both: when a call that changes something has
//! returned, no access by what was before is under way.
//!
//! Locks are taken in this order: a shard, the view of host memory, a remapping unit; none while another
//! of its kind is held. So a thread with a batch calls nothing of the bus but through the batch.

mod bus;
mod cpus;
mod dma;
mod error;
mod gate;
mod mmio;
mod requester;
mod shard;

pub use bus::{Bus, Downstream, Unanswered};
pub use cpus::{Counted, Cpus, Pending, Target};
pub use dma::{Dma, DmaPort};
pub use error::{BusError, DmaError};
pub use gate::Gate;
pub use mmio::{Claim, Mmio};
pub use requester::{Requester, Traffic};
pub use siov_iommu::{DeviceInvalidation, Geometry, Pasid, Rid, Unit};
pub use siov_mem::{Hpa, Iova};
