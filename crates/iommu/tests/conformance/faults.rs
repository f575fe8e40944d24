//! How faults are recorded and told (VT-d 7.2, 7.3, 11.4.7).

use siov_iommu::{Access, Config, Pasid, Rid};
use siov_spec::vtd::{
    ContextEntry, FaultReason, PasidDirectoryEntry, PasidTableEntry, ScalableContextEntry, unit,
};

use crate::common::queue::IOTLB_GLOBAL;
use crate::common::{Machine, PASID, READ, RID, SUPERVISOR_EXECUTE, WRITE, first_entry, uncached};

const RECORDS: u32 = 8;
const F: u64 = 1 << 63;

/// In legacy mode, with nothing mapped: every request faults.
fn scene() -> Machine {
    Machine::legacy(&uncached(), 4).0
}

fn in_use(m: &Machine) -> Vec<u32> {
    (0..RECORDS).filter(|n| m.record(*n).1 & F != 0).collect()
}

#[test]
fn a_read_without_pasid_is_recorded_bit_for_bit() {
    let mut m = scene();
    assert_eq!(m.dma(0x1234_5678, READ), Err(FaultReason::LGN_3));
    let (low, high) = m.record(0);
    assert_eq!(low, 0x1234_5000, "the page, bits 63:12");
    assert_eq!(high, F | 1 << 62 | 0x06 << 32 | u64::from(RID.0), "F, T1, the reason, the source");
}

#[test]
fn a_write_is_recorded_with_both_type_bits_clear() {
    let mut m = scene();
    assert_eq!(m.dma(0x5000, WRITE), Err(FaultReason::LGN_2));
    assert_eq!(m.record(0), (0x5000, F | 0x05 << 32 | u64::from(RID.0)));
}

#[test]
fn a_request_with_pasid_is_recorded_with_it_and_with_its_rights() {
    let mut m = Machine::scalable(&uncached(), PasidTableEntry([0; 8]));
    let pasid = Pasid(0x1FFF);
    let fault = m.access(RID, Some(pasid), 0x7000, SUPERVISOR_EXECUTE).unwrap_err();
    assert_eq!(fault.reason, FaultReason::SPD_2);
    let (low, high) = m.record(0);
    assert_eq!(low, 0x7000);
    let rights = 1 << 31 | 1 << 30 | 1 << 29; // PP, EXE, PRIV
    assert_eq!(high, F | 1 << 62 | 0x1FFF << 40 | 0x51 << 32 | rights | u64::from(RID.0));
}

#[test]
fn the_rights_of_a_request_without_pasid_are_not_recorded() {
    let mut m = scene();
    let access = Access { write: false, execute: true, privileged: true };
    assert_eq!(m.dma(0, access), Err(FaultReason::LGN_3));
    assert_eq!(m.record(0).1 & (7 << 29), 0);
}

#[test]
fn the_first_fault_sets_ppf_and_fri_and_sends_the_event() {
    let mut m = scene();
    m.arm(unit::FECTL::AT, 0x1_FEE0_1000, 0x4021);
    let _ = m.dma(0x1000, READ);
    let _ = m.dma(0x2000, READ);
    assert_eq!(m.messages(), [(0x1_FEE0_1000, 0x4021)], "one event for all that is pending");
    let status = m.fsts();
    assert!(status.PPF() && !status.PFO());
    assert_eq!((status.FRI(), in_use(&m)), (0, vec![0, 1]));
}

#[test]
fn a_cleared_record_is_free_and_ppf_goes_with_the_last_one() {
    let mut m = scene();
    let _ = m.dma(0x1000, READ);
    let _ = m.dma(0x2000, READ);
    m.clear_record(0);
    assert!(m.fsts().PPF());
    assert_eq!(in_use(&m), [1]);
    m.clear_record(1);
    assert!(!m.fsts().PPF());
}

#[test]
fn records_are_used_in_a_circle_so_that_software_finds_them_in_order() {
    let mut m = scene();
    for _ in 0..3 {
        let _ = m.dma(0x1000, READ);
    }
    m.clear_record(0);
    let _ = m.dma(0x2000, READ);
    assert_eq!(in_use(&m), [1, 2, 3], "the record that just came free is not next");
    (1..4).for_each(|n| m.clear_record(n));
    let _ = m.dma(0x3000, READ);
    assert_eq!((in_use(&m), m.fsts().FRI()), (vec![4], 4));
}

#[test]
fn fri_stays_at_the_first_fault_that_set_ppf() {
    let mut m = scene();
    let _ = m.dma(0x1000, READ);
    let _ = m.dma(0x2000, READ);
    m.clear_record(0);
    assert_eq!(m.fsts().FRI(), 0);
}

#[test]
fn faults_without_a_free_record_set_pfo_and_are_lost_until_it_is_cleared() {
    let mut m = scene();
    for n in 0..RECORDS {
        let _ = m.dma(u64::from(n) << 12, READ);
        assert!(!m.fsts().PFO());
    }
    let _ = m.dma(0x99_9000, READ);
    assert!(m.fsts().PFO());
    for n in 0..RECORDS {
        assert_eq!(m.record(n).0, u64::from(n) << 12, "record {n} is not overwritten");
        m.clear_record(n);
    }
    let _ = m.dma(0x5000, READ);
    assert!(in_use(&m).is_empty(), "nothing is recorded while PFO is set");
    m.w32(unit::FSTS::AT, 1);
    assert!(!m.fsts().PFO());
    let _ = m.dma(0x5000, READ);
    assert_eq!(in_use(&m).len(), 1);
}

