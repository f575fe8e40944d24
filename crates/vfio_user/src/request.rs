//! What a client asks for: message bodies, taken apart and checked as far as the bytes alone tell.

use rustix::io::Errno;
use siov_mem::{Iova, Perm};

use crate::wire::{
    Command, DMA_MAP_READ, DMA_MAP_WRITE, DMA_UNMAP_ALL, DMA_UNMAP_GET_DIRTY_BITMAP, Fields,
    MAX_DATA_XFER_SIZE, REGION_INFO_SIZE, WRITE_MULTI_ENTRY,
};

/// A request and what it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// `VERSION`: numbers, and the capabilities as NUL-terminated JSON.
    Version(u16, u16, &'a [u8]),
    /// `DMA_MAP`.
    DmaMap(DmaMap),
    /// `DMA_UNMAP`.
    DmaUnmap(DmaUnmap),
    /// `DEVICE_GET_INFO`.
    GetInfo,
    /// `DEVICE_GET_REGION_INFO`: room for the reply in bytes, and the region.
    GetRegionInfo(u32, u32),
    /// `DEVICE_GET_REGION_IO_FDS`: the region.
    GetRegionIoFds(u32),
    /// `DEVICE_GET_IRQ_INFO`: the interrupt index.
    GetIrqInfo(u32),
    /// `DEVICE_SET_IRQS`.
    SetIrqs(SetIrqs<'a>),
    /// `REGION_READ`.
    RegionRead(RegionAccess),
    /// `REGION_WRITE`, and its data.
    RegionWrite(RegionAccess, &'a [u8]),
    /// `REGION_WRITE_MULTI`.
    WriteMulti(WriteMulti<'a>),
    /// `DEVICE_RESET`.
    Reset,
}

/// The body of a `DMA_MAP`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DmaMap {
    /// What the device may do.
    pub perm: Perm,
    /// Offset in the file that comes along, in bytes.
    pub offset: u64,
    /// First address.
    pub iova: Iova,
    /// Bytes.
    pub size: u64,
}

/// The body of a `DMA_UNMAP`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DmaUnmap {
    /// Everything goes; address and size are 0.
    pub all: bool,
    /// First address.
    pub iova: Iova,
    /// Bytes.
    pub size: u64,
}

/// Where a region access goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegionAccess {
    /// Offset in the region, in bytes.
    pub offset: u64,
    /// Number of the region.
    pub region: u32,
    /// Bytes.
    pub count: u32,
}

/// What the data of a `DEVICE_SET_IRQS` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IrqData {
    None,
    Bool,
    Eventfd,
}

/// What a `DEVICE_SET_IRQS` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IrqAction {
    Mask,
    Unmask,
    Trigger,
}

/// The body of a `DEVICE_SET_IRQS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetIrqs<'a> {
    pub(crate) data: IrqData,
    pub(crate) action: IrqAction,
    /// Interrupt index.
    pub index: u32,
    /// First vector.
    pub start: u32,
    /// Vectors.
    pub count: u32,
    /// One byte for each vector, with `DATA_BOOL`.
    pub bools: &'a [u8],
}

/// The body of a `REGION_WRITE_MULTI`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteMulti<'a>(&'a [u8]);

impl<'a> WriteMulti<'a> {
    /// The writes, in the order in which they are to be done.
    pub fn writes(self) -> impl Iterator<Item = (RegionAccess, &'a [u8])> {
        self.0.chunks_exact(WRITE_MULTI_ENTRY).filter_map(|entry| {
            let mut fields = Fields(entry);
            let access = region_access(&mut fields)?;
            Some((access, fields.rest().get(..access.count as usize)?))
        })
    }
}

