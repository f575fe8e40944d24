//! Interrupt remapping and posting (VT-d 5, 9.10 to 9.12).

use siov_iommu::{Config, Event, Interrupt, Rid};
use siov_mem::Hpa;
use siov_spec::msi::{RemappableAddress, RemappableData};
use siov_spec::vtd::{DescriptorType, FaultReason, IecInvDsc, Irte, PostedIrte, SVT, TTM, unit};

use crate::common::{HOLE, Machine, RID, uncached};

const IRTE: Irte = Irte([0; 2]).with_P(true).with_V(0x41).with_DST(0x0300);

/// With a table of 256 entries; gives where.
fn table(config: &Config, extended: bool) -> (Machine, u64) {
    let mut m = Machine::new(config);
    let at = m.page();
    let irta = unit::IRTA(0).with_IRTA(at >> 12).with_S(7).with_EIME(extended);
    m.w64(unit::IRTA::AT, irta.0);
    m.command(|c| c.with_SIRTP(true));
    m.command(|c| c.with_IRE(true));
    (m, at)
}

fn scene(entry: Irte) -> Machine {
    let (m, at) = table(&uncached(), false);
    m.put(at + 16, &entry.0);
    m
}

fn address(handle: u32) -> RemappableAddress {
    RemappableAddress(0)
        .with_PREFIX(0xFEE)
        .with_INTR_FMT(true)
        .with_HANDLE(handle as u16 & 0x7FFF)
        .with_HANDLE_15(handle >> 15 & 1 == 1)
}

fn send(m: &mut Machine, rid: Rid, address: u32, data: u32) -> Result<Interrupt, FaultReason> {
    let view = m.memory.view();
    m.unit.remap(&view, rid, address.into(), data).map_err(|fault| fault.reason)
}

fn at(m: &mut Machine, handle: u32) -> Result<Interrupt, FaultReason> {
    send(m, RID, address(handle).0, 0)
}

fn vector(done: Result<Interrupt, FaultReason>) -> Result<u8, FaultReason> {
    done.map(|interrupt| match interrupt {
        Interrupt::Remapped { vector, .. } | Interrupt::Posted { vector, .. } => vector,
    })
}

#[test]
fn an_irte_says_where_an_interrupt_goes() {
    let mut m = scene(IRTE.with_DM(true).with_TM(true).with_DLM(1));
    let expected = Interrupt::Remapped {
        destination: 3,
        vector: 0x41,
        delivery: 1,
        logical: true,
        level: true,
    };
    assert_eq!(at(&mut m, 1), Ok(expected));
}

#[test]
fn with_eime_destinations_have_32_bits() {
    let (mut m, table) = table(&uncached(), true);
    m.put(table, &IRTE.with_DST(0x1234_5678).0);
    let Ok(Interrupt::Remapped { destination, .. }) = at(&mut m, 0) else { panic!("refused") };
    assert_eq!(destination, 0x1234_5678);
}

#[test]
fn without_eime_the_other_bits_of_a_destination_are_reserved() {
    for dst in [1, 0x1_0000, 1 << 31] {
        let mut m = scene(IRTE.with_DST(dst));
        assert_eq!(at(&mut m, 1), Err(FaultReason::INTR_IRTE_RSVD), "{dst:#x}");
    }
}

#[test]
fn a_valid_subhandle_is_added_to_the_handle() {
    let mut m = scene(IRTE);
    let with = address(0).with_SHV(true).0;
    assert_eq!(vector(send(&mut m, RID, with, 1)), Ok(0x41));
    assert_eq!(
        vector(send(&mut m, RID, address(1).0, 77)),
        Ok(0x41),
        "without SHV data is ignored"
    );
}

#[test]
fn interrupts_pass_as_they_are_while_remapping_is_off() {
    let mut m = Machine::new(&uncached());
    let expected = Interrupt::Remapped {
        destination: 7,
        vector: 0x33,
        delivery: 1,
        logical: true,
        level: false,
    };
    assert_eq!(send(&mut m, RID, 0xFEE0_7004, 0x133), Ok(expected));
}

