//! Guests and their mappings: VM entries and exits, VPIDs, INVEPT, INVVPID (SDM 3C 27 to 31).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::num::NonZeroU16;

use common::{ALL, Count, D, Machine, NESTED, PLAIN, R, RWX, WB, error_code};
use siov_mem::Gva;
use siov_mmu::{Access, ControlRegs, Core, EntryError, Geometry, Model, Pml, Stage, Step};
use siov_mmu::{VmFail, Vmcs};
use siov_spec::ept::{Cr3, Eptp, InveptDescriptor, InvvpidDescriptor};

const READ: Access = Access::READ;
const WRITE: Access = Access::WRITE;
const OWN: u64 = 0x1000;

/// Whether the TLB knows the address; asks by an access that may fill it.
fn knows(machine: &Machine, core: &mut Core, gva: u64) -> bool {
    machine.access(core, gva, READ).unwrap().reads == 0
}

fn vm(machine: &Machine, vpid: u16) -> Vmcs {
    Vmcs { vpid: NonZeroU16::new(vpid), ..machine.vmcs() }
}

/// A host whose guest has touched a page.
fn nested(vpid: u16) -> (Machine, Core) {
    let machine = Machine::new(NESTED);
    machine.map(OWN, 0x5000_0000, 1, ALL);
    machine.ept_map(0x5000_0000, 0x9000_0000, 1, RWX | WB);
    let mut core = machine.core_with(Geometry::default(), &vm(&machine, vpid));
    machine.access(&mut core, OWN, READ).unwrap();
    (machine, core)
}

#[test]
fn with_a_vpid_entries_and_exits_keep_what_is_cached_and_without_they_do_not() {
    for vpid in [0, 1] {
        let (machine, mut core) = nested(vpid);
        let vmcs = core.vm_exit().unwrap();
        core.vm_entry(&vmcs).unwrap();
        assert_eq!(knows(&machine, &mut core, OWN), vpid != 0);
        let flushes = core.counters().flushes;
        let expected = if vpid == 0 { (2, 1) } else { (0, 0) };
        assert_eq!((flushes.vm_entry, flushes.vm_exit), expected);
        // What EPT said is kept either way.
        assert!(core.inspect().live.gpa_tlb[0] > 0);
    }
}

#[test]
fn an_exit_without_a_vpid_forgets_and_so_does_an_entry() {
    let (_, mut core) = nested(0);
    core.vm_exit().unwrap();
    assert_eq!(core.inspect().live.dtlb, [0; 3]);
    let machine = Machine::new(PLAIN);
    machine.map(OWN, 0x5000_0000, 1, ALL);
    let mut core = Core::new(Model::default(), machine.regs());
    for (vpid, expected) in [(1, 1), (0, 0)] {
        machine.access(&mut core, OWN, READ).unwrap();
        core.vm_entry(&vm(&machine, vpid)).unwrap();
        assert_eq!(core.inspect().live.dtlb[0], expected, "VPID {vpid}");
        core.vm_exit().unwrap();
    }
}

#[test]
fn a_guests_table_that_the_host_has_moved_is_found_where_it_is_before_a_fault_is_believed() {
    let (machine, mut core) = nested(1);
    let table = machine.host_page();
    machine.store(table + 16, 0x5000_0000 | ALL);
    let gpa = machine.load(machine.entry(OWN, 2)) & !0xfff;
    machine.ept_map(gpa, table, 1, RWX | WB);
    assert_eq!(machine.reach(&mut core, 2 * OWN, READ), 0x9000_0000);
    assert_eq!((core.counters().walk_restarts, core.counters().page_faults), (1, 0));
}

#[test]
fn vpids_keep_guests_apart() {
    let (machine, mut core) = nested(1);
    core.vm_exit().unwrap();
    core.vm_entry(&vm(&machine, 2)).unwrap();
    assert!(!knows(&machine, &mut core, OWN));
    core.mov_to_cr3(Cr3(machine.cr3)).unwrap();
    core.vm_exit().unwrap();
    core.vm_entry(&vm(&machine, 1)).unwrap();
    assert!(knows(&machine, &mut core, OWN), "a load of CR3 concerns the current VPID only");
}

#[test]
fn the_host_has_its_own_registers_and_mappings() {
    let (machine, mut core) = nested(1);
    let guest = core.vm_exit().unwrap();
    assert_eq!(guest.guest, machine.regs());
    assert_eq!(*core.regs(), ControlRegs::default());
    assert!(core.vm_exit().is_none());
    // The host's CR3 is 0, where there is nothing.
    assert_eq!(error_code(machine.access(&mut core, OWN, READ)), 0);
}

#[test]
fn invept_forgets_combined_and_guest_physical_mappings() {
    for (kind, root, expected) in [(1, true, true), (1, false, false), (2, false, true)] {
        let (machine, mut core) = nested(1);
        let eptp =
            if root { machine.eptp(true) } else { Some(machine.eptp(true).unwrap().with_ADDR(7)) };
        core.invept(kind, InveptDescriptor([eptp.unwrap().0, 0])).unwrap();
        let live = core.inspect().live;
        assert_eq!(live.gpa_tlb == [0; 3] && live.ept_psc == [0; 4], expected);
        assert_eq!(live.dtlb == [0; 3] && live.psc == [0; 4], expected);
    }
}

