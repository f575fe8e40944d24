//! Where a device's accesses go, and when they go nowhere.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use std::collections::HashSet;
use std::sync::Arc;

use common::{DATA, NONE, RID, Rig, pasid};
use siov_bus::{Bus, DmaError, Geometry, Iova, Requester, Rid};
use siov_iommu::{Config, Event, Fault};
use siov_mem::{HostMemory, Hpa, Region};
use siov_spec::vtd::FaultReason;

const GEOMETRY: Geometry = Geometry::sets(16, 4);
const PAGE: u64 = 4096;

fn reason<T>(result: Result<T, DmaError>) -> Option<FaultReason> {
    match result {
        Err(DmaError::Fault(Fault { reason, .. })) => Some(reason),
        _ => None,
    }
}

/// PASID 1 has two pages that are apart in memory, the other way round.
fn scene() -> (Rig, Arc<Requester>) {
    let mut rig = Rig::new(&Config::default());
    rig.map(1, 0, Some(DATA + PAGE), true);
    rig.map(1, PAGE, Some(DATA), true);
    let requester = rig.requester(GEOMETRY);
    (rig, requester)
}

#[test]
fn an_access_over_a_page_s_end_goes_to_both_pages() {
    for ats in [true, false] {
        let (rig, requester) = scene();
        requester.set_ats(ats);
        let port = requester.port();
        let bytes: Vec<u8> = (0..200).collect();
        port.begin().write(pasid(1), Iova(PAGE - 100), &bytes).unwrap();
        assert_eq!(rig.bytes(DATA + 2 * PAGE - 100, 100), bytes[..100]);
        assert_eq!(rig.bytes(DATA, 100), bytes[100..]);
        let mut back = vec![0; 200];
        port.begin().read(pasid(1), Iova(PAGE - 100), &mut back).unwrap();
        assert_eq!(back, bytes);
        assert_eq!(requester.traffic().atc.requests, if ats { 2 } else { 0 });
    }
}

#[test]
fn no_byte_moves_of_an_access_that_fails_in_its_second_page() {
    for ats in [true, false] {
        let (mut rig, requester) = scene();
        requester.set_ats(ats);
        let port = requester.port();
        assert!(port.begin().write(pasid(1), Iova(2 * PAGE - 8), &[0xEE; 16]).is_err());
        assert_eq!(rig.bytes(DATA + PAGE - 8, 8), [0; 8]);
        // The second page is there, but no memory is where it leads to.
        rig.map(1, 2 * PAGE, Some(1 << 32), true);
        let done = port.begin().write(pasid(1), Iova(2 * PAGE - 8), &[0xEE; 16]);
        assert_eq!(done, Err(DmaError::NoMemory));
        assert_eq!(rig.bytes(DATA + PAGE - 8, 8), [0; 8]);
        let mut bytes = [0x55; 16];
        assert!(port.begin().read(pasid(1), Iova(2 * PAGE - 8), &mut bytes).is_err());
        assert_eq!(bytes, [0x55; 16]);
    }
}

#[test]
fn an_access_needs_its_right_in_every_page() {
    for ats in [true, false] {
        let (mut rig, requester) = scene();
        requester.set_ats(ats);
        rig.map(1, 2 * PAGE, Some(DATA + 2 * PAGE), false);
        let port = requester.port();
        let mut bytes = [0; 16];
        assert_eq!(port.begin().read(pasid(1), Iova(2 * PAGE - 8), &mut bytes), Ok(()));
        assert!(port.begin().write(pasid(1), Iova(2 * PAGE - 8), &[0xEE; 16]).is_err());
        assert_eq!((rig.bytes(DATA, 8), rig.bytes(DATA + PAGE - 8, 16)), (vec![0; 8], vec![0; 16]));
    }
}

#[test]
fn a_page_is_asked_for_once_and_a_large_one_once_for_all_of_it() {
    let (mut rig, requester) = scene();
    rig.map_large(1, 1 << 21, DATA + (2 << 20));
    let port = requester.port();
    let mut dma = port.begin();
    for n in 0..100 {
        dma.write(pasid(1), Iova((1 << 21) + n * 16384), &[n as u8; 16384]).unwrap();
    }
    drop(dma);
    assert_eq!((requester.traffic().atc.requests, requester.traffic().held), (1, 1));
    assert_eq!(rig.bytes(DATA + (2 << 20) + 99 * 16384, 2), [99, 99]);
    let before = rig.count(Event::Requests);
    port.begin().write(pasid(1), Iova(1 << 21), &[0; 3 * 4096]).unwrap();
    assert_eq!(rig.count(Event::Requests), before + 1, "the root complex counts translated ones");
}

