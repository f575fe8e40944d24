//! Which vector an event interrupts, and which of the vector's timers holds it back.

use siov_spec::e810::{IMS_SLOTS, VECTORS, bar0};

/// An interrupt vector: 0 to 2,047 is an entry of the MSI-X table, 2,048 + s slot s of the IMS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vector(pub u32);

impl Vector {
    /// The vector of an MSI-X entry; there is none past the 2,048th.
    pub const fn msix(entry: u32) -> Option<Self> {
        if entry < VECTORS { Some(Self(entry)) } else { None }
    }

    /// The vector of an IMS slot; a register can't name one past the 16,384th.
    pub const fn ims(slot: u32) -> Option<Self> {
        if slot < IMS_SLOTS { Some(Self(VECTORS + slot)) } else { None }
    }

    /// The IMS slot, if the vector is one.
    pub const fn slot(self) -> Option<u32> {
        self.0.checked_sub(VECTORS)
    }

    pub(super) fn index(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// One of the three throttling timers of a vector, or none of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Itr {
    /// Timer 0; Linux uses it for receive.
    #[default]
    Itr0,
    /// Timer 1; Linux uses it for transmit.
    Itr1,
    /// Timer 2.
    Itr2,
    /// No timer: the event is not held back (index 3).
    None,
}

impl Itr {
    /// The timer of a two-bit ITR index; higher bits are ignored.
    pub const fn from_index(index: u32) -> Self {
        match index & 3 {
            0 => Self::Itr0,
            1 => Self::Itr1,
            2 => Self::Itr2,
            _ => Self::None,
        }
    }

    pub(super) const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// What a cause register says: QINT_RQCTL, QINT_TQCTL, VPINT_MBX_CTL, PFINT_OICR_CTL, PFINT_MBX_CTL, PFINT_FW_CTL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cause {
    /// Which vector.
    pub vector: Vector,
    /// Which timer of it.
    pub itr: Itr,
    /// CAUSE_ENA: else the event interrupts nobody.
    pub enabled: bool,
}

impl Cause {
    /// Decode a cause register; IMS and IMS_SLOT count in those that have them, and read 0 in the others.
    pub const fn from_register(raw: u32) -> Self {
        let raw = bar0::VPINT_MBX_CTL(raw);
        let vector =
            if raw.IMS() { VECTORS + raw.IMS_SLOT() as u32 } else { raw.MSIX_INDX() as u32 };
        Self {
            vector: Vector(vector),
            itr: Itr::from_index(raw.ITR_INDX() as u32),
            enabled: raw.CAUSE_ENA(),
        }
    }
}
