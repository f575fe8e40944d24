//! What may be done to memory.

use std::fmt;
use std::ops::BitOr;

/// A set of permissions; `Perm::READ | Perm::WRITE` is both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Perm(u8);

impl Perm {
    /// Nothing.
    pub const NONE: Perm = Perm(0);
    /// Reading.
    pub const READ: Perm = Perm(1);
    /// Writing.
    pub const WRITE: Perm = Perm(2);
    /// Both.
    pub const READ_WRITE: Perm = Perm(3);

    /// Whether every permission in `other` is in this set.
    pub const fn allows(self, other: Perm) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether the set is empty.
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }
}

impl BitOr for Perm {
    type Output = Perm;

    fn bitor(self, other: Perm) -> Perm {
        Perm(self.0 | other.0)
    }
}

impl fmt::Display for Perm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.allows(Perm::READ) { "r" } else { "-" })?;
        f.write_str(if self.allows(Perm::WRITE) { "w" } else { "-" })
    }
}
