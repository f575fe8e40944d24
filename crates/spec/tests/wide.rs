//! Words of more than 64 bits, and the register file of a remapping unit.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use siov_spec::ept::{PmlIndex, pml_log};
use siov_spec::vtd::unit::{BLOCK, GCMD, Reg};
use siov_spec::vtd::{
    DescriptorType, FaultReason, FaultRecordHi, InvWaitDsc, PGTT, PasidTableEntry,
    PostedInterruptDescriptor,
};
use siov_spec::{Layout, RegFile, Write};

#[test]
fn a_wide_word_goes_through_little_endian_bytes_unchanged() {
    let bytes: [u8; 64] = std::array::from_fn(|n| n as u8);
    let entry = PasidTableEntry::from_bytes(&bytes);
    assert_eq!(entry.0.first(), Some(&0x0706_0504_0302_0100));
    assert_eq!(entry.0.last(), Some(&0x3f3e_3d3c_3b3a_3938));
    assert_eq!(entry.to_bytes(), bytes);
}

#[test]
fn a_field_of_a_wide_word_lies_in_its_own_u64() {
    let entry = PasidTableEntry::default()
        .with_P(true)
        .with_PGTT(PGTT::NESTED as u8)
        .with_DID(0xffff)
        .with_FSPTPTR(0x12345);
    assert_eq!(entry.0, [0xc1, 0xffff, 0x1234_5000, 0, 0, 0, 0, 0]);
    assert_eq!(PGTT::from_raw(entry.PGTT().into()), Some(PGTT::NESTED));
    assert!(PostedInterruptDescriptor([0, 0, 0, 0, 2, 0, 0, 0]).SN());
}

#[test]
fn the_reserved_bits_of_a_descriptor_are_those_without_a_field() {
    let wait = InvWaitDsc::default()
        .with_TYPE(DescriptorType::WAIT as u8)
        .with_SW(true)
        .with_STDATA(u32::MAX)
        .with_STADDR(!0);
    assert!(wait.0.iter().zip(InvWaitDsc::RSVD).all(|(word, reserved)| word & reserved == 0));
    assert_eq!(InvWaitDsc::RSVD, [0xffff_f100, 3, !0, !0]);
}

#[test]
fn a_fault_reason_tells_whether_fpd_silences_it() {
    assert_eq!(FaultReason::from_raw(0x71), Some(FaultReason::SFS_2));
    assert!(FaultReason::SFS_2.is_qualified() && !FaultReason::RTA_1.is_qualified());
    assert!(FaultReason::INTR_SID.is_interrupt() && !FaultReason::LGN_2.is_interrupt());
}

#[test]
fn a_units_register_file_serves_commands_and_fault_records() {
    let mut regs = RegFile::new(Arc::new(Layout::of(&BLOCK)));
    let enable = GCMD::default().with_TE(true).0.to_le_bytes();
    let mut write = Write::new(GCMD::AT, &enable);
    let change = regs.step(&mut write).unwrap();
    assert_eq!(Reg::from_id(change.id), Some(Reg::GCMD));
    assert!(GCMD(change.written as u32).TE());
    assert_eq!(regs.read_number(GCMD::AT, 4), 0);

    let record = FaultRecordHi::default().with_F(true).with_SID(0x3b00).with_FR(0x71);
    regs.set(Reg::FRCD_HI, 1, record.0);
    assert_eq!(regs.read_number(0x618, 8), record.0);
    regs.write(0x61c, &0x8000_0000_u32.to_le_bytes());
    assert_eq!(regs.read_number(0x618, 8), record.with_F(false).0);
}

#[test]
fn the_pml_log_is_filled_from_its_last_entry() {
    assert_eq!(u32::from(PmlIndex::RESET) * 8 + 8, pml_log::SIZE);
}
