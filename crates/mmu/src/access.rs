//! An access of a program, what becomes of it, and what can stop it.

use siov_mem::{Gpa, Gva, Hpa};
use siov_spec::ept::{EptViolation, ExitReason, PageFaultError};

/// What is done at the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A data read.
    Read,
    /// A data write.
    Write,
    /// An instruction fetch.
    Fetch,
}

/// Who does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Code at CPL 3.
    User,
    /// Code at CPL 0 to 2 with EFLAGS.AC clear, or an implicit supervisor-mode access.
    Supervisor,
    /// An explicit access of code at CPL 0 to 2 with EFLAGS.AC set, to which SMAP does not apply.
    SupervisorAc,
}

/// An access with a guest virtual address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Access {
    /// What is done.
    pub kind: Kind,
    /// Who does it.
    pub mode: Mode,
}

impl Access {
    /// A read by the supervisor.
    pub const READ: Access = Access { kind: Kind::Read, mode: Mode::Supervisor };
    /// A write by the supervisor.
    pub const WRITE: Access = Access { kind: Kind::Write, mode: Mode::Supervisor };
    /// A fetch by the supervisor.
    pub const FETCH: Access = Access { kind: Kind::Fetch, mode: Mode::Supervisor };

    /// The same at CPL 3.
    pub const fn by_user(self) -> Access {
        Access { kind: self.kind, mode: Mode::User }
    }

    /// The same by the supervisor with EFLAGS.AC set.
    pub const fn with_ac(self) -> Access {
        Access { kind: self.kind, mode: Mode::SupervisorAc }
    }

    /// Every access there is, in the order of [`index`](Self::index).
    pub fn all() -> impl Iterator<Item = Access> {
        let modes = [Mode::User, Mode::Supervisor, Mode::SupervisorAc];
        let kinds = [Kind::Read, Kind::Write, Kind::Fetch];
        modes
            .into_iter()
            .flat_map(move |mode| kinds.into_iter().map(move |kind| Access { kind, mode }))
    }

    pub(crate) const fn index(self) -> usize {
        self.mode as usize * 3 + self.kind as usize
    }
}

/// A size of page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PageSize {
    /// 4 KiB.
    #[default]
    Size4K,
    /// 2 MiB.
    Size2M,
    /// 1 GiB.
    Size1G,
}

impl PageSize {
    /// Bits of an address that are the offset in the page.
    #[inline]
    pub const fn shift(self) -> u32 {
        match self {
            PageSize::Size4K => 12,
            PageSize::Size2M => 21,
            PageSize::Size1G => 30,
        }
    }

    /// Bytes of the page.
    pub const fn bytes(self) -> u64 {
        1 << self.shift()
    }

    /// The size of page that an entry maps at a level (1 is the page table).
    pub(crate) const fn at_level(level: u8) -> PageSize {
        match level {
            1 => PageSize::Size4K,
            2 => PageSize::Size2M,
            _ => PageSize::Size1G,
        }
    }
}

/// An address translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Translation {
    /// Where the access goes.
    pub hpa: Hpa,
    /// The stretch that this translation holds for: the smaller of the guest's page and EPT's.
    pub size: PageSize,
    /// Entries read from memory for it: 0 when the TLB knew, 24 for a cold walk of 4 by 4 levels.
    pub reads: u32,
}

/// What stops an access: an exception in the guest, or a VM exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `#GP(0)`: the address is not canonical.
    NotCanonical(Gva),
    /// `#PF`: goes to the guest's handler, with the address in CR2.
    PageFault {
        /// Why.
        error_code: PageFaultError,
        /// The address, for CR2.
        gva: Gva,
    },
    /// A VM exit: EPT does not allow the access.
    EptViolation {
        /// What was attempted, and what is allowed.
        qualification: EptViolation,
        /// The guest-physical address.
        gpa: Gpa,
        /// The guest-linear address.
        gva: Gva,
    },
    /// A VM exit: an EPT entry is set up as none may be.
    EptMisconfiguration {
        /// The guest-physical address.
        gpa: Gpa,
    },
    /// A VM exit: an EPT flag is to be set and the page-modification log has no room.
    PmlFull,
}

impl Fault {
    /// The basic exit reason, if this is a VM exit and not an exception that the guest handles.
    pub const fn exit_reason(&self) -> Option<ExitReason> {
        match self {
            Fault::NotCanonical(_) | Fault::PageFault { .. } => None,
            Fault::EptViolation { .. } => Some(ExitReason::EPT_VIOLATION),
            Fault::EptMisconfiguration { .. } => Some(ExitReason::EPT_MISCONFIGURATION),
            Fault::PmlFull => Some(ExitReason::PML_FULL),
        }
    }
}
