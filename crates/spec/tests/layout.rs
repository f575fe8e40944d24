//! Layouts refuse what contradicts itself, and a register file answers plainly at its edges.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::sync::Arc;

use siov_spec::layout::Register;
use siov_spec::pcie::{express, msix_entry, sr_iov, type0};
use siov_spec::testfn::bar0;
use siov_spec::{Layout, RegFile, Reset, Write};

fn register(name: &str, size: u8) -> Register<String> {
    let all = u64::MAX;
    Register { name: name.into(), size, reset: 0, rw: all, rw1c: 0, sticky: 0 }
}

fn refusal(size: u32, registers: &[(u32, &str, u8)]) -> String {
    let registers = registers.iter().map(|(at, name, bytes)| (*at, register(name, *bytes)));
    Layout::from_registers(size, registers).unwrap_err().to_string()
}

#[test]
fn registers_that_overlap_are_refused_by_name_and_offset() {
    assert_eq!(refusal(16, &[(0, "A", 4), (3, "B", 1)]), "B at 0x3 overlaps A");
    assert_eq!(refusal(16, &[(4, "B", 4), (0, "A", 8)]), "B at 0x4 overlaps A");
    assert_eq!(refusal(16, &[(4, "A", 1), (4, "B", 1)]), "B at 0x4 overlaps A");
}

#[test]
fn a_register_past_the_end_is_refused_by_name_and_offset() {
    assert_eq!(refusal(16, &[(13, "A", 4)]), "A at 0xd leaves the 0x10 bytes");
    assert_eq!(refusal(16, &[(16, "A", 1)]), "A at 0x10 leaves the 0x10 bytes");
}

#[test]
fn an_offset_near_the_end_of_the_numbers_is_refused_and_does_not_wrap() {
    assert!(refusal(u32::MAX, &[(u32::MAX, "A", 8)]).contains("A at 0xffffffff leaves"));
    assert!(refusal(16, &[(u32::MAX - 3, "A", 4)]).contains("leaves the 0x10 bytes"));
}

#[test]
fn a_size_that_no_register_has_is_refused_with_the_sizes_there_are() {
    assert_eq!(refusal(16, &[(0, "A", 0)]), "A has 0 bytes; 1 to 8 are allowed");
    assert_eq!(refusal(16, &[(0, "A", 9)]), "A has 9 bytes; 1 to 8 are allowed");
}

#[test]
fn registers_side_by_side_up_to_the_end_are_allowed() {
    let registers = [(0, register("A", 3)), (3, register("B", 5))];
    let layout = Layout::from_registers(8, registers).unwrap();
    assert_eq!((layout.size(), layout.id("A"), layout.id("B")), (8, Some(0), Some(1)));
    assert_eq!((layout.id("C"), layout.register(2), layout.elements(2)), (None, None, 0));
}

#[test]
fn an_empty_layout_reads_as_zero_and_takes_no_write() {
    let mut file = RegFile::new(Arc::new(Layout::from_registers(16, []).unwrap()));
    assert!(file.step(&mut Write::new(0, &[0xFF; 16])).is_none());
    assert_eq!(file.read_number(0, 8), 0);
    file.reset(Reset::Cold);
}

#[test]
fn an_access_at_the_end_of_the_numbers_does_not_wrap_to_the_start() {
    let mut file =
        RegFile::new(Arc::new(Layout::from_registers(8, [(0, register("A", 8))]).unwrap()));
    file.set(0u16, 0, 0x1122_3344_5566_7788);
    let mut out = [1; 8];
    file.read(u32::MAX - 3, &mut out);
    assert_eq!(out, [0; 8]);
    file.write(u32::MAX - 3, &[0xFF; 8]);
    assert_eq!(file.get(0u16, 0), 0x1122_3344_5566_7788);
}

#[test]
fn an_access_past_the_end_of_the_numbers_still_reaches_what_is_before_it() {
    let at = u32::MAX - 9;
    let layout = Layout::from_registers(u32::MAX, [(at, register("A", 8))]).unwrap();
    let mut file = RegFile::new(Arc::new(layout));
    file.write(at + 4, &[0xFF; 16]);
    assert_eq!(file.get(0u16, 0), 0xFFFF_FFFF_0000_0000);
    let mut out = [0; 16];
    file.read(at + 4, &mut out);
    assert_eq!(out[..5], [0xFF, 0xFF, 0xFF, 0xFF, 0]);
}

