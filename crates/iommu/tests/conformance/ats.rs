//! Address Translation Services and device TLBs (VT-d 4, PCIe 10).

use siov_iommu::atc::{Atc, Refused};
use siov_iommu::ats::{Completion, MAX_PAGES};
use siov_iommu::{Access, Config, DeviceInvalidation, Event, Geometry, Request};
use siov_mem::{Hpa, Iova};
use siov_spec::vtd::{ContextEntry, FaultReason, PasidTableEntry, SsPage4K, TT};

use crate::common::{
    EXECUTE, Machine, PASID, PS, READ, RID, SUPERVISOR, WRITE, first_entry, fs, second_entry, ss,
    uncached, with_stage,
};

/// With DTE, and this entry made of the page for its top table.
fn scene(config: &Config, entry: impl FnOnce(u64) -> PasidTableEntry) -> (Machine, u64) {
    let (mut m, top) = with_stage(config, entry);
    let at = m.scalable_context_at(RID);
    m.put(at, &[m.get(at) | 1 << 2]);
    (m, top)
}

fn ask(
    m: &mut Machine,
    addr: u64,
    access: Access,
    pages: u32,
) -> Result<Vec<Completion>, FaultReason> {
    let request = Request { rid: RID, pasid: Some(PASID), addr: Iova(addr), access };
    let view = m.memory.view();
    m.unit.translation_request(&view, &request, pages, false).map_err(|fault| fault.reason)
}

fn one(m: &mut Machine, addr: u64, access: Access) -> Completion {
    ask(m, addr, access, 1).unwrap()[0]
}

fn translated(m: &mut Machine, addr: u64) -> Result<u64, FaultReason> {
    let request = Request { rid: RID, pasid: None, addr: Iova(addr), access: WRITE };
    let view = m.memory.view();
    m.unit.translated_request(&view, &request).map(|hpa| hpa.0).map_err(|fault| fault.reason)
}

#[test]
fn a_completion_says_where_a_page_is_and_what_may_be_done() {
    let (mut m, top) = scene(&uncached(), |top| second_entry(top, 4));
    for (n, rights) in [(1, 1), (2, 2), (3, 3)] {
        m.map(top, 4, n << 12, 1, 0x7000 | rights, ss);
        let done = one(&mut m, n << 12 | 0xABC, READ);
        assert_eq!((done.hpa, done.size), (Hpa(0x7000), 4096));
        assert_eq!((done.r, done.w), (rights & 1 != 0, rights & 2 != 0));
        assert_eq!(done.encode(), 0x7000 | u64::from(done.w) << 1 | u64::from(done.r));
    }
}

#[test]
fn s_and_the_lowest_zero_bit_tell_the_size_of_a_large_page() {
    let (mut m, top) = scene(&uncached(), |top| second_entry(top, 4));
    m.map(top, 4, 0x20_0000, 2, ss(0x60_0000 | PS), ss);
    m.map(top, 4, 0x4000_0000, 3, ss(0x8000_0000 | PS), ss);
    let done = one(&mut m, 0x2F_F000, READ);
    assert_eq!((done.hpa, done.size, done.s()), (Hpa(0x60_0000), 2 << 20, true));
    assert_eq!(done.encode(), 0x60_0000 | 0xF_F000 | 1 << 11 | 0b11);
    let done = one(&mut m, 0x4000_0000, READ);
    assert_eq!(done.encode(), 0x8000_0000 | 0x1FFF_F000 | 1 << 11 | 0b11);
}

#[test]
fn n_is_snp_of_the_page() {
    let (mut m, top) = scene(&uncached(), |top| second_entry(top, 4));
    m.map(top, 4, 0, 1, SsPage4K(ss(0x7000)).with_SNP(true).0, ss);
    m.map(top, 4, 0x1000, 1, ss(0x8000), ss);
    assert_eq!(one(&mut m, 0, READ).encode() >> 10 & 1, 1);
    assert_eq!(one(&mut m, 0x1000, READ).encode() >> 10 & 1, 0);
}

#[test]
fn the_interrupt_range_is_write_only_and_untranslated_only() {
    let (mut m, _) = scene(&uncached(), |top| second_entry(top, 4));
    let request = Request { rid: RID, pasid: None, addr: Iova(0xFEE0_1000), access: WRITE };
    let view = m.memory.view();
    let done = m.unit.translation_request(&view, &request, 1, false).unwrap()[0];
    drop(view);
    assert_eq!((done.r, done.w, done.u, done.s()), (false, true, true, false));
    assert_eq!(ask(&mut m, 0xFEE0_1000, WRITE, 1), Err(FaultReason::SGN_8), "with PASID");
}