#[test]
fn only_a_written_one_clears() {
    let mut m = scene();
    let _ = m.dma(0x1000, READ);
    m.w64(0x608, 0);
    m.w32(0x608, u32::MAX);
    m.w64(0x600, u64::MAX);
    assert_eq!((in_use(&m), m.record(0).0), (vec![0], 0x1000));
    m.w32(unit::FSTS::AT, u32::MAX);
    assert!(m.fsts().PPF(), "PPF follows the records");
}

#[test]
fn a_masked_event_is_pending_until_it_is_unmasked() {
    let mut m = scene();
    m.arm(unit::FECTL::AT, 0xFEE0_0000, 0x31);
    m.w32(unit::FECTL::AT, 1 << 31);
    let _ = m.dma(0x1000, READ);
    assert!(m.messages().is_empty());
    assert_eq!(m.r32(unit::FECTL::AT), 0xC000_0000, "IM and IP");
    m.w32(unit::FECTL::AT, 0);
    assert_eq!(m.messages(), [(0xFEE0_0000, 0x31)]);
    assert_eq!(m.r32(unit::FECTL::AT), 0);
}

#[test]
fn a_masked_event_is_over_when_software_clears_what_it_was_about() {
    let mut m = scene();
    let _ = m.dma(0x1000, READ);
    assert!(unit::FECTL(m.r32(unit::FECTL::AT)).IP(), "events are masked after reset");
    m.clear_record(0);
    assert!(!unit::FECTL(m.r32(unit::FECTL::AT)).IP());
    m.w32(unit::FECTL::AT, 0);
    assert!(m.messages().is_empty());
}

#[test]
fn an_error_while_another_is_pending_is_no_new_event() {
    let mut m = scene();
    m.start_queue(false);
    m.arm(unit::FECTL::AT, 0xFEE0_0000, 0x31);
    let _ = m.dma(0x1000, READ);
    m.submit(&[[0; 4]]);
    assert!(m.fsts().IQE() && m.fsts().PPF());
    assert_eq!(m.messages().len(), 1);
    m.clear_record(0);
    let _ = m.dma(0x1000, READ);
    assert!(m.messages().is_empty(), "IQE is still there");
    m.clear_record(1);
    m.put(m.queue.at, &IOTLB_GLOBAL[..2]);
    m.w32(unit::FSTS::AT, 1 << 4);
    let _ = m.dma(0x1000, READ);
    assert_eq!(m.messages().len(), 1);
}

#[test]
fn fpd_of_a_context_entry_keeps_qualified_faults_from_being_recorded() {
    let (mut m, _) = Machine::legacy(&uncached(), 4);
    let at = m.context_at(RID);
    let entry = ContextEntry([m.get(at), m.get(at + 8)]).with_FPD(true);
    for quiet in [entry, entry.with_P(false), entry.with_TT(3)] {
        m.put_context(RID, quiet);
        let fault = m.access(RID, None, 0x1000, READ).unwrap_err();
        assert!(fault.silent && in_use(&m).is_empty(), "{:?}", fault.reason);
    }
    // Another function of another bus: no entry that could have FPD is read.
    let fault = m.access(Rid(0x4000), None, 0x1000, READ).unwrap_err();
    assert_eq!((fault.reason, in_use(&m)), (FaultReason::LRT_2, vec![0]));
}

#[test]
fn fpd_of_a_scalable_context_entry_covers_all_that_comes_after_it() {
    let top = 0x10_0000;
    let good = first_entry(top, 4);
    let cases: [(FaultReason, PasidDirectoryEntry, PasidTableEntry); 4] = [
        (FaultReason::SPD_2, PasidDirectoryEntry(0), good),
        (FaultReason::SPT_2, PasidDirectoryEntry(1), good.with_P(false)),
        (FaultReason::SPT_4, PasidDirectoryEntry(1), good.with_PGTT(0)),
        (FaultReason::SFS_2, PasidDirectoryEntry(1), good),
    ];
    for fpd in [false, true] {
        for (reason, directory, entry) in cases {
            let mut m = Machine::scalable(&uncached(), entry);
            m.put_scalable_context(
                RID,
                ScalableContextEntry([0; 4]).with_PASIDE(true).with_FPD(fpd),
            );
            m.put_pasid(RID, PASID, entry.with_FSPTPTR(8));
            let at = m.directory_at(RID, PASID);
            m.put(at, &[m.get(at) & !1 | directory.0]);
            assert_eq!(m.pasid_dma(0, READ), Err(reason));
            assert_eq!(in_use(&m).is_empty(), fpd, "{reason:?}");
        }
    }
}

#[test]
fn fpd_of_a_pasid_directory_or_table_entry_counts_too() {
    let mut m = Machine::scalable(&Config::default(), first_entry(0x8000, 4).with_FPD(true));
    for _ in 0..2 {
        assert_eq!(m.pasid_dma(0, READ), Err(FaultReason::SFS_2));
        assert!(in_use(&m).is_empty());
    }
    let mut m = Machine::scalable(&Config::default(), PasidTableEntry([0; 8]));
    let at = m.directory_at(RID, PASID);
    m.put(at, &[m.get(at) | 2]);
    assert_eq!(m.pasid_dma(0, READ), Err(FaultReason::SPT_2));
    assert!(in_use(&m).is_empty());
}

#[test]
fn nothing_is_recorded_while_translation_is_off() {
    let mut m = Machine::new(&uncached());
    assert_eq!(m.dma(0x1000, WRITE), Ok(0x1000));
    assert!(in_use(&m).is_empty());
}
