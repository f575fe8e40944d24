//! What tables cost in memory.

use siov_iommu::{Config, Pasid};
use siov_spec::vtd::{PasidDirectoryEntry, PasidTableEntry, ScalableContextEntry, TTM};

use crate::common::{Machine, PS, READ, RID, WRITE, first_entry, fs};

const PASIDS: u64 = 4096;
const MAPPED: u64 = 8 << 30;
const LARGE: u64 = 2 << 20;

/// Where the host has a PASID's memory: all of them share it, each with another start.
fn place(pasid: u64, addr: u64) -> u64 {
    (1 << 40) + (addr + pasid * LARGE) % (1 << 42)
}

#[test]
fn the_tables_of_4096_pasids_with_8_gib_each_in_2_mib_pages_take_less_than_1_gib() {
    let mut m = Machine::with_memory(&Config::default(), 1 << 30);
    m.enable(TTM::SCALABLE);
    let before = m.used();
    let directory = m.page();
    let context = ScalableContextEntry([0; 4]).with_PASIDE(true).with_PASIDDIRPTR(directory >> 12);
    m.put_scalable_context(RID, context);
    let mut table = 0;
    for pasid in 0..PASIDS {
        if pasid % 64 == 0 {
            table = m.page();
            let entry = PasidDirectoryEntry(0).with_P(true).with_SMPTBLPTR(table >> 12);
            m.put(directory + pasid / 64 * 8, &[entry.0]);
        }
        let (top, level_3) = (m.page(), m.page());
        m.put(top, &[fs(level_3)]);
        for gib in 0..MAPPED >> 30 {
            let level_2 = m.page();
            m.put(level_3 + gib * 8, &[fs(level_2)]);
            let pages = (0..512).map(|n| fs(place(pasid, (gib << 30) + n * LARGE) | PS));
            m.put(level_2, &pages.collect::<Vec<_>>());
        }
        let entry: PasidTableEntry = first_entry(top, 4).with_DID(pasid as u16);
        m.put(table + pasid % 64 * 64, &entry.0);
    }
    let bytes = m.used() - before;
    assert!(bytes < 1 << 30, "{bytes} bytes");
    for pasid in (0..PASIDS).step_by(37) {
        for sample in 0..16 {
            let addr = (sample * 0x1F35_7000 + pasid * 0x1000) % MAPPED;
            let access = if sample % 2 == 0 { READ } else { WRITE };
            let done = m.access(RID, Some(Pasid(pasid as u32)), addr, access).unwrap();
            let expected = place(pasid, addr & !(LARGE - 1)) | addr & (LARGE - 1);
            assert_eq!((done.hpa.0, done.page), (expected, LARGE), "PASID {pasid} {addr:#x}");
        }
        let beyond = m.access(RID, Some(Pasid(pasid as u32)), MAPPED, READ);
        assert!(beyond.is_err());
    }
}
