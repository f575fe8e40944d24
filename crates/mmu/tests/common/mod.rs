//! A machine for tests: host memory, a guest's tables in it, and EPT that maps the guest.
#![allow(dead_code, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

pub mod reference;
pub mod rng;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::num::NonZeroU16;
use std::sync::Arc;

use siov_mem::{Gva, HostMemory, Hpa, Region};
use siov_mmu::{Access, ControlRegs, Core, Fault, Geometry, Model, Pml, Probe, Stage, Step};
use siov_mmu::{Translation, Vmcs};
use siov_spec::ept::{Cr0, Cr3, Cr4, Efer, Eptp};

pub const PAGE: u64 = 4096;
pub const P: u64 = 1;
pub const RW: u64 = 1 << 1;
pub const US: u64 = 1 << 2;
pub const A: u64 = 1 << 5;
pub const D: u64 = 1 << 6;
pub const PS: u64 = 1 << 7;
pub const G: u64 = 1 << 8;
pub const XD: u64 = 1 << 63;
pub const ALL: u64 = P | RW | US;

pub const R: u64 = 1;
pub const W: u64 = 2;
pub const X: u64 = 4;
pub const WB: u64 = 6 << 3;
pub const EPT_A: u64 = 1 << 8;
pub const EPT_D: u64 = 1 << 9;
pub const RWX: u64 = R | W | X;

/// Host physical memory of the machine; tables are taken from it page by page.
const MEMORY: u64 = 64 << 20;
/// Guest physical pages for the guest's tables; each gets a page of the host's.
const GUEST_TABLES: u64 = 0x10_0000;

/// A host with a guest in it, without caches unless asked for.
pub struct Machine {
    pub memory: HostMemory,
    pub levels: u8,
    pub ept_levels: Option<u8>,
    pub cr3: u64,
    pub ept_root: u64,
    free: Cell<u64>,
    free_gpa: Cell<u64>,
    hpa_of: RefCell<HashMap<u64, u64>>,
}

/// Kinds of paging that a test is for.
pub const NESTED: (u8, Option<u8>) = (4, Some(4));
pub const PLAIN: (u8, Option<u8>) = (4, None);

impl Machine {
    pub fn new((levels, ept_levels): (u8, Option<u8>)) -> Machine {
        let memory = HostMemory::new(1 << 40);
        memory.place(Hpa(0), Arc::new(Region::anonymous(MEMORY).unwrap())).unwrap();
        let mut machine = Machine {
            memory,
            levels,
            ept_levels,
            cr3: 0,
            ept_root: 0,
            free: Cell::new(PAGE),
            free_gpa: Cell::new(GUEST_TABLES),
            hpa_of: RefCell::default(),
        };
        machine.ept_root = machine.host_page();
        machine.cr3 = machine.guest_table();
        machine
    }

    /// A new page of the host's, all zero.
    pub fn host_page(&self) -> u64 {
        let at = self.free.get();
        assert!(at < MEMORY, "the machine's memory is used up");
        self.free.set(at + PAGE);
        at
    }

    /// A new page of the guest's: its GPA.
    pub fn guest_table(&self) -> u64 {
        let hpa = self.host_page();
        if self.ept_levels.is_none() {
            return hpa;
        }
        let gpa = self.free_gpa.get();
        self.free_gpa.set(gpa + PAGE);
        self.ept_map(gpa, hpa, 1, RWX | WB);
        self.hpa_of.borrow_mut().insert(gpa, hpa);
        gpa
    }

    pub fn load(&self, at: u64) -> u64 {
        self.memory.view().load_u64(Hpa(at)).unwrap()
    }

    pub fn store(&self, at: u64, value: u64) {
        self.memory.view().store_u64(Hpa(at), value).unwrap();
    }

    /// Where a word of a guest's table lies.
    pub fn host_of(&self, gpa: u64) -> u64 {
        match self.ept_levels {
            None => gpa,
            Some(_) => self.hpa_of.borrow()[&(gpa & !(PAGE - 1))] | gpa & (PAGE - 1),
        }
    }

    /// The HPA of the guest's entry for an address at a level; tables on the way are made.
    pub fn entry(&self, gva: u64, level: u8) -> u64 {
        let mut table = self.cr3;
        for at in (level + 1..=self.levels).rev() {
            let entry = self.host_of(table + index(gva, at) * 8);
            if self.load(entry) & P == 0 {
                self.store(entry, self.guest_table() | ALL);
            }
            table = self.load(entry) & 0xf_ffff_ffff_f000;
        }
        self.host_of(table + index(gva, level) * 8)
    }

    /// Maps a page of the guest's at the level; gives the HPA of its entry.
    pub fn map(&self, gva: u64, gpa: u64, level: u8, flags: u64) -> u64 {
        let entry = self.entry(gva, level);
        self.store(entry, gpa | flags | if level > 1 { PS } else { 0 });
        entry
    }

