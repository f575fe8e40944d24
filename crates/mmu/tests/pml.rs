//! Page-modification logging (SDM 3C 29.3.6), and what is harvested from it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::collections::BTreeSet;

use common::rng::Rng;
use common::{ALL, D, EPT_A, EPT_D, Machine, NESTED, PAGE, RWX, WB};
use siov_mem::Gva;
use siov_mmu::{Access, Core, Fault, Geometry, Pml};
use siov_spec::ept::{ExitReason, PmlIndex};

const GPA: u64 = 0x100_0000_0000;
const READ: Access = Access::READ;
const WRITE: Access = Access::WRITE;

/// A guest that sees `pages` pages from 0 on through its own pages of 1 GiB, whose tables are in no log:
/// they are dirty already.
fn guest(pages: u64) -> Machine {
    let machine = Machine::new(NESTED);
    for gva in (0..pages * PAGE).step_by(1 << 30) {
        machine.map(gva, GPA + gva, 3, ALL);
    }
    for page in 0..pages {
        machine.ept_map(GPA + page * PAGE, 0x10_0000_0000 + page * PAGE, 1, RWX | WB);
    }
    for gva in (0..pages * PAGE).step_by(1 << 30) {
        for level in 3..=4 {
            let table = machine.entry(gva, level) & !(PAGE - 1);
            mark_dirty(&machine, table);
        }
    }
    machine
}

/// Sets EPT's flags for a table of the guest's at this HPA.
fn mark_dirty(machine: &Machine, hpa: u64) {
    for gpa in (0x10_0000_u64..).step_by(PAGE as usize) {
        let entry = machine.ept_entry(gpa, 1);
        let raw = machine.load(entry);
        if raw & 0xf_ffff_ffff_f000 == hpa {
            machine.store(entry, raw | EPT_A | EPT_D);
            return;
        }
    }
}

/// What a host does with a log: it empties it at every exit and once more at the end.
struct Harvest {
    pages: BTreeSet<u64>,
    /// Entries taken, each page as often as it was logged.
    entries: usize,
    /// Exits because the log was full.
    exits: u64,
}

impl Harvest {
    fn new() -> Harvest {
        Harvest { pages: BTreeSet::new(), entries: 0, exits: 0 }
    }

    fn flush(&mut self, machine: &Machine, core: &mut Core) {
        let mut vmcs = core.vm_exit().unwrap();
        let pml = vmcs.pml.unwrap();
        for index in 512 - pml.logged()..512 {
            self.pages.insert(machine.load(pml.address + u64::from(index) * 8));
            self.entries += 1;
        }
        vmcs.pml = Some(Pml::new(pml.address));
        core.vm_entry(&vmcs).unwrap();
    }

    fn write(&mut self, machine: &Machine, core: &mut Core, gva: u64) {
        while let Err(fault) = core.access(&machine.memory.view(), Gva(gva), WRITE) {
            assert_eq!(fault, Fault::PmlFull);
            self.exits += 1;
            self.flush(machine, core);
        }
    }
}

fn logging(machine: &Machine) -> Core {
    machine.core_with(Geometry::default(), &machine.vmcs_ad(true))
}

fn pml(core: &Core) -> Pml {
    core.inspect().vmcs.unwrap().pml.unwrap()
}

#[test]
fn the_first_write_to_a_page_logs_its_address_at_511() {
    let machine = guest(2);
    let mut core = logging(&machine);
    machine.access(&mut core, PAGE + 0x123, READ).unwrap();
    assert_eq!(pml(&core).index, PmlIndex(511));
    machine.access(&mut core, PAGE + 0x123, WRITE).unwrap();
    machine.access(&mut core, PAGE + 0x456, WRITE).unwrap();
    assert_eq!(pml(&core).index, PmlIndex(510));
    assert_eq!(machine.load(pml(&core).address + 511 * 8), GPA + PAGE);
    assert_eq!(core.counters().pml_entries, 1);
}

#[test]
fn a_page_that_is_dirty_is_not_logged() {
    let machine = guest(1);
    let entry = machine.ept_entry(GPA, 1);
    machine.store(entry, machine.load(entry) | EPT_A | EPT_D);
    let mut core = logging(&machine);
    machine.access(&mut core, 0, WRITE).unwrap();
    assert_eq!(core.counters().pml_entries, 0);
}

#[test]
fn the_guests_tables_are_logged_when_they_are_walked() {
    let machine = Machine::new(NESTED);
    machine.map(0, GPA, 1, ALL);
    machine.ept_map(GPA, 0x9000_0000, 1, RWX | WB);
    let mut core = logging(&machine);
    machine.access(&mut core, 0, READ).unwrap();
    assert_eq!(core.counters().pml_entries, 4);
    assert_eq!(machine.load(pml(&core).address + 511 * 8), machine.cr3);
}

#[test]
fn a_write_into_a_large_page_logs_the_4_kib_page_that_was_hit_once() {
    let machine = Machine::new(NESTED);
    machine.map(0, GPA, 2, ALL | D);
    machine.ept_map(GPA, 0x20_0000, 2, RWX | WB);
    let mut core = logging(&machine);
    machine.access(&mut core, 0, READ).unwrap();
    let before = pml(&core).index.0;
    machine.access(&mut core, 0x1f_f008, WRITE).unwrap();
    machine.access(&mut core, 0x8, WRITE).unwrap();
    assert_eq!(machine.load(pml(&core).address + u64::from(before) * 8), GPA + 0x1f_f000);
    assert_eq!(pml(&core).index.0, before - 1);
}

