//! What each invalidation makes the unit forget (VT-d 6.5): all that is named, by all ways of naming it.

use siov_iommu::{Config, Geometries, Geometry, Pasid, Rid};
use siov_spec::vtd::{
    CcGranularity, CcInvDsc, ContextEntry, IotlbGranularity, IotlbInvDsc, PIotlbInvDsc,
    PasidCacheGranularity, PasidIotlbGranularity, PcInvDsc, TTM, unit,
};

use crate::common::queue::{Raw, cc, iotlb, p_iotlb, pc};
use crate::common::{
    DID, Machine, PASID, PS, READ, RID, aw, first_entry, fs, nested_entry, second_entry, ss,
};

const OLD: u64 = 0x70_0000;
const NEW: u64 = 0x90_0000;

fn infinite() -> Config {
    let all = Geometry::Infinite;
    let caches = Geometries {
        context: all,
        pasid: all,
        iotlb: all,
        first: all,
        second: all,
        interrupt: all,
    };
    Config { caches, ..Config::default() }
}

/// Legacy: RID in domain DID and the next function in the one after, pages 0 to 15 mapped; all is cached.
fn legacy() -> (Machine, [u64; 2]) {
    let mut m = Machine::on(&infinite(), TTM::LEGACY);
    let tops = [0, 1].map(|n| {
        let top = m.page();
        let entry = ContextEntry([0; 2])
            .with_P(true)
            .with_AW(aw(4))
            .with_SSPTPTR(top >> 12)
            .with_DID(DID + n);
        m.put_context(Rid(RID.0 + n), entry);
        top
    });
    m.start_queue(false);
    remap(&mut m, tops, OLD);
    assert_eq!(seen(&mut m), [OLD; 2]);
    remap(&mut m, tops, NEW);
    assert_eq!(seen(&mut m), [OLD; 2], "what is not invalidated may be served");
    (m, tops)
}

fn remap(m: &mut Machine, tops: [u64; 2], to: u64) {
    for top in tops {
        for page in 0..16 {
            m.map(top, 4, page << 12, 1, ss(to + (page << 12)), ss);
        }
    }
}

/// What both functions see at page 0, after a look at all other pages.
fn seen(m: &mut Machine) -> [u64; 2] {
    [0, 1].map(|n| {
        for page in 1..16 {
            m.access(Rid(RID.0 + n), None, page << 12, READ).unwrap();
        }
        m.access(Rid(RID.0 + n), None, 0, READ).unwrap().hpa.0
    })
}

fn pages_seen(m: &mut Machine) -> Vec<u64> {
    let new = |m: &mut Machine, page: &u64| m.dma(page << 12, READ) == Ok(NEW + (page << 12));
    (0..16).filter(|page| new(m, page)).collect()
}

#[test]
fn iotlb_global_forgets_all_domains() {
    let (mut m, _) = legacy();
    assert!(m.submit_and_wait(&[iotlb(IotlbGranularity::GLOBAL).0]));
    assert_eq!(seen(&mut m), [NEW; 2]);
}

#[test]
fn iotlb_domain_forgets_its_domain_and_no_other() {
    let (mut m, _) = legacy();
    assert!(m.submit_and_wait(&[iotlb(IotlbGranularity::DOMAIN).0]));
    assert_eq!(seen(&mut m), [NEW, OLD]);
}

#[test]
fn iotlb_page_forgets_two_to_the_am_pages() {
    for (am, page, expected) in [(0, 5, 5..6), (1, 4, 4..6), (3, 8, 8..16), (2, 6, 4..8)] {
        for hint in [false, true] {
            let (mut m, _) = legacy();
            let d = iotlb(IotlbGranularity::PAGE).with_ADDR(page).with_AM(am).with_IH(hint);
            assert!(m.submit_and_wait(&[d.0]));
            assert_eq!(pages_seen(&mut m), expected.clone().collect::<Vec<_>>(), "AM {am}");
        }
    }
}

