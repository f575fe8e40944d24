//! Scalable mode (VT-d 3.4.3): root, context, PASID directory and table, and each fault on the way.

use siov_iommu::{Config, Pasid, Rid};
use siov_spec::vtd::{
    FSPM, FaultReason, PGTT, PasidDirectoryEntry, PasidTableEntry, ScalableContextEntry,
    ScalableRootEntry, TTM,
};

use crate::common::{
    EXECUTE, HOLE, Machine, PASID, READ, RID, SUPERVISOR, first_entry, fs, second_entry, ss,
    uncached, with_stage,
};

/// A first stage that maps the first page to 0x7000, for PASID.
fn scene(config: &Config) -> Machine {
    let (mut m, top) = with_stage(config, |top| first_entry(top, 4));
    m.map(top, 4, 0, 1, fs(0x7000), fs);
    m
}

fn context(m: &mut Machine) -> ScalableContextEntry {
    let at = m.scalable_context_at(RID);
    ScalableContextEntry([0, 1, 2, 3].map(|n| m.get(at + 8 * n)))
}

fn set_context(m: &mut Machine, entry: ScalableContextEntry) {
    let at = m.scalable_context_at(RID);
    m.put(at, &entry.0);
}

fn entry(m: &mut Machine) -> PasidTableEntry {
    let at = m.pasid_at(RID, PASID);
    PasidTableEntry([0, 1, 2, 3, 4, 5, 6, 7].map(|n| m.get(at + 8 * n)))
}

#[test]
fn a_root_table_that_cannot_be_read_is_srt_1() {
    let mut m = Machine::new(&uncached());
    m.root = HOLE;
    m.enable(TTM::SCALABLE);
    assert_eq!(m.dma(0, READ), Err(FaultReason::SRT_1));
}

#[test]
fn each_half_of_a_root_entry_serves_its_half_of_a_bus() {
    let mut m = scene(&uncached());
    let upper = Rid(RID.0 | 0x80);
    let refused = m.access(upper, Some(PASID), 0, READ).unwrap_err();
    assert_eq!(refused.reason, FaultReason::SRT_2, "the upper half is not present");

    let directory = context(&mut m).PASIDDIRPTR();
    let entry = ScalableContextEntry([0; 4]).with_PASIDE(true).with_PASIDDIRPTR(directory);
    m.put_scalable_context(upper, entry);
    let at = m.root + u64::from(RID.bus()) * 16;
    let both = ScalableRootEntry([m.get(at), m.get(at + 8)]);
    assert!(both.LP() && both.UP() && both.LCTP() != both.UCTP());
    assert_eq!(m.access(upper, Some(PASID), 0, READ).unwrap().hpa.0, 0x7000);
    let next = Rid(upper.0 + 1);
    assert_eq!(m.access(next, None, 0, READ).unwrap_err().reason, FaultReason::SCT_2);
}

#[test]
fn reserved_bits_count_in_the_half_of_a_root_entry_that_is_needed() {
    let mut m = scene(&Config { haw: 40, ..uncached() });
    let at = m.root + u64::from(RID.bus()) * 16;
    let low = m.get(at);
    m.put(at + 8, &[0xFFE]);
    assert_eq!(m.pasid_dma(0, READ), Ok(0x7000), "the upper half does not matter");
    for bit in [1, 11, 40, 63] {
        m.put(at, &[low | 1 << bit]);
        assert_eq!(m.pasid_dma(0, READ), Err(FaultReason::SRT_3), "bit {bit}");
    }
}

#[test]
fn a_context_entry_that_cannot_be_read_is_sct_1() {
    let mut m = scene(&uncached());
    m.put(m.root + u64::from(RID.bus()) * 16, &[HOLE | 1]);
    assert_eq!(m.pasid_dma(0, READ), Err(FaultReason::SCT_1));
}

#[test]
fn a_context_entry_that_is_not_present_is_sct_2() {
    let mut m = scene(&uncached());
    let absent = context(&mut m).with_P(false);
    set_context(&mut m, absent);
    assert_eq!(m.pasid_dma(0, READ), Err(FaultReason::SCT_2));
}

#[test]
fn reserved_bits_of_a_context_entry_are_sct_3() {
    let mut m = scene(&Config { haw: 40, ..uncached() });
    let good = context(&mut m);
    for (word, bit) in [(0, 5), (0, 8), (0, 40), (0, 63), (1, 21), (1, 63), (2, 0), (3, 63)] {
        let mut wrong = good;
        wrong.0[word] |= 1 << bit;
        set_context(&mut m, wrong);
        assert_eq!(m.pasid_dma(0, READ), Err(FaultReason::SCT_3), "word {word} bit {bit}");
    }
}

#[test]
fn requests_with_pasid_need_paside() {
    let mut m = scene(&uncached());
    let without = context(&mut m).with_PASIDE(false);
    set_context(&mut m, without);
    assert_eq!(m.pasid_dma(0, READ), Err(FaultReason::SCT_6));
    assert_eq!(m.dma(0, READ), Ok(0x7000), "a request without PASID has RID_PASID");
}

