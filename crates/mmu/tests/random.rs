//! Random tables, random accesses: the core against the reference walker, word for word.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::num::NonZeroU16;
use std::sync::Arc;

use common::reference::{Do, Outcome, Reference, Request};
use common::rng::Rng;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use siov_mem::{Gva, HostMemory, Hpa, Region};
use siov_mmu::{
    Access, ControlRegs, Core, Fault, Geometry, Kind, Mode, Model, Pml, PscShape, Shape, TlbShape,
    Translation, Vmcs,
};
use siov_spec::ept::{
    Cr0, Cr3, Cr4, Efer, Eptp, InveptDescriptor, InvpcidDescriptor, InvvpidDescriptor, PmlIndex,
};

const PAGE: u64 = 4096;
const PAGES: u64 = 56;
/// EPT's tables: four pages for each level.
const EPT: u64 = PAGE;
/// The guest's memory, as the host has it, with its tables first: four pages for each level.
const GUEST: u64 = EPT + 20 * PAGE;
const GUEST_PAGES: u64 = 32;
const LOG: u64 = GUEST + GUEST_PAGES * PAGE;
/// Indices that are in use in a table, so that walks come through.
const INDICES: [u64; 4] = [0, 1, 2, 511];

/// What a case is made of.
#[derive(Clone, Copy, Debug)]
struct Shapes {
    seed: u64,
    levels: u32,
    ept_levels: Option<u32>,
    /// Out of 1,000 entries, how many are any 64 bits at all.
    garbage: u64,
    /// Whether what the guest writes can't change EPT's tables under the core's caches.
    apart: bool,
}

fn word_of(memory: &HostMemory) -> Vec<u64> {
    let mut bytes = vec![0; (PAGES * PAGE) as usize];
    memory.view().read(Hpa(0), &mut bytes).unwrap();
    bytes.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap())).collect()
}

fn garbage(rng: &mut Rng, apart: bool) -> u64 {
    let any = rng.next() & rng.pick(&[!0, 0x000f_ffff_ffff_ffff, 0x8000_0000_001f_ffff]);
    // Bit 40 takes every address out of memory.
    if apart { any | 1 << 40 } else { any }
}

fn guest_entry(rng: &mut Rng, s: &Shapes, nxe: bool, level: u32) -> u64 {
    if rng.chance(s.garbage) {
        return garbage(rng, s.apart);
    }
    let mut entry = rng.bits(1, 995) | rng.bits(2, 850) | rng.bits(4, 700) | rng.bits(0x38, 300);
    entry |= rng.bits(0x40, 300) | rng.bits(0x100, 300) | rng.bits(0x7ff << 52, 100);
    entry |= rng.bits(1 << 63, if nxe { 100 } else { 5 }) | rng.bits(1 << 48, 5);
    let is_page = level == 1 || level <= 3 && rng.chance(150);
    let spread = rng.bits(0x2000, 10);
    entry |= match (level, is_page) {
        (1, _) => rng.below(GUEST_PAGES) * PAGE,
        (2, true) => 0x80 | rng.below(4) << 21 | rng.bits(0x1000, 300) | spread,
        (3, true) => 0x80 | rng.below(4) << 30 | rng.bits(0x1000, 300) | spread,
        _ => (4 * u64::from(level - 2) + rng.below(4)) * PAGE,
    };
    // Without EPT the guest's addresses are the host's.
    let moved = if s.ept_levels.is_none() && level != 1 && !is_page { GUEST } else { 0 };
    entry + moved + if level >= 4 { rng.bits(0x80, 5) } else { 0 }
}

