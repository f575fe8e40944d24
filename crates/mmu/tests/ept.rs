//! EPT's stage, rule by rule (SDM 3C 29.3).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use common::{
    A, ALL, D, EPT_A, EPT_D, Machine, NESTED, P, PAGE, PS, R, RWX, W, WB, X, error_code,
    misconfiguration, violation,
};
use siov_mmu::{Access, ControlRegs, Core, Geometry, Model};
use siov_spec::ept::ExitReason;

const GVA: u64 = 0x1000;
const GPA: u64 = 0x5000_0000;
const HPA: u64 = 0x9000_0000;
const READ: Access = Access::READ;
const WRITE: Access = Access::WRITE;
const FETCH: Access = Access::FETCH;

/// Exit qualification: the guest-linear address is valid.
const GLA: u64 = 1 << 7;
/// Exit qualification: the access was to the translation of the address.
const FINAL: u64 = 1 << 8;

fn nested(flags: u64) -> Machine {
    let machine = Machine::new(NESTED);
    machine.map(GVA, GPA, 1, ALL);
    machine.ept_map(GPA, HPA, 1, flags);
    machine
}

fn change(machine: &Machine, entry: u64, clear: u64, set: u64) {
    machine.store(entry, machine.load(entry) & !clear | set);
}

#[test]
fn an_entry_that_is_not_present_is_a_violation_with_nothing_allowed() {
    for level in 1..=4 {
        let machine = nested(RWX | WB);
        change(&machine, machine.ept_entry(GPA, level), RWX, 0);
        let mut core = machine.core();
        // Without the level-4 entry the guest's own tables are cut off too: the first of them stops.
        let own = if level <= 3 { FINAL } else { 0 };
        let at = if level <= 3 { GPA + 0x10 } else { machine.cr3 };
        for (access, attempt) in [(READ, R), (WRITE, W), (FETCH, X)] {
            let attempt = if level <= 3 { attempt } else { R };
            let result = machine.access(&mut core, GVA + 0x10, access);
            assert_eq!(violation(result), (attempt | GLA | own, at), "level {level}");
        }
        assert_eq!(core.counters().ept_violations, 3);
    }
}

#[test]
fn an_access_that_is_not_allowed_is_a_violation_that_says_what_is() {
    let cases = [(R, READ, true), (R, WRITE, false), (R, FETCH, false), (X, FETCH, true)];
    let more =
        [(X, READ, false), (R | X, WRITE, false), (R | W, FETCH, false), (R | W, WRITE, true)];
    for (allowed, access, passes) in cases.into_iter().chain(more) {
        let machine = nested(allowed | WB);
        let mut core = machine.core();
        let result = machine.access(&mut core, GVA, access);
        if passes {
            assert_eq!(result.unwrap().hpa.0, HPA);
            continue;
        }
        assert_eq!(result.unwrap_err().exit_reason(), Some(ExitReason::EPT_VIOLATION));
        let attempt = [(READ, R), (WRITE, W), (FETCH, X)].iter().find(|a| a.0 == access).unwrap().1;
        assert_eq!(violation(result), (attempt | allowed << 3 | GLA | FINAL, GPA));
    }
}

#[test]
fn rights_are_those_that_every_entry_gives() {
    let machine = nested(RWX | WB);
    // The page directory entry is only of this page: the guest's tables lie elsewhere.
    change(&machine, machine.ept_entry(GPA, 2), W, 0);
    let mut core = machine.core();
    machine.access(&mut core, GVA, READ).unwrap();
    let result = machine.access(&mut core, GVA, WRITE);
    assert_eq!(violation(result), (W | (R | X) << 3 | GLA | FINAL, GPA));
}

#[test]
fn a_guests_table_that_may_not_be_read_is_a_violation_of_a_walk() {
    let machine = nested(RWX | WB);
    change(&machine, machine.ept_entry(machine.cr3, 1), R | W, 0);
    let mut core = machine.core();
    let result = machine.access(&mut core, GVA, WRITE);
    assert_eq!(violation(result), (R | X << 3 | GLA, machine.cr3));
}

