//! What may be cached and what must not (VT-d 6.1, 6.2).

use siov_iommu::{CacheName, Config, Observer, Pasid, Request, Step, Table};
use siov_mem::Iova;
use siov_spec::vtd::{FaultReason, PasidTableEntry};

use crate::common::{
    Machine, PASID, PS, READ, RID, WRITE, first_entry, fs, second_entry, ss, uncached, with_stage,
};

#[test]
fn what_is_not_present_is_not_cached() {
    let mut m = Machine::scalable(&Config::default(), PasidTableEntry([0; 8]));
    assert_eq!(m.pasid_dma(0x5000, READ), Err(FaultReason::SPT_2));
    let top = m.page();
    m.put_pasid(RID, PASID, first_entry(top, 4));
    assert_eq!(m.pasid_dma(0x5000, READ), Err(FaultReason::SFS_2));
    let leaf = m.map(top, 4, 0x5000, 1, fs(0x7000) & !2, fs);
    assert_eq!(m.pasid_dma(0x5000, WRITE), Err(FaultReason::SGN_6));
    m.put(leaf, &[fs(0x7000)]);
    assert_eq!(m.pasid_dma(0x5000, WRITE), Ok(0x7000), "more rights need no invalidation");
}

#[test]
fn a_cached_translation_is_of_the_whole_page_and_no_more() {
    let (mut m, top) = with_stage(&Config::default(), |top| second_entry(top, 4));
    m.map(top, 4, 0x20_0000, 2, ss(0x60_0000 | PS), ss);
    assert_eq!(m.pasid_dma(0x20_0000, READ), Ok(0x60_0000));
    let reads = m.unit.counters().get(siov_iommu::Event::MemoryReads);
    assert_eq!(m.pasid_dma(0x3F_FFFF, READ), Ok(0x7F_FFFF));
    assert_eq!(m.unit.counters().get(siov_iommu::Event::MemoryReads), reads);
    assert_eq!(m.pasid_dma(0x40_0000, READ), Err(FaultReason::SSS_2));
}

#[test]
fn pasids_and_requesters_do_not_see_each_others_translations() {
    let (mut m, top) = with_stage(&Config::default(), |top| first_entry(top, 4));
    m.map(top, 4, 0x5000, 1, fs(0x7000), fs);
    let other = m.page();
    m.map(other, 4, 0x5000, 1, fs(0x9000), fs);
    m.put_pasid(RID, Pasid(99), first_entry(other, 4));
    for _ in 0..2 {
        assert_eq!(m.pasid_dma(0x5000, READ), Ok(0x7000));
        assert_eq!(m.access(RID, Some(Pasid(99)), 0x5000, READ).unwrap().hpa.0, 0x9000);
    }
}

/// Writes down what a walk tells.
#[derive(Default)]
struct Notes {
    steps: Vec<(Table, u32, u64)>,
    asked: Vec<(CacheName, bool)>,
}

impl Observer for Notes {
    fn step(&mut self, step: Step<'_>) {
        self.steps.push((step.table, step.index, step.at.0));
    }

    fn asked(&mut self, cache: CacheName, hit: bool) {
        self.asked.push((cache, hit));
    }
}

#[test]
fn an_observer_sees_every_entry_that_is_read_and_every_cache_that_is_asked() {
    for (config, cached) in [(uncached(), false), (Config::default(), true)] {
        let (mut m, top) = with_stage(&config, |top| first_entry(top, 4));
        let leaf = m.map(top, 4, 0x5000, 1, fs(0x7000), fs);
        m.pasid_dma(0x5000, READ).unwrap();
        let pasid_at = m.pasid_at(RID, PASID);
        let mut notes = Notes::default();
        let request = Request { rid: RID, pasid: Some(PASID), addr: Iova(0x5000), access: READ };
        let view = m.memory.view();
        m.unit.translate_observed(&view, &request, &mut notes).unwrap();
        assert!(notes.asked.contains(&(CacheName::Context, cached)));
        assert!(notes.asked.contains(&(CacheName::Pasid, cached)));
        assert!(notes.asked.contains(&(CacheName::Iotlb, cached)));
        if cached {
            assert!(notes.steps.is_empty());
            continue;
        }
        let tables: Vec<Table> = notes.steps.iter().map(|step| step.0).collect();
        use Table::*;
        let levels = [4, 3, 2, 1].map(FirstStage);
        let heads = [ScalableRoot, ScalableContext, PasidDirectory, PasidTable];
        assert_eq!(tables, [heads, levels].concat());
        assert_eq!(notes.steps[3], (PasidTable, PASID.0, pasid_at));
        assert_eq!(notes.steps[7], (FirstStage(1), 5, leaf));
        assert_eq!(notes.steps[0].1, u32::from(RID.bus()));
    }
}
