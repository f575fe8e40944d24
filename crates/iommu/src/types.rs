//! What goes into a translation and what comes out.

use std::fmt;

use siov_mem::{Hpa, Iova};
use siov_spec::vtd::FaultReason;

/// A requester id: bus, device and function (PCIe 2.2.4.2); the specification's source-id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rid(pub u16);

impl Rid {
    /// The bus number.
    pub const fn bus(self) -> u8 {
        (self.0 >> 8) as u8
    }

    /// Device and function number.
    pub const fn devfn(self) -> u8 {
        self.0 as u8
    }
}

impl fmt::Display for Rid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}:{:02x}.{:x}", self.bus(), self.devfn() >> 3, self.devfn() & 7)
    }
}

/// A process address space id, 20 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pasid(pub u32);

impl Pasid {
    /// One more than the highest.
    pub const END: u32 = 1 << 20;
}

/// A domain id: what tags what the unit caches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Did(pub u16);

/// What a request wants to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Access {
    /// Write; else read.
    pub write: bool,
    /// Read to execute (PASID prefix, Execute Requested).
    pub execute: bool,
    /// In privileged mode (PASID prefix, Privileged Mode Requested).
    pub privileged: bool,
}

impl Access {
    /// A plain read.
    pub const READ: Self = Self { write: false, execute: false, privileged: false };
    /// A plain write.
    pub const WRITE: Self = Self { write: true, execute: false, privileged: false };
}

/// An untranslated request of a device (VT-d 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Who asks.
    pub rid: Rid,
    /// In which address space, if it says so.
    pub pasid: Option<Pasid>,
    /// The address it uses.
    pub addr: Iova,
    /// What for.
    pub access: Access,
}

/// Where a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Translation {
    /// The physical address.
    pub hpa: Hpa,
    /// Bytes of the page that the translation holds for, a power of two.
    pub page: u64,
    /// What may be done in the page.
    pub rights: Rights,
}

/// What may be done in a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Rights {
    /// Reads.
    pub read: bool,
    /// Writes.
    pub write: bool,
    /// Reads to execute.
    pub execute: bool,
    /// Only privileged requests may do it.
    pub supervisor: bool,
    /// The mapping is a global one (first stage).
    pub global: bool,
    /// Accesses to be snooped.
    pub snoop: bool,
}

impl Rights {
    /// Everything.
    pub const ALL: Self = Self {
        read: true,
        write: true,
        execute: true,
        supervisor: false,
        global: false,
        snoop: false,
    };
}

/// What kind of request a fault is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RequestKind {
    /// A memory request with an address to translate.
    #[default]
    Untranslated,
    /// A Translation Request of a device TLB.
    TranslationRequest,
    /// A memory request with an address out of a device TLB.
    Translated,
    /// A Page Request Message.
    PageRequest,
    /// An interrupt request.
    Interrupt,
}

/// A request that was not translated, as the specification reports it (VT-d 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Why.
    pub reason: FaultReason,
    /// What was asked.
    pub kind: RequestKind,
    /// Who asked.
    pub rid: Rid,
    /// In which address space, if the request said so.
    pub pasid: Option<Pasid>,
    /// Which address.
    pub addr: Iova,
    /// What for.
    pub access: Access,
    /// Whether a table entry on the way says that qualified faults are not to be recorded (FPD).
    pub silent: bool,
}
