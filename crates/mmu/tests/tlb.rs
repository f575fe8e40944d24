//! What is cached, and what makes a core forget (SDM 3A 4.10).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use common::{ALL, D, G, Machine, NESTED, P, PAGE, PLAIN, RW, RWX, US, WB, error_code};
use siov_mem::Gva;
use siov_mmu::{Access, Core, GeneralProtection, Geometry, Stage, Step};
use siov_spec::ept::{Cr0, Cr3, Cr4, InveptDescriptor, InvpcidDescriptor, InvvpidDescriptor};

const READ: Access = Access::READ;
const WRITE: Access = Access::WRITE;
/// Pages of the guest: an ordinary one and a global one.
const OWN: u64 = 0x1000;
const GLOBAL: u64 = 0x2000;

/// A guest with PCIDs and global pages, without EPT, that has touched its pages under PCID 0.
fn guest() -> (Machine, Core) {
    let machine = Machine::new(PLAIN);
    machine.map(OWN, 0x5000_1000, 1, ALL);
    machine.map(GLOBAL, 0x5000_2000, 1, ALL | G);
    let mut vmcs = machine.vmcs();
    vmcs.guest.cr4 = vmcs.guest.cr4.with_PGE(true).with_PCIDE(true);
    let mut core = machine.core_with(Geometry::default(), &vmcs);
    touch(&machine, &mut core);
    (machine, core)
}

fn touch(machine: &Machine, core: &mut Core) {
    machine.access(core, OWN, READ).unwrap();
    machine.access(core, GLOBAL, READ).unwrap();
}

/// Whether the TLB knows the address; asks by an access that may fill it.
fn knows(machine: &Machine, core: &mut Core, gva: u64) -> bool {
    machine.access(core, gva, READ).unwrap().reads == 0
}

fn known(machine: &Machine, core: &Core) -> (bool, bool) {
    let mut copy = core.clone();
    (knows(machine, &mut copy, OWN), knows(machine, &mut copy, GLOBAL))
}

fn cr3(machine: &Machine, pcid: u64) -> Cr3 {
    Cr3(machine.cr3 | pcid)
}

#[test]
fn a_switch_of_process_flushes_and_a_switch_of_thread_does_not() {
    let (machine, mut core) = guest();
    let walks = core.counters().walks;
    // Another thread of the same process runs: CR3 stays.
    touch(&machine, &mut core);
    assert_eq!((core.counters().walks, core.counters().flushes.mov_cr3), (walks, 0));
    // Another process, and back.
    core.mov_to_cr3(cr3(&machine, 0)).unwrap();
    assert_eq!(core.counters().flushes.mov_cr3, 1);
    assert_eq!(known(&machine, &core), (false, true));
}

#[test]
fn a_load_of_cr3_forgets_the_new_pcid_only() {
    let (machine, mut core) = guest();
    core.mov_to_cr3(cr3(&machine, 5)).unwrap();
    assert_eq!(known(&machine, &core), (false, true));
    touch(&machine, &mut core);
    core.mov_to_cr3(cr3(&machine, 0).with_NOFLUSH(true)).unwrap();
    assert_eq!(known(&machine, &core), (true, true));
    assert_eq!(core.counters().mov_cr3_noflush, 1);
    assert!(!core.regs().cr3.NOFLUSH(), "bit 63 reads as zero");
    core.mov_to_cr3(cr3(&machine, 5).with_NOFLUSH(true)).unwrap();
    assert_eq!(known(&machine, &core), (true, true));
}

#[test]
fn without_pge_a_global_page_is_an_ordinary_one() {
    let (machine, mut core) = guest();
    let cr4 = core.regs().cr4;
    core.mov_to_cr4(cr4.with_PGE(false)).unwrap();
    assert_eq!(known(&machine, &core), (false, false));
    touch(&machine, &mut core);
    core.mov_to_cr3(cr3(&machine, 0)).unwrap();
    assert_eq!(known(&machine, &core), (false, false));
}