#[test]
fn compatibility_format_passes_with_cfi_only_and_never_with_eime() {
    let (mut m, _) = table(&uncached(), false);
    assert_eq!(send(&mut m, RID, 0xFEE0_7000, 0x33), Err(FaultReason::INTR_COMPATIBILITY));
    m.command(|c| c.with_CFI(true));
    assert!(m.gsts().CFIS());
    assert_eq!(vector(send(&mut m, RID, 0xFEE0_7000, 0x33)), Ok(0x33));
    let (mut m, _) = table(&uncached(), true);
    m.command(|c| c.with_CFI(true));
    assert_eq!(send(&mut m, RID, 0xFEE0_7000, 0x33), Err(FaultReason::INTR_COMPATIBILITY));
}

#[test]
fn reserved_bits_of_a_request_are_intr_rsvd() {
    let mut m = scene(IRTE);
    assert_eq!(send(&mut m, RID, address(1).0 | 1, 0), Err(FaultReason::INTR_RSVD));
    let with = address(0).with_SHV(true).0;
    let data = RemappableData(1).0 | 1 << 16;
    assert_eq!(send(&mut m, RID, with, data), Err(FaultReason::INTR_RSVD));
}

#[test]
fn an_index_beyond_the_table_is_intr_index() {
    let mut m = scene(IRTE);
    assert_eq!(at(&mut m, 255), Err(FaultReason::INTR_IRTE_P));
    assert_eq!(at(&mut m, 256), Err(FaultReason::INTR_INDEX));
    let with = address(0xFFFF).with_SHV(true).0;
    assert_eq!(send(&mut m, RID, with, 0xFFFF), Err(FaultReason::INTR_INDEX));
}

#[test]
fn an_irte_that_cannot_be_read_is_intr_irte_read() {
    for base in [HOLE, u64::MAX << 12] {
        let mut m = Machine::new(&uncached());
        m.w64(unit::IRTA::AT, unit::IRTA(base).with_S(15).with_EIME(true).0);
        m.command(|c| c.with_SIRTP(true));
        m.command(|c| c.with_IRE(true));
        assert_eq!(at(&mut m, 0xFFFF), Err(FaultReason::INTR_IRTE_READ));
        assert_eq!(m.record(0).0, 0xFFFF << 48);
    }
}

#[test]
fn an_irte_that_is_not_present_is_intr_irte_p() {
    let mut m = scene(IRTE.with_P(false));
    assert_eq!(at(&mut m, 1), Err(FaultReason::INTR_IRTE_P));
}

#[test]
fn reserved_bits_of_an_irte_are_intr_irte_rsvd() {
    for (word, bit) in [(0, 12), (0, 24), (1, 20), (1, 63)] {
        let mut entry = IRTE;
        entry.0[word] |= 1 << bit;
        let mut m = scene(entry);
        assert_eq!(at(&mut m, 1), Err(FaultReason::INTR_IRTE_RSVD), "word {word} bit {bit}");
    }
    let mut m = scene(IRTE.with_SVT(3));
    assert_eq!(at(&mut m, 1), Err(FaultReason::INTR_IRTE_RSVD), "there is no such SVT");
}

#[test]
fn the_source_has_to_be_the_one_that_sid_and_sq_ask_for() {
    let base = IRTE.with_SVT(SVT::SID_SQ as u8).with_SID(0x3B10);
    for (sq, ignored) in [(0, 0), (1, 0b100), (2, 0b110), (3, 0b111)] {
        let mut m = scene(base.with_SQ(sq));
        for rid in 0x3B10..0x3B20u16 {
            let expected =
                if (rid ^ 0x3B10) & !ignored == 0 { Ok(0x41) } else { Err(FaultReason::INTR_SID) };
            let done = vector(send(&mut m, Rid(rid), address(1).0, 0));
            assert_eq!(done, expected, "SQ {sq}, {rid:#x}");
        }
    }
}

#[test]
fn the_source_has_to_be_on_a_bus_of_the_range() {
    let mut m = scene(IRTE.with_SVT(SVT::BUS_RANGE as u8).with_SID(0x20_30));
    for (bus, allowed) in [(0x1F, false), (0x20, true), (0x30, true), (0x31, false)] {
        let done = send(&mut m, Rid(bus << 8 | 0xFF), address(1).0, 0);
        assert_eq!(done.is_ok(), allowed, "{bus:#x}");
    }
}

