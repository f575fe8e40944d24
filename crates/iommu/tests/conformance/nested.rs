//! Nested translation (VT-d 3.8): every address of the first stage goes through the second.

use siov_iommu::{Config, Event};
use siov_spec::vtd::{FaultReason, PasidTableEntry};

use crate::common::{
    HOLE, Machine, PASID, PS, READ, RID, SUPERVISOR, WRITE, fs, nested_entry, ss, uncached,
};

const SS_A: u64 = 1 << 8;
const SS_D: u64 = 1 << 9;
const FS_A: u64 = 1 << 5;
const FS_D: u64 = 1 << 6;

/// A guest whose memory begins at `OFFSET` of the host's: guest-physical 0 is there, page by page.
const OFFSET: u64 = 0x200_0000;
/// The guest's tables, one for each level, from here on (guest-physical).
const TABLES: u64 = 0x1_0000;
/// The page that the guest maps at 0 (guest-physical).
const DATA: u64 = 0x8000;

struct Guest {
    m: Machine,
    second: u64,
    levels: (u8, u8),
}

impl Guest {
    fn new(config: &Config, levels: (u8, u8)) -> Self {
        let mut m = Machine::scalable(config, PasidTableEntry([0; 8]));
        let second = m.page();
        for page in 0..64 {
            m.map(second, levels.1, page << 12, 1, ss(OFFSET + (page << 12)), ss);
        }
        for level in (1..=levels.0).rev() {
            let next = if level == 1 { DATA } else { table(level - 1) };
            m.put(OFFSET + table(level), &[fs(next)]);
        }
        let mut guest = Self { m, second, levels };
        guest.program(|entry| entry);
        guest
    }

    fn program(&mut self, change: impl Fn(PasidTableEntry) -> PasidTableEntry) {
        let entry =
            nested_entry((table(self.levels.0), self.levels.0), (self.second, self.levels.1));
        self.m.put_pasid(RID, PASID, change(entry));
    }

    /// Where the second stage's entry of a guest-physical page is; it gets `entry`.
    fn remap(&mut self, guest: u64, entry: u64) -> u64 {
        self.m.map(self.second, self.levels.1, guest, 1, entry, ss)
    }
}

fn table(level: u8) -> u64 {
    TABLES + (u64::from(level) << 12)
}

#[test]
fn all_depths_nest_in_all_depths() {
    for first in 4..=5 {
        for second in 3..=5 {
            let mut guest = Guest::new(&uncached(), (first, second));
            assert_eq!(guest.m.pasid_dma(0x123, WRITE), Ok(OFFSET + DATA + 0x123));
        }
    }
}

#[test]
fn a_cold_walk_of_4_levels_in_4_reads_24_entries() {
    let mut guest = Guest::new(&uncached(), (4, 4));
    guest.m.pasid_dma(0, READ).unwrap();
    let before = guest.m.unit.counters().get(Event::MemoryReads);
    guest.m.pasid_dma(0, READ).unwrap();
    let tables_to_pasid = 4; // root, context, directory, PASID table
    assert_eq!(guest.m.unit.counters().get(Event::MemoryReads) - before, 24 + tables_to_pasid);
}

#[test]
fn a_translation_holds_for_the_smaller_page_of_the_two() {
    let mut guest = Guest::new(&uncached(), (4, 4));
    guest.m.put(OFFSET + table(2), &[fs(0x20_0000 | PS)]);
    guest.remap(0x20_5000, ss(0x70_0000));
    let small = guest.m.access(RID, Some(PASID), 0x5123, READ).unwrap();
    assert_eq!((small.hpa.0, small.page), (0x70_0123, 4096));

    let second = guest.second;
    guest.m.map(second, 4, 0x4000_0000, 3, ss(0x8000_0000 | PS), ss);
    guest.m.put(OFFSET + table(2), &[fs(0x4020_0000 | PS)]);
    let large = guest.m.access(RID, Some(PASID), 0x5123, READ).unwrap();
    assert_eq!((large.hpa.0, large.page), (0x8020_5123, 2 << 20));
}

#[test]
fn a_first_stage_root_beyond_the_second_stages_width_is_sfs_5() {
    let mut guest = Guest::new(&uncached(), (4, 3));
    guest.program(|entry| entry.with_FSPTPTR(1 << 27));
    assert_eq!(guest.m.pasid_dma(0, READ), Err(FaultReason::SFS_5));
}

#[test]
fn an_output_beyond_the_second_stages_width_is_sgn_5() {
    let mut guest = Guest::new(&uncached(), (4, 3));
    guest.m.put(OFFSET + table(1), &[fs(1 << 39)]);
    assert_eq!(guest.m.pasid_dma(0, READ), Err(FaultReason::SGN_5));
}

#[test]
fn a_table_of_the_guest_that_the_second_stage_does_not_map_is_sss_2() {
    let mut guest = Guest::new(&uncached(), (4, 4));
    guest.remap(table(2), 0);
    assert_eq!(guest.m.pasid_dma(0, READ), Err(FaultReason::SSS_2));
}

