//! Legacy mode (VT-d 3.4.2): root, context, second stage, pass-through, and each fault on the way.

use siov_iommu::{Config, Pasid, Rid};
use siov_spec::vtd::{ContextEntry, FaultReason, RootEntry, SsPage4K, TT, TTM};

use crate::common::{DID, HOLE, Machine, PS, READ, RID, WRITE, ss, uncached};

fn root_at(m: &Machine) -> u64 {
    m.root + u64::from(RID.bus()) * 16
}

fn context(m: &mut Machine) -> ContextEntry {
    let at = m.context_at(RID);
    ContextEntry([m.get(at), m.get(at + 8)])
}

#[test]
fn second_stages_of_3_4_and_5_levels_translate_pages_of_every_size() {
    for levels in 3..=5 {
        let (mut m, top) = Machine::legacy(&uncached(), levels);
        let high = 1 << (12 + 9 * u64::from(levels) - 1);
        m.map(top, levels, high | 0x5000, 1, ss(0x7000), ss);
        m.map(top, levels, high | 0x20_0000, 2, ss(0x60_0000 | PS), ss);
        m.map(top, levels, high | 0x4000_0000, 3, ss(0x8000_0000 | PS), ss);
        assert_eq!(m.dma(high | 0x5123, READ), Ok(0x7123), "{levels} levels, 4 KiB");
        assert_eq!(m.dma(high | 0x21_5123, WRITE), Ok(0x61_5123), "{levels} levels, 2 MiB");
        assert_eq!(m.dma(high | 0x4765_4321, READ), Ok(0x8765_4321), "{levels} levels, 1 GiB");
        let sizes = [0x5000, 0x20_0000, 0x4000_0000].map(|at| m.access(RID, None, high | at, READ));
        assert_eq!(sizes.map(|t| t.unwrap().page), [1 << 12, 1 << 21, 1 << 30]);
    }
}

#[test]
fn an_address_beyond_the_width_is_lgn_1() {
    for (levels, bits) in [(3, 39), (4, 48), (5, 57)] {
        let (mut m, top) = Machine::legacy(&uncached(), levels);
        m.map(top, levels, 0, 1, ss(0x7000), ss);
        assert_eq!(m.dma(0x10, READ), Ok(0x7010));
        assert_eq!(m.dma(1 << bits, READ), Err(FaultReason::LGN_1), "{levels} levels");
        assert_eq!(m.dma(1 << 63, READ), Err(FaultReason::LGN_1));
    }
}

#[test]
fn pass_through_leaves_addresses_alone_up_to_the_host_address_width() {
    let (mut m, _) = Machine::legacy(&Config { haw: 40, ..uncached() }, 4);
    let entry = context(&mut m).with_TT(TT::PASS_THROUGH as u8).with_SSPTPTR(u64::MAX);
    m.put_context(RID, entry);
    assert_eq!(m.dma(0x12_3456, WRITE), Ok(0x12_3456));
    assert_eq!(m.dma((1 << 40) - 1, READ), Ok((1 << 40) - 1));
    assert_eq!(m.dma(1 << 40, READ), Err(FaultReason::LGN_1));
}

#[test]
fn a_function_with_a_device_tlb_sends_untranslated_requests_too() {
    let (mut m, top) = Machine::legacy(&uncached(), 4);
    m.map(top, 4, 0x5000, 1, ss(0x7000), ss);
    let entry = context(&mut m).with_TT(TT::DEVICE_TLB as u8);
    m.put_context(RID, entry);
    assert_eq!(m.dma(0x5000, READ), Ok(0x7000));
}

#[test]
fn a_root_table_that_cannot_be_read_is_lrt_1() {
    let mut m = Machine::new(&uncached());
    m.root = HOLE;
    m.enable(TTM::LEGACY);
    assert_eq!(m.dma(0, READ), Err(FaultReason::LRT_1));
}

#[test]
fn a_root_entry_that_is_not_present_is_lrt_2() {
    let (mut m, _) = Machine::legacy(&uncached(), 4);
    let other = Rid(0x3C00);
    assert_eq!(m.access(other, None, 0, READ).unwrap_err().reason, FaultReason::LRT_2);
}

