//! The unit's caches and their tags (VT-d 6.2).

use crate::cache::{Cache, Geometry, Key, PartitionBy};
use crate::paging::Position;
use crate::tables::{ContextInfo, PasidInfo};
use crate::types::{Did, Pasid, Rid, Rights};

/// How large each cache is.
#[derive(Clone, Copy, Debug)]
pub struct Geometries {
    /// Context entries.
    pub context: Geometry,
    /// PASID table entries.
    pub pasid: Geometry,
    /// Translations.
    pub iotlb: Geometry,
    /// First-stage paging structures.
    pub first: Geometry,
    /// Second-stage paging structures.
    pub second: Geometry,
    /// Interrupt remapping table entries.
    pub interrupt: Geometry,
}

impl Default for Geometries {
    fn default() -> Self {
        Self {
            context: Geometry::sets(16, 4),
            pasid: Geometry::sets(16, 4),
            iotlb: Geometry::sets(64, 8),
            first: Geometry::sets(16, 4),
            second: Geometry::sets(16, 4),
            interrupt: Geometry::sets(32, 4),
        }
    }
}

impl Geometries {
    /// No caches at all.
    pub const OFF: Self = Self {
        context: Geometry::Off,
        pasid: Geometry::Off,
        iotlb: Geometry::Off,
        first: Geometry::Off,
        second: Geometry::Off,
        interrupt: Geometry::Off,
    };
}

/// What a translation is tagged with: the domain, and the PASID if the first stage had a part in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tag {
    /// The domain.
    pub did: Did,
    /// The PASID; `None` for second-stage and pass-through translations.
    pub pasid: Option<Pasid>,
}

impl Tag {
    const fn bits(self) -> u64 {
        let pasid = match self.pasid {
            Some(pasid) => (pasid.0 as u64) << 1 | 1,
            None => 0,
        };
        pasid << 16 | self.did.0 as u64
    }

    fn partition(self, by: PartitionBy) -> u32 {
        match by {
            PartitionBy::Domain => self.did.0.into(),
            PartitionBy::Pasid => self.pasid.map_or(0, |pasid| pasid.0),
        }
    }
}

/// A page of a size, in a tagged address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PageKey {
    tag: u64,
    /// The page's number, with the level that its size belongs to in the top bits.
    frame: u64,
}

impl PageKey {
    /// The page of level 1 (4 KiB), 2 (2 MiB) or 3 (1 GiB) that holds an address.
    #[inline]
    pub fn new(tag: Tag, addr: u64, level: u8) -> Self {
        Self { tag: tag.bits(), frame: addr >> shift_of(level) | u64::from(level) << 60 }
    }

    /// The tag.
    pub fn tag(&self) -> Tag {
        let pasid = self.tag >> 16;
        let known = (pasid & 1 == 1).then_some(Pasid((pasid >> 1) as u32));
        Tag { did: Did(self.tag as u16), pasid: known }
    }

    /// First address and bytes.
    pub fn span(&self) -> (u64, u64) {
        let shift = shift_of((self.frame >> 60) as u8);
        ((self.frame & ((1 << 60) - 1)) << shift, 1 << shift)
    }

    /// Whether any address of the page lies in `size` bytes from `first`.
    pub fn meets(&self, first: u64, size: u64) -> bool {
        let (start, len) = self.span();
        start < first.saturating_add(size) && first < start.saturating_add(len)
    }
}

impl Key for PageKey {
    #[inline]
    fn spread(&self) -> u64 {
        self.frame ^ self.tag << 7
    }

    fn partition(&self, by: PartitionBy) -> u32 {
        self.tag().partition(by)
    }
}

impl Key for Rid {
    fn spread(&self) -> u64 {
        self.0.into()
    }
}

/// A PASID of a requester.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PasidKey {
    /// The requester.
    pub rid: Rid,
    /// The PASID.
    pub pasid: Pasid,
}

impl Key for PasidKey {
    fn spread(&self) -> u64 {
        u64::from(self.pasid.0) << 16 ^ u64::from(self.rid.0)
    }

    fn partition(&self, by: PartitionBy) -> u32 {
        if by == PartitionBy::Pasid { self.pasid.0 } else { 0 }
    }
}

/// A page as the IOTLB keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IotlbEntry {
    /// Where the page is.
    pub base: u64,
    /// What may be done there; writing only once everything on the way is marked dirty.
    pub rights: Rights,
    /// Both stages had a part in it.
    pub nested: bool,
}

/// All caches of a unit but the interrupt entry cache.
#[derive(Debug)]
pub struct Caches {
    /// Context entries, by requester.
    pub context: Cache<Rid, ContextInfo>,
    /// PASID table entries, by requester and PASID.
    pub pasid: Cache<PasidKey, PasidInfo>,
    /// Translations.
    pub iotlb: Cache<PageKey, IotlbEntry>,
    /// First-stage tables, by the level they are of.
    pub(crate) first: Cache<PageKey, Position>,
    /// Second-stage tables, by the level they are of.
    pub(crate) second: Cache<PageKey, Position>,
    /// Which page sizes the IOTLB may hold, a bit a level: others are not looked for.
    sizes: u8,
}

impl Caches {
    /// Empty caches.
    pub fn new(geometries: &Geometries) -> Self {
        Self {
            context: Cache::new(geometries.context),
            pasid: Cache::new(geometries.pasid),
            iotlb: Cache::new(geometries.iotlb),
            first: Cache::new(geometries.first),
            second: Cache::new(geometries.second),
            sizes: 0,
        }
    }

    /// The translation of an address, with the page's size in bytes.
    #[inline]
    pub fn lookup(&mut self, tag: Tag, addr: u64) -> Option<(IotlbEntry, u64)> {
        if self.sizes == 0 {
            return None;
        }
        for level in 1..=3 {
            if self.sizes >> level & 1 == 1
                && let Some(entry) = self.iotlb.get(&PageKey::new(tag, addr, level))
            {
                return Some((*entry, 1 << shift_of(level)));
            }
        }
        None
    }

    /// Keeps a translation of a page of `1 << shift_of(level)` bytes.
    pub fn keep(&mut self, tag: Tag, addr: u64, level: u8, entry: IotlbEntry) {
        if self.iotlb.is_off() {
            return;
        }
        self.sizes |= 1 << level;
        self.iotlb.insert(PageKey::new(tag, addr, level), entry);
    }

    /// Drops everything.
    pub fn clear(&mut self) {
        self.context.clear();
        self.pasid.clear();
        self.clear_translations();
    }

    /// Drops all translations and paging structures.
    pub fn clear_translations(&mut self) {
        self.iotlb.clear();
        self.first.clear();
        self.second.clear();
        self.sizes = 0;
    }
}

/// How many low bits of an address a page of this level leaves alone.
#[inline]
pub const fn shift_of(level: u8) -> u32 {
    12 + 9 * (level as u32).saturating_sub(1)
}
