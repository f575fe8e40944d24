//! A register file over BAR 0 of the E810, and its pages, answer by the drivers' offsets.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::sync::Arc;

use siov_spec::e810::{
    self, DTYPE, RxQueueContext, TxDataQw1, TxQueueContext, bar0, ims_slot, pages, vsi_properties,
};
use siov_spec::{Change, Layout, RegFile, Write};

fn bar() -> RegFile {
    RegFile::new(Arc::new(Layout::of(&bar0::BLOCK)))
}

fn write(file: &mut RegFile, at: u32, value: u32) -> Vec<Change> {
    let data = value.to_le_bytes();
    let mut write = Write::new(at, &data);
    std::iter::from_fn(|| file.step(&mut write)).collect()
}

fn changed(file: &mut RegFile, at: u32) -> (bar0::Reg, u32) {
    let changes = write(file, at, 0);
    assert_eq!(changes.len(), 1, "{at:#x}");
    (bar0::Reg::from_id(changes[0].id).unwrap(), changes[0].index)
}

#[test]
fn a_write_at_a_driver_s_offset_names_the_register_and_the_element() {
    let mut file = bar();
    let cases = [
        (0x0008_0400, bar0::Reg::PF_FW_ATQT, 0),
        (0x0016_0000 + 4 * 2047, bar0::Reg::GLINT_DYN_CTL, 2047),
        (0x0015_4000 + 8192 * 2 + 4 * 5, bar0::Reg::GLINT_ITR, 2 * 2048 + 5),
        (0x0028_0000 + 8192 * 7 + 4 * 9, bar0::Reg::QRX_CONTEXT, 7 * 2048 + 9),
        (0x002C_0000 + 4 * 16383, bar0::Reg::QTX_COMM_DBELL, 16383),
        (0x0200_0000 + 4096 * 767 + 0x24, bar0::Reg::VSI_MBX_ARQT, 767),
        (0x0800_0000 + 4096 * 16383 + 0xC, bar0::Reg::IMS_INT_ITR2, 16383),
        (0x0C00_0000 + 16 * 3 + 8, bar0::Reg::IMS_DATA, 3),
        (0x0C10_0000 + 4 * 16383, bar0::Reg::IMS_RATE, 16383),
        (0x003B_0000 + 8 * 767 + 4, bar0::Reg::GLV_GORC, 767),
    ];
    for (at, reg, index) in cases {
        assert_eq!(changed(&mut file, at), (reg, index), "{at:#x}");
    }
}

#[test]
fn a_page_s_offset_names_the_queue_or_vector_that_it_shows() {
    let mut file = RegFile::new(Arc::new(Layout::of(&pages::BLOCK)));
    for (at, reg, index) in [
        (0x0300_0000 + 4096 * 2047, pages::Reg::INT_DYN_CTL, 2047),
        (0x0300_0000 + 4096 * 6 + 8, pages::Reg::INT_ITR1, 6),
        (0x0380_0000 + 4096 * 2047, pages::Reg::QRX_TAIL_PAGE, 2047),
        (0x0400_0000 + 4096 * 16383, pages::Reg::QTX_COMM_DBELL_PAGE, 16383),
    ] {
        let changes = write(&mut file, at, 1);
        let found = (pages::Reg::from_id(changes[0].id), changes[0].index);
        assert_eq!(found, (Some(reg), index), "{at:#x}");
    }
    assert!(write(&mut file, 0x0300_0010, 1).is_empty(), "the rest of a page is no register");
}

#[test]
fn what_no_register_covers_reads_as_zero_and_takes_no_write() {
    let mut file = bar();
    for at in [0x0, 0x0200_0028, 0x02FF_F000, 0x0300_0000, 0x0C11_0000, 0x0FFF_FFFC] {
        assert!(write(&mut file, at, u32::MAX).is_empty(), "{at:#x}");
        assert_eq!(file.read_number(at, 4), 0, "{at:#x}");
    }
}

#[test]
fn both_halves_of_a_counter_are_read_by_themselves() {
    let mut file = bar();
    file.set(bar0::Reg::GLV_UPRC, 3, 0x12_3456_789A);
    let at = bar0::GLV_UPRC::AT + 3 * bar0::GLV_UPRC::STRIDE;
    assert_eq!(file.read_number(at, 4), 0x3456_789A);
    assert_eq!(file.read_number(at + 4, 4), 0x12);
    assert_eq!(file.read_number(at, 8), 0x12_3456_789A);
}

#[test]
fn a_slot_of_message_storage_is_masked_at_first() {
    let file = bar();
    let control = file.get(bar0::Reg::IMS_CONTROL, e810::IMS_SLOTS - 1);
    assert!(ims_slot::CONTROL(control as u32).MASK());
}

#[test]
fn a_row_s_constants_agree_with_its_place_in_the_block() {
    let rows = [
        ("QRX_TAIL", bar0::QRX_TAIL::AT, bar0::QRX_TAIL::COUNT, bar0::QRX_TAIL::STRIDE),
        ("GLV_GORC", bar0::GLV_GORC::AT, bar0::GLV_GORC::COUNT, bar0::GLV_GORC::STRIDE),
        ("GLPRT_ROC", bar0::GLPRT_ROC::AT, bar0::GLPRT_ROC::COUNT, bar0::GLPRT_ROC::STRIDE),
    ];
    let mut file = bar();
    for (name, at, count, stride) in rows {
        let id = file.layout().id(name).unwrap();
        assert_eq!(file.layout().elements(id), count, "{name}");
        let last = write(&mut file, at + (count - 1) * stride, 0);
        assert_eq!((last[0].id, last[0].index), (id, count - 1), "{name}");
    }
}

#[test]
fn words_of_descriptors_and_contexts_read_what_was_put_in() {
    let word = TxDataQw1(0).with_DTYPE(DTYPE::DATA as u8).with_EOP(true).with_TX_BUF_SZ(1514);
    assert_eq!(word.0, 1 << 4 | 1514 << 34);
    let context = RxQueueContext::default().with_BASE_LO(0x89AB_CDEF).with_BASE_HI(0x123_4567);
    let bytes = context.with_QLEN(512).to_bytes();
    assert_eq!(&bytes[4..11], &[0xEF, 0xCD, 0xAB, 0x89, 0x67, 0x45, 0x23]);
    assert_eq!(RxQueueContext::from_bytes(&bytes).QLEN(), 512);
    assert_eq!(TxQueueContext::from_bytes(&[0xFF; 24]).TSO_QNUM(), 0x7FF);
    assert_eq!(vsi_properties::PASID_ID::AT, 100);
}
