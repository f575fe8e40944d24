//! A learning bridge (IEEE 802.1Q clause 8), with the reflective relay of edge virtual bridging
//! (802.1Q clause 8.6.1, from 802.1Qbg): the switch that a VEPA is plugged into.
//!
//! It forwards by destination address alone and knows no VLANs. Filtering is a bridge's reason to
//! drop: a frame never goes back out of the port that it came from, unless reflective relay is on
//! there.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::batch::Batch;
use crate::wake::Wake;
use crate::{Backend, Bounds, Clock, Counters, Reason};

type Mac = [u8; 6];

/// How a bridge is made.
#[derive(Clone, Copy, Debug)]
pub struct BridgeConfig {
    /// Ports, at least one.
    pub ports: usize,
    /// Whether a frame may go back out of the port that it came from; each port can change it.
    pub reflective_relay: bool,
    /// Stations that are known at most; others are flooded to.
    pub stations: usize,
    /// Nanoseconds after which a station of which nothing came is forgotten (802.1Q 8.8.3).
    pub aging: u64,
    /// What waits for each port at most.
    pub bounds: Bounds,
}

impl Default for BridgeConfig {
    fn default() -> Self {
        Self {
            ports: 2,
            reflective_relay: false,
            stations: 4096,
            aging: 300_000_000_000,
            bounds: Bounds::default(),
        }
    }
}

/// Makes bridges.
#[derive(Clone, Copy, Debug)]
pub struct Bridge;

impl Bridge {
    /// The ports of a new bridge, each to be plugged into something of its own.
    ///
    /// # Errors
    /// That of the system, when it gives no eventfds.
    pub fn ports(config: BridgeConfig, clock: Clock) -> io::Result<Vec<BridgePort>> {
        let new = |_| Out::new(config.reflective_relay);
        let outs = (0..config.ports).map(new).collect::<io::Result<Vec<_>>>()?;
        let fds = outs.iter().map(|out| out.wake.fd().try_clone_to_owned());
        let fds = fds.collect::<io::Result<Vec<_>>>()?;
        let table = Relay { config, clock, stations: HashMap::new(), sweep_at: 0, outs };
        let relay = Arc::new(Mutex::new(table));
        let port = |(number, fd)| BridgePort {
            relay: Arc::clone(&relay),
            number,
            fd,
            taken: Batch::default(),
        };
        Ok(fds.into_iter().enumerate().map(port).collect())
    }
}

/// The wire at a port of a bridge: what is sent goes into the bridge.
#[derive(Debug)]
pub struct BridgePort {
    relay: Arc<Mutex<Relay>>,
    number: usize,
    fd: OwnedFd,
    taken: Batch,
}

#[derive(Debug)]
struct Relay {
    config: BridgeConfig,
    clock: Clock,
    stations: HashMap<Mac, Station>,
    /// When a full table is next looked through for old stations: a flood of new ones must not have
    /// every frame look at all.
    sweep_at: u64,
    outs: Vec<Out>,
}

/// Where a station was heard, and when last.
#[derive(Clone, Copy, Debug)]
struct Station {
    port: usize,
    heard: u64,
}

/// A port, as the relay sees it.
#[derive(Debug)]
struct Out {
    queue: Batch,
    /// Frames that were taken out of `queue` and not given on yet.
    away: usize,
    wake: Wake,
    up: bool,
    reflective_relay: bool,
    counters: Counters,
}

impl Out {
    fn new(reflective_relay: bool) -> io::Result<Self> {
        let (queue, counters) = Default::default();
        Ok(Self { queue, away: 0, wake: Wake::new()?, up: true, reflective_relay, counters })
    }

    /// Queues a frame on its way out of the bridge.
    fn put(&mut self, frame: &[u8], bounds: Bounds) {
        let bytes = self.queue.bytes().len().saturating_add(frame.len());
        if !self.up {
            self.counters.drop(Reason::LinkDown);
        } else if self.queue.len() + self.away >= bounds.frames || bytes > bounds.bytes {
            self.counters.drop(Reason::Overflow);
        } else {
            self.queue.push(frame);
        }
    }
}

impl Relay {
    /// Takes a frame in at a port: learns, then forwards; `false` if it went nowhere.
    fn relay(&mut self, port: usize, frame: &[u8]) -> bool {
        let now = self.clock.now();
        let Some((dst, src)) = addresses(frame) else { return false };
        self.learn(src, port, now);
        let known = self.stations.get(&dst).filter(|station| self.fresh(station, now));
        let to = known.map(|station| station.port);
        let mut forwarded = false;
        for (number, out) in self.outs.iter_mut().enumerate() {
            let back = number == port && !out.reflective_relay;
            if !back && to.is_none_or(|to| to == number) {
                out.put(frame, self.config.bounds);
                forwarded = true;
            }
        }
        forwarded
    }

