//! What a guest sends of its own accord.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::content::Random;
use crate::frame::{Flow, Mac, Partial, Transport, datagram_with, segment_with};
use crate::latency::Latency;
use crate::tx::{Ask, L4, Tag, Tso};

const SECOND: u128 = 1_000_000_000;
/// Segments that a receiver is left alone with before it is asked to acknowledge.
const PUSH: u64 = 4;
/// Frames that may be caught up with when the sender was held up.
const CATCH_UP: u64 = 64;

/// The kinds of traffic.
#[derive(Clone, Debug)]
pub enum Traffic {
    /// Datagrams to a server that takes them.
    Generate,
    /// Datagrams to an echo server.
    Request {
        /// How many may be unanswered.
        depth: u32,
        /// Nanoseconds after which one counts as lost.
        timeout: u64,
    },
    /// Streams of bytes, which the receiver acknowledges; nothing is sent again.
    Stream {
        /// Bytes of a flow that may be unacknowledged.
        window: u32,
        /// Bytes of a frame's payload; with segmentation, of what is cut up.
        chunk: u32,
        /// Bytes of a segment's payload, when the device cuts.
        mss: Option<u16>,
        /// Nanoseconds after which what is unacknowledged is given up.
        timeout: u64,
    },
    /// Frames as they are, in order.
    Replay {
        /// The frames.
        frames: Arc<[Vec<u8>]>,
    },
}

/// How much of it, and how.
#[derive(Clone, Debug)]
pub struct Load {
    /// What is sent.
    pub traffic: Traffic,
    /// To whom.
    pub to: Mac,
    /// Flows, 1 to 60,000.
    pub flows: u32,
    /// Bytes of datagrams, of which one is drawn each time; short ones are made as long as headers need.
    pub sizes: Vec<u16>,
    /// The end: frames, or bytes of each stream; `None` for no end.
    pub count: Option<u64>,
    /// Frames a second; `None` for as fast as it goes.
    pub rate: Option<u64>,
    /// Frames in a turn, at most.
    pub burst: u32,
    /// IPv6 instead of IPv4.
    pub v6: bool,
    /// The device makes the transport's checksum; it does so where it cuts segments, anyway.
    pub offload: bool,
    /// The device makes the IPv4 header's checksum too.
    pub ip_checksum: bool,
    /// The device inserts a tag.
    pub tag: Option<Tag>,
    /// Determines the content; the receiver has to know it.
    pub seed: u64,
}

/// What a sender has done.
#[derive(Clone, Debug, Default)]
pub struct SenderResults {
    /// Frames put into a queue; with segmentation, before it.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Requests answered; of streams, bytes acknowledged.
    pub answered: u64,
    /// Requests unanswered for too long; of streams, times that what was unacknowledged was given up.
    pub timeouts: u64,
    /// Answers that nothing waits for.
    pub unasked: u64,
    /// How long answers took.
    pub latency: Latency,
}

/// A stream's positions.
#[derive(Clone, Copy, Debug, Default)]
struct Stream {
    sent: u64,
    acknowledged: u64,
    since: u64,
    segments: u64,
}

/// Flows that ports tell apart.
pub(crate) const FLOWS: u32 = 60_000;

/// The frame that is sent next.
#[derive(Clone, Copy, Debug, Default)]
struct Next {
    ask: Ask,
    flow: u32,
    bytes: u64,
}

/// One load at work.
#[derive(Clone, Debug)]
pub struct Sender {
    load: Load,
    from: Mac,
    /// Number of the first flow among the guest's.
    first: u32,
    random: Random,
    began: Option<u64>,
    numbers: Vec<u64>,
    streams: Vec<Stream>,
    turn: usize,
    asked: VecDeque<(u32, u64, u64)>,
    frame: Vec<u8>,
    next: Option<Next>,
    results: SenderResults,
}

impl Sender {
    /// For a guest with this address, whose flows are numbered from `first` on: a receiver that has seen
    /// those of other loads must not take these for them.
    pub fn new(from: Mac, load: Load, first: u32) -> Self {
        let flows = load.flows.clamp(1, FLOWS) as usize;
        let random = Random(load.seed ^ u64::from(load.flows));
        Self {
            random,
            load,
            from,
            first,
            began: None,
            numbers: vec![0; flows],
            streams: vec![Stream::default(); flows],
            turn: 0,
            asked: VecDeque::new(),
            frame: vec![],
            next: None,
            results: SenderResults::default(),
        }
    }

    /// What it has done so far.
    pub fn results(&self) -> &SenderResults {
        &self.results
    }

    /// Whether everything was sent, and nothing is waited for any more.
    pub fn is_done(&self) -> bool {
        let over = match self.load.traffic {
            Traffic::Stream { .. } => {
                let end = self.load.count.unwrap_or(u64::MAX);
                self.streams.iter().all(|one| one.sent >= end && one.acknowledged >= one.sent)
            }
            _ => self.load.count.is_some_and(|count| self.results.frames >= count),
        };
        over && self.next.is_none() && self.asked.is_empty()
    }

