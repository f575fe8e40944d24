//! One guest: its rings, what it sends, and what it makes of what it receives.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::check::{Checked, Checker, Kind};
use crate::cpu::{Cpu, Doorbell, Exit, Vcpu};
use crate::frame::{Flow, Mac, ack, swap};
use crate::order::Verdict;
use crate::replay::ReplayCheck;
use crate::rings::{RingCounters, Rings};
use crate::sender::{FLOWS, Load, Sender, SenderResults};
use crate::tx::{Ask, Tag};

/// Answers that may wait for room in a queue.
const ANSWERS: usize = 4096;
/// Loads of a guest.
const SENDERS: usize = 64;

/// A guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuestConfig {
    /// Its Ethernet address.
    pub mac: Mac,
    /// Where guest-physical address 0 is in its kernel's virtual addresses.
    pub direct_map: u64,
    /// The seed of the traffic that it receives.
    pub seed: u64,
    /// It sends datagrams to the echo port back.
    pub echo: bool,
    /// The VLAN tag (TCI) that frames for it have, taken out by the device or not.
    pub vlan: Option<u16>,
    /// The tag that its answers get.
    pub tag: Option<Tag>,
}

/// What a guest has done and found.
#[derive(Clone, Debug)]
pub struct GuestResults {
    /// What it received.
    pub checked: Checked,
    /// What it did at its queues.
    pub rings: RingCounters,
    /// Each load that it has.
    pub senders: Vec<SenderResults>,
    /// Each load: whether everything was sent and answered.
    pub done: Vec<bool>,
    /// Answers that had no room.
    pub answers_dropped: u64,
    /// Frames put into queues and not reported as done yet.
    pub under_way: usize,
    /// VM exits by which the loop stopped it.
    pub exits: u64,
}

/// What came in, and what is to be said to it.
struct Ear {
    checker: Checker,
    replay: Option<ReplayCheck>,
    replayed: Checked,
    senders: Vec<Sender>,
    answers: VecDeque<(u32, Vec<u8>)>,
    dropped: u64,
    echo: bool,
    spare: Vec<Vec<u8>>,
}

/// What a guest has done, in sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Frames of its loads.
    pub tx_frames: u64,
    /// Their bytes.
    pub tx_bytes: u64,
    /// Requests answered, and bytes of streams acknowledged.
    pub answered: u64,
    /// Frames received that are right in every byte.
    pub rx_frames: u64,
    /// Their bytes.
    pub rx_bytes: u64,
    /// Frames received that are not as they should be.
    pub wrong: u64,
    /// Interrupts of queue vectors.
    pub interrupts: u64,
    /// Polls, of a pair each.
    pub polls: u64,
    /// Times that a queue had no room for a frame.
    pub tx_full: u64,
}

fn wrong(of: &Checked) -> u64 {
    of.duplicated + of.reordered + of.corrupt + of.wrong_tag + of.wrong_status
}

/// A guest with its driver at work.
pub struct Guest {
    pub(crate) vcpu: Arc<dyn Vcpu>,
    pub(crate) config: GuestConfig,
    pub(crate) rings: Rings,
    ear: Ear,
    pub(crate) exits: u64,
    /// The number that its next flow gets.
    flows: u32,
}

impl Guest {
    /// A guest without queues.
    pub fn new(vcpu: Arc<dyn Vcpu>, config: GuestConfig) -> Self {
        let ear = Ear {
            checker: Checker::new(config.mac, config.seed, config.vlan),
            replay: None,
            replayed: Checked::default(),
            senders: vec![],
            answers: VecDeque::new(),
            dropped: 0,
            echo: config.echo,
            spare: vec![],
        };
        Self { vcpu, config, rings: Rings::default(), ear, exits: 0, flows: 0 }
    }

    /// Gives it something to send; its number. `None` when it has too many.
    pub fn add_load(&mut self, load: Load) -> Option<usize> {
        if self.ear.senders.len() == SENDERS {
            return None;
        }
        let count = load.flows.clamp(1, FLOWS);
        // When numbers run out, the oldest are used again: these loads are over.
        let first = if self.flows + count > FLOWS { 0 } else { self.flows };
        self.flows = first + count;
        self.ear.senders.push(Sender::new(self.config.mac, load, first));
        Some(self.ear.senders.len() - 1)
    }

    /// Takes away everything that it was to send.
    pub fn clear_loads(&mut self) {
        self.ear.senders.clear();
    }

    /// Has it compare what it receives, and is none of our own traffic, with these frames.
    pub fn expect(&mut self, frames: Arc<[Vec<u8>]>) {
        self.ear.replay = Some(ReplayCheck::new(frames));
    }

    /// What it has done and found.
    pub fn results(&self) -> GuestResults {
        let mut checked = self.ear.checker.counts();
        if let Some(replay) = &self.ear.replay {
            let more = self.ear.replayed;
            checked.foreign -= more.frames + more.corrupt;
            checked.frames += more.frames;
            checked.bytes += more.bytes;
            checked.in_order += more.in_order;
            checked.reordered += more.reordered;
            checked.duplicated += more.duplicated;
            checked.corrupt += more.corrupt;
            checked.lost += replay.progress().1;
        }
        GuestResults {
            checked,
            rings: self.rings.counters(),
            senders: self.ear.senders.iter().map(|one| one.results().clone()).collect(),
            done: self.ear.senders.iter().map(Sender::is_done).collect(),
            answers_dropped: self.ear.dropped,
            under_way: self.rings.under_way(),
            exits: self.exits,
        }
    }

