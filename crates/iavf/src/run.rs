//! Many guests on one thread: polled while there is work, asleep until an interrupt comes.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use rustix::io::{Errno, read, write};
use siov_mem::HostMemory;
use siov_port::Clock;
use thiserror::Error;

use crate::cpu::{Cpu, Exit, Mmio};
use crate::guest::Guest;
use crate::rings::{PairConfig, RingError};

/// What wakes the loop itself.
const WAKE: u64 = u64::MAX;
/// How long it sleeps without looking at the time.
const NAP: Duration = Duration::from_millis(100);
/// Events of eventfds taken at a time.
const EVENTS: usize = 512;

/// What can't be done to a loop.
#[derive(Debug, Error)]
pub enum LoopError {
    /// No such guest.
    #[error("there is no guest {0} in this loop")]
    NoGuest(u32),
    /// A pair of queues that can't be.
    #[error("{0}")]
    Ring(#[from] RingError),
    /// The system.
    #[error("{0}")]
    System(#[from] Errno),
    /// Too many loads.
    #[error("guest {0} has too many loads; clear them first")]
    Loads(u32),
}

/// A guest that stopped, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parked {
    /// The guest.
    pub guest: u32,
    /// Why.
    pub exit: Exit,
}

/// What a turn was like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// Some guest had something to do.
    pub worked: bool,
    /// Guests that stand still until they are resumed, those of earlier turns too.
    pub parked: Vec<Parked>,
}

struct Seat {
    guest: Guest,
    /// Eventfds of the pairs' vectors, by pair.
    vectors: Vec<Arc<OwnedFd>>,
    exit: Option<Exit>,
}

#[derive(Default)]
struct State {
    seats: BTreeMap<u32, Seat>,
    next: u32,
}

/// The guests of a machine, driven together.
pub struct GuestLoop {
    memory: Arc<HostMemory>,
    mmio: Arc<dyn Mmio>,
    clock: Clock,
    epoll: OwnedFd,
    wake: OwnedFd,
    stop: AtomicBool,
    /// Others that want the state; the loop lets them.
    waiting: AtomicUsize,
    state: Mutex<State>,
}