#[test]
fn an_am_that_covers_all_addresses_forgets_all_of_them() {
    for am in [36, 51, 52, 63] {
        let (mut m, _) = legacy();
        let d = iotlb(IotlbGranularity::PAGE).with_AM(am);
        assert!(m.submit_and_wait(&[d.0]));
        assert_eq!(pages_seen(&mut m).len(), 16, "AM {am}");
    }
}

#[test]
fn a_page_inside_a_large_page_forgets_the_large_page() {
    let (mut m, tops) = legacy();
    let leaf = m.map(tops[0], 4, 0x20_0000, 2, ss(0x60_0000 | PS), ss);
    assert_eq!(m.dma(0x20_0000, READ), Ok(0x60_0000));
    m.put(leaf, &[ss(0xA0_0000 | PS)]);
    let d = iotlb(IotlbGranularity::PAGE).with_ADDR(0x2FF).with_IH(true);
    assert!(m.submit_and_wait(&[d.0]));
    assert_eq!(m.dma(0x20_0000, READ), Ok(0xA0_0000));
}

#[test]
fn without_the_hint_a_page_forgets_the_tables_that_led_to_it() {
    let (mut m, tops) = legacy();
    let table = m.page();
    m.put(table, &[ss(0xB0_0000)]);
    let level2 = m.map(tops[0], 4, 0, 2, ss(table), ss);
    let hinted = iotlb(IotlbGranularity::PAGE).with_IH(true);
    assert!(m.submit_and_wait(&[hinted.0]));
    assert_eq!(m.dma(0, READ), Ok(NEW), "the hint says that tables have not changed");
    assert!(m.submit_and_wait(&[hinted.with_IH(false).0]));
    assert_eq!(m.dma(0, READ), Ok(0xB0_0000));
    assert_ne!(level2, 0);
}

#[test]
fn the_registers_do_what_the_descriptors_do() {
    let command =
        |g: IotlbGranularity| unit::IOTLB(0).with_IVT(true).with_IIRG(g as u8).with_DID(DID);
    for (g, expected) in
        [(IotlbGranularity::GLOBAL, [NEW, NEW]), (IotlbGranularity::DOMAIN, [NEW, OLD])]
    {
        let (mut m, _) = legacy();
        m.w64(unit::IOTLB::AT, command(g).0);
        let status = unit::IOTLB(m.r64(unit::IOTLB::AT));
        assert_eq!((status.IVT(), status.IAIG()), (false, g as u8));
        assert_eq!(seen(&mut m), expected);
    }
    let (mut m, _) = legacy();
    m.w64(unit::IVA::AT, unit::IVA(0).with_ADDR(4).with_AM(2).0);
    m.w64(unit::IOTLB::AT, command(IotlbGranularity::PAGE).0);
    assert_eq!(pages_seen(&mut m), [4, 5, 6, 7]);
}

#[test]
fn the_context_cache_is_forgotten_by_all_by_domain_and_by_device() {
    let by = |d: CcInvDsc| d.0;
    let next = RID.0 + 1;
    let cases: [(Raw, [bool; 2]); 6] = [
        (by(cc(CcGranularity::GLOBAL)), [true, true]),
        (by(cc(CcGranularity::DOMAIN)), [true, false]),
        (by(cc(CcGranularity::DOMAIN).with_DID(DID + 1)), [false, true]),
        (by(cc(CcGranularity::DEVICE)), [true, false]),
        (by(cc(CcGranularity::DEVICE).with_SID(next)), [false, true]),
        (by(cc(CcGranularity::DEVICE).with_FM(3)), [true, true]),
    ];
    for (descriptor, gone) in cases {
        let (mut m, _) = legacy();
        for n in 0..2 {
            m.put_context(Rid(RID.0 + n), ContextEntry([0; 2]));
        }
        assert!(m.submit_and_wait(&[descriptor]));
        for (n, gone) in (0..).zip(gone) {
            let refused = m.access(Rid(RID.0 + n), None, 0, READ).is_err();
            assert_eq!(refused, gone, "{descriptor:x?}, function {n}");
        }
    }
}

