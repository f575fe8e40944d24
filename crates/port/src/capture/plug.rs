//! A port plugged into capture files: one takes what it sends, another is what it receives.

use std::fs::File;
use std::io::BufReader;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use super::{CaptureError, Captured, Direction, Packet, Reader, Writer};
use crate::wake::Wake;
use crate::{Backend, Clock, Counters, FRAME_MAX, FRAME_MIN, Reason};

/// Nanoseconds at least from the last frame of a file to its first one again.
const GAP_MIN: u64 = 1000;

/// When frames of a file come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// As fast as they are asked for.
    AtOnce,
    /// With the distances of their timestamps, from the first time that they are asked for.
    Timestamps,
}

/// A file that is played.
#[derive(Debug)]
pub struct Replay {
    reader: Reader<BufReader<File>>,
    path: PathBuf,
    pace: Pace,
    repeat: bool,
    /// Whether `reader` is at a frame to be given.
    ready: bool,
    /// What the clock was, or would have been, at the timestamp `first`.
    start: Option<u64>,
    first: u64,
    /// The latest frame given, and how long after the one before, by the clock.
    last: u64,
    gap: u64,
    unfit: u64,
    event: Option<String>,
}

impl Replay {
    /// Plays a file, once or, with `repeat`, again and again.
    ///
    /// # Errors
    /// [`CaptureError`] when it makes no sense up to its first frame.
    pub fn open(path: impl AsRef<Path>, pace: Pace, repeat: bool) -> Result<Self, CaptureError> {
        let path = path.as_ref().to_owned();
        let reader = Reader::open(&path)?;
        let mut replay = Self {
            reader,
            path,
            pace,
            repeat,
            ready: false,
            start: None,
            first: 0,
            last: 0,
            gap: GAP_MIN,
            unfit: 0,
            event: None,
        };
        replay.ready = replay.seek_fit()?;
        replay.first = replay.frame().map_or(0, |captured| captured.time);
        Ok(replay)
    }

    fn frame(&self) -> Option<Captured<'_>> {
        self.reader.current().filter(|_| self.ready)
    }

    /// When the frame is due, once the replay has begun.
    fn due(&self) -> Option<u64> {
        let frame = self.frame()?;
        match self.pace {
            Pace::AtOnce => Some(0),
            // A timestamp before its predecessor's is due at once.
            Pace::Timestamps => self.start.map(|start| {
                start.saturating_add(frame.time.saturating_sub(self.first)).max(self.last)
            }),
        }
    }

    /// The frame, if it is due; it stays until `advance`.
    fn take(&mut self, now: u64) -> Option<Captured<'_>> {
        let start = *self.start.get_or_insert(now);
        self.last = self.last.max(start);
        let due = self.due().filter(|due| *due <= now)?;
        if self.pace == Pace::Timestamps {
            self.gap = due.saturating_sub(self.last).max(GAP_MIN);
            self.last = due;
        }
        self.frame()
    }

    fn advance(&mut self) {
        self.ready = self.next().unwrap_or_else(|error| {
            self.event = Some(error.to_string());
            false
        });
    }

    fn next(&mut self) -> Result<bool, CaptureError> {
        if self.seek_fit()? {
            return Ok(true);
        }
        if !self.repeat {
            return Ok(false);
        }
        self.reader.rewind()?;
        let any = self.seek_fit()?;
        self.start = Some(self.last.saturating_add(self.gap));
        Ok(any)
    }

    /// Goes on to the next frame that a port can take.
    fn seek_fit(&mut self) -> Result<bool, CaptureError> {
        while self.reader.advance()? {
            let length = self.reader.current().map_or(0, |captured| captured.frame.len());
            if (FRAME_MIN..=FRAME_MAX).contains(&length) {
                return Ok(true);
            }
            self.unfit = self.unfit.wrapping_add(1);
        }
        Ok(false)
    }
}

/// The backend: either file may be left out.
#[derive(Debug)]
pub struct Capture {
    clock: Clock,
    writer: Option<(Writer, u32)>,
    replay: Option<Replay>,
    up: bool,
    wake: Wake,
    counters: Counters,
}

impl Capture {
    /// Writes what is sent to an interface of a file, with the clock's time; gives what a file has.
    ///
    /// # Errors
    /// That of the system, when it gives no eventfd.
    pub fn new(
        clock: Clock,
        writer: Option<(Writer, u32)>,
        replay: Option<Replay>,
    ) -> std::io::Result<Self> {
        let mut wake = Wake::new()?;
        wake.signal(); // the first frames are there already
        Ok(Self { clock, writer, replay, up: true, wake, counters: Counters::default() })
    }

    fn count_lost(&mut self) {
        if let Some((writer, _)) = &mut self.writer {
            let lost = writer.take_lost();
            self.counters.unsend(lost.frames, lost.bytes);
            self.counters.drop_many(Reason::Os, lost.frames);
        }
    }
}

impl Backend for Capture {
    fn kind(&self) -> &'static str {
        "pcap"
    }

    fn send(&mut self, frame: &[u8]) -> bool {
        let before = self.counters;
        if !self.counters.take(frame, self.up, true) {
            return false;
        }
        let Some((writer, interface)) = &mut self.writer else { return true };
        let (interface, time) = (*interface, self.clock.now());
        let direction = Some(Direction::Outbound);
        let written = writer.packet(&Packet { interface, time, direction, frame, comment: None });
        if let Err(reason) = written {
            self.counters = before;
            self.counters.drop(reason);
        }
        self.count_lost();
        written.is_ok()
    }

    fn flush(&mut self) {
        if let Some((writer, _)) = &mut self.writer {
            writer.flush();
        }
        self.count_lost();
    }

    fn receive(&mut self, max: usize, each: &mut dyn FnMut(&[u8])) -> usize {
        self.wake.quiet();
        let Some(replay) = self.replay.as_mut().filter(|_| self.up) else { return 0 };
        let now = self.clock.now();
        let mut given = 0;
        while given < max
            && let Some(captured) = replay.take(now)
        {
            self.counters.received(captured.frame.len());
            each(captured.frame);
            given += 1;
            replay.advance();
        }
        self.counters.drop_many(Reason::Length, std::mem::take(&mut replay.unfit));
        given
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        Some(self.wake.fd())
    }

    fn deadline(&self) -> Option<u64> {
        self.replay.as_ref().filter(|_| self.up).and_then(Replay::due)
    }

    fn link(&self) -> bool {
        self.up
    }

    fn set_link(&mut self, up: bool) {
        if self.up != up {
            self.up = up;
            self.wake.signal();
        }
    }

    fn counters(&self) -> Counters {
        self.counters
    }

    fn take_event(&mut self) -> Option<String> {
        let writer = self.writer.as_mut().and_then(|(writer, _)| writer.take_event());
        writer.or_else(|| self.replay.as_mut().and_then(|replay| replay.event.take()))
    }

    fn inspect(&self) -> String {
        let write = self.writer.as_ref().map(|(writer, _)| {
            format!("writes {} ({} bytes)", writer.path().display(), writer.size())
        });
        let read = self.replay.as_ref().map(|replay| {
            let state = if replay.ready { "plays" } else { "has played" };
            format!("{state} {}", replay.path.display())
        });
        let both: Vec<_> = write.into_iter().chain(read).collect();
        if both.is_empty() { "no file".into() } else { both.join(", ") }
    }
}
