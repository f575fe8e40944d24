//! What a receiver makes of each frame: it builds the frame that should have come, and compares.

use std::collections::HashMap;

use crate::frame::{Claim, Flow, Mac, Partial, ack, claim, datagram, segment_with, swap};
use crate::order::{Order, Ranges, Verdict};
use crate::rx::RxFrame;

/// Flows that are followed; the numbers in frames are anybody's.
const FLOWS: usize = 1 << 16;

/// What a receiver has found, in frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Right in every byte, in whatever order.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
    /// In order of their flow.
    pub in_order: u64,
    /// Numbers that were passed over and have not come yet; of streams, the gaps.
    pub lost: u64,
    /// Came again.
    pub duplicated: u64,
    /// Came after a later one.
    pub reordered: u64,
    /// Claim to be traffic, and a byte is not what it should be.
    pub corrupt: u64,
    /// None of this traffic.
    pub foreign: u64,
    /// Right, but with another VLAN tag than expected, or with none.
    pub wrong_tag: u64,
    /// Right, but the device found a checksum wrong or reported an error.
    pub wrong_status: u64,
    /// Right, and not followed because there are too many flows.
    pub untracked: u64,
}

/// What a frame is that was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A datagram, right in every byte.
    Datagram {
        /// Whose, as its first sender knows it.
        flow: Flow,
        /// Its number.
        number: u64,
        /// An echo server sent it back.
        reply: bool,
    },
    /// A piece of a stream, right in every byte.
    Segment {
        /// Whose.
        flow: Flow,
        /// The highest position that has come.
        upto: u64,
        /// It has the push flag: the sender waits.
        push: bool,
    },
    /// An acknowledgement, right in every byte.
    Ack {
        /// Whose stream.
        flow: Flow,
        /// The sequence number behind what has come.
        sequence: u32,
    },
    /// It claims to be traffic and is not.
    Corrupt,
    /// Something else.
    Foreign,
}

#[derive(Clone, Debug)]
enum Track {
    Numbers(Box<Order>),
    Bytes(Ranges),
}

/// Looks at what one guest receives.
#[derive(Clone, Debug)]
pub struct Checker {
    mac: Mac,
    seed: u64,
    vlan: Option<u16>,
    flows: HashMap<Flow, Track>,
    expected: Vec<u8>,
    untagged: Vec<u8>,
    counts: Checked,
}

impl Checker {
    /// For the guest with this address; the traffic's `seed`, and the tag that frames have.
    pub fn new(mac: Mac, seed: u64, vlan: Option<u16>) -> Self {
        let (expected, untagged) = (vec![], vec![]);
        let counts = Checked::default();
        Self { mac, seed, vlan, flows: HashMap::new(), expected, untagged, counts }
    }

    /// What was found.
    pub fn counts(&self) -> Checked {
        let missing = |track: &Track| match track {
            Track::Numbers(order) => order.missing(),
            Track::Bytes(_) => 0,
        };
        let lost = self.flows.values().map(missing).sum::<u64>() + self.counts.lost;
        Checked { lost, ..self.counts }
    }

    /// For each flow: whose it is, the next number (or position), and what is missing below; in order.
    pub fn flows(&self) -> impl Iterator<Item = (Flow, u64, u64)> {
        let each = self.flows.iter().map(|(flow, track)| match track {
            Track::Numbers(order) => (*flow, order.next(), order.missing()),
            Track::Bytes(ranges) => (*flow, ranges.next(), ranges.missing()),
        });
        let mut each: Vec<_> = each.collect();
        each.sort_unstable_by_key(|(flow, ..)| (flow.src, flow.dst, flow.id, flow.v6, flow.seed));
        each.into_iter()
    }

