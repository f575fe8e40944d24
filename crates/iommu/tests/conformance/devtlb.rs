//! Invalidate Requests to devices (VT-d 6.5.2.5, 6.5.2.6, 6.5.2.11; PCIe 10.3).

use siov_iommu::{DeviceInvalidation, Rid};
use siov_spec::vtd::{DescriptorType, PDevTlbInvDsc, TTM, unit};

use crate::common::queue::{dev_tlb, wait};
use crate::common::{Machine, PASID, RID, uncached};

fn scene() -> Machine {
    let mut m = Machine::on(&uncached(), TTM::SCALABLE);
    m.start_queue(true);
    m
}

fn p_dev_tlb() -> PDevTlbInvDsc {
    PDevTlbInvDsc([0; 4])
        .with_TYPE(DescriptorType::PASID_DEVICE_TLB as u8)
        .with_SID(RID.0)
        .with_PASID(PASID.0)
}

fn done(m: &mut Machine, rid: Rid, itag: u8) {
    let view = m.memory.view();
    m.unit.invalidation_done(&view, rid, itag);
}

fn tags(asked: &[DeviceInvalidation]) -> Vec<u8> {
    asked.iter().map(|what| what.itag).collect()
}

#[test]
fn a_device_is_asked_to_forget_a_page() {
    let mut m = scene();
    m.submit(&[dev_tlb(0x12_3000).0]);
    let itag = 0;
    let expected = DeviceInvalidation {
        rid: RID,
        pasid: None,
        global: false,
        addr: 0x12_3000,
        size: 4096,
        itag,
    };
    assert_eq!(m.device_invalidations(), [expected]);
}

#[test]
fn with_s_the_lowest_zero_bit_of_the_address_tells_the_size() {
    let cases = [
        (0x0000, 0x0000, 0x2000),
        (0x1000, 0x0000, 0x4000),
        (0x5000, 0x4000, 0x2000 << 1),
        (0x4007_F000, 0x4000_0000, 0x10_0000),
        (0x400F_F000, 0x4000_0000, 0x20_0000),
        ((1 << 62) - 4096, 0, 1 << 63),
        ((1 << 63) - 4096, 0, u64::MAX),
        (u64::MAX << 12, 0, u64::MAX),
    ];
    for (addr, first, size) in cases {
        let mut m = scene();
        m.submit(&[dev_tlb(addr).with_S(true).0, p_dev_tlb().with_ADDR(addr >> 12).with_S(true).0]);
        let ranges: Vec<_> = m.device_invalidations().iter().map(|w| (w.addr, w.size)).collect();
        assert_eq!(ranges, [(first, size); 2], "{addr:#x}");
    }
}

#[test]
fn a_device_is_asked_to_forget_a_page_of_a_pasid_or_of_all() {
    let mut m = scene();
    m.submit(&[p_dev_tlb().with_ADDR(5).0, p_dev_tlb().with_ADDR(5).with_G(true).0]);
    let asked = m.device_invalidations();
    assert_eq!((asked[0].pasid, asked[0].global, asked[0].addr), (Some(PASID), false, 0x5000));
    assert!(asked[1].global);
    assert_ne!(asked[0].itag, asked[1].itag);
}

#[test]
fn a_wait_waits_for_the_devices_that_were_asked_before_it() {
    let mut m = scene();
    assert!(!m.submit_and_wait(&[dev_tlb(0).0, dev_tlb(0x1000).0]));
    assert_eq!(m.head(), 64, "the wait has not been done");
    let status = m.queue.at + m.queue.size - 8;
    let tags = tags(&m.device_invalidations());
    done(&mut m, RID, tags[1]);
    assert_eq!(m.get(status), 0);
    done(&mut m, RID, tags[0]);
    assert_eq!((m.get(status), m.head()), (0x600D, 96));
    assert!(!m.fsts().ICE() && !m.fsts().ITE());
}

#[test]
fn what_follows_a_waiting_wait_is_not_done_before_it() {
    let mut m = scene();
    let status = m.page();
    m.submit(&[dev_tlb(0).0, wait(status, 1).0, dev_tlb(0x1000).0]);
    assert_eq!(m.device_invalidations().len(), 1);
    done(&mut m, RID, 0);
    assert_eq!(m.device_invalidations().len(), 1);
}

#[test]
fn a_33rd_request_waits_for_a_tag() {
    let mut m = scene();
    m.submit(&[dev_tlb(0).0; 33]);
    let mut asked = tags(&m.device_invalidations());
    assert_eq!(m.head(), 32 * 32);
    asked.sort_unstable();
    asked.dedup();
    assert_eq!(asked.len(), 32, "all tags differ");
    done(&mut m, RID, 7);
    assert_eq!(tags(&m.device_invalidations()), [7]);
    assert_eq!(m.head(), 33 * 32);
}

#[test]
fn an_answer_that_nobody_waits_for_is_ice_and_the_queue_goes_on() {
    let mut m = scene();
    m.arm(unit::FECTL::AT, 0xFEE0_0000, 0x31);
    done(&mut m, Rid(0x1234), 5);
    assert!(m.fsts().ICE());
    assert_eq!(unit::IQERCD(m.r64(unit::IQERCD::AT)).ICESID(), 0x1234);
    assert_eq!(m.messages().len(), 1, "a fault event");
    assert!(m.submit_and_wait(&[]));
    m.w32(unit::FSTS::AT, 1 << 5);
    assert!(!m.fsts().ICE());
}

#[test]
fn an_answer_of_another_device_or_with_another_tag_does_not_count() {
    let mut m = scene();
    assert!(!m.submit_and_wait(&[dev_tlb(0).0]));
    done(&mut m, Rid(RID.0 + 1), 0);
    done(&mut m, RID, 1);
    assert!(m.fsts().ICE());
    assert_eq!(m.head(), 32);
    done(&mut m, RID, 0);
    assert_eq!(m.head(), 64);
}

#[test]
fn a_device_that_does_not_answer_is_ite_and_the_queue_stands_still() {
    let mut m = scene();
    m.arm(unit::FECTL::AT, 0xFEE0_0000, 0x31);
    assert!(!m.submit_and_wait(&[dev_tlb(0).0]));
    m.messages();
    m.unit.invalidation_timeout();
    assert!(m.fsts().ITE());
    assert_eq!(unit::IQERCD(m.r64(unit::IQERCD::AT)).ITESID(), RID.0);
    assert_eq!((m.messages().len(), m.head()), (1, 32));
    assert!(!m.submit_and_wait(&[]), "nothing is fetched");
    m.w32(unit::FSTS::AT, 1 << 6);
    assert_eq!(m.head(), m.queue.tail, "the queue goes on when ITE is cleared");
    done(&mut m, RID, 0);
    assert!(m.fsts().ICE(), "the answer that came too late is not waited for any more");
}

#[test]
fn no_time_out_without_a_request() {
    let mut m = scene();
    m.unit.invalidation_timeout();
    assert!(!m.fsts().ITE());
}
