//! Page requests (VT-d 7.4 to 7.6, 11.4.11).

use siov_iommu::{Event, Outbound, PageRequest, Pasid};
use siov_mem::Iova;
use siov_spec::vtd::{
    FaultReason, PageRequest as Descriptor, PasidTableEntry, ResponseCode, ScalableContextEntry,
    unit,
};

use crate::common::{HOLE, Machine, PASID, RID, first_entry, uncached};

const REQUEST: PageRequest = PageRequest {
    rid: RID,
    pasid: Some(PASID),
    addr: Iova(0x12_3456),
    read: true,
    write: true,
    execute: false,
    privileged: false,
    last: true,
    prgi: 0x1AB,
};

/// With a page request queue of 4 KiB; gives where.
fn scene() -> (Machine, u64) {
    let mut m = Machine::scalable(&uncached(), first_entry(0x8000, 4).with_SRE(true));
    let context = ScalableContextEntry([0; 4]).with_PASIDE(true).with_DTE(true).with_PRE(true);
    m.put_scalable_context(RID, context);
    m.put_pasid(RID, PASID, first_entry(0x8000, 4).with_SRE(true));
    let queue = m.page();
    m.w64(unit::PQA::AT, queue);
    (m, queue)
}

fn ask(m: &mut Machine, request: PageRequest) {
    let view = m.memory.view();
    m.unit.page_request(&view, &request);
}

fn tail(m: &Machine) -> u64 {
    m.r64(unit::PQT::AT)
}

fn answers(m: &mut Machine) -> Vec<(u16, u8)> {
    let answer = |out| match out {
        Outbound::PageResponse { prgi, code, .. } => Some((prgi, code)),
        _ => None,
    };
    m.unit.take_outbound().into_iter().filter_map(answer).collect()
}

#[test]
fn a_page_request_becomes_a_descriptor_in_the_queue() {
    let (mut m, queue) = scene();
    ask(&mut m, REQUEST);
    assert_eq!(tail(&m), 32);
    let words = [0, 1, 2, 3].map(|n| m.get(queue + 8 * n));
    let sent = Descriptor(words);
    assert_eq!((sent.TYPE(), sent.PP(), sent.PDP()), (1, true, false));
    assert_eq!((sent.RID(), sent.PASID(), sent.PRGI()), (RID.0, PASID.0, 0x1AB));
    assert_eq!((sent.RD(), sent.WR(), sent.EXR(), sent.PMR()), (true, true, false, false));
    assert_eq!((sent.LPIG(), sent.ADDR()), (true, 0x123));
    assert!(answers(&mut m).is_empty(), "software answers");
    assert_eq!(m.unit.counters().get(Event::PageRequests), 1);
}

#[test]
fn the_first_pending_request_sends_the_event() {
    let (mut m, _) = scene();
    m.arm(unit::PECTL::AT, 0xFEE0_3000, 0x77);
    ask(&mut m, REQUEST);
    ask(&mut m, REQUEST);
    assert_eq!(m.messages(), [(0xFEE0_3000, 0x77)]);
    assert!(unit::PRS(m.r32(unit::PRS::AT)).PPR());
    m.w32(unit::PRS::AT, 1);
    ask(&mut m, REQUEST);
    assert_eq!(m.messages().len(), 1);
}

#[test]
fn a_full_queue_overflows_and_the_last_of_a_group_is_answered_with_success() {
    let (mut m, queue) = scene();
    for n in 0..127 {
        ask(&mut m, PageRequest { prgi: n, ..REQUEST });
    }
    assert_eq!(tail(&m), 127 * 32);
    assert!(!unit::PRS(m.r32(unit::PRS::AT)).PRO());
    ask(&mut m, PageRequest { last: false, ..REQUEST });
    assert!(unit::PRS(m.r32(unit::PRS::AT)).PRO());
    assert!(answers(&mut m).is_empty(), "not the last of its group");
    ask(&mut m, REQUEST);
    assert_eq!(answers(&mut m), [(0x1AB, ResponseCode::SUCCESS as u8)]);
    assert_eq!((tail(&m), m.get(queue + 127 * 32)), (127 * 32, 0));

    m.w64(unit::PQH::AT, 64 * 32);
    ask(&mut m, REQUEST);
    assert_eq!(tail(&m), 127 * 32, "until PRO is cleared nothing is queued");
    assert_eq!(answers(&mut m).len(), 1);
    m.w32(unit::PRS::AT, 2);
    ask(&mut m, REQUEST);
    assert_eq!(tail(&m), 0, "the tail goes round");
}

