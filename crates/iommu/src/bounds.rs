//! What bounds a unit's addresses and pages, and so which bits of a paging entry are reserved (VT-d 9.7, 9.8).

use siov_spec::vtd::{
    FsPage1G, FsPage2M, FsPage4K, FsTableEntry, SsPage1G, SsPage2M, SsPage4K, SsTableEntry,
};

const ADDRESS: u64 = SsTableEntry(0).with_ADDR((1 << 40) - 1).0;

/// The width of host addresses, and the bits of paging entries that must be zero.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Bits of a host physical address.
    pub haw: u32,
    /// The highest level at which the first stage has pages.
    pub first_page_level: u8,
    /// The highest level at which the second stage has pages.
    pub second_page_level: u8,
    /// Reserved bits of second-stage entries: of a table pointer, then of a page by its level.
    second: [u64; 4],
}

impl Bounds {
    /// Those of a unit with host addresses of `haw` bits, 39 to 52.
    pub fn new(haw: u32, device_tlb: bool) -> Self {
        let haw = haw.clamp(39, 52);
        let high = above(haw);
        // SNP is there with ECAP.SC, which this unit has; TM with ECAP.DT.
        let page = high | if device_tlb { 0 } else { SsPage4K(0).with_TM(true).0 };
        Self {
            haw,
            first_page_level: 3,
            second_page_level: 3,
            second: [
                SsTableEntry::RSVD | SsTableEntry(0).with_PS(true).0 | high,
                SsPage4K::RSVD | page,
                SsPage2M::RSVD | page,
                SsPage1G::RSVD | page,
            ],
        }
    }

    /// The reserved bits of a second-stage entry.
    #[inline]
    pub fn reserved_second(&self, level: u8, leaf: bool) -> u64 {
        let [table, small, medium, large] = self.second;
        match (leaf, level) {
            (false, _) => table,
            (true, 1) => small,
            (true, 2) => medium,
            (true, _) => large,
        }
    }

    /// The reserved bits of a first-stage entry; a nested one holds guest addresses of up to 52 bits.
    #[inline]
    pub fn reserved_first(&self, level: u8, leaf: bool, nxe: bool, nested: bool) -> u64 {
        let word = match (leaf, level) {
            (false, _) => FsTableEntry::RSVD | FsTableEntry(0).with_PS(true).0,
            (true, 1) => FsPage4K::RSVD,
            (true, 2) => FsPage2M::RSVD,
            (true, _) => FsPage1G::RSVD,
        };
        let execute = if nxe { 0 } else { FsPage4K(0).with_XD(true).0 };
        word | execute | above(if nested { 52 } else { self.haw })
    }
}

/// Address bits of an entry at and above a width.
fn above(width: u32) -> u64 {
    ADDRESS & !((1u64 << width) - 1)
}
