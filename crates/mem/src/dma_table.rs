//! Where a guest's memory lies in its I/O virtual address space.
//!
//! The rules are those of VFIO type 1 version 2: maps are whole pages, never overlap and never
//! wrap; an unmap takes whole maps, as many as lie in its range, and never splits one.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::dirty::DirtyBitmap;
use crate::fault::{DmaFault, DmaFaultReason, TableError};
use crate::{DirtyRun, Iova, PAGE_SIZE, Perm, Region, RegionFault};

/// What is behind a map.
#[derive(Debug)]
pub enum Backing {
    /// Memory that we share: the region, and where in it the map begins, in bytes.
    Region(Arc<Region>, u64),
    /// Memory that only its owner can reach, when asked with a message.
    Messages,
}

/// Where a part of an access lands.
#[derive(Debug)]
pub enum Place<'a> {
    /// In a region, at this offset in bytes.
    Region(&'a Region, u64),
    /// In memory that only its owner reaches.
    Messages,
}

/// A part of an access that lies in one map.
#[derive(Debug)]
pub struct Span<'a> {
    /// Its first address.
    pub iova: Iova,
    /// Its bytes.
    pub len: u64,
    /// Where it lands.
    pub place: Place<'a>,
}

/// A map as it can be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DmaMapInfo {
    /// First address.
    pub iova: Iova,
    /// Bytes.
    pub size: u64,
    /// What a device may do there.
    pub perm: Perm,
    /// Whether we share the memory, or have to ask for it with messages.
    pub shared: bool,
    /// Whether the memory was taken away.
    pub poisoned: bool,
}

/// Maps from I/O virtual addresses to memory; all methods can be called from any thread.
///
/// An access holds the table for as long as it touches memory of one map. So when an unmap
/// returns, no access is under way in what it took, and its mappings are gone.
pub struct DmaTable {
    maps: RwLock<Maps>,
    max_maps: usize,
}

#[derive(Default)]
struct Maps {
    by_start: BTreeMap<Iova, Map>,
    tracking: bool,
}

struct Map {
    last: Iova,
    perm: Perm,
    backing: Backing,
    dirty: Option<DirtyBitmap>,
}

impl DmaTable {
    /// An empty table for at most `max_maps` maps.
    pub fn new(max_maps: usize) -> DmaTable {
        DmaTable { maps: RwLock::default(), max_maps }
    }

    /// Whether a map of this range and permission would be taken now.
    pub fn check(&self, iova: Iova, size: u64, perm: Perm) -> Result<(), TableError> {
        self.check_in(&self.shared(), iova, size, perm).map(drop)
    }

    /// Maps `size` bytes from `iova` on.
    pub fn map(
        &self,
        iova: Iova,
        size: u64,
        perm: Perm,
        backing: Backing,
    ) -> Result<(), TableError> {
        if let Backing::Region(region, from) = &backing {
            let backed = region.len().saturating_sub(*from);
            if backed < size {
                return Err(TableError::Short { size, backed });
            }
        }
        let mut maps = self.exclusive();
        let last = self.check_in(&maps, iova, size, perm)?;
        let dirty = maps.tracking.then(|| bitmap_of(&backing, size)).flatten();
        maps.by_start.insert(iova, Map { last, perm, backing, dirty });
        Ok(())
    }

    /// Takes away all maps in `size` bytes from `iova` on, and gives the bytes they had.
    pub fn unmap(&self, iova: Iova, size: u64) -> Result<u64, TableError> {
        let last = last_of(iova, size)?;
        let mut maps = self.exclusive();
        for edge in [maps.holding(iova), maps.holding(last)].into_iter().flatten() {
            if *edge.0 < iova || edge.1.last > last {
                return Err(TableError::Splits(*edge.0));
            }
        }
        let starts: Vec<Iova> = maps.by_start.range(iova..=last).map(|(start, _)| *start).collect();
        let taken: Vec<(Iova, Map)> = starts
            .into_iter()
            .filter_map(|start| maps.by_start.remove(&start).map(|map| (start, map)))
            .collect();
        // The mappings go when `taken` does, after the lock: no access can find them any more.
        drop(maps);
        if taken.is_empty() {
            return Err(TableError::NotMapped { iova, size });
        }
        Ok(taken.iter().map(|(start, map)| bytes(*start, map.last)).sum())
    }

    /// Takes away all maps, and gives the bytes they had.
    pub fn unmap_all(&self) -> u64 {
        let taken = std::mem::take(&mut self.exclusive().by_start);
        taken.iter().map(|(start, map)| bytes(*start, map.last)).fold(0, u64::wrapping_add)
    }

