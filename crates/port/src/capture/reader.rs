//! Frames out of a pcapng or pcap file, whatever the file holds.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::format::{
    BYTE_ORDER, ENHANCED_PACKET, EPB_FLAGS, ETHERNET, IF_TSOFFSET, IF_TSRESOL,
    INTERFACE_DESCRIPTION, NANO, Order, PACKET, PCAP_MICRO, PCAP_NANO, SECTION_HEADER,
    SIMPLE_PACKET, padded,
};
use super::{CaptureError, Damage, Direction};

/// The longest block that is kept in memory, in bytes. Those that tell us nothing may be longer.
const BLOCK_MAX: u32 = 1 << 20;
/// Interfaces of a section.
const INTERFACES_MAX: usize = 4096;

/// A frame of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Captured<'a> {
    /// The interface of its section; 0 in a pcap file.
    pub interface: u32,
    /// Nanoseconds since 1970; that of the frame before where the block has none.
    pub time: u64,
    /// Which way it went, where that is known.
    pub direction: Option<Direction>,
    /// As much of the frame as was captured.
    pub frame: &'a [u8],
}

/// Reads one frame after another; holds one block at a time.
#[derive(Debug)]
pub struct Reader<R> {
    source: R,
    path: PathBuf,
    /// Where the next block begins, and the one that is being read.
    next: u64,
    at: u64,
    order: Order,
    format: Format,
    interfaces: Vec<Interface>,
    block: Vec<u8>,
    found: Option<Found>,
    /// The timestamp of the last frame.
    time: u64,
    /// Whether there is nothing more to be had.
    over: bool,
}

#[derive(Clone, Copy, Debug)]
enum Format {
    PcapNg,
    /// Nanoseconds of the second field.
    Pcap(u64),
}

#[derive(Clone, Copy, Debug)]
struct Interface {
    snaplen: u32,
    /// Units of its timestamps in a second; 0 if there are more than can be counted.
    resolution: u128,
    /// Seconds to add.
    offset: i64,
}

/// The frame that was found last, in `block`.
#[derive(Clone, Debug)]
struct Found {
    interface: u32,
    time: u64,
    direction: Option<Direction>,
    frame: Range<usize>,
}

type Result<T, E = Damage> = std::result::Result<T, E>;

/// Inside: the file's fault, or the system's.
enum Stop {
    Damage(Damage),
    Os(io::Error),
}

impl From<Damage> for Stop {
    fn from(damage: Damage) -> Self {
        Self::Damage(damage)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::UnexpectedEof => Self::Damage(Damage::Truncated),
            _ => Self::Os(error),
        }
    }
}

impl Reader<BufReader<File>> {
    /// Reads a file.
    ///
    /// # Errors
    /// [`CaptureError`] when it is no capture, as far as its beginning tells.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, CaptureError> {
        let path = path.as_ref();
        let refused = |error| CaptureError::Os { path: path.to_owned(), error };
        if !path.metadata().map_err(refused)?.is_file() {
            let (path, damage) = (path.to_owned(), Damage::NoFile);
            return Err(CaptureError::Damaged { path, at: 0, damage });
        }
        let file = File::open(path).map_err(refused)?;
        Self::new(path, BufReader::with_capacity(64 << 10, file))
    }
}

impl<R: Read + Seek> Reader<R> {
    /// Reads from a source, which `path` names in errors.
    ///
    /// # Errors
    /// [`CaptureError`] when it is no capture, as far as its beginning tells.
    pub fn new(path: impl Into<PathBuf>, source: R) -> Result<Self, CaptureError> {
        let mut reader = Self {
            source,
            path: path.into(),
            next: 0,
            at: 0,
            order: Order::default(),
            format: Format::PcapNg,
            interfaces: vec![],
            block: vec![],
            found: None,
            time: 0,
            over: false,
        };
        reader.rewind()?;
        Ok(reader)
    }