#[test]
fn a_device_does_not_get_a_large_page_that_has_the_interrupt_range_in_it() {
    let (mut m, top) = scene(&Config::default(), |top| second_entry(top, 4));
    m.map(top, 4, 0xFEE0_0000, 2, ss(0x60_0000 | PS), ss);
    m.map(top, 4, 0x20_0000, 2, ss(0xFEE0_0000 | PS), ss);
    let done = one(&mut m, 0xFEF0_0000, READ);
    assert_eq!((done.hpa, done.size), (Hpa(0x70_0000), 4096));
    let done = one(&mut m, 0x30_0000, READ);
    assert_eq!((done.hpa, done.size), (Hpa(0xFEF0_0000), 4096));
}

#[test]
fn a_page_that_is_not_there_is_an_answer_without_rights_and_no_fault() {
    let (mut m, _) = scene(&uncached(), |top| first_entry(top, 4));
    let done = one(&mut m, 0x5000, READ);
    assert_eq!((done.r, done.w, done.encode() & 0xFFF), (false, false, 0));
    assert_eq!(m.record(0).1, 0);
    m.put_pasid(RID, PASID, PasidTableEntry([0; 8]));
    assert!(!one(&mut m, 0x5000, READ).r);
}

#[test]
fn execute_is_granted_only_when_asked_for_and_does_not_cost_the_right_to_read() {
    let entry = |top| first_entry(top, 4).with_ERE(true).with_NXE(true);
    let (mut m, top) = scene(&uncached(), entry);
    m.map(top, 4, 0, 1, fs(0x7000), fs);
    m.map(top, 4, 0x1000, 1, fs(0x8000) | 1 << 63, fs);
    let plain = one(&mut m, 0, READ);
    assert!(plain.r && !plain.execute);
    assert_eq!(one(&mut m, 0, EXECUTE).encode(), 0x7000 | 0b1011);
    assert_eq!(one(&mut m, 0x1000, EXECUTE).encode(), 0x8000 | 0b11);
    m.put_pasid(RID, PASID, entry(top).with_ERE(false));
    assert_eq!(ask(&mut m, 0, EXECUTE, 1), Err(FaultReason::SPT_5));
}

#[test]
fn privilege_and_global_are_told() {
    let (mut m, top) = scene(&uncached(), |top| first_entry(top, 4).with_SRE(true));
    m.map(top, 4, 0, 1, fs(0x7000) & !4 | 1 << 8, fs);
    assert_eq!(one(&mut m, 0, SUPERVISOR).encode(), 0x7000 | 1 << 5 | 1 << 4 | 0b11);
    assert!(!one(&mut m, 0, READ).r, "a user is answered without rights");
}

#[test]
fn a_request_that_may_write_marks_the_page_dirty_and_one_with_nw_does_not() {
    let (mut m, top) = scene(&uncached(), |top| first_entry(top, 4));
    let leaf = m.map(top, 4, 0, 1, fs(0x7000), fs);
    let request = Request { rid: RID, pasid: Some(PASID), addr: Iova(0), access: READ };
    let view = m.memory.view();
    let done = m.unit.translation_request(&view, &request, 1, true).unwrap()[0];
    drop(view);
    assert_eq!((done.r, done.w, m.get(leaf) >> 6 & 1), (true, false, 0));
    assert!(one(&mut m, 0, READ).w);
    assert_eq!(m.get(leaf) >> 6 & 1, 1);
}

#[test]
fn several_pages_are_answered_as_long_as_they_are_alike() {
    let (mut m, top) = scene(&uncached(), |top| second_entry(top, 4));
    for page in 0..40 {
        m.map(top, 4, page << 12, 1, ss(0x10_0000 + (page << 13)), ss);
    }
    m.map(top, 4, 0x20_0000, 2, ss(0x60_0000 | PS), ss);
    let done = ask(&mut m, 0, READ, 8).unwrap();
    let places: Vec<u64> = done.iter().map(|result| result.hpa.0).collect();
    assert_eq!(places, (0..8).map(|n| 0x10_0000 + (n << 13)).collect::<Vec<_>>());
    assert_eq!(ask(&mut m, 38 << 12, READ, 8).unwrap().len(), 2, "up to what is not there");
    assert_eq!(ask(&mut m, 0, READ, 1000).unwrap().len(), MAX_PAGES as usize);
    assert_eq!(ask(&mut m, 0, READ, 0).unwrap().len(), 1);
    m.map(top, 4, 0x1F_F000, 1, ss(0x9000), ss);
    assert_eq!(ask(&mut m, 0x1F_F000, READ, 8).unwrap().len(), 1, "the next one is larger");
    assert_eq!(ask(&mut m, (1 << 48) - 4096, READ, 8).unwrap().len(), 1, "the end of the space");
}

