//! A pcapng file that is whole whenever somebody reads it.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::format::{
    BYTE_ORDER, ENHANCED_PACKET, EPB_FLAGS, ETHERNET, IF_DESCRIPTION, IF_NAME, IF_SPEED,
    IF_TSRESOL, INTERFACE_DESCRIPTION, OPT_COMMENT, OPT_ENDOFOPT, SECTION_HEADER, SHB_USERAPPL,
    padded,
};
use super::{CaptureError, Damage, Direction};
use crate::{FRAME_MAX, Reason};

/// Bytes of blocks that are collected before they go to the file without being asked to.
const BUFFER: usize = 256 << 10;
/// Bytes of a text in the file; the rest is cut off.
const TEXT: usize = 4096;

/// A frame, for the file.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// What [`Writer::interface`] gave.
    pub interface: u32,
    /// Nanoseconds since 1970.
    pub time: u64,
    /// Which way it went, if that is known.
    pub direction: Option<Direction>,
    /// The frame; [`FRAME_MAX`] bytes of it are written.
    pub frame: &'a [u8],
    /// What is to be said about it.
    pub comment: Option<&'a str>,
}

/// An Ethernet interface, for the file.
#[derive(Clone, Copy, Debug, Default)]
pub struct Interface<'a> {
    /// What it is called.
    pub name: &'a str,
    /// Mbit/s; 0 when nobody can say.
    pub mbps: u32,
    /// What it is.
    pub description: Option<&'a str>,
}

/// Frames that were taken, and then the disk refused them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// How many.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Writes one section with its interfaces. Whole blocks are collected and written together; if that
/// fails, the file is cut back to whole blocks and the collected ones are lost.
#[derive(Debug)]
pub struct Writer {
    file: File,
    path: PathBuf,
    /// Bytes of the file, all in whole blocks.
    length: u64,
    limit: u64,
    buffer: Vec<u8>,
    collected: Lost,
    lost: Lost,
    interfaces: u32,
    state: State,
    event: Option<String>,
}

/// What has been said about already.
#[derive(Debug, PartialEq, Eq)]
enum State {
    Fine,
    Failing,
    Full,
}

impl Writer {
    /// A new file, or an old one begun anew, that grows to at most `limit` bytes.
    ///
    /// # Errors
    /// That of the system; or when it is no regular file, which a write could wait for.
    pub fn create(path: impl AsRef<Path>, limit: u64) -> Result<Self, CaptureError> {
        Self::commented(path, limit, None)
    }

    /// As [`create`](Self::create), with something said about the whole file.
    ///
    /// # Errors
    /// Those of [`create`](Self::create).
    pub fn commented(
        path: impl AsRef<Path>,
        limit: u64,
        comment: Option<&str>,
    ) -> Result<Self, CaptureError> {
        let path = path.as_ref().to_owned();
        let refused = |error| CaptureError::Os { path: path.clone(), error };
        if path.exists() && !path.metadata().map_err(refused)?.is_file() {
            return Err(CaptureError::Damaged { path, at: 0, damage: Damage::NoFile });
        }
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(&path);
        let mut writer = Self {
            file: file.map_err(refused)?,
            path,
            length: 0,
            limit,
            buffer: Vec::with_capacity(BUFFER),
            collected: Lost::default(),
            lost: Lost::default(),
            interfaces: 0,
            state: State::Fine,
            event: None,
        };
        writer.block(SECTION_HEADER, |out| {
            out.extend(BYTE_ORDER.to_le_bytes());
            out.extend(1u16.to_le_bytes()); // version 1.0
            out.extend(0u16.to_le_bytes());
            out.extend((-1i64).to_le_bytes()); // the section goes on to the end of the file
            option(out, SHB_USERAPPL, b"siov");
            if let Some(comment) = comment {
                option(out, OPT_COMMENT, text(comment).as_bytes());
            }
            option(out, OPT_ENDOFOPT, &[]);
        });
        writer.write_out().map_err(|error| writer.refused(error))?;
        Ok(writer)
    }

    /// Describes an Ethernet interface with timestamps in nanoseconds, and gives its number.
    ///
    /// # Errors
    /// That of the system; the interface isn't there then.
    pub fn interface(&mut self, name: &str, mbps: u32) -> Result<u32, CaptureError> {
        self.describe(&Interface { name, mbps, description: None })
    }

    /// As [`interface`](Self::interface), with what there is to say about it.
    ///
    /// # Errors
    /// That of the system; the interface isn't there then.
    pub fn describe(&mut self, interface: &Interface<'_>) -> Result<u32, CaptureError> {
        let Interface { name, mbps, description } = *interface;
        self.flush();
        let number = self.interfaces;
        self.block(INTERFACE_DESCRIPTION, |out| {
            out.extend(ETHERNET.to_le_bytes());
            out.extend(0u16.to_le_bytes());
            out.extend(0u32.to_le_bytes()); // frames are not cut
            option(out, IF_NAME, text(name).as_bytes());
            if let Some(description) = description {
                option(out, IF_DESCRIPTION, text(description).as_bytes());
            }
            if mbps != 0 {
                option(out, IF_SPEED, &u64::from(mbps).saturating_mul(1_000_000).to_le_bytes());
            }
            option(out, IF_TSRESOL, &[9]);
            option(out, OPT_ENDOFOPT, &[]);
        });
        self.write_out().map_err(|error| self.refused(error))?;
        self.interfaces = number.saturating_add(1);
        Ok(number)
    }