    /// Looks at a frame.
    pub fn take(&mut self, bytes: &[u8], told: &RxFrame) -> Kind {
        let mut untagged = std::mem::take(&mut self.untagged);
        let tag = told.vlan.or_else(|| inline_tag(bytes));
        let frame = if told.vlan.is_none() && tag.is_some() {
            untagged.clear();
            untagged.extend_from_slice(bytes.get(..12).unwrap_or_default());
            untagged.extend_from_slice(bytes.get(16..).unwrap_or_default());
            &untagged
        } else {
            bytes
        };
        let kind = self.look(frame);
        match kind {
            Kind::Corrupt => self.counts.corrupt += 1,
            Kind::Foreign => self.counts.foreign += 1,
            _ => {
                self.counts.frames += 1;
                self.counts.bytes += bytes.len() as u64;
                self.counts.wrong_tag += u64::from(tag != self.vlan);
                self.counts.wrong_status += u64::from(told.error || told.checksum == Some(false));
            }
        }
        self.untagged = untagged;
        kind
    }

    fn look(&mut self, frame: &[u8]) -> Kind {
        let Some(claim) = claim(frame, self.seed) else { return Kind::Foreign };
        let expected = &mut self.expected;
        match claim {
            Claim::Datagram { flow, number, reply } => {
                datagram(expected, &flow, number, frame.len());
                if reply {
                    swap(expected);
                }
                let to = if reply { flow.src } else { flow.dst };
                if frame != expected.as_slice() || to != self.mac {
                    return Kind::Corrupt;
                }
                self.number(&flow, number);
                Kind::Datagram { flow, number, reply }
            }
            Claim::Segment { flow, sequence, ident, push, len } => {
                let known = match self.flows.get(&flow) {
                    Some(Track::Bytes(ranges)) => ranges.next(),
                    _ => 0,
                };
                let from = flow.offset(sequence, known);
                segment_with(expected, &flow, from, len, push, ident, Partial::default());
                if expected.len() < 60 {
                    expected.resize(60, 0);
                }
                if frame != expected.as_slice() || flow.dst != self.mac || len == 0 {
                    return Kind::Corrupt;
                }
                let upto = self.range(&flow, from, from.saturating_add(len as u64));
                Kind::Segment { flow, upto, push }
            }
            Claim::Ack { flow, sequence } => {
                // Of a position its low half is seen, and no more of it is in the frame.
                ack(expected, &flow, flow.offset(sequence, 1 << 33));
                if frame != expected.as_slice() || flow.src != self.mac {
                    return Kind::Corrupt;
                }
                self.counts.in_order += 1;
                Kind::Ack { flow, sequence }
            }
        }
    }

    fn number(&mut self, flow: &Flow, number: u64) {
        if let Some(Track::Numbers(order)) = self.track(flow, || Track::Numbers(Box::default())) {
            let verdict = order.take(number);
            self.count(verdict);
        }
    }

    fn range(&mut self, flow: &Flow, from: u64, end: u64) -> u64 {
        let Some(Track::Bytes(ranges)) = self.track(flow, || Track::Bytes(Ranges::default()))
        else {
            return end;
        };
        let (verdict, next) = (ranges.take(from, end), ranges.next());
        match verdict {
            Verdict::Gap(_) => self.counts.lost += 1,
            // A late piece may fill its gap in part only.
            Verdict::Late => self.counts.lost = self.counts.lost.saturating_sub(1),
            _ => {}
        }
        self.count(verdict);
        next
    }

    fn track(&mut self, flow: &Flow, new: impl FnOnce() -> Track) -> Option<&mut Track> {
        if !self.flows.contains_key(flow) && self.flows.len() >= FLOWS {
            self.counts.untracked += 1;
            return None;
        }
        Some(self.flows.entry(*flow).or_insert_with(new))
    }

    fn count(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::InOrder | Verdict::Gap(_) => self.counts.in_order += 1,
            Verdict::Late => self.counts.reordered += 1,
            Verdict::Again => self.counts.duplicated += 1,
        }
    }
}

/// The tag that a frame has in its bytes.
fn inline_tag(frame: &[u8]) -> Option<u16> {
    match *frame.get(12..16)? {
        [0x81, 0, a, b] => Some(u16::from_be_bytes([a, b])),
        _ => None,
    }
}
