//! The NIC's embedded switch and flow director as plain tables: no I/O, no locks, cheap to look up in.
//!
//! A [`Switch`] holds rules as the admin queue adds them and answers where a frame goes.

mod forward;
mod hash;
mod recipe;
mod rule;
mod set;
mod switch;
mod types;

pub use rule::{
    Action, Class, Direction, ListId, Lookup, MAX_LISTS, MAX_PORTS, MAX_RULES, QueueTarget, Rule,
    RuleError, RuleId,
};
pub use set::{Targets, VsiSet};
pub use switch::Switch;
pub use types::{DropReason, Header, Override, SwitchVsi, VSIS, VsiId};
