//! What can go wrong on the way up.

use siov_iommu::Fault;
use thiserror::Error;

/// Why an access of a device did not happen; no byte has moved then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DmaError {
    /// The function may not send requests (Bus Master Enable; PCIe 7.5.1.1.3).
    #[error("Bus Master Enable is clear")]
    BusMaster,
    /// A request with PASID, which a function whose PASID Enable is clear does not send (PCIe 6.20.1).
    #[error("PASID Enable is clear")]
    PasidDisabled,
    /// The remapping unit refused it, and recorded that unless the tables say not to.
    #[error("translation fault {:?}", .0.reason)]
    Fault(Fault),
    /// The device TLB knows that the page does not allow it: a Translation Completion said so. The unit
    /// records nothing, and the function has nothing to send but a Page Request (PCIe 10.2.3, 10.4).
    #[error("the page does not allow the access")]
    NotPermitted,
    /// No memory is at the physical address (Unsupported Request).
    #[error("no memory is there")]
    NoMemory,
    /// A write to where interrupt messages go; those are for [`message`](crate::Bus::message).
    #[error("a write into the interrupt range")]
    Interrupt,
}

/// What a caller of the bus asked for wrongly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BusError {
    /// More units than a bus takes.
    #[error("a bus has at most {0} remapping units")]
    TooManyUnits(usize),
    /// Not a unit of this bus.
    #[error("the bus has no remapping unit {0}")]
    NoUnit(usize),
    /// What was given to be signalled is not an eventfd.
    #[error("not an eventfd")]
    NotAnEventfd,
    /// Two functions that claim one physical address.
    #[error("two functions answer at {0:#x}")]
    Overlap(u64),
}