    /// Takes a frame; it is in the file after the next [`flush`](Self::flush).
    ///
    /// # Errors
    /// [`Reason::Limit`] when the file is full, [`Reason::Malformed`] for an unknown interface.
    pub fn packet(&mut self, packet: &Packet<'_>) -> Result<(), Reason> {
        if packet.interface >= self.interfaces {
            return Err(Reason::Malformed);
        }
        let frame = packet.frame.get(..FRAME_MAX).unwrap_or(packet.frame);
        let comment = packet.comment.map(text);
        // The block's fixed fields, its flags and the end of its options take 52 bytes.
        let size = 52 + padded(frame.len()) + comment.map_or(0, |c| 4 + padded(c.len()));
        if self.length.saturating_add((self.buffer.len() + size) as u64) > self.limit {
            self.full();
            return Err(Reason::Limit);
        }
        if self.buffer.len() + size > BUFFER {
            self.flush();
        }
        self.block(ENHANCED_PACKET, |out| {
            let (captured, original) = (frame.len() as u32, packet.frame.len());
            out.extend(packet.interface.to_le_bytes());
            out.extend(((packet.time >> 32) as u32).to_le_bytes());
            out.extend((packet.time as u32).to_le_bytes());
            out.extend(captured.to_le_bytes());
            out.extend(u32::try_from(original).unwrap_or(u32::MAX).to_le_bytes());
            put(out, frame);
            let direction = packet.direction.map_or(0u32, |direction| match direction {
                Direction::Inbound => 1,
                Direction::Outbound => 2,
            });
            option(out, EPB_FLAGS, &direction.to_le_bytes());
            if let Some(comment) = comment {
                option(out, OPT_COMMENT, comment.as_bytes());
            }
            option(out, OPT_ENDOFOPT, &[]);
        });
        self.collected.frames += 1;
        self.collected.bytes += packet.frame.len() as u64;
        Ok(())
    }

    /// Puts what was collected into the file; what the disk refuses is lost.
    pub fn flush(&mut self) {
        if self.buffer.is_empty() {
            return;
        }
        if let Err(error) = self.write_out() {
            let why =
                format!("{}: frames are lost until it works again: {error}", self.path.display());
            self.say(State::Failing, why);
        } else if self.state == State::Failing {
            self.state = State::Fine;
        }
    }

    /// What was taken and then lost, since the last call.
    pub fn take_lost(&mut self) -> Lost {
        std::mem::take(&mut self.lost)
    }

    /// What went wrong, in one sentence, once each time it begins.
    pub fn take_event(&mut self) -> Option<String> {
        self.event.take()
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes in the file and on the way to it.
    pub fn size(&self) -> u64 {
        self.length.saturating_add(self.buffer.len() as u64)
    }

    fn block(&mut self, kind: u32, body: impl FnOnce(&mut Vec<u8>)) {
        let out = &mut self.buffer;
        let start = out.len();
        out.extend(kind.to_le_bytes());
        out.extend([0; 4]);
        body(out);
        let length = (out.len() - start + 4) as u32;
        out.extend(length.to_le_bytes());
        if let Some(field) = out.get_mut(start + 4..start + 8) {
            field.copy_from_slice(&length.to_le_bytes());
        }
    }

    /// Writes all or nothing, and forgets it either way.
    fn write_out(&mut self) -> io::Result<()> {
        let written = self.file.write_all(&self.buffer);
        let collected = std::mem::take(&mut self.collected);
        let bytes = self.buffer.len() as u64;
        self.buffer.clear();
        if written.is_ok() {
            self.length = self.length.saturating_add(bytes);
            return written;
        }
        self.lost.frames = self.lost.frames.wrapping_add(collected.frames);
        self.lost.bytes = self.lost.bytes.wrapping_add(collected.bytes);
        // Half a block may have gone out; a reader must not find it, nor the next write come after it.
        self.file.set_len(self.length)?;
        self.file.seek(SeekFrom::Start(self.length))?;
        written
    }

    fn full(&mut self) {
        let why = format!("{}: the capture is full at {} bytes", self.path.display(), self.limit);
        self.say(State::Full, why);
    }

    fn say(&mut self, state: State, why: String) {
        if self.state != state {
            self.state = state;
            self.event = Some(why);
        }
    }

    fn refused(&self, error: io::Error) -> CaptureError {
        CaptureError::Os { path: self.path.clone(), error }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.flush();
    }
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(bytes);
    out.resize(out.len() + padded(bytes.len()) - bytes.len(), 0);
}

fn option(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    out.extend(code.to_le_bytes());
    out.extend((value.len() as u16).to_le_bytes());
    put(out, value);
}

/// As much of a text as the file takes, in whole characters.
fn text(all: &str) -> &str {
    let mut ends = (0..=TEXT.min(all.len())).rev();
    ends.find_map(|end| all.get(..end)).unwrap_or("")
}
