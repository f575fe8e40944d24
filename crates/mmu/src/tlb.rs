//! TLBs and paging-structure caches, and the tags that keep address spaces apart (SDM 3C 29.4).
//!
//! Without EPT there are *linear mappings*, tagged with VPID and PCID. With EPT there are *combined
//! mappings*, tagged with VPID, PCID and the address of the EPT root, and *guest-physical mappings*,
//! tagged with that address alone.

use siov_spec::ept::Eptp;

use crate::assoc::{Assoc, Key};
use crate::rights::Rights;
use crate::{PageSize, PscShape, TlbShape};

/// Set in the tag of combined and guest-physical mappings: a root at address 0 is a root too.
const EPT: u64 = 1 << 56;

/// The tag of an address space: bits 15:0 the VPID, bits 55:16 the EPT root's page number.
pub(crate) fn space(vpid: u16, eptp: Option<Eptp>) -> u64 {
    u64::from(vpid) | eptp.map_or(0, |eptp| EPT | eptp.ADDR() << 16)
}

/// The VPID of a tag.
pub(crate) fn vpid_of(space: u64) -> u16 {
    space as u16
}

/// Whether mappings with this tag have to do with this EPT root, or with any for `None`.
pub(crate) fn is_of_ept(tag: u64, eptp: Option<Eptp>) -> bool {
    match eptp {
        Some(eptp) => tag >> 16 == space(0, Some(eptp)) >> 16,
        None => tag & EPT != 0,
    }
}

/// A cached translation of a page.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mapping {
    /// Where the page begins.
    pub frame: u64,
    pub rights: Rights,
    /// The size of the guest's page, which EPT may have broken into smaller ones.
    pub guest_size: PageSize,
}

/// A TLB: one cache for each size of page.
#[derive(Clone, Debug)]
pub(crate) struct Tlb {
    sizes: [(PageSize, Assoc<Mapping>); 3],
}

impl Tlb {
    pub fn new(shape: TlbShape) -> Tlb {
        let sizes = [
            (PageSize::Size4K, Assoc::new(shape.page_4k)),
            (PageSize::Size2M, Assoc::new(shape.page_2m)),
            (PageSize::Size1G, Assoc::new(shape.page_1g)),
        ];
        Tlb { sizes }
    }

    /// Lines in use, by size of page.
    pub fn live(&self) -> [usize; 3] {
        self.sizes.each_ref().map(|(_, cache)| cache.live())
    }

    #[inline]
    pub fn find(&mut self, address: u64, pcid: u16, space: u64) -> Option<(Mapping, PageSize)> {
        self.sizes.iter_mut().find_map(|(size, cache)| {
            let mapping = cache.find(Key::new(address >> size.shift(), pcid, space))?;
            Some((mapping, *size))
        })
    }

    /// Keeps a mapping of `size` bytes around an address.
    #[inline]
    pub fn put(
        &mut self,
        address: u64,
        (pcid, space): (u16, u64),
        global: bool,
        size: PageSize,
        mapping: Mapping,
    ) {
        if let Some((_, cache)) = self.sizes.get_mut(size as usize) {
            cache.put(Key::new(address >> size.shift(), pcid, space), global, mapping);
        }
    }

    /// Forgets the mappings of an address that `doomed` picks by tag, PCID and whether global.
    ///
    /// Pieces of a large page of the guest go together. The look is at every line, for the tag need not
    /// be the current one.
    pub fn drop_address(
        &mut self,
        address: u64,
        mut doomed: impl FnMut(u64, u16, bool) -> bool,
    ) -> u64 {
        let pick = |(size, cache): &mut (PageSize, Assoc<Mapping>)| {
            let shift = size.shift();
            cache.drop_if(|key, global, mapping| {
                let first = key.page >> 12 << shift;
                (first ^ address) >> mapping.guest_size.max(*size).shift() == 0
                    && doomed(key.space, key.pcid(), global)
            })
        };
        self.sizes.iter_mut().map(pick).sum()
    }

