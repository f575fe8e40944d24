//! The second stage in scalable mode (VT-d 3.7, 9.8).

use siov_iommu::Config;
use siov_spec::vtd::{FaultReason, SsPage4K};

use crate::common::{
    EXECUTE, HOLE, PASID, PS, READ, RID, SUPERVISOR, WRITE, second_entry, ss, uncached, with_stage,
};

const A: u64 = 1 << 8;
const D: u64 = 1 << 9;

#[test]
fn second_stages_of_3_4_and_5_levels_translate_pages_of_every_size() {
    for levels in 3..=5 {
        let (mut m, top) = with_stage(&uncached(), |top| second_entry(top, levels));
        let high = 1 << (12 + 9 * u64::from(levels) - 1);
        m.map(top, levels, high | 0x5000, 1, ss(0x7000), ss);
        m.map(top, levels, high | 0x20_0000, 2, ss(0x60_0000 | PS), ss);
        m.map(top, levels, high | 0x4000_0000, 3, ss(0x8000_0000 | PS), ss);
        assert_eq!(m.pasid_dma(high | 0x5123, READ), Ok(0x7123), "{levels} levels, 4 KiB");
        assert_eq!(m.pasid_dma(high | 0x21_5123, WRITE), Ok(0x61_5123), "{levels} levels, 2 MiB");
        assert_eq!(m.dma(high | 0x4765_4321, READ), Ok(0x8765_4321), "{levels} levels, 1 GiB");
        assert_eq!(m.pasid_dma(high << 1, READ), Err(FaultReason::SGN_4));
    }
}

#[test]
fn a_table_that_cannot_be_read_is_sss_4_at_the_root_and_sss_1_below() {
    let (mut m, top) = with_stage(&uncached(), |top| second_entry(top, 4));
    m.put(top, &[ss(HOLE)]);
    assert_eq!(m.pasid_dma(0, READ), Err(FaultReason::SSS_1));
    m.put_pasid(RID, PASID, second_entry(HOLE, 4));
    assert_eq!(m.pasid_dma(0, READ), Err(FaultReason::SSS_4));
}

#[test]
fn an_entry_without_read_and_write_is_sss_2_whatever_else_it_says() {
    let (mut m, top) = with_stage(&uncached(), |top| second_entry(top, 4));
    let leaf = m.map(top, 4, 0, 1, !3, ss);
    assert_eq!(m.pasid_dma(0, READ), Err(FaultReason::SSS_2));
    m.put(leaf, &[ss(0x7000)]);
    m.put(top, &[!3]);
    assert_eq!(m.pasid_dma(0, WRITE), Err(FaultReason::SSS_2));
}

#[test]
fn reserved_bits_of_an_entry_are_sss_3() {
    let (mut m, top) = with_stage(&Config { haw: 40, ..uncached() }, |top| second_entry(top, 4));
    let small = m.map(top, 4, 0, 1, ss(0x7000), ss);
    let large = m.map(top, 4, 0x20_0000, 2, ss(0x60_0000 | PS), ss);
    let huge = m.map(top, 4, 0x4000_0000, 3, ss(0x8000_0000 | PS), ss);
    let cases = [(small, 0, 40), (large, 0x20_0000, 12), (large, 0x20_0000, 20), (top, 0, 7)];
    let more = [(huge, 0x4000_0000, 12), (huge, 0x4000_0000, 29), (top, 0, 11), (top, 0, 62)];
    for (at, addr, bit) in cases.into_iter().chain(more) {
        let good = m.get(at);
        m.put(at, &[good | 1 << bit]);
        assert_eq!(m.pasid_dma(addr, READ), Err(FaultReason::SSS_3), "{addr:#x} bit {bit}");
        m.put(at, &[good]);
        assert!(m.pasid_dma(addr, READ).is_ok());
    }
    for (at, bit) in [(small, 7), (small, 10), (small, 11), (small, 63), (top, 3), (top, 9)] {
        m.put(at, &[m.get(at) | 1 << bit]);
        assert!(m.pasid_dma(0, READ).is_ok(), "bit {bit}");
    }
}