    /// The HPA of EPT's entry for an address at a level; tables on the way are made.
    pub fn ept_entry(&self, gpa: u64, level: u8) -> u64 {
        let mut table = self.ept_root;
        for at in (level + 1..=self.ept_levels.unwrap()).rev() {
            let entry = table + index(gpa, at) * 8;
            if self.load(entry) & RWX == 0 {
                self.store(entry, self.host_page() | RWX);
            }
            table = self.load(entry) & 0xf_ffff_ffff_f000;
        }
        table + index(gpa, level) * 8
    }

    /// Maps a page of EPT's at the level; gives the HPA of its entry.
    pub fn ept_map(&self, gpa: u64, hpa: u64, level: u8, flags: u64) -> u64 {
        let entry = self.ept_entry(gpa, level);
        self.store(entry, hpa | flags | if level > 1 { PS } else { 0 });
        entry
    }

    /// Registers with everything on but SMEP, SMAP, PCIDs and global pages.
    pub fn regs(&self) -> ControlRegs {
        ControlRegs {
            cr0: Cr0(0).with_WP(true),
            cr3: Cr3(self.cr3),
            cr4: Cr4(0).with_LA57(self.levels == 5),
            efer: Efer(0).with_NXE(true),
        }
    }

    pub fn eptp(&self, ad: bool) -> Option<Eptp> {
        let levels = self.ept_levels?;
        Some(Eptp(self.ept_root).with_MT(6).with_PWL(levels - 1).with_AD(ad))
    }

    /// What a VM entry takes: VPID 1, EPT without flags, no log.
    pub fn vmcs(&self) -> Vmcs {
        Vmcs { guest: self.regs(), vpid: NonZeroU16::new(1), eptp: self.eptp(false), pml: None }
    }

    /// With EPT's flags, and a log if asked for.
    pub fn vmcs_ad(&self, pml: bool) -> Vmcs {
        let pml = pml.then(|| Pml::new(self.host_page()));
        Vmcs { eptp: self.eptp(true), pml, ..self.vmcs() }
    }

    /// A core that runs the guest, without caches.
    pub fn core(&self) -> Core {
        self.core_with(Geometry::OFF, &self.vmcs())
    }

    pub fn core_with(&self, geometry: Geometry, vmcs: &Vmcs) -> Core {
        let model = Model { geometry, ..Model::default() };
        let mut core = Core::new(model, ControlRegs::default());
        core.vm_entry(vmcs).unwrap();
        core
    }

    pub fn access(&self, core: &mut Core, gva: u64, access: Access) -> Result<Translation, Fault> {
        core.access(&self.memory.view(), Gva(gva), access)
    }

    /// The HPA of an access that must succeed.
    pub fn reach(&self, core: &mut Core, gva: u64, access: Access) -> u64 {
        self.access(core, gva, access).unwrap().hpa.0
    }

    /// The steps of an access.
    pub fn steps(&self, core: &mut Core, gva: u64, access: Access) -> Vec<Step> {
        let mut steps = vec![];
        let _ = core.access_with(&self.memory.view(), Gva(gva), access, &mut steps);
        steps
    }
}

/// Which entry of a table translates an address.
pub fn index(address: u64, level: u8) -> u64 {
    address >> (3 + 9 * u32::from(level)) & 511
}

/// The error code of a page fault.
pub fn error_code(result: Result<Translation, Fault>) -> u32 {
    match result {
        Err(Fault::PageFault { error_code, .. }) => error_code.0,
        other => panic!("{other:?} is not a page fault"),
    }
}

/// The exit qualification of an EPT violation, and its GPA.
pub fn violation(result: Result<Translation, Fault>) -> (u64, u64) {
    match result {
        Err(Fault::EptViolation { qualification, gpa, .. }) => (qualification.0, gpa.0),
        other => panic!("{other:?} is not an EPT violation"),
    }
}

/// The GPA of an EPT misconfiguration.
pub fn misconfiguration(result: Result<Translation, Fault>) -> u64 {
    match result {
        Err(Fault::EptMisconfiguration { gpa }) => gpa.0,
        other => panic!("{other:?} is not an EPT misconfiguration"),
    }
}

/// How many entries of each stage were read.
pub fn reads(steps: &[Step]) -> (usize, usize) {
    let of = |wanted| {
        let is = |step: &&Step| matches!(step, Step::Entry { stage, .. } if *stage == wanted);
        steps.iter().filter(is).count()
    };
    (of(Stage::Guest), of(Stage::Ept))
}

/// Nothing but a count of steps.
#[derive(Default)]
pub struct Count(pub usize);

impl Probe for Count {
    fn step(&mut self, _: Step) {
        self.0 += 1;
    }
}
