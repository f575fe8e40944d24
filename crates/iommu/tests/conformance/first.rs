//! The first stage (VT-d 3.6, 9.7): widths, sizes, rights, accessed and dirty bits.

use std::sync::Barrier;
use std::thread;

use siov_iommu::{Config, Request, Unit};
use siov_mem::Iova;
use siov_spec::vtd::{FaultReason, FsPage4K, PasidTableEntry, unit};

use crate::common::{
    EXECUTE, HOLE, Machine, PASID, PS, READ, RID, SUPERVISOR, SUPERVISOR_EXECUTE, SUPERVISOR_WRITE,
    WRITE, entry_at, first_entry, fs, uncached, with_stage,
};

const A: u64 = 1 << 5;
const D: u64 = 1 << 6;
const EA: u64 = 1 << 10;

/// A first stage of 4 levels that maps the first page with `leaf`, all requests let in; gives the place of
/// the leaf and of the top table.
fn page(leaf: u64, change: impl Fn(PasidTableEntry) -> PasidTableEntry) -> (Machine, u64, u64) {
    let entry = |top| change(first_entry(top, 4).with_SRE(true).with_ERE(true));
    let (mut m, top) = with_stage(&uncached(), entry);
    let at = m.map(top, 4, 0, 1, leaf, fs);
    (m, at, top)
}

#[test]
fn first_stages_of_4_and_5_levels_translate_pages_of_every_size() {
    for levels in 4..=5 {
        let (mut m, top) = with_stage(&uncached(), |top| first_entry(top, levels));
        // The upper half of the address space: the sign is extended.
        let high = u64::MAX << (12 + 9 * u64::from(levels) - 1);
        m.map(top, levels, high | 0x5000, 1, fs(0x7000), fs);
        m.map(top, levels, high | 0x20_0000, 2, fs(0x60_0000 | PS), fs);
        m.map(top, levels, high | 0x4000_0000, 3, fs(0x8000_0000 | PS), fs);
        assert_eq!(m.pasid_dma(high | 0x5123, READ), Ok(0x7123), "{levels} levels, 4 KiB");
        assert_eq!(m.pasid_dma(high | 0x21_5123, WRITE), Ok(0x61_5123), "{levels} levels, 2 MiB");
        assert_eq!(m.pasid_dma(high | 0x4765_4321, READ), Ok(0x8765_4321), "{levels}, 1 GiB");
    }
}

#[test]
fn an_address_that_is_not_canonical_is_sgn_1() {
    for (levels, sign) in [(4, 47), (5, 56)] {
        let (mut m, top) = with_stage(&uncached(), |top| first_entry(top, levels));
        m.map(top, levels, 0, 1, fs(0x7000), fs);
        assert_eq!(m.pasid_dma(1 << sign, READ), Err(FaultReason::SGN_1), "{levels} levels");
        assert_eq!(m.pasid_dma(1 << 63, READ), Err(FaultReason::SGN_1));
        let lowest = u64::MAX << sign;
        assert_eq!(m.pasid_dma(lowest, READ), Err(FaultReason::SFS_2));
        assert_eq!(m.pasid_dma(lowest - 1, READ), Err(FaultReason::SGN_1));
    }
}

#[test]
fn an_entry_that_is_not_present_is_sfs_2_at_every_level() {
    let (mut m, leaf, top) = page(fs(0x7000), |entry| entry);
    assert_eq!(m.pasid_dma(0x1000, READ), Err(FaultReason::SFS_2));
    assert_eq!(m.pasid_dma(1 << 39, READ), Err(FaultReason::SFS_2));
    m.put(leaf, &[fs(0x7000) & !1]);
    assert_eq!(m.pasid_dma(0, READ), Err(FaultReason::SFS_2));
    m.put(top, &[!1]);
    assert_eq!(m.pasid_dma(0, READ), Err(FaultReason::SFS_2), "its other bits do not count");
}

#[test]
fn a_table_that_cannot_be_read_is_sfs_4_at_the_root_and_sfs_1_below() {
    let (mut m, _, top) = page(fs(0x7000), |entry| entry);
    m.put(top, &[fs(HOLE)]);
    assert_eq!(m.pasid_dma(0, READ), Err(FaultReason::SFS_1));
    m.put_pasid(RID, PASID, first_entry(HOLE, 4));
    assert_eq!(m.pasid_dma(0, READ), Err(FaultReason::SFS_4));
}

