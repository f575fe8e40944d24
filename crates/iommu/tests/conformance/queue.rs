//! The invalidation queue (VT-d 6.5.2, 11.4.9): how descriptors are fetched, and what goes wrong.

use siov_iommu::{Config, Outbound, Pasid, Rid};
use siov_spec::vtd::{
    CcInvDsc, Descriptor, DescriptorType, IecInvDsc, IotlbInvDsc, IqError, PageGroupResponse,
    PasidCacheGranularity, PasidIotlbGranularity, TTM, unit,
};

use crate::common::queue::{CC_GLOBAL, IOTLB_GLOBAL, PC_GLOBAL, Raw, dev_tlb, p_iotlb, pc, wait};
use crate::common::{HOLE, Machine, PASID, RID, uncached};

fn scene(wide: bool) -> Machine {
    let mut m = Machine::on(&uncached(), if wide { TTM::SCALABLE } else { TTM::LEGACY });
    m.start_queue(wide);
    m
}

fn iec() -> Raw {
    IecInvDsc([0; 4]).with_TYPE(DescriptorType::INTERRUPT_ENTRY_CACHE as u8).0
}

fn response() -> PageGroupResponse {
    PageGroupResponse([0; 4]).with_TYPE(DescriptorType::PAGE_GROUP_RESPONSE as u8).with_RID(RID.0)
}

#[test]
fn every_descriptor_is_taken_in_both_widths() {
    for wide in [false, true] {
        let mut m = scene(wide);
        let all = [
            CC_GLOBAL,
            IOTLB_GLOBAL,
            iec(),
            p_iotlb(PasidIotlbGranularity::PASID, PASID).0,
            pc(PasidCacheGranularity::PASID).with_PASID(PASID.0).0,
            response().0,
        ];
        assert!(m.submit_and_wait(&all), "{wide}: {:?}", m.queue_error());
        assert_eq!(m.head(), m.queue.tail);
        let step = if wide { 32 } else { 16 };
        assert_eq!(m.head(), 7 * step);
    }
}

#[test]
fn nothing_is_fetched_before_the_queue_is_enabled() {
    let mut m = Machine::on(&uncached(), TTM::LEGACY);
    let at = m.page();
    m.put(at, &wait(at + 0x100, 7).0[..2]);
    m.w64(unit::IQA::AT, at);
    m.w64(unit::IQT::AT, 16);
    assert_eq!((m.head(), m.get(at + 0x100)), (0, 0));
    m.command(|c| c.with_QIE(true));
    assert_eq!((m.head(), m.get(at + 0x100)), (16, 7));
}

#[test]
fn the_head_is_reset_when_the_queue_is_disabled() {
    let mut m = scene(false);
    m.submit(&[IOTLB_GLOBAL]);
    assert_eq!(m.head(), 16);
    m.command(|c| c.with_QIE(false));
    assert!(!m.gsts().QIES());
    assert_eq!(m.head(), 0);
}

#[test]
fn the_queue_goes_round() {
    for wide in [false, true] {
        let mut m = scene(wide);
        for n in 0..300 {
            m.submit(&[IOTLB_GLOBAL]);
            assert_eq!((m.head(), m.queue_error()), (m.queue.tail, None), "{n}");
        }
    }
}

#[test]
fn a_queue_of_every_size_is_used_to_its_end() {
    for size in 0..8 {
        let mut m = Machine::on(&uncached(), TTM::LEGACY);
        let at = m.pages(1 << size);
        m.w64(unit::IQA::AT, unit::IQA(0).with_IQA(at >> 12).with_QS(size as u8).0);
        m.command(|c| c.with_QIE(true));
        let bytes = 4096u64 << size;
        for place in (at..at + bytes).step_by(16) {
            m.put(place, &IOTLB_GLOBAL[..2]);
        }
        m.w64(unit::IQT::AT, bytes - 16);
        assert_eq!((m.head(), m.queue_error()), (bytes - 16, None));
        m.w64(unit::IQT::AT, 0);
        assert_eq!(m.head(), 0);
    }
}

#[test]
fn a_wait_writes_its_status_after_what_is_before_it() {
    let mut m = scene(false);
    let status = m.page();
    m.put(status, &[u64::MAX]);
    m.submit(&[IOTLB_GLOBAL, wait(status + 4, 0xC0DE).0]);
    assert_eq!(m.get(status), 0xC0DE_FFFF_FFFF, "four bytes, where it says");
}

