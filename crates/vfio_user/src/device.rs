//! What a device has to say and do to be served.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::io::Errno;
use siov_mem::{Iova, PAGE_SIZE, Perm, Region};
use thiserror::Error;

use crate::Client;

/// Numbers that VFIO gives to the regions and interrupts of a PCI function.
pub mod pci {
    /// Region of BAR 0; the other five BARs follow.
    pub const BAR0: u32 = 0;
    /// Region of the expansion ROM.
    pub const ROM: u32 = 6;
    /// Region of the configuration space.
    pub const CONFIG: u32 = 7;
    /// Region of the VGA ranges.
    pub const VGA: u32 = 8;
    /// Regions that a PCI function has at least, empty ones included.
    pub const NUM_REGIONS: usize = 9;
    /// Index of the legacy interrupt.
    pub const INTX: u32 = 0;
    /// Index of MSI.
    pub const MSI: u32 = 1;
    /// Index of MSI-X.
    pub const MSIX: u32 = 2;
    /// Index of the error notice.
    pub const ERR: u32 = 3;
    /// Index of the notice that the device wants to go.
    pub const REQ: u32 = 4;
    /// Interrupt indexes of a PCI function.
    pub const NUM_IRQS: usize = 5;
}

/// A device behind an [`Endpoint`](crate::Endpoint).
///
/// The methods are called from the thread that runs the endpoint, one at a time, in the order of
/// the client's messages. They may use shared memory of the client, but must not wait for memory
/// that is reached by messages: that is for the device's own threads.
pub trait Device: Send + Sync {
    /// Regions and interrupts; read when the endpoint is bound, and again when a client is attached: then what
    /// it may map can be another file than before, and nothing else may have changed.
    fn layout(&self) -> DeviceLayout;

    /// Fills `data` from a region. The range lies inside it; the region is readable.
    fn read(&self, region: u32, offset: u64, data: &mut [u8]) -> Result<(), Errno>;

    /// Writes `data` to a region. The range lies inside it; the region is writable.
    fn write(&self, region: u32, offset: u64, data: &[u8]) -> Result<(), Errno>;

    /// Goes back to the state after power-on; when it returns, no DMA of before is under way.
    fn reset(&self);

    /// A client has come and agreed on a version; an error is its answer, and it is not attached.
    fn attached(&self, client: Arc<Client>) -> Result<(), Errno>;

    /// The client of the last `attached` has gone; its handle does nothing any more.
    fn detached(&self);

    /// The client has mapped memory; an error is its answer, and nothing is mapped.
    ///
    /// For a device that does not reach memory through [`Client::dma`].
    fn dma_mapped(&self, _map: &DmaMapped<'_>) -> Result<(), Errno> {
        Ok(())
    }

    /// The client has unmapped all that lies from `first` to `last`; the answer goes out when this returns,
    /// and then nothing may reach the memory any more.
    fn dma_unmapped(&self, _first: Iova, _last: Iova) -> Result<(), Errno> {
        Ok(())
    }

    /// The client is about to change who hears of vectors; an error is its answer, and nothing changes.
    ///
    /// For a device that signals eventfds itself, rather than through [`Client::irqs`].
    fn irqs_set(&self, _index: u32, _change: IrqChange<'_>) -> Result<(), Errno> {
        Ok(())
    }
}

/// Memory that a client has mapped.
#[derive(Clone, Copy, Debug)]
pub struct DmaMapped<'a> {
    /// First address.
    pub iova: Iova,
    /// Bytes.
    pub size: u64,
    /// What a device may do there.
    pub perm: Perm,
    /// The region of the file that came along, and where in it the map begins; maps of one file share it.
    pub shared: Option<(&'a Arc<Region>, u64)>,
}

/// What a client wants done with the vectors of an index.
#[derive(Clone, Copy, Debug)]
pub enum IrqChange<'a> {
    /// Nothing is signalled any more.
    Disable,
    /// Vectors from this one on signal these eventfds.
    Assign(u32, &'a [OwnedFd]),
    /// So many vectors from this one on have no eventfd any more.
    Release(u32, u32),
}