#[test]
fn invept_refuses_what_it_does_not_know() {
    let (machine, mut core) = nested(1);
    let good = machine.eptp(false).unwrap();
    let bad = [good.with_MT(1), good.with_PWL(2), Eptp(good.0 | 1 << 8), Eptp(good.0 | 1 << 46)];
    for eptp in bad {
        assert_eq!(core.invept(1, InveptDescriptor([eptp.0, 0])), Err(VmFail));
    }
    assert_eq!(core.invept(0, InveptDescriptor([good.0, 0])), Err(VmFail));
    assert_eq!(core.invept(1, InveptDescriptor([good.0, 1])), Err(VmFail));
    assert!(knows(&machine, &mut core, OWN));
}

#[test]
fn invvpid_of_all_contexts_spares_the_host() {
    let machine = Machine::new(PLAIN);
    machine.map(OWN, 0x5000_0000, 1, ALL);
    let mut core = Core::new(Model::default(), machine.regs());
    machine.access(&mut core, OWN, READ).unwrap();
    core.invvpid(2, InvvpidDescriptor([0, 0])).unwrap();
    assert!(knows(&machine, &mut core, OWN));
}

#[test]
fn invvpid_refuses_what_it_does_not_know() {
    let (_, mut core) = nested(1);
    for (kind, words) in
        [(4, [1, 0]), (0, [0, 0]), (1, [0, 0]), (1, [1 << 16, 0]), (0, [1, 1 << 47])]
    {
        assert_eq!(core.invvpid(kind, InvvpidDescriptor(words)), Err(VmFail));
    }
}

#[test]
fn a_vm_entry_refuses_controls_that_hardware_refuses() {
    let (machine, mut core) = nested(1);
    let good = core.inspect().vmcs.unwrap();
    assert_eq!(core.vm_entry(&good), Err(EntryError::NonRoot));
    core.vm_exit().unwrap();
    let eptp = good.eptp.unwrap().with_PWL(5);
    let bad = Vmcs { eptp: Some(eptp), ..good };
    assert_eq!(core.vm_entry(&bad), Err(EntryError::Eptp(eptp)));
    for pml in [0x1008, 1 << 46] {
        let bad = Vmcs { pml: Some(Pml::new(pml)), ..good };
        assert_eq!(core.vm_entry(&bad), Err(EntryError::Pml(pml)));
    }
    let bad = Vmcs { pml: Some(Pml::new(0x1000)), eptp: None, ..good };
    assert_eq!(core.vm_entry(&bad), Err(EntryError::Pml(0x1000)));
    let cr3 = Cr3(machine.cr3 | 1 << 50);
    let bad = Vmcs { guest: ControlRegs { cr3, ..good.guest }, ..good };
    assert_eq!(core.vm_entry(&bad), Err(EntryError::GuestCr3(cr3)));
    core.vm_entry(&good).unwrap();
}

#[test]
fn an_ept_violation_forgets_the_mappings_of_its_address() {
    let (machine, mut core) = nested(1);
    let entry = machine.ept_entry(0x5000_0000, 1);
    machine.store(entry, 0x9000_0000 | R | WB);
    machine.map(OWN, 0x5000_0000, 1, ALL | D);
    core.invept(2, InveptDescriptor([0, 0])).unwrap();
    machine.access(&mut core, OWN, READ).unwrap();
    assert!(machine.access(&mut core, OWN, WRITE).is_err());
    assert_eq!(core.inspect().live.dtlb, [0; 3]);
    // The host allows writes: no invalidation is needed for the guest to get on.
    machine.store(entry, 0x9000_0000 | RWX | WB);
    machine.access(&mut core, OWN, WRITE).unwrap();
    assert_eq!(core.counters().ept_violations, 1);
}

#[test]
fn watching_changes_nothing_and_tells_each_entry_in_order() {
    let (machine, _) = nested(1);
    let mut watched = machine.core();
    let steps = machine.steps(&mut watched, OWN, READ);
    let mut alone = machine.core();
    assert_eq!(machine.access(&mut alone, OWN, READ).unwrap().reads, 24);
    assert_eq!(watched.counters(), alone.counters());
    let levels: Vec<u8> = steps
        .iter()
        .filter_map(|step| match step {
            Step::Entry { stage: Stage::Guest, level, .. } => Some(*level),
            _ => None,
        })
        .collect();
    assert_eq!(levels, [4, 3, 2, 1]);
    assert_eq!(steps[0], Step::Gpa { gpa: siov_mem::Gpa(machine.cr3), entry_level: Some(4) });
    let mut count = Count::default();
    watched.access_with(&machine.memory.view(), Gva(OWN), READ, &mut count).unwrap();
    assert_eq!(count.0, 24 + 5 * 2, "24 entries, and 5 addresses with their translations");
}
