//! Host physical memory: regions at physical addresses, as hardware that walks tables reaches them.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use thiserror::Error;

use crate::{Hpa, Region, RegionFault};

/// Physical addresses are handed out in pieces of this size, so that one look finds the region.
pub const GRANULE: u64 = 2 << 20;

/// The largest physical address space: a table of all that 52 bits allow would be too large.
pub const MAX_SIZE: u64 = 1 << 44;

/// Where a granule belongs to no region.
const HOLE: u32 = u32::MAX;

/// Why memory could not be put at a physical address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PlaceError {
    /// Regions begin at multiples of a granule.
    #[error("{0} is not a multiple of {GRANULE:#x} bytes")]
    Misaligned(Hpa),
    /// Past the last address.
    #[error("{len:#x} bytes at {at} leave the {size:#x} bytes of physical address space")]
    TooHigh {
        /// First address.
        at: Hpa,
        /// Bytes.
        len: u64,
        /// Bytes of address space.
        size: u64,
    },
    /// Something is there.
    #[error("{0} is taken")]
    Taken(Hpa),
    /// No stretch of free addresses is long enough.
    #[error("no {0:#x} bytes of physical address space are free in one piece")]
    Full(u64),
}

/// An access to physical memory that failed: nothing is there, or not for this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("physical address {0} can't be accessed")]
pub struct HostFault(pub Hpa);

/// A physical address space with regions in it; all methods can be called from any thread.
///
/// Accesses go through a [`HostView`], which holds the space as it is. So when [`remove`](Self::remove)
/// returns, no access is under way in what was removed.
#[derive(Debug)]
pub struct HostMemory {
    space: RwLock<Space>,
}

#[derive(Debug)]
struct Space {
    /// For each granule, the index of its region's slot.
    granules: Vec<u32>,
    slots: Vec<Option<Slot>>,
}

#[derive(Clone, Debug)]
struct Slot {
    base: u64,
    region: Arc<Region>,
}

impl HostMemory {
    /// An empty space of `size` bytes, rounded up to granules and at most [`MAX_SIZE`].
    pub fn new(size: u64) -> HostMemory {
        let granules = size.min(MAX_SIZE).div_ceil(GRANULE) as usize;
        HostMemory { space: RwLock::new(Space { granules: vec![HOLE; granules], slots: vec![] }) }
    }

    /// Puts a region at a physical address; the rest of its last granule stays a hole.
    pub fn place(&self, at: Hpa, region: Arc<Region>) -> Result<(), PlaceError> {
        self.space.write().unwrap_or_else(PoisonError::into_inner).place(at, region)
    }

    /// Puts a region at the lowest free address that is not below `from`, and tells which.
    pub fn place_anywhere(&self, from: Hpa, region: Arc<Region>) -> Result<Hpa, PlaceError> {
        let mut space = self.space.write().unwrap_or_else(PoisonError::into_inner);
        let at = space.find_free(from, region.len()).ok_or(PlaceError::Full(region.len()))?;
        space.place(at, region)?;
        Ok(at)
    }

    /// Takes out the region that begins at an address; `None` when none does.
    pub fn remove(&self, at: Hpa) -> Option<Arc<Region>> {
        let mut space = self.space.write().unwrap_or_else(PoisonError::into_inner);
        let index = *space.granules.get(granule_of(at.0))?;
        let slot = space.slots.get_mut(index as usize)?;
        let region = slot.take_if(|slot| slot.base == at.0)?.region;
        let span = space.granules.get_mut(granule_of(at.0)..)?;
        span.iter_mut().take(granules_in(region.len())).for_each(|granule| *granule = HOLE);
        Some(region)
    }

    /// The space as it is now, for accesses; it changes only when all views are gone.
    pub fn view(&self) -> HostView<'_> {
        HostView(self.space.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A physical address space that holds still.
pub struct HostView<'a>(RwLockReadGuard<'a, Space>);

impl HostView<'_> {
    /// The aligned 64-bit word at an address.
    #[inline]
    pub fn load_u64(&self, at: Hpa) -> Result<u64, HostFault> {
        let slot = self.slot(at)?;
        slot.region.load_u64(at.0 - slot.base).map_err(|_| HostFault(at))
    }

    /// Sets the aligned 64-bit word at an address.
    #[inline]
    pub fn store_u64(&self, at: Hpa, value: u64) -> Result<(), HostFault> {
        let slot = self.slot(at)?;
        slot.region.store_u64(at.0 - slot.base, value).map_err(|_| HostFault(at))
    }

