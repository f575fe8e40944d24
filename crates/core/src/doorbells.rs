//! Pages of a virtual device's BAR 0 that its client maps: memory in the place of the adapter's registers.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use siov_bus::{Bus, Hpa, Mmio};
use siov_mem::{PAGE_SIZE, Region, Word};
use siov_vfio_user::{Errno, RegionMmap, SparseArea};

/// The pages of one client: another never has the same file, for who has mapped it keeps it.
pub struct Doorbells {
    region: Arc<Region>,
    file: Arc<OwnedFd>,
    /// Offsets in BAR 0, which are those in the file.
    pages: Vec<u64>,
    /// The registers that are words of the pages, by who has them.
    shared: Vec<(Arc<dyn Mmio>, u64)>,
}

impl Doorbells {
    /// Puts memory in the place of registers: words of `pages` by offset, and their physical addresses.
    ///
    /// EBUSY when one of them does not answer now.
    pub fn open(
        bus: &Bus,
        pages: Vec<u64>,
        words: impl Iterator<Item = (u64, u64)>,
    ) -> Result<Self, Errno> {
        let end = pages.iter().map(|page| page + PAGE_SIZE).max().ok_or(Errno::INVAL)?;
        let (region, file) = Region::shared("doorbells", end).map_err(|_| Errno::NOMEM)?;
        let (region, file) = (Arc::new(region), Arc::new(file));
        let mut new = Self { region, file, pages, shared: Vec::new() };
        for (offset, hpa) in words {
            let word = Word::new(Arc::clone(&new.region), offset);
            let target = bus.mmio_target(Hpa(hpa), 4);
            let (Some(word), Some((target, at))) = (word, target) else {
                new.close();
                return Err(Errno::BUSY);
            };
            if !target.share(at, Some(word)) {
                new.close();
                return Err(Errno::BUSY);
            }
            new.shared.push((target, at));
        }
        Ok(new)
    }

    /// The registers are the adapter's own again; what is stored into the pages reaches nobody.
    pub fn close(&self) {
        for (target, at) in &self.shared {
            target.share(*at, None);
        }
    }

    /// What the client may map.
    pub fn mmap(&self) -> RegionMmap {
        let area = |page: &u64| SparseArea { offset: *page, size: PAGE_SIZE };
        RegionMmap {
            fd: Arc::clone(&self.file),
            offset: 0,
            areas: self.pages.iter().map(area).collect(),
        }
    }

    /// Whether the page of an offset is one of them.
    pub fn has(&self, offset: u64) -> bool {
        self.pages.contains(&(offset - offset % PAGE_SIZE))
    }

    /// Reads what is stored there.
    pub fn read(&self, offset: u64, data: &mut [u8]) -> Result<(), Errno> {
        self.region.read(offset, data).map_err(|_| Errno::FAULT)
    }

    /// Stores, as the client itself could.
    pub fn write(&self, offset: u64, data: &[u8]) -> Result<(), Errno> {
        self.region.write(offset, data).map_err(|_| Errno::FAULT)
    }

    /// Nothing of before is left in the pages.
    pub fn zap(&self) {
        for page in &self.pages {
            // Memory of our own, which nobody can cut short.
            let _ = self.region.write(*page, &[0; PAGE_SIZE as usize]);
        }
    }
}