#[test]
fn without_dte_or_its_tt_both_kinds_of_requests_are_refused_counted_and_recorded() {
    let (mut m, top) = with_stage(&uncached(), |top| second_entry(top, 4));
    m.map(top, 4, 0, 1, ss(0x7000), ss);
    assert_eq!(ask(&mut m, 0, READ, 1), Err(FaultReason::SCT_5));
    assert_eq!(translated(&mut m, 0x7000), Err(FaultReason::SCT_5));
    assert_eq!(m.unit.counters().get(Event::AtsBlocked), 2);
    let types = [0, 1].map(|n| m.record(n).1 >> 60 & 3);
    assert_eq!(types, [1, 2], "AT of a translation request and of a translated request");

    let (mut m, top) = Machine::legacy(&uncached(), 4);
    m.map(top, 4, 0, 1, ss(0x7000), ss);
    assert_eq!(translated(&mut m, 0x7000), Err(FaultReason::LCT_5));
    let at = m.context_at(RID);
    let entry = ContextEntry([m.get(at), m.get(at + 8)]).with_TT(TT::DEVICE_TLB as u8);
    m.put_context(RID, entry);
    assert_eq!(translated(&mut m, 0x7000), Ok(0x7000));
    assert_eq!(ask(&mut m, 0, READ, 1), Err(FaultReason::RTA_2), "legacy mode knows no PASIDs");
}

#[test]
fn translated_requests_go_where_they_say_but_not_to_the_interrupt_range() {
    let (mut m, _) = scene(&uncached(), |top| second_entry(top, 4));
    assert_eq!(translated(&mut m, 0x1234), Ok(0x1234));
    assert_eq!(translated(&mut m, 0xFEE0_0000), Err(FaultReason::SGN_8));
}

#[test]
fn a_broken_table_is_a_recorded_fault_of_a_translation_request() {
    let (mut m, top) = scene(&uncached(), |top| second_entry(top, 4));
    m.map(top, 4, 0, 1, ss(1 << 50), ss);
    assert_eq!(ask(&mut m, 0, READ, 1), Err(FaultReason::SSS_3));
    let (_, high) = m.record(0);
    assert_eq!((high >> 32 & 0xFF, high >> 60 & 3), (FaultReason::SSS_3 as u64, 1));
}

#[test]
fn with_translation_off_a_translation_request_is_refused_in_silence() {
    let mut m = Machine::new(&uncached());
    assert!(ask(&mut m, 0, READ, 1).is_err());
    assert_eq!(m.record(0).1, 0);
}

fn atc(m: &Machine) -> Atc {
    assert!(m.gsts().TES());
    let mut atc = Atc::new(RID, Geometry::Infinite);
    atc.enable(true);
    atc
}

/// Where it went, or the fault; `None` for what the completion does not permit.
fn dma(
    m: &mut Machine,
    atc: &mut Atc,
    addr: u64,
    access: Access,
) -> Result<u64, Option<FaultReason>> {
    let view = m.memory.view();
    let done = atc.access(&mut m.unit, &view, Some(PASID), Iova(addr), access);
    done.map(|hpa| hpa.0).map_err(|refused| match refused {
        Refused::Fault(fault) => Some(fault.reason),
        Refused::NotPermitted => None,
    })
}

#[test]
fn a_device_tlb_asks_once_and_then_knows() {
    let (mut m, top) = scene(&Config::default(), |top| first_entry(top, 4));
    m.map(top, 4, 0x20_0000, 2, fs(0x60_0000 | PS), fs);
    let mut tlb = atc(&m);
    assert_eq!(dma(&mut m, &mut tlb, 0x20_0123, WRITE), Ok(0x60_0123));
    assert_eq!(dma(&mut m, &mut tlb, 0x3F_F000, READ), Ok(0x7F_F000));
    let counted = tlb.counters();
    assert_eq!((counted.lookups, counted.hits, counted.requests, tlb.len()), (2, 1, 1, 1));
}

#[test]
fn a_write_after_a_read_asks_again_so_that_the_page_gets_dirty() {
    let (mut m, top) = scene(&Config::default(), |top| first_entry(top, 4));
    let leaf = m.map(top, 4, 0, 1, fs(0x7000), fs);
    let mut tlb = atc(&m);
    assert_eq!(dma(&mut m, &mut tlb, 0, READ), Ok(0x7000));
    assert_eq!(m.get(leaf) >> 6 & 1, 0);
    assert_eq!(dma(&mut m, &mut tlb, 0, WRITE), Ok(0x7000));
    assert_eq!((m.get(leaf) >> 6 & 1, tlb.counters().requests), (1, 2));
}