#[test]
fn a_request_without_pasid_has_rid_pasid() {
    let mut m = scene(&uncached());
    assert_eq!(m.dma(0x123, READ), Ok(0x7123));
    let other = context(&mut m).with_RID_PASID(PASID.0 + 1);
    set_context(&mut m, other);
    assert_eq!(m.dma(0x123, READ), Err(FaultReason::SPT_2));
}

#[test]
fn pdts_bounds_the_pasid() {
    let mut m = scene(&uncached());
    // 2^7 directory entries, each of 64 PASIDs.
    let last = Pasid((1 << 13) - 1);
    let good = entry(&mut m);
    m.put_pasid(RID, last, good);
    assert_eq!(m.access(RID, Some(last), 0, READ).unwrap().hpa.0, 0x7000);
    let beyond = Pasid(1 << 13);
    let fault = m.access(RID, Some(beyond), 0, READ).unwrap_err();
    assert_eq!(fault.reason, FaultReason::SCT_7);
    let wrong = context(&mut m).with_RID_PASID(beyond.0);
    set_context(&mut m, wrong);
    assert_eq!(m.dma(0, READ), Err(FaultReason::SCT_9));
}

#[test]
fn the_largest_directory_holds_all_pasids_of_20_bits() {
    let mut m = scene(&uncached());
    let directory = m.pages(32);
    let good = entry(&mut m);
    let large = context(&mut m).with_PASIDDIRPTR(directory >> 12).with_PDTS(7);
    set_context(&mut m, large);
    let last = Pasid(Pasid::END - 1);
    m.put_pasid(RID, last, good);
    assert_eq!(m.access(RID, Some(last), 0, READ).unwrap().hpa.0, 0x7000);
    let fault = m.access(RID, Some(Pasid(Pasid::END)), 0, READ).unwrap_err();
    assert_eq!(fault.reason, FaultReason::SCT_7);
}

#[test]
fn a_pdts_that_shrank_counts_once_the_context_cache_is_invalidated() {
    let mut m = scene(&Config::default());
    let directory = m.pages(2);
    let good = entry(&mut m);
    let large = context(&mut m).with_PASIDDIRPTR(directory >> 12).with_PDTS(1);
    set_context(&mut m, large);
    let pasid = Pasid(1 << 13);
    m.put_pasid(RID, pasid, good);
    assert!(m.access(RID, Some(pasid), 0, READ).is_ok());
    set_context(&mut m, large.with_PDTS(0));
    m.start_queue(true);
    assert!(m.submit_and_wait(&[crate::common::queue::CC_GLOBAL]));
    for _ in 0..2 {
        let fault = m.access(RID, Some(pasid), 0, READ).unwrap_err();
        assert_eq!(fault.reason, FaultReason::SCT_7);
    }
}

#[test]
fn a_pasid_directory_entry_that_cannot_be_read_is_spd_1() {
    let mut m = scene(&uncached());
    let lost = context(&mut m).with_PASIDDIRPTR(HOLE >> 12);
    set_context(&mut m, lost);
    assert_eq!(m.pasid_dma(0, READ), Err(FaultReason::SPD_1));
}

#[test]
fn a_pasid_directory_entry_that_is_not_present_is_spd_2() {
    let mut m = scene(&uncached());
    let at = m.directory_at(RID, PASID);
    m.put(at, &[m.get(at) & !1]);
    assert_eq!(m.pasid_dma(0, READ), Err(FaultReason::SPD_2));
}

#[test]
fn reserved_bits_of_a_pasid_directory_entry_are_spd_3() {
    let mut m = scene(&Config { haw: 40, ..uncached() });
    let at = m.directory_at(RID, PASID);
    let good = m.get(at);
    for bit in [2, 11, 40, 63] {
        m.put(at, &[good | 1 << bit]);
        assert_eq!(m.pasid_dma(0, READ), Err(FaultReason::SPD_3), "bit {bit}");
    }
}

#[test]
fn a_pasid_table_entry_that_cannot_be_read_is_spt_1() {
    let mut m = scene(&uncached());
    let at = m.directory_at(RID, PASID);
    let lost = PasidDirectoryEntry(0).with_P(true).with_SMPTBLPTR(HOLE >> 12);
    m.put(at, &[lost.0]);
    assert_eq!(m.pasid_dma(0, READ), Err(FaultReason::SPT_1));
}

#[test]
fn a_pasid_table_entry_that_is_not_present_is_spt_2() {
    let mut m = scene(&uncached());
    let absent = entry(&mut m).with_P(false);
    m.put_pasid(RID, PASID, absent);
    assert_eq!(m.pasid_dma(0, READ), Err(FaultReason::SPT_2));
}