    /// Fills `to` from `iova` on; memory that is not shared is a fault.
    pub fn read(&self, iova: Iova, to: &mut [u8]) -> Result<(), DmaFault> {
        let mut rest = to;
        let mut at = iova;
        while !rest.is_empty() {
            let len = self.visit(at, rest.len() as u64, Perm::READ, |span| span.read(rest))??;
            rest = rest.get_mut(len..).unwrap_or_default();
            at = advance(at, len, rest.is_empty())?;
        }
        Ok(())
    }

    /// Puts `from` at `iova`; memory that is not shared is a fault.
    pub fn write(&self, iova: Iova, from: &[u8]) -> Result<(), DmaFault> {
        let mut rest = from;
        let mut at = iova;
        while !rest.is_empty() {
            let len = self.visit(at, rest.len() as u64, Perm::WRITE, |span| span.write(rest))??;
            rest = rest.get(len..).unwrap_or_default();
            at = advance(at, len, rest.is_empty())?;
        }
        Ok(())
    }

    /// The aligned 32-bit word at `iova`, with acquire order.
    pub fn load_u32(&self, iova: Iova) -> Result<u32, DmaFault> {
        self.word(iova, 4, Perm::READ, Region::load_u32)
    }

    /// The aligned 64-bit word at `iova`, with acquire order.
    pub fn load_u64(&self, iova: Iova) -> Result<u64, DmaFault> {
        self.word(iova, 8, Perm::READ, Region::load_u64)
    }

    /// Sets the aligned 32-bit word at `iova`, with release order.
    pub fn store_u32(&self, iova: Iova, value: u32) -> Result<(), DmaFault> {
        self.word(iova, 4, Perm::WRITE, |region, offset| region.store_u32(offset, value))
    }

    /// Sets the aligned 64-bit word at `iova`, with release order.
    pub fn store_u64(&self, iova: Iova, value: u64) -> Result<(), DmaFault> {
        self.word(iova, 8, Perm::WRITE, |region, offset| region.store_u64(offset, value))
    }

    /// Gives `visit` the first part of an access of `len` bytes, as far as one map reaches.
    ///
    /// The table is held meanwhile: an unmap waits, and another access from inside `visit` could
    /// wait for that unmap for ever. A span for writing counts as written.
    pub fn visit<R>(
        &self,
        iova: Iova,
        len: u64,
        access: Perm,
        visit: impl FnOnce(Span<'_>) -> R,
    ) -> Result<R, DmaFault> {
        let maps = self.shared();
        let (start, map) =
            maps.holding(iova).ok_or(DmaFault { iova, reason: DmaFaultReason::NotMapped })?;
        if !map.perm.allows(access) {
            return Err(DmaFault { iova, reason: DmaFaultReason::Denied });
        }
        let offset = iova.0 - start.0;
        let len = len.min((map.last.0 - iova.0).saturating_add(1));
        let place = match &map.backing {
            Backing::Region(region, from) => Place::Region(region, from + offset),
            Backing::Messages => Place::Messages,
        };
        let result = visit(Span { iova, len, place });
        if let Some(dirty) = map.dirty.as_ref().filter(|_| access.allows(Perm::WRITE)) {
            dirty.mark(offset, len);
        }
        Ok(result)
    }

    /// Waits until the accesses that are under way have ended.
    pub fn fence(&self) {
        drop(self.exclusive());
    }

    /// Every map, by ascending address.
    pub fn maps(&self) -> Vec<DmaMapInfo> {
        let info = |(start, map): (&Iova, &Map)| DmaMapInfo {
            iova: *start,
            size: bytes(*start, map.last),
            perm: map.perm,
            shared: matches!(map.backing, Backing::Region(..)),
            poisoned: matches!(&map.backing, Backing::Region(r, _) if r.poisoned()),
        };
        self.shared().by_start.iter().map(info).collect()
    }

    /// How many maps there are.
    pub fn len(&self) -> usize {
        self.shared().by_start.len()
    }

    /// Whether nothing is mapped.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Begins, or ends, to note which shared pages are written; either way none is noted yet.
    pub fn track_dirty(&self, on: bool) {
        let mut maps = self.exclusive();
        maps.tracking = on;
        for (start, map) in &mut maps.by_start {
            let size = bytes(*start, map.last);
            map.dirty = if on { bitmap_of(&map.backing, size) } else { None };
        }
    }

    /// The pages written since tracking began or since the last harvest, by ascending address.
    ///
    /// Memory that is reached by messages is left to its owner, who does the writing.
    pub fn harvest_dirty(&self) -> Vec<DirtyRun> {
        let mut runs = Vec::new();
        for (start, map) in &self.shared().by_start {
            if let Some(dirty) = &map.dirty {
                dirty.harvest(*start, &mut runs);
            }
        }
        runs
    }

    fn word<R>(
        &self,
        iova: Iova,
        len: u64,
        access: Perm,
        op: impl FnOnce(&Region, u64) -> Result<R, RegionFault>,
    ) -> Result<R, DmaFault> {
        if !iova.0.is_multiple_of(len) {
            return Err(DmaFault { iova, reason: DmaFaultReason::Misaligned });
        }
        self.visit(iova, len, access, |span| span.with_region(op))?
    }

    fn check_in(&self, maps: &Maps, iova: Iova, size: u64, perm: Perm) -> Result<Iova, TableError> {
        let last = last_of(iova, size)?;
        if perm.is_none() {
            return Err(TableError::Perm);
        }
        if let Some((start, map)) = maps.by_start.range(..=last).next_back()
            && map.last >= iova
        {
            return Err(TableError::Overlap(*start));
        }
        if maps.by_start.len() >= self.max_maps {
            return Err(TableError::Full(self.max_maps));
        }
        Ok(last)
    }

    fn shared(&self) -> RwLockReadGuard<'_, Maps> {
        self.maps.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn exclusive(&self) -> RwLockWriteGuard<'_, Maps> {
        self.maps.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for DmaTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.maps()).finish()
    }
}