#[test]
fn cr3_and_cr4_refuse_what_is_reserved() {
    let (machine, mut core) = guest();
    let before = *core.regs();
    assert_eq!(core.mov_to_cr3(Cr3(1 << 46)), Err(GeneralProtection));
    assert_eq!(core.mov_to_cr3(Cr3(1 << 52)), Err(GeneralProtection));
    assert_eq!(core.mov_to_cr4(before.cr4.with_LA57(true)), Err(GeneralProtection));
    assert_eq!(*core.regs(), before);
    core.mov_to_cr3(cr3(&machine, 5)).unwrap();
    core.mov_to_cr4(before.cr4.with_PCIDE(false)).unwrap();
    assert_eq!(core.mov_to_cr3(Cr3(0).with_NOFLUSH(true)), Err(GeneralProtection));
    assert_eq!(core.mov_to_cr4(before.cr4), Err(GeneralProtection), "CR3 names PCID 5");
}

#[test]
fn turning_pcids_off_or_smep_on_flushes() {
    let (machine, mut core) = guest();
    let cr4 = core.regs().cr4;
    core.mov_to_cr4(cr4.with_SMAP(true)).unwrap();
    assert_eq!(core.counters().flushes.mov_cr4, 0);
    core.mov_to_cr4(cr4).unwrap();
    core.mov_to_cr4(cr4.with_SMEP(true)).unwrap();
    assert_eq!(known(&machine, &core), (false, false));
    touch(&machine, &mut core);
    core.mov_to_cr4(cr4.with_SMEP(true).with_PCIDE(false)).unwrap();
    assert_eq!(known(&machine, &core), (false, false));
    assert_eq!(core.counters().flushes.mov_cr4, 2);
}

#[test]
fn invlpg_forgets_one_address_and_global_pages_too() {
    let (machine, mut core) = guest();
    core.invlpg(Gva(OWN + 0x123));
    assert_eq!(known(&machine, &core), (false, true));
    touch(&machine, &mut core);
    core.mov_to_cr3(cr3(&machine, 5)).unwrap();
    core.invlpg(Gva(GLOBAL));
    assert!(!known(&machine, &core).1);
}

#[test]
fn invlpg_forgets_all_paging_structures_of_the_pcid() {
    let (machine, mut core) = guest();
    assert!(core.inspect().live.psc.iter().sum::<usize>() > 0);
    core.invlpg(Gva(0xdead_0000));
    assert_eq!(core.inspect().live.psc, [0; 4]);
    assert_eq!(known(&machine, &core), (true, true));
}

#[test]
fn invlpg_forgets_every_piece_of_a_large_page() {
    let machine = Machine::new(NESTED);
    machine.map(0, 0x100_0020_0000, 2, ALL);
    for page in 0..4 {
        machine.ept_map(0x100_0020_0000 + page * PAGE, 0x9000_0000 + page * PAGE, 1, RWX | WB);
    }
    let mut core = machine.core_with(Geometry::default(), &machine.vmcs());
    for page in 0..4 {
        machine.access(&mut core, page * PAGE, READ).unwrap();
    }
    assert_eq!(core.inspect().live.dtlb, [4, 0, 0]);
    core.invlpg(Gva(0x1f_f000));
    assert_eq!(core.inspect().live.dtlb, [0, 0, 0]);
}

#[test]
fn invpcid_has_four_types() {
    let of = |pcid: u64, address: u64| InvpcidDescriptor([pcid, address]);
    let cases = [
        (0, of(0, OWN), (false, true)),
        (0, of(0, GLOBAL), (true, true)),
        (0, of(5, OWN), (true, true)),
        (1, of(0, 0), (false, true)),
        (1, of(5, 0), (true, true)),
        (2, of(0, 0), (false, false)),
        (3, of(0, 0), (false, true)),
    ];
    for (kind, descriptor, expected) in cases {
        let (machine, mut core) = guest();
        core.invpcid(kind, descriptor).unwrap();
        assert_eq!(known(&machine, &core), expected, "type {kind} {descriptor:?}");
    }
}