#[test]
fn reserved_bits_of_a_pasid_table_entry_are_spt_3() {
    let mut m = scene(&Config { haw: 40, ..uncached() });
    let good = entry(&mut m);
    for (word, bit) in
        [(0, 10), (0, 11), (1, 16), (1, 22), (2, 8), (2, 11), (2, 40), (3, 0), (7, 63)]
    {
        let mut wrong = good;
        wrong.0[word] |= 1 << bit;
        m.put_pasid(RID, PASID, wrong);
        assert_eq!(m.pasid_dma(0, READ), Err(FaultReason::SPT_3), "word {word} bit {bit}");
    }
}

#[test]
fn a_pointer_that_no_stage_uses_is_ignored() {
    let mut m = scene(&Config { haw: 40, ..uncached() });
    let odd = entry(&mut m).with_SSPTPTR(u64::MAX).with_AW(7);
    m.put_pasid(RID, PASID, odd);
    assert_eq!(m.pasid_dma(0, READ), Ok(0x7000));
    let through = odd.with_PGTT(PGTT::PASS_THROUGH as u8).with_FSPTPTR(u64::MAX);
    m.put_pasid(RID, PASID, through);
    assert_eq!(m.pasid_dma(0, READ), Ok(0));
}

#[test]
fn what_the_unit_cannot_do_is_spt_4() {
    let config = Config { five_level: false, nested: false, sagaw: 0b0100, ..uncached() };
    let mut m = scene(&config);
    let good = entry(&mut m);
    let second = second_entry(0x10_0000, 4);
    let wrong = [
        good.with_PGTT(0),
        good.with_PGTT(5),
        good.with_FSPM(FSPM::LEVELS_5 as u8),
        good.with_FSPM(2),
        second.with_AW(1),
        second.with_AW(3),
        second.with_AW(0),
        second.with_PGTT(PGTT::NESTED as u8),
    ];
    for entry in wrong {
        m.put_pasid(RID, PASID, entry);
        assert_eq!(m.pasid_dma(0, READ), Err(FaultReason::SPT_4), "{entry:?}");
    }
}

#[test]
fn requests_to_execute_need_ere_and_requests_with_privilege_need_sre() {
    let mut m = scene(&uncached());
    assert_eq!(m.pasid_dma(0, EXECUTE), Err(FaultReason::SPT_5));
    assert_eq!(m.pasid_dma(0, SUPERVISOR), Err(FaultReason::SPT_6));
    let both = entry(&mut m).with_ERE(true).with_SRE(true);
    m.put_pasid(RID, PASID, both);
    assert_eq!(m.pasid_dma(0, EXECUTE), Ok(0x7000));
    assert_eq!(m.pasid_dma(0, SUPERVISOR), Ok(0x7000));
}

#[test]
fn rid_priv_gives_requests_without_pasid_their_privilege() {
    let (mut m, top) = with_stage(&uncached(), |top| first_entry(top, 4));
    let leaf = m.map(top, 4, 0, 1, fs(0x7000) & !4, fs);
    assert_eq!(m.dma(0, READ), Err(FaultReason::SGN_2), "a supervisor's page");
    let privileged = context(&mut m).with_RID_PRIV(true);
    set_context(&mut m, privileged);
    assert_eq!(m.dma(0, READ), Err(FaultReason::SPT_6));
    let with_sre = entry(&mut m).with_SRE(true);
    m.put_pasid(RID, PASID, with_sre);
    assert_eq!(m.dma(0, READ), Ok(0x7000));
    assert_eq!(
        m.pasid_dma(0, READ),
        Err(FaultReason::SGN_2),
        "a request with PASID says so itself"
    );
    m.put(leaf, &[0]);
    assert_eq!(m.dma(0, READ), Err(FaultReason::SFS_2));
}

#[test]
fn pass_through_leaves_addresses_alone_up_to_the_host_address_width() {
    let entry = PasidTableEntry([0; 8]).with_P(true).with_PGTT(PGTT::PASS_THROUGH as u8);
    let mut m = Machine::scalable(&Config { haw: 40, ..uncached() }, entry);
    assert_eq!(m.pasid_dma(0x12_3456, READ), Ok(0x12_3456));
    assert_eq!(m.dma((1 << 40) - 1, READ), Ok((1 << 40) - 1));
    assert_eq!(m.dma(1 << 40, READ), Err(FaultReason::SGN_4));
}

#[test]
fn a_request_with_pasid_into_the_interrupt_range_is_sgn_8_even_if_a_large_page_covers_it() {
    let (mut m, top) = with_stage(&Config::default(), |top| second_entry(top, 4));
    m.map(top, 4, 0xFEE0_0000, 2, ss(0x60_0000 | crate::common::PS), ss);
    assert_eq!(m.pasid_dma(0xFEF0_0000, READ), Ok(0x70_0000));
    let _ = m.dma(0xFEE0_0000, READ); // without PASID it is an interrupt request, and no business of the tables
    for _ in 0..2 {
        assert_eq!(m.pasid_dma(0xFEE0_0000, READ), Err(FaultReason::SGN_8));
        assert_eq!(m.pasid_dma(0xFEF0_0000, READ), Ok(0x70_0000));
    }
}
