//! How fast frames go from one VSI to another: fetch, translation, switch, receive, write-back, interrupts.
//!
//! Every other VSI sends UDP datagrams to the next one, through the embedded switch. Each has its own PASID,
//! one pair of queues, and a vector that is moderated to 50 µs. As Linux's drivers do, every packet asks for its
//! UDP checksum and for a report.

mod guest;
mod machine;

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use thiserror::Error;

use crate::{Nic, NicError};
use guest::Driver;
use machine::Machine;

/// How addresses of guests become those of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Translation {
    /// Not at all: there is no remapping unit.
    None,
    /// By the unit's IOTLB and page tables at every access: ATS is off.
    Unit,
    /// By the device TLB, which asks the unit.
    DeviceTlb,
}

/// What is measured.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// VSIs, an even number from 2 to 512; half of them send.
    pub vsis: u16,
    /// Bytes of a frame without its check sequence, 64 to 2,048.
    pub frame: u16,
    /// Descriptors of each ring: 256, 512 or 1,024.
    pub entries: u16,
    /// How addresses are translated.
    pub translation: Translation,
    /// Whether second stages map the guests' memory by pages of 2 MiB, as the host does it, or of 4 KiB.
    pub superpages: bool,
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// Frames received a second, by the clock on the wall.
    pub frames_per_s: f64,
    /// Nanoseconds of the engine's processor time for each frame, its waiting for work included.
    pub engine_ns: f64,
    /// Interrupts a second.
    pub interrupts_per_s: f64,
}

/// Why there is no result.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Failed {
    /// A load that can't be.
    #[error("2 to 512 VSIs, an even number; frames of 64 to 2048 bytes; rings of 256, 512 or 1024")]
    Load,
    /// No memory for the machine.
    #[error("the machine's memory can't be set up")]
    Memory,
    /// The device refused its set-up.
    #[error("{0}")]
    Nic(#[from] NicError),
    /// No thread for the worker.
    #[error("the worker can't be started")]
    Thread,
    /// A frame that arrived is not the one that was sent.
    #[error("a received frame has {0}")]
    Frame(&'static str),
    /// Frames were lost.
    #[error("the device dropped {0} frames")]
    Lost(u64),
    /// Nothing moved for seconds.
    #[error("no frame arrived for {STALLED:?}")]
    Stalled,
}

/// How long nothing may move.
const STALLED: Duration = Duration::from_secs(10);

/// The machine with its load.
struct Bench {
    machine: Machine,
    driver: Driver,
    entries: u64,
}

impl Bench {
    fn new(load: &Load) -> Result<Self, Failed> {
        let right = (2..=512).contains(&load.vsis)
            && load.vsis.is_multiple_of(2)
            && (64..=2048).contains(&load.frame)
            && matches!(load.entries, 256 | 512 | 1024);
        if !right {
            return Err(Failed::Load);
        }
        let mut machine = Machine::new(load, guest::memory_of(load))?;
        let driver = Driver::new(&mut machine, load)?;
        Ok(Self { machine, driver, entries: load.entries.into() })
    }

    /// Drives the guests until `enough` of the frames received; `work` is done after each turn.
    fn drive(
        &mut self,
        mut work: impl FnMut(&Nic),
        mut enough: impl FnMut(&Driver, u64) -> bool,
        send: bool,
    ) -> Result<u64, Failed> {
        let mut received = 0;
        let mut last = Instant::now();
        while !enough(&self.driver, received) {
            let now = self.driver.turn(&self.machine.nic, send)?;
            received += now;
            work(&self.machine.nic);
            if now > 0 {
                last = Instant::now();
            } else if last.elapsed() > STALLED {
                return Err(Failed::Stalled);
            }
        }
        Ok(received)
    }

    /// Every ring has gone round: what can be cached is.
    fn warm_up(&mut self, work: impl FnMut(&Nic)) -> Result<(), Failed> {
        let entries = self.entries;
        self.drive(work, |driver, _| driver.least() >= 2 * entries, true).map(drop)
    }

    /// Lets everything arrive; nothing may have been lost.
    fn finish(&mut self, work: impl FnMut(&Nic)) -> Result<(), Failed> {
        self.drive(work, |driver, _| driver.is_quiet(), false)?;
        let nic = &self.machine.nic;
        let lost = (0..siov_switch::VSIS).filter_map(siov_switch::VsiId::new);
        let lost = lost.map(|vsi| nic.path().vsi_counters(vsi)).map(|c| c.rx_no_desc + c.rx_errors);
        match lost.sum() {
            0 => Ok(()),
            lost => Err(Failed::Lost(lost)),
        }
    }
}

/// With the worker on its thread and the guests on this one, at least so many frames.
pub fn threaded(load: &Load, frames: u64) -> Result<Rates, Failed> {
    let mut bench = Bench::new(load)?;
    let others = threads();
    bench.machine.nic.start().map_err(|_| Failed::Thread)?;
    let worker: Vec<u32> = threads().into_iter().filter(|one| !others.contains(one)).collect();
    bench.warm_up(|_| {})?;
    let (began, spent, interrupts) = (Instant::now(), run_time(&worker), bench.driver.interrupts());
    let received = bench.drive(|_| {}, |_, received| received >= frames, true)?;
    let (took, spent) = (began.elapsed(), run_time(&worker).saturating_sub(spent));
    let interrupts = bench.driver.interrupts() - interrupts;
    bench.finish(|_| {})?;
    bench.machine.nic.stop();
    Ok(Rates {
        frames_per_s: received as f64 / took.as_secs_f64(),
        engine_ns: spent.as_nanos() as f64 / received as f64,
        interrupts_per_s: interrupts as f64 / took.as_secs_f64(),
    })
}

/// With the engine pumped on the guests' thread, at least so many frames.
pub fn pumped(load: &Load, frames: u64) -> Result<Rates, Failed> {
    let mut bench = Bench::new(load)?;
    let mut spent = Duration::ZERO;
    let mut pump = |nic: &Nic| {
        let began = thread_time();
        while nic.pump() {}
        spent += thread_time() - began;
    };
    bench.warm_up(&mut pump)?;
    spent = Duration::ZERO;
    let mut pump = |nic: &Nic| {
        let began = thread_time();
        while nic.pump() {}
        spent += thread_time() - began;
    };
    let (began, interrupts) = (Instant::now(), bench.driver.interrupts());
    let received = bench.drive(&mut pump, |_, received| received >= frames, true)?;
    let took = began.elapsed();
    let interrupts = bench.driver.interrupts() - interrupts;
    bench.finish(|nic| while nic.pump() {})?;
    Ok(Rates {
        frames_per_s: received as f64 / took.as_secs_f64(),
        engine_ns: spent.as_nanos() as f64 / received as f64,
        interrupts_per_s: interrupts as f64 / took.as_secs_f64(),
    })
}

fn thread_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs() as u32)
}

/// The threads of this process.
fn threads() -> Vec<u32> {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    tasks.filter_map(|task| task.file_name().to_str()?.parse().ok()).collect()
}

/// The processor time of threads, as the scheduler tells it.
fn run_time(threads: &[u32]) -> Duration {
    let of = |thread: &u32| {
        let text = std::fs::read_to_string(format!("/proc/self/task/{thread}/schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    };
    Duration::from_nanos(threads.iter().filter_map(of).sum())
}