fn ept_entry(rng: &mut Rng, s: &Shapes, level: u32) -> u64 {
    if rng.chance(s.garbage) {
        return garbage(rng, s.apart);
    }
    let mut entry = if rng.chance(970) { 7 } else { rng.below(8) };
    entry |= rng.bits(0x100, 300) | rng.bits(0x200, 300) | rng.bits(0xc00, 100);
    entry |= rng.bits(1 << 63, 100) | rng.bits(1 << 49, 3);
    let is_page = level == 1 || level <= 3 && rng.chance(80);
    if is_page {
        entry |= if rng.chance(980) { 6 << 3 } else { rng.below(8) << 3 };
        entry |= rng.bits(0x40, 300);
    }
    let far = if s.apart { 1 } else { 0 };
    entry
        | match (level, is_page) {
            (1, _) => GUEST + rng.below(GUEST_PAGES) * PAGE,
            (2, true) => 0x80 | (far + rng.below(3)) << 21,
            (3, true) => 0x80 | (far + rng.below(3)) << 30,
            _ => EPT + (4 * u64::from(level - 2) + rng.below(4)) * PAGE + rng.bits(8, 3),
        }
}

/// A core and a reference over the same tables.
struct Pair {
    memory: HostMemory,
    core: Core,
    reference: Reference,
    rng: Rng,
    kept: bool,
}

fn geometry(rng: &mut Rng, s: &Shapes) -> Geometry {
    let one = |sets, ways| Shape::new(sets, ways).unwrap();
    let tiny = |shape| TlbShape { page_4k: shape, page_2m: shape, page_1g: shape };
    let psc = |shape| PscShape { pde: shape, pdpte: shape, pml4e: shape, pml5e: shape };
    match if s.apart { rng.below(4) } else { 0 } {
        0 => Geometry::OFF,
        1 => Geometry::default(),
        _ => {
            let mut shape = || rng.pick(&[Shape::OFF, one(1, 1), one(2, 2), one(16, 8)]);
            Geometry {
                dtlb: tiny(shape()),
                itlb: tiny(shape()),
                psc: psc(shape()),
                gpa_tlb: tiny(shape()),
                ept_psc: psc(shape()),
            }
        }
    }
}

fn pair(s: Shapes) -> Pair {
    let mut rng = Rng(s.seed);
    let memory = HostMemory::new(1 << 34);
    memory.place(Hpa(0), Arc::new(Region::anonymous(PAGES * PAGE).unwrap())).unwrap();
    let [wp, nxe, smep, smap, ad] = [(); 5].map(|()| rng.chance(700));
    let view = memory.view();
    let mut fill = |table: u64, indices: &[u64], make: &mut dyn FnMut(&mut Rng) -> u64| {
        for index in indices {
            view.store_u64(Hpa(table + index * 8), make(&mut rng)).unwrap();
        }
    };
    for level in 1..=5 {
        for n in 0..4 {
            let at = (4 * u64::from(level - 1) + n) * PAGE;
            let pages: Vec<u64> =
                if level == 1 { (0..GUEST_PAGES + 2).collect() } else { vec![0, 1, 2] };
            fill(EPT + at, &pages, &mut |rng| ept_entry(rng, &s, level));
            fill(GUEST + at, &INDICES, &mut |rng| guest_entry(rng, &s, nxe, level));
        }
    }
    // The guest's first table pages lie where the host put them, so that most walks get on.
    if s.ept_levels.is_some() {
        for n in 0..4 {
            for page in 0..GUEST_PAGES {
                let at = Hpa(EPT + n * PAGE + page * 8);
                let entry = view.load_u64(at).unwrap();
                if entry & 1 != 0 && entry >> 40 & 0xfff == 0 && rng.chance(900) {
                    view.store_u64(at, entry & 0xfff | (GUEST + page * PAGE)).unwrap();
                }
            }
        }
    }
    drop(view);
    let base = if s.ept_levels.is_some() { 0 } else { GUEST };
    let cr3 = base + 4 * u64::from(s.levels - 1) * PAGE;
    let ept = s.ept_levels.map(|levels| (EPT + 4 * u64::from(levels - 1) * PAGE, levels, ad));
    let pml = (ept.is_some() && rng.chance(700)).then(|| (LOG, rng.below(6) as u16));
    let execute_only = rng.chance(500);
    let reference = Reference {
        words: word_of(&memory),
        maxphyaddr: 46,
        execute_only,
        cr3,
        levels: s.levels,
        wp,
        nxe,
        smep,
        smap,
        ept,
        pml,
        logged: vec![],
        reads: 0,
    };
    let guest = ControlRegs {
        cr0: Cr0(0).with_WP(wp),
        cr3: Cr3(cr3),
        cr4: Cr4(0)
            .with_LA57(s.levels == 5)
            .with_SMEP(smep)
            .with_SMAP(smap)
            .with_PGE(rng.chance(500))
            .with_PCIDE(rng.chance(500)),
        efer: Efer(0).with_NXE(nxe),
    };
    let eptp =
        ept.map(|(root, levels, ad)| Eptp(root).with_MT(6).with_PWL(levels as u8 - 1).with_AD(ad));
    let pml = pml.map(|(address, index)| Pml { address, index: PmlIndex(index) });
    let vmcs = Vmcs { guest, vpid: NonZeroU16::new(rng.below(2) as u16), eptp, pml };
    let model = Model { maxphyaddr: 46, execute_only, geometry: geometry(&mut rng, &s) };
    let kept = model.geometry != Geometry::OFF;
    let mut core = Core::new(model, ControlRegs::default());
    core.vm_entry(&vmcs).unwrap();
    Pair { memory, core, reference, rng, kept }
}