impl Maps {
    fn holding(&self, iova: Iova) -> Option<(&Iova, &Map)> {
        self.by_start.range(..=iova).next_back().filter(|(_, map)| map.last >= iova)
    }
}

impl Span<'_> {
    /// Fills the front of `to` with the bytes of the span, and gives how many they were.
    pub fn read(&self, to: &mut [u8]) -> Result<usize, DmaFault> {
        let len = self.len_in(to.len());
        let part = to.get_mut(..len).unwrap_or_default();
        self.with_region(|region, offset| region.read(offset, part)).map(|()| len)
    }

    /// Puts the front of `from` into the span, and gives how many bytes that were.
    pub fn write(&self, from: &[u8]) -> Result<usize, DmaFault> {
        let len = self.len_in(from.len());
        let part = from.get(..len).unwrap_or_default();
        self.with_region(|region, offset| region.write(offset, part)).map(|()| len)
    }

    fn len_in(&self, buffer: usize) -> usize {
        usize::try_from(self.len).map_or(buffer, |len| len.min(buffer))
    }

    fn with_region<R>(
        &self,
        op: impl FnOnce(&Region, u64) -> Result<R, RegionFault>,
    ) -> Result<R, DmaFault> {
        let fault = |reason| DmaFault { iova: self.iova, reason };
        match self.place {
            Place::Messages => Err(fault(DmaFaultReason::NotShared)),
            Place::Region(region, offset) => op(region, offset).map_err(|e| {
                fault(match e {
                    RegionFault::OutOfBounds { .. } => DmaFaultReason::NotMapped,
                    RegionFault::Denied => DmaFaultReason::Denied,
                    RegionFault::Poisoned => DmaFaultReason::Poisoned,
                    RegionFault::Misaligned { .. } => DmaFaultReason::Misaligned,
                })
            }),
        }
    }
}

fn last_of(iova: Iova, size: u64) -> Result<Iova, TableError> {
    if size == 0 || !size.is_multiple_of(PAGE_SIZE) || !iova.is_page_aligned() {
        return Err(TableError::Unaligned { iova, size });
    }
    iova.last_of(size).ok_or(TableError::Wraps { iova, size })
}

fn bytes(start: Iova, last: Iova) -> u64 {
    (last.0 - start.0).wrapping_add(1)
}

fn bitmap_of(backing: &Backing, size: u64) -> Option<DirtyBitmap> {
    matches!(backing, Backing::Region(..)).then(|| DirtyBitmap::new(size))
}

/// The address behind a part that is done; past the end of the space only nothing may be left.
fn advance(iova: Iova, len: usize, done: bool) -> Result<Iova, DmaFault> {
    match iova.checked_add(len as u64) {
        Some(next) => Ok(next),
        None if done => Ok(iova),
        None => Err(DmaFault { iova: Iova(u64::MAX), reason: DmaFaultReason::NotMapped }),
    }
}