#[test]
fn the_function_mask_covers_the_bits_that_it_says() {
    for (fm, ignored) in [(0u8, 0u16), (1, 0b100), (2, 0b110), (3, 0b111)] {
        let (mut m, _) = legacy();
        let at = m.context_at(RID);
        let entry = ContextEntry([m.get(at), m.get(at + 8)]);
        for n in 0..8 {
            m.put_context(Rid(RID.0 + n), entry);
            assert!(m.access(Rid(RID.0 + n), None, 0, READ).is_ok());
            m.put_context(Rid(RID.0 + n), ContextEntry([0; 2]));
        }
        assert!(m.submit_and_wait(&[cc(CcGranularity::DEVICE).with_FM(fm).0]));
        for n in 0..8 {
            let refused = m.access(Rid(RID.0 + n), None, 0, READ).is_err();
            // Functions 0 and 1 were in the cache before, in domains of their own.
            assert_eq!(refused, n & !ignored == 0, "FM {fm}, function {n}");
        }
    }
}

#[test]
fn ccmd_does_what_the_descriptor_does() {
    let (mut m, _) = legacy();
    m.put_context(RID, ContextEntry([0; 2]));
    let g = CcGranularity::DEVICE as u8;
    m.w64(unit::CCMD::AT, unit::CCMD(0).with_ICC(true).with_CIRG(g).with_SID(RID.0).0);
    let status = unit::CCMD(m.r64(unit::CCMD::AT));
    assert_eq!((status.ICC(), status.CAIG()), (false, g));
    assert!(m.dma(0, READ).is_err());
}

/// Scalable: PASID and the next one of RID have first stages, in one domain; all is cached.
fn scalable() -> (Machine, [u64; 2]) {
    let mut m = Machine::scalable(&infinite(), second_entry(0, 4));
    let tops = [0, 1].map(|n| {
        let top = m.page();
        m.map(top, 4, 0x5000, 1, fs(OLD), fs);
        m.put_pasid(RID, Pasid(PASID.0 + n), first_entry(top, 4));
        top
    });
    m.start_queue(true);
    assert_eq!(both(&mut m), [Some(OLD); 2]);
    (m, tops)
}

fn both(m: &mut Machine) -> [Option<u64>; 2] {
    [0, 1].map(|n| {
        let done = m.access(RID, Some(Pasid(PASID.0 + n)), 0x5000, READ);
        done.ok().map(|t| t.hpa.0)
    })
}

#[test]
fn a_pasids_translations_are_forgotten_without_its_neighbours() {
    let by_pasid = p_iotlb(PasidIotlbGranularity::PASID, PASID);
    let by_page = p_iotlb(PasidIotlbGranularity::PAGE, PASID).with_ADDR(5);
    let wide = by_page.with_ADDR(0).with_AM(3);
    for (d, expected) in [
        (by_pasid, [Some(NEW), Some(OLD)]),
        (by_page, [Some(NEW), Some(OLD)]),
        (by_page.with_IH(true), [Some(NEW), Some(OLD)]),
        (wide, [Some(NEW), Some(OLD)]),
        (by_page.with_ADDR(6), [Some(OLD), Some(OLD)]),
        (by_pasid.with_DID(DID + 1), [Some(OLD), Some(OLD)]),
        (by_pasid.with_PASID(PASID.0 + 1), [Some(OLD), Some(NEW)]),
    ] {
        let d: PIotlbInvDsc = d;
        let (mut m, tops) = scalable();
        for top in tops {
            m.map(top, 4, 0x5000, 1, fs(NEW), fs);
        }
        assert!(m.submit_and_wait(&[d.0]));
        assert_eq!(both(&mut m), expected, "{d:x?}");
    }
}