    fn fresh(&self, station: &Station, now: u64) -> bool {
        now.saturating_sub(station.heard) < self.config.aging
    }

    /// Remembers where a source is, and forgets the old ones when there is no room for it.
    fn learn(&mut self, src: Mac, port: usize, now: u64) {
        if is_group(&src) {
            return;
        }
        let station = Station { port, heard: now };
        if let Some(known) = self.stations.get_mut(&src) {
            *known = station;
            return;
        }
        if self.stations.len() >= self.config.stations && now >= self.sweep_at {
            let aging = self.config.aging;
            self.sweep_at = now.saturating_add(aging / 16);
            self.stations.retain(|_, known| now.saturating_sub(known.heard) < aging);
        }
        if self.stations.len() < self.config.stations {
            self.stations.insert(src, station);
        }
    }
}

impl BridgePort {
    fn lock(&self) -> MutexGuard<'_, Relay> {
        // Nothing panics while it is held; and whole frames would be left behind.
        self.relay.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T: Default>(&self, look: impl FnOnce(&mut Out) -> T) -> T {
        self.lock().outs.get_mut(self.number).map(look).unwrap_or_default()
    }

    /// Takes over what has come; `false` if that is nothing, and then the next flush wakes us.
    fn refill(&mut self) -> bool {
        let mut relay = self.relay.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(out) = relay.outs.get_mut(self.number) else { return false };
        out.wake.quiet();
        self.taken.append(&mut out.queue);
        out.away = self.taken.len();
        !self.taken.is_empty()
    }
}

impl Backend for BridgePort {
    fn kind(&self) -> &'static str {
        "bridge"
    }

    fn send(&mut self, frame: &[u8]) -> bool {
        let number = self.number;
        let mut relay = self.lock();
        let Some(out) = relay.outs.get_mut(number) else { return false };
        let before = out.counters;
        if !out.counters.take(frame, out.up, true) {
            return false;
        }
        if relay.relay(number, frame) {
            return true;
        }
        if let Some(out) = relay.outs.get_mut(number) {
            out.counters = before;
            out.counters.drop(Reason::Filtered);
        }
        false
    }

    fn flush(&mut self) {
        for out in &mut self.lock().outs {
            if !out.queue.is_empty() {
                out.wake.signal();
            }
        }
    }

    fn receive(&mut self, max: usize, each: &mut dyn FnMut(&[u8])) -> usize {
        let (mut given, mut counted) = (0, Counters::default());
        while given < max {
            let Some(frame) = self.taken.pop() else {
                if self.refill() {
                    continue;
                }
                break;
            };
            given += 1;
            counted.received(frame.len());
            each(frame);
        }
        let waits = self.taken.len();
        self.with(|out| {
            out.away = waits;
            out.counters.add_received(&counted);
        });
        given
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.fd.as_fd())
    }

    fn link(&self) -> bool {
        self.with(|out| out.up)
    }

    fn set_link(&mut self, up: bool) {
        let number = self.number;
        let mut relay = self.lock();
        let Some(out) = relay.outs.get_mut(number).filter(|out| out.up != up) else { return };
        out.up = up;
        out.wake.signal();
        if !up {
            // Its stations may come back somewhere else (802.1Q 8.8).
            relay.stations.retain(|_, station| station.port != number);
        }
    }

    fn counters(&self) -> Counters {
        self.with(|out| out.counters)
    }

    fn set_reflective_relay(&mut self, on: bool) -> bool {
        self.with(|out| out.reflective_relay = on);
        true
    }

    fn inspect(&self) -> String {
        let relay = self.lock();
        let (ports, stations) = (relay.outs.len(), relay.stations.len());
        let reflects = relay.outs.get(self.number).is_some_and(|out| out.reflective_relay);
        let relay = if reflects { "on" } else { "off" };
        format!("port {} of {ports}, {stations} stations, reflective relay {relay}", self.number)
    }
}

impl Drop for BridgePort {
    /// Nobody takes what would come out here any more.
    fn drop(&mut self) {
        self.set_link(false);
    }
}

fn addresses(frame: &[u8]) -> Option<(Mac, Mac)> {
    let (dst, rest) = frame.split_first_chunk()?;
    Some((*dst, *rest.first_chunk()?))
}

fn is_group(address: &Mac) -> bool {
    address.first().is_some_and(|first| first & 1 == 1)
}