    /// Sets bits of the aligned 64-bit word at an address in one step, if it still is `expected`.
    ///
    /// Gives the value that is there afterwards: the new one, or what somebody else has put there.
    pub fn compare_exchange_u64(&self, at: Hpa, expected: u64, new: u64) -> Result<u64, HostFault> {
        let slot = self.slot(at)?;
        let result = slot.region.compare_exchange_u64(at.0 - slot.base, expected, new);
        result.map_err(|_| HostFault(at))
    }

    /// Fills `to` from an address on.
    pub fn read(&self, at: Hpa, to: &mut [u8]) -> Result<(), HostFault> {
        self.each(at, to.len(), |slot, offset, from, len| {
            let part = to.get_mut(from..from + len).unwrap_or_default();
            slot.region.read(offset, part)
        })
    }

    /// Puts `from` at an address.
    pub fn write(&self, at: Hpa, from: &[u8]) -> Result<(), HostFault> {
        self.each(at, from.len(), |slot, offset, start, len| {
            slot.region.write(offset, from.get(start..start + len).unwrap_or_default())
        })
    }

    /// The region that an address belongs to, and where the region begins: for many accesses close together.
    #[inline]
    pub fn region_at(&self, at: Hpa) -> Option<(Hpa, &Region)> {
        self.slot(at).ok().map(|slot| (Hpa(slot.base), &*slot.region))
    }

    /// Whether anything is at an address.
    pub fn is_there(&self, at: Hpa) -> bool {
        self.slot(at).is_ok_and(|slot| at.0 - slot.base < slot.region.len())
    }

    #[inline]
    fn slot(&self, at: Hpa) -> Result<&Slot, HostFault> {
        let index = self.0.granules.get(granule_of(at.0)).copied().unwrap_or(HOLE);
        self.0.slots.get(index as usize).and_then(Option::as_ref).ok_or(HostFault(at))
    }

    /// Calls `access` for each region that a stretch touches: offset in it, bytes done before, bytes there.
    fn each(
        &self,
        at: Hpa,
        len: usize,
        mut access: impl FnMut(&Slot, u64, usize, usize) -> Result<(), RegionFault>,
    ) -> Result<(), HostFault> {
        let mut done = 0;
        while done < len {
            let here = Hpa(at.0.checked_add(done as u64).ok_or(HostFault(at))?);
            let slot = self.slot(here)?;
            let offset = here.0 - slot.base;
            let left = slot.region.len().saturating_sub(offset);
            let part = (len - done).min(usize::try_from(left).unwrap_or(usize::MAX));
            if part == 0 {
                return Err(HostFault(here));
            }
            access(slot, offset, done, part).map_err(|_| HostFault(here))?;
            done += part;
        }
        Ok(())
    }
}

impl fmt::Debug for HostView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Space {
    fn place(&mut self, at: Hpa, region: Arc<Region>) -> Result<(), PlaceError> {
        if !at.0.is_multiple_of(GRANULE) {
            return Err(PlaceError::Misaligned(at));
        }
        let (first, count) = (granule_of(at.0), granules_in(region.len()));
        let size = self.granules.len() as u64 * GRANULE;
        let too_high = PlaceError::TooHigh { at, len: region.len(), size };
        let span = self.granules.get_mut(first..).and_then(|rest| rest.get_mut(..count));
        let span = span.ok_or(too_high)?;
        if span.iter().any(|granule| *granule != HOLE) {
            return Err(PlaceError::Taken(at));
        }
        let free = self.slots.iter().position(Option::is_none).unwrap_or(self.slots.len());
        span.fill(u32::try_from(free).map_err(|_| PlaceError::Full(region.len()))?);
        let slot = Some(Slot { base: at.0, region });
        match self.slots.get_mut(free) {
            Some(place) => *place = slot,
            None => self.slots.push(slot),
        }
        Ok(())
    }

    fn find_free(&self, from: Hpa, len: u64) -> Option<Hpa> {
        let count = granules_in(len);
        let mut run = 0;
        for (n, granule) in self.granules.iter().enumerate().skip(from.0.div_ceil(GRANULE) as usize)
        {
            run = if *granule == HOLE { run + 1 } else { 0 };
            if run == count {
                return Some(Hpa((n + 1 - count) as u64 * GRANULE));
            }
        }
        None
    }
}

fn granule_of(at: u64) -> usize {
    usize::try_from(at / GRANULE).unwrap_or(usize::MAX)
}

fn granules_in(len: u64) -> usize {
    usize::try_from(len.div_ceil(GRANULE)).unwrap_or(usize::MAX)
}
