//! GCMD and GSTS (VT-d 11.4.4), RTADDR (11.4.5).

use siov_iommu::Config;
use siov_spec::vtd::{FaultReason, TTM, unit};

use crate::common::{Machine, READ, ss, uncached, with_stage};

#[test]
fn translation_enable_is_ignored_until_the_root_table_is_set() {
    let mut m = Machine::new(&uncached());
    m.command(|c| c.with_TE(true));
    assert!(!m.gsts().TES());
    assert_eq!(m.dma(0x1234, READ), Ok(0x1234), "nothing is translated");
    m.command(|c| c.with_SRTP(true));
    assert!(m.gsts().RTPS() && !m.gsts().TES());
    m.command(|c| c.with_TE(true));
    assert!(m.gsts().TES());
}

#[test]
fn interrupt_remapping_enable_is_ignored_until_its_table_is_set() {
    let mut m = Machine::new(&uncached());
    m.command(|c| c.with_IRE(true));
    assert!(!m.gsts().IRES());
    m.command(|c| c.with_SIRTP(true));
    assert!(m.gsts().IRTPS() && !m.gsts().IRES());
    m.command(|c| c.with_IRE(true));
    assert!(m.gsts().IRES());
}

#[test]
fn rtaddr_takes_effect_with_srtp_and_not_before() {
    let (mut m, top) = Machine::legacy(&uncached(), 4);
    m.map(top, 4, 0x5000, 1, ss(0x7000), ss);
    assert_eq!(m.dma(0x5000, READ), Ok(0x7000));
    let empty = m.page();
    m.w64(unit::RTADDR::AT, empty);
    assert_eq!(m.dma(0x5000, READ), Ok(0x7000));
    m.command(|c| c.with_SRTP(true));
    assert_eq!(m.dma(0x5000, READ), Err(FaultReason::LRT_2));
}

#[test]
fn srtp_forgets_what_was_cached_as_esrtps_says() {
    let (mut m, top) = Machine::legacy(&Config::default(), 4);
    assert!(unit::CAP(m.r64(unit::CAP::AT)).ESRTPS());
    let leaf = m.map(top, 4, 0x5000, 1, ss(0x7000), ss);
    assert_eq!(m.dma(0x5000, READ), Ok(0x7000));
    m.put(leaf, &[ss(0x9000)]);
    m.command(|c| c.with_SRTP(true));
    assert_eq!(m.dma(0x5000, READ), Ok(0x9000));
}

#[test]
fn translation_goes_off_when_te_is_cleared() {
    let (mut m, _) = Machine::legacy(&uncached(), 4);
    assert!(m.dma(0x5000, READ).is_err());
    m.command(|c| c.with_TE(false));
    assert!(!m.gsts().TES());
    assert_eq!(m.dma(0x5000, READ), Ok(0x5000));
}

#[test]
fn one_shot_commands_leave_what_is_on_as_it_is() {
    let mut m = Machine::on(&uncached(), TTM::LEGACY);
    m.start_queue(false);
    m.command(|c| c.with_SIRTP(true));
    let status = m.gsts();
    assert!(status.TES() && status.RTPS() && status.QIES() && status.IRTPS());
    assert!(!status.IRES() && !status.CFIS());
    assert_eq!(m.r32(unit::GCMD::AT), 0, "GCMD reads as zero");
}

#[test]
fn a_root_table_beyond_the_host_address_width_is_rta_1() {
    let mut m = Machine::new(&Config { haw: 40, ..uncached() });
    m.root = 1 << 40;
    m.enable(TTM::LEGACY);
    assert_eq!(m.dma(0, READ), Err(FaultReason::RTA_1));
}

#[test]
fn a_reserved_ttm_is_rta_1_and_so_is_scalable_mode_where_there_is_none() {
    let mut m = Machine::new(&uncached());
    m.w64(unit::RTADDR::AT, unit::RTADDR(0).with_TTM(2).0);
    m.command(|c| c.with_SRTP(true));
    m.command(|c| c.with_TE(true));
    assert_eq!(m.dma(0, READ), Err(FaultReason::RTA_1));

    let mut m = Machine::on(&Config { scalable: false, ..uncached() }, TTM::SCALABLE);
    assert!(!unit::ECAP(m.r64(unit::ECAP::AT)).SMTS());
    assert_eq!(m.dma(0, READ), Err(FaultReason::RTA_1));
}

#[test]
fn abort_dma_mode_blocks_every_request_as_rta_4() {
    let mut m = Machine::on(&uncached(), TTM::ABORT_DMA);
    assert!(unit::ECAP(m.r64(unit::ECAP::AT)).ADMS());
    assert_eq!(m.dma(0x1000, READ), Err(FaultReason::RTA_4));
    assert_eq!(m.pasid_dma(0x1000, READ), Err(FaultReason::RTA_4));
}

#[test]
fn the_capabilities_are_those_of_the_configuration() {
    let m = Machine::new(&Config::default());
    let cap = unit::CAP(m.r64(unit::CAP::AT));
    assert_eq!((cap.SAGAW(), cap.MGAW(), cap.SSLPS()), (0b1110, 56, 0b11));
    assert_eq!((cap.NFR(), cap.FRO()), (7, 0x60));
    assert!(cap.FS5LP() && cap.FS1GP() && cap.PI() && cap.PSI() && !cap.CM());
    let ecap = unit::ECAP(m.r64(unit::ECAP::AT));
    assert_eq!((ecap.IRO(), ecap.PSS()), (0x50, 19));
    assert!(ecap.SMTS() && ecap.NEST() && ecap.DT() && ecap.PRS() && ecap.NWFS());

    let small = Config { sagaw: 0b0010, five_level: false, device_tlb: false, ..uncached() };
    let m = Machine::new(&small);
    let cap = unit::CAP(m.r64(unit::CAP::AT));
    assert_eq!((cap.MGAW(), cap.FS5LP()), (38, false));
    let ecap = unit::ECAP(m.r64(unit::ECAP::AT));
    assert!(!ecap.DT() && !ecap.PRS() && !ecap.NWFS());
}

#[test]
fn capabilities_and_status_are_read_only() {
    let mut m = Machine::new(&uncached());
    let before = (m.r64(unit::CAP::AT), m.r64(unit::ECAP::AT), m.r32(unit::GSTS::AT));
    for at in [unit::CAP::AT, unit::ECAP::AT] {
        m.w64(at, u64::MAX);
    }
    m.w32(unit::GSTS::AT, u32::MAX);
    assert_eq!(before, (m.r64(unit::CAP::AT), m.r64(unit::ECAP::AT), m.r32(unit::GSTS::AT)));
}

#[test]
fn a_mode_can_be_left_for_another_with_translation_on() {
    let (mut m, top) = with_stage(&Config::default(), |top| crate::common::first_entry(top, 4));
    m.map(top, 4, 0x5000, 1, crate::common::fs(0x7000), crate::common::fs);
    assert_eq!(m.pasid_dma(0x5000, READ), Ok(0x7000));
    let root = unit::RTADDR(0).with_TTM(TTM::ABORT_DMA as u8);
    m.w64(unit::RTADDR::AT, root.0);
    m.command(|c| c.with_SRTP(true));
    assert_eq!(m.pasid_dma(0x5000, READ), Err(FaultReason::RTA_4));
}