impl Pair {
    fn request(&mut self) -> Request {
        let rng = &mut self.rng;
        let mut gva = rng.below(PAGE);
        for level in 1..=self.reference.levels {
            gva |= rng.pick(&INDICES) << (3 + 9 * level);
        }
        let width = 12 + 9 * self.reference.levels;
        if gva >> (width - 1) & 1 != 0 {
            gva |= !0 << width;
        }
        if rng.chance(5) {
            gva ^= 1 << rng.below(64);
        }
        let what = rng.pick(&[Do::Read, Do::Read, Do::Write, Do::Fetch]);
        Request { gva, what, user: rng.chance(400), ac: rng.chance(300) }
    }

    /// What may be forgotten may also be kept: tables that hold still translate the same.
    fn disturb(&mut self, gva: u64) {
        let (core, cr3) = (&mut self.core, self.reference.cr3);
        let pcid = u64::from(core.regs().pcid());
        match self.rng.below(40) {
            0 => core.invlpg(Gva(gva)),
            1 => core.mov_to_cr3(Cr3(cr3 | pcid)).unwrap(),
            2 => core.invpcid(self.rng.below(4), InvpcidDescriptor([pcid, 0])).unwrap(),
            3 => core.invept(2, InveptDescriptor([0, 0])).unwrap(),
            4 => core.invvpid(2, InvvpidDescriptor([0, 0])).unwrap(),
            5 => {
                let vmcs = core.vm_exit().unwrap();
                core.vm_entry(&vmcs).unwrap();
            }
            6 => {
                // SMAP and WP count at once, whatever is cached.
                self.reference.smap ^= true;
                self.reference.wp ^= true;
                let regs = *core.regs();
                core.mov_to_cr4(regs.cr4.with_SMAP(self.reference.smap)).unwrap();
                core.mov_to_cr0(regs.cr0.with_WP(self.reference.wp));
            }
            7 if core.regs().cr4.PCIDE() => {
                core.mov_to_cr3(Cr3(cr3 | self.rng.below(3) | 1 << 63)).unwrap();
            }
            _ => {}
        }
    }

    fn step(&mut self) -> (Outcome, Outcome) {
        let request = self.request();
        self.disturb(request.gva);
        let expected = self.reference.access(request);
        let result = self.core.access(&self.memory.view(), Gva(request.gva), access(request));
        let mut found = outcome(result);
        if let (true, Outcome::Reached { hpa, .. }, Outcome::Reached { size, reads, .. }) =
            (self.kept, found, expected)
        {
            // Caches save reads, which is what they are for.
            found = Outcome::Reached { hpa, size, reads };
        }
        if found == Outcome::PmlFull {
            let mut vmcs = self.core.vm_exit().unwrap();
            let index = self.rng.below(5) as u16;
            vmcs.pml = vmcs.pml.map(|pml| Pml { index: PmlIndex(index), ..pml });
            self.core.vm_entry(&vmcs).unwrap();
            self.reference.pml = self.reference.pml.map(|(log, _)| (log, index));
        }
        (found, expected)
    }
}