#[test]
fn reserved_bits_of_an_entry_are_sfs_3() {
    let (mut m, top) = with_stage(&Config { haw: 40, ..uncached() }, |top| first_entry(top, 4));
    let small = m.map(top, 4, 0, 1, fs(0x7000), fs);
    let large = m.map(top, 4, 0x20_0000, 2, fs(0x60_0000 | PS), fs);
    let huge = m.map(top, 4, 0x4000_0000, 3, fs(0x8000_0000 | PS), fs);
    let cases = [(small, 0, 40), (small, 0, 51), (large, 0x20_0000, 13), (large, 0x20_0000, 20)];
    let more = [(huge, 0x4000_0000, 13), (huge, 0x4000_0000, 29), (top, 0, 7), (small, 0, 63)];
    for (at, addr, bit) in cases.into_iter().chain(more) {
        let good = m.get(at);
        m.put(at, &[good | 1 << bit]);
        assert_eq!(m.pasid_dma(addr, READ), Err(FaultReason::SFS_3), "{addr:#x} bit {bit}");
        m.put(at, &[good]);
        assert!(m.pasid_dma(addr, READ).is_ok());
    }
    // PAT of a large page, what software may use, and PAT of a small one.
    for (at, addr, bit) in [(large, 0x20_0000, 12), (small, 0, 7), (small, 0, 9), (top, 0, 62)] {
        m.put(at, &[m.get(at) | 1 << bit]);
        assert!(m.pasid_dma(addr, READ).is_ok(), "{addr:#x} bit {bit}");
    }
}

#[test]
fn a_user_request_to_a_supervisor_page_is_sgn_2() {
    let (mut m, leaf, top) = page(fs(0x7000) & !4, |entry| entry);
    assert_eq!(m.pasid_dma(0, READ), Err(FaultReason::SGN_2));
    assert_eq!(m.pasid_dma(0, SUPERVISOR), Ok(0x7000));
    m.put(leaf, &[fs(0x7000)]);
    assert_eq!(m.pasid_dma(0, READ), Ok(0x7000));
    m.put(top, &[m.get(top) & !4]);
    assert_eq!(m.pasid_dma(0, READ), Err(FaultReason::SGN_2), "U/S counts at every level");
}

#[test]
fn a_user_write_to_a_read_only_page_is_sgn_6() {
    let (mut m, leaf, top) = page(fs(0x7000) & !2, |entry| entry);
    assert_eq!(
        (m.pasid_dma(0, READ), m.pasid_dma(0, WRITE)),
        (Ok(0x7000), Err(FaultReason::SGN_6))
    );
    m.put(leaf, &[fs(0x7000)]);
    m.put(top, &[m.get(top) & !2]);
    assert_eq!(m.pasid_dma(0, WRITE), Err(FaultReason::SGN_6), "R/W counts at every level");
}

#[test]
fn a_supervisor_may_write_read_only_pages_unless_wpe_is_set() {
    let (mut m, leaf, _) = page(fs(0x7000) & !2, |entry| entry);
    assert_eq!(m.pasid_dma(0, SUPERVISOR_WRITE), Ok(0x7000));
    assert_eq!(m.get(leaf) & D, D, "and it is marked dirty");
    assert_eq!(m.pasid_dma(0, WRITE), Err(FaultReason::SGN_6), "which lets no user write");
    let (mut m, _, _) = page(fs(0x7000) & !2, |entry| entry.with_WPE(true));
    assert_eq!(m.pasid_dma(0, SUPERVISOR_WRITE), Err(FaultReason::SGN_6));
}

#[test]
fn a_page_with_xd_is_not_executable_with_nxe_and_reserved_without() {
    let leaf = FsPage4K(fs(0x7000)).with_XD(true).0;
    let (mut m, at, top) = page(leaf, |entry| entry.with_NXE(true));
    assert_eq!(
        (m.pasid_dma(0, EXECUTE), m.pasid_dma(0, READ)),
        (Err(FaultReason::SGN_3), Ok(0x7000))
    );
    m.put(at, &[fs(0x7000)]);
    assert_eq!(m.pasid_dma(0, EXECUTE), Ok(0x7000));
    m.put(top, &[FsPage4K(m.get(top)).with_XD(true).0]);
    assert_eq!(m.pasid_dma(0, EXECUTE), Err(FaultReason::SGN_3), "XD counts at every level");
    let (mut m, _, _) = page(leaf, |entry| entry);
    assert_eq!(m.pasid_dma(0, READ), Err(FaultReason::SFS_3));
}

#[test]
fn smep_keeps_a_supervisor_from_executing_a_users_page() {
    let (mut m, leaf, _) = page(fs(0x7000), |entry| entry.with_SMEP(true));
    assert_eq!(m.pasid_dma(0, SUPERVISOR_EXECUTE), Err(FaultReason::SGN_3));
    assert_eq!(m.pasid_dma(0, EXECUTE), Ok(0x7000));
    m.put(leaf, &[fs(0x7000) & !4]);
    assert_eq!(m.pasid_dma(0, SUPERVISOR_EXECUTE), Ok(0x7000));
    let (mut m, _, _) = page(fs(0x7000), |entry| entry);
    assert_eq!(m.pasid_dma(0, SUPERVISOR_EXECUTE), Ok(0x7000));
}