#[test]
fn a_wait_with_the_interrupt_flag_sets_iwc_and_sends_the_event_once() {
    let mut m = scene(false);
    m.arm(unit::IECTL::AT, 0xFEE0_2000, 0x55);
    let flagged = wait(0, 0).with_SW(false).with_IF(true).0;
    m.submit(&[flagged, flagged]);
    assert!(unit::ICS(m.r32(unit::ICS::AT)).IWC());
    assert_eq!(m.messages(), [(0xFEE0_2000, 0x55)], "IWC was set when the second was done");
    m.w32(unit::ICS::AT, 1);
    assert!(!unit::ICS(m.r32(unit::ICS::AT)).IWC());
    m.submit(&[flagged]);
    assert_eq!(m.messages().len(), 1);
}

#[test]
fn a_masked_completion_event_is_pending_until_unmasked_or_taken_care_of() {
    let mut m = scene(false);
    let flagged = wait(0, 0).with_SW(false).with_IF(true).0;
    m.submit(&[flagged]);
    assert!(unit::IECTL(m.r32(unit::IECTL::AT)).IP());
    m.w32(unit::IECTL::AT, 0);
    assert_eq!(m.messages().len(), 1);
    m.w32(unit::ICS::AT, 1);
    m.w32(unit::IECTL::AT, 1 << 31);
    m.submit(&[flagged]);
    m.w32(unit::ICS::AT, 1);
    m.w32(unit::IECTL::AT, 0);
    assert!(m.messages().is_empty());
}

#[test]
fn an_unknown_type_halts_the_queue_at_it() {
    for code in [0, 0xA, 0xF, 0x7F] {
        let mut m = scene(false);
        let unknown = Descriptor([0; 4]).with_TYPE(code & 0xF).with_TYPE_HI(code >> 4).0;
        assert!(!m.submit_and_wait(&[IOTLB_GLOBAL, unknown]));
        assert_eq!((m.head(), m.queue_error()), (16, Some(IqError::INVALID_TYPE)), "{code:#x}");
    }
}

#[test]
fn the_upper_bits_of_a_type_count() {
    let mut m = scene(false);
    m.submit(&[IotlbInvDsc(IOTLB_GLOBAL).with_TYPE_HI(1).0]);
    assert_eq!(m.queue_error(), Some(IqError::INVALID_TYPE));
}

#[test]
fn reserved_bits_and_granularities_halt_the_queue() {
    let no_granularity = [
        CcInvDsc(CC_GLOBAL).with_G(0).0,
        IotlbInvDsc(IOTLB_GLOBAL).with_G(0).0,
        pc(PasidCacheGranularity::DOMAIN).with_G(2).0,
        p_iotlb(PasidIotlbGranularity::PASID, PASID).with_G(0).0,
    ];
    let mut bits = vec![];
    for good in [CC_GLOBAL, IOTLB_GLOBAL, PC_GLOBAL, iec(), dev_tlb(0).0, wait(0, 0).0] {
        let [low, high, ..] = good;
        bits.push([low, high, 1, 0]);
        bits.push([low, high, 0, 1 << 63]);
    }
    bits.push([CC_GLOBAL[0] | 1 << 12, 0, 0, 0]);
    bits.push([IOTLB_GLOBAL[0], 1 << 7, 0, 0]);
    bits.push([wait(0, 0).0[0], 1, 0, 0]);
    for wrong in no_granularity.into_iter().chain(bits) {
        let mut m = scene(true);
        m.submit(&[wrong]);
        assert_eq!(m.queue_error(), Some(IqError::RESERVED_FIELD), "{wrong:x?}");
        assert_eq!(m.head(), 0);
    }
}

#[test]
fn a_tail_past_the_end_is_an_invalid_tail() {
    let mut m = scene(false);
    m.w64(unit::IQT::AT, 4096);
    assert_eq!(m.queue_error(), Some(IqError::INVALID_TAIL));
}

#[test]
fn a_tail_between_two_256_bit_descriptors_is_not_aligned() {
    let mut m = scene(true);
    m.w64(unit::IQT::AT, 16);
    assert_eq!(m.queue_error(), Some(IqError::TAIL_NOT_ALIGNED));
}

#[test]
fn scalable_mode_wants_256_bit_descriptors() {
    let mut m = Machine::on(&uncached(), TTM::SCALABLE);
    m.start_queue(false);
    m.submit(&[IOTLB_GLOBAL]);
    assert_eq!(m.queue_error(), Some(IqError::INVALID_WIDTH));
}