#[test]
fn invpcid_refuses_what_it_does_not_know() {
    let (_, mut core) = guest();
    let bad = [(4, [0, 0]), (0, [1 << 12, 0]), (0, [0, 1 << 47]), (u64::MAX, [0, 0])];
    for (kind, words) in bad {
        assert_eq!(core.invpcid(kind, InvpcidDescriptor(words)), Err(GeneralProtection));
    }
    let cr4 = core.regs().cr4;
    core.mov_to_cr4(cr4.with_PCIDE(false)).unwrap();
    assert_eq!(core.invpcid(1, InvpcidDescriptor([1, 0])), Err(GeneralProtection));
    core.invpcid(2, InvpcidDescriptor([1, 0])).unwrap();
}

#[test]
fn rights_are_checked_at_every_hit() {
    let machine = Machine::new(PLAIN);
    machine.map(OWN, 0x5000_0000, 1, P | US);
    let mut core = machine.core_with(Geometry::default(), &machine.vmcs());
    machine.access(&mut core, OWN, READ.by_user()).unwrap();
    core.mov_to_cr4(Cr4(0).with_SMAP(true)).unwrap();
    assert_eq!(error_code(machine.access(&mut core, OWN, READ)), 0b001);
    assert_eq!(error_code(machine.access(&mut core, OWN, WRITE.with_ac())), 0b011);
    core.mov_to_cr0(Cr0(0));
    machine.access(&mut core, OWN, WRITE.with_ac()).unwrap();
}

#[test]
fn the_first_write_after_a_read_walks_to_set_the_dirty_flag() {
    let (machine, mut core) = guest();
    assert_eq!(machine.load(machine.entry(OWN, 1)) & D, 0);
    assert!(machine.access(&mut core, OWN, WRITE).unwrap().reads > 0);
    assert_eq!(machine.load(machine.entry(OWN, 1)) & D, D);
    assert_eq!(machine.access(&mut core, OWN, WRITE).unwrap().reads, 0);
}

#[test]
fn a_right_that_the_guest_has_given_since_is_found_without_invalidation() {
    let machine = Machine::new(PLAIN);
    let entry = machine.map(OWN, 0x5000_0000, 1, P);
    let mut core = machine.core_with(Geometry::default(), &machine.vmcs());
    machine.access(&mut core, OWN, READ).unwrap();
    assert_eq!(error_code(machine.access(&mut core, OWN, WRITE)), 0b011);
    machine.store(entry, machine.load(entry) | RW);
    machine.access(&mut core, OWN, WRITE).unwrap();
}

#[test]
fn a_fault_met_with_the_help_of_caches_is_looked_for_again_without() {
    let machine = Machine::new(PLAIN);
    machine.map(OWN, 0x5000_0000, 1, ALL);
    let mut core = machine.core_with(Geometry::default(), &machine.vmcs());
    machine.access(&mut core, OWN, READ).unwrap();
    // The page table moves, with one page more; nobody tells the core.
    let table = machine.guest_table();
    machine.store(table + 16, 0x6000_0000 | ALL);
    machine.store(machine.entry(OWN, 2), table | ALL);
    let steps = machine.steps(&mut core, GLOBAL, READ);
    assert!(matches!(steps[0], Step::PscHit { stage: Stage::Guest, level: 2, .. }));
    assert_eq!(steps.iter().filter(|step| **step == Step::Restart).count(), 1);
    assert_eq!((core.counters().walk_restarts, core.counters().page_faults), (1, 0));
    assert_eq!(machine.reach(&mut core, GLOBAL, READ), 0x6000_0000);
}