#[test]
fn every_translated_request_is_counted_as_one_whose_context_was_known() {
    let (rig, requester) = scene();
    let port = requester.port();
    port.begin().write(pasid(1), Iova(0), &[1]).unwrap();
    let [requests, hits] = [Event::Requests, Event::ContextHit].map(|event| rig.count(event));
    for _ in 0..10 {
        let mut dma = port.begin();
        (0..10).for_each(|n| dma.write(pasid(1), Iova(n), &[1]).unwrap());
    }
    assert_eq!(rig.count(Event::Requests), requests + 100);
    assert_eq!(rig.count(Event::ContextHit), hits + 100);
    let lookups = rig.count(Event::IotlbLookup);
    port.begin().write(pasid(1), Iova(0), &[1]).unwrap();
    assert_eq!(rig.count(Event::IotlbLookup), lookups);
}

#[test]
fn a_function_sends_nothing_that_its_configuration_forbids() {
    let (rig, requester) = scene();
    let port = requester.port();
    let write = |space| port.begin().write(space, Iova(0), &[7]);
    requester.set_pasid(false);
    assert_eq!(write(pasid(1)), Err(DmaError::PasidDisabled));
    requester.set_pasid(true);
    requester.set_bus_master(false);
    assert_eq!(write(pasid(1)), Err(DmaError::BusMaster));
    requester.set_bus_master(true);
    assert_eq!(rig.bytes(DATA + PAGE, 1), [0]);
    assert_eq!(rig.count(Event::Requests), 0);
    assert_eq!(write(pasid(1)), Ok(()));
}

#[test]
fn what_a_completion_does_not_permit_is_no_fault_and_an_untranslated_request_s_refusal_is() {
    let (mut rig, requester) = scene();
    rig.map(1, 5 * PAGE, Some(DATA), false);
    let port = requester.port();
    assert_eq!(port.begin().write(pasid(1), Iova(5 * PAGE), &[1]), Err(DmaError::NotPermitted));
    assert_eq!(rig.fault(), None);
    assert_eq!(port.begin().read(pasid(1), Iova(5 * PAGE), &mut [0]), Ok(()));
    requester.set_ats(false);
    let done = port.begin().write(pasid(1), Iova(5 * PAGE), &[1]);
    assert_eq!(reason(done), Some(FaultReason::SGN_6));
    assert_eq!(rig.fault(), Some(FaultReason::SGN_6 as u8));
}

#[test]
fn no_translated_request_passes_once_the_context_entry_without_dte_is_known() {
    let (mut rig, requester) = scene();
    let port = requester.port();
    port.begin().write(pasid(1), Iova(0), &[1]).unwrap();
    rig.put_context(false);
    port.begin().write(pasid(1), Iova(0), &[2]).unwrap(); // the context-cache still has the old entry
    rig.invalidate_contexts();
    let done = port.begin().write(pasid(1), Iova(0), &[3]);
    assert_eq!(reason(done), Some(FaultReason::SCT_5));
    assert_eq!(rig.bytes(DATA + PAGE, 1), [2]);
    // A new Translation Request is refused as well, and from then on the function goes without.
    port.begin().write(pasid(1), Iova(PAGE), &[4]).unwrap();
    assert_eq!(requester.traffic().held, 0);
}

#[test]
fn after_an_invalidation_every_shard_asks_again() {
    let (mut rig, requester) = scene();
    let ports = [requester.port(), requester.port()];
    let write = |n: u8| {
        ports.iter().for_each(|port| port.begin().write(pasid(1), Iova(0), &[n]).unwrap());
    };
    write(1);
    rig.map(1, 0, Some(DATA + 5 * PAGE), true);
    write(2);
    assert_eq!(rig.bytes(DATA + PAGE, 1), [2], "nothing was invalidated yet");
    rig.invalidate(1, 0);
    for (n, port) in (3..).zip(&ports) {
        port.begin().write(pasid(1), Iova(0), &[n]).unwrap();
        assert_eq!((rig.bytes(DATA + 5 * PAGE, 1), rig.bytes(DATA + PAGE, 1)), (vec![n], vec![2]));
    }
}

