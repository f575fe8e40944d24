//! Which of a VSI's queues a frame goes to: by flow director, by hash, or the first.

use siov_packet::{Parsed, rss};
use siov_switch::FlowTable;

use crate::vsi::Vsi;

/// A queue, and what its descriptor is to say about the choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Choice {
    /// The device's number of the queue; `None`: a filter drops the frame, or the VSI has no queue.
    pub queue: Option<u16>,
    pub hash: Option<u32>,
    pub mark: Option<u32>,
    /// A filter says to drop it.
    pub dropped: bool,
    /// The filter that matched, by its address and stamp, if it goes with the connection.
    pub evict: Option<(siov_switch::Addr, u32)>,
    /// What the filter counts.
    pub counted: Option<siov_switch::Program>,
}

/// Chooses.
pub(crate) fn select(vsi: &Vsi, flows: &FlowTable, frame: &[u8], parsed: &Parsed) -> Choice {
    let hash = match vsi.rss.table.len() {
        0 => None,
        _ => rss::hash(frame, parsed, &vsi.rss.config, &vsi.rss.key),
    };
    let mut choice = Choice { hash, ..Choice::default() };
    let filter = if vsi.flows { flows.find(vsi.id, frame, parsed) } else { None };
    if let Some(filter) = filter {
        choice.counted = Some(filter.program);
        choice.mark = filter.program.mark();
        choice.dropped = filter.program.drop;
        choice.evict = filter.evicts_on(frame, parsed).then_some((filter.addr, filter.stamp));
        if choice.dropped {
            return choice;
        }
        if let Some((first, log2)) = filter.program.queue() {
            // Within a group of queues the hash decides.
            let in_group = hash.unwrap_or(0) & ((1 << log2.min(7)) - 1);
            choice.queue = vsi.queues.queue(first.saturating_add(in_group as u16));
            return choice;
        }
    }
    let by_hash = hash.and_then(|hash| {
        let mask = vsi.rss.table.len().checked_sub(1)?;
        vsi.rss.table.get(hash as usize & mask).copied()
    });
    choice.queue = vsi.queues.queue(by_hash.unwrap_or(0));
    choice
}
