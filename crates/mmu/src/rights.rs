//! What a translation allows, and what an access needs.

use std::ops::BitAnd;

use crate::{Access, ControlRegs, Kind, Mode};

/// What the entries used by a translation allow together: every right is the AND of all entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rights(u8);

impl Rights {
    /// R/W is set in every guest entry.
    pub const W: Rights = Rights(1);
    /// U/S is set in every guest entry.
    pub const U: Rights = Rights(1 << 1);
    /// XD is clear in every guest entry.
    pub const X: Rights = Rights(1 << 2);
    /// The guest's dirty flag is set, so that a write need not set it.
    pub const D: Rights = Rights(1 << 3);
    /// EPT allows data reads.
    pub const EPT_R: Rights = Rights(1 << 4);
    /// EPT allows data writes.
    pub const EPT_W: Rights = Rights(1 << 5);
    /// EPT allows instruction fetches.
    pub const EPT_X: Rights = Rights(1 << 6);
    /// A write need not set EPT's dirty flag: it is set, or not in use.
    pub const EPT_D: Rights = Rights(1 << 7);

    /// Nothing.
    pub const NONE: Rights = Rights(0);
    /// All that the guest's tables can allow.
    pub const GUEST: Rights = Rights(0x0f);
    /// All that EPT can allow, which holds without EPT.
    pub const EPT: Rights = Rights(0xf0);

    /// Both together.
    pub const fn with(self, other: Rights) -> Rights {
        Rights(self.0 | other.0)
    }

    /// These if `on`, else nothing.
    pub const fn when(self, on: bool) -> Rights {
        if on { self } else { Rights::NONE }
    }

    /// These without the others.
    pub const fn without(self, others: Rights) -> Rights {
        Rights(self.0 & !others.0)
    }

    /// Whether all of `others` are here.
    pub const fn has(self, others: Rights) -> bool {
        self.0 & others.0 == others.0
    }

    /// What bits 2:0 of an EPT entry allow; dirty flags are another matter.
    pub const fn from_rwx(rwx: u8) -> Rights {
        Rights((rwx & 7) << 4 | Rights::EPT_D.0)
    }
}

impl BitAnd for Rights {
    type Output = Rights;

    fn bitand(self, other: Rights) -> Rights {
        Rights(self.0 & other.0)
    }
}

/// What an access needs of a translation, as the control registers are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Need {
    required: Rights,
    forbidden: Rights,
}

impl Need {
    /// The rules of SDM 3A 4.6.1, with those of EPT and of the dirty flags.
    pub fn of(access: Access, regs: &ControlRegs) -> Need {
        let user = access.mode == Mode::User;
        let required = match access.kind {
            Kind::Read => Rights::EPT_R,
            Kind::Write => {
                let dirty = Rights::D.with(Rights::EPT_D);
                Rights::EPT_W.with(dirty).with(Rights::W.when(user || regs.cr0.WP()))
            }
            Kind::Fetch => Rights::EPT_X.with(Rights::X),
        };
        // SMEP keeps the supervisor from fetching from user pages, SMAP from touching their data.
        let kept_off = match (access.kind, access.mode) {
            (_, Mode::User) => false,
            (Kind::Fetch, _) => regs.cr4.SMEP(),
            (_, Mode::SupervisorAc) => false,
            (_, Mode::Supervisor) => regs.cr4.SMAP(),
        };
        Need { required: required.with(Rights::U.when(user)), forbidden: Rights::U.when(kept_off) }
    }

    /// Whether these rights suffice.
    #[inline]
    pub fn met_by(self, rights: Rights) -> bool {
        rights.has(self.required) && (rights & self.forbidden) == Rights::NONE
    }

    /// Whether these rights suffice, as far as the guest's permissions go.
    pub fn met_by_guest(self, rights: Rights) -> bool {
        self.met_by(rights.with(Rights::EPT).with(Rights::D))
    }

    /// What the access needs of EPT.
    pub fn of_ept(self) -> Rights {
        self.required & Rights::EPT
    }
}

/// The needs of every kind of access, made when a control register changes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Needs([Need; 9]);

impl Needs {
    /// The needs under these registers.
    pub fn new(regs: &ControlRegs) -> Needs {
        let mut needs = Needs::default();
        for (need, access) in needs.0.iter_mut().zip(Access::all()) {
            *need = Need::of(access, regs);
        }
        needs
    }

    /// What an access needs.
    #[inline]
    pub fn of(&self, access: Access) -> Need {
        self.0.get(access.index()).copied().unwrap_or_default()
    }
}
