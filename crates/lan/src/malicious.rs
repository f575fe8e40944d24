//! Rules that a queue broke: hardware stops it and tells the firmware.

use siov_bus::DmaError;
use siov_packet::Violation;

/// Which side of the data path noticed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// A Tx queue: GL_MDET_TX_TCLAN or, for its doorbell, GL_MDET_TX_PQM.
    Tx,
    /// An Rx queue: GL_MDET_RX.
    Rx,
}

/// What a queue did wrong. The numbers go into MAL_TYPE; only that there is one is public, so they are ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malice {
    /// A doorbell past the end of the ring.
    TailOutsideRing,
    /// The doorbell is in the middle of a packet.
    NoEndOfPacket,
    /// A descriptor of no known type.
    DescriptorType,
    /// A context or filter-program descriptor without the data that it is about.
    ContextWithoutData,
    /// Commands or offsets that differ between the data descriptors of one packet.
    CommandsDiffer,
    /// A buffer without a byte.
    EmptyBuffer,
    /// More than eight buffers for a packet, or for a segment of one.
    TooManyBuffers,
    /// A packet of less than 17 bytes.
    TooShort,
    /// A packet longer than the port takes, or segmentation of more than 256 KiB.
    TooLong,
    /// Segmentation on a queue whose context does not allow it.
    SegmentationOff,
    /// Offloads that contradict each other or the packet.
    Offload(Violation),
    /// A filter-program descriptor on a queue or VSI that may not program filters.
    ProgrammingOff,
    /// Memory could not be reached; the remapping unit has the fault, if it was one of translation.
    Memory(DmaError),
}

impl Malice {
    /// What MAL_TYPE says.
    pub const fn number(self) -> u8 {
        match self {
            Self::TailOutsideRing => 1,
            Self::NoEndOfPacket => 2,
            Self::DescriptorType => 3,
            Self::ContextWithoutData => 4,
            Self::CommandsDiffer => 5,
            Self::EmptyBuffer => 6,
            Self::TooManyBuffers => 7,
            Self::TooShort => 8,
            Self::TooLong => 9,
            Self::SegmentationOff => 10,
            Self::Offload(_) => 11,
            Self::ProgrammingOff => 12,
            Self::Memory(_) => 13,
        }
    }

    /// Its name in events and counters.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TailOutsideRing => "tail_outside_ring",
            Self::NoEndOfPacket => "no_end_of_packet",
            Self::DescriptorType => "descriptor_type",
            Self::ContextWithoutData => "context_without_data",
            Self::CommandsDiffer => "commands_differ",
            Self::EmptyBuffer => "empty_buffer",
            Self::TooManyBuffers => "too_many_buffers",
            Self::TooShort => "too_short",
            Self::TooLong => "too_long",
            Self::SegmentationOff => "segmentation_off",
            Self::Offload(_) => "offload",
            Self::ProgrammingOff => "programming_off",
            Self::Memory(_) => "memory",
        }
    }

    /// Whether the doorbell was wrong, and not a descriptor (GL_MDET_TX_PQM).
    pub const fn of_doorbell(self) -> bool {
        matches!(self, Self::TailOutsideRing | Self::NoEndOfPacket)
    }
}

impl From<Violation> for Malice {
    fn from(violation: Violation) -> Self {
        Self::Offload(violation)
    }
}

impl From<DmaError> for Malice {
    fn from(error: DmaError) -> Self {
        Self::Memory(error)
    }
}