#[test]
fn a_page_in_the_upper_half_is_forgotten_by_its_address_or_by_all_addresses() {
    let high = u64::MAX << 47 | 0x5000;
    let by_page = p_iotlb(PasidIotlbGranularity::PAGE, PASID).with_ADDR(high >> 12);
    for d in [by_page, by_page.with_AM(52), by_page.with_AM(52).with_ADDR(0), by_page.with_AM(35)] {
        let (mut m, tops) = scalable();
        m.map(tops[0], 4, high, 1, fs(OLD), fs);
        assert_eq!(m.pasid_dma(high, READ), Ok(OLD));
        m.map(tops[0], 4, high, 1, fs(NEW), fs);
        assert!(m.submit_and_wait(&[d.0]));
        assert_eq!(m.pasid_dma(high, READ), Ok(NEW), "{d:x?}");
    }
}

#[test]
fn iotlb_by_domain_forgets_the_pasids_in_it() {
    let (mut m, tops) = scalable();
    for top in tops {
        m.map(top, 4, 0x5000, 1, fs(NEW), fs);
    }
    assert!(m.submit_and_wait(&[iotlb(IotlbGranularity::DOMAIN).0]));
    assert_eq!(both(&mut m), [Some(NEW); 2]);
}

#[test]
fn pasid_table_entries_are_forgotten_by_all_by_domain_and_by_pasid() {
    let by = |g| pc(g).with_PASID(PASID.0);
    for (d, expected) in [
        (by(PasidCacheGranularity::GLOBAL), [None, None]),
        (by(PasidCacheGranularity::DOMAIN), [None, None]),
        (by(PasidCacheGranularity::DOMAIN).with_DID(DID + 1), [Some(OLD), Some(OLD)]),
        (by(PasidCacheGranularity::PASID), [None, Some(OLD)]),
        (by(PasidCacheGranularity::PASID).with_DID(DID + 1), [Some(OLD), Some(OLD)]),
    ] {
        let d: PcInvDsc = d;
        let (mut m, _) = scalable();
        for n in 0..2 {
            m.put_pasid(RID, Pasid(PASID.0 + n), second_entry(0, 4).with_P(false));
        }
        assert!(m.submit_and_wait(&[d.0]));
        assert_eq!(both(&mut m), expected, "{d:x?}");
    }
}

#[test]
fn a_second_stage_page_takes_the_nested_translations_with_it() {
    let mut m = Machine::scalable(&infinite(), second_entry(0, 4));
    let (first, second) = (0x10_0000, m.page());
    // The guest's tables are where the host's are; the page that it maps is at 0x5000 of its own.
    for page in (0..4u64 << 20).step_by(4096) {
        m.map(second, 4, page, 1, ss(page), ss);
    }
    let guest = m.page();
    m.map(guest, 4, 0x123_4000, 1, fs(0x5000), fs);
    assert_ne!(first, guest);
    m.put_pasid(RID, PASID, nested_entry((guest, 4), (second, 4)));
    m.start_queue(true);
    assert_eq!(m.pasid_dma(0x123_4000, READ), Ok(0x5000));
    for hint in [true, false] {
        let to = if hint { OLD } else { NEW };
        m.map(second, 4, 0x5000, 1, ss(to), ss);
        let d: IotlbInvDsc = iotlb(IotlbGranularity::PAGE).with_ADDR(5).with_IH(hint);
        assert!(m.submit_and_wait(&[d.0]));
        assert_eq!(m.pasid_dma(0x123_4000, READ), Ok(to));
    }
    // The same for a table of the guest: its page moves.
    let moved = m.page();
    let words: Vec<u64> = (0..512).map(|n| m.get(guest + 8 * n)).collect();
    m.put(moved, &words);
    m.put(guest, &[0; 512]);
    m.map(second, 4, guest, 1, ss(moved), ss);
    let d = iotlb(IotlbGranularity::PAGE).with_ADDR(guest >> 12).with_IH(true);
    assert!(m.submit_and_wait(&[d.0]));
    assert_eq!(m.pasid_dma(0x123_4000, READ), Ok(NEW));
}
