//! Nothing stale outlives the invalidation that is due; until then, old and new are all there is.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::num::NonZeroU16;

use common::rng::Rng;
use common::{ALL, D, EPT_D, G, Machine, P, PAGE, RWX, US, WB};
use proptest::prelude::*;
use siov_mem::Gva;
use siov_mmu::{Access, Core, Geometry, PscShape, Shape, TlbShape, Vmcs};
use siov_spec::ept::{Cr3, InveptDescriptor, InvpcidDescriptor, InvvpidDescriptor};

const BASE: u64 = 0x40_0000_0000;
/// Pages that the guest has: half of them under one page table, half under another.
const PAGES: u64 = 16;
const GPAS: u64 = 0x100_0000_0000;
const HPAS: u64 = 0x8_0000_0000;

fn gva(page: u64) -> u64 {
    BASE + (page & 7) * PAGE + (page >> 3 << 21)
}

/// A core with caches over tables that change, and one without that says what is true.
struct World {
    machine: Machine,
    core: Core,
    truth: Core,
    rng: Rng,
}

/// What a change touched, which says what must be invalidated for it.
#[derive(Clone, Copy, Debug)]
enum Change {
    /// The entry of the guest's that maps a page.
    Page(u64),
    /// An entry of the guest's that points to a page table, with the pages under it.
    Table,
    /// An entry of EPT.
    Ept,
}

fn tiny(sets: usize, ways: usize) -> Geometry {
    let shape = Shape::new(sets, ways).unwrap();
    let tlb = TlbShape { page_4k: shape, page_2m: shape, page_1g: shape };
    let psc = PscShape { pde: shape, pdpte: shape, pml4e: shape, pml5e: shape };
    Geometry { dtlb: tlb, itlb: tlb, psc, gpa_tlb: tlb, ept_psc: psc }
}

fn world(seed: u64, ept: bool) -> World {
    let mut rng = Rng(seed);
    let machine = Machine::new((4, ept.then_some(4)));
    let ad = rng.chance(500);
    let mut vmcs = if ad { machine.vmcs_ad(false) } else { machine.vmcs() };
    vmcs.vpid = NonZeroU16::new(rng.below(2) as u16);
    vmcs.guest.cr4 = vmcs.guest.cr4.with_PCIDE(rng.chance(500)).with_PGE(rng.chance(500));
    let geometry = rng.pick(&[Geometry::default(), tiny(1, 2), tiny(4, 4)]);
    let core = machine.core_with(geometry, &vmcs);
    let truth = machine.core_with(Geometry::OFF, &vmcs);
    let mut world = World { machine, core, truth, rng };
    for page in 0..PAGES {
        world.map(page);
        if ept {
            world.map_ept(page);
        }
    }
    world
}

impl World {
    fn map(&mut self, page: u64) {
        let rng = &mut self.rng;
        let flags = rng.bits(P, 850) | rng.bits(US, 800) | rng.bits(ALL, 600) | rng.bits(G, 300);
        let gpa = GPAS + rng.below(PAGES) * PAGE;
        self.machine.map(gva(page), gpa, 1, flags & !D);
    }

    fn map_ept(&mut self, page: u64) {
        let rng = &mut self.rng;
        let flags = if rng.chance(800) { RWX } else { rng.pick(&[0, 1, 3, 4, 5]) };
        let hpa = HPAS + rng.below(64) * PAGE;
        self.machine.ept_map(GPAS + page * PAGE, hpa, 1, flags | WB);
    }

    fn change(&mut self) -> Change {
        let page = self.rng.below(PAGES);
        match self.rng.below(if self.machine.ept_levels.is_some() { 4 } else { 2 }) {
            0 => {
                self.map(page);
                Change::Page(gva(page))
            }
            1 => {
                // The page table moves, and what it maps changes with it.
                let entry = self.machine.entry(gva(page), 2);
                self.machine.store(entry, self.machine.guest_table() | ALL);
                (page & 8..(page & 8) + 8).for_each(|page| self.map(page));
                Change::Table
            }
            2 => {
                self.map_ept(page);
                Change::Ept
            }
            _ => {
                let entry = self.machine.ept_entry(GPAS + page * PAGE, 1);
                self.machine.store(entry, self.machine.load(entry) & !EPT_D);
                Change::Ept
            }
        }
    }