#[test]
fn a_page_fault_forgets_what_would_translate_its_address() {
    let machine = Machine::new(PLAIN);
    machine.map(OWN, 0x5000_0000, 1, P);
    let mut core = machine.core_with(Geometry::default(), &machine.vmcs());
    machine.access(&mut core, OWN, Access::FETCH).unwrap();
    machine.access(&mut core, OWN, READ).unwrap();
    assert_eq!(error_code(machine.access(&mut core, OWN, WRITE)), 0b011);
    let live = core.inspect().live;
    assert_eq!((live.dtlb, live.itlb, live.psc), ([0; 3], [0; 3], [0; 4]));
    assert_eq!(core.counters().flushes.page_fault, 1);
}

#[test]
fn a_mapping_that_did_not_suffice_does_not_come_back() {
    let machine = Machine::new(PLAIN);
    machine.map(OWN, 0x5000_0000, 1, P);
    let mut core = machine.core_with(Geometry::default(), &machine.vmcs());
    machine.access(&mut core, OWN, READ).unwrap();
    // A large page takes the place of the page table; of the caches, only those of tables are told.
    machine.map(0, 0x6000_0000, 2, ALL);
    core.invlpg(Gva(0xdead_0000));
    assert_eq!(machine.reach(&mut core, OWN, WRITE), 0x6000_1000);
    assert_eq!(machine.reach(&mut core, OWN, READ), 0x6000_1000);
}

#[test]
fn what_is_not_invalidated_may_be_served_from_the_cache() {
    let (machine, mut core) = guest();
    machine.map(OWN, 0x7000_0000, 1, ALL);
    assert_eq!(machine.reach(&mut core, OWN, READ), 0x5000_1000);
    core.invlpg(Gva(OWN));
    assert_eq!(machine.reach(&mut core, OWN, READ), 0x7000_0000);
}

#[test]
fn invept_leaves_linear_mappings_alone() {
    let (machine, mut core) = guest();
    core.invept(2, InveptDescriptor([0, 0])).unwrap();
    assert_eq!(known(&machine, &core), (true, true));
}

#[test]
fn invvpid_has_four_types() {
    let of = |vpid: u64, address: u64| InvvpidDescriptor([vpid, address]);
    let cases = [
        (0, of(1, OWN), (false, true)),
        (0, of(1, GLOBAL), (true, false)),
        (0, of(2, OWN), (true, true)),
        (1, of(1, 0), (false, false)),
        (1, of(2, 0), (true, true)),
        (2, of(0, 0), (false, false)),
        (3, of(1, 0), (false, true)),
    ];
    for (kind, descriptor, expected) in cases {
        let (machine, mut core) = guest();
        core.invvpid(kind, descriptor).unwrap();
        assert_eq!(known(&machine, &core), expected, "type {kind} {descriptor:?}");
    }
}

#[test]
fn fetches_and_data_have_their_own_tlb() {
    let (machine, mut core) = guest();
    assert!(machine.access(&mut core, OWN, Access::FETCH).unwrap().reads > 0);
    assert_eq!(machine.access(&mut core, OWN, Access::FETCH).unwrap().reads, 0);
    let counters = core.counters();
    assert_eq!((counters.itlb_lookups, counters.itlb_hits), (2, 1));
    assert_eq!((counters.dtlb_lookups, counters.dtlb_hits), (2, 0));
}

#[test]
fn a_batch_stops_at_the_first_fault() {
    let (machine, mut core) = guest();
    let accesses = [(Gva(OWN), READ), (Gva(GLOBAL), WRITE), (Gva(0x9000), READ), (Gva(OWN), READ)];
    let mut done = vec![];
    let result = core.access_batch(&machine.memory.view(), &accesses, &mut done);
    assert!(result.is_err());
    assert_eq!(done.iter().map(|one| one.hpa.0).collect::<Vec<_>>(), [0x5000_1000, 0x5000_2000]);
}