    /// Frames in a turn, at most.
    pub(crate) fn burst(&self) -> u32 {
        self.load.burst.max(1)
    }

    /// How many numbers of each flow were sent, for [`Generate`](Traffic::Generate) and requests.
    pub fn numbers(&self) -> &[u64] {
        &self.numbers
    }

    /// The frame that is to be sent now, what is asked for it, and its flow; it stays so until [`sent`](Self::sent).
    pub fn ready(&mut self, now: u64) -> Option<(&[u8], Ask, u32)> {
        if self.next.is_none() {
            self.expire(now);
            self.next = self.prepare(now);
        }
        self.next.map(|next| (self.frame.as_slice(), next.ask, next.flow))
    }

    /// The frame is in a queue.
    pub fn sent(&mut self, now: u64) {
        let Some(next) = self.next.take() else { return };
        self.results.frames += 1;
        self.results.bytes += self.frame.len() as u64;
        let flow = next.flow as usize;
        match self.load.traffic {
            Traffic::Stream { .. } => {
                if let Some(stream) = self.streams.get_mut(flow) {
                    if stream.sent == stream.acknowledged {
                        stream.since = now;
                    }
                    stream.sent += next.bytes;
                    stream.segments += 1;
                }
            }
            Traffic::Replay { .. } => {}
            Traffic::Generate | Traffic::Request { .. } => {
                let Some(number) = self.numbers.get_mut(flow) else { return };
                if matches!(self.load.traffic, Traffic::Request { .. }) {
                    self.asked.push_back((next.flow, *number, now));
                }
                *number += 1;
            }
        }
    }

    /// A request was answered. Whether it was one of this sender's.
    pub fn answer(&mut self, flow: &Flow, number: u64, now: u64) -> bool {
        let Some(mine) = self.mine(flow) else { return false };
        if !matches!(self.load.traffic, Traffic::Request { .. }) {
            return false;
        }
        let at = self.asked.iter().position(|(id, asked, _)| (*id, *asked) == (mine, number));
        match at.and_then(|at| self.asked.remove(at)) {
            Some((_, _, since)) => {
                self.results.answered += 1;
                self.results.latency.add(now.saturating_sub(since));
            }
            None => self.results.unasked += 1,
        }
        true
    }

    /// A stream was acknowledged up to a sequence number. Whether it is one of this sender's.
    pub fn acknowledge(&mut self, flow: &Flow, sequence: u32, now: u64) -> bool {
        let Some(mine) = self.mine(flow) else { return false };
        if !matches!(self.load.traffic, Traffic::Stream { .. }) {
            return false;
        }
        let Some(stream) = self.streams.get_mut(mine as usize) else { return false };
        let upto = flow.offset(sequence, stream.acknowledged);
        if upto > stream.acknowledged && upto <= stream.sent {
            self.results.answered += upto - stream.acknowledged;
            self.results.latency.add(now.saturating_sub(stream.since));
            (stream.acknowledged, stream.since) = (upto, now);
        }
        true
    }

    /// When there may be something to do next, if only time has to pass.
    pub fn wakes_at(&self, now: u64) -> Option<u64> {
        let rate = self.next_at().filter(|at| *at > now);
        let timeout = match self.load.traffic {
            Traffic::Request { timeout, .. } => {
                self.asked.front().map(|(_, _, since)| since.saturating_add(timeout))
            }
            Traffic::Stream { timeout, .. } => {
                let waiting = self.streams.iter().filter(|one| one.sent > one.acknowledged);
                waiting.map(|one| one.since.saturating_add(timeout)).min()
            }
            _ => None,
        };
        [rate, timeout].into_iter().flatten().min()
    }

    /// Which of this sender's flows it is.
    fn mine(&self, flow: &Flow) -> Option<u32> {
        let id = flow.id.checked_sub(self.first)?;
        ((id as usize) < self.numbers.len() && *flow == self.flow(id)).then_some(id)
    }

    /// A flow by its number among this sender's.
    fn flow(&self, id: u32) -> Flow {
        let transport = match self.load.traffic {
            Traffic::Stream { .. } => Transport::Tcp,
            Traffic::Request { .. } => Transport::Udp { echo: true },
            _ => Transport::Udp { echo: false },
        };
        let Load { to, v6, seed, .. } = self.load;
        Flow { src: self.from, dst: to, id: self.first + id, v6, transport, seed }
    }

    /// When the rate allows the next frame; `None` when it always does, or when nothing was sent yet.
    fn next_at(&self) -> Option<u64> {
        let (rate, began) = (self.load.rate?.max(1), self.began?);
        let after = u128::from(self.results.frames) * SECOND / u128::from(rate);
        Some(began.saturating_add(u64::try_from(after).unwrap_or(u64::MAX)))
    }