impl GuestLoop {
    /// A loop without guests.
    pub fn new(
        memory: Arc<HostMemory>,
        mmio: Arc<dyn Mmio>,
        clock: Clock,
    ) -> Result<Self, LoopError> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        epoll::add(&epoll, &wake, EventData::new_u64(WAKE), EventFlags::IN)?;
        Ok(Self {
            memory,
            mmio,
            clock,
            epoll,
            wake,
            stop: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
            state: Mutex::default(),
        })
    }

    /// Takes a guest in; its number.
    pub fn add(&self, guest: Guest) -> u32 {
        self.visit(|state| {
            let number = state.next;
            state.next = state.next.wrapping_add(1);
            state.seats.insert(number, Seat { guest, vectors: vec![], exit: None });
            number
        })
    }

    /// Takes a guest out; nothing touches its memory after that. Its last results stay with it.
    pub fn remove(&self, guest: u32) -> Result<Guest, LoopError> {
        self.visit(|state| {
            let seat = state.seats.remove(&guest).ok_or(LoopError::NoGuest(guest))?;
            for fd in &seat.vectors {
                epoll::delete(&self.epoll, fd)?;
            }
            Ok(seat.guest)
        })
    }

    /// Gives a guest a pair of queues whose vector signals an eventfd; the pair's number.
    pub fn add_pair(
        &self,
        guest: u32,
        pair: &PairConfig,
        fd: Arc<OwnedFd>,
    ) -> Result<usize, LoopError> {
        self.visit(|state| {
            let seat = state.seats.get_mut(&guest).ok_or(LoopError::NoGuest(guest))?;
            rustix::io::ioctl_fionbio(&fd, true)?;
            let number = seat.guest.rings.add(pair)?;
            let data = EventData::new_u64(u64::from(guest) << 16 | number as u64);
            epoll::add(&self.epoll, &fd, data, EventFlags::IN)?;
            seat.vectors.push(fd);
            Ok(number)
        })
    }

    /// Takes a guest's queues away: nothing touches their memory and registers after that.
    pub fn clear_pairs(&self, guest: u32) -> Result<(), LoopError> {
        self.visit(|state| {
            let seat = state.seats.get_mut(&guest).ok_or(LoopError::NoGuest(guest))?;
            for fd in seat.vectors.drain(..) {
                epoll::delete(&self.epoll, fd)?;
            }
            seat.guest.rings.clear();
            seat.exit = None;
            Ok(())
        })
    }

    /// Does something with a guest.
    pub fn with<T>(&self, guest: u32, work: impl FnOnce(&mut Guest) -> T) -> Result<T, LoopError> {
        self.visit(|state| {
            let seat = state.seats.get_mut(&guest).ok_or(LoopError::NoGuest(guest))?;
            Ok(work(&mut seat.guest))
        })
    }

    /// Does something with every guest, in one visit.
    pub fn each<T>(&self, mut work: impl FnMut(&Guest) -> T) -> Vec<(u32, T)> {
        self.visit(|state| state.seats.iter().map(|(n, seat)| (*n, work(&seat.guest))).collect())
    }

    /// A guest goes on after an exit; `done` when the write to a register that stopped it was done for it.
    pub fn resume(&self, guest: u32, done: bool) -> Result<(), LoopError> {
        self.visit(|state| {
            let seat = state.seats.get_mut(&guest).ok_or(LoopError::NoGuest(guest))?;
            let exit = seat.exit.take();
            if done && matches!(exit, Some(Exit::Fault { value: Some(_), .. })) {
                seat.guest.bell_done();
            }
            Ok(())
        })
    }

    /// One turn of every guest that has something to do, without waiting.
    pub fn step(&self) -> Result<Turn, LoopError> {
        let mut state = self.lock();
        self.interrupts(&mut state, Duration::ZERO)?;
        Ok(self.turn(&mut state))
    }

    /// When a guest has something to do next, if only time has to pass.
    pub fn wakes_at(&self) -> Option<u64> {
        let state = self.lock();
        let now = self.clock.now();
        let awake = state.seats.values().filter(|seat| seat.exit.is_none());
        awake.filter_map(|seat| seat.guest.wakes_at(now)).filter(|at| *at > now).min()
    }

    /// Turns until `time` has passed, [`stop`](Self::stop) is called or a guest stops; those that stand still.
    pub fn run(&self, time: Duration) -> Result<Vec<Parked>, LoopError> {
        let end = Instant::now() + time;
        self.stop.store(false, Ordering::Release);
        loop {
            let turn = self.step()?;
            if !turn.parked.is_empty() || self.stop.load(Ordering::Acquire) {
                return Ok(turn.parked);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(vec![]);
            }
            if !turn.worked {
                self.sleep(left)?;
            }
            while self.waiting.load(Ordering::Acquire) > 0 {
                std::thread::yield_now();
            }
        }
    }

    /// Ends a run, from another thread.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.wake();
    }

    fn wake(&self) {
        // It is full only when it says so already.
        let _ = write(&self.wake, &1u64.to_ne_bytes());
    }

    fn turn(&self, state: &mut State) -> Turn {
        let now = self.clock.now();
        let mut turn = Turn::default();
        for (number, seat) in &mut state.seats {
            if seat.exit.is_none() && seat.guest.wants(now) {
                turn.worked = true;
                seat.exit = self.drive(&mut seat.guest, now);
            }
            turn.parked.extend(seat.exit.map(|exit| Parked { guest: *number, exit }));
        }
        turn
    }

    /// Registers are written with the core still ours: who takes a page away first brings the guest out. But the
    /// view has been let go: what answers may look at memory, and waits for nobody that waits for us.
    fn drive(&self, guest: &mut Guest, now: u64) -> Option<Exit> {
        let vcpu = Arc::clone(&guest.vcpu);
        let mut exit = None;
        vcpu.with(&mut |core| {
            if !core.in_guest() {
                exit = Some(Exit::NotRunning);
                return;
            }
            let mut bells = vec![];
            {
                let view = self.memory.view();
                let direct_map = guest.config.direct_map;
                let mut cpu = Cpu { core, view: &view, direct_map };
                exit = guest.turn(&mut cpu, now).err();
                while let Some(bell) = guest.first_bell() {
                    match cpu.register(&bell) {
                        Ok(at) => {
                            guest.bell_done();
                            bells.push((at, bell.value));
                        }
                        Err(stopped) => {
                            exit = exit.or(Some(stopped));
                            break;
                        }
                    }
                }
            }
            for (at, value) in bells {
                if !self.mmio.write32(at, value) {
                    let _ = self.memory.view().write(at, &value.to_le_bytes());
                }
            }
        });
        guest.exits += u64::from(exit.is_some());
        exit
    }

    /// Takes the events of vectors, and waits for one if there is time.
    fn interrupts(&self, state: &mut State, wait: Duration) -> Result<(), LoopError> {
        let mut events = Vec::with_capacity(EVENTS);
        self.events(&mut events, wait)?;
        for event in &events {
            let data = event.data.u64();
            if data == WAKE {
                let _ = read(&self.wake, &mut [0u8; 8]);
                continue;
            }
            let (guest, pair) = ((data >> 16) as u32, (data & 0xFFFF) as usize);
            let Some(seat) = state.seats.get_mut(&guest) else { continue };
            if let Some(fd) = seat.vectors.get(pair)
                && read(fd, &mut [0u8; 8]).is_ok()
            {
                seat.guest.rings.interrupt(pair);
            }
        }
        Ok(())
    }

    fn events(&self, events: &mut Vec<epoll::Event>, wait: Duration) -> Result<(), LoopError> {
        let wait = Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: wait.subsec_nanos().into() };
        let space = rustix::buffer::spare_capacity(events);
        match epoll::wait(&self.epoll, space, Some(&wait)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits for an interrupt, or for the time at which a guest has something to do; the state is let go.
    fn sleep(&self, most: Duration) -> Result<(), LoopError> {
        let until = {
            let mut state = self.lock();
            let now = self.clock.now();
            if state.seats.values_mut().any(|seat| seat.exit.is_none() && seat.guest.wants(now)) {
                return Ok(());
            }
            let times = state.seats.values().filter_map(|seat| seat.guest.wakes_at(now));
            times.min().map(|at| Duration::from_nanos(at.saturating_sub(now)))
        };
        // A virtual clock does not pass, so somebody has to look.
        let nap = if self.clock.is_virtual() { Duration::from_millis(1) } else { NAP };
        let wait = until.unwrap_or(nap).min(nap).min(most);
        let mut events = Vec::with_capacity(1);
        self.events(&mut events, wait)
    }

    fn visit<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        self.waiting.fetch_add(1, Ordering::AcqRel);
        self.wake();
        let mut state = self.lock();
        self.waiting.fetch_sub(1, Ordering::AcqRel);
        work(&mut state)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
