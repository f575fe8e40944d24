//! What is counted, under the names of Linux's perfmon events, and for whom.

use siov_iommu::{Config, Did, Event, Filter, Pasid, Rid};
use siov_spec::vtd::ScalableContextEntry;

use crate::common::{
    DID, Machine, PASID, READ, RID, first_entry, fs, second_entry, ss, uncached, with_stage,
};

fn scene(config: &Config) -> Machine {
    let (mut m, top) = with_stage(config, |top| first_entry(top, 4));
    m.map(top, 4, 0x5000, 1, fs(0x7000), fs);
    m.map(top, 4, 0x6000, 1, fs(0x8000), fs);
    m
}

fn counts(m: &Machine) -> impl Fn(&str) -> u64 + use<> {
    let all: Vec<_> = m.unit.counters().all().collect();
    move |name| all.iter().find(|(have, _)| *have == name).unwrap_or_else(|| panic!("{name}")).1
}

#[test]
fn the_names_are_those_of_linux() {
    let names: Vec<&str> = Event::ALL.iter().map(|event| event.name()).collect();
    let expected = [
        "iommu_requests",
        "ats_blocked",
        "iommu_mrds",
        "pg_req_posted",
        "ctxt_cache_lookup",
        "ctxt_cache_hit",
        "pasid_cache_lookup",
        "pasid_cache_hit",
        "ss_nonleaf_lookup",
        "ss_nonleaf_hit",
        "fs_nonleaf_lookup",
        "fs_nonleaf_hit",
        "iotlb_lookup",
        "iotlb_hit",
        "int_cache_lookup",
        "int_cache_hit_nonposted",
        "int_cache_hit_posted",
    ];
    assert_eq!(names, expected);
}

#[test]
fn a_miss_and_a_hit_are_counted_step_by_step() {
    let mut m = scene(&Config::default());
    m.pasid_dma(0x5000, READ).unwrap();
    let miss = counts(&m);
    for (name, expected) in [
        ("iommu_requests", 1),
        ("ctxt_cache_lookup", 1),
        ("ctxt_cache_hit", 0),
        ("pasid_cache_lookup", 1),
        ("pasid_cache_hit", 0),
        ("iotlb_lookup", 1),
        ("iotlb_hit", 0),
        ("fs_nonleaf_lookup", 1),
        ("fs_nonleaf_hit", 0),
        ("iommu_mrds", 8),
    ] {
        assert_eq!(miss(name), expected, "{name} after a miss");
    }
    m.pasid_dma(0x5000, READ).unwrap();
    m.pasid_dma(0x6000, READ).unwrap();
    let after = counts(&m);
    for (name, expected) in [
        ("iommu_requests", 3),
        ("ctxt_cache_lookup", 3),
        ("ctxt_cache_hit", 2),
        ("pasid_cache_lookup", 3),
        ("pasid_cache_hit", 2),
        ("iotlb_lookup", 3),
        ("iotlb_hit", 1),
        ("fs_nonleaf_lookup", 2),
        ("fs_nonleaf_hit", 1),
        ("iommu_mrds", 9),
        ("ss_nonleaf_lookup", 0),
    ] {
        assert_eq!(after(name), expected, "{name} at the end");
    }
}

#[test]
fn without_caches_nothing_hits_and_every_read_is_counted() {
    let mut m = scene(&uncached());
    for _ in 0..3 {
        m.pasid_dma(0x5000, READ).unwrap();
    }
    let counted = counts(&m);
    assert_eq!(counted("iommu_mrds"), 24);
    for name in ["ctxt_cache_hit", "pasid_cache_hit", "iotlb_hit", "fs_nonleaf_hit"] {
        assert_eq!(counted(name), 0, "{name}");
    }
}

#[test]
fn second_stage_tables_are_counted_as_such() {
    let (mut m, top) = with_stage(&Config::default(), |top| second_entry(top, 4));
    m.map(top, 4, 0x5000, 1, ss(0x7000), ss);
    m.map(top, 4, 0x6000, 1, ss(0x8000), ss);
    m.pasid_dma(0x5000, READ).unwrap();
    m.pasid_dma(0x6000, READ).unwrap();
    let counted = counts(&m);
    assert_eq!((counted("ss_nonleaf_lookup"), counted("ss_nonleaf_hit")), (2, 1));
    assert_eq!(counted("fs_nonleaf_lookup"), 0);
}

#[test]
fn filters_admit_by_requester_pasid_and_domain() {
    let mut m = scene(&Config::default());
    let directory = m.scalable_context_at(RID);
    let directory = m.get(directory + 8 - 8) >> 12;
    let other = Rid(RID.0 + 8);
    let context = ScalableContextEntry([0; 4]).with_PASIDE(true).with_PASIDDIRPTR(directory);
    m.put_scalable_context(other, context);
    let top = m.page();
    m.map(top, 4, 0x5000, 1, fs(0x9000), fs);
    m.put_pasid(RID, Pasid(99), first_entry(top, 4).with_DID(DID + 1));

    let none = Filter::default();
    let filters = [
        none,
        Filter { rid: Some(other), ..none },
        Filter { pasid: Some(Pasid(99)), ..none },
        Filter { domain: Some(Did(DID + 1)), ..none },
        Filter { rid: Some(other), pasid: Some(PASID), ..none },
        Filter { rid: Some(Rid(1)), ..none },
    ];
    let numbers = filters.map(|filter| m.unit.counters_mut().add_filter(filter));
    for (rid, pasid) in [(RID, PASID), (RID, Pasid(99)), (other, PASID), (other, Pasid(99))] {
        for _ in 0..2 {
            m.access(rid, Some(pasid), 0x5000, READ).unwrap();
        }
    }
    m.access(RID, None, 0x5000, READ).unwrap();
    let of = |number: usize, event: Event| {
        let mut all = m.unit.counters().filtered(number);
        all.find(|(name, _)| *name == event.name()).unwrap().1
    };
    assert_eq!(numbers.map(|n| of(n, Event::Requests)), [9, 4, 4, 0, 2, 0]);
    assert_eq!(numbers.map(|n| of(n, Event::IotlbLookup)), [9, 4, 4, 4, 2, 0]);
    assert_eq!(m.unit.counters().filtered(77).map(|(_, count)| count).sum::<u64>(), 0);
}
