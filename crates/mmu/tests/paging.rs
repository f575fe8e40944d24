//! The guest's stage, rule by rule (SDM 3A chapter 4).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use common::{
    A, ALL, D, G, Machine, NESTED, P, PAGE, PLAIN, PS, RW, RWX, US, WB, XD, error_code, reads,
};
use siov_mem::Gva;
use siov_mmu::{Access, Core, Fault, Geometry, PageSize, Probe, Step};
use siov_spec::ept::{Cr0, Cr4, Efer};

const GVA: u64 = 0x7f12_3456_7000;
const KERNEL: u64 = 0xffff_8000_0000_0000;
const READ: Access = Access::READ;
const WRITE: Access = Access::WRITE;
const FETCH: Access = Access::FETCH;

fn plain(flags: u64) -> (Machine, Core) {
    let machine = Machine::new(PLAIN);
    machine.map(GVA, 0x5000_0000, 1, flags);
    let core = machine.core();
    (machine, core)
}

#[test]
fn without_ept_a_guest_physical_address_is_the_hosts() {
    let (machine, mut core) = plain(ALL);
    let done = machine.access(&mut core, GVA + 0x123, READ).unwrap();
    assert_eq!((done.hpa.0, done.size, done.reads), (0x5000_0123, PageSize::Size4K, 4));
}

#[test]
fn a_cold_walk_of_4_by_4_levels_reads_memory_24_times() {
    for ((levels, ept_levels), expected) in [((4, 4), 24), ((4, 5), 29), ((5, 4), 29), ((5, 5), 35)]
    {
        let machine = Machine::new((levels, Some(ept_levels)));
        machine.map(GVA, 0x5000_0000, 1, ALL);
        machine.ept_map(0x5000_0000, 0x9000_0000, 1, RWX | WB);
        let mut core = machine.core();
        assert_eq!(machine.access(&mut core, GVA, READ).unwrap().reads, expected);
        assert_eq!(core.counters().walk_reads(), u64::from(expected));
        let steps = machine.steps(&mut core, GVA, READ);
        let guest = usize::from(levels);
        assert_eq!(reads(&steps), (guest, expected as usize - guest));
    }
}

#[test]
fn pages_of_every_size_at_both_stages_translate_and_the_smaller_one_counts() {
    let sizes = [PageSize::Size4K, PageSize::Size2M, PageSize::Size1G];
    for guest in 1..=3_u8 {
        for ept in 1..=3_u8 {
            let machine = Machine::new(NESTED);
            let gva = 0x40_0000_0000;
            machine.map(gva, 0x80_0000_0000, guest, ALL);
            machine.ept_map(0x80_0000_0000, 0x20_0000_0000, ept, RWX | WB);
            let mut core = machine.core();
            let done = machine.access(&mut core, gva + 0xabc, READ).unwrap();
            assert_eq!(done.hpa.0, 0x20_0000_0abc);
            assert_eq!(done.size, sizes[usize::from(guest.min(ept)) - 1]);
        }
    }
}

#[test]
fn the_offset_in_a_large_page_is_kept() {
    let machine = Machine::new(PLAIN);
    machine.map(0x20_0000, 0x4000_0000, 2, ALL);
    machine.map(0x4000_0000, 0x8000_0000, 3, ALL);
    let mut core = machine.core();
    assert_eq!(machine.reach(&mut core, 0x3f_fabc, READ), 0x401f_fabc);
    assert_eq!(machine.reach(&mut core, 0x7fff_fabc, READ), 0xbfff_fabc);
}

#[test]
fn an_address_that_is_not_canonical_is_a_general_protection_fault() {
    let (machine, mut core) = plain(ALL);
    for gva in [1 << 47, 0x8000_0000_0000_0000, 0xffff_7fff_ffff_ffff] {
        assert_eq!(machine.access(&mut core, gva, READ), Err(Fault::NotCanonical(Gva(gva))));
    }
    assert_eq!(core.counters().not_canonical, 3);
    let machine = Machine::new((5, None));
    machine.map(1 << 47, 0x5000_0000, 1, ALL);
    let mut core = machine.core();
    assert_eq!(machine.reach(&mut core, 1 << 47, READ), 0x5000_0000);
    assert!(matches!(machine.access(&mut core, 1 << 56, READ), Err(Fault::NotCanonical(_))));
}

#[test]
fn an_entry_that_is_not_present_faults_with_p_clear_at_every_level() {
    for level in 1..=4 {
        let (machine, mut core) = plain(ALL);
        let entry = machine.entry(GVA, level);
        machine.store(entry, machine.load(entry) & !P);
        assert_eq!(error_code(machine.access(&mut core, GVA, READ)), 0);
        assert_eq!(error_code(machine.access(&mut core, GVA, WRITE.by_user())), 0b110);
        assert_eq!(error_code(machine.access(&mut core, GVA, FETCH)), 0b1_0000);
    }
}