#[test]
fn setting_a_flag_in_a_guests_table_needs_ept_to_allow_writes() {
    let machine = nested(RWX | WB);
    change(&machine, machine.ept_entry(machine.cr3, 1), W, 0);
    let mut core = machine.core();
    let result = machine.access(&mut core, GVA, READ);
    assert_eq!(violation(result), (W | (R | X) << 3 | GLA, machine.cr3));
    // A flag that is set need not be set again.
    let root = machine.host_of(machine.cr3);
    change(&machine, root, 0, A);
    machine.access(&mut core, GVA, READ).unwrap();
}

#[test]
fn with_flags_in_use_reading_a_guests_table_counts_as_a_write() {
    let machine = nested(RWX | WB);
    change(&machine, machine.host_of(machine.cr3), 0, A);
    change(&machine, machine.ept_entry(machine.cr3, 1), W, 0);
    let mut core = machine.core_with(Geometry::OFF, &machine.vmcs_ad(false));
    let result = machine.access(&mut core, GVA, READ);
    assert_eq!(violation(result), (R | W | (R | X) << 3 | GLA, machine.cr3));
}

#[test]
fn a_guests_fault_comes_before_the_violation_of_the_page() {
    let machine = nested(0);
    change(&machine, machine.entry(GVA, 1), 2, 0);
    let mut core = machine.core();
    assert_eq!(error_code(machine.access(&mut core, GVA, WRITE)), 0b011);
    assert_eq!(core.counters().ept_violations, 0);
}

#[test]
fn misconfigurations_are_told_from_violations() {
    // Level, whether a page, bits to clear, bits to set; MAXPHYADDR is 46.
    let cases = [
        (1, true, R, 0),
        (1, true, R | X, 0),
        (1, true, 7 << 3, 2 << 3),
        (1, true, 7 << 3, 3 << 3),
        (1, true, 7 << 3, 7 << 3),
        (1, true, 0, 1 << 46),
        (2, true, 0, 1 << 12),
        (2, true, 0, 1 << 20),
        (3, true, 0, 1 << 29),
        (2, false, 0, 1 << 3),
        (2, false, 0, 1 << 6),
        (3, false, 0, 1 << 51),
        (4, false, 0, PS),
        (4, false, 0, 1 << 4),
    ];
    for (level, is_page, clear, set) in cases {
        let machine = Machine::new(NESTED);
        // Out of the way of the guest's tables, at every level.
        let gpa = 0x100_0000_0000;
        machine.map(GVA, gpa, 1, ALL);
        machine.ept_map(gpa, HPA & !0x3fff_ffff, if is_page { level } else { 1 }, RWX | WB);
        let mut core = machine.core();
        machine.access(&mut core, GVA, READ).unwrap();
        change(&machine, machine.ept_entry(gpa, level), clear, set);
        let result = machine.access(&mut core, GVA, READ);
        assert_eq!(misconfiguration(result), gpa, "{level} {is_page} {clear:#x} {set:#x}");
        assert_eq!(result.unwrap_err().exit_reason(), Some(ExitReason::EPT_MISCONFIGURATION));
        assert_eq!(core.counters().ept_misconfigurations, 1);
    }
}

#[test]
fn execute_only_is_a_misconfiguration_where_it_is_not_supported() {
    let machine = nested(X | WB);
    let model = Model { execute_only: false, geometry: Geometry::OFF, ..Model::default() };
    let mut core = Core::new(model, ControlRegs::default());
    core.vm_entry(&machine.vmcs()).unwrap();
    assert_eq!(misconfiguration(machine.access(&mut core, GVA, FETCH)), GPA);
}

#[test]
fn bits_that_are_ignored_are_ignored() {
    let ignored = 0xfff << 52 | 1 << 11 | 1 << 10 | 1 << 6 | PS;
    let machine = nested(RWX | WB | ignored);
    change(&machine, machine.ept_entry(GPA, 2), 0, 0xfff << 52 | 0xe00);
    let mut core = machine.core();
    assert_eq!(machine.reach(&mut core, GVA, WRITE), HPA);
}