#[test]
fn the_513th_page_exits_before_its_flag_is_set_and_before_the_access() {
    let machine = guest(513);
    let mut core = logging(&machine);
    for page in 0..512 {
        machine.access(&mut core, page * PAGE, WRITE).unwrap();
    }
    assert_eq!(pml(&core).index, PmlIndex(0xffff));
    assert!(pml(&core).is_full());
    let result = machine.access(&mut core, 512 * PAGE, WRITE);
    assert_eq!(result, Err(Fault::PmlFull));
    assert_eq!(result.unwrap_err().exit_reason(), Some(ExitReason::PML_FULL));
    assert_eq!(machine.load(machine.ept_entry(GPA + 512 * PAGE, 1)) & EPT_D, 0);
    assert_eq!(core.counters().pml_full, 1);
    // What needs no flag goes on.
    machine.access(&mut core, 0, WRITE).unwrap();
    assert_eq!(machine.access(&mut core, 512 * PAGE, WRITE), Err(Fault::PmlFull));
}

#[test]
fn an_accessed_flag_that_is_to_be_set_exits_too_when_the_log_is_full() {
    let machine = guest(2);
    let mut vmcs = machine.vmcs_ad(true);
    vmcs.pml = vmcs.pml.map(|pml| Pml { index: PmlIndex(512), ..pml });
    let mut core = machine.core_with(Geometry::OFF, &vmcs);
    assert_eq!(machine.access(&mut core, 0, READ), Err(Fault::PmlFull));
}

#[test]
fn without_flags_in_use_nothing_is_logged() {
    let machine = guest(1);
    let vmcs = siov_mmu::Vmcs { eptp: machine.eptp(false), ..machine.vmcs_ad(true) };
    let mut core = machine.core_with(Geometry::default(), &vmcs);
    machine.access(&mut core, 0, WRITE).unwrap();
    assert_eq!((core.counters().pml_entries, pml(&core).index), (0, PmlIndex(511)));
}

#[test]
fn a_log_where_no_memory_is_takes_entries_and_loses_them() {
    let machine = guest(1);
    let vmcs = siov_mmu::Vmcs { pml: Some(Pml::new(0x3f_0000_0000)), ..machine.vmcs_ad(true) };
    let mut core = machine.core_with(Geometry::default(), &vmcs);
    machine.access(&mut core, 0, WRITE).unwrap();
    assert_eq!((core.counters().pml_entries, core.counters().bus_aborts), (1, 1));
}

fn harvest_is_exact(pages: u64, writes: u64, seed: u64) {
    let machine = guest(pages);
    let mut core = logging(&machine);
    let (mut harvest, mut written) = (Harvest::new(), BTreeSet::new());
    let mut rng = Rng(seed);
    for n in 0..writes {
        let page = rng.below(pages);
        written.insert(GPA + page * PAGE);
        harvest.write(&machine, &mut core, page * PAGE + rng.below(PAGE));
        let other = rng.below(pages) * PAGE;
        if n % 8 == 0 {
            let _ = machine.access(&mut core, other, READ);
        }
    }
    let dirty = written.len() as u64;
    assert_eq!(harvest.exits, dirty.saturating_sub(1) / 512);
    harvest.flush(&machine, &mut core);
    assert!(harvest.pages == written, "{} harvested, {dirty} written", harvest.pages.len());
    assert_eq!(harvest.entries as u64, dirty);
    // With the last flush the log was emptied once for every 512 pages begun.
    assert_eq!(harvest.exits + 1, dirty.div_ceil(512));
}

#[test]
fn the_harvested_set_is_the_set_of_pages_written() {
    for writes in [1, 2, 511, 512, 513, 1024, 1025, 5_000] {
        harvest_is_exact(3_000, writes, writes);
        harvest_is_exact(writes, 2 * writes, writes);
    }
}

#[test]
#[ignore = "takes a while without optimization"]
fn the_harvested_set_is_the_set_of_pages_written_by_a_million_writes() {
    harvest_is_exact(700_000, 1_000_000, 7);
    harvest_is_exact(2_000_000, 1_000_000, 8);
}

#[test]
fn what_two_cores_log_together_is_what_they_wrote() {
    let pages = 2_000;
    let machine = guest(pages);
    let mut cores = [7, 8].map(|seed| (logging(&machine), Rng(seed), BTreeSet::new()));
    let memory = &machine.memory;
    std::thread::scope(|scope| {
        for (core, rng, written) in &mut cores {
            scope.spawn(move || {
                while written.len() < 512 {
                    let page = rng.below(pages);
                    core.access(&memory.view(), Gva(page * PAGE), WRITE).unwrap();
                    written.insert(GPA + page * PAGE);
                }
            });
        }
    });
    let (mut harvest, mut written) = (Harvest::new(), BTreeSet::new());
    for (mut core, _, mut own) in cores {
        harvest.flush(&machine, &mut core);
        written.append(&mut own);
    }
    assert!(harvest.pages == written);
}

#[test]
fn pages_made_clean_again_are_logged_again_after_invept() {
    let machine = guest(4);
    let mut core = logging(&machine);
    let mut harvest = Harvest::new();
    for round in 1..=3 {
        (0..4).for_each(|page| harvest.write(&machine, &mut core, page * PAGE));
        harvest.flush(&machine, &mut core);
        assert_eq!(harvest.entries, 4 * round);
        for page in 0..4 {
            let entry = machine.ept_entry(GPA + page * PAGE, 1);
            machine.store(entry, machine.load(entry) & !EPT_D);
        }
        let eptp = machine.eptp(true).unwrap().0;
        core.invept(1, siov_spec::ept::InveptDescriptor([eptp, 0])).unwrap();
    }
}