#[test]
fn a_refused_interrupt_is_recorded_with_its_index() {
    let mut m = scene(IRTE.with_P(false));
    assert!(at(&mut m, 1).is_err());
    let (low, high) = m.record(0);
    assert_eq!(low, 1 << 48);
    assert_eq!(high, 1 << 63 | 0x22 << 32 | u64::from(RID.0));
}

#[test]
fn fpd_of_an_irte_keeps_its_faults_from_being_recorded() {
    let mut m = scene(IRTE.with_P(false).with_FPD(true));
    assert!(at(&mut m, 1).is_err());
    assert!(at(&mut m, 256).is_err());
    let (low, high) = m.record(0);
    assert_eq!((low, high >> 32 & 0xFF), (256 << 48, 0x21), "only what no IRTE is about");
}

#[test]
fn irtes_are_cached_until_they_are_invalidated() {
    let (mut m, table) = table(&Config::default(), false);
    m.enable(TTM::LEGACY);
    m.start_queue(false);
    for n in 0..16 {
        m.put(table + n * 16, &IRTE.0);
        assert_eq!(vector(at(&mut m, n as u32)), Ok(0x41));
        m.put(table + n * 16, &IRTE.with_V(0x99).0);
    }
    assert_eq!(vector(at(&mut m, 5)), Ok(0x41), "hardware may serve what it has cached");
    let some = IecInvDsc([0; 4])
        .with_TYPE(DescriptorType::INTERRUPT_ENTRY_CACHE as u8)
        .with_G(true)
        .with_IIDX(4)
        .with_IM(1);
    assert!(m.submit_and_wait(&[some.0]));
    for n in 0..16 {
        let expected = if n == 4 || n == 5 { 0x99 } else { 0x41 };
        assert_eq!(vector(at(&mut m, n)), Ok(expected), "{n}");
    }
    assert!(m.submit_and_wait(&[some.with_G(false).0]));
    assert_eq!(vector(at(&mut m, 8)), Ok(0x99));
    m.put(table + 8 * 16, &IRTE.0);
    m.command(|c| c.with_SIRTP(true));
    assert_eq!(vector(at(&mut m, 8)), Ok(0x41), "ESIRTPS: SIRTP invalidates too");
}

#[test]
fn entries_that_are_not_present_are_not_cached() {
    let (mut m, table) = table(&Config::default(), false);
    assert_eq!(at(&mut m, 3), Err(FaultReason::INTR_IRTE_P));
    m.put(table + 48, &IRTE.0);
    assert_eq!(vector(at(&mut m, 3)), Ok(0x41));
}

#[test]
fn look_ups_are_counted_apart_for_remapped_and_posted_interrupts() {
    let (mut m, pid) = posting(&Config::default(), PostedIrte([0; 2]));
    let table = m.r64(unit::IRTA::AT) & !0xFFF;
    m.put(table, &IRTE.0);
    for handle in [0, 0, 1, 1, 1] {
        at(&mut m, handle).unwrap();
    }
    let counters = m.unit.counters();
    assert_eq!(counters.get(Event::IntLookup), 5);
    assert_eq!(counters.get(Event::IntHitNonposted), 1);
    assert_eq!(counters.get(Event::IntHitPosted), 2);
    assert_ne!(m.get(pid + 16), 0);
}

/// Index 1 posts vector 0x81 to a descriptor; gives where that is.
fn posting(config: &Config, flags: PostedIrte) -> (Machine, u64) {
    let (mut m, table) = table(config, true);
    let pid = m.page() + 64;
    let entry = PostedIrte(flags.0)
        .with_P(true)
        .with_IM(true)
        .with_V(0x81)
        .with_PDAL((pid >> 6) as u32)
        .with_PDAH((pid >> 32) as u32);
    m.put(table + 16, &entry.0);
    m.put(pid + 32, &[0xF2 << 16 | 0x12 << 32]); // NV, NDST
    (m, pid)
}