    /// Forgets what would translate an address in one address space.
    pub fn drop_current(&mut self, address: u64, pcid: u16, space: u64) -> u64 {
        let drop = |(size, cache): &mut (PageSize, Assoc<Mapping>)| {
            cache.drop_key(Key::new(address >> size.shift(), pcid, space))
        };
        self.sizes.iter_mut().map(drop).sum()
    }

    /// Forgets the mappings that `doomed` picks by tag, PCID and whether global.
    pub fn drop_if(&mut self, mut doomed: impl FnMut(u64, u16, bool) -> bool) -> u64 {
        let drop = |(_, cache): &mut (PageSize, Assoc<Mapping>)| {
            cache.drop_if(|key, global, _| doomed(key.space, key.pcid(), global))
        };
        self.sizes.iter_mut().map(drop).sum()
    }
}

/// A table that a walk may begin at.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Table {
    /// Its address: a GPA for a guest's table, an HPA for EPT's.
    pub address: u64,
    /// What the entries above allow.
    pub rights: Rights,
}

/// Paging-structure caches: entries that point to tables, by their level.
#[derive(Clone, Debug)]
pub(crate) struct Psc {
    levels: [(u8, Assoc<Table>); 4],
}

impl Psc {
    pub fn new(shape: PscShape) -> Psc {
        let levels = [
            (2, Assoc::new(shape.pde)),
            (3, Assoc::new(shape.pdpte)),
            (4, Assoc::new(shape.pml4e)),
            (5, Assoc::new(shape.pml5e)),
        ];
        Psc { levels }
    }

    /// Lines in use, from the page directory up.
    pub fn live(&self) -> [usize; 4] {
        self.levels.each_ref().map(|(_, cache)| cache.live())
    }

    /// The lowest table known for an address, with the level of the entry that points to it.
    #[inline]
    pub fn find(&mut self, address: u64, pcid: u16, space: u64) -> Option<(u8, Table)> {
        self.levels.iter_mut().find_map(|(level, cache)| {
            let table = cache.find(Key::new(address >> entry_shift(*level), pcid, space))?;
            Some((*level, table))
        })
    }

    /// Keeps what the entry of a level points to.
    #[inline]
    pub fn put(&mut self, address: u64, (pcid, space): (u16, u64), level: u8, table: Table) {
        if let Some((_, cache)) = self.levels.get_mut(usize::from(level) - 2) {
            cache.put(Key::new(address >> entry_shift(level), pcid, space), false, table);
        }
    }

    /// Forgets the entries that a walk of an address would use.
    pub fn drop_current(&mut self, address: u64, pcid: u16, space: u64) -> u64 {
        let drop = |(level, cache): &mut (u8, Assoc<Table>)| {
            cache.drop_key(Key::new(address >> entry_shift(*level), pcid, space))
        };
        self.levels.iter_mut().map(drop).sum()
    }

    /// Forgets the entries that `doomed` picks by tag and PCID.
    pub fn drop_if(&mut self, mut doomed: impl FnMut(u64, u16) -> bool) -> u64 {
        let drop = |(_, cache): &mut (u8, Assoc<Table>)| {
            cache.drop_if(|key, _, _| doomed(key.space, key.pcid()))
        };
        self.levels.iter_mut().map(drop).sum()
    }
}

/// Address bits below those that an entry of a level translates.
#[inline]
pub(crate) const fn entry_shift(level: u8) -> u32 {
    3 + 9 * level as u32
}

/// Which of the 512 entries of a table translates an address.
#[inline]
pub(crate) const fn entry_index(address: u64, level: u8) -> u16 {
    (address >> entry_shift(level)) as u16 & 511
}

/// The part of a mapping that holds for an address.
#[inline]
pub(crate) fn in_page(frame: u64, address: u64, size: PageSize) -> u64 {
    frame | address & (size.bytes() - 1)
}