#[test]
fn a_write_needs_w_and_a_read_needs_r_at_every_level() {
    let (mut m, top) = with_stage(&uncached(), |top| second_entry(top, 4));
    let page = SsPage4K(0x7000);
    let leaf = m.map(top, 4, 0, 1, page.with_R(true).0, ss);
    assert_eq!(
        (m.pasid_dma(0, READ), m.pasid_dma(0, WRITE)),
        (Ok(0x7000), Err(FaultReason::SGN_6))
    );
    m.put(leaf, &[page.with_W(true).0]);
    assert_eq!(
        (m.pasid_dma(0, READ), m.pasid_dma(0, WRITE)),
        (Err(FaultReason::SGN_7), Ok(0x7000))
    );
    m.put(leaf, &[ss(0x7000)]);
    m.put(top, &[m.get(top) & !1]);
    assert_eq!(
        (m.pasid_dma(0, READ), m.pasid_dma(0, WRITE)),
        (Err(FaultReason::SGN_7), Ok(0x7000))
    );
}

#[test]
fn x_counts_with_ssee_and_not_without() {
    let entry = |top| second_entry(top, 4).with_ERE(true);
    let (mut m, top) = with_stage(&uncached(), entry);
    let leaf = m.map(top, 4, 0, 1, ss(0x7000) & !4, ss);
    assert_eq!(m.pasid_dma(0, EXECUTE), Ok(0x7000));
    m.put_pasid(RID, PASID, entry(top).with_SSEE(true));
    assert_eq!(m.pasid_dma(0, EXECUTE), Err(FaultReason::SGN_3));
    assert_eq!(m.pasid_dma(0, READ), Ok(0x7000));
    m.put(leaf, &[ss(0x7000)]);
    assert_eq!(m.pasid_dma(0, EXECUTE), Ok(0x7000));
    m.put(top, &[m.get(top) & !4]);
    assert_eq!(m.pasid_dma(0, EXECUTE), Err(FaultReason::SGN_3));
}

#[test]
fn privilege_does_not_matter_to_a_second_stage() {
    let (mut m, top) = with_stage(&uncached(), |top| second_entry(top, 4).with_SRE(true));
    m.map(top, 4, 0, 1, ss(0x7000), ss);
    assert_eq!(m.pasid_dma(0, SUPERVISOR), Ok(0x7000));
}

#[test]
fn accessed_and_dirty_bits_are_set_with_ssade_only() {
    let (mut m, top) = with_stage(&uncached(), |top| second_entry(top, 4));
    let leaf = m.map(top, 4, 0, 1, ss(0x7000), ss);
    assert_eq!(m.pasid_dma(0, WRITE), Ok(0x7000));
    assert_eq!((m.get(leaf) & (A | D), m.get(top) & (A | D)), (0, 0));
    m.put_pasid(RID, PASID, second_entry(top, 4).with_SSADE(true));
    assert_eq!(m.pasid_dma(0, READ), Ok(0x7000));
    assert_eq!((m.get(leaf) & (A | D), m.get(top) & (A | D)), (A, A));
    assert_eq!(m.pasid_dma(0, WRITE), Ok(0x7000));
    assert_eq!((m.get(leaf) & (A | D), m.get(top) & (A | D)), (A | D, A));
}

#[test]
fn a_write_after_a_read_marks_the_page_dirty_though_the_translation_is_cached() {
    let config = Config::default();
    let (mut m, top) = with_stage(&config, |top| second_entry(top, 4).with_SSADE(true));
    let leaf = m.map(top, 4, 0, 2, ss(PS), ss);
    assert_eq!(m.pasid_dma(0x1000, READ), Ok(0x1000));
    assert_eq!(m.get(leaf) & D, 0);
    assert_eq!(m.pasid_dma(0x2000, WRITE), Ok(0x2000));
    assert_eq!(m.get(leaf) & D, D);
}

#[test]
fn a_translation_to_the_interrupt_range_is_sgn_8() {
    let (mut m, top) = with_stage(&Config::default(), |top| second_entry(top, 4));
    m.map(top, 4, 0, 3, ss(0xC000_0000 | PS), ss);
    assert_eq!(m.pasid_dma(0x3ED0_0000, WRITE), Ok(0xFED0_0000));
    assert_eq!(m.pasid_dma(0x3EE0_0000, WRITE), Err(FaultReason::SGN_8));
}