#[test]
fn a_number_is_read_little_endian_and_only_up_to_eight_bytes() {
    let mut file =
        RegFile::new(Arc::new(Layout::from_registers(8, [(0, register("A", 8))]).unwrap()));
    file.write(0, &[1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(file.read_number(1, 3), 0x04_03_02);
    assert_eq!(file.read_number(0, 8), 0x0807_0605_0403_0201);
    assert_eq!(file.read_number(0, 9), 0, "no register is read as nine bytes");
}

#[test]
fn an_element_that_is_not_there_reads_zero_and_takes_nothing() {
    let mut file = RegFile::new(Arc::new(Layout::of(&bar0::BLOCK)));
    file.set(bar0::Reg::SCRATCH, 1, 7);
    assert_eq!(file.get(bar0::Reg::SCRATCH, 1), 0);
    assert_eq!(file.get(bar0::Reg::SCRATCH, 0), 0);
    assert_eq!(file.get(u16::MAX, 0), 0);
}

#[test]
fn a_write_of_no_bytes_touches_not_even_the_register_it_points_into() {
    let mut file = RegFile::new(Arc::new(Layout::of(&bar0::BLOCK)));
    assert!(file.step(&mut Write::new(bar0::DOORBELL::AT + 2, &[])).is_none());
    assert!(file.step(&mut Write::new(bar0::DOORBELL::AT, &[])).is_none());
}

#[test]
fn two_files_of_one_layout_keep_their_own_values() {
    let layout = Arc::new(Layout::of(&bar0::BLOCK));
    let (mut one, two) = (RegFile::new(Arc::clone(&layout)), RegFile::new(layout));
    one.set(bar0::Reg::SCRATCH, 0, 7);
    assert_eq!((one.get(bar0::Reg::SCRATCH, 0), two.get(bar0::Reg::SCRATCH, 0)), (7, 0));
}

#[test]
fn the_ids_of_a_generated_block_name_its_registers() {
    for (layout, names) in [
        (Layout::of(&bar0::BLOCK), bar0::Reg::ALL.map(|r| format!("{r:?}")).to_vec()),
        (Layout::of(&type0::BLOCK), type0::Reg::ALL.map(|r| format!("{r:?}")).to_vec()),
        (Layout::of(&sr_iov::BLOCK), sr_iov::Reg::ALL.map(|r| format!("{r:?}")).to_vec()),
        (Layout::of(&express::BLOCK), express::Reg::ALL.map(|r| format!("{r:?}")).to_vec()),
    ] {
        let found: Vec<_> = layout.registers().map(|register| register.name.clone()).collect();
        assert_eq!(found, names);
    }
    for reg in bar0::Reg::ALL {
        assert_eq!(bar0::Reg::from_id(reg.into()), Some(reg));
    }
    assert_eq!(bar0::Reg::from_id(bar0::Reg::ALL.len() as u16), None);
}

#[test]
fn a_write_into_a_row_of_blocks_names_the_register_and_its_element() {
    let mut file = RegFile::new(Arc::new(Layout::of(&bar0::BLOCK)));
    let at = 0x1000 + 16 * 5 + msix_entry::ADDRESS_LO::AT;
    let mut write = Write::new(at + 2, &[0xFF; 8]);
    let mut seen = vec![];
    while let Some(change) = file.step(&mut write) {
        seen.push((
            bar0::Reg::from_id(change.id).unwrap(),
            change.index,
            change.new,
            change.written,
        ));
    }
    assert_eq!(
        seen,
        [
            (bar0::Reg::MSIX_TABLE_ADDRESS_LO, 5, 0xFFFF_0000, 0xFFFF_0000),
            (bar0::Reg::MSIX_TABLE_ADDRESS_HI, 5, 0xFFFF_FFFF, 0xFFFF_FFFF),
            (bar0::Reg::MSIX_TABLE_DATA, 5, 0xFFFF, 0xFFFF),
        ]
    );
    assert_eq!(file.get(bar0::Reg::MSIX_TABLE_VECTOR_CONTROL, 15), 1);
    assert_eq!(file.layout().elements(bar0::Reg::MSIX_TABLE_DATA.into()), 16);
}

#[test]
fn readers_and_builders_of_a_word_agree_with_its_bits() {
    use siov_spec::pcie::{CapabilityHeader, aer, type1};
    let control = express::DEVCTL(0).with_MRRS(5).with_IFLR(true).with_MPS(9);
    assert_eq!(control.0, 5 << 12 | 1 << 15 | 1 << 5, "a value is cut to its field");
    assert_eq!(
        (control.MRRS(), control.IFLR(), control.MPS(), control.CERE()),
        (5, true, 1, false)
    );
    assert_eq!(express::DEVCTL(u16::MAX).with_MRRS(0).0, 0x8FFF);
    assert_eq!(type1::PREF_BASE_HIGH(0).with_BASE(0xDEAD_BEEF).BASE(), 0xDEAD_BEEF);
    assert_eq!(CapabilityHeader(0x5011).NEXT(), 0x50);
    assert_eq!(aer::CAP(0xFFFF_FFE0).FEP(), 0);
    assert_eq!(bar0::COPY_SRC(0).with_ADDR(u64::MAX).0, u64::MAX);
    assert!(!express::DEVCTL(u16::MAX).with_CERE(false).CERE());
}