#[test]
fn a_posted_interrupt_sets_its_bit_and_on_and_notifies() {
    let (mut m, pid) = posting(&uncached(), PostedIrte([0; 2]));
    let expected =
        Interrupt::Posted { descriptor: Hpa(pid), vector: 0x81, notify: Some((0x12, 0xF2)) };
    assert_eq!(at(&mut m, 1), Ok(expected));
    assert_eq!([0, 1, 2, 3].map(|n| m.get(pid + 8 * n)), [0, 0, 1 << 1, 0]);
    assert_eq!(m.get(pid + 32) & 3, 1, "ON");
}

#[test]
fn while_a_notification_is_outstanding_there_is_no_other() {
    let (mut m, pid) = posting(&uncached(), PostedIrte([0; 2]).with_URG(true));
    at(&mut m, 1).unwrap();
    m.put(pid + 16, &[0]);
    let Ok(Interrupt::Posted { notify: None, .. }) = at(&mut m, 1) else { panic!("notified") };
    assert_eq!(m.get(pid + 16), 2, "and yet it is posted");
}

#[test]
fn sn_suppresses_notifications_of_what_is_not_urgent() {
    for (urgent, notified) in [(false, false), (true, true)] {
        let (mut m, pid) = posting(&uncached(), PostedIrte([0; 2]).with_URG(urgent));
        m.put(pid + 32, &[m.get(pid + 32) | 2]);
        let Ok(Interrupt::Posted { notify, .. }) = at(&mut m, 1) else { panic!("refused") };
        assert_eq!(notify.is_some(), notified);
        assert_eq!(m.get(pid + 32) & 3, if notified { 3 } else { 2 });
        assert_eq!(m.get(pid + 16), 2);
    }
}

#[test]
fn without_eime_a_notification_goes_to_bits_15_to_8() {
    let (mut m, pid) = posting(&uncached(), PostedIrte([0; 2]));
    let irta = unit::IRTA(m.r64(unit::IRTA::AT)).with_EIME(false);
    m.w64(unit::IRTA::AT, irta.0);
    m.command(|c| c.with_SIRTP(true));
    m.put(pid + 32, &[0xF2 << 16 | 0x1200 << 32]);
    let Ok(Interrupt::Posted { notify, .. }) = at(&mut m, 1) else { panic!("refused") };
    assert_eq!(notify, Some((0x12, 0xF2)));
}

#[test]
fn every_vector_has_its_bit() {
    let (mut m, pid) = posting(&uncached(), PostedIrte([0; 2]));
    let table = m.r64(unit::IRTA::AT) & !0xFFF;
    let entry = PostedIrte([m.get(table + 16), m.get(table + 24)]);
    for vector in [0u8, 63, 64, 127, 128, 255] {
        m.put(table + 16, &entry.with_V(vector).0);
        at(&mut m, 1).unwrap();
        assert_eq!(m.get(pid + u64::from(vector / 64) * 8) >> (vector % 64) & 1, 1, "{vector}");
    }
}

#[test]
fn a_descriptor_that_cannot_be_reached_is_intr_pid_read() {
    let (mut m, _) = posting(&uncached(), PostedIrte([0; 2]));
    let table = m.r64(unit::IRTA::AT) & !0xFFF;
    let entry = PostedIrte([m.get(table + 16), m.get(table + 24)]);
    m.put(table + 16, &entry.with_PDAH(u32::MAX).with_PDAL((1 << 26) - 1).0);
    assert_eq!(at(&mut m, 1), Err(FaultReason::INTR_PID_READ));
}

#[test]
fn reserved_bits_of_a_descriptor_are_intr_pid_rsvd_and_nothing_is_posted() {
    let (mut m, pid) = posting(&uncached(), PostedIrte([0; 2]));
    m.put(pid + 32, &[1 << 2]);
    assert_eq!(at(&mut m, 1), Err(FaultReason::INTR_PID_RSVD));
    assert_eq!(m.get(pid + 16), 0);
}

#[test]
fn reserved_bits_of_a_posted_irte_are_intr_irte_rsvd() {
    let (mut m, _) = posting(&uncached(), PostedIrte([1 << 24, 0]));
    assert_eq!(at(&mut m, 1), Err(FaultReason::INTR_IRTE_RSVD));
}