    /// One of the ways that are enough for the change.
    fn invalidate(&mut self, change: Change) {
        let core = &mut self.core;
        let regs = *core.regs();
        let pcid = u64::from(regs.pcid());
        let vpid = core.inspect().vmcs.unwrap().vpid.map_or(0, |vpid| u64::from(vpid.get()));
        let way = self.rng.below(5);
        match change {
            Change::Page(gva) => match way {
                0 if vpid != 0 => core.invvpid(0, InvvpidDescriptor([vpid, gva])).unwrap(),
                1 => core.invpcid(2, InvpcidDescriptor([pcid, 0])).unwrap(),
                2 if !regs.cr4.PGE() => core.invpcid(0, InvpcidDescriptor([pcid, gva])).unwrap(),
                _ => core.invlpg(Gva(gva)),
            },
            Change::Table => match way {
                0 if vpid != 0 => core.invvpid(1, InvvpidDescriptor([vpid, 0])).unwrap(),
                1 if vpid == 0 => {
                    let vmcs: Vmcs = core.vm_exit().unwrap();
                    core.vm_entry(&vmcs).unwrap();
                }
                2 if !regs.cr4.PGE() => core.mov_to_cr3(Cr3(self.machine.cr3 | pcid)).unwrap(),
                3 => {
                    core.mov_to_cr4(regs.cr4.with_PGE(!regs.cr4.PGE())).unwrap();
                    self.truth.mov_to_cr4(core.regs().cr4).unwrap();
                }
                _ => core.invpcid(2, InvpcidDescriptor([pcid, 0])).unwrap(),
            },
            Change::Ept => {
                let eptp = self.machine.eptp(true).unwrap().0;
                core.invept(1 + way % 2, InveptDescriptor([eptp, 0])).unwrap();
            }
        }
    }

    fn request(&mut self) -> (u64, Access) {
        let rng = &mut self.rng;
        let access = rng.pick(&[Access::READ, Access::READ, Access::WRITE, Access::FETCH]);
        let access = if rng.chance(300) { access.by_user() } else { access };
        (gva(rng.below(PAGES)) + rng.below(PAGE), access)
    }

    /// What the access leads to now, without a trace in memory.
    fn true_outcome(&self, gva: u64, access: Access) -> Option<u64> {
        // Flags that this sets are flags that a speculative access may set too; only a dirty flag
        // would hide whether the other core sets it.
        let access = if access.kind == siov_mmu::Kind::Write {
            let clean = self.dirty_words(gva);
            let mut truth = self.truth.clone();
            let result = self.machine.access(&mut truth, gva, access).ok().map(|done| done.hpa.0);
            clean.into_iter().for_each(|(at, raw)| self.machine.store(at, raw));
            return result;
        } else {
            access
        };
        let mut truth = self.truth.clone();
        self.machine.access(&mut truth, gva, access).ok().map(|done| done.hpa.0)
    }

    /// The words whose dirty flags a write to the address sets, as they are.
    fn dirty_words(&self, gva: u64) -> Vec<(u64, u64)> {
        let entry = self.machine.entry(gva, 1);
        let mut words = vec![entry];
        if self.machine.ept_levels.is_some() {
            words.push(self.machine.ept_entry(self.machine.load(entry) & 0xf_ffff_ffff_f000, 1));
        }
        words.into_iter().map(|at| (at, self.machine.load(at))).collect()
    }

    /// After a write that got through, the flags that software relies on are set.
    fn check_dirty(&self, gva: u64) {
        let [(_, guest), ept @ ..] = &self.dirty_words(gva)[..] else { panic!("no words") };
        assert_eq!(guest & D, D, "the guest's dirty flag of {gva:#x}");
        let ad = self.core.inspect().vmcs.unwrap().eptp.is_some_and(|eptp| eptp.AD());
        for (_, raw) in ept.iter().filter(|_| ad) {
            assert_eq!(raw & EPT_D, EPT_D, "EPT's dirty flag of {gva:#x}");
        }
    }
}

fn run(seed: u64, ept: bool) -> Result<(), TestCaseError> {
    let mut world = world(seed, ept);
    for _ in 0..40 {
        for _ in 0..20 {
            let (gva, access) = world.request();
            let expected = world.true_outcome(gva, access);
            let found = world.machine.access(&mut world.core, gva, access);
            prop_assert_eq!(found.ok().map(|done| done.hpa.0), expected, "{:#x} {:?}", gva, access);
            if found.is_ok() && access.kind == siov_mmu::Kind::Write {
                world.check_dirty(gva);
            }
        }
        // Old and new, for the accesses until the invalidation.
        let late: Vec<_> = (0..world.rng.below(6)).map(|_| world.request()).collect();
        let old: Vec<_> = late.iter().map(|(gva, by)| world.true_outcome(*gva, *by)).collect();
        let change = world.change();
        for ((gva, access), old) in late.into_iter().zip(old) {
            let new = world.true_outcome(gva, access);
            let found = world.machine.access(&mut world.core, gva, access);
            let found = found.ok().map(|done| done.hpa.0);
            prop_assert!(found == old || found == new, "{found:x?} is not {old:x?} or {new:x?}");
        }
        world.invalidate(change);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 60,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_translation_outlives_its_invalidation_without_ept(seed: u64) {
        run(seed, false)?;
    }

    #[test]
    fn no_translation_outlives_its_invalidation_with_ept(seed: u64) {
        run(seed, true)?;
    }
}