/// The regions and interrupts of a device, by VFIO's numbers.
#[derive(Clone, Debug, Default)]
pub struct DeviceLayout {
    /// Regions by index; those of a PCI function are in [`pci`].
    pub regions: Vec<RegionLayout>,
    /// Interrupts by index.
    pub irqs: Vec<IrqLayout>,
}

/// One region.
#[derive(Clone, Debug, Default)]
pub struct RegionLayout {
    /// Bytes; 0 if the device does not have the region.
    pub size: u64,
    /// Whether the client may read.
    pub readable: bool,
    /// Whether the client may write.
    pub writable: bool,
    /// What of it the client may map instead.
    pub mmap: Option<RegionMmap>,
}

impl RegionLayout {
    /// A readable and writable region of `size` bytes, none of it mapped.
    pub fn trapped(size: u64) -> RegionLayout {
        RegionLayout { size, readable: true, writable: true, mmap: None }
    }
}

/// Memory behind a region, for the client to map.
#[derive(Clone, Debug)]
pub struct RegionMmap {
    /// The file.
    pub fd: Arc<OwnedFd>,
    /// Where the region begins in the file, in bytes.
    pub offset: u64,
    /// What may be mapped; the whole region if empty.
    pub areas: Vec<SparseArea>,
}

/// A part of a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SparseArea {
    /// Offset in the region, in bytes.
    pub offset: u64,
    /// Bytes.
    pub size: u64,
}

/// One interrupt index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IrqLayout {
    /// Vectors.
    pub count: u32,
    /// Whether the client may mask and unmask.
    pub maskable: bool,
    /// Whether a trigger masks the vector, as a level-triggered line needs.
    pub automasked: bool,
    /// Whether vectors can't be added without disabling the index first.
    pub noresize: bool,
}

/// What is wrong with a layout.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LayoutError {
    /// QEMU takes no more.
    #[error("{0} regions; a client takes 100 at most")]
    Regions(usize),
    /// QEMU takes no more.
    #[error("{0} interrupt indexes; a client takes 50 at most")]
    Irqs(usize),
    /// More vectors than any PCI function has.
    #[error("interrupt index {index} has {count} vectors; 2048 is the limit of MSI-X")]
    Vectors {
        /// Interrupt index.
        index: usize,
        /// Its vectors.
        count: u32,
    },
    /// A part to be mapped is not made of whole pages inside its region, or overlaps another.
    #[error("region {region}: {size:#x} bytes at {offset:#x} can't be mapped")]
    Area {
        /// Number of the region.
        region: usize,
        /// Offset of the part, in bytes.
        offset: u64,
        /// Bytes of the part.
        size: u64,
    },
}

impl DeviceLayout {
    /// Whether clients can make sense of it.
    pub fn check(&self) -> Result<(), LayoutError> {
        if self.regions.len() > 100 {
            return Err(LayoutError::Regions(self.regions.len()));
        }
        if self.irqs.len() > 50 {
            return Err(LayoutError::Irqs(self.irqs.len()));
        }
        for (index, irq) in self.irqs.iter().enumerate() {
            if irq.count > 2048 {
                return Err(LayoutError::Vectors { index, count: irq.count });
            }
        }
        self.regions.iter().enumerate().try_for_each(|(region, layout)| check_areas(region, layout))
    }
}

fn check_areas(region: usize, layout: &RegionLayout) -> Result<(), LayoutError> {
    let Some(mmap) = &layout.mmap else { return Ok(()) };
    let mut areas = mmap.areas.clone();
    if areas.is_empty() {
        areas.push(SparseArea { offset: 0, size: layout.size });
    }
    areas.sort_by_key(|area| area.offset);
    let mut free = 0;
    for SparseArea { offset, size } in areas {
        let end = offset.checked_add(size).filter(|end| *end <= layout.size);
        let whole = (offset | size | mmap.offset) % PAGE_SIZE == 0 && size > 0 && offset >= free;
        free = end.filter(|_| whole).ok_or(LayoutError::Area { region, offset, size })?;
    }
    Ok(())
}