#[test]
fn without_pre_a_page_request_is_invalid_and_recorded_as_sct_8() {
    let (mut m, _) = scene();
    let at = m.scalable_context_at(RID);
    m.put(at, &[m.get(at) & !(1 << 4)]);
    ask(&mut m, REQUEST);
    assert_eq!(answers(&mut m), [(0x1AB, ResponseCode::INVALID_REQUEST as u8)]);
    assert_eq!(tail(&m), 0);
    let (low, high) = m.record(0);
    assert_eq!((low, high >> 32 & 0xFF), (0x12_3000, FaultReason::SCT_8 as u64));
    assert_eq!((high >> 62 & 1, high >> 28 & 1), (0, 1), "type: page request");
}

#[test]
fn a_request_for_a_pasid_that_is_not_there_is_invalid() {
    let (mut m, _) = scene();
    m.put_pasid(RID, PASID, PasidTableEntry([0; 8]));
    ask(&mut m, REQUEST);
    assert_eq!(answers(&mut m), [(0x1AB, ResponseCode::INVALID_REQUEST as u8)]);
    assert_eq!(m.record(0).1 >> 32 & 0xFF, FaultReason::SPT_2 as u64);
    ask(&mut m, PageRequest { pasid: Some(Pasid(1 << 13)), last: false, ..REQUEST });
    assert!(answers(&mut m).is_empty());
}

#[test]
fn a_request_for_more_than_the_pasid_may_is_invalid() {
    let (mut m, _) = scene();
    ask(&mut m, PageRequest { execute: true, write: false, ..REQUEST });
    assert_eq!(answers(&mut m).len(), 1);
    assert_eq!(m.record(0).1 >> 32 & 0xFF, FaultReason::SPT_5 as u64);
}

#[test]
fn a_request_without_pasid_is_queued_too() {
    let (mut m, queue) = scene();
    ask(&mut m, PageRequest { pasid: None, ..REQUEST });
    let sent = Descriptor([0, 1, 2, 3].map(|n| m.get(queue + 8 * n)));
    assert_eq!((sent.PP(), sent.PASID(), tail(&m)), (false, 0, 32));
}

#[test]
fn legacy_mode_has_no_page_requests() {
    let (mut m, _) = Machine::legacy(&uncached(), 4);
    ask(&mut m, REQUEST);
    assert_eq!(answers(&mut m), [(0x1AB, ResponseCode::INVALID_REQUEST as u8)]);
    assert_eq!(m.record(0).1 >> 32 & 0xFF, FaultReason::RTA_3 as u64);
}

#[test]
fn with_translation_off_a_request_is_invalid_and_nothing_is_recorded() {
    let mut m = Machine::new(&uncached());
    ask(&mut m, REQUEST);
    assert_eq!(answers(&mut m), [(0x1AB, ResponseCode::INVALID_REQUEST as u8)]);
    assert_eq!(m.record(0).1, 0);
}

#[test]
fn a_queue_that_cannot_be_written_is_a_response_failure() {
    for at in [HOLE, u64::MAX << 12] {
        let (mut m, _) = scene();
        m.w64(unit::PQA::AT, at);
        m.w64(unit::PQT::AT, 64);
        ask(&mut m, REQUEST);
        assert_eq!(answers(&mut m), [(0x1AB, ResponseCode::RESPONSE_FAILURE as u8)]);
    }
}