fn access(request: Request) -> Access {
    let kind = match request.what {
        Do::Read => Kind::Read,
        Do::Write => Kind::Write,
        Do::Fetch => Kind::Fetch,
    };
    let mode = match (request.user, request.ac) {
        (true, _) => Mode::User,
        (false, false) => Mode::Supervisor,
        (false, true) => Mode::SupervisorAc,
    };
    Access { kind, mode }
}

fn outcome(result: Result<Translation, Fault>) -> Outcome {
    match result {
        Ok(done) => {
            Outcome::Reached { hpa: done.hpa.0, size: done.size.bytes(), reads: done.reads }
        }
        Err(Fault::NotCanonical(_)) => Outcome::NotCanonical,
        Err(Fault::PageFault { error_code, .. }) => Outcome::PageFault { error_code: error_code.0 },
        Err(Fault::EptViolation { qualification, gpa, .. }) => {
            Outcome::EptViolation { qualification: qualification.0, gpa: gpa.0 }
        }
        Err(Fault::EptMisconfiguration { gpa }) => Outcome::EptMisconfiguration { gpa: gpa.0 },
        Err(Fault::PmlFull) => Outcome::PmlFull,
    }
}

/// Runs a case; gives how many accesses got through.
fn compare(s: Shapes) -> Result<u32, TestCaseError> {
    let mut pair = pair(s);
    let mut reached = 0;
    for n in 0..ACCESSES {
        let (found, expected) = pair.step();
        prop_assert_eq!(found, expected, "access {} of {:?}", n, s);
        reached += u32::from(matches!(found, Outcome::Reached { .. }));
    }
    let pml = pair.core.inspect().vmcs.and_then(|vmcs| vmcs.pml);
    let pml = pml.map(|pml| (pml.address, pml.index.0));
    prop_assert_eq!(pml, pair.reference.pml);
    prop_assert_eq!(pair.core.counters().pml_entries, pair.reference.logged.len() as u64);
    prop_assert!(word_of(&pair.memory) == pair.reference.words, "memory differs: {:?}", s);
    Ok(reached)
}

/// Cases for each shape of tables, unless `PROPTEST_CASES` says otherwise.
const CASES: u32 = 100;
const ACCESSES: u32 = 300;

fn check(levels: u32, ept_levels: Option<u32>) {
    let garbage = prop_oneof![Just(0), Just(3), Just(30), Just(300)];
    let shapes = (any::<u64>(), garbage, any::<bool>()).prop_map(|(seed, garbage, apart)| Shapes {
        seed,
        levels,
        ept_levels,
        garbage,
        apart,
    });
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    let cases = asked.unwrap_or(CASES);
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let reached = std::cell::Cell::new(0);
    let result = TestRunner::new(config).run(&shapes, |shapes| {
        reached.set(reached.get() + compare(shapes)?);
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
    let (reached, all) = (reached.get(), cases * ACCESSES);
    println!("{levels} levels, EPT {ept_levels:?}: {reached} of {all} accesses got through");
    assert!(reached * 50 > all, "only {reached} of {all} accesses got through");
}

#[test]
fn four_levels_without_ept_agree_with_the_reference() {
    check(4, None);
}

#[test]
fn five_levels_without_ept_agree_with_the_reference() {
    check(5, None);
}

#[test]
fn four_by_four_levels_agree_with_the_reference() {
    check(4, Some(4));
}

#[test]
fn five_by_four_levels_agree_with_the_reference() {
    check(5, Some(4));
}

#[test]
fn four_by_five_levels_agree_with_the_reference() {
    check(4, Some(5));
}

#[test]
fn five_by_five_levels_agree_with_the_reference() {
    check(5, Some(5));
}