    /// Gives up what was unanswered for too long.
    fn expire(&mut self, now: u64) {
        match self.load.traffic {
            Traffic::Request { timeout, .. } => {
                while let Some((_, _, since)) = self.asked.front()
                    && since.saturating_add(timeout) <= now
                {
                    self.asked.pop_front();
                    self.results.timeouts += 1;
                }
            }
            Traffic::Stream { timeout, .. } => {
                for stream in &mut self.streams {
                    let waits = stream.sent > stream.acknowledged;
                    if waits && stream.since.saturating_add(timeout) <= now {
                        stream.acknowledged = stream.sent;
                        self.results.timeouts += 1;
                    }
                }
            }
            _ => {}
        }
    }

    fn prepare(&mut self, now: u64) -> Option<Next> {
        let began = *self.began.get_or_insert(now);
        let streams = matches!(self.load.traffic, Traffic::Stream { .. });
        let over = self.load.count.is_some_and(|count| self.results.frames >= count);
        if over && !streams || self.next_at().is_some_and(|at| at > now) {
            return None;
        }
        if let (Some(rate), Some(due)) = (self.load.rate, self.next_at()) {
            // Who was held up does not send everything at once.
            let late = u128::from(now.saturating_sub(due)) * u128::from(rate) / SECOND;
            let skip = u64::try_from(late).unwrap_or(u64::MAX).saturating_sub(CATCH_UP);
            let ns = u64::try_from(u128::from(skip) * SECOND / u128::from(rate.max(1)));
            self.began = Some(began.saturating_add(ns.unwrap_or(0)));
        }
        match self.load.traffic.clone() {
            Traffic::Generate => Some(self.datagram()),
            Traffic::Request { depth, .. } => {
                (self.asked.len() < depth as usize).then(|| self.datagram())
            }
            Traffic::Replay { frames } => {
                let at = self.results.frames as usize;
                let frame = frames.get(at % frames.len().max(1))?;
                self.frame.clone_from(frame);
                let ask = Ask { tag: self.load.tag, ..Ask::default() };
                Some(Next { ask, flow: 0, bytes: 0 })
            }
            Traffic::Stream { window, chunk, mss, .. } => self.segment(window, chunk, mss),
        }
    }

    fn datagram(&mut self) -> Next {
        let id = self.random.below(self.numbers.len() as u64) as u32;
        let size = self.random.below(self.load.sizes.len().max(1) as u64) as usize;
        let size = self.load.sizes.get(size).copied().unwrap_or(0);
        let number = self.numbers.get(id as usize).copied().unwrap_or(0);
        let flow = self.flow(id);
        let left = self.partial(false);
        datagram_with(&mut self.frame, &flow, number, size.into(), left);
        Next { ask: self.ask(&flow, None), flow: id, bytes: 0 }
    }

    fn segment(&mut self, window: u32, chunk: u32, mss: Option<u16>) -> Option<Next> {
        let end = self.load.count.unwrap_or(u64::MAX);
        let most = self.streams.len();
        for n in 0..most {
            let id = (self.turn + n) % most;
            let Some(stream) = self.streams.get(id).copied() else { continue };
            let open = (stream.acknowledged + u64::from(window)).min(end);
            let len = open.saturating_sub(stream.sent).min(chunk.into());
            // A window that is nearly closed is waited for, so that segments are whole.
            if len == 0
                || (len < chunk.into()
                    && stream.sent + len < end
                    && stream.sent > stream.acknowledged)
            {
                continue;
            }
            let upto = stream.sent + len;
            let waits = upto + u64::from(chunk) > open;
            let push = mss.is_some() || waits || stream.segments % PUSH == PUSH - 1;
            let flow = self.flow(id as u32);
            let left = self.partial(mss.is_some());
            let (at, len) = (stream.sent, len as usize);
            segment_with(&mut self.frame, &flow, at, len, push, at as u16, left);
            self.turn = (id + 1) % most;
            let tso = mss.map(|mss| Tso { mss, headers: flow.headers() as u16 });
            let ask = self.ask(&flow, tso);
            return Some(Next { ask, flow: id as u32, bytes: len as u64 });
        }
        None
    }

    fn partial(&self, tso: bool) -> Partial {
        Partial { ip: self.load.ip_checksum || tso, l4: self.load.offload || tso, lengths: tso }
    }

    fn ask(&self, flow: &Flow, tso: Option<Tso>) -> Ask {
        let left = self.partial(tso.is_some());
        let l4 = if flow.transport == Transport::Tcp { L4::Tcp } else { L4::Udp };
        let any = left.ip || left.l4;
        Ask {
            ip: if any { flow.ip_len() as u8 } else { 0 },
            ip_checksum: left.ip,
            l4: left.l4.then_some(l4),
            tso,
            tag: self.load.tag,
        }
    }
}