#[test]
fn rights_that_a_cached_translation_lacks_are_not_lent_by_it() {
    let change = |top| first_entry(top, 4).with_SRE(true).with_ERE(true).with_SMEP(true);
    let (mut m, top) = with_stage(&Config::default(), change);
    m.map(top, 4, 0, 1, fs(0x7000) & !4, fs);
    m.map(top, 4, 0x1000, 1, fs(0x8000), fs);
    assert_eq!(m.pasid_dma(0, SUPERVISOR), Ok(0x7000));
    assert_eq!(m.pasid_dma(0, READ), Err(FaultReason::SGN_2));
    assert_eq!(m.pasid_dma(0x1000, READ), Ok(0x8000));
    assert_eq!(m.pasid_dma(0x1000, SUPERVISOR_EXECUTE), Err(FaultReason::SGN_3));
}

#[test]
fn every_entry_on_the_way_is_marked_accessed_and_the_pages_dirty_when_written() {
    let (mut m, leaf, top) = page(fs(0x7000), |entry| entry);
    assert_eq!(m.pasid_dma(0, READ), Ok(0x7000));
    let mut at = top;
    for level in (2..=4).rev() {
        let word = m.get(entry_at(at, 0, level));
        assert_eq!(word & (A | D | EA), A, "level {level}");
        at = word & !0xFFF;
    }
    assert_eq!(m.get(leaf) & (A | D | EA), A);
    assert_eq!(m.pasid_dma(0, WRITE), Ok(0x7000));
    assert_eq!(m.get(leaf) & (A | D | EA), A | D);
    assert_eq!(m.get(top) & D, 0, "tables are never dirty");
}

#[test]
fn large_pages_are_marked_where_they_are_mapped() {
    for level in 2..=3 {
        let (mut m, top) = with_stage(&uncached(), |top| first_entry(top, 4));
        let leaf = m.map(top, 4, 0, level, fs(PS), fs);
        assert_eq!(m.pasid_dma(0x5000, WRITE), Ok(0x5000));
        assert_eq!(m.get(leaf), fs(PS) | A | D, "level {level}");
    }
}

#[test]
fn a_write_after_a_read_marks_the_page_dirty_though_the_translation_is_cached() {
    let (mut m, top) = with_stage(&Config::default(), |top| first_entry(top, 4));
    let leaf = m.map(top, 4, 0, 1, fs(0x7000), fs);
    assert_eq!(m.pasid_dma(0, READ), Ok(0x7000));
    assert_eq!(m.get(leaf) & D, 0);
    assert_eq!(m.pasid_dma(0, WRITE), Ok(0x7000));
    assert_eq!(m.get(leaf) & D, D);
}

#[test]
fn a_request_that_is_refused_marks_no_page() {
    let (mut m, leaf, _) = page(fs(0x7000) & !2, |entry| entry);
    assert_eq!(m.pasid_dma(0, WRITE), Err(FaultReason::SGN_6));
    assert_eq!(m.get(leaf) & (A | D), 0);
}

#[test]
fn eafe_has_extended_accessed_bits_set_too() {
    let (mut m, leaf, top) = page(fs(0x7000), |entry| entry.with_EAFE(true));
    assert_eq!(m.pasid_dma(0, READ), Ok(0x7000));
    assert_eq!((m.get(leaf) & (A | EA), m.get(top) & (A | EA)), (A | EA, A | EA));
}

#[test]
fn a_translation_to_the_interrupt_range_is_sgn_8() {
    let (mut m, _, _) = page(fs(0xFEE0_0000), |entry| entry);
    assert_eq!(m.pasid_dma(0, WRITE), Err(FaultReason::SGN_8));
}

#[test]
fn a_page_that_two_units_mark_at_once_is_dirty_if_one_of_them_wrote() {
    const PAGES: u64 = 2000;
    let (mut m, top) = with_stage(&uncached(), |top| first_entry(top, 4));
    let leaves: Vec<u64> =
        (0..PAGES).map(|page| m.map(top, 4, page << 12, 1, fs(page << 12), fs)).collect();
    let mut other = Unit::new(&uncached());
    for (at, value) in [(unit::RTADDR::AT, m.r64(unit::RTADDR::AT)), (unit::GCMD::AT, 1 << 30)] {
        other.mmio_write(&m.memory.view(), at, &value.to_le_bytes());
    }
    other.mmio_write(&m.memory.view(), unit::GCMD::AT, &(1u32 << 31).to_le_bytes());
    let memory = &m.memory;
    let start = Barrier::new(2);
    let go = |unit: &mut Unit, access| {
        start.wait();
        for page in 0..PAGES {
            let request = Request { rid: RID, pasid: Some(PASID), addr: Iova(page << 12), access };
            unit.translate(&memory.view(), &request).unwrap();
        }
    };
    let unit = &mut m.unit;
    thread::scope(|scope| {
        scope.spawn(|| go(unit, WRITE));
        scope.spawn(|| go(&mut other, READ));
    });
    assert!(leaves.iter().all(|leaf| m.get(*leaf) & (A | D) == A | D));
}