#[test]
fn ats_switched_off_and_another_requester_id_leave_nothing_in_the_device_tlb() {
    let (rig, requester) = scene();
    let port = requester.port();
    let write = || port.begin().write(pasid(1), Iova(0), &[1]);
    write().unwrap();
    requester.set_ats(false);
    requester.set_ats(true);
    assert_eq!(requester.traffic().held, 0);
    write().unwrap();
    requester.set_rid(Rid(0x3B11));
    assert_eq!((requester.rid(), requester.traffic().held), (Rid(0x3B11), 0));
    assert!(reason(write()).is_some(), "nothing is mapped for it");
    requester.set_rid(RID);
    requester.set_ats(false);
    requester.set_ats(true);
    assert_eq!(write(), Ok(()));
    drop(rig);
}

#[test]
fn a_function_that_moves_away_leaves_its_requester_id_to_who_has_it_now() {
    let (mut rig, requester) = scene();
    let other = rig.requester(GEOMETRY);
    requester.set_rid(Rid(0x3B20));
    let port = other.port();
    port.begin().write(pasid(1), Iova(0), &[1]).unwrap();
    assert_eq!(other.traffic().held, 1);
    rig.invalidate(1, 0);
    assert_eq!((other.traffic().held, rig.bus.take_unanswered()), (0, vec![]));
}

#[test]
fn without_a_unit_in_scope_addresses_are_physical() {
    let (rig, requester) = scene();
    rig.bus.set_scope(0, Some(HashSet::from([Rid(1)]))).unwrap();
    let port = requester.port();
    port.begin().write(None, Iova(DATA + 4090), &[9; 12]).unwrap();
    assert_eq!(rig.bytes(DATA + 4090, 12), [9; 12]);
    let end = common::MEMORY - 8;
    assert_eq!(port.begin().write(None, Iova(end), &[1; 16]), Err(DmaError::NoMemory));
    assert_eq!(rig.bytes(end, 8), [0; 8]);
    assert_eq!(port.begin().write(None, Iova(u64::MAX), &[1; 2]), Err(DmaError::NoMemory));
    assert_eq!(port.begin().write(None, Iova(u64::MAX), &[]), Ok(()));
    rig.bus.set_scope(0, None).unwrap();
    let done = port.begin().write(None, Iova(DATA), &[1]);
    assert_eq!(done, Err(DmaError::NotPermitted), "the scope is back");
}

#[test]
fn a_region_that_ends_within_a_granule_takes_no_part_of_an_access_beyond_it() {
    let memory = Arc::new(HostMemory::new(1 << 30));
    memory.place(Hpa(0), Arc::new(Region::anonymous(6000).unwrap())).unwrap();
    let requester = Requester::new(Bus::new(Arc::clone(&memory)), RID, GEOMETRY);
    requester.set_bus_master(true);
    let port = requester.port();
    for at in [5996, 4090] {
        let done = port.begin().write(None, Iova(at), &[1; 2000]);
        assert_eq!(done, Err(DmaError::NoMemory));
    }
    let mut bytes = [0; 6000];
    port.begin().read(None, Iova(0), &mut bytes).unwrap();
    assert_eq!(bytes, [0; 6000]);
}

#[test]
fn a_write_without_pasid_that_touches_the_interrupt_range_is_refused() {
    let (mut rig, requester) = scene();
    rig.map(NONE, 0xFEDF_F000, Some(DATA), true);
    let port = requester.port();
    for at in [0xFEE0_0000, 0xFEEF_FFFF, 0xFEDF_FFFF] {
        let done = port.begin().write(None, Iova(at), &[1; 4]);
        assert_eq!(done, Err(DmaError::Interrupt));
    }
    assert_eq!(port.begin().write(None, Iova(0xFEDF_FFFC), &[1; 4]), Ok(()));
    let done = port.begin().write(pasid(1), Iova(0xFEE0_0000), &[1; 4]);
    assert_eq!(reason(done), Some(FaultReason::SGN_8), "with PASID it is a DMA fault");
}

#[test]
fn the_first_unit_whose_scope_has_a_requester_takes_its_requests() {
    let (rig, requester) = scene();
    let second = Arc::new(siov_bus::Gate::new(siov_bus::Unit::new(&Config::default())));
    rig.bus.add_unit(Arc::clone(&second), Some(HashSet::from([RID]))).unwrap();
    let port = requester.port();
    port.begin().write(pasid(1), Iova(0), &[1]).unwrap();
    assert_eq!(rig.bytes(DATA + PAGE, 1), [1]);
    rig.bus.set_scope(0, Some(HashSet::new())).unwrap();
    requester.set_ats(false);
    port.begin().write(pasid(1), Iova(DATA), &[2]).unwrap(); // translation is off in the second
    assert_eq!(rig.bytes(DATA, 1), [2]);
    assert_eq!(second.control().counters().get(Event::Requests), 1);
    assert!(rig.bus.set_scope(2, None).is_err());
}