#[test]
fn an_address_that_4_levels_do_not_reach_is_a_violation() {
    let model = Model { maxphyaddr: 52, geometry: Geometry::OFF, ..Model::default() };
    let machine = nested(RWX | WB);
    machine.map(GVA, 1 << 48, 1, ALL);
    // What the lower 48 bits alone would reach.
    machine.ept_map(0, HPA, 1, RWX | WB);
    let mut core = Core::new(model, ControlRegs::default());
    core.vm_entry(&machine.vmcs()).unwrap();
    assert_eq!(violation(machine.access(&mut core, GVA, READ)), (R | GLA | FINAL, 1 << 48));
}

#[test]
fn ept_that_points_out_of_memory_is_a_misconfiguration() {
    let machine = nested(RWX | WB);
    machine.store(machine.ept_entry(GPA, 2), 0x3f_0000_0000 | RWX);
    let mut core = machine.core();
    assert_eq!(misconfiguration(machine.access(&mut core, GVA, READ)), GPA);
    assert_eq!(core.counters().bus_aborts, 1);
}

#[test]
fn without_eptp_bit_6_no_flag_is_set() {
    let machine = nested(RWX | WB);
    let mut core = machine.core();
    machine.access(&mut core, GVA, WRITE).unwrap();
    for level in 1..=4 {
        assert_eq!(machine.load(machine.ept_entry(GPA, level)) & (EPT_A | EPT_D), 0);
    }
}

#[test]
fn with_eptp_bit_6_every_entry_used_is_accessed_and_the_page_written_dirty() {
    let machine = nested(RWX | WB);
    let mut core = machine.core_with(Geometry::default(), &machine.vmcs_ad(false));
    machine.access(&mut core, GVA, READ).unwrap();
    let flags = |gpa, level| machine.load(machine.ept_entry(gpa, level)) & (EPT_A | EPT_D);
    assert_eq!([1, 2, 3, 4].map(|level| flags(GPA, level)), [EPT_A; 4]);
    machine.access(&mut core, GVA, WRITE).unwrap();
    assert_eq!([1, 2].map(|level| flags(GPA, level)), [EPT_A | EPT_D, EPT_A]);
    // The guest's tables were read: that counts as a write.
    assert_eq!(flags(machine.cr3, 1), EPT_A | EPT_D);
    machine.access(&mut core, GVA, FETCH).unwrap();
}

#[test]
fn a_large_page_is_dirty_as_a_whole() {
    for level in [2, 3] {
        let machine = Machine::new(NESTED);
        machine.map(GVA, 0x100_0000_0000, 1, ALL);
        let entry = machine.ept_map(0x100_0000_0000, 0x4000_0000, level, RWX | WB);
        let mut core = machine.core_with(Geometry::OFF, &machine.vmcs_ad(false));
        machine.access(&mut core, GVA, WRITE).unwrap();
        assert_eq!(machine.load(entry) & (EPT_A | EPT_D), EPT_A | EPT_D);
    }
}

#[test]
fn a_write_that_is_not_allowed_sets_no_flag_of_the_page() {
    let machine = nested(R | WB);
    let mut core = machine.core_with(Geometry::OFF, &machine.vmcs_ad(false));
    violation(machine.access(&mut core, GVA, WRITE));
    assert_eq!(machine.load(machine.ept_entry(GPA, 1)) & (EPT_A | EPT_D), 0);
    assert_eq!(machine.load(machine.ept_entry(GPA, 2)) & EPT_A, EPT_A);
}

#[test]
fn memory_that_the_guest_shares_between_pages_is_reached_through_all_of_them() {
    let machine = nested(RWX | WB);
    machine.map(GVA + PAGE, GPA + PAGE, 1, P | A | D);
    machine.ept_map(GPA + PAGE, HPA, 1, RWX | WB);
    let mut core = machine.core_with(Geometry::default(), &machine.vmcs());
    assert_eq!(machine.reach(&mut core, GVA, READ), machine.reach(&mut core, GVA + PAGE, READ));
}