#[test]
fn reserved_bits_of_a_root_entry_are_lrt_3() {
    let (mut m, _) = Machine::legacy(&Config { haw: 40, ..uncached() }, 4);
    let at = root_at(&m);
    let entry = [m.get(at), m.get(at + 8)];
    for (word, bit) in [(0, 1), (0, 11), (0, 40), (0, 63), (1, 0), (1, 63)] {
        let mut wrong = entry;
        wrong[word] |= 1 << bit;
        m.put(at, &wrong);
        assert_eq!(m.dma(0, READ), Err(FaultReason::LRT_3), "word {word} bit {bit}");
    }
}

#[test]
fn a_context_entry_that_cannot_be_read_is_lct_1() {
    let (mut m, _) = Machine::legacy(&uncached(), 4);
    m.put(root_at(&m), &RootEntry([0; 2]).with_P(true).with_CTP(HOLE >> 12).0);
    assert_eq!(m.dma(0, READ), Err(FaultReason::LCT_1));
}

#[test]
fn a_context_entry_that_is_not_present_is_lct_2() {
    let (mut m, _) = Machine::legacy(&uncached(), 4);
    let entry = context(&mut m).with_P(false);
    m.put_context(RID, entry);
    assert_eq!(m.dma(0, READ), Err(FaultReason::LCT_2));
}

#[test]
fn reserved_bits_of_a_context_entry_are_lct_3_and_so_is_a_pointer_beyond_the_host() {
    let (mut m, _) = Machine::legacy(&Config { haw: 40, ..uncached() }, 4);
    let entry = context(&mut m);
    for (word, bit) in [(0, 4), (0, 11), (0, 40), (0, 63), (1, 7), (1, 24), (1, 63)] {
        let mut wrong = entry;
        wrong.0[word] |= 1 << bit;
        m.put_context(RID, wrong);
        assert_eq!(m.dma(0, READ), Err(FaultReason::LCT_3), "word {word} bit {bit}");
    }
}

#[test]
fn bits_of_a_context_entry_that_are_for_software_are_ignored() {
    let (mut m, top) = Machine::legacy(&uncached(), 4);
    m.map(top, 4, 0x5000, 1, ss(0x7000), ss);
    let entry = context(&mut m).with_IGN(0xF);
    m.put_context(RID, entry);
    assert_eq!(m.dma(0x5000, READ), Ok(0x7000));
}

#[test]
fn a_translation_type_or_address_width_that_there_is_not_is_lct_4() {
    let (mut m, _) = Machine::legacy(&Config { sagaw: 0b0110, ..uncached() }, 4);
    let entry = context(&mut m);
    for wrong in [entry.with_TT(3), entry.with_AW(0), entry.with_AW(3), entry.with_AW(7)] {
        m.put_context(RID, wrong);
        assert_eq!(m.dma(0, READ), Err(FaultReason::LCT_4), "{wrong:?}");
    }
    let (mut m, _) = Machine::legacy(&Config { device_tlb: false, ..uncached() }, 4);
    let entry = context(&mut m).with_TT(TT::DEVICE_TLB as u8);
    m.put_context(RID, entry);
    assert_eq!(m.dma(0, READ), Err(FaultReason::LCT_4));
}

#[test]
fn a_second_stage_that_cannot_be_read_is_lct_4_at_its_root_and_lss_1_below() {
    let (mut m, top) = Machine::legacy(&uncached(), 4);
    m.put(top, &[ss(HOLE)]);
    assert_eq!(m.dma(0, READ), Err(FaultReason::LSS_1));
    let entry = context(&mut m).with_SSPTPTR(HOLE >> 12);
    m.put_context(RID, entry);
    assert_eq!(m.dma(0, READ), Err(FaultReason::LCT_4));
}

#[test]
fn reserved_bits_of_a_second_stage_entry_are_lss_2() {
    let (mut m, top) = Machine::legacy(&Config { haw: 40, ..uncached() }, 4);
    let leaf = m.map(top, 4, 0, 1, ss(0x7000) | 1 << 40, ss);
    assert_eq!(m.dma(0, READ), Err(FaultReason::LSS_2));
    m.put(leaf, &[ss(0x7000)]);
    assert_eq!(m.dma(0, READ), Ok(0x7000));
    m.put(top, &[m.get(top) | PS]);
    assert_eq!(m.dma(0, READ), Err(FaultReason::LSS_2), "level 4 has no pages");
}

