//! What a register access over the socket costs, beside a bare exchange of the same sizes.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Instant;

use rustix::io::Errno;
use rustix::thread::{CpuSet, sched_getcpu, sched_setaffinity};
use thiserror::Error;

use crate::wire::{Command, HEADER_SIZE, Header};
use crate::{BindError, Client, Device, DeviceLayout, Endpoint, EndpointError, RegionLayout};

const READ_REQUEST: usize = 32;
const READ_REPLY: usize = 36;
const NO_REPLY: u32 = 1 << 4;

/// Posted writes between two reads that wait for them: far from filling the socket.
const POSTED: usize = 32;

/// Nanoseconds of every exchange, in the order in which they were made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Samples {
    /// 4-byte `REGION_READ`, from sending it to having its reply.
    pub read: Vec<u64>,
    /// 4-byte `REGION_WRITE` with `NO_REPLY`, until the send returned.
    pub posted_write: Vec<u64>,
    /// The bytes of the read there, and the bytes of its reply back, between two threads.
    pub raw: Vec<u64>,
}

/// Why the measurement failed.
#[derive(Debug, Error)]
pub enum BenchError {
    /// The endpoint could not be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The endpoint could not run.
    #[error(transparent)]
    Run(#[from] EndpointError),
    /// An exchange failed.
    #[error("an exchange with the endpoint failed: {0}")]
    Io(#[from] io::Error),
    /// A thread of the measurement panicked.
    #[error("a thread of the measurement failed")]
    Thread,
}

/// One register.
#[derive(Default)]
struct Register(AtomicU32);

impl Device for Register {
    fn layout(&self) -> DeviceLayout {
        DeviceLayout { regions: vec![RegionLayout::trapped(4096)], irqs: Vec::new() }
    }

    fn read(&self, _region: u32, _offset: u64, data: &mut [u8]) -> Result<(), Errno> {
        let value = self.0.load(Ordering::Relaxed).to_ne_bytes();
        data.iter_mut().zip(value).for_each(|(to, from)| *to = from);
        Ok(())
    }

    fn write(&self, _region: u32, _offset: u64, data: &[u8]) -> Result<(), Errno> {
        let value = data.first_chunk().ok_or(Errno::INVAL)?;
        self.0.store(u32::from_ne_bytes(*value), Ordering::Relaxed);
        Ok(())
    }

    fn reset(&self) {}

    fn attached(&self, _client: Arc<Client>) -> Result<(), Errno> {
        Ok(())
    }

    fn detached(&self) {}
}

/// Measures `rounds` times `exchanges` of each kind, round by round in turn, on a socket at `path`.
///
/// With `one_cpu` all threads share a processor. Else the scheduler chooses, and waking a thread
/// on another processor may cost more than all the rest: then the two kinds compare only if it
/// happened to choose the same for both.
pub fn endpoint(
    path: &Path,
    rounds: usize,
    exchanges: usize,
    one_cpu: bool,
) -> Result<Samples, BenchError> {
    let endpoint = Endpoint::bind(path, Arc::new(Register::default()))?;
    let cpu = one_cpu.then(sched_getcpu);
    thread::scope(|scope| {
        let server = scope.spawn(|| {
            stay_on(cpu);
            endpoint.run()
        });
        let client = scope.spawn(|| {
            stay_on(cpu);
            let samples = measure(path, rounds, exchanges);
            endpoint.stop();
            samples
        });
        let samples = client.join();
        server.join().map_err(|_| BenchError::Thread)??;
        Ok(samples.map_err(|_| BenchError::Thread)??)
    })
}

/// Keeps this thread, and those it will start, on one processor.
fn stay_on(cpu: Option<usize>) {
    if let Some(cpu) = cpu.filter(|cpu| *cpu < CpuSet::MAX_CPU) {
        let mut set = CpuSet::new();
        set.set(cpu);
        // Only the comparison suffers if it can't be had.
        let _ = sched_setaffinity(None, &set);
    }
}

fn measure(path: &Path, rounds: usize, exchanges: usize) -> io::Result<Samples> {
    let mut client = UnixStream::connect(path)?;
    client.write_all(&message(Command::Version, 0, &[0; 4]))?;
    client.read_exact(&mut [0; HEADER_SIZE + 4])?;
    let (mut here, there) = UnixStream::pair()?;
    let mut samples = Samples::default();
    let echo = thread::spawn(move || raw_echo(there));
    for _ in 0..rounds {
        ping_pong(&mut here, exchanges, &mut samples.raw)?;
        ping_pong(&mut client, exchanges, &mut samples.read)?;
        posted(&mut client, exchanges, &mut samples.posted_write)?;
    }
    drop(here);
    let _ = echo.join();
    Ok(samples)
}

fn read_message() -> Vec<u8> {
    let mut body = [0; 16];
    body.iter_mut().skip(12).zip(4u32.to_ne_bytes()).for_each(|(to, from)| *to = from);
    message(Command::RegionRead, 0, &body)
}

/// The same for the endpoint and the bare thread: one send and one receive.
fn ping_pong(stream: &mut UnixStream, exchanges: usize, samples: &mut Vec<u64>) -> io::Result<()> {
    let request = read_message();
    let mut reply = [0; READ_REPLY];
    for _ in 0..exchanges {
        let begin = Instant::now();
        stream.write_all(&request)?;
        stream.read_exact(&mut reply)?;
        samples.push(nanoseconds(begin));
    }
    Ok(())
}

fn posted(stream: &mut UnixStream, exchanges: usize, samples: &mut Vec<u64>) -> io::Result<()> {
    let mut body = [0; 20];
    body.iter_mut().skip(12).zip(4u32.to_ne_bytes()).for_each(|(to, from)| *to = from);
    let write = message(Command::RegionWrite, NO_REPLY, &body);
    let mut done = 0;
    while done < exchanges {
        for _ in 0..POSTED.min(exchanges - done) {
            let begin = Instant::now();
            stream.write_all(&write)?;
            samples.push(nanoseconds(begin));
            done += 1;
        }
        ping_pong(stream, 1, &mut Vec::new())?;
    }
    Ok(())
}

fn raw_echo(mut stream: UnixStream) {
    let mut request = [0; READ_REQUEST];
    while stream.read_exact(&mut request).is_ok() && stream.write_all(&[0; READ_REPLY]).is_ok() {}
}

fn message(command: Command, flags: u32, body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(HEADER_SIZE + body.len()).unwrap_or(0);
    let header = Header { id: 1, command: command as u16, size, flags, error: 0 };
    [&header.encode()[..], body].concat()
}

fn nanoseconds(begin: Instant) -> u64 {
    u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