#[test]
fn what_a_completion_does_not_permit_is_not_tried_untranslated_and_no_fault() {
    let (mut m, top) = scene(&Config::default(), |top| first_entry(top, 4));
    m.map(top, 4, 0, 1, fs(0x7000) & !2, fs);
    let mut tlb = atc(&m);
    assert_eq!(dma(&mut m, &mut tlb, 0, WRITE), Err(None));
    assert_eq!(dma(&mut m, &mut tlb, 0x1000, READ), Err(None));
    assert_eq!(m.record(0).1, 0);
    assert_eq!(dma(&mut m, &mut tlb, 0, READ), Ok(0x7000), "the device TLB stays on");
}

#[test]
fn a_function_that_may_have_no_device_tlb_goes_untranslated_until_ats_is_enabled_again() {
    let (mut m, top) = with_stage(&uncached(), |top| first_entry(top, 4));
    m.map(top, 4, 0, 1, fs(0x7000), fs);
    let mut tlb = atc(&m);
    assert_eq!(dma(&mut m, &mut tlb, 0, READ), Ok(0x7000));
    assert_eq!(m.record(0).1 >> 60 & 3, 1, "the translation request is on record");
    let at = m.scalable_context_at(RID);
    m.put(at, &[m.get(at) | 1 << 2]);
    assert_eq!(dma(&mut m, &mut tlb, 0, READ), Ok(0x7000));
    assert_eq!((tlb.counters().requests, tlb.len()), (1, 0));
    tlb.enable(false);
    tlb.enable(true);
    assert_eq!(dma(&mut m, &mut tlb, 0, READ), Ok(0x7000));
    assert_eq!((tlb.counters().requests, tlb.len()), (2, 1));
}

#[test]
fn a_device_tlb_goes_by_nothing_that_was_invalidated() {
    let everything = DeviceInvalidation {
        rid: RID,
        pasid: Some(PASID),
        global: false,
        addr: 0,
        size: u64::MAX,
        itag: 0,
    };
    let cases = [
        (DeviceInvalidation { addr: 0x5000, size: 4096, ..everything }, true),
        (DeviceInvalidation { addr: 0x4000, size: 8192, ..everything }, true),
        (DeviceInvalidation { addr: 0x6000, size: 4096, ..everything }, false),
        (DeviceInvalidation { pasid: None, ..everything }, false),
        (DeviceInvalidation { pasid: None, global: true, ..everything }, true),
        (everything, true),
    ];
    for (what, gone) in cases {
        let (mut m, top) = scene(&uncached(), |top| first_entry(top, 4));
        let leaf = m.map(top, 4, 0x5000, 1, fs(0x7000), fs);
        let mut tlb = atc(&m);
        assert_eq!(dma(&mut m, &mut tlb, 0x5000, READ), Ok(0x7000));
        m.put(leaf, &[fs(0x9000)]);
        tlb.invalidate(&what);
        let expected = if gone { 0x9000 } else { 0x7000 };
        assert_eq!(dma(&mut m, &mut tlb, 0x5000, READ), Ok(expected), "{what:?}");
    }
}

#[test]
fn a_device_tlb_that_is_off_translates_nothing_and_forgets_all() {
    let (mut m, top) = scene(&uncached(), |top| first_entry(top, 4));
    m.map(top, 4, 0, 1, fs(0x7000), fs);
    let mut tlb = atc(&m);
    assert_eq!(dma(&mut m, &mut tlb, 0, READ), Ok(0x7000));
    tlb.enable(false);
    assert!(tlb.is_empty());
    assert_eq!(dma(&mut m, &mut tlb, 0, READ), Ok(0x7000));
    assert_eq!(tlb.counters().lookups, 1);
}

#[test]
fn a_device_tlb_is_no_way_around_dte() {
    let (mut m, top) = scene(&uncached(), |top| first_entry(top, 4));
    m.map(top, 4, 0, 1, fs(0x7000), fs);
    let mut tlb = atc(&m);
    assert_eq!(dma(&mut m, &mut tlb, 0, READ), Ok(0x7000));
    let at = m.scalable_context_at(RID);
    m.put(at, &[m.get(at) & !(1 << 2)]);
    assert_eq!(dma(&mut m, &mut tlb, 0, READ), Err(Some(FaultReason::SCT_5)));
}

#[test]
fn a_device_tlb_does_not_lend_a_supervisors_translation_to_a_user() {
    let (mut m, top) = scene(&Config::default(), |top| first_entry(top, 4).with_SRE(true));
    m.map(top, 4, 0, 1, fs(0x7000) & !4, fs);
    let mut tlb = atc(&m);
    assert_eq!(dma(&mut m, &mut tlb, 0, SUPERVISOR), Ok(0x7000));
    assert_eq!(dma(&mut m, &mut tlb, 0, READ), Err(None));
    assert_eq!(dma(&mut m, &mut tlb, 0, SUPERVISOR), Ok(0x7000));
}