#[test]
fn a_queue_that_cannot_be_read_is_a_fetch_error() {
    for at in [HOLE, u64::MAX << 12] {
        let mut m = Machine::on(&uncached(), TTM::LEGACY);
        m.w64(unit::IQA::AT, at);
        m.command(|c| c.with_QIE(true));
        m.w64(unit::IQT::AT, 16);
        assert_eq!(m.queue_error(), Some(IqError::FETCH_ERROR));
    }
}

#[test]
fn an_address_that_changes_under_the_queue_ends_in_an_error() {
    let mut m = scene(false);
    m.submit(&[IOTLB_GLOBAL; 255]);
    assert_eq!(m.head(), 255 * 16);
    m.w64(unit::IQA::AT, u64::MAX << 12);
    m.w64(unit::IQT::AT, 0);
    assert_eq!(m.queue_error(), Some(IqError::FETCH_ERROR));
}

#[test]
fn a_width_that_changes_under_the_queue_does_not_go_round_for_ever() {
    let mut m = scene(false);
    m.submit(&[IOTLB_GLOBAL]);
    let at = m.queue.at;
    for place in (at + 16..at + 4096).step_by(32) {
        m.put(place, &[IOTLB_GLOBAL[0], 0]);
    }
    for place in (at..at + 4096).step_by(32) {
        m.put(place, &[0, 0]);
    }
    m.w64(unit::IQA::AT, unit::IQA(at).with_DW(true).0);
    m.w64(unit::IQT::AT, 0);
    assert_eq!(m.queue_error(), Some(IqError::TAIL_NOT_ALIGNED));
}

#[test]
fn the_queue_goes_on_where_it_stood_when_iqe_is_cleared() {
    let mut m = scene(false);
    let status = m.page();
    m.arm(unit::FECTL::AT, 0xFEE0_0000, 0x31);
    m.submit(&[[0; 4], wait(status, 1).0]);
    assert_eq!(m.messages().len(), 1, "a fault event");
    m.w64(unit::IQT::AT, m.queue.tail);
    assert_eq!((m.head(), m.get(status)), (0, 0), "a new tail does not help");
    m.put(m.queue.at, &IOTLB_GLOBAL[..2]);
    m.w32(unit::FSTS::AT, 1 << 4);
    assert_eq!((m.head(), m.get(status), m.queue_error()), (32, 1, None));
}

#[test]
fn clearing_iqe_without_mending_the_descriptor_sets_it_again() {
    let mut m = scene(false);
    m.submit(&[[0; 4]]);
    m.w32(unit::FSTS::AT, 1 << 4);
    assert_eq!((m.queue_error(), m.head()), (Some(IqError::INVALID_TYPE), 0));
}

#[test]
fn a_page_group_response_goes_out_to_the_device() {
    let mut m = scene(true);
    let full = response().with_PP(true).with_PASID(PASID.0).with_PRGI(0x1AB).with_RC(0xF);
    m.submit(&[full.0, response().with_PRGI(3).0]);
    let answer = |pasid: Option<Pasid>, prgi, code| Outbound::PageResponse {
        rid: Rid(RID.0),
        pasid,
        prgi,
        code,
    };
    let expected = [answer(Some(PASID), 0x1AB, 0xF), answer(None, 3, 0)];
    assert_eq!(m.unit.take_outbound(), expected);
}

#[test]
fn a_wait_whose_status_has_no_memory_does_not_stop_the_queue() {
    let mut m = scene(false);
    assert!(m.submit_and_wait(&[wait(HOLE, 1).0]));
}

#[test]
fn device_tlb_descriptors_are_unknown_where_there_are_no_device_tlbs() {
    let mut m = Machine::on(&Config { device_tlb: false, ..uncached() }, TTM::LEGACY);
    m.start_queue(false);
    m.submit(&[dev_tlb(0).0]);
    assert_eq!(m.queue_error(), Some(IqError::INVALID_TYPE));
}

#[test]
fn a_queue_that_shrinks_under_its_head_is_an_invalid_tail() {
    let mut m = Machine::on(&uncached(), TTM::LEGACY);
    let at = m.pages(2);
    for place in (at..at + 8192).step_by(16) {
        m.put(place, &IOTLB_GLOBAL[..2]);
    }
    m.w64(unit::IQA::AT, unit::IQA(at).with_QS(1).0);
    m.command(|c| c.with_QIE(true));
    m.w64(unit::IQT::AT, 5008);
    assert_eq!(m.head(), 5008);
    m.w64(unit::IQA::AT, at);
    m.w64(unit::IQT::AT, 16);
    assert_eq!((m.queue_error(), m.head()), (Some(IqError::INVALID_TAIL), 5008));
}