#[test]
fn a_table_of_the_guest_that_the_second_stage_lets_nobody_read_is_sfs_6_or_sfs_7() {
    let write_only = |at| (OFFSET + at) | 2;
    let mut guest = Guest::new(&uncached(), (4, 4));
    guest.remap(table(3), write_only(table(3)));
    assert_eq!(guest.m.pasid_dma(0, READ), Err(FaultReason::SFS_7));
    guest.remap(table(4), write_only(table(4)));
    assert_eq!(guest.m.pasid_dma(0, READ), Err(FaultReason::SFS_6));
}

#[test]
fn a_table_that_the_second_stage_leads_to_nowhere_is_sfs_4_or_sfs_1() {
    let mut guest = Guest::new(&uncached(), (4, 4));
    guest.remap(table(3), ss(HOLE));
    assert_eq!(guest.m.pasid_dma(0, READ), Err(FaultReason::SFS_1));
    guest.remap(table(4), ss(HOLE));
    assert_eq!(guest.m.pasid_dma(0, READ), Err(FaultReason::SFS_4));
}

#[test]
fn marks_in_the_guests_tables_need_write_in_the_second_stage() {
    let mut guest = Guest::new(&uncached(), (4, 4));
    guest.remap(table(2), (OFFSET + table(2)) | 1);
    assert_eq!(guest.m.pasid_dma(0, READ), Err(FaultReason::SFS_8));
    // An entry that has its marks needs none.
    guest.m.put(OFFSET + table(2), &[fs(table(1)) | FS_A]);
    assert_eq!(guest.m.pasid_dma(0, READ), Ok(OFFSET + DATA));
    // A page table entry that is accessed but not dirty can be read and not written.
    guest.remap(table(1), (OFFSET + table(1)) | 1);
    assert_eq!(guest.m.pasid_dma(0, READ), Ok(OFFSET + DATA));
    assert_eq!(guest.m.pasid_dma(0, WRITE), Err(FaultReason::SFS_8));
}

#[test]
fn the_second_stage_notes_that_the_guests_tables_were_marked() {
    let mut guest = Guest::new(&uncached(), (4, 4));
    guest.program(|entry| entry.with_SSADE(true));
    let leaf = guest.remap(table(2), ss(OFFSET + table(2)));
    let data = guest.remap(DATA, ss(OFFSET + DATA));
    assert_eq!(guest.m.pasid_dma(0, READ), Ok(OFFSET + DATA));
    assert_eq!(guest.m.get(leaf) & (SS_A | SS_D), SS_A | SS_D, "its A was set, by a write");
    assert_eq!(guest.m.get(data) & (SS_A | SS_D), SS_A, "the page was only read");
    assert_eq!(guest.m.pasid_dma(0, WRITE), Ok(OFFSET + DATA));
    assert_eq!(guest.m.get(data) & (SS_A | SS_D), SS_A | SS_D);
    assert_eq!(guest.m.get(OFFSET + table(1)) & (FS_A | FS_D), FS_A | FS_D);
}

#[test]
fn reading_the_guests_tables_does_not_make_them_dirty() {
    let mut guest = Guest::new(&uncached(), (4, 4));
    guest.program(|entry| entry.with_SSADE(true));
    let leaf = guest.remap(table(2), ss(OFFSET + table(2)));
    guest.m.put(OFFSET + table(2), &[fs(table(1)) | FS_A]);
    assert_eq!(guest.m.pasid_dma(0, READ), Ok(OFFSET + DATA));
    assert_eq!(guest.m.get(leaf) & (SS_A | SS_D), SS_A);
}

#[test]
fn both_stages_have_to_allow_an_access() {
    let mut guest = Guest::new(&uncached(), (4, 4));
    guest.remap(DATA, (OFFSET + DATA) | 1);
    assert_eq!(guest.m.pasid_dma(0, WRITE), Err(FaultReason::SGN_6));
    assert_eq!(guest.m.pasid_dma(0, READ), Ok(OFFSET + DATA));
    guest.remap(DATA, (OFFSET + DATA) | 2);
    assert_eq!(guest.m.pasid_dma(0, READ), Err(FaultReason::SGN_7));
    guest.remap(DATA, 0);
    assert_eq!(guest.m.pasid_dma(0, READ), Err(FaultReason::SSS_2));
}

#[test]
fn a_supervisors_write_to_a_read_only_page_still_needs_the_second_stage() {
    let mut guest = Guest::new(&Config::default(), (4, 4));
    guest.program(|entry| entry.with_SRE(true));
    guest.remap(DATA, (OFFSET + DATA) | 1);
    assert_eq!(guest.m.pasid_dma(0, SUPERVISOR), Ok(OFFSET + DATA));
    let write = crate::common::SUPERVISOR_WRITE;
    assert_eq!(guest.m.pasid_dma(0, write), Err(FaultReason::SGN_6));
}

#[test]
fn guest_addresses_may_be_wider_than_the_hosts() {
    let mut guest = Guest::new(&Config { haw: 40, ..uncached() }, (4, 4));
    guest.m.put(OFFSET + table(1), &[fs(1 << 45)]);
    guest.remap(1 << 45, ss(0x7000));
    assert_eq!(guest.m.pasid_dma(0, READ), Ok(0x7000));
}