    /// Back to the first frame.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn rewind(&mut self) -> Result<(), CaptureError> {
        let begun = self.begin();
        self.over = begun.is_err();
        begun.map_err(|stop| self.error(stop))
    }

    /// The next frame, `None` at the end.
    ///
    /// # Errors
    /// [`CaptureError`] where the file makes no sense; there is nothing to be had after that.
    pub fn read(&mut self) -> Result<Option<Captured<'_>>, CaptureError> {
        if self.advance()? { Ok(self.current()) } else { Ok(None) }
    }

    /// Goes to the next frame; `false` at the end.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn advance(&mut self) -> Result<bool, CaptureError> {
        self.found = None;
        if self.over {
            return Ok(false);
        }
        let found = self.search();
        self.over = !matches!(found, Ok(true));
        found.map_err(|stop| self.error(stop))
    }

    /// The frame that `advance` went to.
    pub fn current(&self) -> Option<Captured<'_>> {
        let Found { interface, time, direction, frame } = self.found.as_ref()?;
        let (interface, time, direction) = (*interface, *time, *direction);
        let frame = self.block.get(frame.clone())?;
        Some(Captured { interface, time, direction, frame })
    }

    fn error(&self, stop: Stop) -> CaptureError {
        let path = self.path.clone();
        match stop {
            Stop::Damage(damage) => CaptureError::Damaged { path, at: self.at, damage },
            Stop::Os(error) => CaptureError::Os { path, error },
        }
    }

    fn begin(&mut self) -> Result<(), Stop> {
        (self.next, self.at) = (0, 0);
        (self.found, self.time) = (None, 0);
        self.interfaces.clear();
        self.source.seek(SeekFrom::Start(0))?;
        let mut magic = [0; 4];
        match self.source.read_exact(&mut magic) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Err(Damage::Foreign)?,
            other => other?,
        }
        let (little, big) = (u32::from_le_bytes(magic), u32::from_be_bytes(magic));
        for (magic, order) in [(little, Order::Little), (big, Order::Big)] {
            let unit = match magic {
                SECTION_HEADER => {
                    self.format = Format::PcapNg;
                    self.source.seek(SeekFrom::Start(0))?;
                    return Ok(());
                }
                PCAP_MICRO => 1000,
                PCAP_NANO => 1,
                _ => continue,
            };
            (self.format, self.order) = (Format::Pcap(unit), order);
            return self.pcap_header();
        }
        Err(Damage::Foreign.into())
    }

    fn search(&mut self) -> Result<bool, Stop> {
        // A block of each turn is gone for good, so a finite file ends this.
        loop {
            self.at = self.next;
            self.block.clear();
            if !self.fill_or_end(if matches!(self.format, Format::PcapNg) { 8 } else { 16 })? {
                return Ok(false);
            }
            let found = match self.format {
                Format::PcapNg => self.block()?,
                Format::Pcap(unit) => self.record(unit)?,
            };
            if found {
                return Ok(true);
            }
        }
    }

    /// Reads the rest of the classic file header.
    fn pcap_header(&mut self) -> Result<(), Stop> {
        self.block.clear();
        self.next = 4;
        self.fill(20)?;
        let version = self.order.u16(&self.block, 0).unwrap_or(0);
        if version != 2 {
            return Err(Damage::Version(version).into());
        }
        // The upper half of the field has flags.
        let network = self.order.u32(&self.block, 16).unwrap_or(0) & 0xFFFF;
        if network != u32::from(ETHERNET) {
            return Err(Damage::LinkType(network).into());
        }
        Ok(())
    }

    /// Reads a classic record whose header of 16 bytes is there.
    fn record(&mut self, unit: u64) -> Result<bool, Stop> {
        let field = |at| self.order.u32(&self.block, at).unwrap_or(0);
        let (seconds, fraction, length) = (field(0), field(4), field(8));
        if length > BLOCK_MAX {
            return Err(Damage::Length(length).into());
        }
        self.fill(length)?;
        let time = u64::from(seconds).wrapping_mul(NANO);
        let time = time.saturating_add(u64::from(fraction).saturating_mul(unit));
        let frame = 16..self.block.len();
        self.find(Found { interface: 0, time, direction: None, frame });
        Ok(true)
    }

    /// Reads a block whose first 8 bytes are there; `true` if it is a frame.
    fn block(&mut self) -> Result<bool, Stop> {
        let mut kind = self.order.u32(&self.block, 0).unwrap_or(0);
        if kind == SECTION_HEADER {
            kind = self.section_order()?;
        }
        let length = self.order.u32(&self.block, 4).unwrap_or(0);
        let have = self.block.len() as u32;
        if length < have + 4 || !length.is_multiple_of(4) {
            return Err(Damage::Length(length).into());
        }
        let known = [SECTION_HEADER, INTERFACE_DESCRIPTION, PACKET, SIMPLE_PACKET, ENHANCED_PACKET];
        if !known.contains(&kind) {
            return self.skip(length).map(|()| false);
        }
        if length > BLOCK_MAX {
            return Err(Damage::Length(length).into());
        }
        self.fill(length - have)?;
        let trailer = self.order.u32(&self.block, length as usize - 4).unwrap_or(0);
        if trailer != length {
            return Err(Damage::Trailer(length, trailer).into());
        }
        self.block.truncate(length as usize - 4);
        let short = Damage::Length(length);
        match kind {
            SECTION_HEADER => self.section().ok_or(short)??,
            INTERFACE_DESCRIPTION => self.interface().ok_or(short)??,
            SIMPLE_PACKET => self.simple_packet().ok_or(short)??,
            kind => self.packet(kind).ok_or(short)??,
        }
        Ok(kind != SECTION_HEADER && kind != INTERFACE_DESCRIPTION)
    }

    /// The order of bytes of a new section, which its length has too.
    fn section_order(&mut self) -> Result<u32, Stop> {
        self.fill(4)?;
        let magic = Order::Little.u32(&self.block, 8).unwrap_or(0);
        self.order = match magic {
            BYTE_ORDER => Order::Little,
            swapped if swapped.swap_bytes() == BYTE_ORDER => Order::Big,
            _ => return Err(Damage::ByteOrder(magic).into()),
        };
        Ok(SECTION_HEADER)
    }

    fn section(&mut self) -> Option<Result<()>> {
        let major = self.order.u16(&self.block, 12)?;
        self.order.u64(&self.block, 16)?;
        self.interfaces.clear();
        Some(if major == 1 { Ok(()) } else { Err(Damage::Version(major)) })
    }

    fn interface(&mut self) -> Option<Result<()>> {
        let (order, block) = (self.order, &self.block);
        let link = order.u16(block, 8)?;
        let mut interface =
            Interface { snaplen: order.u32(block, 12)?, resolution: 1_000_000, offset: 0 };
        for (code, value) in order.options(block, 16) {
            match code {
                IF_TSRESOL => {
                    let raw = value.first().copied().unwrap_or(6);
                    let base: u128 = if raw & 0x80 == 0 { 10 } else { 2 };
                    interface.resolution = base.checked_pow(u32::from(raw & 0x7F)).unwrap_or(0);
                }
                IF_TSOFFSET => interface.offset = order.u64(value, 0).unwrap_or(0) as i64,
                _ => (),
            }
        }
        Some(if link != ETHERNET {
            Err(Damage::LinkType(link.into()))
        } else if self.interfaces.len() >= INTERFACES_MAX {
            Err(Damage::Interfaces(INTERFACES_MAX))
        } else {
            self.interfaces.push(interface);
            Ok(())
        })
    }

    /// An Enhanced Packet Block, or the Packet Block that it replaced.
    fn packet(&mut self, kind: u32) -> Option<Result<()>> {
        let (order, block) = (self.order, &self.block);
        let number =
            if kind == PACKET { u32::from(order.u16(block, 8)?) } else { order.u32(block, 8)? };
        let raw = u64::from(order.u32(block, 12)?) << 32 | u64::from(order.u32(block, 16)?);
        let captured = order.u32(block, 20)? as usize;
        let end = 28usize.checked_add(captured)?;
        block.get(28..end)?;
        let Some(interface) = self.interfaces.get(number as usize) else {
            return Some(Err(Damage::Interface(number)));
        };
        let flags = order.options(block, 28usize.checked_add(padded(captured))?);
        let flags = flags.filter(|(code, _)| *code == EPB_FLAGS).last();
        let direction = flags.and_then(|(_, value)| match order.u32(value, 0)? & 3 {
            1 => Some(Direction::Inbound),
            2 => Some(Direction::Outbound),
            _ => None,
        });
        let time = interface.nanoseconds(raw);
        self.find(Found { interface: number, time, direction, frame: 28..end });
        Some(Ok(()))
    }

    fn simple_packet(&mut self) -> Option<Result<()>> {
        let original = self.order.u32(&self.block, 8)? as usize;
        let Some(interface) = self.interfaces.first() else {
            return Some(Err(Damage::Interface(0)));
        };
        let snaplen = if interface.snaplen == 0 { usize::MAX } else { interface.snaplen as usize };
        let end = 12usize.checked_add(original.min(snaplen))?;
        self.block.get(12..end)?;
        self.find(Found { interface: 0, time: self.time, direction: None, frame: 12..end });
        Some(Ok(()))
    }

    fn find(&mut self, found: Found) {
        self.time = found.time;
        self.found = Some(found);
    }

    /// Passes over a block that tells us nothing; `block` has what was read of it.
    fn skip(&mut self, length: u32) -> Result<(), Stop> {
        let rest = i64::from(length).saturating_sub(self.block.len() as i64 + 4);
        self.source.seek_relative(rest)?;
        self.next = self.next.saturating_add(rest.unsigned_abs());
        let have = self.block.len();
        self.fill(4)?; // seeking goes past the end of a file without a word
        let trailer = self.order.u32(&self.block, have).unwrap_or(0);
        if trailer == length { Ok(()) } else { Err(Damage::Trailer(length, trailer).into()) }
    }

    /// Reads bytes behind those in `block`, which grows only by what is really there.
    fn fill(&mut self, bytes: u32) -> Result<(), Stop> {
        let read = self.source.by_ref().take(bytes.into()).read_to_end(&mut self.block)?;
        self.next = self.next.saturating_add(read as u64);
        if read == bytes as usize { Ok(()) } else { Err(Damage::Truncated.into()) }
    }

    /// As `fill`, but `false` when there is not a single byte any more.
    fn fill_or_end(&mut self, bytes: u32) -> Result<bool, Stop> {
        match self.fill(bytes) {
            Err(Stop::Damage(_)) if self.block.is_empty() => Ok(false),
            other => other.map(|()| true),
        }
    }
}

impl Interface {
    fn nanoseconds(&self, raw: u64) -> u64 {
        let since = u128::from(raw) * u128::from(NANO);
        let since = since.checked_div(self.resolution).unwrap_or(0);
        let offset = i128::from(self.offset) * i128::from(NANO);
        let time = i128::try_from(since).unwrap_or(0).saturating_add(offset);
        u64::try_from(time.max(0)).unwrap_or(u64::MAX)
    }
}
