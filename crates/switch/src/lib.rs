//! The NIC's embedded switch and flow director as plain tables: no I/O, no locks, cheap to look up in.
//!
//! A [`Switch`] holds rules as the admin queue adds them and answers where a frame goes. A [`FlowTable`] holds the
//! filters that program descriptors make and answers what a VSI does with a packet. Both look up with `&self`; a
//! `Clone` is a table of its own.

mod flow;
mod flow_counters;
mod forward;
mod hash;
mod profile;
mod program;
mod recipe;
mod rule;
mod set;
mod switch;
mod types;

pub use flow::{Filter, FlowTable, InSpace, MAX_FLOWS, MAX_PROFILES, Space};
pub use flow_counters::FlowCounters;
pub use profile::{KEY_MAX, Profile, Ptypes};
pub use program::{Addr, CompReport, FdSpace, FlowError, Pcmd, Program};
pub use rule::{
    Action, Class, Direction, ListId, Lookup, MAX_LISTS, MAX_PORTS, MAX_RULES, QueueTarget, Rule,
    RuleError, RuleId,
};
pub use set::{Targets, VsiSet};
pub use switch::Switch;
pub use types::{DropReason, Header, Override, SwitchVsi, VSIS, VsiId};
