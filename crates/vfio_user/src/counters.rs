//! How often what happened, for whoever looks.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::wire::Command;

/// What an endpoint has counted since it was bound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Clients that were served.
    pub connections: u64,
    /// Clients that were turned away because one was being served.
    pub refused: u64,
    /// Commands received, by name in the specification.
    pub commands: Vec<(&'static str, u64)>,
    /// Commands with a number that the specification does not have.
    pub unknown_commands: u64,
    /// Commands that failed, whether or not a reply said so.
    pub errors: u64,
    /// Replies to nothing, among them those that came too late.
    pub stray_replies: u64,
    /// Connections that ended because the stream made no sense any more.
    pub lost_streams: u64,
    /// Connections that ended because the client left our messages unread.
    pub stalled: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counting {
    pub(crate) connections: AtomicU64,
    pub(crate) refused: AtomicU64,
    commands: [AtomicU64; Command::ALL.len()],
    unknown_commands: AtomicU64,
    pub(crate) errors: AtomicU64,
    pub(crate) stray_replies: AtomicU64,
    pub(crate) lost_streams: AtomicU64,
    pub(crate) stalled: AtomicU64,
}

impl Counting {
    pub(crate) fn command(&self, code: u16) {
        let index = usize::from(code).checked_sub(1);
        let counter = index.and_then(|i| self.commands.get(i)).unwrap_or(&self.unknown_commands);
        count(counter);
    }

    pub(crate) fn snapshot(&self) -> Counters {
        let commands = Command::ALL.iter().zip(&self.commands);
        Counters {
            connections: get(&self.connections),
            refused: get(&self.refused),
            commands: commands.map(|(command, n)| (command.name(), get(n))).collect(),
            unknown_commands: get(&self.unknown_commands),
            errors: get(&self.errors),
            stray_replies: get(&self.stray_replies),
            lost_streams: get(&self.lost_streams),
            stalled: get(&self.stalled),
        }
    }
}

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