#[test]
fn the_fault_names_the_address_for_cr2() {
    let (machine, mut core) = plain(ALL);
    let result = machine.access(&mut core, GVA + PAGE + 5, READ);
    let Err(Fault::PageFault { gva, .. }) = result else { panic!("{result:?}") };
    assert_eq!(gva, Gva(GVA + PAGE + 5));
    assert_eq!(result.unwrap_err().exit_reason(), None);
}

#[test]
fn reserved_bits_fault_with_rsvd_and_p() {
    // Level, whether a page, reserved bits; MAXPHYADDR is 46.
    let cases = [
        (4, false, PS),
        (4, false, 1 << 51),
        (3, false, 1 << 46),
        (3, true, 1 << 13),
        (3, true, 1 << 29),
        (2, true, 1 << 13),
        (2, true, 1 << 20),
        (2, true, 1 << 47),
        (1, true, 1 << 46),
    ];
    for (level, is_page, bit) in cases {
        let machine = Machine::new(PLAIN);
        let entry = if is_page {
            machine.map(0, 0, level, ALL)
        } else {
            machine.map(0, 0, 1, ALL);
            machine.entry(0, level)
        };
        let mut core = machine.core();
        machine.access(&mut core, 0, READ).unwrap();
        machine.store(entry, machine.load(entry) | bit);
        assert_eq!(error_code(machine.access(&mut core, 0, READ)), 0b1001, "{level} {bit:#x}");
    }
}

#[test]
fn bits_that_are_ignored_are_ignored() {
    let (machine, mut core) = plain(ALL);
    let ignored = 0x7ff << 52 | 0xe00 | PS | G | 0x18;
    let entry = machine.entry(GVA, 1);
    machine.store(entry, machine.load(entry) | ignored);
    assert_eq!(machine.reach(&mut core, GVA, READ), 0x5000_0000);
    // Bit 12 of a large page is PAT.
    machine.map(0, 0x4000_0000, 2, ALL | 1 << 12);
    assert_eq!(machine.reach(&mut core, 0, READ), 0x4000_0000);
}

#[test]
fn xd_is_reserved_without_nxe() {
    let (machine, mut core) = plain(ALL | XD);
    machine.access(&mut core, GVA, READ).unwrap();
    core.wrmsr_efer(Efer(0));
    assert_eq!(error_code(machine.access(&mut core, GVA, READ)), 0b1001);
    assert_eq!(error_code(machine.access(&mut core, GVA, FETCH)), 0b1001);
}

#[test]
fn xd_forbids_fetches_only_and_the_fault_says_so() {
    for mode in [FETCH, FETCH.by_user()] {
        let (machine, mut core) = plain(ALL | XD);
        machine.access(&mut core, GVA, WRITE).unwrap();
        let user = if mode == FETCH { 0 } else { 0b100 };
        assert_eq!(error_code(machine.access(&mut core, GVA, mode)), 0b1_0001 | user);
    }
}

#[test]
fn user_code_needs_us_in_every_entry() {
    for level in 1..=4 {
        let (machine, mut core) = plain(ALL);
        machine.access(&mut core, GVA, READ.by_user()).unwrap();
        let entry = machine.entry(GVA, level);
        machine.store(entry, machine.load(entry) & !US);
        assert_eq!(error_code(machine.access(&mut core, GVA, READ.by_user())), 0b101);
        machine.access(&mut core, GVA, READ).unwrap();
    }
}

#[test]
fn user_code_needs_rw_in_every_entry_to_write() {
    for level in 1..=4 {
        let (machine, mut core) = plain(ALL);
        let entry = machine.entry(GVA, level);
        machine.store(entry, machine.load(entry) & !RW);
        machine.access(&mut core, GVA, READ.by_user()).unwrap();
        assert_eq!(error_code(machine.access(&mut core, GVA, WRITE.by_user())), 0b111);
    }
}

#[test]
fn the_supervisor_writes_to_read_only_pages_unless_wp_is_set() {
    let (machine, mut core) = plain(P);
    assert_eq!(error_code(machine.access(&mut core, GVA, WRITE)), 0b011);
    core.mov_to_cr0(Cr0(0));
    machine.access(&mut core, GVA, WRITE).unwrap();
}

#[test]
fn smep_keeps_the_supervisor_from_fetching_user_pages() {
    let (machine, mut core) = plain(ALL);
    machine.access(&mut core, GVA, FETCH).unwrap();
    core.mov_to_cr4(Cr4(0).with_SMEP(true)).unwrap();
    assert_eq!(error_code(machine.access(&mut core, GVA, FETCH)), 0b1_0001);
    machine.access(&mut core, GVA, FETCH.by_user()).unwrap();
    machine.access(&mut core, GVA, READ).unwrap();
}