impl<'a> Request<'a> {
    /// Takes the body of a command apart.
    ///
    /// `ENOTSUP` for a command or flag of the specification that we don't offer, `EINVAL` for
    /// everything that is wrong with the bytes.
    pub fn parse(command: u16, body: &'a [u8]) -> Result<Request<'a>, Errno> {
        let command = Command::from_wire(command).ok_or(Errno::INVAL)?;
        match command {
            Command::DirtyPages
            | Command::DeviceFeature
            | Command::MigDataRead
            | Command::MigDataWrite => Err(Errno::NOTSUP),
            _ => parse_body(command, body).unwrap_or(Err(Errno::INVAL)),
        }
    }
}

/// `None` if the body is shorter than its fields.
fn parse_body(command: Command, body: &[u8]) -> Option<Result<Request<'_>, Errno>> {
    let mut fields = Fields(body);
    let request = match command {
        Command::Version => {
            return Some(Ok(Request::Version(fields.u16()?, fields.u16()?, fields.rest())));
        }
        Command::DmaMap => {
            exactly(body, 32)?;
            let flags = argsz_and_flags(&mut fields, 32)?;
            Request::DmaMap(DmaMap {
                perm: perm(flags)?,
                offset: fields.u64()?,
                iova: Iova(fields.u64()?),
                size: fields.u64()?,
            })
        }
        Command::DmaUnmap => return dma_unmap(body),
        Command::GetInfo => {
            exactly(body, 16)?;
            argsz_and_flags(&mut fields, 16)?;
            Request::GetInfo
        }
        Command::GetRegionInfo => {
            exactly(body, 32)?;
            let argsz = fields.u32().filter(|argsz| *argsz >= REGION_INFO_SIZE)?;
            fields.u32()?;
            Request::GetRegionInfo(argsz, fields.u32()?)
        }
        Command::GetRegionIoFds => {
            exactly(body, 16)?;
            let flags = argsz_and_flags(&mut fields, 16)?;
            let index = fields.u32()?;
            let count = fields.u32()?;
            (flags == 0 && count == 0).then_some(Request::GetRegionIoFds(index))?
        }
        Command::GetIrqInfo => {
            exactly(body, 16)?;
            argsz_and_flags(&mut fields, 16)?;
            Request::GetIrqInfo(fields.u32()?)
        }
        Command::SetIrqs => Request::SetIrqs(set_irqs(body)?),
        Command::RegionRead => {
            exactly(body, 16)?;
            Request::RegionRead(region_access(&mut fields)?)
        }
        Command::RegionWrite => {
            let access = region_access(&mut fields)?;
            exactly(fields.rest(), access.count as usize)?;
            Request::RegionWrite(access, fields.rest())
        }
        Command::WriteMulti => {
            let count = usize::try_from(fields.u64()?).ok()?;
            exactly(fields.rest(), count.checked_mul(WRITE_MULTI_ENTRY)?)?;
            let multi = WriteMulti(fields.rest());
            // `writes` passes over an entry of more than the 8 bytes there is room for.
            (multi.writes().count() == count).then_some(Request::WriteMulti(multi))?
        }
        Command::Reset => exactly(body, 0).map(|()| Request::Reset)?,
        // Ours to send, or not offered.
        _ => return None,
    };
    Some(Ok(request))
}

fn exactly(bytes: &[u8], len: usize) -> Option<()> {
    (bytes.len() == len).then_some(())
}

/// The flags behind an `argsz` that has to be `at_least` this.
fn argsz_and_flags(fields: &mut Fields<'_>, at_least: u32) -> Option<u32> {
    fields.u32().filter(|argsz| *argsz >= at_least)?;
    fields.u32()
}

fn perm(flags: u32) -> Option<Perm> {
    match flags {
        DMA_MAP_READ => Some(Perm::READ),
        DMA_MAP_WRITE => Some(Perm::WRITE),
        f if f == DMA_MAP_READ | DMA_MAP_WRITE => Some(Perm::READ_WRITE),
        _ => None,
    }
}

fn dma_unmap(body: &[u8]) -> Option<Result<Request<'_>, Errno>> {
    let mut fields = Fields(body);
    let flags = argsz_and_flags(&mut fields, 24)?;
    if flags & DMA_UNMAP_GET_DIRTY_BITMAP != 0 {
        return Some(Err(Errno::NOTSUP));
    }
    let unmap =
        DmaUnmap { all: flags == DMA_UNMAP_ALL, iova: Iova(fields.u64()?), size: fields.u64()? };
    exactly(fields.rest(), 0)?;
    let valid = if unmap.all { unmap.iova == Iova(0) && unmap.size == 0 } else { flags == 0 };
    valid.then_some(Ok(Request::DmaUnmap(unmap)))
}

fn set_irqs(body: &[u8]) -> Option<SetIrqs<'_>> {
    let mut fields = Fields(body);
    let argsz = fields.u32()?;
    let flags = fields.u32()?;
    let data = match flags & 0b111 {
        0b001 => IrqData::None,
        0b010 => IrqData::Bool,
        0b100 => IrqData::Eventfd,
        _ => return None,
    };
    let action = match flags >> 3 {
        0b001 => IrqAction::Mask,
        0b010 => IrqAction::Unmask,
        0b100 => IrqAction::Trigger,
        _ => return None,
    };
    let [index, start, count] = [fields.u32()?, fields.u32()?, fields.u32()?];
    let bools = if data == IrqData::Bool { count as usize } else { 0 };
    exactly(fields.rest(), bools)?;
    (argsz as usize >= body.len()).then_some(())?;
    Some(SetIrqs { data, action, index, start, count, bools: fields.rest() })
}

fn region_access(fields: &mut Fields<'_>) -> Option<RegionAccess> {
    let offset = fields.u64()?;
    let region = fields.u32()?;
    let count = fields.u32().filter(|count| *count <= MAX_DATA_XFER_SIZE)?;
    Some(RegionAccess { offset, region, count })
}