#[test]
fn a_page_that_is_not_there_or_not_for_this_is_lgn_2_for_writes_and_lgn_3_for_reads() {
    let (mut m, top) = Machine::legacy(&uncached(), 4);
    let none = SsPage4K(0x7000);
    let leaf = m.map(top, 4, 0, 1, none.0, ss);
    assert_eq!(
        (m.dma(0, READ), m.dma(0, WRITE)),
        (Err(FaultReason::LGN_3), Err(FaultReason::LGN_2))
    );
    m.put(leaf, &[none.with_R(true).0]);
    assert_eq!((m.dma(0, READ), m.dma(0, WRITE)), (Ok(0x7000), Err(FaultReason::LGN_2)));
    m.put(leaf, &[none.with_W(true).0]);
    assert_eq!((m.dma(0, READ), m.dma(0, WRITE)), (Err(FaultReason::LGN_3), Ok(0x7000)));
    m.put(leaf, &[ss(0x7000)]);
    m.put(top, &[m.get(top) & !2]);
    assert_eq!((m.dma(0, READ), m.dma(0, WRITE)), (Ok(0x7000), Err(FaultReason::LGN_2)));
}

#[test]
fn a_translation_to_the_interrupt_range_is_lgn_4() {
    let (mut m, top) = Machine::legacy(&Config::default(), 4);
    m.map(top, 4, 0x5000, 1, ss(0xFEE0_0000), ss);
    m.map(top, 4, 0x20_0000, 2, ss(0xFEE0_0000 | PS), ss);
    assert_eq!(m.dma(0x5000, WRITE), Err(FaultReason::LGN_4));
    // The second half of this page is memory, and does not open the first.
    assert_eq!(m.dma(0x30_0000, WRITE), Ok(0xFEF0_0000));
    assert_eq!(m.dma(0x20_0000, WRITE), Err(FaultReason::LGN_4));
    assert_eq!(m.dma(0x2F_FFFF, READ), Err(FaultReason::LGN_4));
}

#[test]
fn a_request_with_pasid_is_rta_2() {
    let (mut m, top) = Machine::legacy(&uncached(), 4);
    m.map(top, 4, 0, 1, ss(0x7000), ss);
    let fault = m.access(RID, Some(Pasid(0)), 0, READ).unwrap_err();
    assert_eq!(fault.reason, FaultReason::RTA_2);
}

#[test]
fn accessed_and_dirty_bits_are_left_alone() {
    let (mut m, top) = Machine::legacy(&uncached(), 4);
    let leaf = m.map(top, 4, 0, 1, ss(0x7000), ss);
    assert_eq!(m.dma(0, WRITE), Ok(0x7000));
    assert_eq!(m.get(leaf), ss(0x7000));
}

#[test]
fn tm_is_reserved_only_where_there_are_no_device_tlbs() {
    for (device_tlb, expected) in [(true, Ok(0x7000)), (false, Err(FaultReason::LSS_2))] {
        let (mut m, top) = Machine::legacy(&Config { device_tlb, ..uncached() }, 4);
        m.map(top, 4, 0, 1, SsPage4K(ss(0x7000)).with_TM(true).0, ss);
        assert_eq!(m.dma(0, READ), expected);
    }
}

#[test]
fn functions_have_tables_of_their_own() {
    let (mut m, top) = Machine::legacy(&Config::default(), 4);
    m.map(top, 4, 0, 1, ss(0x7000), ss);
    let other = Rid(RID.0 + 1);
    let theirs = m.page();
    m.map(theirs, 4, 0, 1, ss(0x9000), ss);
    let entry = context(&mut m).with_SSPTPTR(theirs >> 12).with_DID(DID + 1);
    m.put_context(other, entry);
    for _ in 0..2 {
        assert_eq!(m.dma(0, READ), Ok(0x7000));
        assert_eq!(m.access(other, None, 0, READ).unwrap().hpa.0, 0x9000);
    }
}

#[test]
fn tables_that_lead_in_a_circle_end_at_the_lowest_level() {
    let (mut m, top) = Machine::legacy(&Config::default(), 5);
    m.put(top, &[ss(top)]);
    assert_eq!(m.dma(0x18, READ), Ok(top + 0x18));
}