#[test]
fn without_nxe_and_smep_no_fault_says_fetch() {
    let machine = Machine::new(PLAIN);
    let mut core = machine.core();
    core.wrmsr_efer(Efer(0));
    assert_eq!(error_code(machine.access(&mut core, GVA, FETCH)), 0);
    core.mov_to_cr4(Cr4(0).with_SMEP(true)).unwrap();
    assert_eq!(error_code(machine.access(&mut core, GVA, FETCH)), 0b1_0000);
}

#[test]
fn smap_keeps_the_supervisor_off_user_data_unless_ac_is_set() {
    let (machine, mut core) = plain(ALL);
    core.mov_to_cr4(Cr4(0).with_SMAP(true)).unwrap();
    assert_eq!(error_code(machine.access(&mut core, GVA, READ)), 0b001);
    assert_eq!(error_code(machine.access(&mut core, GVA, WRITE)), 0b011);
    machine.access(&mut core, GVA, READ.with_ac()).unwrap();
    machine.access(&mut core, GVA, WRITE.with_ac()).unwrap();
    machine.access(&mut core, GVA, FETCH).unwrap();
    machine.map(KERNEL, 0x6000_0000, 1, P | RW);
    machine.access(&mut core, KERNEL, WRITE).unwrap();
}

#[test]
fn a_walk_sets_accessed_flags_and_only_a_write_the_dirty_flag_of_the_page() {
    for page_level in 1..=3 {
        let machine = Machine::new(PLAIN);
        let page = machine.map(0, 0, page_level, ALL);
        let mut core = machine.core();
        machine.access(&mut core, 0, READ).unwrap();
        assert_eq!(machine.load(page) & (A | D), A);
        machine.access(&mut core, 0, WRITE).unwrap();
        assert_eq!(machine.load(page) & (A | D), A | D);
        for level in page_level + 1..=4 {
            assert_eq!(machine.load(machine.entry(0, level)) & (A | D), A);
        }
    }
}

#[test]
fn a_page_that_forbids_the_access_gets_no_flags() {
    let (machine, mut core) = plain(P);
    assert_eq!(error_code(machine.access(&mut core, GVA, WRITE)), 0b011);
    assert_eq!(machine.load(machine.entry(GVA, 1)) & (A | D), 0);
    assert_eq!(machine.load(machine.entry(GVA, 2)) & A, A);
}

#[test]
fn an_entry_where_no_memory_is_reads_as_all_ones() {
    let (machine, mut core) = plain(ALL);
    let entry = machine.entry(GVA, 3);
    machine.store(entry, 0x3f_0000_0000 | ALL);
    // MAXPHYADDR is 46: all ones set reserved bits.
    assert_eq!(error_code(machine.access(&mut core, GVA, READ)), 0b1001);
    assert_eq!(core.counters().bus_aborts, 1);
}

#[test]
fn tables_that_point_to_themselves_end_at_the_page_table() {
    let machine = Machine::new(NESTED);
    machine.store(machine.host_of(machine.cr3), machine.cr3 | ALL);
    let mut core = machine.core();
    let done = machine.access(&mut core, 0, WRITE).unwrap();
    assert_eq!((done.hpa.0, done.reads), (machine.host_of(machine.cr3), 24));
}

#[test]
fn a_large_page_does_not_hide_from_a_core_with_caches() {
    let machine = Machine::new(PLAIN);
    machine.map(0, 0x4000_0000, 2, ALL);
    let mut core = machine.core_with(Geometry::default(), &machine.vmcs());
    machine.access(&mut core, 0, READ).unwrap();
    assert_eq!(machine.reach(&mut core, 0x12_3456, READ), 0x4012_3456);
    assert_eq!((core.counters().walks, core.counters().dtlb_hits), (1, 1));
}

/// Changes an entry just after the core has read it, as another core may.
struct Meddler<'a> {
    machine: &'a Machine,
    entry: u64,
    to: u64,
}

impl Probe for Meddler<'_> {
    fn step(&mut self, step: Step) {
        if matches!(step, Step::Entry { at, .. } if at.0 == self.entry) {
            self.machine.store(self.entry, self.to);
        }
    }
}

#[test]
fn an_entry_that_changes_before_its_flags_are_set_is_judged_again() {
    for (to, expected) in [(0x6000_0000 | ALL, Ok(0x6000_0000)), (0, Err(0b010)), (P, Err(0b011))] {
        let (machine, mut core) = plain(ALL);
        let entry = machine.entry(GVA, 1);
        let mut meddler = Meddler { machine: &machine, entry, to };
        let view = machine.memory.view();
        let result = core.access_with(&view, Gva(GVA), WRITE, &mut meddler);
        let flags = machine.load(entry) & (A | D);
        match expected {
            Ok(hpa) => assert_eq!((result.unwrap().hpa.0, flags), (hpa, A | D)),
            Err(code) => assert_eq!((error_code(result), flags), (code, 0)),
        }
    }
}