    /// What it has done in sums, for who looks often.
    pub fn totals(&self) -> Totals {
        let (checked, rings) = (self.ear.checker.counts(), self.rings.counters());
        let mut totals = Totals {
            rx_frames: checked.frames + self.ear.replayed.frames,
            rx_bytes: checked.bytes + self.ear.replayed.bytes,
            wrong: [checked, self.ear.replayed].iter().map(wrong).sum(),
            interrupts: rings.interrupts,
            polls: rings.polls,
            tx_full: rings.tx_full,
            ..Totals::default()
        };
        for sender in &self.ear.senders {
            let results = sender.results();
            totals.tx_frames += results.frames;
            totals.tx_bytes += results.bytes;
            totals.answered += results.answered;
        }
        totals
    }

    /// For each flow that it receives: whose it is, the next number (or position), and what is missing below.
    pub fn flows(&self) -> Vec<(Flow, u64, u64)> {
        self.ear.checker.flows().collect()
    }

    /// Whether it has something to do now.
    pub fn wants(&mut self, now: u64) -> bool {
        self.rings.is_busy() || self.can_answer() || self.can_send(now)
    }

    fn can_answer(&self) -> bool {
        let first = self.ear.answers.front();
        first.is_some_and(|(flow, frame)| self.rings.has_room(*flow, frame.len(), &self.ask()))
    }

    fn can_send(&mut self, now: u64) -> bool {
        let rings = &self.rings;
        self.ear.senders.iter_mut().any(|sender| {
            let next = sender.ready(now);
            next.is_some_and(|(frame, ask, flow)| rings.has_room(flow, frame.len(), &ask))
        })
    }

    /// When there may be something to do next, if only time has to pass.
    pub fn wakes_at(&self, now: u64) -> Option<u64> {
        self.ear.senders.iter().filter_map(|sender| sender.wakes_at(now)).min()
    }

    /// The first register to write is written, by somebody else.
    pub fn bell_done(&mut self) {
        if !self.rings.bells.is_empty() {
            self.rings.bells.remove(0);
            self.rings.counters.doorbells += 1;
        }
    }

    pub(crate) fn first_bell(&self) -> Option<Doorbell> {
        self.rings.bells.first().copied()
    }

    /// One turn at the queues: what came in, answers, and what there is to send.
    pub fn turn(&mut self, cpu: &mut Cpu<'_, '_>, now: u64) -> Result<(), Exit> {
        let ask = self.ask();
        let ear = &mut self.ear;
        self.rings.poll(cpu, |_, frame, told| {
            let kind = ear.checker.take(frame, told);
            ear.hear(kind, frame, now);
        })?;
        while let Some((flow, frame)) = ear.answers.front() {
            if !self.rings.send(cpu, *flow, frame, &ask)? {
                break;
            }
            if let Some((_, frame)) = ear.answers.pop_front() {
                ear.spare.push(frame);
            }
        }
        for sender in &mut ear.senders {
            for _ in 0..sender.burst() {
                let Some((frame, ask, flow)) = sender.ready(now) else { break };
                if !self.rings.send(cpu, flow, frame, &ask)? {
                    break;
                }
                sender.sent(now);
            }
        }
        self.rings.tell();
        Ok(())
    }

    fn ask(&self) -> Ask {
        Ask { tag: self.config.tag, ..Ask::default() }
    }
}

impl Ear {
    fn hear(&mut self, kind: Kind, frame: &[u8], now: u64) {
        match kind {
            Kind::Datagram { flow, number, reply: true } => {
                let _ = self.senders.iter_mut().any(|one| one.answer(&flow, number, now));
            }
            Kind::Datagram { flow, .. } => {
                if self.echo && is_echo(&flow) {
                    self.answer(flow.id, |to| {
                        to.extend_from_slice(frame);
                        swap(to);
                    });
                }
            }
            Kind::Segment { flow, upto, push } => {
                if push {
                    self.answer(flow.id, |to| ack(to, &flow, upto));
                }
            }
            Kind::Ack { flow, sequence } => {
                let _ = self.senders.iter_mut().any(|one| one.acknowledge(&flow, sequence, now));
            }
            Kind::Corrupt => {}
            Kind::Foreign => self.compare(frame),
        }
    }

    fn compare(&mut self, frame: &[u8]) {
        let Some(replay) = &mut self.replay else { return };
        let counts = &mut self.replayed;
        let Some(verdict) = replay.take(frame) else {
            counts.corrupt += 1;
            return;
        };
        counts.frames += 1;
        counts.bytes += frame.len() as u64;
        match verdict {
            Verdict::InOrder | Verdict::Gap(_) => counts.in_order += 1,
            Verdict::Late => counts.reordered += 1,
            Verdict::Again => counts.duplicated += 1,
        }
    }

    fn answer(&mut self, flow: u32, make: impl FnOnce(&mut Vec<u8>)) {
        if self.answers.len() >= ANSWERS {
            self.dropped += 1;
            return;
        }
        let mut frame = self.spare.pop().unwrap_or_default();
        frame.clear();
        make(&mut frame);
        self.answers.push_back((flow, frame));
    }
}

fn is_echo(flow: &Flow) -> bool {
    flow.transport == crate::frame::Transport::Udp { echo: true }
}
